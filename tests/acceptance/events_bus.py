"""NATS beside the loop of `events_loop.py`: it is stopped, killed, wiped and started again, and a process reads what it has.

The process (`events_consumer.py`) goes on over all of that, and is killed itself now and then. What it was given is in ledgers.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from events_bus_ledger import Given, Run
from harness import Nats, end_with_parent, wait_until

# In one of so many turns NATS goes away when it is there, and comes back when it is away; how often it loses everything in a run.
AWAY_ONE_OF, BACK_ONE_OF, WIPES = 8, 2, 3
# For how many seconds it knows ids: not long enough to sort out what is published twice, or always.
REMEMBERS = 1, 600
# Seconds that it may take to read everything from its beginning.
READING = 300


class Tail:
    """A ledger that grows: each time what was added to it."""

    def __init__(self, path):
        self.path, self.upto = path, 0

    def lines(self):
        if not self.path.exists():
            return []
        with open(self.path, "rb") as file:
            file.seek(self.upto)
            added = file.read()
        whole = added[: added.rfind(b"\n") + 1]
        self.upto += len(whole)
        return [json.loads(line) for line in whole.splitlines()]


class Readings:
    """A ledger of the consumer, as it grows: which events it has of the stream that it reads now."""

    def __init__(self, path):
        self.path, self.tail, self.source, self.ids = path, Tail(path), None, set()

    def count(self):
        for _, source, _, id, *_ in self.tail.lines():
            if source != self.source:
                self.source, self.ids = source, set()
            self.ids.add(id)
        return len(self.ids)

    def all(self):
        return [Given(*line) for line in Tail(self.path).lines()]


class Bus:
    def __init__(self, folder, chance, events):
        self.folder, self.chance = folder, chance
        self.nats, self.remembers = Nats(folder).start(), chance.choice(REMEMBERS)
        # How many events there must be before it loses everything, for each time; when it went away, or the consumer was killed.
        self.wipes = [events * (n + 1) // (WIPES + 1) for n in range(WIPES)]
        self.stops, self.kills, self.wiped = [], [], None
        self.heard, self.worked, self.stream = (Readings(folder / name) for name in ("heard", "worked", "stream"))
        self.spawn()

    @property
    def settings(self):
        return {"POSTFLEET_BUS__URL": self.nats.url, "POSTFLEET_BUS__DUPLICATE_SECONDS": str(self.remembers)}

    def command(self, *how):
        return [sys.executable, Path(__file__).with_name("events_consumer.py"), self.nats.url, self.folder, *how]

    def spawn(self):
        self.consumer = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, preexec_fn=end_with_parent)

    def look(self):
        assert self.consumer.poll() is None, f"the consumer ended by itself with {self.consumer.returncode}"
        assert not self.nats.is_running() or self.nats.process.poll() is None, "NATS ended by itself"

    def kill_consumer(self):
        self.kills.append(time.monotonic())
        self.consumer.kill()
        self.consumer.wait()
        self.spawn()

    def turn(self, events):
        """Perhaps it goes away, or comes back; `events` are there by now."""
        if not self.nats.is_running():
            if self.chance.randrange(BACK_ONE_OF) == 0:
                self.nats.start()
        elif self.wipes and events >= self.wipes[0] and self.is_read():
            self.wipes.pop(0)
            self.wiped = self.heard.source
            self.go_away(self.nats.kill)
            self.nats.wipe()
        elif self.chance.randrange(AWAY_ONE_OF) == 0:
            self.go_away(self.chance.choice((self.nats.kill, self.nats.stop)))

    def is_read(self):
        """Whether the stream that is there since it was wiped was read from."""
        self.heard.count()
        return self.heard.source != self.wiped

    def go_away(self, how):
        self.stops.append(time.monotonic())
        how()

    def come_back(self):
        if not self.nats.is_running():
            self.nats.start()

    def once_more(self):
        """Both are killed when nothing happens any more, and start again: what is read then was there before."""
        size = self.heard.path.stat().st_size
        self.go_away(self.nats.kill)
        self.kill_consumer()
        self.nats.start()
        wait_until("the reader to go on", lambda: self.heard.path.stat().st_size > size)

    def counts(self):
        """How many events each reader has of what the stream has now."""
        self.look()
        return self.heard.count(), self.worked.count()

    def known(self, log):
        """What is known when nothing happens any more."""
        subprocess.run(self.command("stream"), stdin=subprocess.DEVNULL, check=True, timeout=READING)
        return Run(
            log=log, heard=self.heard.all(), worked=self.worked.all(), stream=self.stream.all(), stops=self.stops, kills=self.kills,
            least={"events": len(log), "times without NATS": WIPES, "streams": WIPES, "repeats": 1, "kills of the consumer": 1},
        )

    def close(self):
        self.consumer.kill()
        self.consumer.wait()
        self.nats.kill()
