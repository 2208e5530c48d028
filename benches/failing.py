#!/usr/bin/env python3
"""Receivers of webhooks that fail, each in its way, at a port of 127.0.0.1 of its own. All of them echo the challenge that
proves that a webhook is wanted; what is posted to them afterwards

    refuse     finds nobody who listens
    hang       is read and not answered
    slow       is answered an octet per second
    error      is answered with 500
    busy       is answered with 429 and Retry-After
    redirect   is answered with 302
    huge       is answered with 200 and a body of 10 GB
    tls        meets a certificate that nobody has signed

    python3 benches/failing.py --certificate FILE --key FILE hang=12345 huge=12346"""

import argparse
import asyncio
import ssl
import urllib.parse

MODES = ["refuse", "hang", "slow", "error", "busy", "redirect", "huge", "tls"]
ANSWERS = {
    "error": b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
    "busy": b"HTTP/1.1 429 Later\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n",
    "redirect": b"HTTP/1.1 302 There\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
}
HUGE = 10 * 1024**3
PIECE = bytes(64 * 1024)


class Failing:
    def __init__(self, mode, port, certificate):
        self.mode, self.port, self.certificate, self.server = mode, port, certificate, None

    async def listen(self, context=None):
        self.server = await asyncio.start_server(self.converse, "127.0.0.1", self.port, ssl=context)

    async def converse(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET "):
                    return await self.echo(head, writer)
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
                await reader.readexactly(int(fields.get(b"content-length", b"0")))
                await self.answer(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def echo(self, head, writer):
        query = urllib.parse.urlsplit(head.split()[1].decode()).query
        challenge = urllib.parse.parse_qs(query)["challenge"][0].encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(challenge), challenge))
        await writer.drain()
        if self.mode in ("refuse", "tls"):
            self.server.close()
        if self.mode == "tls":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.certificate)
            await self.listen(context)

    async def answer(self, writer):
        if self.mode == "slow":
            for octet in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n":
                writer.write(bytes([octet]))
                await writer.drain()
                await asyncio.sleep(1)
        elif self.mode == "huge":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % HUGE)
            for _ in range(HUGE // len(PIECE)):
                writer.write(PIECE)
                await writer.drain()
        elif self.mode in ANSWERS:
            writer.write(ANSWERS[self.mode])
            await writer.drain()
        else:
            await asyncio.sleep(3_600)


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("receivers", nargs="+", metavar="MODE=PORT")
    arguments = parser.parse_args()
    for receiver in arguments.receivers:
        mode, port = receiver.split("=")
        await Failing(mode, int(port), (arguments.certificate, arguments.key)).listen()
    await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
