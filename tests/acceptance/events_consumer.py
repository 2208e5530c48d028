#!/usr/bin/env python3
"""Reads the stream of events from NATS, and writes what it is given into ledgers: `heard` and `worked`, or `stream`.

A process of its own, so that it can be killed, and that goes on by itself when NATS is back or has nothing more. Two read all the
time. One is by place: it asks for what is behind the last that it wrote down, and a little before that, so that what the stream has
in those places now is seen again. The other takes as one of a group does, and acknowledges once it has written. With a folder and
`stream`, what is there is read once from its beginning, and it ends.

Each line is a message: when (by the clock that all processes of the machine share), which stream it was (when that was made) and its place there,
the event's id, type, mailbox and number, its place in the log, and the id under which NATS knows it.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

import nats
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

STREAM, SUBJECTS, WORKER = "POSTFLEET_EVENTS", "postfleet.events.>", "ledger"
# How many messages are read again on each connection; after how many seconds what was not acknowledged is given again.
AGAIN, ACK_WAIT = 20, 2
# Messages that are asked for at once.
AT_ONCE = 500
# Octets that a line has at most.
LINE_MAX = 4096
# Seconds between two attempts or two questions whether a connection still stands, and that an answer may take.
PAUSE, ANSWER = 0.05, 5
# The client throws away what it cannot keep: it keeps all.
UNLIMITED = {"pending_msgs_limit": 0, "pending_bytes_limit": 0}
AWAY = (OSError, asyncio.TimeoutError, nats.errors.Error)


class Ledger:
    """What was given, line by line, and where in which stream the last of it was."""

    def __init__(self, path):
        self.source, self.place = None, 0
        if path.exists() and (last := last_line(path)):
            self.source, self.place = json.loads(last)[1:3]
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, source, message):
        """Written, and not kept back in this process, when this is over."""
        line = line_of(source, message)
        os.write(self.file, json.dumps(line).encode() + b"\n")
        _, self.source, self.place, *_ = line


def last_line(path):
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - LINE_MAX))
        return file.read().rstrip(b"\n").rpartition(b"\n")[2]


def line_of(source, message):
    told, place = json.loads(message.data), message.metadata.sequence.stream
    data, headers = told["data"], message.headers
    position = int(headers["Postfleet-Position"])
    event = told["id"], told["type"], data["grant_id"], data["grant_sequence"]
    return time.monotonic(), source, place, *event, position, headers["Nats-Msg-Id"]


async def quiet(error):
    """NATS is away on purpose: that need not be reported."""
    if not isinstance(error, AWAY):
        print(f"the consumer: {error!r}", file=sys.stderr, flush=True)


class Connection:
    """One to NATS, as long as it lasts, and the stream that is there then."""

    def __init__(self, url):
        self.url = url

    async def __aenter__(self):
        self.client = await nats.connect(self.url, allow_reconnect=False, connect_timeout=ANSWER, error_cb=quiet)
        self.js = self.client.jetstream(timeout=ANSWER)
        try:
            info = await self.js.stream_info(STREAM)
        except BaseException:
            await self.client.close()
            raise
        self.source, self.messages = info.created.isoformat(), info.state.messages
        return self

    async def __aexit__(self, *_):
        await self.client.close()

    async def lost(self):
        """Asked again and again: the client does not say so where it was lost while an acknowledgement was written."""
        while not self.client.is_closed:
            await asyncio.sleep(PAUSE)

    async def behind(self, place, take):
        """Gives whatever is behind a place, and nothing twice."""
        config = ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=place + 1, ack_policy=AckPolicy.NONE)
        await self.js.subscribe(SUBJECTS, stream=STREAM, config=config, cb=take, **UNLIMITED)


async def for_ever(url, ledger, one):
    """Reads in one way, on connection after connection."""
    while True:
        try:
            async with Connection(url) as connection:
                await one(connection, ledger)
                await connection.lost()
        except AWAY:
            pass
        await asyncio.sleep(PAUSE)


async def by_place(connection, ledger):
    async def take(message):
        ledger.write(connection.source, message)

    known = ledger.place if ledger.source == connection.source else 0
    await connection.behind(max(0, known - AGAIN), take)


async def by_acknowledging(connection, ledger):
    async def take(message):
        ledger.write(connection.source, message)
        await message.ack()

    config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, deliver_policy=DeliverPolicy.ALL, ack_wait=ACK_WAIT)
    await connection.js.subscribe(SUBJECTS, stream=STREAM, durable=WORKER, config=config, cb=take, manual_ack=True, **UNLIMITED)


async def once(url, ledger):
    """Everything that is there, from the beginning: no more at once than is asked for, since NATS gives up who does not keep pace."""
    async with Connection(url) as connection:
        config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, deliver_policy=DeliverPolicy.ALL)
        reader, left = await connection.js.pull_subscribe(SUBJECTS, stream=STREAM, config=config), connection.messages
        while left > 0:
            for message in await reader.fetch(min(left, AT_ONCE), timeout=ANSWER):
                ledger.write(connection.source, message)
                await message.ack()
                left -= 1


async def main(url, folder, *how):
    if how == ("stream",):
        return await once(url, Ledger(folder / "stream"))
    return await asyncio.gather(
        for_ever(url, Ledger(folder / "heard"), by_place), for_ever(url, Ledger(folder / "worked"), by_acknowledging)
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]))
