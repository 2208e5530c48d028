#!/usr/bin/env python3
"""Measures lists of messages: the newest fifty of a mailbox with very many, and of very many mailboxes with a few each,
beside a service of Node.js and PostgreSQL (peers/node/lists.js) that lists five columns of the same rows. Everything
listens on 127.0.0.1, lives in a folder that is removed at the end, and is ended by process id.

    benches/listing.py                                   # figures of postfleet alone, then of both, in turns
    benches/listing.py --messages 1000000 --mailboxes 100000 --targets
    benches/listing.py --alone                           # without the peer
    benches/listing.py --sizes 10000,100000,1000000      # the slope: what a page costs in mailboxes of these sizes

Rows are written straight into both databases: what is measured is reading. Prints a line of JSON for each measure, CPU in
microseconds a request from /proc/PID/stat of all processes of a system."""

import argparse
import glob
import hashlib
import json
import math
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
FIELDS = "select=id,from,subject,date,unread"
# Of the newest fifty: what is asked for, and how much CPU it may cost.
SHAPES = {
    "five fields": (f"?{FIELDS}", 60.0),
    "without bodies": ("?select=" + ",".join(
        "thread_id subject from to cc bcc reply_to date unread starred answered folders snippet attachments in_reply_to "
        "message_id_header metadata automated authentication marks spam suspicion direction created_at".split()), 150.0),
    "with bodies": ("", None),
    "unread": (f"?unread=true&{FIELDS}", None),
    "starred": (f"?starred=true&{FIELDS}", None),
    "in two folders": (f"?in=inbox&in=archive&{FIELDS}", None),
    "one sender": (f"?from=sender7@away.example&{FIELDS}", None),
    "nobody": (f"?from=nobody@away.example&{FIELDS}", None),
    "part of a subject": (f"?subject=number%207777&{FIELDS}", None),
}
# Of which the slope is measured, and the most that it may be: of the logarithm of the CPU over that of the messages.
SLOPING = ("five fields", "without bodies", "unread")
SLOPE_MAX = 0.1
FIRST_DATE = 1_700_000_000_000_000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=200_000, help="of the large mailbox")
    parser.add_argument("--mailboxes", type=int, default=10_000, help="with ten messages each")
    parser.add_argument("--requests", type=int, default=4_000, help="of one measure")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--port", type=int, default=12_600)
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")], default=[],
                        help="messages of mailboxes of one installation, the smallest first, between which the slope is measured; alone")
    parser.add_argument("--alone", action="store_true", help="without the peer")
    parser.add_argument("--targets", action="store_true", help="fail if a target is missed")
    parser.add_argument("--postfleet", default=os.environ.get("POSTFLEET", ROOT / "target/release/postfleet"))
    arguments = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="postfleet-lists.", dir=os.environ.get("BENCH_WORK", "/var/tmp")))
    systems = []
    try:
        ours = Postfleet(work, arguments)
        systems.append(ours)
        if arguments.sizes:
            return slopes(ours, arguments)
        if not arguments.alone:
            systems.append(Node(work, arguments))
        return measure(systems, arguments)
    finally:
        for system in reversed(systems):
            system.stop()
        shutil.rmtree(work, ignore_errors=True)


