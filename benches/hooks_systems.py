"""What hooks.py starts: postfleet, a service of Python and a worker of Node.js, both with a PostgreSQL, and the receiver of
all of them."""

import glob
import http.client
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from fleet import await_ready
from listing import System, await_port, generator

HERE = Path(__file__).resolve().parent
DOMAIN = "bench.example"
PATIENCE = 120
CONFIGURATION = """[delivery]
nameservers = ["{nameserver}"]

[smtp]
connections_per_minute = 1000000
messages_per_hour = 1000000000
recipients_per_hour = 1000000000
transactions = 1000000000

[webhooks]
allow = ["127.0.0.0/8"]

[log]
level = "warn"
"""


def load(kind, port, *options):
    """One run of the load generator."""
    words = [generator(), kind, "--address", f"127.0.0.1:{port}", *map(str, options)]
    made = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)
    if made.get("failures"):
        raise SystemExit(f"{made['failures']} of {kind} failed")
    return made


class Receiver(System):
    """Takes the webhooks of everybody and writes down what came when."""

    name = "receiver"

    def __init__(self, folder, port, find="benchmark message "):
        super().__init__()
        self.port, self.log = port, folder / "received"
        options = ["--address", f"127.0.0.1:{port}", "--log", self.log, "--find", find, "--seconds", "3600"]
        self.start([generator(), "hooks", *options], folder / "receiver.log")
        await_port(port)

    def url(self, path):
        return f"http://127.0.0.1:{self.port}/hook/{path}"

    def mark(self):
        """Where what comes from now on begins. What is written late belongs to what was before."""
        time.sleep(0.2)
        return self.log.stat().st_size

    def since(self, mark):
        """What has come: path, number, nanoseconds and octets of each."""
        with open(self.log, "rb") as file:
            file.seek(mark)
            text = file.read()
        return [tuple(map(int, line.split())) for line in text[: text.rfind(b"\n") + 1].splitlines()]

    def await_lines(self, mark, count, system):
        end, last, seen = time.monotonic() + PATIENCE, time.monotonic(), 0
        while seen < count:
            time.sleep(0.1)
            with open(self.log, "rb") as file:
                file.seek(mark)
                now = sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b""))
            last = time.monotonic() if now > seen else last
            seen = now
            if time.monotonic() > min(end, last + 40):
                raise SystemExit(f"{system}: {seen} of {count} webhooks came")
        return self.since(mark)


