#!/usr/bin/env python3
"""Kills the server and who reads its events again and again while much changes; each change must be told, and in order.

Mail comes in and messages are marked all the time, so that there are very many events. The receiver of the webhook is a process of its
own that writes each notification into a ledger before it answers. NATS, to which the server publishes every event, is stopped, killed,
wiped and started again, and so is the process that reads from it. At the end, when nothing changes any more, the server's clock is put
forward to when each further attempt is due, and all must be told what they have missed. Then `events_ledger.py` holds what was
acknowledged against the log of events, and the log against what was received, and `events_bus_ledger.py` holds it against what NATS gave:
none lost, none out of order within a mailbox, and what came twice came because of a kill and under the same id. What the checks must find
is tried on them at the end of each run; `--self-test` tries that alone.
"""

import sys

sys.dont_write_bytecode = True

import itertools  # noqa: E402
import subprocess  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import events_bus_ledger  # noqa: E402
import events_ledger  # noqa: E402
import loops  # noqa: E402
from events_bus import Bus, Tail  # noqa: E402
from events_clients import MAILBOXES, Clients  # noqa: E402
from events_ledger import Logged, Receipt, Run, check, repeats  # noqa: E402
from harness import Api, Postfleet, end_with_parent, free_port, listens, wait_until  # noqa: E402
from loops import Clock, Lives, Stage, all_of, is_up, query_of  # noqa: E402

TOLD = ["message.created", "message.updated"]
# Seconds that the server lives for once it listens, and that one of so many lives takes: what NATS has lost is a lot to publish.
ALIVE, LONG_LIFE, LONG_EVERY = (0.05, 0.4), 1.0, 16
# Events that are to be made in a life, and seconds that are given for them: on a machine that is busy, little happens in the time above.
LEAST, AT_MOST = 20, 5
# In one of so many turns the receiver is killed, and in one of so many who reads from NATS.
RECEIVER_EVERY, CONSUMER_EVERY = 8, 10
# Seconds from the second attempt to the third and last one: the longest that anything waits.
LAST_ATTEMPT = 900
# Seconds without anything new after which nothing more is expected: what fails the first time then is tried again after 30.
QUIET, DRAINING = 90, 1_200


class Receiver:
    """The process that takes notifications, and its ledger."""

    def __init__(self, folder):
        self.ledger, self.port, self.process = folder / "receipts", free_port(), None
        self.tail, self.ids = Tail(self.ledger), set()
        self.url = f"http://127.0.0.1:{self.port}/in"
        self.spawn()

    def spawn(self):
        script = Path(__file__).with_name("events_receiver.py")
        command = [sys.executable, script, str(self.port), self.ledger]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=end_with_parent)
        wait_until("the receiver to listen", lambda: listens(self.port), every=0.01)

    def kill(self):
        self.process.kill()
        self.process.wait()

    close = kill

    def count(self):
        """How many events it was told of."""
        self.ids.update(id for _, id, *_ in self.tail.lines())
        return len(self.ids)

    def receipts(self):
        return [Receipt(*line) for line in Tail(self.ledger).lines()]


def main():
    parser = loops.parser(__doc__)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--self-test", action="store_true", help="only whether the check finds what it must, without a server")
    arguments = parser.parse_args()
    return self_test() if arguments.self_test else loops.main(arguments, run)


def self_test():
    return loops.try_check("events", events_ledger) or loops.try_check("events by the bus", events_bus_ledger)


def run(arguments):
    with Stage("events", arguments, f"{arguments.events:,} events") as stage:
        storage = stage.database()
        receiver = stage.keep(Receiver(stage.folder))
        bus = stage.keep(Bus(stage.folder, stage.chance, arguments.events))
        server = Postfleet(stage.folder, None, storage, {**stage.no_names(), **bus.settings})
        account = server.init()
        stage.serve(server)
        api = Api(server, account["api_key"])
        grants = [api.mailbox(f"box{n}@agents.test") for n in range(MAILBOXES)]
        status, _, answer = api.call("POST", "/v3/webhooks", {"trigger_types": TOLD, "webhook_url": receiver.url})
        assert status == 200, answer
        clients = Clients(server, account["api_key"], grants, stage.chance.random())
        query = query_of(server, stage.postgres and stage.keep(stage.postgres.session()))
        kills = kill_and_ask(server, receiver, bus, clients, query, arguments.events, stage.chance)
        leap(server, kills)
        drain(receiver, bus, query)
        bus.once_more()
        drain(receiver, bus, query)
        known, by_bus = facts(clients, receiver, bus, kills, arguments.events)
        findings = [*check(known), *events_bus_ledger.check(by_bus)]
        for ledger in (events_ledger, events_bus_ledger):
            findings += loops.blind_spots(ledger.made_up(), ledger)
        stage.report(findings, server)
    print(summary(arguments, known, bus, by_bus, findings, stage.seconds()))
    return 1 if findings else 0