def measure(systems, arguments):
    rows, missed = [], []
    ours = systems[0]
    for name, (query, most) in SHAPES.items():
        load(ours, query, "large", arguments, 200)
        row = load(ours, query, "large", arguments, arguments.requests)
        rows.append({"system": "postfleet", "measure": f"newest 50, {name}", **row})
        print(json.dumps(rows[-1]), flush=True)
        if most and row["cpu_us"] > most:
            missed.append(f"newest 50, {name}: {row['cpu_us']} us of CPU, at most {most}")
    for boxes in ("large", "many"):
        seen = {}
        for _ in range(arguments.rounds):
            for system in systems:
                load(system, f"?{FIELDS}", boxes, arguments, 500)
                row = load(system, f"?{FIELDS}", boxes, arguments, arguments.requests)
                seen.setdefault(system.name, []).append(row)
                print(json.dumps({"system": system.name, "measure": f"five fields, {boxes}", **row}), flush=True)
        if len(systems) == 2:
            middle = lambda name, key: sorted(row[key] for row in seen[name])[arguments.rounds // 2]
            rate = middle("postfleet", "rate") / middle("node", "rate")
            p99 = middle("postfleet", "p99_ms") / middle("node", "p99_ms")
            print(json.dumps({"measure": f"five fields, {boxes}: times the peer", "rate": round(rate, 2), "p99": round(p99, 2)}))
            if rate < 4 or p99 > 0.5:
                missed.append(f"five fields, {boxes}: {rate:.2f}x the rate (at least 4), {p99:.2f}x the p99 (at most 0.5)")
    for line in missed:
        print(f"MISSED {line}")
    return 1 if arguments.targets and missed else 0


def slopes(ours, arguments):
    """What a page costs in each mailbox, in turns; and by which power of the size that grows, from the first to the last."""
    missed = []
    for shape in SLOPING:
        query, _ = SHAPES[shape]
        seen = {size: [] for size in arguments.sizes}
        for _ in range(arguments.rounds):
            for size in arguments.sizes:
                load(ours, query, f"of {size}", arguments, 200)
                seen[size].append(load(ours, query, f"of {size}", arguments, arguments.requests))
        middle = {size: sorted(rows, key=lambda row: row["cpu_us"])[len(rows) // 2] for size, rows in seen.items()}
        for size, row in middle.items():
            print(json.dumps({"measure": f"newest 50, {shape}, of {size}", **row}), flush=True)
        least, most = arguments.sizes[0], arguments.sizes[-1]
        ratio = middle[most]["cpu_us"] / middle[least]["cpu_us"]
        slope = math.log(ratio) / math.log(most / least)
        print(json.dumps({"measure": f"newest 50, {shape}: CPU of {most} by that of {least}", "ratio": round(ratio, 3), "slope": round(slope, 4)}), flush=True)
        if slope > SLOPE_MAX:
            missed.append(f"newest 50, {shape}: slope {slope:.3f}, at most {SLOPE_MAX}")
    for line in missed:
        print(f"MISSED {line}")
    return 1 if arguments.targets and missed else 0


def load(system, query, boxes, arguments, requests):
    """So many requests; their rate, latencies and CPU."""
    before = system.cpu()
    command = [generator(), "http", "--address", f"127.0.0.1:{system.port}", "--method", "GET", "--path",
               "/v3/grants/{line}/messages" + query, "--lines", system.lines[boxes], "--header", system.header,
               "--connections", str(arguments.connections), "--requests", str(requests)]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    if said["failures"]:
        sys.exit(f"{said['failures']} requests failed: {query}")
    cpu = (system.cpu() - before) / requests
    return {"rate": said["rate"], "p50_ms": said["p50_ms"], "p99_ms": said["p99_ms"], "cpu_us": round(cpu, 1)}


def generator():
    program = Path(os.environ.get("CARGO_TARGET_DIR", HERE / "load/target")) / "release/postfleet-load"
    if not program.exists():
        manifest = HERE / "load/Cargo.toml"
        subprocess.run(["cargo", "build", "--quiet", "--release", "--manifest-path", manifest], check=True)
    return program


class System:
    """Processes of one system, and what they cost."""

    def __init__(self):
        self.processes = []

    def start(self, command, log, **options):
        process = subprocess.Popen(command, stdout=log.open("ab"), stderr=subprocess.STDOUT, **options)
        self.processes.append(process)
        return process

    def cpu(self):
        """Microseconds of all processes and their children."""
        ticks = 0
        waiting = [process.pid for process in self.processes]
        while waiting:
            pid = waiting.pop()
            try:
                ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()[11:13]))
                for task in glob.glob(f"/proc/{pid}/task/*/children"):
                    waiting += map(int, Path(task).read_text().split())
            except OSError:
                pass
        return ticks * 1_000_000 / os.sysconf("SC_CLK_TCK")

    def stop(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def await_port(port):
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    sys.exit(f"nothing listens on port {port}")


def await_gathered(path, seconds=3_600):
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    for _ in range(seconds):
        if database.execute("SELECT count(*) FROM search_due").fetchone() == (0,):
            return database.close()
        time.sleep(1)
    sys.exit("terms are not gathered")


class Postfleet(System):
    name = "postfleet"

    def __init__(self, work, arguments):
        super().__init__()
        self.work, self.port = work, arguments.port
        home, program = work / "home", work / "postfleet"
        shutil.copy(arguments.postfleet, program)
        command = [program, "init", "--data-dir", home, "--organization", "Bench", "--domain", "bench.example", "--trust-domains", "--json"]
        made = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        self.header = f"Authorization: Bearer {made['api_key']}"
        self.lines = {}
        words = [program, "serve", "--data-dir", home, "--http", f"127.0.0.1:{self.port}", "--smtp", f"127.0.0.1:{self.port + 1}", "--relay", f"127.0.0.1:{self.port + 2}"]
        environment = os.environ | {"POSTFLEET_LOG__LEVEL": "warn"}
        self.start(words, work / "postfleet.log", env=environment)
        await_port(self.port)
        large = arguments.sizes or [arguments.messages]
        mailboxes = self.make_mailboxes(len(large) + arguments.mailboxes, made["api_key"])
        self.stop()
        self.processes.clear()
        database = next(home.glob("*.db"))
        self.fill(database, mailboxes, large)
        (work / "large.ids").write_text(f"{mailboxes[0]}\n")
        (work / "many.ids").write_text("\n".join(mailboxes[len(large):]) + "\n")
        self.lines = {"large": work / "large.ids", "many": work / "many.ids"}
        for size, mailbox in zip(large, mailboxes):
            self.lines[f"of {size}"] = work / f"of-{size}.ids"
            self.lines[f"of {size}"].write_text(f"{mailbox}\n")
        self.start(words, work / "postfleet.log", env=environment)
        await_port(self.port)
        await_gathered(database)

    def make_mailboxes(self, count, key):
        command = [generator(), "provision", "--address", f"127.0.0.1:{self.port}", "--header", self.header, "--connections", "4", "--mailboxes", str(count), "--per-call", "1000"]
        subprocess.run(command, check=True, capture_output=True)
        ids, offset = [], 0
        while len(ids) < count:
            request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v3/grants?limit=200&offset={offset}", headers={"Authorization": f"Bearer {key}"})
            with urllib.request.urlopen(request, timeout=60) as response:
                page = json.load(response)["data"]
            ids += [one["id"] for one in page]
            offset += len(page)
        return ids

    def fill(self, path, mailboxes, large):
        """A message in a thread of its own each; all have one body, which is read all the same."""
        body = b"From: s@away.example\r\nContent-Type: text/html\r\n\r\n" + b"<p>" + b"Some words of a message. " * 60 + b"</p>\r\n"
        database = sqlite3.connect(path, isolation_level=None)
        database.execute("PRAGMA synchronous=OFF")
        database.execute("BEGIN")
        blob = uuid.uuid4().bytes
        database.execute("INSERT INTO blobs (id, hash, octets, data, copies) VALUES (?, ?, ?, ?, ?)", (blob, blake3(body), len(body), packed(body), 1_000_000_000))
        boxes = [*zip(mailboxes, large)] + [(one, 10) for one in mailboxes[len(large):]]
        insert = ("INSERT INTO messages (id, grant_id, thread_id, blob_id, outgoing, date, unread, starred, octets, folders, summary, assessment) "
                  "VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?, '[\"inbox\"]', ?, ?)")
        listing = "INSERT INTO listings (grant_id, folder, date, message_id, flags) VALUES (?, ?, ?, ?, ?)"
        for grant, count in boxes:
            grant = uuid.UUID(grant).bytes
            for first in range(0, count, 10_000):
                rows, listings = [], []
                for number in range(first, min(first + 10_000, count)):
                    message, date = Ids.next(), FIRST_DATE + number * 1_000_000
                    unread, starred = int(number % 3 == 0), int(number % 1_000 == 7)
                    rows.append((message, grant, Ids.next(), blob, date, unread, starred, len(body), summary(number), ASSESSMENT))
                    listings += [(grant, folder, date, message, unread + 2 * starred) for folder in ("", "inbox")]
                database.executemany(insert, rows)
                database.executemany(listing, listings)
        # As if they had come in: the terms of the large mailboxes are gathered.
        due = [(uuid.UUID(mailbox).bytes,) for mailbox, _ in zip(mailboxes, large)]
        database.executemany("INSERT INTO search_due (grant_id) VALUES (?)", due)
        database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()


class Ids:
    """Ids as the server makes them: later ones sort behind earlier ones."""

    made = 0

    @classmethod
    def next(cls):
        cls.made += 1
        return (0x019F << 112 | 0x7000 << 64 | 0x8000 << 48 | cls.made).to_bytes(16, "big")


def summary(number):
    return json.dumps({
        "subject": f"Subject line number {number}",
        "from": [{"name": f"Sender {number % 5000}", "email": f"sender{number % 5000}@away.example"}],
        "to": [{"name": "", "email": "agent@bench.example"}],
        "snippet": "Some words of a message. " * 4,
        "message_id": f"{number}@away.example",
        "references": [f"{number - 1}@away.example"],
    }, separators=(",", ":"))


ASSESSMENT = json.dumps({
    "authentication": {"is_local": False, "spf": {"result": "pass", "domain": "away.example"},
                       "dkim": [{"result": "pass", "domain": "away.example", "selector": "s1"}],
                       "dmarc": {"result": "pass", "domain": "away.example", "policy": "reject"}, "aligned_domain": "away.example"},
    "marks": {"is_first_contact": True},
    "spam": {"score": 0.5, "threshold": 5.0, "is_spam": False, "reasons": []},
    "suspicion": {"looked_at": True},
}, separators=(",", ":"))


def blake3(octets):
    program = shutil.which("b3sum")
    if program:
        return bytes.fromhex(subprocess.run([program, "--no-names"], input=octets, capture_output=True, check=True).stdout.decode().strip())
    try:
        import blake3 as library
    except ImportError:
        sys.exit("missing: blake3 (pip install blake3) or b3sum")
    return library.blake3(octets).digest()


def packed(octets):
    program = shutil.which("zstd")
    if not program:
        sys.exit("missing: zstd")
    return subprocess.run([program, "-1", "-c", "--no-check"], input=octets, capture_output=True, check=True).stdout


class Node(System):
    name = "node"

    def __init__(self, work, arguments):
        super().__init__()
        self.port, postgres = arguments.port + 3, arguments.port + 4
        home, key = work / "postgres", uuid.uuid4().hex
        self.header = f"Authorization: Bearer {key}"
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"))
        if not found or not shutil.which("node") or not (HERE / "peers/node/node_modules").is_dir():
            sys.exit("missing: postgresql, node or benches/peers/node/node_modules (npm ci --prefix benches/peers/node)")
        programs = Path(found[-1]).parent
        home.mkdir()
        shutil.chown(home, "postgres")
        work.chmod(0o755)
        as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
        subprocess.run([*as_postgres, programs / "initdb", "--pgdata", home / "data", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"], check=True, capture_output=True, cwd=home)
        self.start([*as_postgres, programs / "postgres", "-D", home / "data", "-c", "listen_addresses=127.0.0.1", "-c", f"port={postgres}", "-c", f"unix_socket_directories={home}"], work / "postgres.log", cwd=home)
        await_port(postgres)
        fill = f"""CREATE TABLE list (id bigint PRIMARY KEY, mailbox_id uuid, sender text, subject text, date timestamptz, unread boolean, snippet text);
            INSERT INTO list SELECT n, CASE WHEN n <= {arguments.messages} THEN md5('0') ELSE md5((1 + n % {arguments.mailboxes})::text) END::uuid,
                'sender' || n % 5000 || '@away.example', 'Subject line number ' || n, to_timestamp(1700000000 + n), n % 3 = 0, repeat('s', 100)
                FROM generate_series(1, {arguments.messages + 10 * arguments.mailboxes}) n;
            CREATE INDEX list_newest ON list (mailbox_id, date DESC, id DESC); VACUUM ANALYZE list"""
        for statement in fill.split(";"):
            command = [programs / "psql", "-X", "-q", "-h", "127.0.0.1", "-p", str(postgres), "-U", "postgres", "-c", statement]
            for _ in range(100):
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode == 0 or "starting up" not in done.stderr:
                    break
                time.sleep(0.1)
            if done.returncode:
                sys.exit(done.stderr)
        of_number = lambda number: str(uuid.UUID(hashlib.md5(str(number).encode()).hexdigest()))
        (work / "node.large").write_text(of_number(0) + "\n")
        (work / "node.many").write_text("\n".join(map(of_number, range(1, arguments.mailboxes + 1))) + "\n")
        self.lines = {"large": work / "node.large", "many": work / "node.many"}
        environment = os.environ | {"DATABASE_URL": f"postgres://postgres@127.0.0.1:{postgres}/postgres", "PORT": str(self.port), "API_KEY": key, "NODE_ENV": "production"}
        self.start(["node", HERE / "peers/node/lists.js"], work / "node.log", env=environment)
        await_port(self.port)


if __name__ == "__main__":
    sys.exit(main())