class Postfleet(System):
    """An installation with mailboxes u0 to u(N - 1)."""

    name = "postfleet"

    def __init__(self, arguments, folder, nameserver, port, mailboxes, name="home", **environment):
        super().__init__()
        self.binary, self.port, self.mailboxes = arguments.postfleet, port, mailboxes
        self.folder = folder / name
        self.folder.mkdir()
        configuration = self.folder / "postfleet.toml"
        configuration.write_text(CONFIGURATION.format(nameserver=nameserver.address))
        self.data = ["--data-dir", self.folder / "data", "--config", configuration]
        made = [self.binary, "init", *self.data, "--organization", "Bench", "--domain", DOMAIN, "--trust-domains", "--json"]
        self.header = "Bearer " + json.loads(subprocess.run(made, check=True, stdout=subprocess.PIPE).stdout)["api_key"]
        self.begin(**environment)
        options = ["--header", f"Authorization: {self.header}", "--connections", 4, "--mailboxes", mailboxes]
        load("provision", port, *options, "--per-call", min(mailboxes, 1_000))

    def begin(self, *options, **environment):
        ports = ["--http", f"127.0.0.1:{self.port}", "--smtp", f"127.0.0.1:{self.port + 1}"]
        words = [self.binary, "serve", *self.data, *ports, *options]
        self.start(words, self.folder / "log", env=os.environ | environment, stdin=subprocess.DEVNULL)
        await_ready(self.processes[0], self.port)

    def end(self):
        self.stop()
        self.processes.clear()

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request(method, path, json.dumps(body), {"Authorization": self.header, "Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status not in (200, 201):
            raise SystemExit(f"{method} {path}: {answer.status} {text}")
        return json.loads(text).get("data")

    def webhook(self, url, trigger="message.created"):
        return self.call("POST", "/v3/webhooks", {"trigger_types": [trigger], "webhook_url": url, "include_junk": True})["id"]

    def sql(self, statement, *values):
        """Reads or writes its database; to write, it must not run."""
        path = next((self.folder / "data").glob("*.db"))
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            return database.execute(statement, values).fetchall()

    def counter(self, name, **labels):
        """The sum of what the server has counted under a name, with these labels."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name) and all(one in line for one in wanted))


class Postgres(System):
    """A server as it is shipped: fsync and synchronous_commit are on."""

    def __init__(self, folder, port):
        super().__init__()
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"))
        if not found:
            sys.exit("missing: postgresql")
        self.programs, self.port, home = Path(found[-1]).parent, port, folder / "postgres"
        self.url = f"postgres://postgres@127.0.0.1:{port}/postgres"
        home.mkdir()
        shutil.chown(home, "postgres")
        folder.chmod(0o755)
        as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
        made = [*as_postgres, self.programs / "initdb", "--pgdata", home / "data", "--username=postgres", "--auth=trust"]
        subprocess.run([*made, "--encoding=UTF8", "--locale=C"], check=True, capture_output=True, cwd=home)
        settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": home}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.start([*as_postgres, self.programs / "postgres", "-D", home / "data", *options], folder / "postgres.log", cwd=home)
        await_port(port)
        self.sql("SELECT 1")

    def sql(self, statement):
        words = [self.programs / "psql", "-X", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-c", statement]
        for _ in range(100):
            done = subprocess.run(words, capture_output=True, text=True)
            if done.returncode == 0 or "starting up" not in done.stderr:
                break
            time.sleep(0.1)
        if done.returncode:
            sys.exit(done.stderr)


class PythonService(Postgres):
    """aiosmtpd, PostgreSQL and a task that tells webhooks, in one process: peers/python/receive.py."""

    name = "python"

    def __init__(self, arguments, folder, port, url):
        super().__init__(folder, port + 2)
        self.mailboxes, self.smtp = arguments.mailboxes, port + 1
        environment = os.environ | {"DATABASE_URL": self.url, "PORT": str(self.smtp), "WEBHOOK_URL": url}
        self.start([arguments.python, HERE / "peers/python/receive.py"], folder / "python.log", env=environment)
        await_port(self.smtp)


class NodeWorker(Postgres):
    """An outbox in PostgreSQL and a worker of Node.js that empties it: peers/node/hooks.js."""

    name = "node"

    def __init__(self, folder, port):
        super().__init__(folder, port)
        if not shutil.which("node") or not (HERE / "peers/node/node_modules").is_dir():
            sys.exit("missing: node or benches/peers/node/node_modules (npm ci --prefix benches/peers/node)")
        self.folder = folder
        self.sql("CREATE TABLE outbox (id bigserial PRIMARY KEY, path text NOT NULL, payload text NOT NULL)")

    def fill(self, messages, webhooks, octets):
        """So many messages, each to be told to so many webhooks in so many octets."""
        pad = octets - len(told(messages, ""))
        text = f"""'{told("' || n || '", "' || repeat('x', " + str(pad) + ") || '")}'"""
        self.sql(f"INSERT INTO outbox (path, payload) SELECT '/hook/' || w, {text} FROM generate_series(1, {messages}) n, generate_series(1, {webhooks}) w")
        self.sql("VACUUM ANALYZE outbox")

    def work(self, port):
        environment = os.environ | {"DATABASE_URL": self.url, "WEBHOOK_PORT": str(port), "NODE_ENV": "production"}
        return self.start(["node", HERE / "peers/node/hooks.js"], self.folder / "node.log", env=environment)


def told(number, text):
    return '{"type":"message.created","subject":"benchmark message %s","body":"%s"}' % (number, text)
