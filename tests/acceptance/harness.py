"""What the acceptance tests stand on: the server as its users start it, and the strangers around it.

Everything listens on loopback alone, keeps its files in a folder of its own, waits within bounds, and ends what it
started by process id, never by name.
"""

import asyncio
import base64
import ctypes
import hashlib
import hmac
import http.client
import itertools
import json
import os
import shutil
import signal
import smtplib
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import foreign_postfix

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("POSTFLEET_BINARY", ROOT / "target" / "release" / "postfleet"))

# Seconds after which whatever was waited for is taken not to happen.
PATIENCE = 60
PR_SET_PDEATHSIG = 1


class Missing(Exception):
    """This machine lacks something that a test needs."""


def required():
    """Whether a missing means must fail the run instead of skipping a test."""
    return os.environ.get("POSTFLEET_TEST_REQUIRE") == "1"


def program(name, package):
    """The path of a program; says which Debian package has it."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise Missing(f"no program {name} (Debian package {package})")
    return path


def _claim_ports():
    """A thousand ports for this process alone, as long as it lives: runs beside each other never meet, and a server that is killed
    finds its port again. They lie below those that systems give to connections."""
    for share in range(22):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0postfleet-tests-ports-{share}")
            return claim, itertools.cycle(range(10_000 + 1000 * share, 11_000 + 1000 * share))
        except OSError:
            claim.close()
    raise Missing("22 runs of tests have all ports")


_claim, _ports = None, None


def free_port():
    """A port of loopback that nobody listens at, and nobody else takes."""
    global _claim, _ports
    if _ports is None:
        _claim, _ports = _claim_ports()
    for port in _ports:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def wait_until(what, condition, seconds=PATIENCE, every=0.05):
    """Waits until `condition` returns something true, and returns it."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(every)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def end_with_parent():
    """For `preexec_fn`: the child is killed when the thread that started it is gone."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


# The server ---------------------------------------------------------------------------------------------------------


class Postfleet:
    """One installation: a data directory, and the process that serves it."""

    def __init__(self, folder, relay=None, storage=None, settings=None, plans=None):
        self.folder = Path(folder)
        self.config = []
        if plans:
            # Plans are defined in the file alone.
            file = self.folder / "postfleet.toml"
            file.write_text(plans)
            self.config = ["--config", file]
        self.data = self.folder / "data"
        self.relay = relay
        self.http_port, self.smtp_port = free_port(), free_port()
        self.submission_port, self.submissions_port = free_port(), free_port()
        self.environment = {
            "PATH": os.environ.get("PATH", ""),
            "POSTFLEET_SERVER__HOSTNAME": "mx.agents.test",
            "POSTFLEET_WEBHOOKS__ALLOW": '["127.0.0.0/8"]',
            "POSTFLEET_SMTP__TRANSACTIONS": "100000",
            # Tests send the same again and again; those about repeats set a time.
            "POSTFLEET_SENDING__REPEAT_WINDOW_SECONDS": "0",
            **({"POSTFLEET_STORAGE__URL": storage} if storage else {}),
            **(settings or {}),
        }
        self.process = None
        self.log = self.folder / "server.log"
        if not BINARY.exists():
            raise Missing(f"{BINARY} is not built (cargo build --release)")

    @property
    def api(self):
        return f"http://127.0.0.1:{self.http_port}"

    def init(self, organization="Acceptance", domains=("agents.test",), trust=True, plan="self_hosted"):
        """Makes an organization; returns what `init --json` printed."""
        command = [BINARY, "init", "--data-dir", self.data, "--organization", organization, "--plan", plan, "--json", *self.config]
        command += [part for domain in domains for part in ("--domain", domain)]
        command += ["--trust-domains"] if trust else []
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, f"init failed: {done.stderr}"
        return json.loads(done.stdout)

    def spawn(self):
        """Starts the server without waiting for it."""
        assert self.process is None
        command = [BINARY, "serve", "--data-dir", self.data, *self.config]
        command += ["--http", f"127.0.0.1:{self.http_port}", "--smtp", f"127.0.0.1:{self.smtp_port}"]
        command += ["--submission", f"127.0.0.1:{self.submission_port}", "--submissions", f"127.0.0.1:{self.submissions_port}"]
        command += ["--relay", self.relay] if self.relay else []
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=end_with_parent
            )

    def start(self):
        self.spawn()
        wait_until("the server to be ready", self.is_ready, every=0.02)
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log_tail()}")
        try:
            return listens(self.smtp_port) and Api(self, "").call("GET", "/health/ready")[0] == 200
        except OSError:
            return False

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """Ends the server as an operator would; it must end well."""
        if self.process is None:
            return
        process, self.process = self.process, None
        if process.poll() is None:
            process.terminate()
        try:
            status = process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError("the server did not end on SIGTERM") from None
        assert status == 0, f"the server ended with {status}:\n{self.log_tail()}"

    def kill(self):
        """The end without warning."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()

    def log_tail(self, octets=4000):
        return self.log.read_bytes()[-octets:].decode(errors="replace") if self.log.exists() else ""

    def smtp(self, timeout=30):
        return smtplib.SMTP("127.0.0.1", self.smtp_port, local_hostname="client.test", timeout=timeout)


