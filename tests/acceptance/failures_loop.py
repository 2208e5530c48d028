#!/usr/bin/env python3
"""Lets disk, blob folder, syncs and database fail while mail comes in, and then asks for all that was acknowledged.

Several senders hand over small messages, whose bodies are in rows, and large ones, whose bodies are files. They do as
mail servers do: what is put off is tried again. A program sends by the JSON interface, and asks again under its key. What
each was told is written down here, outside of the server. While something fails

- senders are told 452 or 451, and nothing else; small messages go through where the blob folder alone fails,
- what can be read is read, and what cannot is answered as something that may be tried again,
- the server stays up, but where a sync of its database failed: then it ends, and says so;

and as soon as the fault has ended every sender is served again. At the end every message that was acknowledged is in
its mailbox, once, as it was sent (one of each sender that was under way when a database failed may be there although
its sender does not know), what was accepted to be sent has arrived, and every counter equals a recount. That the check
finds what it must is tried on it at the end of each run, with falsified facts; `--self-test` tries that alone.

A fault lasts until it was noticed and everybody was answered, so nothing here depends on how fast the machine is.
"""

import sys

sys.dont_write_bytecode = True

import collections  # noqa: E402
import contextlib  # noqa: E402
import subprocess  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import crash_loop  # noqa: E402
import failures_ledger  # noqa: E402
import loops  # noqa: E402
from failures_clients import MAILBOXES, SENDERS, Program, Senders, is_large  # noqa: E402
from failures_faults import PATIENCE, Scene, Volume, plan  # noqa: E402
from failures_ledger import CALM, LIES, Run, acknowledged, check, copies, digest  # noqa: E402
from harness import Api, Postfleet, Sink, program, wait_until  # noqa: E402
from loops import Stage, listed, query_of, recount  # noqa: E402

# MiB of the file systems that become full.
DATA_MIB, BLOBS_MIB, DATABASE_MIB = 256, 1024, 512


def main():
    parser = loops.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="how often each fault comes")
    parser.add_argument("--self-test", action="store_true", help="only whether the check finds what it must, without a server")
    arguments = parser.parse_args()
    return loops.try_check("failures", failures_ledger) if arguments.self_test else loops.main(arguments, run)


def run(arguments):
    with Stage("failures", arguments, f"{arguments.rounds} rounds") as stage:
        plants = stage.folder / "plants"
        plants.mkdir()
        # The one on which the database is.
        place = stage.folder / ("database" if arguments.engine == "postgres" else "data")
        disk = volume(stage, place, DATA_MIB if arguments.engine == "sqlite" else DATABASE_MIB)
        storage = stage.database(place)
        blobs = volume(stage, stage.folder / "data" / "blobs", BLOBS_MIB)
        sink = stage.keep(Sink().start())
        settings = {"LD_PRELOAD": str(failing_disk(stage.folder)), "FAILING_DISK": str(plants)} | stage.no_names()
        server = Postfleet(stage.folder, sink.address, storage, settings)
        account = server.init()
        stage.serve(server)
        load = Load(server, account, stage.chance)
        scene = Scene(server, stage.postgres, blobs, disk, plants, load.senders)
        try:
            faults = load.under(scene, arguments)
        except AssertionError:
            print(f"--- the end of the server's log\n{server.log_tail()}\n---")
            raise
        known, figures = load.look(faults, account, sink, query_of(server, stage.postgres))
        findings = [*check(known), *loops.blind_spots(known, failures_ledger)]
        stage.report(findings, server)
    print(summary(arguments, known, figures, findings, stage.seconds()))
    return 1 if findings else 0


def volume(stage, folder, mib):
    return stage.keep(Volume(folder, stage.folder / "aside" / folder.name, mib))


def failing_disk(folder):
    library = folder / "failing_disk.so"
    source = Path(__file__).with_name("failing_disk.c")
    subprocess.run([program("cc", "gcc"), "-shared", "-fPIC", "-O1", "-Wall", "-o", library, source], check=True)
    return library


