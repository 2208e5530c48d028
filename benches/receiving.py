#!/usr/bin/env python3
"""What receiving costs when everything about a message is looked at: signatures, SPF, DMARC and the names of the client by a
name server on this machine, block lists, header anomalies, 30 rules. See README.md.

    peer   messages of 10 KB over 20 sessions, beside Postfix to Maildir, in alternating turns
    beside messages beside another binary (--before), in alternating turns of 600: what else the machine does falls on both
    size   a mailbox of many messages beside one of few, a fleet of many mailboxes beside one of few: the slope of the CPU

Prints one line of JSON for each turn, then the figures; exit code 1 if a target is missed, or a message is."""

import argparse
import collections
import http.client
import json
import math
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "acceptance"))
import foreign_postfix
from fleet import await_ready
from names import NameServer
from signed import SHAPES, make_corpus

HERE = Path(__file__).parent
DOMAIN = "bench.example"
# Where the clients are that PROXY headers speak of (RFC 5737).
NETWORK, CLIENT = "198.51.100", "198.51.100.{c}"
ADDRESS_LIST, NAME_LIST = "ips.list.example", "names.list.example"
RULES, DOMAINS = 30, 10
WARM = 1_000
# Messages of a turn beside another binary.
TURN = 600
PATIENCE = 120
TICKS = os.sysconf("SC_CLK_TCK")
CONFIGURATION = """[delivery]
nameservers = ["{nameserver}"]

[smtp]
proxy_protocol = ["127.0.0.0/8"]
connections_per_minute = 1000000
messages_per_hour = 1000000000
recipients_per_hour = 1000000000
transactions = 1000000000

[spam]
address_zones = ["ips.list.example"]
domain_zones = ["names.list.example"]

[log]
level = "warn"
"""


def records(domains):
    """What the name server knows: the domains that send, the names of the clients, the test points of the lists."""
    for domain in domains:
        yield from domain.records(f"{NETWORK}.0/24")
    for client in range(1, 255):
        name = f"c{client}.clients.example"
        yield f"{client}.{'.'.join(reversed(NETWORK.split('.')))}.in-addr.arpa", "PTR", name
        yield name, "A", f"{NETWORK}.{client}"
    yield f"2.0.0.127.{ADDRESS_LIST}", "A", "127.0.0.2"
    yield f"test.{NAME_LIST}", "A", "127.0.0.2"


# What is measured of processes ---------------------------------------------------------------------------------------


def stat(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()


def with_children(pid):
    """A process and those whose parent it is."""
    found = [pid]
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int(stat(entry.name)[1]) == pid:
                found.append(int(entry.name))
        except OSError:
            pass
    return found


def observed(pid):
    """Microseconds of CPU and octets written, of a process with its children, also those that it has waited for (of these
    not the octets)."""
    ticks, octets = 0, 0
    for one in with_children(pid):
        try:
            ticks += sum(map(int, stat(one)[11:15]))
            octets += int(Path(f"/proc/{one}/io").read_text().split("write_bytes: ")[1].split()[0])
        except OSError:
            pass
    return {"cpu_us": ticks * 1e6 / TICKS, "octets": octets}


def flushes_in(trace):
    """How often a file was flushed, by what strace wrote down."""
    return sum("sync(" in line for line in trace.read_text().splitlines())


def traced(words, trace):
    """The same command, with its flushes written down; other calls are not stopped at."""
    return ["strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=fsync,fdatasync,sync_file_range", "-o", trace, *words]


class Load:
    def __init__(self, arguments, corpus=None):
        self.arguments, self.corpus = arguments, corpus

    def run(self, kind, port, *options):
        words = [self.arguments.load, kind, "--address", f"127.0.0.1:{port}", *map(str, options)]
        return json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)

    def send(self, port, count, *options):
        options = ["--corpus", self.corpus, "--sessions", self.arguments.sessions, "--messages", count, "--seconds", 3_600, *options]
        made = self.run("smtp", port, *options)
        if made["done"] != count:
            raise SystemExit(f"{made['done']} of {count} messages were taken")
        return made


