"""Every way of sending that the official SDKs have, Python and Node, to the end: what arrives is looked at."""

import base64
import io
import json
import subprocess
from pathlib import Path

import pytest

from harness import wait_until
from readers import by_python
from sdk import client, failure

HERE = Path(__file__).resolve().parent
MIB = 1 << 20
# From here on, the SDKs send files as parts of a form.
FORM = 3 * MIB
LOGO = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
NAMES = {"filename": "größe 日本.bin", "subject": "Grüße an alle 🚀", "name": "Þór Ünal"}


def large(octets):
    return (bytes(range(256)) * (octets // 256 + 1))[:octets]


@pytest.fixture
def sdk(fleet):
    return client(fleet)


@pytest.fixture
def agent(fleet):
    made = fleet.api.new_grant(fleet.address())
    return made["id"], made["email"]


@pytest.fixture
def node(fleet, modules, tmp_path):
    def run(part, **more):
        plan = tmp_path / "plan.json"
        plan.write_text(json.dumps({"part": part, **more}))
        command = ["node", HERE / "node_send.mjs", modules, fleet.server.api, fleet.account["api_key"], plan]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def letter(sink, message_id):
    """What arrived: as Python reads it, and everyone who got it."""
    mark = f"message-id: {message_id}\r\n".encode().lower()
    found = wait_until("the message", lambda: [one for one in list(sink.taken) if mark in one.raw[:20_000].lower()])
    return by_python(found[0].raw), {recipient for one in found for recipient in one.recipients}


def assert_files(letter, files):
    seen = {file["filename"]: (file["kind"], file["octets"], file["disposition"], file["content_id"]) for file in letter.files}
    assert seen == files


def everything(**more):
    return {
        "to": [{"name": NAMES["name"], "email": "grace@people.test"}], "cc": [{"email": "cc@people.test"}],
        "bcc": [{"email": "hidden@people.test"}], "reply_to": [{"name": "Answers", "email": "answers@agents.test"}],
        "subject": NAMES["subject"], "body": '<p>Hi <img src="cid:logo"></p>', "custom_headers": [{"name": "X-Campaign", "value": "Frühling"}],
        "metadata": {"key1": "a", "camelCaseKey": "b"}, "tracking_options": {"opens": True, "label": "l"}, **more,
    }  # fmt: skip


def assert_everything(read, recipients, sent):
    assert recipients == {"grace@people.test", "cc@people.test", "hidden@people.test"}
    assert read.to == [(NAMES["name"], "grace@people.test")] and read.cc == [("", "cc@people.test")]
    assert read.reply_to == [("Answers", "answers@agents.test")] and read.bcc == [] and "bcc" not in read.names
    assert read.subject == NAMES["subject"] and read.named("x-campaign") == ["Frühling"]
    assert "cid:logo" in read.html and read.text.startswith("Hi")
    assert sent["metadata"] == {"key1": "a", "camelCaseKey": "b"} and sent["bcc"][0]["email"] == "hidden@people.test"


# Python -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1_000, FORM - 1, FORM, 9 * MIB])
def test_python_sends_everything_as_json_or_as_a_form(fleet, sdk, agent, sink, size):
    content = large(size)
    files = [
        {"filename": NAMES["filename"], "content_type": "application/pdf", "content": io.BytesIO(content), "size": size - len(LOGO)},
        {"filename": "logo.png", "content_type": "image/png", "content": io.BytesIO(LOGO), "content_id": "logo", "size": len(LOGO), "is_inline": True},
    ]
    files[0]["content"] = io.BytesIO(content[: size - len(LOGO)])
    sent = sdk.messages.send(agent[0], everything(attachments=files)).data
    assert sent.grant_id == agent[0] and sent.thread_id and sent.object == "message" and sent.folders == ["sent"]
    raw = fleet.api.get(f"/v3/grants/{agent[0]}/messages/{sent.id}?fields=include_tracking_options")
    assert raw["tracking_options"]["opens"] is True and raw["tracking_options"]["label"] == "l"
    read, recipients = letter(sink, raw["message_id_header"])
    assert_everything(read, recipients, raw)
    assert_files(read, {
        NAMES["filename"]: ("application/pdf", content[: size - len(LOGO)], "attachment", None),
        "logo.png": ("image/png", LOGO, "inline", "logo"),
    })  # fmt: skip


def test_python_sends_plain_text_and_base64(fleet, sdk, agent, sink):
    files = [{"filename": "a.txt", "content_type": "text/plain", "content": base64.b64encode(b"text").decode(), "size": 4}]
    body = {"to": [{"email": "grace@people.test"}], "subject": "Plain", "body": "1 < 2\n", "is_plaintext": True, "attachments": files}
    sent = sdk.messages.send(agent[0], body | {"from_": [{"email": agent[1], "name": "An Agent"}]}).data
    raw = fleet.api.get(f"/v3/grants/{agent[0]}/messages/{sent.id}")
    read, _ = letter(sink, raw["message_id_header"])
    assert read.text.rstrip("\n") == "1 < 2" and read.html is None and read.author == [("An Agent", agent[1])]
    assert_files(read, {"a.txt": ("text/plain", b"text", "attachment", None)})


def test_python_answers_by_either_id(fleet, sdk, agent, sink):
    question = b"From: Ada <ada@people.test>\r\nTo: x\r\nSubject: Hours\r\nMessage-ID: <q@people.test>\r\n\r\nWhen?\r\n"
    assert fleet.receive_raw(agent[1], question)[0] == 250
    (asked,) = wait_until("the question", lambda: sdk.messages.list(agent[0], {"in": "inbox"}).data)
    for id in (asked.id, "<q@people.test>"):
        body = {"to": [{"email": "ada@people.test"}], "subject": "Re: Hours", "body": "Nine.", "reply_to_message_id": id}
        sent = sdk.messages.send(agent[0], body).data
        assert sent.thread_id == asked.thread_id
        raw = fleet.api.get(f"/v3/grants/{agent[0]}/messages/{sent.id}")
        read, _ = letter(sink, raw["message_id_header"])
        assert read.named("in-reply-to")[0].endswith("<q@people.test>") and read.named("references")[0].endswith("<q@people.test>")
        assert read.subject == "Re: Hours"


def test_metadata_is_in_notifications(fleet, sdk, agent, receiver):
    # The SDK knows no trigger for what became of a message.
    fleet.api.post("/v3/webhooks", {"trigger_types": ["message.created", "message.delivered"], "webhook_url": receiver.url + "/told"})
    metadata = {"key1": "told", "camelCaseKey": "ü"}
    sent = sdk.messages.send(agent[0], {"to": [{"email": "grace@people.test"}], "subject": "Told", "metadata": metadata}).data
    for trigger in ("message.created", "message.delivered"):
        told = receiver.wait_for(trigger, lambda one: one["id"] == sent.id)
        assert told["data"]["object"]["metadata"] == metadata, trigger


def test_python_sends_raw_mime(fleet, sdk, agent, sink):
    mime = f"From: {agent[1]}\r\nTo: grace@people.test\r\nBcc: hidden@people.test\r\nSubject: Raw\r\nX-Priority: 1\r\n\r\nAs it is.\r\n"
    if not hasattr(sdk.messages._resource, "send_raw_mime"):
        pytest.skip("this SDK has no raw MIME")
    sent = sdk.messages.send_raw_mime(agent[0], {"mime": mime}).data
    raw = fleet.api.get(f"/v3/grants/{agent[0]}/messages/{sent.id}")
    read, recipients = letter(sink, raw["message_id_header"])
    assert recipients == {"grace@people.test", "hidden@people.test"} and "bcc" not in read.names
    assert read.named("x-priority") == ["1"] and read.text == "As it is.\n"


def test_python_reads_refusals(sdk, agent):
    to = {"to": [{"email": "grace@people.test"}]}
    assert failure(sdk.messages.send, agent[0], to | {"subject": "a\r\nBcc: x@evil.test"}).status_code == 400
    without_size = {"filename": "f", "content_type": "image/png", "content": io.BytesIO(large(4 * MIB))}
    error = failure(sdk.messages.send, agent[0], to | {"attachments": [without_size]})
    assert error.status_code == 400 and str(error).startswith(f"max size of attachments for json is 3MB, received '{4 * MIB}'")
    too_large = {"filename": "f", "content_type": "image/png", "content": io.BytesIO(large(20 * MIB)), "size": 20 * MIB}
    assert failure(sdk.messages.send, agent[0], to | {"attachments": [too_large]}).status_code == 413


# Node ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["base64", "buffer", "stream"])
@pytest.mark.parametrize("size", [1_000, FORM - 4_096, FORM, 9 * MIB])
def test_node_sends_everything_as_json_or_as_a_form(fleet, node, agent, sink, tmp_path, how, size):
    content = large(size)
    (tmp_path / "file").write_bytes(content)
    sent = node("everything", grant=agent[0], how=how, file=str(tmp_path / "file"), logo=base64.b64encode(LOGO).decode(), names=NAMES)
    assert sent["grantId"] == agent[0] and sent["metadata"] == {"key1": "a", "camelCaseKey": "b"}
    raw = fleet.api.get(f"/v3/grants/{agent[0]}/messages/{sent['id']}?fields=include_tracking_options")
    assert raw["tracking_options"]["opens"] is True
    read, recipients = letter(sink, raw["message_id_header"])
    assert_everything(read, recipients, raw)
    assert_files(read, {
        NAMES["filename"]: ("application/pdf", content, "attachment", None), "logo.png": ("image/png", LOGO, "inline", "logo"),
    })  # fmt: skip


def test_node_shows_header_fields_and_answers(fleet, node, agent, sink):
    question = b"From: Ada <ada@people.test>\r\nTo: x\r\nSubject: Hours\r\nMessage-ID: <n@people.test>\r\n\r\nWhen?\r\n"
    assert fleet.receive_raw(agent[1], question)[0] == 250
    seen = node("answer", grant=agent[0])
    assert seen["sent"]["threadId"] == seen["asked"]["threadId"]
    names = {header["name"].lower(): header["value"] for header in seen["sent"]["headers"]}
    assert names["in-reply-to"] == "<n@people.test>" and names["references"] == "<n@people.test>"
    read, _ = letter(sink, names["message-id"])
    assert read.named("in-reply-to")[0].endswith("<n@people.test>") and read.html is None and read.text.rstrip() == "Nine."