class Api:
    """The JSON interface without any library: for requests that an SDK would not make."""

    def __init__(self, server, key, timeout=60):
        self.port, self.key, self.timeout = server.http_port, key, timeout
        self.kept = None

    def call(self, method, path, body=None, headers=None, keep=False):
        """One request; returns status, headers and the body, parsed if it is JSON."""
        reused, self.kept = self.kept, None
        connection = reused or http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        sent = {"Authorization": f"Bearer {self.key}", **({"Content-Type": "application/json"} if data else {})}
        sent.update(headers or {})
        try:
            connection.request(method, path, body=data, headers={k: v for k, v in sent.items() if v is not None})
            answer = connection.getresponse()
            octets = answer.read()
            if keep:
                self.kept, connection = connection, None
        except ConnectionError:
            # A server may close a connection that it kept at any time; what only reads can be asked again.
            if reused is None or method != "GET":
                raise
            return self.call(method, path, body, headers, keep)
        finally:
            if connection is not None:
                connection.close()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, answer.headers, json.loads(octets) if is_json else octets

    def mailbox(self, email, name=None):
        body = {"provider": "nylas", "settings": {"email": email}, **({"name": name} if name else {})}
        status, _, answer = self.call("POST", "/v3/connect/custom", body)
        assert status in (200, 201), answer
        return answer["data"]["id"]

    def messages(self, grant, query=""):
        """All messages of a mailbox, page by page."""
        found, token = [], None
        while True:
            path = f"/v3/grants/{grant}/messages?limit=200{query}" + (f"&page_token={token}" if token else "")
            status, _, answer = self.call("GET", path, keep=True)
            assert status == 200, answer
            found += answer["data"]
            token = answer.get("next_cursor")
            if not token:
                return found


# Who is told --------------------------------------------------------------------------------------------------------


@dataclass
class Notification:
    path: str
    body: bytes
    signature: str
    at: float = field(default_factory=time.monotonic)
    headers: dict = field(default_factory=dict)

    @property
    def json(self):
        return json.loads(self.body)

    def is_signed_with(self, secret):
        expected = hmac.new(secret.encode(), self.body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected, self.signature)


class WebhookReceiver:
    """Takes notifications, after echoing the challenge; each after so many seconds, none while `takes` is not set, and none of
    mailboxes that are `hanging` until `ends` is set."""

    def __init__(self, delay=0):
        self.received, self.takes = [], threading.Event()
        self.hanging, self.ends, self.asked = set(), threading.Event(), []
        self.takes.set()
        received, takes, hanging, ends, asked = self.received, self.takes, self.hanging, self.ends, self.asked

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def answer(self, body):
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                self.answer(parse_qs(urlsplit(self.path).query).get("challenge", [""])[0].encode())

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                asked.append(body)
                takes.wait()
                if hanging and json.loads(body)["data"]["grant_id"] in hanging:
                    ends.wait()
                time.sleep(delay)
                headers = {name.lower(): value for name, value in self.headers.items()}
                received.append(Notification(self.path, body, headers.get("x-nylas-signature", ""), headers=headers))
                self.answer(b"")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # A caller that was killed while it was answered is no news.
        self.server.handle_error = lambda *_: None
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of_type(self, name):
        """The notifications of one type, parsed; a copy of what is there now."""
        parsed = [notification.json for notification in list(self.received)]
        return [notification for notification in parsed if notification["type"] == name]

    def wait_for(self, name, matches, seconds=PATIENCE):
        def found():
            return next((one for one in self.of_type(name) if matches(one["data"]["object"])), None)

        return wait_until(f"a notification {name}", found, seconds)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


# Who takes mail -----------------------------------------------------------------------------------------------------


@dataclass
class Taken:
    sender: str
    recipients: list
    raw: bytes
    at: float


