"""What is sent, as two foreign readers see it where it arrives: exactly what was given, and nothing that was not."""

import base64
import re
from dataclasses import dataclass, field

import pytest

import forms
from harness import wait_until
from readers import by_both, by_python
from texts import OTHERS, SCRIPTS, VICTIM, hostile

TEXTS = SCRIPTS | OTHERS
# What the server writes itself. DKIM-Signature may stand twice, once for each kind of key.
OWN_FIELDS = {
    "date", "from", "reply-to", "to", "cc", "subject", "message-id", "in-reply-to", "references", "mime-version", "content-type",
    "content-transfer-encoding", "dkim-signature", "x-feedback-token",
}  # fmt: skip


@pytest.fixture(scope="module")
def agent(fleet):
    """A mailbox: its id and address."""
    grant = fleet.api.new_grant(fleet.address())
    return grant["id"], grant["email"]


def post(fleet, agent, body, query="", headers=None):
    return fleet.api.call("POST", f"/v3/grants/{agent[0]}/messages/send{query}", body, headers)


def post_form(fleet, agent, *parts, query=""):
    return post(fleet, agent, forms.form(*parts), query, forms.KIND)


def b64(octets):
    return base64.b64encode(octets).decode()


def message_id(raw):
    found = re.search(rb"^message-id:\s*<([^>]*)>", raw, re.I | re.M)
    return found and found[1].decode()


def arrived(sink, ids):
    """What came of these messages: `{id: (octets, everyone who got them)}`."""

    def all_there():
        found = {}
        for one in list(sink.taken):
            id = message_id(one.raw)
            if id in ids:
                found.setdefault(id, (one.raw, set()))[1].update(one.recipients)
        return found if len(found) == len(ids) else None

    return wait_until("everything that was accepted to arrive", all_there)


def accepted(answer):
    status, _, body = answer
    assert status == 200, (status, body)
    return body["data"], body["data"]["message_id_header"].strip("<>")


# What is given comes back -------------------------------------------------------------------------------------------


def text_letter(name, text, plain, form):
    """A message with the text in every place that takes one, as JSON or as the parts of a form."""
    number = list(TEXTS).index(name)
    people = lambda who: [{"email": f"{who}{number}@people.test", "name": text[:120]}]  # noqa: E731
    body = f"{text}\n{' '.join([text] * 30)}\n{''.join(text.split()) * 50}\n"
    fields = {
        "to": people("to"), "cc": people("cc"), "bcc": people("bcc"), "reply_to": people("answers"), "subject": text[:250],
        "body": body if plain else f"<p>{body}</p><img src='cid:logo-{number}'>", "is_plaintext": plain,
        "custom_headers": [{"name": "X-Text", "value": text[:200]}], "metadata": {text[:20].strip() or "k": text[:200]},
    }  # fmt: skip
    # In names of files, clients and readers decode encoded words wherever they stand.
    filename = text[:60].strip().replace("=?", "= ?") + ".png"
    files = [(f"logo-{number}", filename, "image/png", b"\x89PNG" + text.encode()), ("file1", "b.bin", "application/x-b", bytes(range(256)))]
    if form:
        quoted = lambda filename: filename.replace("\\", "\\\\").replace('"', '\\"')  # noqa: E731
        return fields, files, [forms.message(fields)] + [forms.file(id, quoted(filename), kind, octets) for id, filename, kind, octets in files]
    listed = [{"filename": filename, "content_type": kind, "content": b64(octets)} for _, filename, kind, octets in files]
    listed[0]["content_id"] = f"logo-{number}"
    return fields, files, fields | {"attachments": listed}


# Characters of no width, and those that only say how what stands beside them is drawn.
UNSEEN = dict.fromkeys([0xAD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, *range(0xFE00, 0xFE10)])


@pytest.mark.parametrize("form", [False, True], ids=["json", "form"])
@pytest.mark.parametrize("plain", [False, True], ids=["html", "plain"])
def test_every_script_arrives_as_it_was_given(fleet, agent, sink, modules, tmp_path, plain, form):
    given = {}
    for name, text in TEXTS.items():
        fields, files, body = text_letter(name, text, plain, form)
        answer = post_form(fleet, agent, *body) if form else post(fleet, agent, body)
        data, id = accepted(answer)
        assert data["metadata"] == fields["metadata"], name
        # What is shown leaves out what nobody sees; what is sent has it (below).
        assert data["subject"].translate(UNSEEN) == fields["subject"].translate(UNSEEN), name
        given[id] = (name, fields, files)
    there = arrived(sink, given)
    read = by_both(modules, tmp_path / "mail", {id: raw for id, (raw, _) in there.items()})
    for id, (name, fields, files) in given.items():
        raw, recipients = there[id]
        everyone = {person["email"] for who in ("to", "cc", "bcc") for person in fields[who]}
        assert recipients == everyone, name
        assert max(map(len, raw.split(b"\r\n"))) <= 998 and raw.isascii(), name
        assert fields["bcc"][0]["email"].encode() not in raw, name
        for reader, letter in zip(("python", "node"), read[id]):
            assert_same(letter, fields, files, plain, agent, f"{name}, {reader}")


