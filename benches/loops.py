#!/usr/bin/env python3
"""Whether other mail notices agents that answer each other: 200 pairs and 20 rings of five answer whatever comes, at once,
until they are stopped; somebody else sends to the outside world all the while, one message per 20 ms.

Each round has four phases, in this order: *quiet*, *loops*, *quiet*, *busy*. How much two quiet phases differ is the noise
(the median of the rounds) that the figure with loops is compared with. In *busy* as many programs as those of the agents compute something, at the same
priority, and nothing is looped: what the machine being busy costs, without the server doing anything for it. The programs
of the agents, with the receiver of their webhook, have processes of their own at the lowest priority (19 below), whoever
sends and the world it sends to have another: neither takes the time of the server while that has something to do. On a
machine on which others work, `--nice -19` keeps these away, too (as root).

Prints one line of JSON for each phase, then the figures: p99 from the request until the outside world has the message,
with loops, over that without (of all phases together, and the median of the rounds), what it may be (1.25 times, or 2 ms
more, as beside a dead destination; or what it is while programs only compute, as these take the server's time as well), the budget of each conversation, the CPU of the server for each message that went
round, and who took the processors meanwhile."""

import argparse
import collections
import itertools
import json
import multiprocessing
import os
import queue
import socket
import statistics
import sys
import tempfile
import threading
import time
from http.server import ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "acceptance"))
import harness
from harness import Api, Postfleet, Postgres, Sink, WebhookReceiver, wait_until

PAIRS, RINGS, RING = 200, 20, 5
# Messages of one conversation of machines at most: of a pair, and of a ring of five.
BUDGETS = (20, 25)
ANSWERERS = 4
EVERY = 0.02
# Seconds that one phase with loops may take.
PATIENCE = 300
# How many times p99 may be, or how many ms more.
TIMES, MORE_MS = 1.25, 2.0


def p99(values):
    return statistics.quantiles(values, n=100)[98]


def cpu_of(*pids):
    """Seconds of processor that these processes took."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def cpu_of_all():
    """Seconds of processor that anybody took."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


# Who sends to others --------------------------------------------------------------------------------------------------


def bystander(pipe, sink, port, key, grant):
    """Sends one message after the other, and says of each when it was asked for, accepted and there."""
    sink.start()
    pipe.send(sink.address)
    port = pipe.recv()
    api, sent = Api(argparse.Namespace(http_port=port), pipe.recv()), {}
    grant = pipe.recv()
    for number in itertools.count():
        if pipe.poll():
            break
        body = {"to": [{"email": f"p{number}@people.test"}], "subject": f"{number}", "body": "hello"}
        began = time.monotonic()
        status, _, answer = api.call("POST", f"/v3/grants/{grant}/messages/send", body, keep=True)
        assert status == 200, answer
        sent[number] = (began, time.monotonic())
        time.sleep(max(0.0, began + EVERY - time.monotonic()))
    wait_until("all to arrive", lambda: len(sink.taken) >= len(sent))
    there = {int(taken.recipients[0].split("@")[0][1:]): taken.at for taken in sink.taken}
    pipe.send([(*times, there[number]) for number, times in sent.items()])


# Agents ---------------------------------------------------------------------------------------------------------------


class Receiver(WebhookReceiver):
    """One of several that share a port."""

    def __init__(self, port):
        class Server(ThreadingHTTPServer):
            def server_bind(self):
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                super().server_bind()

        made, harness.ThreadingHTTPServer = harness.ThreadingHTTPServer, lambda _, handler: Server(("127.0.0.1", port), handler)
        try:
            super().__init__()
        finally:
            harness.ThreadingHTTPServer = made


class Agents:
    """A process that answers what its webhook tells it, at once: to whom it came from, or the next of the ring."""

    def __init__(self, port, key, webhook_port, ended, last):
        os.nice(19)
        self.port, self.key, self.ended, self.last = port, key, ended, last
        self.next_of, self.sent, self.refused = {}, collections.Counter(), collections.Counter()
        self.receiver, self.work, self.seen = Receiver(webhook_port), queue.Queue(), 0
        for task in [self.read, *[self.answer] * ANSWERERS]:
            threading.Thread(target=task, daemon=True).start()

    def read(self):
        while True:
            told = self.receiver.received[self.seen :]
            self.seen += len(told)
            for one in told:
                notification = one.json["data"]
                if notification["object"]["direction"] == "inbound":
                    self.work.put((notification["grant_id"], notification["object"]))
            time.sleep(0.005)

    def answer(self):
        api = Api(argparse.Namespace(http_port=self.port), self.key)
        while True:
            grant, message = self.work.get()
            talk = message["subject"].removeprefix("Re: ")
            to = self.next_of.get(grant) or message["from"][0]["email"]
            body = {"to": [{"email": to}], "subject": f"Re: {talk}", "body": f"And what do you say? {time.time()}"}
            self.say(api, grant, talk, body | {"reply_to_message_id": message["id"]})

    def say(self, api, grant, talk, body):
        status, _, _ = api.call("POST", f"/v3/grants/{grant}/messages/send", body, keep=True)
        if status == 200:
            self.sent[talk] += 1
        else:
            # Nobody has anything to answer any more.
            self.refused[status] += 1
            with self.ended.get_lock():
                self.ended.value += 1
                self.last.value = time.monotonic()

    def serve(self, pipe):
        """What to compute, or whom to answer and what to begin with."""
        api = Api(argparse.Namespace(http_port=self.port), self.key)
        pipe.send("ready")
        while True:
            kind, what = pipe.recv()
            if kind == "busy":
                while time.monotonic() < what:
                    sum(range(10_000))
            elif kind == "ring":
                self.next_of = what
            elif kind == "begin":
                for grant, to, talk in what:
                    self.say(api, grant, talk, {"to": [{"email": to}], "subject": talk, "body": "Hello, what do you say?"})
            elif kind == "count":
                pipe.send((self.sent, self.refused))
                self.sent, self.refused = collections.Counter(), collections.Counter()


