#!/usr/bin/env python3
"""What run.sh asks of a fleet beside load: how fast a server starts, what memory it holds, which ids it has, how many
mailboxes, and how fast a policy governs them. Prints one line of JSON, or lines of text."""

import argparse
import http.client
import json
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

PAGE = 50
PATIENCE = 60


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("start", help="starts and ends a server several times")
    start.add_argument("--port", type=int, required=True)
    start.add_argument("--times", type=int, default=5)
    start.add_argument("--settle", type=float, default=2.0, help="seconds from ready to the reading of its memory")
    start.add_argument("words", nargs=argparse.REMAINDER)
    for name, text in (("count", "counts mailboxes"), ("sample", "prints ids or addresses"), ("policy", "edits a policy")):
        command = commands.add_parser(name, help=text)
        command.add_argument("--port", type=int, required=True)
        command.add_argument("--key", type=Path, required=True, help="a file with the header")
        command.add_argument("--mailboxes", type=int, default=0)
        command.add_argument("--field", default="id")
        command.add_argument("--number", type=int, default=1_000)
    arguments = parser.parse_args()
    return {"start": starts, "count": count, "sample": sample, "policy": policy}[arguments.command](arguments)


# A server's start ----------------------------------------------------------------------------------------------------


def starts(arguments):
    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    times, memory = [], {}
    for _ in range(arguments.times):
        began = time.monotonic()
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr)
        try:
            await_ready(process, arguments.port)
            times.append((time.monotonic() - began) * 1_000)
            time.sleep(arguments.settle)
            memory = memory_of(process.pid)
        finally:
            process.terminate()
            process.wait(PATIENCE)
    print(json.dumps({"start_ms": round(statistics.median(times), 1), "start_ms_max": round(max(times), 1), **memory}))
    return 0


def await_ready(process, port):
    """Until /health/ready answers 200; asks every millisecond."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.001)
    raise SystemExit("the server did not become ready")


def memory_of(pid):
    """Octets of the process, by the kernel's own sum over its mappings."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    values = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    return {"rss": values["Rss"], "pss": values["Pss"]}


# Its mailboxes -------------------------------------------------------------------------------------------------------


class Api:
    def __init__(self, arguments):
        name, _, value = arguments.key.read_text().strip().partition(": ")
        self.headers = {name: value, "Content-Type": "application/json"}
        self.connection = http.client.HTTPConnection("127.0.0.1", arguments.port, timeout=PATIENCE)

    def call(self, method, path, body=None):
        self.connection.request(method, path, json.dumps(body) if body is not None else None, self.headers)
        answer = self.connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read())

    def data(self, method, path, body=None):
        status, _, answer = self.call(method, path, body)
        if status not in (200, 201):
            raise SystemExit(f"{method} {path}: {status} {answer}")
        return answer["data"]

    def page(self, offset, limit):
        return self.data("GET", f"/v3/grants?limit={limit}&offset={offset}")

    def count(self):
        """How many mailboxes are listed: the offset at which a page is empty."""
        low, high = 0, 1
        while self.page(high - 1, 1):
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.page(middle - 1, 1) else (low, middle)
        return low


def count(arguments):
    print(Api(arguments).count())
    return 0


def sample(arguments):
    """Ids or addresses of mailboxes from all over the fleet, always the same."""
    api = Api(arguments)
    total, chance, found = api.count(), random.Random(7), []
    while len(found) < arguments.number:
        found += [one[arguments.field] for one in api.page(chance.randrange(max(total - PAGE, 1)), PAGE)]
    chance.shuffle(found)
    print("\n".join(found[: arguments.number]))
    return 0


def policy(arguments):
    """Attaches one policy to everything, edits it again and again, and insists that the next send is judged by it."""
    api = Api(arguments)
    total, chance, times, right = api.count(), random.Random(11), [], 0
    workspace = next(one for one in api.data("GET", "/v3/workspaces") if one["default"])["workspace_id"]
    made = api.data("POST", "/v3/policies", {"name": "Everything", "limits": {}})["id"]
    api.data("PATCH", f"/v3/workspaces/{workspace}", {"policy_id": made})
    message = {"to": [{"email": "someone@away.example"}], "subject": "judged", "body": "x", "allow_duplicate": True}
    rounds = 20
    for number in range(rounds):
        limit = 0 if number % 2 == 0 else 1_000 + number
        (grant,) = api.page(chance.randrange(total), 1)
        began = time.monotonic()
        api.data("PUT", f"/v3/policies/{made}", {"limits": {"limit_count_daily_email_sent": limit}})
        times.append((time.monotonic() - began) * 1_000)
        status, headers, answer = api.call("POST", f"/v3/grants/{grant['id']}/messages/send", message)
        judged = status == 429 and answer["error"].get("limit") == 0 if limit == 0 else status in (200, 202) and headers["RateLimit-Limit"] == str(limit)
        right += judged
        if not judged:
            print(f"limit {limit}, and yet {status} {answer}", file=sys.stderr)
    api.data("PATCH", f"/v3/workspaces/{workspace}", {"policy_id": None})
    print(json.dumps({"p50_ms": round(statistics.median(times), 3), "max_ms": round(max(times), 3), "judged": right, "done": rounds}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
