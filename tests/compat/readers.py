"""Two readers of mail that share no code with the server or with each other: Python's `email`, and postal-mime in Node."""

import base64
import email
import email.header
import email.policy
import email.utils
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass
class Letter:
    """What a reader sees. Line ends are as in Python."""

    fields: list
    """Names of the header fields in lower case, with their values."""
    author: list
    to: list
    cc: list
    bcc: list
    reply_to: list
    subject: str
    html: str | None
    text: str | None
    files: list
    """Each with filename, kind, disposition, content_id and octets."""

    def named(self, name):
        return [value for have, value in self.fields if have == name]

    @property
    def names(self):
        return [name for name, _ in self.fields]

    @property
    def addresses(self):
        return [address for people in (self.author, self.to, self.cc, self.bcc, self.reply_to) for _, address in people]


def lines(text):
    return None if text is None else text.replace("\r\n", "\n")


def decoded(phrase):
    try:
        return str(email.header.make_header(email.header.decode_header(phrase)))
    except (LookupError, UnicodeError):
        return phrase


def leaves(part):
    """The parts that hold something. A message in a message is a file."""
    if part.get_content_maintype() == "multipart":
        for inner in part.iter_parts():
            yield from leaves(inner)
    else:
        yield part


def octets_of(part):
    if part.get_content_maintype() == "message":
        return b"".join(inner.as_bytes().lstrip(b"\n") for inner in part.get_payload())
    return part.get_payload(decode=True)


def by_python(raw):
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    # The strict parser gives up with errors of all kinds where a field is strange enough; then the older one is left.
    fields = []
    for name in mail.keys():
        try:
            fields.append((name.lower(), str(mail[name])))
        except Exception:
            fields.append((name.lower(), ""))

    older = email.message_from_bytes(raw, policy=email.policy.compat32)

    def people(name):
        """Addresses by the strict parser; names by the older one, since the strict one puts spaces between encoded words."""
        loose = email.utils.getaddresses([str(value) for value in older.get_all(name, [])])
        try:
            strict = [(one.display_name, one.addr_spec) for field in mail.get_all(name, []) for one in field.addresses]
        except Exception:
            return loose
        if [address for _, address in strict] != [address for _, address in loose]:
            return strict
        return [(decoded(phrase), address) for phrase, address in loose]

    bodies, files = {"html": None, "plain": None}, []
    for part in leaves(mail):
        kind, name = part.get_content_type(), part.get_filename()
        disposition = part.get_content_disposition()
        if disposition is None and name is None and kind.startswith("text/"):
            bodies[part.get_content_subtype()] = part.get_content()
            continue
        content_id = part.get("Content-ID")
        files.append({
            "filename": name or "", "kind": kind, "disposition": disposition, "octets": octets_of(part),
            "content_id": None if content_id is None else str(content_id).strip().strip("<>"),
        })  # fmt: skip
    return Letter(
        fields=fields,
        author=people("From"), to=people("To"), cc=people("Cc"), bcc=people("Bcc"), reply_to=people("Reply-To"),
        subject=str(mail.get("Subject", "")), html=lines(bodies["html"]), text=lines(bodies["plain"]), files=files,
    )  # fmt: skip


def by_node(modules, folder, messages):
    """The same of many messages, `{key: octets}`, in one go."""
    folder.mkdir()
    names = {f"{number}.eml": key for number, key in enumerate(messages)}
    for name, key in names.items():
        (folder / name).write_bytes(messages[key])
    answer = folder.with_suffix(".json")
    command = ["node", HERE / "mail_reader.mjs", modules, folder, answer]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return {names[name]: letter(found) for name, found in json.loads(answer.read_text()).items()}


def letter(found):
    def people(name):
        return [tuple(one) for one in found[name]]

    files = [file | {"octets": base64.b64decode(file["octets"])} for file in found["files"]]
    return Letter(
        fields=[tuple(field) for field in found["fields"]],
        author=people("from"), to=people("to"), cc=people("cc"), bcc=people("bcc"), reply_to=people("reply_to"),
        subject=found["subject"], html=lines(found["html"]), text=lines(found["text"]), files=files,
    )  # fmt: skip


def by_both(modules, folder, messages):
    """`{key: (what Python sees, what Node sees)}`."""
    node = by_node(modules, folder, messages)
    return {key: (by_python(raw), node[key]) for key, raw in messages.items()}