# postfleet -----------------------------------------------------------------------------------------------------------


class Postfleet:
    """An installation with mailboxes u0 to u(N - 1) in a workspace with rules and a policy."""

    def __init__(self, name, arguments, load, nameserver, mailboxes, port, folder, binary=None):
        self.name, self.binary, self.load = name, binary or arguments.postfleet, load
        self.mailboxes, self.port, self.folder = mailboxes, port, folder / name
        self.folder.mkdir()
        (self.folder / "postfleet.toml").write_text(CONFIGURATION.format(nameserver=nameserver.address))
        self.data = ["--data-dir", self.folder / "data", "--config", self.folder / "postfleet.toml"]
        made = [self.binary, "init", *self.data, "--organization", "Bench", "--domain", DOMAIN, "--trust-domains", "--json"]
        self.header = "Bearer " + json.loads(subprocess.run(made, check=True, stdout=subprocess.PIPE).stdout)["api_key"]
        self.trace = None
        with self:
            self.set_up()

    def __enter__(self):
        words = [self.binary, "serve", *self.data, "--http", f"127.0.0.1:{self.port}", "--smtp", f"127.0.0.1:{self.port + 1}"]
        words = traced(words, self.trace) if self.trace else words
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        await_ready(self.process, self.port)
        children = [pid for pid in with_children(self.process.pid) if pid != self.process.pid]
        self.pid = children[0] if self.trace else self.process.pid
        return self

    def __exit__(self, *_):
        if self.trace:
            os.kill(self.pid, 15)
        else:
            self.process.terminate()
        self.process.wait(PATIENCE)

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request(method, path, json.dumps(body), {"Authorization": self.header, "Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status not in (200, 201):
            raise SystemExit(f"{method} {path}: {answer.status} {text}")
        return json.loads(text)["data"]

    def set_up(self):
        detection = {"use_list_dnsbl": True, "use_header_anomaly_detection": True, "spam_sensitivity": 1.0}
        policy = self.call("POST", "/v3/policies", {"name": "Everything", "spam_detection": detection})["id"]
        rules = [self.call("POST", "/v3/rules", self.rule(number))["id"] for number in range(RULES)]
        workspace = self.call("GET", "/v3/applications")["default_workspace_id"]
        self.call("PATCH", f"/v3/workspaces/{workspace}", {"policy_id": policy, "rule_ids": rules})
        per_call = min(self.mailboxes, 1_000)
        options = ["--header", f"Authorization: {self.header}", "--connections", 4, "--mailboxes", self.mailboxes]
        made = self.load.run("provision", self.port, *options, "--per-call", per_call)
        if made["done"] != self.mailboxes:
            raise SystemExit(f"{self.name}: {made}")

    @staticmethod
    def rule(number):
        """Most look twice at each message and match none; the last matches those of one domain."""
        if number == RULES - 1:
            conditions = [{"field": "from.domain", "operator": "is", "value": "d0.sender.example"}]
            conditions.append({"field": "authentication.dmarc", "operator": "is", "value": "pass"})
            return {"name": "Star", "match": {"conditions": conditions}, "actions": [{"type": "mark_as_starred"}]}
        conditions = [{"field": "from.domain", "operator": "is", "value": f"d{number}.other.example"}]
        conditions.append({"field": "from.address", "operator": "contains", "value": f"nobody{number}"})
        matching = {"operator": "any", "conditions": conditions}
        return {"name": f"Rule {number}", "match": matching, "actions": [{"type": "mark_as_spam"}]}

    def send(self, count):
        options = ["--mailboxes", self.mailboxes, "--stride", 7_919, "--proxied", CLIENT]
        return self.load.send(self.port + 1, count, *options)

    def counters(self):
        """What the server has counted, by name and labels."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def judged(self):
        """What was found of the newest message of a mailbox."""
        message = self.call("GET", f"/v3/grants/u0@{DOMAIN}/messages?limit=1")[0]
        found = message["authentication"]
        results = {name: found[name]["result"] for name in ("spf", "dmarc", "iprev")}
        return results | {"dkim": [one["result"] for one in found["dkim"]], "folders": message["folders"], "spam": message.get("spam")}

    def listed(self):
        """How many messages the interface lists."""
        lines = self.folder / "lines"
        lines.write_text("".join(f"u{number}@{DOMAIN}\n" for number in range(self.mailboxes)))
        return self.load.run("list", self.port, "--lines", lines, "--header", f"Authorization: {self.header}")["done"]

    def wait(self):
        """All is in its place when it is acknowledged."""


# Postfix -------------------------------------------------------------------------------------------------------------

# In its favour: no lookups, no pauses, more processes than the default, which do not end after 100 messages.
FAVOURS = {
    "disable_dns_lookups": "yes",
    "smtpd_client_connection_count_limit": 0,
    "in_flow_delay": 0,
    "max_use": 1_000_000,
    "default_process_limit": 100,
    "virtual_destination_concurrency_limit": 50,
}


class Postfix:
    """As shipped but for what is in its favour, to Maildir, as in run.sh."""

    name = "postfix"

    def __init__(self, arguments, load, mailboxes, port, folder):
        self.load, self.mailboxes, self.port, self.home = load, mailboxes, port, folder / "postfix"
        people = (f"u{number}" for number in range(mailboxes))
        foreign_postfix.set_up(self.home, port, "postfix.bench.example", DOMAIN, people, **FAVOURS)
        self.trace = self.tracer = None

    def __enter__(self):
        words = ["postfix", "-c", str(self.home / "etc"), "start"]
        with open(self.home / "log", "ab") as log:
            options = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            if self.trace:
                self.tracer = subprocess.Popen(traced(words, self.trace), **options)
            else:
                subprocess.run(words, check=True, **options)
        end = time.monotonic() + PATIENCE
        file = self.home / "queue/pid/master.pid"
        while not (file.exists() and file.read_text().strip() and self.greets()):
            if time.monotonic() > end:
                raise SystemExit(f"Postfix did not start: {(self.home / 'log').read_text()}")
            time.sleep(0.1)
        self.pid = int(file.read_text())
        return self

    def greets(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
                return connection.recv(3) == b"220"
        except OSError:
            return False

    def __exit__(self, *_):
        subprocess.run(["postfix", "-c", str(self.home / "etc"), "stop"], stderr=subprocess.DEVNULL, check=False)
        if self.tracer:
            self.tracer.wait(PATIENCE)
            self.tracer = None

    def send(self, count):
        self.expected = self.there() + count
        return self.load.send(self.port, count, "--mailboxes", self.mailboxes, "--stride", 7_919)

    def there(self):
        return sum(len(list(folder.iterdir())) for folder in (self.home / "mail").glob("*/new"))

    def wait(self):
        """Until what was acknowledged is in the Maildirs."""
        end = time.monotonic() + PATIENCE
        while self.there() < self.expected:
            if time.monotonic() > end:
                raise SystemExit(f"Postfix lost {self.expected - self.there()} messages")
            time.sleep(0.2)


# Turns ---------------------------------------------------------------------------------------------------------------


def turn(server, count, octets):
    """One line of figures: messages in a second, and of each message microseconds of CPU and octets written for an octet."""
    before = observed(server.pid)
    made = server.send(count)
    server.wait()
    after = observed(server.pid)
    used = {name: (after[name] - before[name]) / count for name in after}
    line = {"system": server.name, "messages": count, "per_second": made["rate"], "cpu_us": round(used["cpu_us"], 1)}
    line |= {"p50_ms": made["p50_ms"], "p99_ms": made["p99_ms"], "written": round(used["octets"] / octets, 2)}
    print(json.dumps(line), flush=True)
    return line


def medians(lines, name):
    values = [line for line in lines if line["system"] == name]
    return {field: statistics.median(line[field] for line in values) for field in ("per_second", "cpu_us", "written")}


def told(figures, targets):
    """Prints what came out; 1 if a target is missed."""
    missed = [f"{name}: {figures[name]}" for name, is_reached in targets.items() if not is_reached(figures[name])]
    print(json.dumps(figures | {"missed": missed}))
    return 1 if missed else 0


def peer(arguments, folder):
    domains = make_corpus(folder, arguments.corpus, DOMAINS, arguments.octets, arguments.shape)
    octets = statistics.mean(file.stat().st_size for file in (folder / "corpus").iterdir())
    nameserver, load = NameServer(records(domains)), Load(arguments, folder / "corpus")
    ours = Postfleet("postfleet", arguments, load, nameserver, arguments.mailboxes, arguments.port, folder)
    systems, lines = [ours], []
    if not arguments.alone:
        systems.insert(0, Postfix(arguments, load, arguments.mailboxes, arguments.port + 5, folder))
    asked = nameserver.asked
    try:
        for server in systems:
            server.__enter__()
            server.send(WARM)
            server.wait()
        for _ in range(arguments.rounds):
            lines += [turn(server, arguments.messages, octets) for server in systems]
        taken = WARM + arguments.rounds * arguments.messages
        if ours.listed() != taken:
            raise SystemExit(f"{ours.listed()} of {taken} messages are listed")
        judged = ours.judged()
        counted = {name: value for name, value in ours.counters().items() if "block_list" in name or "spam_verdicts" in name}
        print(json.dumps({"judged": judged, "questions": nameserver.asked - asked, "counted": counted}), flush=True)
    finally:
        for server in systems:
            server.__exit__()
    proved = [judged["spf"], judged["dmarc"], judged["iprev"], *judged["dkim"]]
    if proved != ["pass"] * 4:
        raise SystemExit(f"not everything is looked at: {judged}")
    flushes = {server.name: flushes_of(server, arguments, folder) for server in systems}
    mine = medians(lines, "postfleet")
    figures = {"octets": round(octets), "received": taken, "postfleet": mine, "flushes_per_message": flushes}
    figures |= {"written_per_octet": mine["written"], "flushes": flushes["postfleet"]}
    targets = {"written_per_octet": lambda written: written <= 1.5, "flushes": lambda flushes: flushes <= 0.1}
    if not arguments.alone:
        by_round = list(zip(lines[::2], lines[1::2], strict=True))
        figures["postfix"] = medians(lines, "postfix")
        figures["times_the_rate"] = round(statistics.median(b["per_second"] / a["per_second"] for a, b in by_round), 2)
        figures["share_of_cpu"] = round(statistics.median(b["cpu_us"] / a["cpu_us"] for a, b in by_round), 3)
        targets |= {"times_the_rate": lambda times: times >= 5, "share_of_cpu": lambda share: share <= 1 / 8}
    return told(figures, targets)


def flushes_of(server, arguments, folder):
    """Flushes of a message, in a turn of its own that is not timed."""
    server.trace = folder / f"{server.name}.trace"
    with server:
        server.send(WARM)
        server.wait()
        before = flushes_in(server.trace)
        server.send(arguments.traced)
        server.wait()
        return round((flushes_in(server.trace) - before) / arguments.traced, 3)


def beside(arguments, folder):
    domains = make_corpus(folder, arguments.corpus, DOMAINS, arguments.octets, arguments.shape)
    nameserver, load = NameServer(records(domains)), Load(arguments, folder / "corpus")
    binaries = {"now": arguments.postfleet, "before": arguments.before}
    pairs = [
        Postfleet(name, arguments, load, nameserver, arguments.mailboxes, arguments.port + 10 * number, folder, binary)
        for number, (name, binary) in enumerate(binaries.items())
    ]
    made = []
    with pairs[0], pairs[1]:
        for server in pairs:
            server.send(WARM)
        for number in range(arguments.rounds):
            # Nobody is always the first.
            for server in pairs if number % 2 == 0 else pairs[::-1]:
                made.append(turn(server, TURN, arguments.octets))
    cpu = {name: [line["cpu_us"] for line in made if line["system"] == name] for name in binaries}
    ratios = [now / before for now, before in zip(cpu["now"], cpu["before"], strict=True)]
    figures = {"cpu_us": {name: round(statistics.mean(values), 1) for name, values in cpu.items()}}
    return told(figures | {"now_beside_before": round(statistics.median(ratios), 3)}, {})


def size(arguments, folder):
    domains = make_corpus(folder, arguments.corpus, DOMAINS, arguments.octets, arguments.shape)
    octets = statistics.mean(file.stat().st_size for file in (folder / "corpus").iterdir())
    nameserver, load = NameServer(records(domains)), Load(arguments, folder / "corpus")
    # Name, mailboxes, and messages that are there at the beginning.
    kinds = [("mailbox of few", 1, arguments.few), ("mailbox of many", 1, arguments.many)]
    kinds += [("few mailboxes", arguments.few, 0), ("many mailboxes", arguments.fleet, 0)]
    servers = []
    for number, (name, mailboxes, messages) in enumerate(kinds):
        server = Postfleet(name, arguments, load, nameserver, mailboxes, arguments.port + 10 * number, folder)
        if messages:
            with server:
                fill(server, messages)
        servers.append((server, messages))
    cpu = collections.defaultdict(list)
    for _ in range(arguments.rounds):
        for server, _ in servers:
            with server:
                server.send(WARM)
                cpu[server.name].append(turn(server, arguments.messages, octets)["cpu_us"])
    figures = {"cpu_us": {name: statistics.median(values) for name, values in cpu.items()}}
    # The few become more while they are measured.
    grown = arguments.rounds * (arguments.messages + WARM) / 2
    spans = {
        "slope_of_messages": ("mailbox of", (arguments.many + grown) / (arguments.few + grown)),
        "slope_of_mailboxes": ("mailboxes", arguments.fleet / arguments.few),
    }
    for slope, (what, times) in spans.items():
        few, many = [cpu[name] for name, *_ in kinds if what in name]
        ratio = statistics.median(b / a for a, b in zip(few, many, strict=True))
        figures |= {slope: round(math.log(ratio) / math.log(times), 4), slope.replace("slope", "ratio"): round(ratio, 3)}
    return told(figures, {slope: lambda slope: slope <= 0.1 for slope in spans})


def fill(server, messages):
    """Small messages that nobody signed, by the same way."""
    options = ["--sessions", 20, "--messages", messages, "--size", 1_024, "--seconds", 3_600]
    made = server.load.run("smtp", server.port + 1, *options, "--mailboxes", 1, "--proxied", CLIENT)
    if made["done"] != messages:
        raise SystemExit(f"{server.name}: {made}")
    print(json.dumps({"system": server.name, "filled": messages, "per_second": made["rate"]}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["peer", "beside", "size"])
    parser.add_argument("--postfleet", type=Path, required=True)
    parser.add_argument("--before", type=Path, help="beside: the binary to compare with")
    parser.add_argument("--load", type=Path, default=HERE / "load/target/release/postfleet-load")
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--messages", type=int, default=6_000, help="of each turn")
    parser.add_argument("--traced", type=int, default=2_000, help="messages of the turn in which flushes are counted")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--octets", type=int, default=10_240, help="of each message")
    parser.add_argument("--shape", choices=sorted(SHAPES), default="plain", help="of each message")
    parser.add_argument("--corpus", type=int, default=300, help="messages that are signed beforehand")
    parser.add_argument("--mailboxes", type=int, default=1_000, help="peer: that receive")
    parser.add_argument("--alone", action="store_true", help="peer: without Postfix")
    parser.add_argument("--few", type=int, default=1_000, help="size: messages, and mailboxes")
    parser.add_argument("--many", type=int, default=100_000, help="size: messages; 1000000 for the figure of the goal")
    parser.add_argument("--fleet", type=int, default=100_000, help="size: mailboxes")
    parser.add_argument("--folder", help="where everything is made, and removed again; peer: must be on a disk")
    parser.add_argument("--port", type=int, default=28_300)
    arguments = parser.parse_args()
    places = {"peer": "/var/tmp", "beside": "/var/tmp", "size": "/dev/shm"}
    with tempfile.TemporaryDirectory(prefix="postfleet-bench-receiving-", dir=arguments.folder or places[arguments.part]) as folder:
        os.chmod(folder, 0o755)
        return {"peer": peer, "beside": beside, "size": size}[arguments.part](arguments, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
