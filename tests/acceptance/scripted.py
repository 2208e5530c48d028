"""An SMTP server that does what a script says, and the names and certificates that lead to it.

A script maps stages to what happens there: `banner`, `EHLO`, `HELO`, `STARTTLS`, `handshake`, `MAIL`, `RCPT`,
`RCPT <address>`, `DATA`, `content` (within the message), `end` (after the last dot), `RSET` and `QUIT`. One action holds
every time; a list holds once each, and then the server behaves. What is not in the script is answered as it should be.
"""

import datetime
import hashlib
import re
import socket
import ssl
import struct
import threading
from dataclasses import dataclass, field
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from harness import PATIENCE

# What can happen at a stage ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Say:
    """These octets, as they are; piecemeal in packets of one octet."""

    octets: bytes
    piecemeal: bool = False


def reply(*lines):
    """One reply of these lines: `reply("450 4.2.0 later")`, or with a hyphen in all lines but the last."""
    return Say("".join(f"{line}\r\n" for line in lines).encode())


@dataclass(frozen=True)
class Drop:
    """The connection is closed."""


@dataclass(frozen=True)
class Reset:
    """The connection is torn down (RST)."""


@dataclass(frozen=True)
class Hold:
    """Nothing until the test sets the event; without one, until the client has had enough."""

    until: threading.Event = None


@dataclass(frozen=True)
class Flood:
    """These octets again and again, for as long as the client reads."""

    octets: bytes


@dataclass(frozen=True)
class Drip:
    """These octets, one after each pause: lively, and never done."""

    octets: bytes
    seconds: float


class Gone(Exception):
    """The conversation is over."""


# The server ----------------------------------------------------------------------------------------------------------


@dataclass
class Received:
    """A message that came to its last dot, whatever was said then."""

    sender: str
    recipients: list
    raw: bytes
    parameters: str
    is_encrypted: bool


@dataclass
class Scripted:
    """A server on an address of its own. `context` (of `Authority.context`) makes it offer STARTTLS."""

    address: str
    port: int
    script: dict = field(default_factory=dict)
    offer: tuple = ("PIPELINING", "8BITMIME", "SIZE 50000000")
    context: ssl.SSLContext = None
    name: str = "mx.remote.test"
    received: list = field(default_factory=list)
    # What clients said outside of messages, by connection.
    connections: list = field(default_factory=list)
    # Octets that were taken from us, by a client that does not know when to stop.
    flooded: int = 0

    def start(self):
        self.lock = threading.Lock()
        self.open = set()
        self.listener = socket.create_server((self.address, self.port), backlog=64)
        # A small window: a client cannot have sent all of a large message before we have looked at any of it.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def close(self):
        self.listener.close()
        with self.lock:
            for connection in self.open:
                connection.close()

    def said(self, verb):
        """All lines of clients that begin so."""
        return [line for lines in self.connections for line in lines if line.upper().startswith(verb)]

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.open.add(connection)
                self.connections.append([])
                conversation = Conversation(self, connection, self.connections[-1])
            threading.Thread(target=conversation.run, daemon=True).start()

    def next_at(self, *stages):
        """What the script says for the first of these stages that it knows; nothing if it has no more to say."""
        with self.lock:
            for stage in stages:
                planned = self.script.get(stage)
                if isinstance(planned, list):
                    planned = planned.pop(0) if planned else None
                if planned is not None:
                    return planned if isinstance(planned, tuple) else (planned,)
        return None