def agents(pipe, *words):
    Agents(*words).serve(pipe)


class Process:
    def __init__(self, target, *words):
        self.pipe, other = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=target, args=(other, *words), daemon=True)
        self.process.start()


# The rounds -----------------------------------------------------------------------------------------------------------


class Bench:
    def __init__(self, arguments, folder):
        self.arguments, self.phases, self.talks = arguments, [], itertools.count()
        self.beside = Process(bystander, Sink(), None, None, None)
        storage = Postgres(folder / "postgres").start() if arguments.engine == "postgres" else None
        self.storage = storage
        settings = {"POSTFLEET_LOG__LEVEL": "warn"}
        self.server = Postfleet(folder, self.beside.pipe.recv(), storage.url if storage else None, settings)
        key = self.server.init()["api_key"]
        self.server.start()
        self.api = Api(self.server, key)
        grants = self.mailboxes(["bystander"])
        self.ended, self.last = multiprocessing.Value("q", 0), multiprocessing.Value("d", 0.0)
        port = harness.free_port()
        words = (self.server.http_port, key, port, self.ended, self.last)
        self.agents = [Process(agents, *words) for _ in range(arguments.programs)]
        for one in self.agents:
            one.pipe.recv()
        body = {"trigger_types": ["message.created"], "webhook_url": f"http://127.0.0.1:{port}/in"}
        status, _, answer = self.api.call("POST", "/v3/webhooks", body)
        assert status == 200, answer
        for word in (self.server.http_port, key, grants[0]):
            self.beside.pipe.send(word)

    def mailboxes(self, names):
        wanted = [{"settings": {"email": f"{name}@agents.test"}} for name in names]
        status, _, answer = self.api.call("POST", "/v3/grants/bulk", {"grants": wanted})
        assert status == 200 and answer["data"]["created"] == len(names), answer
        return [result["grant"]["id"] for result in answer["data"]["results"]]

    def phase(self, kind, work):
        """Does it, and says what it took of whom."""
        pids = [one.process.pid for one in self.agents]

        def taken():
            return cpu_of(self.server.process.pid), cpu_of(*pids), cpu_of(self.beside.process.pid), cpu_of_all()

        before, began = taken(), time.monotonic()
        found = work() or {}
        ended = found.pop("ended", None) or time.monotonic()
        server, programs, beside, everybody = (after - before for after, before in zip(taken(), before))
        cpu = {"server": server, "programs": programs, "bystander": beside, "others": everybody - server - programs - beside}
        cpu = {name: round(seconds, 2) for name, seconds in cpu.items()}
        self.phases.append({"phase": kind, "began": began, "ended": ended, "cpu_s": cpu, **found})
        print(f"# {kind}: {ended - began:.1f} s, {cpu}", file=sys.stderr)

    def quiet(self):
        time.sleep(self.arguments.seconds)

    def busy(self):
        until = time.monotonic() + self.arguments.seconds
        for one in self.agents:
            one.pipe.send(("busy", until))
        time.sleep(self.arguments.seconds)

    def loops(self, number):
        names = [f"a{number}x{member}" for member in range(2 * PAIRS + RING * RINGS)]
        ids = self.mailboxes(names)
        emails = [f"{name}@agents.test" for name in names]
        rings = [range(2 * PAIRS + first, 2 * PAIRS + first + RING) for first in range(0, RING * RINGS, RING)]
        next_of = {ids[one]: emails[ring[(place + 1) % RING]] for ring in rings for place, one in enumerate(ring)}
        firsts = [(2 * pair, 2 * pair + 1) for pair in range(PAIRS)] + [(ring[0], ring[1]) for ring in rings]
        firsts = [(ids[sender], emails[to], f"talk {number} {at}") for at, (sender, to) in enumerate(firsts)]
        for one in self.agents:
            one.pipe.send(("ring", next_of))
        self.ended.value = 0
        time.sleep(1)

        def work():
            for at, one in enumerate(self.agents):
                one.pipe.send(("begin", firsts[at :: len(self.agents)]))
            wait_until("all to end", lambda: self.ended.value >= len(firsts), PATIENCE)
            sent, refused = collections.Counter(), collections.Counter()
            for one in self.agents:
                one.pipe.send(("count", None))
                for total, part in zip((sent, refused), one.pipe.recv()):
                    total.update(part)
            counts = [sent[talk] for _, _, talk in firsts]
            within = max(counts[:PAIRS]) <= BUDGETS[0] and max(counts[PAIRS:]) <= BUDGETS[1]
            messages = {"messages": sum(counts), "of_a_conversation": [min(counts), max(counts)], "within_budget": within}
            return {"ended": self.last.value, **messages, "refused": dict(refused)}

        self.phase("loops", work)

    def run(self):
        time.sleep(2)
        for number in range(self.arguments.rounds):
            self.phase("quiet", self.quiet)
            self.loops(number)
            self.phase("quiet", self.quiet)
            self.phase("busy", self.busy)
        self.beside.pipe.send("end")
        return self.beside.pipe.recv()

    def close(self):
        self.server.kill()
        for one in [self.beside, *self.agents]:
            one.process.kill()
        if self.storage:
            self.storage.stop()