@dataclass
class Sink:
    """An SMTP server that takes what it is given, and refuses recipients as it is told to. With a login, it takes nothing
    from those who have not signed in with it (AUTH PLAIN). With a delay, it says so many seconds after a message was there
    that it has it."""

    login: tuple = None
    delay: float = 0
    refusals: dict = field(default_factory=dict)
    taken: list = field(default_factory=list)

    def start(self):
        self.loop = asyncio.new_event_loop()
        self.tasks = set()
        started = threading.Event()

        async def serve():
            self.server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=1 << 20, backlog=1024)
            self.port = self.server.sockets[0].getsockname()[1]
            started.set()

        self.loop.create_task(serve())
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        assert started.wait(PATIENCE)
        return self

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def close(self):
        asyncio.run_coroutine_threadsafe(self._end(), self.loop)

    async def _end(self):
        self.server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self.loop.stop()

    async def _connected(self, reader, writer):
        try:
            await self._converse(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def _converse(self, reader, writer):
        def say(text):
            writer.write(text.encode() + b"\r\n")

        say("220 sink.test ESMTP")
        sender, recipients, is_known = None, [], self.login is None
        while True:
            line = (await reader.readuntil(b"\r\n")).decode("latin-1").strip()
            verb = line.upper()
            if verb.startswith("EHLO"):
                offer = "250-AUTH PLAIN\r\n" if self.login else ""
                say(f"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n{offer}250 SIZE 50000000")
            elif verb.startswith("AUTH PLAIN ") and self.login:
                is_known = base64.b64decode(line[11:]).decode() == "\0{}\0{}".format(*self.login)
                say("235 2.7.0 welcome" if is_known else "535 5.7.8 wrong name or password")
            elif verb.startswith("MAIL FROM:") and not is_known:
                say("530 5.7.0 sign in first")
            elif verb.startswith("MAIL FROM:"):
                sender, recipients = line[10:].split(">")[0].strip(" <"), []
                say("250 2.1.0 ok")
            elif verb.startswith("RCPT TO:"):
                address = line[8:].split(">")[0].strip(" <")
                refusal = self.refusals.get(address)
                if refusal is None:
                    recipients.append(address)
                say(refusal or "250 2.1.5 ok")
            elif verb == "DATA" and recipients:
                say("354 go on")
                lines = []
                while (content := await reader.readuntil(b"\r\n")) != b".\r\n":
                    lines.append(content[1:] if content.startswith(b".") else content)
                self.taken.append(Taken(sender, recipients, b"".join(lines), time.monotonic()))
                await asyncio.sleep(self.delay)
                say("250 2.0.0 taken")
                sender, recipients = None, []
            elif verb == "QUIT":
                say("221 2.0.0 bye")
                await writer.drain()
                return
            else:
                say("250 2.0.0 ok" if verb in ("RSET", "NOOP") else "503 5.5.1 no")


class Postfix:
    """A Postfix of our own, which delivers mail for people.test into Maildirs and answers 550 for unknown people."""

    def __init__(self, folder, people):
        self.command = program("postfix", "postfix")
        if os.geteuid() != 0:
            raise Missing("Postfix has to be started by root")
        self.folder = Path(folder)
        self.port = free_port()
        settings = {"default_transport": "error:nothing leaves this server", "smtpd_tls_security_level": "none"}
        foreign_postfix.set_up(self.folder, self.port, "mx.people.test", "people.test", people, **settings)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def _run(self, verb):
        etc = self.folder / "etc"
        done = subprocess.run([self.command, "-c", etc, verb], capture_output=True, text=True, timeout=PATIENCE)
        return done.returncode == 0, done.stderr

    def start(self):
        # Its processes have to enter the folder as other users.
        for parent in [self.folder, *self.folder.parents]:
            if parent.stat().st_mode & 0o5 != 0o5:
                parent.chmod(parent.stat().st_mode | 0o755)
        started, text = self._run("start")
        assert started, text
        wait_until("Postfix to listen", lambda: listens(self.port))
        return self

    def stop(self):
        self._run("stop")

    def route(self, routes):
        """Passes mail for domains on to servers on this machine, by their ports. Before the start."""
        etc = self.folder / "etc"
        lines = (f"{domain} smtp:[127.0.0.1]:{port}\n" for domain, port in routes.items())
        (etc / "transport").write_text("".join(lines))
        with open(etc / "main.cf", "a") as main:
            main.write(f"transport_maps = texthash:{etc}/transport\nsmtp_tls_security_level = none\n")

    def configure(self, **settings):
        """Sets what else it is to do. Before the start."""
        with open(self.folder / "etc" / "main.cf", "a") as main:
            main.writelines(f"{name} = {value}\n" for name, value in settings.items())

    def answer(self, replies):
        """What it says to RCPT for some addresses, from its start on."""
        access = self.folder / "etc" / "access"
        if not access.exists():
            self.configure(smtpd_recipient_restrictions=f"check_recipient_access texthash:{access}")
        access.write_text("".join(f"{address} {reply}\n" for address, reply in replies.items()))

    def mail_of(self, person):
        """The messages of a person, as they were delivered."""
        return [path.read_bytes() for path in sorted((self.folder / "mail" / person / "new").glob("*"))]

    def log(self):
        path = self.folder / "mail.log"
        return path.read_text() if path.exists() else ""


class Nats:
    """A NATS server with JetStream, whose folder can be removed."""

    def __init__(self, folder):
        self.folder = Path(folder) / "nats"
        self.binary = os.environ.get("POSTFLEET_TEST_NATS") or program("nats-server", "nats-server")
        self.port = free_port()
        self.process = None

    @property
    def url(self):
        return f"nats://127.0.0.1:{self.port}"

    def start(self):
        command = [self.binary, "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", self.folder]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=end_with_parent
        )
        wait_until("NATS to listen", lambda: listens(self.port))
        return self

    def is_running(self):
        return self.process is not None

    def stop(self):
        """The end as an operator would bring it about."""
        self.process.terminate()
        self.process.wait(timeout=PATIENCE)
        self.process = None

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def wipe(self):
        """Everything that it has is gone. It must not run."""
        assert self.process is None
        shutil.rmtree(self.folder)