def assert_same(letter, fields, files, plain, agent, where):
    named = lambda who: [(person["name"], person["email"]) for person in fields[who]]  # noqa: E731
    assert letter.author[0][1] == agent[1], where
    for who in ("to", "cc", "reply_to"):
        assert spoken(getattr(letter, who)) == spoken(named(who)), f"{where}: {who}"
    assert letter.bcc == [] and "bcc" not in letter.names, where
    assert letter.subject == fields["subject"].strip() or letter.subject == fields["subject"], where
    body = letter.text if plain else letter.html
    assert body.rstrip("\n") == fields["body"].rstrip("\n"), where
    assert letter.html is None if plain else letter.text.strip(), where
    seen = sorted((file["filename"], file["kind"], file["octets"]) for file in letter.files)
    assert seen == sorted(file[1:] for file in files), where
    inline = [file["content_id"] for file in letter.files if file["disposition"] == "inline"]
    assert inline == ([] if plain else [files[0][0]]), where


def spoken(people):
    """Names without what surrounds them: a phrase does not keep spaces at its ends."""
    return [(name.strip(), address) for name, address in people]


# Nothing that was not given ------------------------------------------------------------------------------------------


@dataclass
class Attempt:
    """A send with one hostile value in one place."""

    where: str
    value: str
    to: list
    cc: list = field(default_factory=list)
    bcc: list = field(default_factory=list)
    reply_to: list = field(default_factory=list)
    subject: str = "Harmless"
    extra: str | None = None
    files: int = 0

    @property
    def everyone(self):
        return {address.lower() for address in self.to + self.cc + self.bcc}


def json_attempts(number, value):
    """Every field of a JSON send that reaches a header or an address."""
    plain = [{"email": f"p{number}@people.test"}]

    def one(where, fields, **more):
        listed = {who: [person["email"] for person in fields.get(who, [])] for who in ("to", "cc", "bcc", "reply_to")}
        subject = fields.get("subject", "Harmless")
        attempt = Attempt(where, value, subject=subject, files=len(fields.get("attachments", [])), **listed, **more)
        return attempt, {"subject": "Harmless", "body": "<p>Body</p>", **fields}

    for who in ("to", "cc", "bcc", "reply_to"):
        rest = {} if who == "to" else {"to": plain}
        yield one(f"{who}.name", rest | {who: [{"email": "named@people.test", "name": value}]})
        yield one(f"{who}.email", rest | {who: [{"email": value}]})
        yield one(f"{who}.email inside", rest | {who: [{"email": f"a{value}@people.test", "name": "N"}]})
    yield one("subject", {"to": plain, "subject": value})
    yield one("custom_headers.name", {"to": plain, "custom_headers": [{"name": value, "value": "v"}]}, extra=value)
    yield one("custom_headers.name behind X-", {"to": plain, "custom_headers": [{"name": f"X-{value}", "value": "v"}]}, extra=f"X-{value}")
    yield one("custom_headers.value", {"to": plain, "custom_headers": [{"name": "X-A", "value": value}]}, extra="x-a")
    yield one("list-unsubscribe", {"to": plain, "custom_headers": [{"name": "List-Unsubscribe", "value": value}]}, extra="list-unsubscribe")
    for name in ("filename", "content_type", "content_id", "content_disposition"):
        file = {"content": b64(b"content"), "filename": "f", name: value}
        yield one(f"attachments.{name}", {"to": plain, "attachments": [file]})
        yield one(f"attachments.{name} inline", {"to": plain, "attachments": [{"content_id": "logo"} | file | {"is_inline": True}]})
    yield one("content_type parameter", {"to": plain, "attachments": [{"content": b64(b"content"), "content_type": f"text/x; a={value}"}]})
    yield one("metadata key", {"to": plain, "metadata": {value: "v"}})
    yield one("metadata value", {"to": plain, "metadata": {"k": value}})
    yield one("reply_to_message_id", {"to": plain, "reply_to_message_id": value})
    yield one("tracking_options", {"to": plain, "tracking_options": {"label": value[:2000]}})
    yield one("body", {"to": plain, "body": value, "is_plaintext": True})


