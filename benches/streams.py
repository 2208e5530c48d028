#!/usr/bin/env python3
"""What a stream costs that has nothing to tell: octets of memory and CPU for each of many connections to
`GET /v3/events/stream` that are open at once, as server-sent events (`sse`) and over WebSockets (`ws`); `messages` is the stream
of one mailbox's messages.

    cargo build --release
    python3 benches/streams.py --connections 10000            # needs twice as many open files, and some more

A server of its own for each way, with nothing else to do. The memory is the kernel's own sum over the mappings of the
process (PSS): after the connections are open and have had signs of life, less before. What the kernel itself keeps for a
connection is not in it. Before it is measured the server has served as many short requests, so that what it
makes once is not counted. Prints one line of JSON for each way."""

import argparse
import base64
import json
import os
import resource
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from fleet import await_ready, memory_of

ROOT = Path(__file__).resolve().parents[1]
BINARY = Path(os.environ.get("POSTFLEET_BINARY", ROOT / "target" / "release" / "postfleet"))
PATHS = {"sse": "/v3/events/stream", "ws": "/v3/events/stream", "messages": "/v3/grants/{grant}/messages/stream"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=2_000)
    parser.add_argument("--ways", default="sse,ws", help="sse, ws, messages; separated by commas")
    parser.add_argument("--heartbeat", type=int, default=15, help="seconds between two signs of life")
    parser.add_argument("--settle", type=float, default=20, help="seconds from the last connection to the reading")
    parser.add_argument("--max-octets", type=int, help="fails above so many octets for a connection")
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most < arguments.connections + 1_000:
        raise SystemExit(f"{arguments.connections} connections need more open files than {most}")
    worst = 0
    for way in arguments.ways.split(","):
        with tempfile.TemporaryDirectory() as folder:
            measured = measure(way, arguments, Path(folder))
        print(json.dumps(measured), flush=True)
        worst = max(worst, measured["octets_each"])
    return int(arguments.max_octets is not None and worst > arguments.max_octets)


def measure(way, arguments, folder):
    server = Server(folder, arguments.connections)
    try:
        grant = server.ask("POST", "/v3/connect/custom", {"provider": "nylas", "settings": {"email": "agent@bench.test"}})["data"]["id"]
        for _ in range(200):
            server.ask("GET", "/v3/events")
        path = PATHS[way].format(grant=grant)
        path += "" if way == "messages" else f"?heartbeat={arguments.heartbeat}"
        before = memory_of(server.process.pid)
        began = time.monotonic()
        crowd = Crowd(server.port, server.key, path, way == "ws")
        crowd.open(arguments.connections)
        opened = time.monotonic() - began
        time.sleep(max(0.0, arguments.settle))
        cpu, at = server.cpu(), time.monotonic()
        time.sleep(arguments.heartbeat * 2)
        cpu, passed = server.cpu() - cpu, time.monotonic() - at
        after = memory_of(server.process.pid)
        lost, signs = crowd.lost, crowd.signs
        crowd.close()
    finally:
        server.stop()
    return {
        "way": way,
        "connections": arguments.connections,
        "octets_each": round((after["pss"] - before["pss"]) / arguments.connections),
        "pss_before": before["pss"],
        "pss_after": after["pss"],
        "lost": lost,
        "signs_of_life": signs,
        "heartbeat_s": arguments.heartbeat,
        "cpu_percent_of_a_core": round(100 * cpu / passed, 2),
        "opened_per_second": round(arguments.connections / opened),
    }


class Server:
    """A server with one application."""

    def __init__(self, folder, connections):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "POSTFLEET_HTTP__CONNECTIONS": str(connections + 100),
            "POSTFLEET_HTTP__WAITING": str(connections + 50),
            "POSTFLEET_HTTP__WAITING_PER_APPLICATION": str(connections + 50),
        }
        if "waiting_per_application" not in subprocess.run([BINARY, "config", "default"], capture_output=True, text=True).stdout:
            del environment["POSTFLEET_HTTP__WAITING_PER_APPLICATION"]
        words = ["--data-dir", folder / "data"]
        made = subprocess.run(
            [BINARY, "init", *words, "--organization", "Bench", "--domain", "bench.test", "--trust-domains", "--json"],
            env=environment, capture_output=True, text=True, check=True,
        )
        self.key = json.loads(made.stdout)["api_key"]
        ports = ["--smtp", "127.0.0.1:0", "--submission", "127.0.0.1:0", "--submissions", "127.0.0.1:0"]
        command = [BINARY, "serve", *words, "--http", f"127.0.0.1:{self.port}", *ports]
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr)
        await_ready(self.process, self.port)

    def ask(self, method, path, body=None):
        import http.client

        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status not in (200, 201):
            raise SystemExit(f"{method} {path}: {answer.status} {text[:300]}")
        return json.loads(text)

    def cpu(self):
        """Seconds of CPU so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


class Crowd:
    """Clients that listen, and answer the pings of WebSockets."""

    def __init__(self, port, key, path, is_websocket):
        self.port, self.is_websocket, self.sockets, self.lost, self.signs = port, is_websocket, [], 0, 0
        lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {key}", "User-Agent: streams"]
        if is_websocket:
            nonce = base64.b64encode(os.urandom(16)).decode()
            lines += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {nonce}"]
        self.request = "\r\n".join([*lines, "", ""]).encode()
        self.selector, self.is_open = selectors.EpollSelector(), True

    def open(self, count):
        wanted = b"101" if self.is_websocket else b"200"
        first = b'"cursor"' if self.is_websocket else b"id: "
        for _ in range(count):
            one = socket.create_connection(("127.0.0.1", self.port), timeout=60)
            one.sendall(self.request)
            heard = b""
            while first not in heard:
                piece = one.recv(4096)
                if not piece:
                    raise SystemExit(f"refused: {heard[:400]!r}")
                heard += piece
            if heard[9:12] != wanted:
                raise SystemExit(f"refused: {heard[:400]!r}")
            one.setblocking(False)
            self.sockets.append(one)
            self.selector.register(one, selectors.EVENT_READ)
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()

    def listen(self):
        while self.is_open:
            for key, _ in self.selector.select(0.2):
                try:
                    heard = key.fileobj.recv(4096)
                except OSError:
                    heard = b""
                if not heard:
                    self.lost += 1
                    self.selector.unregister(key.fileobj)
                    continue
                self.signs += 1
                if self.is_websocket and heard[0] == 0x89:
                    # A pong with the same words, under a mask of zeros.
                    words = heard[2 : 2 + heard[1]]
                    key.fileobj.send(bytes([0x8A, 0x80 | len(words)]) + bytes(4) + words)

    def close(self):
        self.is_open = False
        self.listener.join()
        for one in self.sockets:
            one.close()


if __name__ == "__main__":
    sys.exit(main())
