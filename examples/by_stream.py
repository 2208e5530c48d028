#!/usr/bin/env python3
"""An agent that answers mail, told of it by a stream of server-sent events: for programs that nobody can reach from outside.

Call: by_stream.py FILE. In the file is where it has come to: started again, it goes on there, and misses nothing.
"""

import json
import os
import sys
import time
from pathlib import Path

import requests
from agent import answer
from nylas import Client


def events(url, key, place):
    """Events behind a place, each with the place behind it, for as long as the server keeps the stream open."""
    headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream", **({"Last-Event-ID": place} if place else {})}
    with requests.get(f"{url}/v3/events/stream?types=message.created", headers=headers, stream=True, timeout=60) as response:
        response.raise_for_status()
        print("answering what comes by stream", flush=True)
        fields = {}
        for line in response.iter_lines(decode_unicode=True):
            if line:
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
            else:
                if "id" in fields:
                    yield fields["id"], json.loads(fields.get("data") or "null")
                fields = {}


def main():
    file, key, url = Path(sys.argv[1]), os.environ["KEY"], os.environ["API"]
    nylas = Client(key, url)
    while True:
        try:
            for place, notification in events(url, key, file.read_text() if file.exists() else None):
                if notification:
                    answer(nylas, notification)
                # After the answer: what was read and not answered comes again.
                file.write_text(place)
        except (requests.RequestException, OSError) as error:
            print(f"the stream has ended: {error}", file=sys.stderr)
        time.sleep(1)


if __name__ == "__main__":
    main()
