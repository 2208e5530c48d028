#!/usr/bin/env python3
"""The arithmetic of run.sh: rows from counters, medians and ratios from rows, a verdict on the targets."""

import argparse
import datetime
import json
import os
import platform
import statistics
import sys
import urllib.request
from pathlib import Path

PAGE = 200

# What must hold at least (or at most), and of what it is said.
TARGETS = {
    "inbound, 20 sessions: messages/s, times Postfix": (">=", 5.0),
    "inbound, 20 sessions: CPU per message, of Postfix's": ("<=", 1 / 8),
    "API send, 16 connections, --roles api: accepted/s": (">=", 5000.0),
    "paced send to 250: p50, of Postfix's": ("<=", 1.0),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row", nargs="+", metavar="WORD", help="SYSTEM MEASURE BEFORE AFTER COUNTED LOAD: prints a row")
    parser.add_argument("--mailboxes", nargs=2, metavar=("URL", "KEYFILE"), help="prints the ids of all mailboxes")
    parser.add_argument("--targets", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--size", type=int, default=10240)
    parser.add_argument("--results", type=Path)
    parser.add_argument("rows", type=Path, nargs="?")
    arguments = parser.parse_args()
    if arguments.row:
        print(json.dumps(row(*arguments.row)))
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
    rows = [json.loads(line) for line in arguments.rows.read_text().splitlines()]
    measures = list(dict.fromkeys(made["measure"] for made in rows))
    print(machine(rows))
    print()
    print_table(rows, measures, arguments.size)
    lost = [made for made in rows if made["kept"] < made["accepted"]]
    for made in lost:
        print(f"LOST: {made['system']}, {made['measure']}: accepted {made['accepted']}, kept {made['kept']}")
    verdicts = judge(rows)
    missed = False
    if arguments.targets:
        print()
        for name, value in verdicts.items():
            sign, bound = TARGETS[name]
            met = value is not None and (value >= bound if sign == ">=" else value <= bound)
            missed |= not met
            shown = "not measured" if value is None else f"{value:,.3g}" if value < 100 else f"{value:,.0f}"
            print(f"{'PASS' if met else 'FAIL'}  {name} {sign} {bound:,.4g}: {shown}")
    if arguments.write:
        write(arguments.results, rows, verdicts)
    return 1 if lost or missed else 0


def machine(rows):
    models = [line.split(": ", 1)[1] for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    load = median(rows, "other_load")
    return (
        f"{datetime.date.today()}, {len(models)} x {models[0].strip() if models else platform.machine()}, "
        f"Linux {platform.release()}, REPEAT={max(counts(rows).values())}, "
        f"cores used by everything else (load generator included): {load:.2f}"
    )


def counts(rows):
    found = {}
    for made in rows:
        key = (made["system"], made["measure"])
        found[key] = found.get(key, 0) + 1
    return found


COLUMNS = ("measure", "system", "messages/s", "min..max", "CPU us", "written", "p50 ms", "p99 ms", "end to end p50 / p99 ms")


def print_table(rows, measures, size):
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + " --- |" * len(COLUMNS))
    for measure in measures:
        cells = {}
        for system in ("postfix", "postfleet"):
            some = [made for made in rows if (made["system"], made["measure"]) == (system, measure)]
            if some:
                cells[system] = some
                print(line(measure, system, some, size))
        if len(cells) == 2:
            print(ratio_line(measure, cells["postfix"], cells["postfleet"]))


def line(measure, system, some, size):
    rates = [made["rate"] for made in some]
    written = written_per_message(some)
    shown = f"{written / 1024:.1f} KiB"
    if measure.startswith("inbound"):
        shown += f" ({written / size:.1f}x)"
    ends = [f"{median(some, key):.1f}" if median(some, key) is not None else "" for key in ("end_p50_ms", "end_p99_ms")]
    cells = (
        measure, system, f"{statistics.median(rates):,.0f}", f"{min(rates):,.0f}..{max(rates):,.0f}",
        f"{median(some, 'cpu_us'):,.0f}", shown, f"{median(some, 'p50_ms'):.1f}", f"{median(some, 'p99_ms'):.1f}",
        " / ".join(ends) if ends[0] else "",
    )
    return "| " + " | ".join(cells) + " |"


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


def judge(rows):
    def of(system, measure, key):
        return median([made for made in rows if (made["system"], made["measure"]) == (system, measure)], key)

    def ratio(measure, key):
        ours, theirs = of("postfleet", measure, key), of("postfix", measure, key)
        return ours / theirs if ours is not None and theirs else None

    values = (
        ratio("inbound 20", "rate"),
        ratio("inbound 20", "cpu_us"),
        of("postfleet", "accept", "rate"),
        ratio("paced", "end_p50_ms"),
    )
    return dict(zip(TARGETS, values))


def write(folder, rows, verdicts):
    folder.mkdir(exist_ok=True)
    path = folder / f"{datetime.date.today()}.json"
    content = {"machine": machine(rows), "cores": os.cpu_count(), "targets": verdicts, "rows": rows}
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"\nwritten to {path}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
