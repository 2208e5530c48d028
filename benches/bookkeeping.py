#!/usr/bin/env python3
"""What is kept of each send and its outcome costs: CPU of the server per message that was accepted by API, signed and
delivered to a server on this machine. Two binaries run side by side, this one and one of before (--before), and send in
turns of a second: what else the machine does, or the machine below it, falls on both. The mailboxes that send are the same
1,000, among few and among many (--many, instead of --before or with it). The data directories are in memory (--folder), so
that the moods of a disk do not count. Prints one line of JSON for each round, then the sums and their ratios."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from limits import HERE, WARM, Running, Server

# A server whose CPU has stood still for so long has nothing more to do for what was sent.
SETTLED_S = 0.25


class Deliverer(Server):
    """An installation that delivers to a sink."""

    def __init__(self, name, binary, mailboxes, folder, port, load):
        super().__init__(name, binary, "self_hosted", mailboxes, folder, port, load)
        self.sink = f"127.0.0.1:{port + 2}"
        at = self.words.index("--roles")
        self.words = [*self.words[:at], "--relay", self.sink]

    def deliver(self, count, connections):
        """Sends so many, and comes back when all of them have arrived."""
        words = [self.load, "smtpsink", "--address", self.sink, "--expect", str(count)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as sink:
            try:
                time.sleep(0.2)
                result = self.send(count, connections)
                arrived = json.loads(sink.communicate(timeout=300)[0])
            finally:
                sink.kill()
        if result["done"] != count:
            raise SystemExit(f"{self.name}: {result}")
        return arrived


def settled(running):
    """The CPU time once nothing is done any more."""
    cpu, since = running.cpu_us(), time.monotonic()
    while time.monotonic() - since < SETTLED_S:
        time.sleep(0.05)
        now = running.cpu_us()
        if now - cpu > 20_000:
            cpu, since = now, time.monotonic()
    return running.cpu_us()


def turn(server, running, arguments):
    """CPU in us per message."""
    before = running.cpu_us()
    server.deliver(arguments.sends, arguments.connections)
    return (settled(running) - before) / arguments.sends


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postfleet", type=Path, required=True)
    parser.add_argument("--before", type=Path, help="the binary to compare with")
    parser.add_argument("--load", type=Path, default=HERE / "load/target/release/postfleet-load")
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--many", type=int, default=0, help="mailboxes of another installation; 0 for none")
    parser.add_argument("--sends", type=int, default=600, help="messages of a turn")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--folder", default="/dev/shm", help="where the data directories are made, and removed again")
    parser.add_argument("--port", type=int, default=28_200)
    arguments = parser.parse_args()
    os.environ["POSTFLEET_DELIVERY__DESTINATION_CONCURRENCY"] = "50"
    kinds = [("now", arguments.postfleet, arguments.few)]
    if arguments.before:
        kinds.append(("before", arguments.before, arguments.few))
    if arguments.many:
        kinds.append(("now, many", arguments.postfleet, arguments.many))
    with tempfile.TemporaryDirectory(prefix="postfleet-bench-bookkeeping-", dir=arguments.folder) as folder, ExitStack() as stack:
        servers = [
            Deliverer(name, binary, mailboxes, Path(folder), arguments.port + 10 * number, arguments.load)
            for number, (name, binary, mailboxes) in enumerate(kinds)
        ]
        pairs = [(server, stack.enter_context(Running(server))) for server in servers]
        for server, running in pairs:
            server.deliver(WARM, arguments.connections)
            settled(running)
        rounds = []
        for number in range(arguments.rounds):
            # Nobody is always the first.
            order = pairs if number % 2 == 0 else pairs[::-1]
            rounds.append({server.name: round(turn(server, running, arguments), 1) for server, running in order})
            print(json.dumps(rounds[-1]), flush=True)

    def mean(name):
        return statistics.mean(made[name] for made in rounds)

    figures = {name: round(mean(name), 1) for name, *_ in kinds}
    if arguments.before:
        figures["now beside before"] = round(mean("now") / mean("before"), 3)
    if arguments.many:
        figures["many beside few"] = round(mean("now, many") / mean("now"), 3)
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
