"""Counts everything that the store keeps a counter of, from the rows themselves.

It reads the SQLite file directly, and only after the product has opened and recovered it: the counters must be right
for the product's own reading of the file, and the product must not be the only judge of them. It knows the schema and
the habits of the `ledger` example: nothing is delivered onwards, moved or removed, so every send is still queued.
"""

import sqlite3

DAY = 86_400_000_000

# What is kept, and what it must equal: two selections that have the same rows.
EQUAL = {
    "folder counts": (
        "SELECT grant_id, folder, total, unread FROM folder_counts WHERE total <> 0 OR unread <> 0",
        "SELECT l.grant_id, l.folder, count(*), sum(m.unread) FROM listings l JOIN messages m ON m.id = l.message_id "
        "WHERE l.folder <> '' GROUP BY 1, 2",
    ),
    "storage octets": (
        "SELECT grant_id, storage_octets FROM mailboxes WHERE storage_octets <> 0",
        "SELECT grant_id, sum(octets) FROM messages GROUP BY 1",
    ),
    "daily sends": (
        "SELECT grant_id, day, sent FROM daily_sends WHERE sent <> 0",
        f"SELECT grant_id, date / {DAY}, count(*) FROM messages WHERE outgoing = 1 GROUP BY 1, 2",
    ),
    "messages on their way out": (
        "SELECT message_id, grant_id, blob_id FROM outbound",
        "SELECT id, grant_id, blob_id FROM messages WHERE outgoing = 1",
    ),
    "queue rows": (
        "SELECT message_id, recipients_open FROM outbound",
        "SELECT message_id, count(*) FROM queue GROUP BY 1",
    ),
    "copies of bodies": (
        "SELECT id, copies FROM blobs",
        "SELECT blob_id, count(*) FROM (SELECT blob_id FROM messages UNION ALL SELECT blob_id FROM outbound) GROUP BY 1",
    ),
    "listings": (
        "SELECT grant_id, folder, date, message_id FROM listings",
        "SELECT grant_id, '', date, id FROM messages "
        "UNION ALL SELECT m.grant_id, f.value, m.date, m.id FROM messages m, json_each(m.folders) f",
    ),
    "threads": (
        "SELECT thread_id, grant_id FROM messages GROUP BY 1, 2",
        "SELECT id, grant_id FROM threads",
    ),
    "announcements of messages": (
        "SELECT message_id, grant_id, count(*) FROM events WHERE name = 'message.created' GROUP BY 1, 2",
        "SELECT id, grant_id, 1 FROM messages",
    ),
    "event sequences": (
        "SELECT grant_id, event_sequence, event_sequence FROM mailboxes",
        "SELECT grant_id, max(grant_sequence), count(*) FROM events GROUP BY 1",
    ),
    "event positions": (
        "SELECT position, position FROM event_head WHERE one = 1",
        "SELECT coalesce(max(position), 0), count(*) FROM events",
    ),
    "grants": (
        "SELECT id, grant_count FROM organizations",
        "SELECT a.organization_id, count(*) FROM grants g JOIN applications a ON a.id = g.application_id GROUP BY 1",
    ),
}


def recount(database, queued):
    """What does not add up, as texts. `queued` tells how many recipients each acknowledged message was queued for."""
    connection = sqlite3.connect(database)
    try:
        connection.execute("PRAGMA query_only = ON")
        return list(_check(connection, queued))
    except sqlite3.Error as error:
        return [f"SQLite: {error}"]
    finally:
        connection.close()


def _check(connection, queued):
    for pragma in ("integrity_check", "foreign_key_check"):
        rows = [row for row in connection.execute(f"PRAGMA {pragma}") if row != ("ok",)]
        if rows:
            yield f"{pragma}: {len(rows)} findings, the first {rows[0]}"
    for name, (kept, counted) in EQUAL.items():
        differing = _only_in(connection, kept, counted) + _only_in(connection, counted, kept)
        if differing:
            yield f"{name}: {differing} rows differ"
    rows = dict(connection.execute("SELECT lower(hex(message_id)), count(*) FROM queue GROUP BY 1"))
    differing = sum(rows.get(message.replace("-", ""), 0) != count for message, count in queued.items())
    if differing:
        yield f"recipients of acknowledged messages: {differing} messages differ"


def _only_in(connection, this, that):
    # EXCEPT also folds equal rows, which primary keys and GROUP BY exclude on either side.
    return connection.execute(f"SELECT count(*) FROM (SELECT * FROM ({this}) EXCEPT SELECT * FROM ({that}))").fetchone()[0]