def from_attempts(agent, value):
    to = [{"email": "p@people.test"}]
    for where, person in (("from.name", {"email": agent[1], "name": value}), ("from.email", {"email": value}), ("from.email inside", {"email": agent[1] + value})):
        fields = {"to": to, "from": [person], "subject": "Harmless", "body": "<p>Body</p>"}
        yield Attempt(where, value, to=["p@people.test"]), fields


def form_attempts(value):
    """Every place in a form whose text reaches a header; each value as it stands, and as a quoted string."""
    head = forms.message({"to": [{"email": "p@people.test"}], "subject": "Harmless", "body": "<img src='cid:logo'>"})
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    for where, header in (
        ("name", f'Content-Disposition: form-data; name="{value}"; filename="f"'),
        ("name, quoted", f'Content-Disposition: form-data; name="{quoted}"; filename="f"'),
        ("filename", f'Content-Disposition: form-data; name="file0"; filename="{value}"'),
        ("filename, quoted", f'Content-Disposition: form-data; name="file0"; filename="{quoted}"'),
        ("filename, percent", "Content-Disposition: form-data; name=file0; filename*=utf-8''" + percent(value)),
        ("filename, word", f'Content-Disposition: form-data; name=file0; filename="{word(value)}"'),
        ("name, percent", f"Content-Disposition: form-data; filename=f; name*=utf-8''{percent(value)}"),
        ("kind", f'Content-Disposition: form-data; name="logo"; filename="f"\r\nContent-Type: {value}'),
        ("kind parameter", f'Content-Disposition: form-data; name="logo"; filename="f"\r\nContent-Type: text/x; a="{quoted}"'),
        ("disposition", f"Content-Disposition: {value}; name=logo"),
        ("another field", f'X-{value}: y\r\nContent-Disposition: form-data; name="logo"'),
    ):
        attempt = Attempt(f"form: {where}", value, to=["p@people.test"], files=1)
        yield attempt, head + forms.part(header, b"content")


def octets_of(value):
    return value.encode("utf-8", "surrogatepass")


def percent(value):
    return "".join(f"%{octet:02X}" for octet in octets_of(value))


def word(value):
    return f"=?utf-8?B?{b64(octets_of(value))}?="


def mime_attempts(agent, value):
    """Places in raw MIME. Whom it names is up to its author; what it must not do is said in `check_mime`."""
    for where, header in (
        ("subject", f"To: p@people.test\r\nSubject: {value}"),
        ("to name", f'To: "{value}" <p@people.test>'),
        ("to", f"To: {value}"),
        ("to word", f"To: {word(value)} <p@people.test>"),
        ("cc", f"To: p@people.test\r\nCc: p@people.test, {value}"),
        ("bcc", f"To: p@people.test\r\nBcc: q@people.test{value}"),
        ("bcc name", f"To: p@people.test\r\nB{value}cc: hidden@people.test"),
        ("field", f"To: p@people.test\r\nX-{value}: y"),
        ("from name", f"To: p@people.test\r\nFrom: {value} <{agent[1]}>"),
        ("first", f"{value}\r\nTo: p@people.test"),
    ):
        author = "" if where == "from name" else f"From: {agent[1]}\r\n"
        yield Attempt(f"mime: {where}", value, to=[]), octets_of(f"{author}{header}\r\n\r\nBody\r\n")


class Attack:
    """Sends whatever it is told to, and then looks at what arrived."""

    def __init__(self, fleet, agent, sink, modules, folder):
        self.fleet, self.agent, self.sink, self.modules, self.folder = fleet, agent, sink, modules, folder
        self.taken, self.refused = {}, 0

    def make(self, attempt, body, query="", headers=None):
        status, _, answer = post(self.fleet, self.agent, body, query, headers)
        what = f"{attempt.where}: {attempt.value[:200]!r}"
        if status == 200:
            self.taken[answer["data"]["message_id_header"].strip("<>")] = attempt
            return
        assert status == 400 and answer["error"]["code"] and answer["error"]["message"], f"{what}: {status} {answer}"
        self.refused += 1

    def check(self, check):
        # Whatever is lost here is no attack: every id must be a known one.
        there = arrived(self.sink, self.taken)
        read = by_both(self.modules, self.folder / "mail", {id: raw for id, (raw, _) in there.items()})
        wrong = []
        for id, attempt in self.taken.items():
            raw, recipients = there[id]
            for reader, letter in zip(("python", "node"), read[id]):
                try:
                    check(attempt, raw, recipients, letter, self.agent[1])
                except AssertionError as error:
                    wrong.append(f"{attempt.where}, {attempt.value[:200]!r}, {reader}: {error}")
        assert not wrong, f"{len(wrong)} of {len(self.taken)}:\n" + "\n".join(wrong[:30])
        # Both kinds of answer were seen, so both are really looked at.
        assert self.taken and self.refused
        print(f"{len(self.taken)} harmless, {self.refused} refused")


