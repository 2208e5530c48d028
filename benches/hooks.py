#!/usr/bin/env python3
"""Measures webhooks beside services that one would build oneself, in one run and in turns.

    gap        mail comes in one message after the other: from the 250 until the webhook has come, and from the first command
               on; beside aiosmtpd, PostgreSQL and a task that tells webhooks (peers/python/receive.py)
    fanout     much is to be told, 64 requests at once: events per second, to one webhook and to sixteen; beside a worker of
               Node.js that empties an outbox of PostgreSQL (peers/node/hooks.js)
    isolation  one receiver fails (failing.py) beside eight that do not, while mail changes at a steady rate: how much later
               the eight are told than without it
    tracing    what it costs that every arrival is traced: CPU of a message, beside the same server that traces nothing

Everything listens on 127.0.0.1, lives in a folder that is removed at the end, and is ended by process id. Prints a line of
JSON for each turn, then one for each figure, with what is asked of it; exit code 1 if that is missed or something is lost."""

import argparse
import collections
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from failing import MODES
from hooks_systems import HERE, NodeWorker, Postfleet, PythonService, Receiver, load
from names import NameServer

# Webhooks that share the events of one of the two shapes.
SHARED_BY = 16
AT_ONCE = 64
GOOD = 8


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def milliseconds(values, share):
    return round(percentile(values, share) / 1e6, 3)


def median(lines, system, field):
    return statistics.median(line[field] for line in lines if line["system"] == system)


def show(line):
    print(json.dumps(line), flush=True)
    return line


def figure(name, value, asked, is_reached):
    """One line for what was measured; how many were missed."""
    show({"figure": name, "value": round(value, 3), "asked": asked, "reached": is_reached(value)})
    return 0 if is_reached(value) else 1


# The gap -------------------------------------------------------------------------------------------------------------


def gap(arguments, folder):
    receiver = Receiver(folder, arguments.port)
    ours = Postfleet(arguments, folder, NameServer([]), arguments.port + 10, arguments.mailboxes)
    peer = PythonService(arguments, folder, arguments.port + 20, receiver.url(2))
    systems = {ours: arguments.port + 11, peer: peer.smtp}
    lines = []
    try:
        ours.webhook(receiver.url(1))
        for system, port in systems.items():
            paced(system, port, receiver, arguments, folder, arguments.warm)
        for number in range(arguments.rounds):
            for system in list(systems)[:: 1 if number % 2 == 0 else -1]:
                lines.append(show(paced(system, systems[system], receiver, arguments, folder, arguments.messages)))
    finally:
        for system in (peer, ours, receiver):
            system.stop()
    ratio = median(lines, "postfleet", "whole_p99_ms") / median(lines, "python", "whole_p99_ms")
    missed = figure("250 to webhook received, p50 ms", median(lines, "postfleet", "gap_p50_ms"), "<= 0.7", lambda ms: ms <= 0.7)
    missed += figure("first command to webhook received, p99, of the peer's", ratio, "<= 0.5", lambda ratio: ratio <= 0.5)
    return missed


def paced(system, port, receiver, arguments, folder, messages):
    """A turn: one message after the other over one session, and when each of them was told."""
    sent, mark, before = folder / "sent", receiver.mark(), system.cpu()
    options = ["--sessions", 1, "--gap-us", arguments.gap_us, "--messages", messages, "--size", arguments.octets]
    load("smtp", port, *options, "--mailboxes", arguments.mailboxes, "--log", sent)
    came = {}
    for _, number, at, _ in receiver.await_lines(mark, messages, system.name):
        came.setdefault(number, at)
    times = [tuple(map(int, line.split())) for line in sent.read_text().splitlines()]
    if len(came) != messages or len(times) != messages:
        raise SystemExit(f"{system.name}: {len(times)} messages were taken, {len(came)} told")
    gaps = [came[number] - taken for number, _, taken in times]
    wholes = [came[number] - began for number, began, _ in times]
    line = {"system": system.name, "messages": messages, "gap_p50_ms": milliseconds(gaps, 0.5), "gap_p99_ms": milliseconds(gaps, 0.99)}
    line |= {"whole_p50_ms": milliseconds(wholes, 0.5), "whole_p99_ms": milliseconds(wholes, 0.99)}
    return line | {"cpu_us": round((system.cpu() - before) / messages, 1)}


# Much to be told -----------------------------------------------------------------------------------------------------


