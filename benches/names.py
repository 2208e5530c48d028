"""A name server of the local machine for benchmarks: answers over UDP from a table, and that a name does not exist otherwise
(RFC 1035). It counts what it is asked."""

import ipaddress
import socket
import struct
import threading

TYPES = {"A": 1, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}
# Seconds that an answer may be remembered.
TTL = 3_600
NO_SUCH_NAME = 3
SOA = 6


def encoded(name):
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def data(kind, value):
    if kind == "A":
        return ipaddress.IPv4Address(value).packed
    if kind == "PTR":
        return encoded(value)
    if kind == "MX":
        return struct.pack("!H", 10) + encoded(value)
    text = value.encode()
    pieces = [text[at : at + 255] for at in range(0, len(text), 255)]
    return b"".join(bytes([len(piece)]) + piece for piece in pieces)


def record(kind, octets):
    """A record of the name that was asked for."""
    return struct.pack("!HHHIH", 0xC00C, kind, 1, TTL, len(octets)) + octets


SOA_DATA = encoded("ns.invalid") + encoded("hostmaster.invalid") + struct.pack("!5I", 1, TTL, TTL, TTL, TTL)


class NameServer:
    """Begins to answer when it is made, on a thread of its own."""

    def __init__(self, records):
        """`records`: name, type and value of each."""
        self.names, self.asked = {}, 0
        for name, kind, value in records:
            answers = self.names.setdefault(name.lower(), {})
            answers.setdefault(TYPES[kind], []).append(data(kind, value))
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            question, client = self.socket.recvfrom(4_096)
            try:
                self.socket.sendto(self.answer(question), client)
                self.asked += 1
            except (IndexError, struct.error, UnicodeDecodeError):
                pass

    def answer(self, question):
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].decode().lower())
            at += 1 + question[at]
        (kind,) = struct.unpack_from("!H", question, at + 1)
        found = self.names.get(".".join(labels))
        answers = (found or {}).get(kind, [])
        # A response with authority, to a question that wished for recursion.
        flags = 0x8580 | (NO_SUCH_NAME if found is None else 0)
        # What is not there is so for as long as the zone says (RFC 2308 §3).
        authority = [] if answers else [record(SOA, SOA_DATA)]
        head = question[:2] + struct.pack("!5H", flags, 1, len(answers), len(authority), 0)
        return head + question[12 : at + 5] + b"".join([record(kind, answer) for answer in answers] + authority)
