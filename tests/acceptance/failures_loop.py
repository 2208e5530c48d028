#!/usr/bin/env python3
"""Lets disk, blob folder, syncs and database fail while mail comes in, and then asks for all that was acknowledged.

Several senders hand over small messages, whose bodies are in rows, and large ones, whose bodies are files. They do as
mail servers do: what is put off is tried again. What they were told is written down here, outside of the server. While
something fails

- senders are told 452 or 451, and nothing else; small messages go through where the blob folder alone fails,
- what can be read is read, and what cannot is answered as something that may be tried again,
- the server stays up, but where a sync of its database failed: then it ends, and says so;

and as soon as the fault has ended every sender is served again. At the end every message that was acknowledged is in
its mailbox, once, as it was sent (one of each sender that was under way when a database failed may be there although
its sender does not know), and every counter equals a recount. That the check finds what it must is tried on it at the
end of each run, with falsified facts; `--self-test` tries that alone.
"""

import sys

sys.dont_write_bytecode = True

import argparse  # noqa: E402
import collections  # noqa: E402
import contextlib  # noqa: E402
import itertools  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import random  # noqa: E402
import shutil  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import sqlite3  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import crash_loop  # noqa: E402
from failures_faults import HELD, Scene, Volume, plan  # noqa: E402
from failures_ledger import CALM, LIES, Offer, Run, caught, check, copies, acknowledged, digest, made_up  # noqa: E402
from harness import BINARY, Api, Missing, NoNames, Postfleet, Postgres, program, required, wait_until  # noqa: E402

SKIPPED = 77
MAILBOXES, SENDERS = 4, 6
LARGE_EVERY, LARGE_OCTETS = 4, 150_000
# MiB of the file systems that become full.
DATA_MIB, BLOBS_MIB, DATABASE_MIB = 256, 1024, 512
# Seconds of sending without a fault, before each of them.
PAUSE = 1.0
# Seconds after the end of a fault within which every sender must have been served.
RECOVERY = 30


