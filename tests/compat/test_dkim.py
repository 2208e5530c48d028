"""Signatures: a thousand generated messages, verified by two foreign programs (dkimpy and mailauth), and refused by both
once a field is added that a reader would see."""

import base64
import email
import email.policy
import json
import os
import random
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import Missing, program, required, wait_until

HERE = Path(__file__).resolve().parent
MESSAGES = 1000
ALGORITHMS = ["ed25519-sha256", "rsa-sha256"]
# Whoever adds one of these shows a reader something else than was signed.
OVERSIGNED = ["From", "Subject", "To", "Date", "Reply-To"]
PIECES = [
    "Hello", "naïve", "日本語の件名", "🦀", "  two  spaces ", "\ttab", "=?utf-8?Q?no_word?=", "x" * 120, "a" * 400, ".", "..",
    "From here", "--", "Grüße aus Köln", "Привет", "a,b;c:d", "<b>bold</b>", "100 %", "=3D", "\u200b", "",
]


@pytest.fixture(scope="module")
def mailauth(tmp_path_factory):
    """A folder with the verifier in it: the one that was prepared, or a new one."""
    program("node", "nodejs")
    prepared = os.environ.get("POSTFLEET_TEST_NODE_FOLDER")
    if prepared:
        assert (Path(prepared) / "node_modules" / "mailauth").is_dir(), f"{prepared} has no node_modules/mailauth"
        return Path(prepared)
    target = tmp_path_factory.mktemp("node")
    command = [program("npm", "npm"), "install", "--prefix", target, "--no-audit", "--no-fund", "mailauth@4.8.2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        assert not required(), done.stderr
        raise Missing("the verifier cannot be installed (npm package mailauth)")
    return target


@pytest.fixture(scope="module")
def dkim():
    try:
        import dkim
        import nacl  # noqa: F401
    except ImportError:
        raise Missing("no foreign verifier (pip packages dkimpy and pynacl)") from None
    return dkim


def generated(number):
    """A message to send, as strange as what agents write."""
    chance = random.Random(number)

    def text(most):
        return chance.choice([" ", "", " – "]).join(chance.choice(PIECES) for _ in range(chance.randint(0, most)))

    def line(most):
        return text(most).replace("\t", " ")[:60]

    body = "\n".join(text(6) for _ in range(chance.randint(0, 30))) + chance.choice(["", "\n", "\n\n\n", "   \n", "\t"])
    message = {
        "to": [{"email": f"reader{number}@people.test", "name": line(2)}],
        "subject": text(5).replace("\t", " ")[:900],
        "body": body,
        "is_plaintext": chance.random() < 0.5,
    }
    if chance.random() < 0.3:
        message["cc"] = [{"email": f"copy{n}@people.test", "name": line(1)} for n in range(chance.randint(1, 10))]
    if chance.random() < 0.3:
        message["reply_to"] = [{"email": "answers@agents.test", "name": line(1)}]
    if chance.random() < 0.3:
        message["custom_headers"] = [{"name": f"X-Ticket-{n}", "value": f"{n} {line(2)}"} for n in range(chance.randint(1, 4))]
    if chance.random() < 0.2:
        content = bytes(chance.randrange(256) for _ in range(chance.randint(0, 3000)))
        message["attachments"] = [{
            "filename": chance.choice(["a.bin", "Überblick – 見積書.pdf", "x" * 100 + ".txt"]),
            "content_type": chance.choice(["application/octet-stream", "text/plain"]),
            "content": base64.b64encode(content).decode(),
        }]
    return message


@pytest.fixture(scope="module")
def signed(fleet, sink):
    """The messages as another server gets them."""
    grant = fleet.mailbox(name="Agent")

    def send(number):
        status, _, answer = fleet.api.try_send(grant, **generated(number))
        assert status in (200, 202), f"message {number}: {status} {answer}"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(MESSAGES)))
    # A message may come in two transactions, with some of its recipients in each.
    def arrived():
        return {message_id(taken.raw): taken.raw for taken in sink.taken}

    wait_until("all messages", lambda: len(arrived()) >= MESSAGES, seconds=300, every=0.2)
    raws = list(arrived().values())
    assert len(raws) == MESSAGES
    return raws


def message_id(raw):
    return re.search(rb"^message-id:\s*(<[^>]*>)", raw, re.I | re.M).group(1)


@pytest.fixture(scope="module")
def records(fleet):
    return {record["name"]: record["value"] for domain in fleet.account["domains"] for record in domain["dkim"]}


def with_another(raw, name):
    """The message with one more of a field on top, where readers look first."""
    values = {"From": "Evil <evil@evil.test>", "Date": "Mon, 2 Mar 2026 10:00:00 +0000"}
    return f"{name}: {values.get(name, 'evil@evil.test')}\r\n".encode() + raw


def changed(raws):
    """What must not verify: of every twentieth message, five with a field added, one with another body."""
    for number, raw in enumerate(raws[::20]):
        for name in OVERSIGNED:
            yield f"{number}-{name}", with_another(raw, name)
        yield f"{number}-body", raw + b"more\r\n"


def test_dkimpy_verifies_every_signature_of_every_message(signed, records, dkim):
    def dns(name, timeout=5):
        return records.get(name.decode().rstrip("."), "").encode() or None

    for number, raw in enumerate(signed):
        algorithms = []
        for index in range(2):
            verifier = dkim.DKIM(raw)
            assert verifier.verify(idx=index, dnsfunc=dns), f"message {number}, signature {index}:\n{raw.decode('latin-1')}"
            assert verifier.domain == b"agents.test"
            algorithms.append(verifier.signature_fields[b"a"].decode())
        assert sorted(algorithms) == ALGORITHMS
    for name, raw in changed(signed):
        for index in range(2):
            try:
                is_good = dkim.DKIM(raw).verify(idx=index, dnsfunc=dns)
            except dkim.DKIMException:
                is_good = False
            assert not is_good, f"{name}, signature {index} still verifies"


def test_mailauth_verifies_every_signature_of_every_message(signed, records, mailauth, tmp_path):
    (tmp_path / "records.json").write_text(json.dumps(records))

    def verdicts(folder, messages):
        folder.mkdir()
        for name, raw in messages:
            (folder / f"{name}.eml").write_bytes(raw)
        command = ["node", HERE / "dkim_verify.mjs", mailauth, tmp_path / "records.json", folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    good = verdicts(tmp_path / "good", ((f"{number:04}", raw) for number, raw in enumerate(signed)))
    assert len(good) == MESSAGES
    for name, results in good.items():
        found = sorted((one["algo"], one["result"], one["signingDomain"]) for one in results)
        assert found == [(algorithm, "pass", "agents.test") for algorithm in ALGORITHMS], f"{name}: {results}"
    bad = verdicts(tmp_path / "bad", changed(signed))
    assert len(bad) == MESSAGES // 20 * 6
    for name, results in bad.items():
        assert len(results) == 2 and all(one["result"] != "pass" for one in results), f"{name}: {results}"


def test_what_readers_see_is_signed_once_more_than_it_is_there(signed):
    for raw in signed:
        message = email.message_from_bytes(raw, policy=email.policy.compat32)
        signatures = message.get_all("DKIM-Signature")
        assert len(signatures) == 2
        for signature in signatures:
            tags = dict(tag.strip().split("=", 1) for tag in "".join(signature.split()).split(";") if tag)
            named = [name.lower() for name in tags["h"].split(":")]
            for name in OVERSIGNED:
                assert named.count(name.lower()) == len(message.get_all(name, [])) + 1, f"{name} in {tags['h']}"
            assert "l" not in tags
