"""Takes mail by SMTP and tells a webhook of each message, as one would build it from the usual parts: aiosmtpd, a pool of
connections to PostgreSQL, aiohttp. A message and what is to be told of it are committed together before the 250; a task of
the same process tells it, and forgets it when it was answered with success, so that each is told at least once.

    DATABASE_URL=postgres://... PORT=... WEBHOOK_URL=http://127.0.0.1:... python3 receive.py"""

import asyncio
import email
import email.policy
import json
import os
import signal

import aiohttp
import asyncpg
from aiosmtpd.smtp import SMTP

BATCH, AT_ONCE, BACKLOG = 100, 64, 512
# Seconds after which it is looked for what is to be told without a reason to.
LOOK_AGAIN = 1

SCHEMA = """
    CREATE TABLE messages (
        id bigserial PRIMARY KEY, mailbox text NOT NULL, sender text NOT NULL, subject text NOT NULL, message_id text NOT NULL,
        received_at timestamptz NOT NULL DEFAULT now(), unread boolean NOT NULL DEFAULT true, raw bytea NOT NULL);
    CREATE INDEX messages_by_mailbox ON messages (mailbox, received_at DESC);
    CREATE TABLE outbox (id bigserial PRIMARY KEY, payload text NOT NULL)"""
KEEP = "INSERT INTO messages (mailbox, sender, subject, message_id, raw) VALUES ($1, $2, $3, $4, $5) RETURNING id"
ANNOUNCE = "INSERT INTO outbox (payload) VALUES ($1)"
# Rows that another worker tells are left to it.
CLAIM = f"SELECT id, payload FROM outbox ORDER BY id LIMIT {BATCH} FOR UPDATE SKIP LOCKED"
FORGET = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"


class Mailboxes:
    """What aiosmtpd calls."""

    def __init__(self, pool, something_new):
        self.pool, self.something_new = pool, something_new

    async def handle_DATA(self, _server, _session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        subject, message_id = str(message["subject"]), str(message["message-id"])
        async with self.pool.acquire() as connection, connection.transaction():
            for recipient in envelope.rcpt_tos:
                row = await connection.fetchval(KEEP, recipient, envelope.mail_from, subject, message_id, envelope.content)
                told = {"type": "message.created", "id": row, "mailbox": recipient, "subject": subject, "message_id": message_id}
                await connection.execute(ANNOUNCE, json.dumps(told))
        self.something_new.set()
        return "250 taken"


async def tell(pool, something_new, url):
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as client:

        async def post(row):
            try:
                async with client.post(url, data=row["payload"], headers=headers) as answer:
                    return row["id"] if answer.status < 300 else None
            except aiohttp.ClientError:
                return None

        while True:
            something_new.clear()
            async with pool.acquire() as connection, connection.transaction():
                rows = await connection.fetch(CLAIM)
                told = [row for row in await asyncio.gather(*map(post, rows)) if row is not None]
                if told:
                    await connection.execute(FORGET, told)
            if not told:
                try:
                    await asyncio.wait_for(something_new.wait(), LOOK_AGAIN)
                except TimeoutError:
                    pass


async def main():
    loop, something_new, end = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, end.set)
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=4, max_size=20)
    await pool.execute(SCHEMA)
    handler = Mailboxes(pool, something_new)
    make = lambda: SMTP(handler, hostname="peer.bench.example", loop=loop)
    server = await loop.create_server(make, "127.0.0.1", int(os.environ["PORT"]), backlog=BACKLOG)
    teller = asyncio.create_task(tell(pool, something_new, os.environ["WEBHOOK_URL"]))
    await asyncio.wait([teller, asyncio.create_task(end.wait())], return_when=asyncio.FIRST_COMPLETED)
    server.close()
    teller.cancel()


asyncio.run(main())