def fanout(arguments, folder):
    receiver = Receiver(folder, arguments.port)
    ceiling(receiver, folder)
    ours = Postfleet(arguments, folder, NameServer([]), arguments.port + 10, arguments.mailboxes)
    peer, lines = None, []
    try:
        for number in range(1, SHARED_BY + 1):
            ours.webhook(receiver.url(number))
        # Nobody tells anything yet.
        ours.end()
        ours.begin("--roles", "api,mx")
        options = ["--sessions", 20, "--messages", arguments.messages, "--size", arguments.octets, "--seconds", 600]
        load("smtp", arguments.port + 11, *options, "--mailboxes", arguments.mailboxes)
        ours.end()
        peer = None if arguments.alone else NodeWorker(folder, arguments.port + 20)
        for _ in range(arguments.rounds):
            for webhooks in (1, SHARED_BY):
                line = show(tell_all(ours, receiver, arguments, webhooks))
                lines.append(line)
                if peer:
                    lines.append(show(empty(peer, receiver, arguments.messages // webhooks, webhooks, line["octets"])))
    finally:
        for system in (peer, ours, receiver):
            if system:
                system.stop()
    ratios = {}
    for webhooks in (1, SHARED_BY):
        rates = collections.defaultdict(list)
        for line in lines:
            if line["webhooks"] == webhooks:
                rates[line["system"]].append(line["per_second"])
        middle = {system: statistics.median(values) for system, values in rates.items()}
        if peer:
            ratios[webhooks] = middle["postfleet"] / middle["node"]
            show({"webhooks": webhooks, **middle, "ratio": round(ratios[webhooks], 3)})
    if not ratios:
        return 0
    return figure("events told per second, of the peer's, the smaller", min(ratios.values()), ">= 3", lambda ratio: ratio >= 3)


def ceiling(receiver, folder):
    """How much the receiver takes from a client that does nothing but send: what is near to it measures the receiver."""
    body = folder / "body"
    body.write_text('{"subject":"benchmark message {i}","body":"' + "x" * 1_200 + '"}')
    cpu = receiver.cpu()
    made = load("http", receiver.port, "--path", "/hook/0", "--connections", AT_ONCE, "--requests", 60_000, "--body-file", body)
    show({"system": "receiver", "per_second": made["rate"], "cpu_us": round((receiver.cpu() - cpu) / 60_000, 1)})


def tell_all(ours, receiver, arguments, webhooks):
    """A turn: the webhooks are set back in the log, and the role that tells begins. The rate is from the first to the last."""
    messages = arguments.messages // webhooks
    (head,) = ours.sql("SELECT max(position) FROM events")[0]
    after = "SELECT position - 1 FROM events WHERE name = 'message.created' ORDER BY position DESC LIMIT 1 OFFSET ?"
    (start,) = ours.sql(after, messages - 1)[0]
    ours.sql("UPDATE webhooks SET position = ?, lease_until = 0", head)
    paths = [receiver.url(number) for number in range(1, webhooks + 1)]
    ours.sql(f"UPDATE webhooks SET position = ? WHERE url IN ({', '.join('?' * webhooks)})", start, *paths)
    mark, taken = receiver.mark(), receiver.cpu()
    ours.begin("--roles", "api,webhooks", POSTFLEET_WEBHOOKS__CONCURRENCY=str(AT_ONCE // webhooks))
    came = receiver.await_lines(mark, messages * webhooks, ours.name)
    used, taken = ours.cpu(), receiver.cpu() - taken
    ours.end()
    latest = {}
    for path, number, _, _ in came:
        mailbox = path, number % arguments.mailboxes
        if number <= latest.get(mailbox, -1):
            raise SystemExit(f"message {number} was told to {path} after {latest[mailbox]}")
        latest[mailbox] = number
    return rate("postfleet", webhooks, came, messages * webhooks, used, taken)


def empty(peer, receiver, messages, webhooks, octets):
    peer.fill(messages, webhooks, octets)
    mark, used, taken = receiver.mark(), peer.cpu(), receiver.cpu()
    process = peer.work(receiver.port)
    came = receiver.await_lines(mark, messages * webhooks, peer.name)
    line = rate("node", webhooks, came, messages * webhooks, peer.cpu() - used, receiver.cpu() - taken)
    process.wait(60)
    peer.processes.remove(process)
    return line


def rate(system, webhooks, came, expected, used, taken):
    if len({(path, number) for path, number, _, _ in came}) != expected:
        raise SystemExit(f"{system}: {len(came)} came of {expected}")
    times = [at for _, _, at, _ in came]
    line = {"system": system, "webhooks": webhooks, "told": len(came), "octets": round(statistics.mean(octets for *_, octets in came))}
    line |= {"per_second": round((len(came) - 1) * 1e9 / (max(times) - min(times))), "cpu_us": round(used / len(came), 1)}
    return line | {"receiver_cpu_us": round(taken / len(came), 1)}


# One that fails beside others ----------------------------------------------------------------------------------------


def isolation(arguments, folder):
    modes = arguments.modes.split(",")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*words, "-days", "1", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    receiver = Receiver(folder, arguments.port, '"t":"')
    places = {mode: arguments.port + 30 + number for number, mode in enumerate(modes)}
    ours = Postfleet(arguments, folder, NameServer([]), arguments.port + 10, arguments.mailboxes)
    words = ["nice", "-n", "19", sys.executable, HERE / "failing.py", "--certificate", certificate, "--key", key]
    receiver.start([*words, *(f"{mode}={port}" for mode, port in places.items())], folder / "failing.log")
    time.sleep(1)
    missed = 0
    try:
        messages = filled(ours, arguments, folder)
        for number in range(1, GOOD + 1):
            ours.webhook(receiver.url(number), "message.updated")
        # They are told of nothing until it is their turn.
        bad = {mode: ours.webhook(f"http://127.0.0.1:{port}/", "folder.created") for mode, port in places.items()}
        if "tls" in bad:
            # No challenge would pass there, so the URL is not changed by the interface.
            ours.end()
            ours.sql("UPDATE webhooks SET url = replace(url, 'http:', 'https:') WHERE url LIKE ?", f"%:{places['tls']}/")
            ours.begin()
        steady(ours, receiver, arguments, messages, arguments.rate)
        for mode, webhook in bad.items():
            count = arguments.rate * arguments.seconds
            alone = show({"beside": None} | steady(ours, receiver, arguments, messages, count))
            ours.call("PUT", f"/v3/webhooks/{webhook}", {"trigger_types": ["message.updated"]})
            time.sleep(1)
            beside = show({"beside": mode} | steady(ours, receiver, arguments, messages, count))
            ours.call("DELETE", f"/v3/webhooks/{webhook}")
            time.sleep(1)
            if beside["deferred"] == 0 and mode != "huge":
                raise SystemExit(f"{mode}: nothing failed")
            more = beside["p99_ms"] - alone["p99_ms"]
            missed += figure(f"others beside {mode}: p99, more ms", more, "<= 50", lambda ms: ms <= 50)
    finally:
        ours.stop()
        receiver.stop()
    return missed


def filled(ours, arguments, folder):
    """A file with the paths of as many messages as are changed in a turn: each is changed once, since what is told is the
    message as it is then."""
    count = arguments.rate * arguments.seconds
    load("smtp", ours.port + 1, "--sessions", 20, "--messages", count, "--size", 1_024, "--mailboxes", arguments.mailboxes, "--seconds", 600)
    paths = []
    for number in range(arguments.mailboxes):
        mailbox = f"u{number}@bench.example"
        listed = ours.call("GET", f"/v3/grants/{mailbox}/messages?limit=200&select=id")
        paths.append([f"{mailbox}/messages/{message['id']}" for message in listed])
    # One mailbox after the other.
    lines = [path for row in itertools.zip_longest(*paths) for path in row if path]
    if len(lines) < count:
        raise SystemExit(f"{len(lines)} of {count} messages are listed")
    (folder / "messages").write_text("\n".join(lines) + "\n")
    return folder / "messages"


def steady(ours, receiver, arguments, messages, count):
    """A turn: changes at a steady rate; how long it takes until each good receiver knows, from when the change was asked for."""
    connections = 4
    mark, deferred, used = receiver.mark(), ours.counter("postfleet_webhook_attempts", result="deferred"), ours.cpu()
    options = ["--connections", connections, "--gap-us", connections * 1_000_000 // arguments.rate, "--requests", count]
    options += ["--method", "PUT", "--path", "/v3/grants/{line}", "--lines", messages, "--body", '{"metadata":{"t":"{t}"}}']
    load("http", ours.port, *options, "--header", f"Authorization: {ours.header}")
    came = receiver.await_lines(mark, count * GOOD, "postfleet")
    delays = collections.defaultdict(list)
    for path, began, at, _ in came:
        delays[path].append(at - began)
    everybody = [delay for values in delays.values() for delay in values]
    line = {"told": len(came), "p50_ms": milliseconds(everybody, 0.5), "p99_ms": milliseconds(everybody, 0.99), "max_ms": milliseconds(everybody, 1)}
    line |= {"worst_p99_ms": max(milliseconds(values, 0.99) for values in delays.values())}
    deferred = ours.counter("postfleet_webhook_attempts", result="deferred") - deferred
    return line | {"deferred": round(deferred), "cpu_us": round((ours.cpu() - used) / count, 1)}


# What tracing costs --------------------------------------------------------------------------------------------------


def tracing(arguments, folder):
    receiver, nameserver = Receiver(folder, arguments.port), NameServer([])
    collector = {"POSTFLEET_TELEMETRY__OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.port}", "POSTFLEET_TELEMETRY__TRACES_RATIO": "1.0"}
    pair = {}
    for number, (name, environment) in enumerate({"off": {}, "on": collector}.items()):
        pair[name] = Postfleet(arguments, folder, nameserver, arguments.port + 10 + 10 * number, arguments.mailboxes, name, **environment)
    lines = []
    try:
        for number, server in enumerate(pair.values()):
            if arguments.hooked:
                server.webhook(receiver.url(number + 1))
            arrivals(server, receiver, arguments, 1_000)
        for number in range(arguments.rounds):
            for name in list(pair)[:: 1 if number % 2 == 0 else -1]:
                lines.append(show({"system": name} | arrivals(pair[name], receiver, arguments, arguments.messages)))
    finally:
        for system in (*pair.values(), receiver):
            system.stop()
    values = {name: [line["cpu_us"] for line in lines if line["system"] == name] for name in pair}
    ratios = [on / off for on, off in zip(values["on"], values["off"], strict=True)]
    middle = {name: statistics.median(of) for name, of in values.items()}
    show({"figure": "CPU us of an arrival, traced and not", **middle, "ratio": round(statistics.median(ratios), 3)})
    return 0


def arrivals(server, receiver, arguments, count):
    """A turn: messages as fast as they go, and what they cost until everything is told."""
    mark = receiver.mark()
    before = server.cpu()
    options = ["--sessions", 20, "--messages", count, "--size", arguments.octets, "--mailboxes", arguments.mailboxes]
    load("smtp", server.port + 1, *options)
    end = time.monotonic() + 60
    told = lambda: sum(path > 0 for path, *_ in receiver.since(mark))
    while arguments.hooked and told() < count and time.monotonic() < end:
        time.sleep(0.2)
    # Spans leave for the collector in batches, a while later.
    time.sleep(arguments.settle)
    return {"cpu_us": round((server.cpu() - before) / count, 1)}


# ----------------------------------------------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--postfleet", type=Path, default=HERE.parent / "target/release/postfleet")
    common.add_argument("--port", type=int, default=12_700)
    common.add_argument("--folder", default="/var/tmp", help="where everything is made, and removed again")
    common.add_argument("--keep", action="store_true", help="leave the folder, with its logs")

    def part(name, function, rounds, **numbers):
        one = parts.add_parser(name, parents=[common])
        one.set_defaults(function=function)
        if rounds:
            one.add_argument("--rounds", type=int, default=rounds)
        for option, number in numbers.items():
            one.add_argument(f"--{option.replace('_', '-')}", type=int, default=number)
        return one

    one = part("gap", gap, 3, messages=500, gap_us=20_000, octets=10_240, mailboxes=100, warm=100)
    one.add_argument("--python", default=sys.executable, help="an interpreter with peers/python/requirements.txt")
    one = part("fanout", fanout, 3, messages=20_000, octets=700, mailboxes=500)
    one.add_argument("--alone", action="store_true", help="without the peer")
    one = part("isolation", isolation, None, rate=500, seconds=12, mailboxes=100)
    one.add_argument("--modes", default=",".join(MODES), help="of the receiver that fails")
    one = part("tracing", tracing, 8, messages=1_000, octets=10_240, mailboxes=100, settle=6)
    one.add_argument("--hooked", action="store_true", help="with a webhook that is told of every message")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix=f"postfleet-bench-hooks-{arguments.part}-", dir=arguments.folder))
    try:
        return 1 if arguments.function(arguments, folder) else 0
    finally:
        if not arguments.keep:
            subprocess.run(["rm", "-rf", folder], check=False)


if __name__ == "__main__":
    sys.exit(main())
