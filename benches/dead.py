#!/usr/bin/env python3
"""What run.sh asks of a destination that is dead: to be routed somewhere, to have everything waiting behind it, to be tried
again. `body` writes a send to it from the send that everybody makes."""

import argparse
import json
import sys
import time
from pathlib import Path

from fleet import Api

PATIENCE = 300
# Recipients that are under way at most: of 20 messages, as many as one may have.
UNDER_WAY_MAX = 1_000


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--domain", default="dead.example")
    commands = parser.add_subparsers(dest="command", required=True)
    body = commands.add_parser("body", help="standard input with other recipients")
    body.add_argument("--recipients", type=int, required=True)
    for name, text in (("route", "sends its mail to a server"), ("wait", "until it has it all"), ("retry", "tries it")):
        command = commands.add_parser(name, help=text)
        command.add_argument("--port", type=int, required=True)
        command.add_argument("--key", type=Path, required=True, help="a file with the operator's header")
        command.add_argument("--to")
        command.add_argument("--depth", type=int, default=0)
        command.add_argument("--times", type=int, default=1)
        command.add_argument("--every", type=float, default=0.0, help="seconds")
    arguments = parser.parse_args()
    return {"body": body_of, "route": route, "wait": wait, "retry": retry}[arguments.command](arguments)


def body_of(arguments):
    message = json.load(sys.stdin)
    message["to"] = [{"email": f"r{{i}}-{number}@{arguments.domain}"} for number in range(arguments.recipients)]
    print(json.dumps(message))
    return 0


def route(arguments):
    Api(arguments).data("PATCH", f"/v3/admin/destinations/{arguments.domain}", {"route": arguments.to})
    return 0


def wait(arguments):
    """Until it is all in the queue, and behind the destination but for what is under way, and nothing moves any more."""
    api, end, found = Api(arguments), time.monotonic() + PATIENCE, {}
    while time.monotonic() < end:
        before, found = found, api.data("GET", f"/v3/admin/destinations/{arguments.domain}")
        is_all = found["depth"] == arguments.depth and found["waiting"] >= arguments.depth - UNDER_WAY_MAX
        if is_all and found["waiting"] == before.get("waiting"):
            print(f"# {found['depth']} in the queue, {found['waiting']} wait, {found['state']}", file=sys.stderr)
            return 0
        time.sleep(1)
    raise SystemExit(f"of {arguments.depth} recipients: {found}")


def retry(arguments):
    api, answered = Api(arguments), 0
    for _ in range(arguments.times):
        status, _, _ = api.call("POST", f"/v3/admin/destinations/{arguments.domain}/retry", {})
        answered += status == 200
        time.sleep(arguments.every)
    return 0 if answered == arguments.times else f"{arguments.times - answered} retries were refused"


if __name__ == "__main__":
    sys.exit(main())
