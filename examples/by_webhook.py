#!/usr/bin/env python3
"""An agent that answers mail, told of it by a webhook: for programs that the server can reach.

Call: by_webhook.py PORT [URL under which the server reaches that port]
"""

import hashlib
import hmac
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from agent import answer
from nylas import Client


class Receiver(BaseHTTPRequestHandler):
    """Echoes the challenge by which the server sees that this is wanted, and takes notifications that are signed."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.reply(200, parse_qs(urlsplit(self.path).query).get("challenge", [""])[0].encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.knows_its_secret.wait()
        expected = hmac.new(self.server.secret.encode(), body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, self.headers.get("X-Nylas-Signature", "")):
            return self.reply(401)
        try:
            answer(self.server.nylas, json.loads(body))
        except Exception as error:  # noqa: BLE001
            # Whoever does not say 200 is told again.
            print(f"not answered: {error}", file=sys.stderr)
            return self.reply(503)
        self.reply(200)

    def reply(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main():
    port = int(sys.argv[1])
    url = sys.argv[2] if len(sys.argv) > 2 else f"http://127.0.0.1:{port}/mail"
    receiver = ThreadingHTTPServer(("127.0.0.1", port), Receiver)
    receiver.nylas = Client(os.environ["KEY"], os.environ["API"])
    # It must answer the challenge before it knows its secret.
    receiver.knows_its_secret = threading.Event()
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    request = {"trigger_types": ["message.created"], "webhook_url": url, "description": "an agent that answers"}
    webhook = receiver.nylas.webhooks.create(request).data
    receiver.secret = webhook.webhook_secret
    receiver.knows_its_secret.set()
    print(f"answering what comes by webhook {webhook.id}", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        receiver.nylas.webhooks.destroy(webhook.id)


if __name__ == "__main__":
    main()
