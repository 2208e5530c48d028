#!/usr/bin/env python3
"""Kills the server and the receiver of its webhook again and again while much changes; each change must be told, and in order.

Mail comes in and messages are marked all the time, so that there are very many events. The receiver is a process of its own that
writes each notification into a ledger before it answers. At the end, when nothing changes any more, the receiver must be told
what it has missed. Then `events_ledger.py` holds what was acknowledged against the log of events, and the log against the ledger:
none lost, none out of order within a mailbox, and what came twice came because of a kill and under the same id. What the check must find is tried
on it at the end of each run; `--self-test` tries that alone.
"""

import sys

sys.dont_write_bytecode = True

import json  # noqa: E402
import subprocess  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import events_ledger  # noqa: E402
import loops  # noqa: E402
from events_clients import MAILBOXES, Clients  # noqa: E402
from events_ledger import Logged, Receipt, Run, check, repeats  # noqa: E402
from harness import Api, Postfleet, end_with_parent, free_port, listens, wait_until  # noqa: E402
from loops import Stage, all_of, is_up, query_of  # noqa: E402

TOLD = ["message.created", "message.updated"]
# Seconds from the moment at which somebody listens until it is killed; one of so many kills is the receiver's.
ALIVE, RECEIVER_EVERY = (0.05, 0.4), 8
# Seconds without any receipt after which nothing more is expected: a receiver that rests is tried every five minutes at the latest.
QUIET, DRAINING = 330, 1_200


class Receiver:
    """The process that takes notifications, and its ledger."""

    def __init__(self, folder):
        self.ledger, self.port, self.process = folder / "receipts", free_port(), None
        self.url = f"http://127.0.0.1:{self.port}/in"
        self.spawn()
        wait_until("the receiver to listen", lambda: listens(self.port), every=0.01)

    def spawn(self):
        script = Path(__file__).with_name("events_receiver.py")
        command = [sys.executable, script, str(self.port), self.ledger]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=end_with_parent)

    def kill(self):
        self.process.kill()
        self.process.wait()

    close = kill

    def octets(self):
        return self.ledger.stat().st_size if self.ledger.exists() else 0

    def receipts(self):
        return [Receipt(*json.loads(line)) for line in self.ledger.read_text().splitlines()] if self.ledger.exists() else []


def main():
    parser = loops.parser(__doc__)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--self-test", action="store_true", help="only whether the check finds what it must, without a server")
    arguments = parser.parse_args()
    return loops.try_check("events", events_ledger) if arguments.self_test else loops.main(arguments, run)


def run(arguments):
    with Stage("events", arguments, f"{arguments.events:,} events") as stage:
        storage = stage.database()
        receiver = stage.keep(Receiver(stage.folder))
        server = Postfleet(stage.folder, None, storage, stage.no_names())
        account = server.init()
        stage.serve(server)
        api = Api(server, account["api_key"])
        grants = [api.mailbox(f"box{n}@agents.test") for n in range(MAILBOXES)]
        status, _, answer = api.call("POST", "/v3/webhooks", {"trigger_types": TOLD, "webhook_url": receiver.url})
        assert status == 200, answer
        clients = Clients(server, account["api_key"], grants, stage.chance.random())
        known = kill_and_ask(server, receiver, clients, query_of(server, stage.postgres), arguments.events, stage.chance)
        findings = [*check(known), *loops.blind_spots(events_ledger.made_up(), events_ledger)]
        stage.report(findings, server)
    print(summary(arguments, known, findings, stage.seconds()))
    return 1 if findings else 0


def kill_and_ask(server, receiver, clients, query, events, chance):
    """What is known when all of it is over."""
    clients.start()
    kills, told = [], 0
    while (logged := head(query)) < events:
        clients.look()
        if logged >= told + 10_000:
            told = logged
            print(f"  {logged:,} events, {len(kills):,} kills", flush=True)
        if len(kills) % RECEIVER_EVERY == RECEIVER_EVERY - 1:
            kills.append(time.monotonic())
            receiver.kill()
            receiver.spawn()
            wait_until("the receiver to listen", lambda: listens(receiver.port), every=0.01)
            continue
        wait_until("the server to listen", lambda: is_up(server), every=0.005)
        time.sleep(chance.uniform(*ALIVE))
        kills.append(time.monotonic())
        server.kill()
        server.spawn()
    wait_until("the server to listen", lambda: is_up(server))
    clients.stop()
    drained = drain(receiver, query)
    print(f"  all was told {drained:.1f} s after the last change", flush=True)
    log = [
        Logged(event["id"], event["type"], event["grant_id"], event["grant_sequence"], event["message_id"])
        for event in reversed(all_of(clients.api(), "/v3/events"))
        if event["grant_id"]
    ]
    return Run(
        changes=clients.changes, arrivals=tuple(clients.arrivals), log=log, receipts=receiver.receipts(), kills=kills, told=set(TOLD),
        least={"events": events // 2, "repeats": 1, "kills": max(1, events // 1_000)},
    )


def head(query):
    ((position,),) = query("SELECT position FROM event_head WHERE one = 1")
    return int(position)


def drain(receiver, query):
    """Waits until all was received, or nothing more comes; answers how many seconds it took."""
    began = changed = time.monotonic()
    kinds = ", ".join(f"'{kind}'" for kind in TOLD)
    ((expected,),) = query(f"SELECT count(*) FROM events WHERE name IN ({kinds})")
    octets = -1
    while time.monotonic() < changed + QUIET and time.monotonic() < began + DRAINING:
        if octets != (octets := receiver.octets()):
            changed = time.monotonic()
            if len({receipt.id for receipt in receiver.receipts()}) == int(expected):
                break
        time.sleep(0.5)
    return time.monotonic() - began


def summary(arguments, known, findings, seconds):
    acknowledged = sum(count for count, _ in known.changes.values())
    again = sum(1 for _ in repeats(known.receipts))
    return (
        f"events loop on {arguments.engine}: {len(known.kills):,} kills, {len(known.log):,} events; acknowledged {known.arrivals[0]:,} messages and "
        f"{acknowledged:,} changes; {len(known.receipts):,} receipts, {again:,} of them again; {len(events_ledger.LIES)} falsified runs were tried; "
        f"{len(findings)} findings; {seconds:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
