#!/usr/bin/env python3
"""What removing mail whose time is over costs mail that comes in: mailboxes are filled with old messages by imports, others
receive by SMTP as fast as it goes, and then the policy of the full ones is shortened, so that all of their mail is due at once.

Phases: *quiet* (receiving alone), *pruning* (receiving, until nothing of the old mail is left), *quiet* again. How much two quiet
phases differ is the noise. Prints one line of JSON: messages received in a second in each phase, what pruning takes of the
rate (it may take 20%), messages removed in a second, how long it took from the change of the policy to the first removal and to
the last, octets of the database file and of what of it is free, and what the counters say when they are counted anew."""

import argparse
import base64
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "acceptance"))
import harness
from harness import Api, Postfleet, Postgres
from names import NameServer

DAY = 86_400
# Lines of one request of an import.
LINES = 2_000
# How often it is looked whether something is due; the configuration takes no less.
ROUND = 60
PATIENCE = 3_600


class Bench:
    def __init__(self, arguments, folder):
        self.arguments = arguments
        self.storage = Postgres(folder / "postgres").start() if arguments.engine == "postgres" else None
        names = NameServer([])
        settings = {
            "POSTFLEET_STORAGE__PRUNE_EVERY_MINUTES": "1",
            "POSTFLEET_SMTP__TRANSACTIONS": "1000000000",
            "POSTFLEET_SMTP__CONNECTIONS_PER_MINUTE": "1000000",
            "POSTFLEET_SMTP__MESSAGES_PER_HOUR": "1000000000",
            "POSTFLEET_SMTP__RECIPIENTS_PER_HOUR": "1000000000",
            # Without one that answers at once, receiving waits for answers and not for the store.
            "POSTFLEET_DELIVERY__NAMESERVERS": f'["{names.address}"]',
        }
        self.server = Postfleet(folder, storage=self.storage.url if self.storage else None, settings=settings)
        self.keys = self.server.init()
        self.server.start()
        self.api = Api(self.server, self.keys["api_key"], timeout=600)

    def ask(self, method, path, body=None):
        status, _, answer = self.api.call(method, path, body, keep=True)
        assert status in (200, 201), (status, answer)
        return answer["data"]

    def mailboxes(self, kind, count, workspace=None):
        settings = {"workspace_id": workspace} if workspace else {}
        emails = [f"{kind}{number}@agents.test" for number in range(count)]
        for email in emails:
            self.ask("POST", "/v3/connect/custom", {"provider": "nylas", "settings": {"email": email}, **settings})
        return emails

    def fill(self, emails):
        """Fills mailboxes with messages that were received ten days ago."""
        raw = base64.urlsafe_b64encode(b"From: a@b.test\r\nSubject: old\r\n\r\n" + b"Hello.\r\n" * (self.arguments.old_octets // 8))
        at, each = int(time.time()) - 10 * DAY, self.arguments.messages // len(emails)
        for email in emails:
            imported = self.ask("POST", f"/v3/grants/{email}/imports", {"source": "bench"})["id"]
            for first in range(0, each, LINES):
                lines = [
                    json.dumps({"received_at": at + number, "raw_mime": raw.decode()}) + "\n"
                    for number in range(first, min(first + LINES, each))
                ]
                path = f"/v3/grants/{email}/imports/{imported}/messages?position={first}"
                headers = {"Content-Type": "application/x-ndjson"}
                status, _, answer = self.api.call("POST", path, "".join(lines).encode(), headers=headers, keep=True)
                assert status == 200 and answer["data"]["position"] == first + len(lines), answer
        return each * len(emails)

    def removed(self, emails):
        """How many messages were removed from mailboxes."""
        removed = 0
        for email in emails:
            removed += self.ask("GET", f"/v3/grants/{email}/retention")["removed_messages"]
        return removed

    def receive(self, seconds):
        """Receives for so long; answers how many messages, and in how many seconds."""
        options = ["--sessions", self.arguments.sessions, "--mailboxes", self.arguments.receivers, "--size", self.arguments.octets]
        options += ["--recipient", "other{m}@agents.test", "--messages", 10_000_000, "--seconds", seconds]
        words = [self.arguments.load, "smtp", "--address", f"127.0.0.1:{self.server.smtp_port}", *map(str, options)]
        made = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)
        assert made["failures"] == 0, made
        return made["done"], made["done"] / made["rate"]

    def quiet(self):
        done, seconds = self.receive(self.arguments.seconds)
        return done / seconds

    def until(self, condition, patience):
        """Receives until something is so, at least for a second; answers messages in a second."""
        received, end = [self.receive(1)], time.monotonic() + patience
        while not condition():
            assert time.monotonic() < end, f"waited {patience} s"
            received.append(self.receive(1))
        return sum(done for done, _ in received) / sum(seconds for _, seconds in received)

    def run(self):
        policy = self.ask("POST", "/v3/policies", {"name": "Old mail"})
        workspace = self.ask("POST", "/v3/workspaces", {"name": "Old mail", "policy_id": policy["id"]})["workspace_id"]
        full = self.mailboxes("full", self.arguments.mailboxes, workspace)
        self.mailboxes("other", self.arguments.receivers)
        began = time.monotonic()
        messages = self.fill(full)
        filled = time.monotonic() - began
        self.receive(3)
        quiet = [self.quiet()]
        limits = {"limit_inbox_retention_period": 5, "limit_spam_retention_period": 1}
        changing = time.monotonic()
        self.ask("PUT", f"/v3/policies/{policy['id']}", {"limits": limits})
        changed = time.monotonic()
        self.until(lambda: self.removed(full[:1] + full[-1:]) > 0, 3 * ROUND)
        first = time.monotonic()
        pruning = self.until(lambda: self.removed(full) >= messages, PATIENCE)
        last = time.monotonic()
        quiet.append(self.quiet())
        alone = sum(quiet) / 2
        return {
            "messages": messages,
            "filled_per_second": round(messages / filled),
            "policy_changed_ms": round((changed - changing) * 1e3, 1),
            "quiet_per_second": [round(rate) for rate in quiet],
            "pruning_per_second": round(pruning),
            "taken_of_the_rate": round(1 - pruning / alone, 3),
            "noise": round(abs(quiet[0] - quiet[1]) / alone, 3),
            "reached": pruning >= 0.8 * alone,
            "removed_per_second": round(messages / (last - first)),
            "first_removal_s": round(first - changed, 1),
            "last_removal_s": round(last - changed, 1),
            **self.file(),
            "drift": self.drift(),
        }

    def file(self):
        if self.storage:
            return {}
        with sqlite3.connect(f"file:{self.server.data / 'postfleet.db'}?mode=ro", uri=True) as database:
            pages = {name: database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")}
        octets = pages["page_size"]
        return {"file_octets": pages["page_count"] * octets, "free_octets": pages["freelist_count"] * octets}

    def drift(self):
        api = Api(self.server, self.keys["operator_key"], timeout=600)
        path = f"/v3/admin/organizations/{self.keys['organization_id']}/usage/recount"
        status, _, answer = api.call("POST", path, {}, keep=True)
        assert status == 200, answer
        return answer["data"]["drift_count"]

    def close(self):
        self.server.kill()
        if self.storage:
            self.storage.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postfleet", type=Path, required=True)
    load = Path(__file__).parent / "load/target/release/postfleet-load"
    parser.add_argument("--load", type=Path, default=load)
    parser.add_argument("--messages", type=int, default=20_000, help="old messages; 1000000 for the figure of the goal")
    parser.add_argument("--old-octets", type=int, default=1_000, help="of each of them")
    parser.add_argument("--mailboxes", type=int, default=20, help="among which they are")
    parser.add_argument("--receivers", type=int, default=20, help="mailboxes that receive")
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--octets", type=int, default=10_000, help="of each message that comes in")
    parser.add_argument("--seconds", type=int, default=10, help="of each quiet phase")
    parser.add_argument("--engine", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--folder", help="where the data directory is made, and removed again")
    arguments = parser.parse_args()
    harness.BINARY = arguments.postfleet.resolve()
    with tempfile.TemporaryDirectory(prefix="postfleet-bench-retention-", dir=arguments.folder) as folder:
        bench = Bench(arguments, Path(folder))
        try:
            print(json.dumps(bench.run()))
        finally:
            bench.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