class Load:
    """Mailboxes, and who uses them while things fail."""

    def __init__(self, server, account, chance):
        self.server, self.api = server, Api(server, account["api_key"])
        self.grants = [self.api.mailbox(f"box{n}@agents.test") for n in range(MAILBOXES)]
        self.senders = Senders(server.smtp_port, chance)
        self.program = Program(self.api, self.api.mailbox("program@agents.test"))

    def under(self, scene, arguments):
        """Lets everything of the plan fail; answers how it went."""
        self.senders.start()
        # Something to read while nothing can be written.
        self.until_served("the first messages", 0)
        self.a_large_one = self.find_large()
        faults = []
        for number in range(arguments.rounds):
            for act in plan(arguments.engine):
                act.fault.name += f" ({number + 1})" if number else ""
                faults.append(act.fault)
                began = time.monotonic()
                self.one(scene, act)
                # Calm, until the next one.
                scene.until_gone_on()
                print(f"  {act.fault.name}: {self.told(act.fault)}; {time.monotonic() - began:.1f} s in all", flush=True)
        self.senders.stop()
        return faults

    def one(self, scene, act):
        """One fault, from its begin until everybody was served again."""
        process, fault, senders = scene.server.process, act.fault, self.senders
        senders.begin(fault)
        self.program.begin()
        with act.context(scene, fault):
            if not fault.ends_server:
                is_away = scene.postgres is not None and not scene.postgres.is_running()
                fault.misread += [*self.misreadings(act, is_away), *filter(None, [self.program.ask() if act.can_ask else None])]
        ended, mark = time.monotonic(), len(senders.offers)
        with contextlib.suppress(AssertionError):
            self.until_served("every sender to be served", mark)
            fault.recovered = time.monotonic() - ended
        if not fault.ends_server and process.poll() is not None:
            raise AssertionError(f"{fault.name}: the server ended with {process.returncode}")
        # What was answered before its sender was served again belongs to the fault.
        senders.begin(CALM)
        wait_until("the server to be ready", scene.server.is_ready, PATIENCE)
        self.program.until_accepted()

    def until_served(self, what, mark):
        wait_until(what, lambda: self.senders.have_been_served(mark), PATIENCE, 0.005)

    def find_large(self):
        """The path of a message whose body is in the blob folder."""
        for grant in self.grants:
            for message in self.api.messages(grant, "&select=id,subject"):
                if is_large(message["subject"]):
                    return f"/v3/grants/{grant}/messages/{message['id']}"
        raise AssertionError("there is no large message")

    def misreadings(self, act, is_away):
        """What reading says that it must not say: while a database is away it may be tried again, else it works."""
        expected = {"/health/live": 200}
        if is_away:
            expected["/health/ready"] = 503
        if act.can_read or is_away:
            grant = f"/v3/grants/{self.grants[0]}"
            expected |= dict.fromkeys((f"{grant}/messages?limit=5&select=id,subject", f"{grant}/folders"), 503 if is_away else 200)
        if act.large_body is not None:
            expected[self.a_large_one] = act.large_body
        wrong = []
        for path, status in expected.items():
            found, _, answer = self.api.call("GET", path)
            is_retryable = path.startswith("/health") or found != 503 or answer["error"]["retryable"]
            if found != status or not is_retryable:
                wrong.append(f"GET {path} was answered {found} {answer}, and not {status}")
        return wrong

    def told(self, fault):
        answers = collections.Counter(offer.answer for offer in list(self.senders.offers) if offer.fault == fault.name)
        served = "never" if fault.recovered is None else f"after {fault.recovered:.2f} s"
        how = "with a restart" if fault.ends_server else "without a restart"
        return f"{listed(answers)}; all senders served again {served}, {how}"

    def look(self, faults, account, sink, query):
        """Everything that is there, when all is quiet."""
        wait_until("the queue to be empty", lambda: int(query("SELECT count(*) FROM queue")[0][0]) == 0, PATIENCE, 0.1)
        found = [
            (message["subject"], box, digest(message["body"]))
            for box, grant in enumerate(self.grants)
            for message in self.api.messages(grant)
        ]
        drift, counters = recount(self.server, account["operator_key"])
        self.server.stop()
        wrong = [str(one) for one in drift.values() if one] + crash_loop.recount(query)
        arrived = {taken.recipients[0].split("@")[0] for taken in list(sink.taken)}
        sent = self.senders
        known = Run(SENDERS, sent.messages, sent.offers, faults, found, self.program.accepted, arrived, wrong)
        return known, {"counters": counters}


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
        f"{len(known.accepted)} sends accepted, {len(known.arrived)} arrived; "
        f"{figures['counters']} counters recounted, drift {len(known.drift)}; slowest recovery {slowest:.2f} s; "
        f"{len(LIES)} falsified runs were tried; {len(findings)} findings; {seconds:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
