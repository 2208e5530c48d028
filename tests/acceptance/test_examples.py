"""The programs of `examples`: mail comes in, and exactly one answer leaves, though they are told of it twice."""

import asyncio
import contextlib
import http.client
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nats
import pytest
from harness import Api, Missing, Nats, NoNames, Postfleet, Sink, end_with_parent, free_port, listens, required, wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"
# Seconds in which a second answer would have come.
SETTLED = 1.0


class Twice:
    """Hands on what it is told to a program at another port, and that a second time."""

    def __init__(self, port):
        self.told = told = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.hand_on("GET", None)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.hand_on("POST", body, answers=False)
                told.append(body)
                self.hand_on("POST", body)

            def hand_on(self, method, body, answers=True):
                with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
                    connection.request(method, self.path, body, {"X-Nylas-Signature": self.headers.get("X-Nylas-Signature", "")})
                    answer = connection.getresponse()
                    data = answer.read()
                if answers:
                    self.send_response(answer.status)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/mail"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Stage:
    """A server with a mailbox, who takes its mail, and the programs that run."""

    def __init__(self, folder, bus):
        self.names, self.sink, self.folder, self.running = NoNames(), Sink().start(), folder, []
        self.server = Postfleet(folder, self.sink.address, settings={"POSTFLEET_BUS__URL": bus, **self.names.settings})
        self.key = self.server.init()["api_key"]
        self.server.start()
        Api(self.server, self.key).mailbox("agent@agents.test")

    def run(self, program, *arguments):
        environment = {"KEY": self.key, "API": self.server.api, "PATH": os.environ.get("PATH", ""), "PYTHONDONTWRITEBYTECODE": "1"}
        log = open(self.folder / f"{program}.log", "ab")
        command = [sys.executable, EXAMPLES / program, *map(str, arguments)]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, preexec_fn=end_with_parent)
        self.running.append(process)
        wait_until(f"{program} to begin", lambda: b"answering" in (self.folder / f"{program}.log").read_bytes())
        return process

    def receive(self, subject, *headers):
        lines = ["From: ada@people.test", "To: agent@agents.test", f"Subject: {subject}", f"Message-ID: <{time.time()}@people.test>", *headers]
        with self.server.smtp() as client:
            client.sendmail("ada@people.test", ["agent@agents.test"], "\r\n".join([*lines, "", "Are you there?", ""]))

    def answered(self):
        """The subjects of what has left."""
        lines = (line for taken in list(self.sink.taken) for line in taken.raw.decode().splitlines())
        return sorted(line.removeprefix("Subject: ") for line in lines if line.startswith("Subject: "))

    def settles(self, expected):
        wait_until(f"the answers {expected}", lambda: self.answered() == expected)
        time.sleep(SETTLED)
        assert self.answered() == expected

    def close(self):
        for process in self.running:
            process.kill()
            process.wait()
        self.server.kill()
        self.sink.close()
        self.names.close()


@pytest.fixture
def bus(tmp_path):
    """A NATS server, where there is one."""
    try:
        made = Nats(tmp_path)
    except Missing as missing:
        assert not required(), missing
        yield None
        return
    made.start()
    yield made
    made.kill()


@pytest.fixture
def stage(tmp_path, bus):
    made = Stage(tmp_path, bus.url if bus else "")
    try:
        yield made
    finally:
        made.close()


def test_by_webhook(stage):
    port = free_port()
    twice = Twice(port)
    try:
        stage.run("by_webhook.py", port, twice.url)
        wait_until("the program to listen", lambda: listens(port))
        stage.receive("Hello")
        stage.receive("Away", "Auto-Submitted: auto-replied")
        # Both, and the answer, which is announced as well.
        wait_until("all to be told twice", lambda: len(twice.told) >= 3)
        stage.settles(["Re: Hello"])
    finally:
        twice.close()


def test_by_stream(stage, tmp_path):
    place = tmp_path / "place"
    program = stage.run("by_stream.py", place)
    stage.receive("Hello")
    stage.settles(["Re: Hello"])
    began = place.read_text()
    stage.receive("Again")
    stage.settles(["Re: Again", "Re: Hello"])
    # Started again where it was before, it is told of the second one once more; and of what came while it was away.
    program.kill()
    program.wait()
    stage.receive("Meanwhile")
    place.write_text(began)
    stage.run("by_stream.py", place)
    stage.settles(["Re: Again", "Re: Hello", "Re: Meanwhile"])


def test_by_nats(stage, bus):
    if bus is None:
        pytest.skip("nats-server is not installed")
    stage.receive("Before")
    wait_until("the stream to be there", lambda: asyncio.run(published(bus.url)))
    for _ in range(2):
        stage.run("by_nats.py", bus.url)
    stage.receive("Hello")
    stage.settles(["Re: Before", "Re: Hello"])
    # Told of everything once more.
    asyncio.run(publish_again(bus.url))
    stage.settles(["Re: Before", "Re: Hello"])


async def published(url):
    """What the stream has."""
    connection = await nats.connect(url)
    try:
        stream = connection.jetstream()
        with contextlib.suppress(nats.js.errors.NotFoundError):
            last = (await stream.stream_info("POSTFLEET_EVENTS")).state.last_seq
            return [await stream.get_msg("POSTFLEET_EVENTS", number) for number in range(1, last + 1)]
        return []
    finally:
        await connection.close()


async def publish_again(url):
    messages = await published(url)
    connection = await nats.connect(url)
    for message in messages:
        await connection.jetstream().publish(message.subject, message.data)
    await connection.close()