def kill_and_ask(server, receiver, bus, clients, query, events, chance):
    """When server and receiver were killed."""
    clients.start()
    kills, told = [], 0
    for turn in itertools.count(1):
        if (logged := head(query)) >= events:
            break
        clients.look()
        bus.look()
        if logged >= told + 10_000:
            told = logged
            print(f"  {logged:,} events, {len(kills):,} kills", flush=True)
        bus.turn(logged)
        if turn % CONSUMER_EVERY == 0:
            bus.kill_consumer()
        if turn % RECEIVER_EVERY == 0:
            kills.append(time.monotonic())
            receiver.kill()
            receiver.spawn()
            continue
        wait_until("the server to listen", lambda: is_up(server), every=0.005)
        time.sleep(LONG_LIFE if turn % LONG_EVERY == 1 else chance.uniform(*ALIVE))
        end = time.monotonic() + AT_MOST
        while head(query) < logged + LEAST and time.monotonic() < end:
            time.sleep(0.01)
        kills.append(time.monotonic())
        server.kill()
        server.spawn()
    wait_until("the server to listen", lambda: is_up(server))
    clients.stop()
    bus.come_back()
    return kills


def leap(server, kills):
    """The server is killed once more, and goes on when all that waits for another attempt is due: of a mailbox of which an event came
    twice while the receiver was away, nothing more is told for a quarter of an hour."""
    clock = Clock(time.time())
    kills.append(time.monotonic())
    Lives(server, clock).again(clock.now() + LAST_ATTEMPT)


def head(query):
    ((position,),) = query("SELECT position FROM event_head WHERE one = 1")
    return int(position)


def drain(receiver, bus, query):
    """Waits until all was received, or nothing more comes."""
    began = changed = time.monotonic()
    kinds = ", ".join(f"'{kind}'" for kind in TOLD)
    ((logged, told),) = query(f"SELECT count(*), sum(CASE WHEN name IN ({kinds}) THEN 1 ELSE 0 END) FROM events")
    wanted, counts = (int(told), int(logged), int(logged)), None
    while counts != wanted and time.monotonic() < changed + QUIET and time.monotonic() < began + DRAINING:
        before, counts = counts, (receiver.count(), *bus.counts())
        if counts != before:
            changed = time.monotonic()
        time.sleep(0.5)
    how = "all was told" if counts == wanted else f"of {wanted} events {counts} were told by webhook, heard and worked on"
    print(f"  {how} in {time.monotonic() - began:.1f} s", flush=True)


def facts(clients, receiver, bus, kills, events):
    """What is known when all of it is over."""
    everything = [
        Logged(event["id"], event["type"], event["grant_id"] or "", event["grant_sequence"] or 0, event["message_id"])
        for event in reversed(all_of(clients.api(), "/v3/events"))
    ]
    known = Run(
        changes=clients.changes, arrivals=tuple(clients.arrivals), log=[event for event in everything if event.grant],
        receipts=receiver.receipts(), kills=kills, told=set(TOLD),
        least={"events": events // 2, "repeats": 1, "kills": max(1, events // 1_000)},
    )
    return known, bus.known(everything)


def summary(arguments, known, bus, by_bus, findings, seconds):
    acknowledged = sum(count for count, _ in known.changes.values())
    again = sum(1 for _ in repeats(known.receipts))
    streams = len({one.source for one in by_bus.heard})
    return (
        f"events loop on {arguments.engine}: {len(known.kills):,} kills, {len(known.log):,} events; acknowledged {known.arrivals[0]:,} messages and "
        f"{acknowledged:,} changes; {len(known.receipts):,} receipts, {again:,} of them again; NATS was away {len(by_bus.stops):,} times and wiped "
        f"{streams - 1} (it knew ids for {bus.remembers} s), readers of it killed {len(by_bus.kills):,} times, {len(by_bus.heard):,} heard and {len(by_bus.worked):,} worked on; "
        f"{len(events_ledger.LIES) + len(events_bus_ledger.LIES)} falsified runs were tried; {len(findings)} findings; {seconds:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
