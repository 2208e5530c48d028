"""The same from the other side of the fence: what an agent does first, with the official Node SDK."""

import base64
import email
import email.policy
import json
import os
import subprocess
from pathlib import Path

import pytest

import corpus
from harness import Missing, Postfleet, program, required, wait_until

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def modules(folder):
    """A folder with the SDK in it: the one that was prepared, or a new one."""
    program("node", "nodejs")
    prepared = os.environ.get("POSTFLEET_TEST_NODE_FOLDER")
    if prepared:
        assert (Path(prepared) / "node_modules" / "nylas").is_dir(), f"{prepared} has no node_modules/nylas"
        return Path(prepared)
    npm = program("npm", "npm")
    target = folder / "node"
    target.mkdir()
    done = subprocess.run(
        [npm, "install", "--prefix", target, "--no-audit", "--no-fund", "nylas@8"], capture_output=True, text=True, timeout=300
    )
    if done.returncode != 0:
        assert not required(), done.stderr
        raise Missing("the Node SDK cannot be installed (npm package nylas)")
    return target


@pytest.fixture(scope="module")
def server(folder, sink):
    server = Postfleet(folder / "postfleet", relay=sink.address)
    server.account = server.init()
    server.start()
    yield server
    server.stop()


def run(modules, server, receiver, phase, grant=""):
    command = ["node", HERE / "node_sdk.mjs", modules, server.api, server.account["api_key"], receiver.url + "/node", phase, grant]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_node_sdk_reads_and_answers(modules, server, receiver, sink):
    begun = run(modules, server, receiver, "begin")
    grant, webhook = begun["grant"]["id"], begun["webhook"]
    assert begun["grant"]["email"] == "node@agents.test" and webhook["status"] == "active"
    assert [hook["triggerTypes"] for hook in begun["webhooks"]] == [["message.created", "message.delivered"]]

    samples = {f"[{sample.tag}]": sample for sample in corpus.samples(len(corpus.KINDS), "n")}
    with server.smtp() as connection:
        for sample in samples.values():
            connection.sendmail("someone@people.test", ["node@agents.test"], sample.raw, mail_options=["BODY=8BITMIME"])
    seen = run(modules, server, receiver, "work", grant)

    assert len(seen["messages"]) == len(samples) and seen["pages"] >= len(samples) // 10 and len(seen["limited"]) == 7
    for message in seen["messages"]:
        sample = samples[message["subject"].split(" ")[0]]
        assert message["subject"] == sample.subject
        assert message["body"].replace("\r\n", "\n").rstrip("\n") == sample.body.replace("\r\n", "\n").rstrip("\n"), sample.tag
        files = [(file["filename"], file["contentType"], file["size"], file["isInline"]) for file in message["attachments"]]
        assert sorted(files) == sorted((file.name, file.kind, len(file.octets), file.inline) for file in sample.files)
        assert message["folders"] == ["inbox"] and message["unread"] is True and message["grantId"] == grant

    found = seen["found"]
    sample = samples[found["subject"].split(" ")[0]]
    octets = next(file.octets for file in sample.files if file.name == seen["attachment"]["filename"])
    assert base64.b64decode(seen["base64"]) == base64.b64decode(seen["streamed"]) == octets
    assert f"<{sample.tag}@people.test>" in [header["value"] for header in found["headers"]] and seen["requestId"]
    assert seen["thread"]["messageIds"] == [found["id"]] and seen["thread"]["latestDraftOrMessage"]["object"] == "message"
    assert {folder["id"]: folder["totalCount"] for folder in seen["folders"]}["inbox"] == len(samples)

    sent = seen["sent"]
    assert sent["folders"] == ["sent"] and sent["threadId"] == found["threadId"]
    taken = wait_until("the reply", lambda: sink.taken)[0]
    reply = email.message_from_bytes(taken.raw, policy=email.policy.default)
    assert reply["Subject"] == f"Re: {found['subject']}" and reply["In-Reply-To"] == f"<{sample.tag}@people.test>"
    (file,) = reply.iter_attachments()
    assert file.get_filename() == "größe.txt" and file.get_payload(decode=True).decode() == "größe"

    statuses = [refusal and refusal["status"] for refusal in seen["refusals"]]
    assert statuses == [404, 400, 401] and all(refusal["message"] and refusal["type"] for refusal in seen["refusals"])
    receiver.wait_for("message.delivered", lambda one: one["id"] == sent["id"])
    wait_until("the notifications", lambda: len(receiver.of_type("message.created")) >= len(samples) + 1)
    assert all(notification.is_signed_with(webhook["webhookSecret"]) for notification in receiver.received)
