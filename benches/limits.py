#!/usr/bin/env python3
"""What limits cost: CPU of the server per accepted API send, in turns of the same binaries on the same machine: where
nothing is limited, where everything is (the day and the month, bandwidth, storage), with few mailboxes and with many, and,
if another binary is given, by that. Sends always come from 1,000 mailboxes, whatever number there is. The
data directories are in memory (--folder), so that the moods of a disk do not count. Prints one line of JSON for each turn,
then the medians and their ratios."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from fleet import await_ready

HERE = Path(__file__).parent
DOMAIN = "bench.example"
SENDERS = 1_000
WARM = 2_000
LIMITED = """[plans.limited]
based_on = "self_hosted"
overage = false
daily_sends_max = 1000000
monthly_sends_max = 100000000
monthly_bandwidth_octets_max = 1000000000000
storage_octets_max = 1000000000000
"""


class Server:
    """One installation with so many mailboxes."""

    def __init__(self, name, binary, plan, mailboxes, folder, port, load):
        self.name, self.binary, self.folder, self.port, self.load = name, binary, folder / name, port, load
        self.config = []
        self.folder.mkdir()
        if plan == "limited":
            (self.folder / "postfleet.toml").write_text(LIMITED)
            self.config = ["--config", self.folder / "postfleet.toml"]
        data = ["--data-dir", self.folder / "data", *self.config]
        made = [binary, "init", *data, "--organization", "Bench", "--domain", DOMAIN, "--trust-domains", "--plan", plan, "--json"]
        key = json.loads(subprocess.run(made, check=True, capture_output=True, text=True).stdout)["api_key"]
        (self.folder / "key").write_text(f"Authorization: Bearer {key}")
        self.words = [binary, "serve", *data, "--http", f"127.0.0.1:{port}", "--smtp", f"127.0.0.1:{port + 1}", "--roles", "api"]
        self.header = (self.folder / "key").read_text()
        with Running(self):
            self.loaded("provision", "--connections", "4", "--mailboxes", str(mailboxes), "--per-call", "1000")
            sample = [sys.executable, HERE / "fleet.py", "sample", "--port", str(port), "--key", self.folder / "key"]
            ids = subprocess.run([*sample, "--number", str(SENDERS)], check=True, capture_output=True, text=True).stdout
        (self.folder / "ids").write_text(ids)

    def loaded(self, kind, *options):
        words = [self.load, kind, "--address", f"127.0.0.1:{self.port}", "--header", self.header, *options]
        return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)

    def send(self, count, connections):
        options = ["--path", "/v3/grants/{line}/messages/send", "--lines", self.folder / "ids", "--body-file", HERE / "send.json"]
        return self.loaded("http", *options, "--connections", str(connections), "--requests", str(count))


class Running:
    """The server of an installation, while it runs."""

    def __init__(self, server):
        self.server = server

    def __enter__(self):
        environment = os.environ | {"POSTFLEET_LOG__LEVEL": "warn"}
        with open(self.server.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                self.server.words, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        await_ready(self.process, self.server.port)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)

    def cpu_us(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * 1_000_000 / os.sysconf("SC_CLK_TCK")


def turn(server, arguments):
    with Running(server) as running:
        server.send(WARM, arguments.connections)
        before = running.cpu_us()
        result = server.send(arguments.sends, arguments.connections)
        if result["done"] != arguments.sends:
            raise SystemExit(f"{server.name}: {result}")
        cpu = (running.cpu_us() - before) / arguments.sends
    print(json.dumps({"installation": server.name, "cpu_us": round(cpu, 1), "per_second": result["rate"]}), flush=True)
    return cpu


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postfleet", type=Path, required=True)
    parser.add_argument("--before", type=Path, help="another binary to compare with, on the plan without limits")
    parser.add_argument("--load", type=Path, default=HERE / "load/target/release/postfleet-load")
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--sends", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", default="/dev/shm", help="where the data directories are made, and removed again")
    parser.add_argument("--port", type=int, default=28_100)
    arguments = parser.parse_args()
    kinds = [("few", arguments.postfleet, "self_hosted", arguments.few), ("few limited", arguments.postfleet, "limited", arguments.few)]
    kinds += [("many limited", arguments.postfleet, "limited", arguments.many)]
    if arguments.before:
        kinds += [("few before", arguments.before, "self_hosted", arguments.few)]
        kinds += [("many before", arguments.before, "self_hosted", arguments.many)]
    with tempfile.TemporaryDirectory(prefix="postfleet-bench-limits-", dir=arguments.folder) as folder:
        servers = [
            Server(name, binary, plan, mailboxes, Path(folder), arguments.port + 10 * number, arguments.load)
            for number, (name, binary, plan, mailboxes) in enumerate(kinds)
        ]
        rounds = [{server.name: turn(server, arguments) for server in servers} for _ in range(arguments.rounds)]
    figures = {name: round(statistics.median(made[name] for made in rounds), 1) for name, *_ in kinds}

    def ratio(one, other):
        return round(statistics.median(made[one] / made[other] for made in rounds), 3)

    figures["limited beside not"] = ratio("few limited", "few")
    figures["many mailboxes beside few"] = ratio("many limited", "few limited")
    if arguments.before:
        figures["not limited beside before"] = ratio("few", "few before")
        figures["limited beside before"] = ratio("few limited", "few before")
        figures["many before beside few before"] = ratio("many before", "few before")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