class Senders:
    """Mail servers that hand over what they have, and try again what was put off."""

    def __init__(self, port, chance):
        self.port, self.stopping, self.lock = port, threading.Event(), threading.Lock()
        self.messages, self.offers, self.failures = {}, [], []
        self.fault = CALM
        # When each sender was served last.
        self.served = [0.0] * SENDERS
        self.served_large = 0.0
        seeds = [chance.random() for _ in range(SENDERS)]
        self.threads = [threading.Thread(target=self.run, args=(n, random.Random(seeds[n])), daemon=True) for n in range(SENDERS)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(timeout=60)
            assert not thread.is_alive(), "a sender does not end"
        assert not self.failures, self.failures[0]

    def was_told(self, fault):
        assert not self.failures, self.failures[0]
        with self.lock:
            return any(offer.fault == fault.name and offer.answer in fault.must for offer in self.offers[-2000:])

    def have_been_served(self, since):
        """Every one of them, and a large message among them."""
        assert not self.failures, self.failures[0]
        with self.lock:
            return min(*self.served, self.served_large) > since

    def run(self, number, chance):
        put_off, numbers = collections.deque(), itertools.count()
        while not self.stopping.is_set():
            try:
                with Session(self.port) as session:
                    while not self.stopping.is_set():
                        if put_off and chance.random() < 0.5:
                            token, box, body = put_off.popleft()
                        else:
                            token, box, body = self.compose(f"s{number}-{next(numbers)}", chance)
                        try:
                            answer, had_content = session.deliver(token, box, body)
                        except OSError:
                            put_off.append((token, box, body))
                            if session.had_content:
                                self.note(number, token, "cut", True)
                            raise
                        if answer != "250":
                            put_off.append((token, box, body))
                        self.note(number, token, answer, had_content)
                        if answer.startswith("421"):
                            raise ConnectionError(answer)
                        time.sleep(0.01 if answer == "250" else 0.05)
            except OSError:
                time.sleep(0.05)
            except Exception as error:  # noqa: BLE001
                self.failures.append(f"sender {number}: {error!r}")
                return

    def compose(self, token, chance):
        is_large = int(token.split("-")[1]) % LARGE_EVERY == LARGE_EVERY - 1
        text = chance.randbytes(LARGE_OCTETS // 2 if is_large else chance.randrange(1, 2000)).hex()
        body = "\r\n".join(text[at : at + 76] for at in range(0, len(text), 76))
        box = chance.randrange(MAILBOXES)
        with self.lock:
            self.messages[token] = (box, digest(body))
        return token, box, body

    def note(self, number, token, answer, had_content):
        is_large = int(token.split("-")[1]) % LARGE_EVERY == LARGE_EVERY - 1
        with self.lock:
            self.offers.append(Offer(token, answer, self.fault, is_large, had_content))
            if answer == "250":
                self.served[number] = time.monotonic()
                if is_large:
                    self.served_large = self.served[number]


class Session:
    """One SMTP session."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.socket.makefile("rwb")
        self.had_content = False

    def __enter__(self):
        try:
            self.say(b"")
            self.say(b"EHLO client.test\r\n")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.stream.close()
        self.socket.close()

    def say(self, text):
        """The code of the answer; of a refusal with its enhanced code."""
        self.stream.write(text)
        self.stream.flush()
        while True:
            line = self.stream.readline()
            if not line.endswith(b"\n"):
                raise ConnectionError("cut off")
            if line[3:4] == b" ":
                break
        code, *rest = line.decode().split(" ", 2)
        return code if code[0] in "23" else f"{code} {rest[0].strip()}"

    def deliver(self, token, box, body):
        """Hands over one message; answers the last word on it and whether its content was on its way."""
        self.had_content = False
        for command in ("MAIL FROM:<someone@people.test>", f"RCPT TO:<box{box}@agents.test>", "DATA"):
            answer = self.say(f"{command}\r\n".encode())
            if answer[0] not in "23":
                if command != "MAIL FROM:<someone@people.test>" and not answer.startswith("421"):
                    self.say(b"RSET\r\n")
                return answer, False
        self.had_content = True
        head = (
            f"From: someone@people.test\r\nTo: box{box}@agents.test\r\nSubject: {token}\r\n"
            f"Message-ID: <{token}@people.test>\r\n\r\n"
        )
        return self.say(f"{head}{body}\r\n.\r\n".encode()), True


# Running ------------------------------------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1, help="how often each fault comes")
    parser.add_argument("--engine", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--self-test", action="store_true", help="only whether the check finds what it must, without a server")
    arguments = parser.parse_args()
    # What is mounted and started is cleared away then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    try:
        return test_check() if arguments.self_test else run(arguments)
    except Missing as reason:
        print(f"{'FAILED' if required() else 'SKIPPED'}: {reason}")
        return 1 if required() else SKIPPED


def test_check():
    known = made_up()
    findings = [*check(known), *(f"the check does not see {lie}" for lie in caught(known))]
    for finding in findings:
        print(f"FAILED: {finding}")
    print(f"failures loop: {len(LIES)} falsified runs were tried on the check; {len(findings)} findings")
    return 1 if findings else 0


def run(arguments):
    seed = random.randrange(1 << 32) if arguments.seed is None else arguments.seed
    print(f"failures loop: {arguments.rounds} rounds on {arguments.engine}, seed {seed}", flush=True)
    began = time.monotonic()
    with contextlib.ExitStack() as ends:
        folder = Path(tempfile.mkdtemp(prefix="postfleet-failures-"))
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        syncs = folder / "syncs"
        syncs.mkdir()
        postgres, disk = None, None
        if arguments.engine == "postgres":
            disk = volume(ends, folder, folder / "database", DATABASE_MIB)
            postgres = Postgres(folder / "database" / "postgres").start()
            ends.callback(lambda: postgres.is_running() and postgres.stop())
        names = NoNames()
        ends.callback(names.close)
        settings = {"LD_PRELOAD": str(shim(folder)), "FAILED_SYNC": str(syncs)} | names.settings
        server = Postfleet(folder, storage=postgres.url if postgres else None, settings=settings)
        disk = disk or volume(ends, folder, folder / "data", DATA_MIB)
        blobs = volume(ends, folder, folder / "data" / "blobs", BLOBS_MIB)
        account = server.init()
        server.start()
        ends.callback(server.kill)
        known, figures = load_and_look(server, account, postgres, disk, blobs, syncs, arguments, random.Random(seed))
        findings = [*check(known), *(f"the check does not see {lie}" for lie in caught(known))]
        if findings:
            print(f"--- the end of the server's log\n{server.log_tail()}\n---")
    for finding in findings[:40]:
        print(f"FAILED: {finding}")
    print(summary(arguments, known, figures, findings, time.monotonic() - began))
    return 1 if findings else 0


def volume(ends, where, folder, mib):
    made = Volume(folder, where / "aside" / folder.name, mib)
    ends.callback(made.close)
    return made


def shim(folder):
    library = folder / "failed_sync.so"
    source = Path(__file__).with_name("failed_sync.c")
    subprocess.run([program("cc", "gcc"), "-shared", "-fPIC", "-O1", "-Wall", "-o", library, source], check=True)
    return library


def load_and_look(server, account, postgres, disk, blobs, syncs, arguments, chance):
    api = Api(server, account["api_key"])
    grants = [api.mailbox(f"box{n}@agents.test") for n in range(MAILBOXES)]
    senders = Senders(server.smtp_port, chance)
    scene = Scene(server, postgres, blobs, disk, syncs, senders.was_told)
    senders.start()
    # Something to read while nothing can be written.
    wait_until("the first messages", lambda: senders.have_been_served(0.0))
    faults = []
    for number in range(arguments.rounds):
        for fault, context, reads_go_on in plan(arguments.engine):
            fault.name += f" ({number + 1})" if number else ""
            faults.append(fault)
            time.sleep(PAUSE)
            one_fault(scene, senders, api, grants, fault, context, reads_go_on)
            print(f"  {fault.name}: {of_fault(senders.offers, fault)}", flush=True)
    time.sleep(PAUSE)
    senders.stop()

    found = [
        (message["subject"], box, digest(message["body"])) for box, grant in enumerate(grants) for message in api.messages(grant)
    ]
    drift, counted = recount(server, account)
    known = Run(SENDERS, senders.messages, senders.offers, faults, found, drift)
    server.stop()
    known.drift += crash_loop.recount(query_of(server, postgres))
    return known, {"counters": counted}


def one_fault(scene, senders, api, grants, fault, context, reads_go_on):
    process = scene.server.process
    senders.fault = fault.name
    with context(scene, fault):
        if process.poll() is None:
            fault.misread += misreadings(api, grants, reads_go_on, is_away=scene.postgres is not None and not scene.postgres.is_running())
        time.sleep(HELD)
    ended = time.monotonic()
    with contextlib.suppress(AssertionError):
        wait_until("every sender to be served", lambda: senders.have_been_served(ended), RECOVERY, 0.005)
        fault.recovered = time.monotonic() - ended
    if process.poll() is not None and scene.server.process is process:
        raise AssertionError(f"{fault.name}: the server ended with {process.returncode}:\n{scene.server.log_tail()}")
    # What was answered before its sender was served again belongs to the fault.
    senders.fault = CALM


def misreadings(api, grants, reads_go_on, is_away):
    """What reading says that it must not say: while a database is away it may be tried again, else it works."""
    wrong = []
    for path in (f"/v3/grants/{grants[0]}/messages?limit=5&select=id,subject", f"/v3/grants/{grants[0]}/folders"):
        if not reads_go_on and not is_away:
            break
        status, _, answer = api.call("GET", path)
        if reads_go_on and status != 200:
            wrong.append(f"GET {path.split('/')[-1]} was answered {status} {answer}")
        elif is_away and (status != 503 or not answer["error"]["retryable"]):
            wrong.append(f"GET {path.split('/')[-1]} was answered {status} {answer}, and not 503")
    if api.call("GET", "/health/live")[0] != 200:
        wrong.append("/health/live does not say that it lives")
    if is_away and api.call("GET", "/health/ready")[0] != 503:
        wrong.append("/health/ready says that it is ready")
    return wrong


def recount(server, account):
    """What `postfleet usage recount` says: the counters that are wrong, and how many there are."""
    command = [BINARY, "usage", "recount", "--json", "--url", server.api]
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(server.folder), "POSTFLEET_OPERATOR_KEY": account["operator_key"]}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    found = json.loads(done.stdout)
    counted = sum(one["counters"] for one in found)
    assert counted, done.stderr
    return [str(one["drift"]) for one in found if one["drift"]], counted


def query_of(server, postgres):
    def query(sql):
        if postgres:
            return postgres.query(sql)
        with contextlib.closing(sqlite3.connect(f"file:{server.data}/postfleet.db?mode=ro", uri=True, timeout=30)) as base:
            return base.execute(sql).fetchall()

    return query


def of_fault(offers, fault):
    told = collections.Counter(offer.answer for offer in list(offers) if offer.fault == fault.name)
    served = "never" if fault.recovered is None else f"{fault.recovered:.2f} s"
    return f"{listed(told)}; all senders served again after {served}"


def summary(arguments, known, figures, findings, seconds):
    told = collections.Counter(offer.answer for offer in known.offers)
    there, sure = copies(known), acknowledged(known)
    lost = sum(not there[token] for token in sure)
    doubled = sum(there[token] > 1 for token in there)
    kept = sum(token not in sure for token in there)
    slowest = max((fault.recovered for fault in known.faults if fault.recovered is not None), default=0)
    return (
        f"failures loop on {arguments.engine}: {len(known.faults)} faults; {len(sure):,} messages acknowledged, answers: {listed(told)}; "
        f"lost {lost}, there twice {doubled}, there without an answer {kept}; {len(known.found):,} bodies compared; "
        f"{figures['counters']} counters recounted, drift {len(known.drift)}; slowest recovery {slowest:.2f} s; "
        f"{len(LIES)} falsified runs were tried; {len(findings)} findings; {seconds:.0f} s"
    )


def listed(counts):
    return ", ".join(f"{count:,} {name}" for name, count in counts.most_common())


if __name__ == "__main__":
    sys.exit(main())