def in_ms(sent, phase):
    """Of the messages of a phase, each in ms: until the answer, and until they were there."""
    of_phase = [times for times in sent if phase["began"] <= times[0] < phase["ended"]]
    return [(answered - began) * 1e3 for began, answered, _ in of_phase], [(there - began) * 1e3 for began, _, there in of_phase]


def figures(phases, sent, rounds):
    whole = collections.defaultdict(list)
    for phase in phases:
        accepted, there = in_ms(sent, phase)
        began, ended = phase.pop("began"), phase.pop("ended")
        phase["seconds"] = round(ended - began, 1)
        phase |= {"sent": len(there), "accepted_p50": statistics.median(accepted), "accepted_p99": p99(accepted)}
        phase |= {"p50": statistics.median(there), "p99": p99(there), "max": max(there)}
        print(json.dumps({name: round(value, 2) if isinstance(value, float) else value for name, value in phase.items()}))
        whole[phase["phase"]] += there
    of_kind = {kind: [phase for phase in phases if phase["phase"] == kind] for kind in whole}
    firsts, seconds = of_kind["quiet"][::2], of_kind["quiet"][1::2]
    quiet, loops, busy = p99(whole["quiet"]), p99(whole["loops"]), p99(whole["busy"])
    noise = [abs(one["p99"] - other["p99"]) for one, other in zip(firsts, seconds)]
    beside = [phase["p99"] - (one["p99"] + other["p99"]) / 2 for phase, one, other in zip(of_kind["loops"], firsts, seconds)]
    messages = sum(phase["messages"] for phase in of_kind["loops"])
    # What the server does for the bystander it does in the quiet phases, too.
    quiet_cpu = sum(phase["cpu_s"]["server"] for phase in of_kind["quiet"]) / sum(phase["seconds"] for phase in of_kind["quiet"])
    extra = sum(phase["cpu_s"]["server"] - quiet_cpu * phase["seconds"] for phase in of_kind["loops"])
    return {
        "rounds": rounds,
        "within_budget": all(phase["within_budget"] for phase in of_kind["loops"]),
        "p99_quiet_ms": round(quiet, 2),
        "p99_loops_ms": round(loops, 2),
        "p99_busy_ms": round(busy, 2),
        "p50_ms": {kind: round(statistics.median(values), 2) for kind, values in whole.items()},
        "loops_over_quiet": round(loops / quiet, 2),
        "loops_more_ms": round(loops - quiet, 2),
        "loops_more_ms_median_of_rounds": round(statistics.median(beside), 2),
        "two_quiet_differ_ms": [round(one, 2) for one in noise],
        "reached": loops <= max(TIMES * quiet, quiet + max(MORE_MS, statistics.median(noise)), busy),
        "looped_per_second": round(messages / sum(phase["seconds"] for phase in of_kind["loops"]), 1),
        "server_cpu_us_of_a_looped_message": round(extra / messages * 1e6),
        "load": [round(value, 1) for value in os.getloadavg()],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postfleet", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each phase without loops")
    parser.add_argument("--programs", type=int, default=2, help="processes that answer")
    parser.add_argument("--engine", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--nice", type=int, default=0, help="added to the priority of everybody")
    parser.add_argument("--folder", help="where the data directory is made, and removed again")
    arguments = parser.parse_args()
    os.nice(arguments.nice)
    harness.BINARY = arguments.postfleet.resolve()
    with tempfile.TemporaryDirectory(prefix="postfleet-bench-loops-", dir=arguments.folder) as folder:
        bench = Bench(arguments, Path(folder))
        try:
            sent = bench.run()
        finally:
            bench.close()
    print(json.dumps(figures(bench.phases, sent, arguments.rounds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
