#!/usr/bin/env python3
"""What is kept of each send and its outcome costs: CPU of the server per message that was accepted by API, signed and
delivered to a server on this machine, in turns of two binaries: this one and one of before (--before). The mailboxes
that send are the same 1,000, among few and among many. The data directories are in memory (--folder), so that the moods
of a disk do not count. Prints one line of JSON for each turn, then the medians and their ratios."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from limits import HERE, WARM, Running, Server

# A server whose CPU has stood still for so long has nothing more to do for what was sent.
SETTLED_S = 1.0


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
        time.sleep(0.1)
        now = running.cpu_us()
        if now - cpu > 20_000:
            cpu, since = now, time.monotonic()
    return running.cpu_us()


def turn(server, arguments):
    with Running(server) as running:
        server.deliver(WARM, arguments.connections)
        before = settled(running)
        arrived = server.deliver(arguments.sends, arguments.connections)
        cpu = (settled(running) - before) / arguments.sends
    print(json.dumps({"installation": server.name, "cpu_us": round(cpu, 1), "arrived": arrived}), flush=True)
    return cpu


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postfleet", type=Path, required=True)
    parser.add_argument("--before", type=Path, required=True, help="the binary to compare with")
    parser.add_argument("--load", type=Path, default=HERE / "load/target/release/postfleet-load")
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--many", type=int, default=0, help="mailboxes of a third installation; 0 for none")
    parser.add_argument("--sends", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", default="/dev/shm", help="where the data directories are made, and removed again")
    parser.add_argument("--port", type=int, default=28_200)
    arguments = parser.parse_args()
    os.environ["POSTFLEET_DELIVERY__DESTINATION_CONCURRENCY"] = "50"
    kinds = [("now", arguments.postfleet, arguments.few), ("before", arguments.before, arguments.few)]
    if arguments.many:
        kinds.append(("now, many", arguments.postfleet, arguments.many))
    with tempfile.TemporaryDirectory(prefix="postfleet-bench-bookkeeping-", dir=arguments.folder) as folder:
        servers = [
            Deliverer(name, binary, mailboxes, Path(folder), arguments.port + 10 * number, arguments.load)
            for number, (name, binary, mailboxes) in enumerate(kinds)
        ]
        rounds = [{server.name: turn(server, arguments) for server in servers} for _ in range(arguments.rounds)]
    figures = {name: round(statistics.median(made[name] for made in rounds), 1) for name, *_ in kinds}
    figures["now beside before"] = round(statistics.median(made["now"] / made["before"] for made in rounds), 3)
    if arguments.many:
        figures["many beside few"] = round(statistics.median(made["now, many"] / made["now"] for made in rounds), 3)
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