@pytest.fixture
def attack(fleet, agent, sink, modules, tmp_path):
    return Attack(fleet, agent, sink, modules, tmp_path)


def check_letter(attempt, raw, recipients, letter, own):
    header = raw.split(b"\r\n\r\n", 1)[0]
    assert {address.lower() for address in recipients} == attempt.everyone, f"it went to {recipients}"
    known = OWN_FIELDS | ({attempt.extra.lower()} if attempt.extra else set())
    assert set(letter.names) <= known, f"fields {set(letter.names) - known}"
    repeated = [name for name in set(letter.names) if letter.names.count(name) > 1 and name != "dkim-signature"]
    assert not repeated, f"repeated fields {repeated}"
    assert [address for _, address in letter.author] == [own], f"from {letter.author}"
    for who in ("to", "cc", "reply_to"):
        seen = sorted(address.lower() for _, address in getattr(letter, who))
        assert seen == sorted(address.lower() for address in getattr(attempt, who)), f"{who}: {seen}"
    assert letter.subject.strip() == attempt.subject.strip(), f"subject {letter.subject[:200]!r}"
    assert header.isascii() and not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n", header), "controls in the header"
    # Node takes texts and messages that are inline for a part of the body.
    is_text = attempt.value.startswith(("text/", "message/")) and attempt.where in ("attachments.content_type inline", "form: kind")
    if not is_text:
        assert len(letter.files) == attempt.files, f"files {letter.files}"
    # What ends the header of a part in a form begins its content.
    begins = attempt.where.startswith("form: ") and "\r\n\r\n" in attempt.value
    for file in letter.files:
        octets = file["octets"].rstrip(b"\n") if file["kind"].startswith("message/") else file["octets"]
        assert octets == b"content" or (begins and octets.endswith(b"content")), f"file {file}"
        assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in file["filename"]), f"file {file}"


def check_mime(attempt, raw, recipients, letter, own):
    header = raw.split(b"\r\n\r\n", 1)[0]
    assert [address for _, address in letter.author] == [own] and letter.names.count("from") == 1, f"from {letter.author}"
    assert "bcc" not in letter.names and letter.bcc == [], "who got it unseen"
    named = {address.lower() for people in (letter.to, letter.cc) for _, address in people if address}
    assert named <= {address.lower() for address in recipients}, f"{named} are named, {recipients} got it"
    assert header.isascii() and not re.search(rb"\x00|\r(?!\n)|(?<!\r)\n", header), "line ends in the header"


@pytest.mark.parametrize("part", range(4))
def test_no_value_in_json_does_harm(attack, agent, part):
    for number, value in enumerate(hostile()):
        if number % 4 != part:
            continue
        for attempt, body in [*json_attempts(number, value), *from_attempts(agent, value)]:
            attack.make(attempt, body)
    attack.check(check_letter)


def test_no_value_in_a_form_does_harm(attack):
    for value in hostile():
        for attempt, body in form_attempts(value):
            attack.make(attempt, body + b"--" + forms.EDGE + b"--\r\n", headers=forms.KIND)
    attack.check(check_letter)


def test_no_value_in_raw_mime_does_harm(attack, agent):
    for value in hostile():
        for attempt, mime in mime_attempts(agent, value):
            body = forms.form(forms.part('Content-Disposition: form-data; name="mime"', mime))
            attack.make(attempt, body, query="?type=mime", headers=forms.KIND)
    attack.check(check_mime)


def test_the_corpus_is_large_enough(agent):
    assert len(hostile()) >= 100 and VICTIM in "".join(hostile())
    fields = {attempt.where for attempt, _ in [*json_attempts(0, "x"), *from_attempts(agent, "x"), *form_attempts("x"), *mime_attempts(agent, "x")]}
    assert len(fields) >= 50


def test_the_readers_would_see_an_injected_field(modules, tmp_path):
    """The check itself can fail: here is a message as a careless server would write it."""
    raw = f"From: a@agents.test\r\nTo: b@people.test\r\nSubject: x\r\nBcc: {VICTIM}\r\n\r\nBody\r\n".encode()
    attempt = Attempt("subject", "x", to=["b@people.test"], subject="x")
    for letter in by_both(modules, tmp_path / "mail", {"x": raw})["x"]:
        with pytest.raises(AssertionError, match="bcc"):
            check_letter(attempt, raw, {"b@people.test"}, letter, "a@agents.test")
    assert by_python(raw).bcc == [("", VICTIM)]