class Conversation:
    """One connection."""

    def __init__(self, server, connection, lines):
        self.server, self.socket, self.lines = server, connection, lines
        self.buffer = b""
        self.is_encrypted = False
        self.begin()

    def begin(self):
        self.sender, self.recipients, self.parameters = None, [], ""

    def run(self):
        original = self.socket
        try:
            self.at("banner", default=f"220 {self.server.name} ESMTP")
            while self.command(self.line()):
                pass
        except (Gone, OSError):
            pass
        finally:
            with self.server.lock:
                self.server.open.discard(original)
            self.socket.close()

    def at(self, *stages, default):
        """Plays a stage; tells whether what was said means yes."""
        actions = self.server.next_at(*stages)
        if actions is None:
            actions = (reply(*default.split("\n")),)
        for action in actions:
            self.do(action)
        first = actions[0]
        return isinstance(first, Hold) or isinstance(first, Say) and first.octets[:1] in b"23"

    def do(self, action):
        match action:
            case Say(octets, piecemeal):
                for piece in [octets[i : i + 1] for i in range(len(octets))] if piecemeal else [octets]:
                    self.socket.sendall(piece)
            case Drop():
                raise Gone
            case Reset():
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                raise Gone
            case Hold(None):
                while self.socket.recv(1 << 16):
                    pass
                raise Gone
            case Hold(until):
                assert until.wait(PATIENCE)
            case Flood(octets):
                while self.server.flooded < 1 << 30:
                    self.server.flooded += self.socket.send(octets)
            case Drip(octets, seconds):
                for octet in octets:
                    self.socket.sendall(bytes([octet]))
                    threading.Event().wait(seconds)

    def read(self):
        octets = self.socket.recv(1 << 16)
        if not octets:
            raise Gone
        self.buffer += octets

    def line(self):
        while b"\n" not in self.buffer:
            self.read()
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode("utf-8", "replace").rstrip("\r")

    def command(self, line):
        """Answers a command; false ends the conversation."""
        self.lines.append(line)
        verb = line.split(" ", 1)[0].upper()
        match verb:
            case "EHLO":
                self.begin()
                self.at("EHLO", default=self.hello())
            case "HELO":
                self.begin()
                self.at("HELO", default=f"250 {self.server.name}")
            case "STARTTLS" if self.server.context:
                if self.at("STARTTLS", default="220 2.0.0 go ahead"):
                    self.encrypt()
            case "MAIL":
                if self.at("MAIL", default="250 2.1.0 ok"):
                    self.begin()
                    self.sender, self.parameters = re.match(r"MAIL FROM:<(.*)>(.*)", line, re.I).groups()
            case "RCPT":
                address = re.match(r"RCPT TO:<(.*)>", line, re.I).group(1)
                wants = self.sender is not None
                if self.at(f"RCPT {address}", "RCPT", default="250 2.1.5 ok" if wants else "503 5.5.1 MAIL first") and wants:
                    self.recipients.append(address)
            case "DATA":
                if self.at("DATA", default="354 go on" if self.recipients else "554 5.5.1 no valid recipients"):
                    self.content()
            case "RSET":
                self.begin()
                self.at("RSET", default="250 2.0.0 ok")
            case "QUIT":
                self.at("QUIT", default="221 2.0.0 bye")
                return False
            case _:
                self.do(reply("502 5.5.1 no such command"))
        return True

    def hello(self):
        offer = [*self.server.offer, *(["STARTTLS"] if self.server.context and not self.is_encrypted else [])]
        lines = [self.server.name, *offer]
        return "\n".join([*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}"])

    def encrypt(self):
        if (actions := self.server.next_at("handshake")) is not None:
            # Once the client has begun with it.
            self.socket.recv(1, socket.MSG_PEEK)
            for action in actions:
                self.do(action)
        self.socket = self.server.context.wrap_socket(self.socket, server_side=True)
        self.is_encrypted, self.buffer = True, b""

    def content(self):
        within = self.server.next_at("content")
        if within is not None:
            if not self.buffer:
                self.read()
            for action in within:
                self.do(action)
        pieces, tail = [], b"\r\n"
        while b"\r\n.\r\n" not in tail + self.buffer:
            pieces.append(self.buffer)
            tail, self.buffer = (tail + self.buffer)[-4:], b""
            self.read()
        whole, self.buffer = (b"\r\n" + b"".join(pieces) + self.buffer).split(b"\r\n.\r\n", 1)
        raw = (whole + b"\r\n").replace(b"\r\n.", b"\r\n")[2:]
        if self.sender is not None and self.recipients:
            received = Received(self.sender, self.recipients, raw, self.parameters, self.is_encrypted)
            self.server.received.append(received)
        self.begin()
        self.at("end", default="250 2.0.0 taken")


# Certificates --------------------------------------------------------------------------------------------------------


class Authority:
    """Signs certificates that nobody else trusts."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "An authority of tests")])

    def context(self, host, is_over=False, is_self_signed=False, is_old=False, is_mutual=False):
        """What a server of that name shows, and which clients it wants to talk to. Its `certificate` is in DER, `path` its file."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
        now = datetime.datetime.now(datetime.UTC)
        begins, ends = (-20, -10) if is_over else (-1, 10)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name if is_self_signed else self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=begins))
            .not_valid_after(now + datetime.timedelta(days=ends))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .sign(key if is_self_signed else self.key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = self.folder / f"{hashlib.sha256(private).hexdigest()[:16]}.pem"
        path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        if is_old:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers("ECDHE-ECDSA-AES128-SHA")
        if is_mutual:
            context.verify_mode = ssl.CERT_REQUIRED
        context.path, context.certificate = path, certificate.public_bytes(serialization.Encoding.DER)
        return context


# Names ---------------------------------------------------------------------------------------------------------------


class Names:
    """A name server on loopback. It vouches (the AD bit) for the names that it is told to have checked."""

    def __init__(self):
        self.records = {}
        self.vouched = set()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:{}".format(self.socket.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self.socket.close()

    def add(self, name, kind, *values, is_vouched=False):
        self.records[name, kind] = values
        if is_vouched:
            self.vouched.add(name)

    def host(self, domain, *servers, is_vouched=False):
        """Mail for the domain goes to these (name, address), in this order."""
        exchanges = [f"{10 * (index + 1)} {name}." for index, (name, _) in enumerate(servers)]
        self.add(domain, "MX", *exchanges, is_vouched=is_vouched)
        for name, address in servers:
            self.add(name, "A", address, is_vouched=is_vouched)

    def _serve(self):
        while True:
            try:
                octets, client = self.socket.recvfrom(4096)
                self.socket.sendto(self._answer(dns.message.from_wire(octets)), client)
            except OSError:
                return
            except dns.exception.DNSException:
                pass

    def _answer(self, query):
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        values = self.records.get((name, kind))
        if values:
            answer.answer.append(dns.rrset.from_text_list(question.name, 60, "IN", kind, values))
        elif not any(known == name for known, _ in list(self.records)):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        if name in self.vouched:
            answer.flags |= dns.flags.AD
        return answer.to_wire()
