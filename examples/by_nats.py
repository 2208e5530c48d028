#!/usr/bin/env python3
"""An agent that answers mail, told of it by NATS JetStream: for several programs that share the work.

Call: by_nats.py NATS-URL. All that run are one consumer group: each message is answered by one of them.
"""

import asyncio
import json
import os
import sys

import nats
from agent import answer
from nylas import Client

STREAM, SUBJECT, GROUP = "POSTFLEET_EVENTS", "postfleet.events.*.*.message.created", "answerers"


async def main():
    nylas = Client(os.environ["KEY"], os.environ["API"])
    connection = await nats.connect(sys.argv[1])
    work = await connection.jetstream().pull_subscribe(SUBJECT, durable=GROUP, stream=STREAM)
    print("answering what comes by NATS", flush=True)
    while True:
        try:
            told = await work.fetch(batch=10, timeout=30)
        except nats.errors.TimeoutError:
            continue
        for one in told:
            try:
                await asyncio.to_thread(answer, nylas, json.loads(one.data))
            except Exception as error:  # noqa: BLE001
                # What is not acknowledged comes again, to this program or to another.
                print(f"not answered: {error}", file=sys.stderr)
                await one.nak(delay=5)
            else:
                await one.ack()


if __name__ == "__main__":
    asyncio.run(main())
