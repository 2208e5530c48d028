"""Messages with real DKIM signatures (RFC 6376: rsa-sha256, relaxed/relaxed, keys of 2048 bits) from several domains, and what
the DNS says of these. Keys and signatures are made by the program openssl."""

import base64
import email.utils
import hashlib
import random
import re
import subprocess

SELECTOR = "bench"
SIGNED = ["From", "To", "Subject", "Date", "MIME-Version", "Content-Type"]
LINE = 72


def openssl(*words, given=None):
    return subprocess.run(["openssl", *words], input=given, check=True, capture_output=True).stdout


def relaxed_field(name, value):
    unfolded = re.sub(r"[ \t]+", " ", value.replace("\r\n", ""))
    return f"{name.lower()}:{unfolded.strip()}"


def relaxed_body(body):
    lines = [re.sub(r"[ \t]+", " ", line).rstrip(" ") for line in body.split("\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return "".join(f"{line}\r\n" for line in lines)


class Domain:
    """A domain with a key."""

    def __init__(self, number, folder):
        self.name, self.key = f"d{number}.sender.example", folder / f"d{number}.pem"
        openssl("genrsa", "-out", str(self.key), "2048")
        public = openssl("rsa", "-in", str(self.key), "-pubout", "-outform", "DER")
        self.public = base64.b64encode(public).decode()

    def records(self, network):
        """Name, type and value of all that the DNS says of it; mail comes from the network."""
        yield self.name, "TXT", f"v=spf1 ip4:{network} -all"
        yield self.name, "MX", f"mx.{self.name}"
        yield f"{SELECTOR}._domainkey.{self.name}", "TXT", f"v=DKIM1; k=rsa; p={self.public}"
        yield f"_dmarc.{self.name}", "TXT", "v=DMARC1; p=reject"

    def signed(self, fields, body):
        digest = base64.b64encode(hashlib.sha256(relaxed_body(body).encode()).digest()).decode()
        names = ":".join(name for name, _ in fields)
        value = f"v=1; a=rsa-sha256; c=relaxed/relaxed; d={self.name}; s={SELECTOR};\r\n h={names};\r\n bh={digest};\r\n b="
        covered = [*(relaxed_field(name, text) for name, text in fields), relaxed_field("DKIM-Signature", value)]
        signature = openssl("dgst", "-sha256", "-sign", str(self.key), given="\r\n".join(covered).encode())
        text = base64.b64encode(signature).decode()
        value += "\r\n ".join(text[at : at + LINE] for at in range(0, len(text), LINE))
        head = "".join(f"{name}: {value}\r\n" for name, value in [("DKIM-Signature", value), *fields])
        return f"{head}\r\n{body}"


class Prose:
    """Words that compress like prose, some far more common than others; always the same."""

    def __init__(self):
        self.chance = random.Random(7)
        syllables = [first + second for first in "bcdfghklmnprstvwz" for second in "aeiou"]
        self.words = ["".join(self.chance.choices(syllables, k=self.chance.randint(1, 4))) for _ in range(4_096)]

    def lines(self, octets):
        made = []
        for _ in range(octets // (LINE + 2)):
            line = ""
            while len(line) < LINE:
                line += self.words[min(self.chance.randrange(4_096), self.chance.randrange(4_096))] + " "
            made.append(line[:LINE].rstrip())
        return made


def plain(prose, octets, link):
    return "text/plain; charset=utf-8", "\r\n".join([*prose.lines(octets), link, ""])


def alternative(prose, octets, link):
    """The same text twice, as most programs send it: once as it is, once as HTML."""
    lines = prose.lines(octets * 2 // 5)
    html = "".join(f"<p style=\"margin:0\">{line}</p>\r\n" for line in lines)
    parts = [
        ("text/plain", "\r\n".join([*lines, link, ""])),
        ("text/html", f"<html><body>\r\n{html}<a href=\"{link}\">{link}</a>\r\n</body></html>\r\n"),
    ]
    text = "".join(f"--part\r\nContent-Type: {kind}; charset=utf-8\r\n\r\n{part}" for kind, part in parts)
    return 'multipart/alternative; boundary="part"', f"{text}--part--\r\n"


SHAPES = {"plain": plain, "alternative": alternative}


def make_corpus(folder, count, domains, octets, shape):
    """Writes so many messages of about so many octets into a folder, for `postfleet-load smtp --corpus`; answers the domains
    they are from."""
    keys, corpus = folder / "keys", folder / "corpus"
    keys.mkdir()
    corpus.mkdir()
    made, prose = [Domain(number, keys) for number in range(domains)], Prose()
    now = email.utils.formatdate(usegmt=True)
    for number in range(count):
        domain = made[number % domains]
        # What the header section takes, with the signature.
        kind, body = SHAPES[shape](prose, octets - 900, f"https://www.{domain.name}/orders/{number}")
        fields = [f"Sender {number} <sender{number}@{domain.name}>", "Team <team@bench.example>", f"Order {number} of today"]
        fields = zip(SIGNED, [*fields, now, "1.0", kind], strict=True)
        (corpus / f"{number:06}").write_bytes(f"bounce@{domain.name}\n{domain.signed(list(fields), body)}".encode())
    return made
