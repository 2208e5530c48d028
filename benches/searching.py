#!/usr/bin/env python3
"""Measures searching a mailbox of very many messages, and lists of it that few messages pass, on SQLite or PostgreSQL.

The mailbox is filled by imports, so that everything that is searched is made by the server. Its words are drawn from a vocabulary
of 40,000, the more often the lower their rank (Zipf); one message in a thousand has a word of its own, one in ten a text in
Chinese or Cyrillic. Each kind of query is asked with many different words, over some connections at once; prints a line of JSON for each kind:
the percentiles of its latency, and the CPU of the server for a request.

    benches/searching.py --messages 100000
    benches/searching.py --messages 100000 --engine postgres --targets"""

import argparse
import base64
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from itertools import accumulate
from pathlib import Path
from urllib.parse import quote

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "acceptance"))
import harness
from harness import Api, Postfleet, Postgres

DAY = 86_400
LINES = 2_000
WORDS = 40_000
PEOPLE = 5_000
P99_MS_MAX = 50.0
SYLLABLES = "ba be bi bo bu da de di do du ka ke ki ko ku la le li lo lu ma me mi mo mu na ne ni no nu ra re ri ro ru sa se si so su ta".split()


class Vocabulary:
    """Words by rank; the word of rank n is about n times as rare as the first."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.words = [self.spell(rank) for rank in range(WORDS)]
        self.weights = list(accumulate(1 / (rank + 1) for rank in range(WORDS)))

    @staticmethod
    def spell(rank):
        syllables, number = [], rank + len(SYLLABLES)
        while number:
            number, last = divmod(number, len(SYLLABLES))
            syllables.append(SYLLABLES[last])
        return "".join(syllables)

    def draw(self, count):
        return self.random.choices(self.words, cum_weights=self.weights, k=count)

    def between(self, low, high):
        return self.words[self.random.randrange(low, high)]

    def letters(self, first, many, count):
        return "".join(chr(first + self.random.randrange(many)) for _ in range(count))


def message(number, words):
    """A message of about 2 KB."""
    text = words.draw(250)
    if number % 1_000 == 7:
        text.append(own_word(number))
    if number % 10 == 3:
        text.append(words.letters(0x4E00, 2_000, 60))
    if number % 10 == 6:
        text += [words.letters(0x430, 32, 6) for _ in range(20)]
    person = number % PEOPLE
    return (
        f"From: {words.words[person]} Person <person{person}@away.example>\r\n"
        f"To: <agent@agents.test>\r\nSubject: {' '.join(words.draw(6))} {number}\r\nMessage-ID: <{number}@away.example>\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        + "\r\n".join(" ".join(text[first : first + 12]) for first in range(0, len(text), 12))
        + "\r\n"
    ).encode()


def own_word(number):
    return f"own{number}word"


def kinds(words, messages):
    """What is asked, by name: a query string of each of many requests."""
    common, middle, rare = (lambda: words.between(0, 20)), (lambda: words.between(200, 2_000)), (lambda: words.between(10_000, WORDS))
    person = lambda: words.random.randrange(PEOPLE)
    own = lambda: own_word(1_000 * words.random.randrange(max(messages // 1_000, 1)) + 7)
    sought = {
        "a word of one message": own,
        "a rare word": rare,
        "a word": middle,
        "a common word": common,
        "two words": lambda: f"{middle()} {middle()}",
        "two common words": lambda: f"{common()} {common()}",
        "any of three": lambda: f"{middle()} OR {rare()} OR {common()}",
        "one and not another": lambda: f"{middle()} -{common()}",
        "a phrase": lambda: f'"{common()} {common()}"',
        "in groups": lambda: f"({rare()} OR {middle()}) ({common()} OR {middle()})",
        "two ideographs": lambda: words.letters(0x4E00, 2_000, 2),
        "a person": lambda: f"person{person()}",
        "what is not there": lambda: f"{rare()}{rare()}{rare()}",
        "only a negation": lambda: f"-{common()}",
    }
    queries = {name: (lambda made=made: "search_query_native=" + quote(made())) for name, made in sought.items()}
    address = lambda: quote(f"person{person()}@away.example")
    return queries | {
        "a word from somebody": lambda: f"search_query_native={common()}&from={address()}",
        "threads with a word": lambda: "threads " + f"search_query_native={middle()}",
        "list: from somebody": lambda: f"from={address()}",
        "list: from nobody": lambda: f"from={rare()}@away.example",
        "list: a part of the subject": lambda: f"subject={quote(f'{middle()} {common()}')}",
        "list: a part of no subject": lambda: f"subject={rare()}{rare()}{rare()}",
    }


class Bench:
    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, folder
        self.storage = Postgres(folder / "postgres").start() if arguments.engine == "postgres" else None
        self.server = Postfleet(folder, storage=self.storage.url if self.storage else None)
        self.key = self.server.init()["api_key"]
        self.server.start()
        self.api = Api(self.server, self.key, timeout=600)
        self.words = Vocabulary(1)

    def ask(self, method, path, body=None, headers=None):
        status, _, answer = self.api.call(method, path, body, headers=headers, keep=True)
        assert status in (200, 201), (status, answer)
        return answer["data"]

    def fill(self):
        """Messages of the last days, by one import."""
        self.ask("POST", "/v3/connect/custom", {"provider": "nylas", "settings": {"email": "agent@agents.test"}})
        path = "/v3/grants/agent@agents.test/imports"
        imported = self.ask("POST", path, {"source": "bench"})["id"]
        total = self.arguments.messages
        began = int(time.time()) - 20 * DAY
        for first in range(0, total, LINES):
            lines = []
            for number in range(first, min(first + LINES, total)):
                raw = base64.urlsafe_b64encode(message(number, self.words)).decode()
                lines.append(json.dumps({"received_at": began + number * 10 * DAY // total, "raw_mime": raw}) + "\n")
            headers = {"Content-Type": "application/x-ndjson"}
            made = self.ask("POST", f"{path}/{imported}/messages?position={first}", "".join(lines).encode(), headers)
            assert made["position"] == first + len(lines), made

    def await_gathered(self):
        """Until nothing waits to be gathered: what one finds is the same before, and slower."""
        harness.wait_until("terms are gathered", lambda: self.due() == 0, seconds=3_600, every=1)

    def due(self):
        if self.storage:
            return len(self.storage.query("SELECT grant_id FROM search_due"))
        import sqlite3

        with sqlite3.connect(f"file:{self.server.data / 'postfleet.db'}?mode=ro", uri=True) as database:
            return database.execute("SELECT count(*) FROM search_due").fetchone()[0]

    def load(self, made):
        lines = self.folder / "lines"
        queries = [made() for _ in range(self.arguments.requests)]
        lines.write_text("".join(f"{self.path(query)}\n" for query in queries))
        before = self.cpu()
        words = [self.arguments.load, "http", "--address", f"127.0.0.1:{self.server.http_port}", "--method", "GET", "--path", "/v3/grants/agent@agents.test/{line}",
                 "--lines", lines, "--header", f"Authorization: Bearer {self.key}", "--connections", self.arguments.connections, "--requests", len(queries)]
        said = json.loads(subprocess.run(list(map(str, words)), check=True, capture_output=True, text=True).stdout)
        assert said["failures"] == 0, (queries[0], said)
        return {"p50_ms": said["p50_ms"], "p99_ms": said["p99_ms"], "rate": said["rate"], "cpu_us": round((self.cpu() - before) / len(queries))}

    @staticmethod
    def path(query):
        of, _, rest = query.rpartition(" ")
        return f"{of or 'messages'}?{rest}&limit=50&select=id,subject,from,date"

    def cpu(self):
        """Microseconds of the server alone, without PostgreSQL."""
        ticks = Path(f"/proc/{self.server.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()[11:13]
        return sum(map(int, ticks)) * 1_000_000 / os.sysconf("SC_CLK_TCK")

    def run(self):
        began = time.monotonic()
        self.fill()
        filled = time.monotonic()
        self.await_gathered()
        print(json.dumps({"engine": self.arguments.engine, "messages": self.arguments.messages, "imported_per_second": round(self.arguments.messages / (filled - began)), "gathered_after_s": round(time.monotonic() - filled, 1)}), flush=True)
        missed = []
        for name, made in kinds(self.words, self.arguments.messages).items():
            if self.arguments.only not in name:
                continue
            found = self.found(made())
            self.load(made)
            row = self.load(made)
            print(json.dumps({"measure": name, "found": found, **row}), flush=True)
            if row["p99_ms"] > P99_MS_MAX:
                missed.append(f"{name}: p99 {row['p99_ms']} ms, at most {P99_MS_MAX}")
        for line in missed:
            print(f"MISSED {line}")
        return 1 if self.arguments.targets and missed else 0

    def found(self, query):
        """How many are on the first page of one of them, so that it is seen that something was found."""
        return len(self.ask("GET", f"/v3/grants/agent@agents.test/{self.path(query)}"))

    def close(self):
        self.server.kill()
        if self.storage:
            self.storage.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postfleet", type=Path, default=HERE.parent / "target/release/postfleet")
    parser.add_argument("--load", type=Path, default=HERE / "load/target/release/postfleet-load")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=1_000, help="of each kind, after as many that warm up")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--engine", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--only", default="", help="kinds with this in their name alone")
    parser.add_argument("--targets", action="store_true", help="fail if a target is missed")
    parser.add_argument("--folder", help="where the data directory is made, and removed again")
    arguments = parser.parse_args()
    harness.BINARY = arguments.postfleet.resolve()
    with tempfile.TemporaryDirectory(prefix="postfleet-bench-searching-", dir=arguments.folder) as folder:
        bench = Bench(arguments, Path(folder))
        try:
            return bench.run()
        finally:
            bench.close()


if __name__ == "__main__":
    sys.exit(main())
