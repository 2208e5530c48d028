"""What the loops share: how one is called, where it runs, how everything that is there is asked for, and how it ends.

A loop lets the server meet something again and again under load, and then holds what its users were told against what is
there. The check of each is a module of its own without a server, its ledger, and is tried with falsified facts.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import BINARY, Missing, NoNames, Postgres, listens, required, wait_until

SKIPPED = 77
# Seconds that a recount may take.
COUNTING = 300


# How a loop is called and where it runs ---------------------------------------------------------------------------------


def parser(doc):
    made = argparse.ArgumentParser(description=doc.splitlines()[0])
    made.add_argument("--engine", choices=["sqlite", "postgres"], default="sqlite")
    made.add_argument("--seed", type=int, default=None)
    return made


def main(arguments, run):
    """The status with which the process ends."""
    # What was started and mounted is cleared away then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    try:
        return run(arguments)
    except Missing as reason:
        print(f"{'FAILED' if required() else 'SKIPPED'}: {reason}")
        return 1 if required() else SKIPPED


def try_check(name, ledger):
    """Whether the check of a ledger finds what it must, and nothing where all is well; without a server."""
    known = ledger.made_up()
    findings = [*ledger.check(known), *blind_spots(known, ledger)]
    for finding in findings:
        print(f"FAILED: {finding}")
    print(f"{name} loop: {len(ledger.LIES)} falsified runs were tried on the check; {len(findings)} findings")
    return 1 if findings else 0


def blind_spots(known, ledger):
    return [f"the check does not see {lie}" for lie in ledger.caught(known)]


class Stage:
    """A folder, what runs in it and is ended with it, and a chance that can be had again by its seed."""

    def __init__(self, name, arguments, what):
        self.name, self.engine, self.began = name, arguments.engine, time.monotonic()
        seed = random.randrange(1 << 32) if arguments.seed is None else arguments.seed
        self.chance, self.postgres = random.Random(seed), None
        print(f"{name} loop: {what} on {self.engine}, seed {seed}", flush=True)

    def __enter__(self):
        self.ends = contextlib.ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix=f"postfleet-{self.name}-"))
        self.ends.callback(shutil.rmtree, self.folder, ignore_errors=True)
        return self

    def __exit__(self, *error):
        return self.ends.__exit__(*error)

    def keep(self, thing):
        """Closes it at the end."""
        self.ends.callback(thing.close)
        return thing

    def database(self, folder=None):
        """The URL of a database of its own, or none where the server keeps one itself."""
        if self.engine == "sqlite":
            return None
        self.postgres = Postgres((folder or self.folder) / "postgres").start()
        self.ends.callback(lambda: self.postgres.is_running() and self.postgres.stop())
        return self.postgres.url

    def no_names(self):
        """Settings with which no name is known."""
        return self.keep(NoNames()).settings

    def serve(self, server):
        server.start()
        self.ends.callback(server.kill)

    def report(self, findings, server):
        if findings:
            print(f"--- the end of the server's log\n{server.log_tail()}\n---")
        for finding in findings[:50]:
            print(f"FAILED: {finding}")

    def seconds(self):
        return time.monotonic() - self.began


# A clock and lives of the server ----------------------------------------------------------------------------------------


class Clock:
    """The server's: the real one and an offset, which is put forward between two of its lives."""

    def __init__(self, start):
        libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not libraries:
            raise Missing("libfaketime is not installed (Debian package faketime)")
        self.offset = multiprocessing.get_context("spawn").Value("d", start - time.time())
        self.environment = {
            "LD_PRELOAD": str(libraries[0]), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DISABLE_SHM": "1",
        }
        self.put(start)

    def now(self):
        return time.time() + self.offset.value

    def put(self, to):
        self.offset.value = to - time.time()
        self.environment["FAKETIME"] = f"{self.offset.value:+.6f}"


class Lives:
    """The server's lives, one after the other, by its clock."""

    def __init__(self, server, clock):
        self.server, self.clock = server, clock
        self.kills = 0

    def again(self, at=None):
        self.server.kill()
        self.kills += 1
        if at is not None:
            self.clock.put(at)
            self.server.environment |= self.clock.environment
        self.server.spawn()
        wait_until("the server to listen", lambda: is_up(self.server), every=0.005)


def is_up(server):
    if server.process.poll() is not None:
        raise AssertionError(f"the server ended by itself with {server.process.returncode}:\n{server.log_tail()}")
    return all(map(listens, (server.http_port, server.smtp_port, server.submissions_port)))


# What is there ----------------------------------------------------------------------------------------------------------


def ask(api, method, path, body=None):
    status, _, answer = api.call(method, path, body)
    assert status in (200, 201), f"{method} {path}: {status} {answer}"
    return answer["data"]


def all_of(api, path):
    """Everything of a list, page by page."""
    found, token = [], None
    while True:
        mark = "&" if "?" in path else "?"
        status, _, answer = api.call("GET", f"{path}{mark}limit=200" + (f"&page_token={token}" if token else ""), keep=True)
        assert status == 200, answer
        found += answer["data"]
        token = answer.get("next_cursor")
        if not token:
            return found


def query_of(server, postgres):
    """How the store is asked, if on PostgreSQL then through this; what is `hex` of an id is as the interface writes it, but
    perhaps without dashes."""

    def query(sql):
        if postgres:
            return postgres.query(re.sub(r"lower\(hex\((\w+)\)\)", r"\1", sql))
        with contextlib.closing(sqlite3.connect(f"file:{server.data}/postfleet.db?mode=ro", uri=True, timeout=30)) as base:
            return base.execute(sql).fetchall()

    return query


def recount(server, operator_key):
    """What `postfleet usage recount` says: by organization the counters that are wrong, and how many were counted."""
    command = [BINARY, "usage", "recount", "--json", "--url", server.api]
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(server.folder), "POSTFLEET_OPERATOR_KEY": operator_key}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=COUNTING)
    found = json.loads(done.stdout)
    counters = sum(one["counters"] for one in found)
    assert counters, done.stderr
    drift = {one["organization_id"]: one["drift"] for one in found}
    assert (done.returncode == 0) == (not any(drift.values())), (done.returncode, done.stderr)
    return drift, counters


def drift_of(world):
    """The counters that are wrong, by the names of the organizations of a world."""
    drift, _ = recount(world.server, world.operator.key)
    names = {organization["organization_id"]: name for name, organization in world.organizations.items()}
    assert drift.keys() == names.keys(), drift
    return {names[id]: wrong for id, wrong in drift.items()}


def listed(counts):
    return ", ".join(f"{count:,} {name}" for name, count in counts.most_common())