class NoNames:
    """A name server on loopback that knows no name: for servers whose mail is judged, where nobody is to be asked."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def settings(self):
        return {"POSTFLEET_DELIVERY__NAMESERVERS": '["127.0.0.1:{}"]'.format(self.socket.getsockname()[1])}

    def _serve(self):
        while True:
            try:
                query, client = self.socket.recvfrom(4096)
                # The question as it came: its name is a row of labels, then an empty one, type and class.
                end = query.index(0, 12) + 5
                head = query[:2] + b"\x81\x83" + b"\x00\x01" + bytes(6)
                self.socket.sendto(head + query[12:end], client)
            except OSError:
                return
            except ValueError:
                pass

    def close(self):
        self.socket.close()


# Where it is kept ---------------------------------------------------------------------------------------------------


class Postgres:
    """A PostgreSQL of our own, durable as shipped. A service that runs on the machine is never touched."""

    def __init__(self, folder):
        versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
        if not versions:
            raise Missing("PostgreSQL is not installed (Debian package postgresql)")
        self.programs = versions[-1].parent
        self.folder = Path(folder)
        self.port = free_port()

    def _as_server(self, *command):
        as_root = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=QUIT", "--"]
        return [*(as_root if os.geteuid() == 0 else []), *map(str, command)]

    def start(self):
        self.folder.mkdir(parents=True)
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres")
            for parent in self.folder.parents:
                if parent.stat().st_mode & 0o1 != 0o1:
                    parent.chmod(parent.stat().st_mode | 0o755)
        data = self.folder / "data"
        command = self._as_server(
            self.programs / "initdb", "--pgdata", data, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"
        )
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder, timeout=PATIENCE)
        self.launch()
        wait_until("PostgreSQL to be ready", self.is_ready)
        self.query("CREATE DATABASE postfleet", database="postgres")
        return self

    def launch(self):
        """Starts its process without waiting for it."""
        settings = ["listen_addresses=127.0.0.1", f"port={self.port}", f"unix_socket_directories={self.folder}"]
        command = [self.programs / "postgres", "-D", self.folder / "data"]
        command += [part for setting in settings for part in ("-c", setting)]
        with open(self.folder.parent / "postgres.log", "ab") as log:
            self.process = subprocess.Popen(
                self._as_server(*command), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def is_ready(self):
        ready = [self.programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(ready).returncode == 0

    def is_running(self):
        return self.process.poll() is None

    def end(self, how):
        """Sends its first process a signal and waits for its end."""
        self.process.send_signal(how)
        self.process.wait(timeout=PATIENCE)

    @property
    def url(self):
        return f"postgres://postgres@127.0.0.1:{self.port}/postfleet"

    def query(self, sql, database="postfleet"):
        """Rows as tuples of texts."""
        command = [self.programs / "psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1"]
        command += ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database, "-c", sql]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        return [tuple(line.split("\t")) for line in done.stdout.splitlines()]

    def session(self):
        """A session that is kept, for who asks again and again."""
        return PostgresSession(self)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(timeout=PATIENCE)


class PostgresSession:
    """psql that is kept open: an answer takes a millisecond in place of the time that it takes to start it."""

    END = "-- the end --"

    def __init__(self, postgres):
        command = [postgres.programs / "psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1"]
        command += ["-h", "127.0.0.1", "-p", str(postgres.port), "-U", "postgres", "-d", "postfleet"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
        self.process = subprocess.Popen(command, preexec_fn=end_with_parent, **pipes)

    def query(self, sql):
        """Rows as tuples of texts."""
        self.process.stdin.write(f"{sql};\n\\echo {self.END}\n")
        rows = []
        while (line := self.process.stdout.readline().rstrip("\n")) != self.END:
            assert line or self.process.poll() is None, "psql ended"
            rows.append(tuple(line.split("\t")))
        return rows

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=PATIENCE)
