"""A name server that answers what a test put into it, so that domains can be verified without the internet."""

import socket
import struct
import threading

A, NS, CNAME, SOA, MX, TXT = 1, 2, 5, 6, 15, 16


def encoded(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split(".") if label) + b"\0"


def text(value):
    """TXT data: strings of at most 255 octets."""
    octets = value.encode()
    pieces = [octets[at : at + 255] for at in range(0, len(octets), 255)] or [b""]
    return b"".join(bytes([len(piece)]) + piece for piece in pieces)


class Names:
    """Authoritative for everything, over UDP and TCP; what it does not know does not exist. Nothing may be cached."""

    def __init__(self):
        self.records = {}
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        while True:
            self.udp.bind(("127.0.0.1", 0))
            self.port = self.udp.getsockname()[1]
            self.tcp = socket.socket()
            try:
                self.tcp.bind(("127.0.0.1", self.port))
                break
            except OSError:
                self.tcp.close()
                self.udp.close()
                self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.tcp.listen()
        for serve in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def publish(self, name, kind, value):
        """Adds a record: TXT "text", MX "10 host." or "host", CNAME "host", A "address"."""
        if kind == "TXT":
            data = (TXT, text(value))
        elif kind == "MX":
            preference, _, host = value.rpartition(" ")
            data = (MX, struct.pack(">H", int(preference or 10)) + encoded(host))
        elif kind == "CNAME":
            data = (CNAME, encoded(value))
        elif kind == "A":
            data = (A, socket.inet_aton(value))
        else:
            raise ValueError(f"no record of kind {kind}")
        self.records.setdefault(name.rstrip(".").lower(), []).append(data)

    def forget(self, name):
        self.records.pop(name.rstrip(".").lower(), None)

    def close(self):
        self.udp.close()
        self.tcp.close()

    def _answer(self, query):
        number, flags = struct.unpack(">HH", query[:4])
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode("latin-1"))
            at += 1 + query[at]
        kind = struct.unpack(">H", query[at + 1 : at + 3])[0]
        question = query[12 : at + 5]
        known = self.records.get(".".join(labels).lower())
        found = [record for record in known or [] if record[0] in (kind, CNAME)]
        head = struct.pack(">HHHHHH", number, 0x8400 | (flags & 0x0100) | 0x80 | (0 if known else 3), 1, len(found), 0, 0)
        body = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", of, 1, 0, len(data)) + data for of, data in found)
        return head + question + body

    def _serve_udp(self):
        while True:
            try:
                query, client = self.udp.recvfrom(4096)
                answer = self._answer(query)
                if len(answer) > 1200:
                    # Cut off after the question, with the bit that asks to come back over TCP.
                    question = len(query[12:].split(b"\0", 1)[0]) + 5
                    answer = answer[:2] + bytes([answer[2] | 2]) + answer[3:6] + bytes(6) + answer[12 : 12 + question]
                self.udp.sendto(answer, client)
            except (OSError, IndexError, struct.error):
                if self.udp.fileno() < 0:
                    return

    def _serve_tcp(self):
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection):
        with connection, connection.makefile("rb") as reader:
            while len(size := reader.read(2)) == 2:
                answer = self._answer(reader.read(struct.unpack(">H", size)[0]))
                connection.sendall(struct.pack(">H", len(answer)) + answer)
