#!/usr/bin/env python3
"""Takes notifications, and writes each into a ledger before it answers: what is in the ledger was received, whoever is killed.

A process of its own, so that it can be killed. It listens at the port it is told, and answers challenges. Each line of the ledger is
a receipt: when (by the clock that all processes of the machine share), the event's id, type, mailbox and number, and the attempt.
"""

import asyncio
import json
import os
import sys
import time
from urllib.parse import parse_qs, urlsplit

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: "


class Receiver(asyncio.Protocol):
    """One connection: request after request."""

    def __init__(self, ledger):
        self.ledger, self.given = ledger, b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.given += data
        while (end := self.given.find(b"\r\n\r\n")) >= 0:
            head, start = self.given[:end].decode("latin-1"), end + 4
            length = length_of(head)
            if len(self.given) < start + length:
                return
            body, self.given = self.given[start : start + length], self.given[start + length :]
            answer = self.take(body) if head.startswith("POST ") else challenge_of(head)
            self.transport.write(HEAD + str(len(answer)).encode() + b"\r\n\r\n" + answer)

    def take(self, body):
        told = json.loads(body)
        data = told["data"]
        receipt = (
            time.monotonic(), told["id"], told["type"], data["grant_id"], data["grant_sequence"], told["webhook_delivery_attempt"]
        )
        # Written, and not kept back in this process, before the answer.
        os.write(self.ledger, json.dumps(receipt).encode() + b"\n")
        return b""


def length_of(head):
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return 0


def challenge_of(head):
    return parse_qs(urlsplit(head.split(" ")[1]).query).get("challenge", [""])[0].encode()


async def serve(port, ledger):
    server = await asyncio.get_running_loop().create_server(lambda: Receiver(ledger), "127.0.0.1", port, reuse_address=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)))
