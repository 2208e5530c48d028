#!/usr/bin/env python3
"""Octets of a row of the ledger of outcomes (send_events) on SQLite, with its indexes and what says whose it is: the size of the file divided by the
rows, after 100,000 messages to one recipient each, accepted and delivered, from 1,000 mailboxes of 10 applications."""

import os
import pathlib
import random
import re
import sqlite3
import tempfile

MESSAGES = 100_000
ROOT = pathlib.Path(__file__).resolve().parent.parent

text = (ROOT / "crates/store/migrations/0001_initial.sql").read_text()
table = re.search(r"CREATE TABLE send_events \(.*?;\n", text, re.S).group(0)
whose = re.search(r"CREATE TABLE send_events_of \(.*?;\n", text, re.S).group(0)
indexes = re.findall(r"CREATE INDEX \w+ ON send_events [^;]*;", text)
for fragment, word in (("{id}", "BLOB"), ("{int}", "INTEGER"), ("{clustered}", "STRICT, WITHOUT ROWID")):
    table, whose = table.replace(fragment, word), whose.replace(fragment, word)
ATTRIBUTE = """INSERT INTO send_events_of (subject_id, id) SELECT application_id, id FROM send_events WHERE id > ?1
    UNION ALL SELECT grant_id, id FROM send_events WHERE id > ?1
    UNION ALL SELECT message_id, id FROM send_events WHERE id > ?1 ORDER BY 1, 2"""


def uuid_v7(micros: int) -> bytes:
    return (micros // 1000).to_bytes(6, "big") + os.urandom(10)


def size(with_indexes, says_whose) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "ledger.db")
        db = sqlite3.connect(path)
        db.execute("PRAGMA page_size = 4096")
        for statement in [table, whose, *with_indexes]:
            db.execute(statement)
        start, random_ids = 1_772_445_600_000_000, random.Random(1)
        organization, applications = uuid_v7(start), [uuid_v7(start) for _ in range(10)]
        grants = [(uuid_v7(start), applications[n % 10], uuid_v7(start), f"agent-{n}@agents.example.com") for n in range(1_000)]
        columns = [line.split()[0] for line in table.splitlines()[1:] if line.startswith("    ")]
        insert = f"INSERT INTO send_events ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        # What is delivered comes a second after what is accepted, between what others send.
        waiting, head = [], bytes(16)
        for number in range(MESSAGES + 100):
            now = start + number * 10_000
            if number < MESSAGES:
                grant, application, workspace, sender = random_ids.choice(grants)
                to = f"person.{random_ids.randrange(10**6)}@customer-{random_ids.randrange(5_000)}.example.net"
                row = dict(organization_id=organization, application_id=application, grant_id=grant,
                           workspace_id=workspace, message_id=uuid_v7(now), thread_id=uuid_v7(now), kind=1, bounce=None,
                           expired=0, late=0, counted=0, number=0, recipient=to, recipient_domain=to.split("@")[1],
                           sender=sender, sender_domain="agents.example.com", status="", reason="")
                waiting.append(row)
                db.execute(insert, [dict(row, id=uuid_v7(now))[column] for column in columns])
            if number >= 100:
                row = dict(waiting[number - 100], id=uuid_v7(now), kind=2, counted=3, number=number, status="2.0.0",
                           reason="250 2.0.0 Ok: queued as 4bXyZ12345")
                db.execute(insert, [row[column] for column in columns])
            if says_whose and (number % 500 == 499 or number == MESSAGES + 99):
                db.execute(ATTRIBUTE, [head])
                head = db.execute("SELECT max(id) FROM send_events").fetchone()[0]
        db.commit()
        rows = db.execute("SELECT count(*) FROM send_events").fetchone()[0]
        db.close()
        return os.path.getsize(path) / rows


whole = size(indexes, True)
print(f"a row with {len(indexes)} indexes and whose it is: {whole:.0f} octets")
print(f"whose it is: {whole - size(indexes, False):.0f} octets")
for index in indexes:
    name = index.split()[2]
    print(f"  {name}: {whole - size([one for one in indexes if one != index], True):.0f} octets")
