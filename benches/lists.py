#!/usr/bin/env python3
"""What run.sh asks about rules: how soon a change of a very long list holds. Adds an item to it, or takes one out, and at
once sends to it; insists that the send is judged by the change, and compares its time with that of the same send while
nothing changes. Prints one line of JSON."""

import argparse
import http.client
import json
import statistics
import sys
import time
from pathlib import Path

PATIENCE = 600
# Until the server has read into memory what a change left it to read; plain sends are timed after that.
SETTLE = 0.02
WARM_UP = 200


class Api:
    def __init__(self, arguments):
        name, _, value = arguments.key.read_text().strip().partition(": ")
        self.headers = {name: value}
        self.connection = http.client.HTTPConnection("127.0.0.1", arguments.port, timeout=PATIENCE)

    def call(self, method, path, body=None, kind="application/json"):
        """Milliseconds, status and answer."""
        body = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        began = time.perf_counter()
        self.connection.request(method, path, body, self.headers | {"Content-Type": kind})
        response = self.connection.getresponse()
        text = response.read()
        return (time.perf_counter() - began) * 1_000, response.status, json.loads(text)

    def data(self, method, path, body=None, kind="application/json"):
        took, status, answer = self.call(method, path, body, kind)
        if status not in (200, 201):
            raise SystemExit(f"{method} {path}: {status} {answer}")
        return took, answer["data"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key", type=Path, required=True, help="a file with the header")
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=500, help="each adds an item and takes it out again")
    arguments = parser.parse_args()
    api = Api(arguments)
    mailbox = {"provider": "nylas", "settings": {"email": "judged@bench.example"}}
    grant = api.data("POST", "/v3/connect/custom", mailbox)[1]["id"]
    items = block_list(api, arguments.items)

    def send(domain):
        message = {"to": [{"email": f"someone@{domain}"}], "subject": "judged", "body": "x"}
        took, status, answer = api.call("POST", f"/v3/grants/{grant}/messages/send", message)
        if status not in (200, 202, 403):
            raise SystemExit(f"send: {status} {answer}")
        return took, status == 403

    for number in range(WARM_UP):
        send(listed(number))
        send("never-listed.example")
    changes, after, plain, wrong = [], {True: [], False: []}, {True: [], False: []}, 0
    for number in range(arguments.rounds):
        domain = f"fresh-{number}.example"
        for method, is_blocked, same in (("POST", True, listed(number)), ("DELETE", False, f"never-{number}.example")):
            changes.append(api.data(method, items, {"items": [domain]})[0])
            took, blocked = send(domain)
            after[is_blocked].append(took)
            wrong += blocked != is_blocked
            time.sleep(SETTLE)
            took, blocked = send(same)
            plain[is_blocked].append(took)
            wrong += blocked != is_blocked
    print(json.dumps(figures(arguments, changes, after, plain, wrong)))
    return 0


def figures(arguments, changes, after, plain, wrong):
    made = {"list": arguments.items, "measure": "list change", "done": 4 * arguments.rounds, "wrong": wrong}
    made |= {"change_p50_ms": quantile(changes, 50), "change_p99_ms": quantile(changes, 99)}
    for name, is_blocked in (("blocked", True), ("accepted", False)):
        for share in (50, 99):
            next_send, usual = quantile(after[is_blocked], share), quantile(plain[is_blocked], share)
            made[f"{name}_next_p{share}_ms"], made[f"{name}_plain_p{share}_ms"] = next_send, usual
            made[f"{name}_extra_p{share}_ms"] = round(next_send - usual, 3)
    return made


def quantile(times, share):
    return round(statistics.quantiles(times, n=100, method="inclusive")[share - 1], 3)


def listed(number):
    return f"d{number:07}.listed.example"


def block_list(api, count):
    """Makes the list and a rule that blocks what is in it; answers the path of its items."""
    made = api.data("POST", "/v3/lists", {"name": "Long", "type": "domain"})[1]["id"]
    began = time.monotonic()
    text = "".join(f"{listed(number)}\n" for number in range(count)).encode()
    api.data("POST", f"/v3/lists/{made}/import", text, "text/plain")
    there = api.data("GET", f"/v3/lists/{made}")[1]["items_count"]
    if there != count:
        raise SystemExit(f"{there} items instead of {count}")
    print(f"# {count:,} items imported in {time.monotonic() - began:.1f} s", file=sys.stderr)
    condition = {"field": "recipient.domain", "operator": "in_list", "value": [made]}
    rule = {"name": "Block", "trigger": "outbound", "match": {"conditions": [condition]}, "actions": [{"type": "block"}]}
    rule = api.data("POST", "/v3/rules", rule)[1]["id"]
    workspace = api.data("GET", "/v3/applications")[1]["default_workspace_id"]
    api.data("PATCH", f"/v3/workspaces/{workspace}", {"rule_ids": [rule]})
    return f"/v3/lists/{made}/items"


if __name__ == "__main__":
    sys.exit(main())
