#!/usr/bin/env python3
"""The arithmetic of run.sh: rows from counters, medians and ratios from rows, a verdict on the targets."""

import argparse
import datetime
import json
import math
import os
import platform
import statistics
import sys
import urllib.request
from pathlib import Path

PAGE = 200

# What must hold at least (or at most), of what it is said, and which part of run.sh measures it.
TARGETS = {
    "inbound, 20 sessions: messages/s, times Postfix": (">=", 5.0, "inbound"),
    "inbound, 20 sessions: CPU per message, of Postfix's": ("<=", 1 / 8, "inbound"),
    "API send, 16 connections, --roles api: accepted/s": (">=", 5000.0, "api"),
    "API send, 16 connections: accepted/s, times the service of Node.js and PostgreSQL": (">=", 3.0, "peer"),
    "paced send to 250: p50, of Postfix's": ("<=", 1.0, "paced"),
    "others beside a dead destination: p99 end to end, of that without it (at most 2 ms more: 1)": ("<=", 1.25, "dead"),
    "mailboxes made one by one, 16 connections: per second, times PostgreSQL's inserts": (">=", 2.0, "provision"),
    "mailboxes made 1,000 in a call: per second": (">=", 50_000.0, "provision"),
    "octets of memory per idle mailbox": ("<=", 600.0, "fleet"),
    "start of the large fleet until it is ready: ms": ("<=", 150.0, "fleet"),
    "list, first 50: p50 of the large fleet, of the small one's": ("<=", 1.5, "fleet"),
    "find by id: the same": ("<=", 1.5, "fleet"),
    "find by address: the same": ("<=", 1.5, "fleet"),
    "make one more: the same": ("<=", 1.5, "fleet"),
    "sends judged by the policy edited just before: share": (">=", 1.0, "fleet"),
    "sends not judged by the list changed just before, and others": ("<=", 0.0, "rules"),
    "a send just after a change of a long list: p50, ms more than the same send otherwise": ("<=", 5.0, "rules"),
    "the same: p99": ("<=", 5.0, "rules"),
}
# What two p99 may differ by and yet be the same.
DIFFERENCE_MS = 2.0
# The systems in the order of the table; the last is ours, and compared with the other that has the same measure.
SYSTEMS = ("postfix", "postgresql", "node", "postfleet")
TIMED = ("list, first 50", "find by id", "find by address", "make one more", "edit the policy of all")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row", nargs="+", metavar="WORD", help="SYSTEM MEASURE BEFORE AFTER COUNTED LOAD: prints a row")
    parser.add_argument("--mailboxes", nargs=2, metavar=("URL", "KEYFILE"), help="prints the ids of all mailboxes")
    parser.add_argument("--fleet-row", nargs=3, metavar=("MAILBOXES", "MEASURE", "RESULT"), help="prints a row of a fleet")
    parser.add_argument("--dead-row", nargs=3, metavar=("STATE", "WAITING", "RESULT"), help="prints a row beside a dead one")
    parser.add_argument("--pgbench", nargs="+", type=Path, metavar="LOG", help="prints what the load generator would")
    parser.add_argument("--parts", default="inbound paced api peer dead provision fleet rules", help="which parts were measured")
    parser.add_argument("--targets", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--size", type=int, default=10240)
    parser.add_argument("--results", type=Path)
    parser.add_argument("rows", type=Path, nargs="?")
    arguments = parser.parse_args()
    if arguments.row:
        print(json.dumps(row(*arguments.row)))
        return 0
    if arguments.fleet_row:
        mailboxes, measure, result = arguments.fleet_row
        if not result.strip():
            sys.exit(f"{measure}: nothing was measured")
        print(json.dumps({"fleet": int(mailboxes), "measure": measure} | json.loads(result)))
        return 0
    if arguments.dead_row:
        print(json.dumps(dead_row(*arguments.dead_row)))
        return 0
    if arguments.pgbench:
        print(json.dumps(of_pgbench(arguments.pgbench)))
        return 0
    if arguments.mailboxes:
        return print_mailboxes(*arguments.mailboxes)
    return report(arguments)


# One run -----------------------------------------------------------------------------------------------------------


def row(system, measure, before, after, counted, load):
    """`load` is what the load generator said and, for measures with a sink, on a second line what the sink said."""
    before, after = json.loads(before), json.loads(after)
    said = [json.loads(line) for line in load.splitlines()]
    kept = said[1]["distinct"] if counted == "sink" else int(counted)
    seconds = (after["at_ns"] - before["at_ns"]) / 1e9
    cpu = after["cpu_us"] - before["cpu_us"]
    made = {
        "system": system,
        "measure": measure,
        "accepted": said[0]["done"],
        "kept": kept,
        "failures": said[0]["failures"],
        # Only what was kept counts.
        "rate": round(min(kept, said[0]["done"]) / said[0]["seconds"], 1),
        "delivered_rate": round(kept / seconds, 1),
        "p50_ms": said[0].get("p50_ms"),
        "p99_ms": said[0].get("p99_ms"),
        "cpu_us": round(cpu / max(kept, 1), 1),
        "written": after["written"] - before["written"],
        "other_load": round((after["busy_us"] - before["busy_us"] - cpu) / 1e6 / seconds, 2),
    }
    if counted == "sink":
        made |= {"duplicates": said[1]["done"] - kept, "end_p50_ms": said[1].get("p50_ms"), "end_p99_ms": said[1].get("p99_ms")}
    return made


def dead_row(state, waiting, load):
    """Of sends to others; `load` as for `row` with a sink."""
    said, arrived = (json.loads(line) for line in load.splitlines())
    made = {"measure": state, "waiting": int(waiting), "accepted": said["done"], "kept": arrived["distinct"]}
    made |= {"failures": said["failures"], "duplicates": arrived["done"] - arrived["distinct"]}
    made |= {f"{share}_ms": said.get(f"{share}_ms") for share in ("p50", "p99")}
    return made | {f"end_{share}_ms": arrived.get(f"{share}_ms") for share in ("p50", "p99", "max")}


def of_pgbench(logs):
    """A line of its log: client, transaction, microseconds, script, and when it ended as seconds and microseconds."""
    lines = [line.split() for log in logs for line in log.read_text().splitlines()]
    taken = sorted(int(line[2]) for line in lines)
    ends = [int(line[4]) * 1_000_000 + int(line[5]) for line in lines]
    begins = [end - int(line[2]) for end, line in zip(ends, lines)]

    def rank(share):
        return round(taken[max(math.ceil(len(taken) * share), 1) - 1] / 1_000, 3)

    seconds = (max(ends) - min(begins)) / 1e6
    made = {"command": "pgbench", "done": len(lines), "seconds": round(seconds, 3), "rate": round(len(lines) / seconds, 1)}
    return made | {"failures": 0, "p50_ms": rank(0.5), "p99_ms": rank(0.99)}


def print_mailboxes(url, key_file):
    name, _, value = Path(key_file).read_text().strip().partition(": ")
    offset = 0
    while True:
        request = urllib.request.Request(f"{url}/v3/grants?limit={PAGE}&offset={offset}", headers={name: value})
        with urllib.request.urlopen(request, timeout=30) as response:
            page = json.load(response)["data"]
        for mailbox in page:
            print(mailbox["id"])
        if len(page) < PAGE:
            return 0
        offset += PAGE


# All runs ----------------------------------------------------------------------------------------------------------


def report(arguments):
    everything = [json.loads(line) for line in arguments.rows.read_text().splitlines()]
    rows = [made for made in everything if "system" in made]
    fleets = [made for made in everything if "fleet" in made]
    lists = [made for made in everything if "list" in made]
    dead = [made for made in everything if "waiting" in made]
    measures = list(dict.fromkeys(made["measure"] for made in rows))
    print(machine(everything))
    if rows:
        print()
        print_table(rows, measures, arguments.size)
    if fleets:
        print()
        print_fleets(fleets)
    if lists:
        print()
        print_lists(lists)
    if dead:
        print()
        print_dead(dead)
    lost = [made for made in rows + dead if made["kept"] < made["accepted"]]
    for made in lost:
        print(f"LOST: {made.get('system', 'postfleet')}, {made['measure']}: accepted {made['accepted']}, kept {made['kept']}")
    verdicts = {name: value for name, value in judge(rows, fleets, lists, dead).items() if TARGETS[name][2] in arguments.parts.split()}
    missed = False
    if arguments.targets:
        print()
        for name, value in verdicts.items():
            sign, bound, _ = TARGETS[name]
            met = value is not None and (value >= bound if sign == ">=" else value <= bound)
            missed |= not met
            shown = "not measured" if value is None else f"{value:,.3g}" if value < 100 else f"{value:,.0f}"
            print(f"{'PASS' if met else 'FAIL'}  {name} {sign} {bound:,.4g}: {shown}")
    if arguments.write:
        write(arguments.results, everything, verdicts)
    return 1 if lost or missed else 0


def machine(rows):
    models = [line.split(": ", 1)[1] for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    load = median(rows, "other_load")
    others = "" if load is None else f", cores used by everything else (load generator included): {load:.2f}"
    return (
        f"{datetime.date.today()}, {len(models)} x {models[0].strip() if models else platform.machine()}, "
        f"Linux {platform.release()}, REPEAT={repeats(rows)}{others}"
    )


def repeats(rows):
    """How often the measure that was made least often was made."""
    found = {}
    for made in rows:
        key = (made.get("system", "fleet"), made["measure"], made.get("fleet", made.get("list", made.get("waiting"))))
        found[key] = found.get(key, 0) + 1
    return min(found.values())


COLUMNS = ("measure", "system", "per second", "min..max", "CPU us", "written", "p50 ms", "p99 ms", "end to end p50 / p99 ms")


def print_table(rows, measures, size):
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + " --- |" * len(COLUMNS))
    for measure in measures:
        cells = {}
        for system in SYSTEMS:
            some = [made for made in rows if (made["system"], made["measure"]) == (system, measure)]
            if some:
                cells[system] = some
                print(line(measure, system, some, size))
        if len(cells) == 2:
            print(ratio_line(measure, *cells.values()))


def line(measure, system, some, size):
    rates = [made["rate"] for made in some]
    written = written_per_message(some)
    shown = f"{written / 1024:.1f} KiB"
    if measure.startswith("inbound"):
        shown += f" ({written / size:.1f}x)"
    p50, p99, *ends = [milliseconds(median(some, key)) for key in ("p50_ms", "p99_ms", "end_p50_ms", "end_p99_ms")]
    cells = (
        measure, system, f"{statistics.median(rates):,.0f}", f"{min(rates):,.0f}..{max(rates):,.0f}",
        f"{median(some, 'cpu_us'):,.0f}", shown, p50, p99,
        " / ".join(ends) if ends[0] else "",
    )
    return "| " + " | ".join(cells) + " |"


def milliseconds(value):
    return "" if value is None else f"{value:.1f}"


def print_fleets(fleets):
    """What the size of a fleet costs, side by side."""
    sizes = sorted({made["fleet"] for made in fleets})
    small, large = sizes[-2:] if len(sizes) > 1 else (sizes[0], sizes[0])
    print("| measure | " + " | ".join(f"{size:,} mailboxes" for size in sizes) + " | ratio of the last two |")
    print("|" + " --- |" * (len(sizes) + 2))
    lines = [("start until ready, ms", "start", "start_ms", 1), ("memory, MiB", "start", "rss", 1 << 20)]
    lines += [(f"{name}, p50 ms", name, "p50_ms", 1) for name in TIMED]
    for title, measure, key, unit in lines:
        values = {size: of_fleet(fleets, size, measure, key) for size in sizes}
        cells = ["" if value is None else f"{value / unit:,.3g}" for value in values.values()]
        print(f"| {title} | " + " | ".join(cells) + f" | {times(values[large], values[small])} |")


def print_lists(lists):
    """What a change of a long list costs the next send."""
    print(f"| a list of {lists[0]['list']:,} items | p50 ms | p99 ms |\n| --- | --- | --- |")
    for title, key in (
        ("the change: one item added or removed", "change"),
        ("next send, to what was just added: refused", "blocked_next"),
        ("the same without a change", "blocked_plain"),
        ("next send, to what was just removed: accepted", "accepted_next"),
        ("the same without a change", "accepted_plain"),
    ):
        print(f"| {title} | {median(lists, f'{key}_p50_ms'):.2f} | {median(lists, f'{key}_p99_ms'):.2f} |")


def print_dead(dead):
    """Sends to others, beside a destination behind which very much waits."""
    print("| the dead destination | waiting for it | p50 ms | p99 ms | end to end p50 ms | p99 ms | max ms |")
    print("|" + " --- |" * 7)
    keys = ("p50_ms", "p99_ms", "end_p50_ms", "end_p99_ms", "end_max_ms")
    for state, pair in dead_pairs(dead).items():
        for waiting, some in pair.items():
            cells = [f"{median(some, key):,.2f}" for key in keys]
            print(f"| {state} | {waiting:,} | " + " | ".join(cells) + " |")
        without, beside = pair.values()
        print(f"| {state} | ratio | " + " | ".join(times(median(beside, key), median(without, key)) for key in keys) + " |")


def dead_pairs(dead):
    """For each state the rows without and with what waits, in this order."""
    pairs = {}
    for made in sorted(dead, key=lambda made: made["waiting"]):
        pairs.setdefault(made["measure"], {}).setdefault(made["waiting"], []).append(made)
    return pairs


def of_fleet(fleets, size, measure, key):
    return median([made for made in fleets if (made["fleet"], made["measure"]) == (size, measure)], key)


def ratio_line(measure, theirs, ours):
    def of(key):
        return times(median(ours, key), median(theirs, key))

    written = times(written_per_message(ours), written_per_message(theirs))
    cells = (measure, "ratio", of("rate"), "", of("cpu_us"), written, of("p50_ms"), of("p99_ms"), of("end_p50_ms"))
    return "| " + " | ".join(cells) + " |"


def times(value, base):
    return f"{value / base:.2f}x" if value is not None and base else ""


def written_per_message(rows):
    """Of all runs together: what is moved from log to database now and then falls into one run or another."""
    return sum(made["written"] for made in rows) / max(sum(made["kept"] for made in rows), 1)


def median(rows, key):
    values = [made[key] for made in rows if made.get(key) is not None]
    return statistics.median(values) if values else None


def judge(rows, fleets, lists, dead):
    """In the order of the targets."""

    def of(system, measure, key):
        return median([made for made in rows if (made["system"], made["measure"]) == (system, measure)], key)

    def ratio(measure, key, other="postfix"):
        ours, theirs = of("postfleet", measure, key), of(other, measure, key)
        return ours / theirs if ours is not None and theirs else None

    values = (
        ratio("inbound 20", "rate"),
        ratio("inbound 20", "cpu_us"),
        of("postfleet", "accept", "rate"),
        ratio("accept", "rate", "node"),
        ratio("paced", "end_p50_ms"),
        judge_dead(dead),
        ratio("provision 1", "rate", "postgresql"),
        of("postfleet", "provision 1000", "rate"),
        *judge_fleets(fleets),
        *judge_lists(lists),
    )
    return dict(zip(TARGETS, values, strict=True))


def judge_dead(dead):
    """The worst state. A difference that is smaller than what a busy disk makes of a p99 is none."""
    ratios = []
    for without, beside in (pair.values() for pair in dead_pairs(dead).values()):
        without, beside = median(without, "end_p99_ms"), median(beside, "end_p99_ms")
        ratios.append(1.0 if beside - without <= DIFFERENCE_MS else beside / without)
    return max(ratios, default=None)


def judge_fleets(fleets):
    sizes = sorted({made["fleet"] for made in fleets})
    if len(sizes) < 3 or sizes[0] != 0:
        return [None] * 7
    _, few, many = sizes
    memory = [of_fleet(fleets, size, "start", "rss") for size in (0, many)]
    ratios = [
        of_fleet(fleets, many, measure, "p50_ms") / of_fleet(fleets, few, measure, "p50_ms") for measure in TIMED[:4]
    ]
    edits = [made for made in fleets if made["measure"] == TIMED[4] and made["fleet"] == many]
    judged = sum(made["judged"] for made in edits) / sum(made["done"] for made in edits)
    return [(memory[1] - memory[0]) / many, of_fleet(fleets, many, "start", "start_ms"), *ratios, judged]


def judge_lists(lists):
    """Of both kinds of send the one that took longer."""
    if not lists:
        return [None] * 3
    extra = (max(median(lists, f"{name}_extra_p{share}_ms") for name in ("blocked", "accepted")) for share in (50, 99))
    return [sum(made["wrong"] for made in lists), *extra]


def write(folder, rows, verdicts):
    folder.mkdir(exist_ok=True)
    path = folder / f"{datetime.date.today()}.json"
    content = {"machine": machine(rows), "cores": os.cpu_count(), "targets": verdicts, "rows": rows}
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"\nwritten to {path}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
