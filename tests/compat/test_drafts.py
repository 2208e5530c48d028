"""Drafts and sends at a later time, with the official SDKs for Python and Node."""

import email
import email.policy
import json
import subprocess
import time
from pathlib import Path

import pytest

import forms
from harness import wait_until
from sdk import client, failure

pytestmark = pytest.mark.usefixtures("strict")

HERE = Path(__file__).resolve().parent
PENDING = ("pending", "schedule send awaiting send at time")
BIG = bytes(range(256)) * (16 << 10)


@pytest.fixture
def grant(sdk, fleet):
    return sdk.auth.custom_authentication({"provider": "nylas", "settings": {"email": fleet.address("agents.test")}}).data.id


def taken(sink, subject):
    """The one message with that subject that a foreign server took."""

    def found():
        parsed = [email.message_from_bytes(mail.raw, policy=email.policy.default) for mail in sink.taken]
        return [message for message in parsed if message["Subject"] == subject]

    (message,) = wait_until(f"the message {subject}", found)
    return message


def test_a_draft_from_its_making_to_its_sending(sdk, grant, sink):
    made = sdk.drafts.create(grant, {
        "to": [{"email": "ada@people.test", "name": "Ada"}], "bcc": [{"email": "dee@people.test"}], "subject": "Draft",
        "body": "<p>Grüße</p>", "starred": True, "metadata": {"key1": "offer"},
        "custom_headers": [{"name": "X-Case", "value": "7"}],
        "attachments": [{"filename": "a.txt", "content_type": "text/plain", "content": "YQ==", "size": 1}],
    }).data
    assert (made.object, made.folders, made.starred, made.metadata) == ("draft", ["drafts"], True, {"key1": "offer"})
    assert made.thread_id and made.date and made.bcc[0]["email"] == "dee@people.test"
    assert sdk.drafts.find(grant, made.id).data == made
    assert [draft.id for draft in sdk.drafts.list(grant, {"subject": "draft", "starred": True, "limit": 5}).data] == [made.id]
    assert sdk.drafts.list(grant, {"any_email": ["nobody@people.test"]}).data == []
    file = made.attachments[0]
    assert sdk.attachments.download_bytes(grant, file.id, {"message_id": made.id}) == b"a"
    thread = sdk.threads.find(grant, made.thread_id).data
    assert thread.draft_ids == [made.id] and thread.has_drafts and thread.latest_draft_or_message.object == "draft"

    changed = sdk.drafts.update(grant, made.id, {"subject": "Reviewed draft"}).data
    assert (changed.subject, changed.body, len(changed.attachments)) == ("Reviewed draft", made.body, 1)
    big = {"filename": "big.bin", "content_type": "application/octet-stream", "content": BIG, "size": len(BIG)}
    try:
        changed = sdk.drafts.update(grant, made.id, {"attachments": [big]}).data
    except TypeError:
        # The SDK trips over any answer to a draft that it sends as a form; the draft is changed.
        changed = sdk.drafts.find(grant, made.id).data
    assert [(file.filename, file.size) for file in changed.attachments] == [("big.bin", len(BIG))]

    sent = sdk.drafts.send(grant, made.id).data
    assert (sent.object, sent.folders, sent.id, sent.thread_id) == ("message", ["sent"], made.id, made.thread_id)
    assert sent.metadata == {"key1": "offer"} and sdk.messages.find(grant, sent.id).data.subject == "Reviewed draft"
    message = taken(sink, "Reviewed draft")
    assert message["X-Case"] == "7" and message["Bcc"] is None
    (part,) = message.iter_attachments()
    assert part.get_payload(decode=True) == BIG
    assert failure(sdk.drafts.find, grant, made.id).status_code == 404
    assert failure(sdk.drafts.send, grant, made.id).status_code == 409
    assert sdk.drafts.list(grant).data == []


def test_a_draft_is_removed(sdk, grant):
    draft = sdk.drafts.create(grant, {"subject": "Never"}).data
    assert sdk.drafts.destroy(grant, draft.id).request_id
    assert failure(sdk.drafts.find, grant, draft.id).status_code == 404
    assert sdk.threads.list(grant).data == []


def written(author, subject):
    """Raw MIME with what no field of the interface makes: an order of its fields and a boundary of its own."""
    return (f"Subject: {subject}\r\nX-Case: as written\r\nFrom: {author}\r\nTo: ada@people.test\r\nMIME-Version: 1.0\r\n"
            'Content-Type: multipart/mixed; boundary="=_own"\r\n\r\n--=_own\r\n\r\nLater\r\n--=_own--\r\n').encode()


def test_scheduled_messages(sdk, fleet, grant, sink):
    """One is cancelled, one is edited as a draft; three leave a minute later, and not before, one of them as it was written."""
    now = int(time.time())
    letter = {"to": [{"email": "ada@people.test"}], "body": "<p>Later</p>"}
    first = sdk.messages.send(grant, letter | {"subject": "Later plain", "send_at": now + 62}).data
    second = sdk.messages.send(grant, letter | {"subject": "Later draft", "send_at": now + 62, "use_draft": True}).data
    third = sdk.messages.send(grant, letter | {"subject": "Later never", "send_at": now + 3_600}).data
    raw = written(sdk.grants.find(grant).data.email, "Later as written")
    form = forms.form(forms.part('Content-Disposition: form-data; name="mime"', raw),
                      forms.part('Content-Disposition: form-data; name="send_at"', str(now + 62).encode()))
    status, _, answer = fleet.api.call("POST", f"/v3/grants/{grant}/messages/send?type=mime", form, headers=forms.KIND)
    assert status in (200, 202), answer
    fourth = sdk.messages.find_scheduled_message(grant, answer["data"]["schedule_id"]).data
    for scheduled in (first, second, third):
        assert scheduled.schedule_id and scheduled.grant_id == grant and scheduled.id and scheduled.thread_id
    sdk.drafts.update(grant, second.id, {"subject": "Later and edited"})
    listed = sdk.messages.list_scheduled_messages(grant).data
    assert {one.schedule_id for one in listed} == {one.schedule_id for one in (first, second, third, fourth)}
    assert {(one.status.code, one.status.description) for one in listed} == {PENDING}
    assert sdk.messages.stop_scheduled_message(grant, third.schedule_id).data.message == "requested cancelation for workflow"
    status = lambda one: sdk.messages.find_scheduled_message(grant, one.schedule_id).data.status.code  # noqa: E731
    assert status(third) == "cancelled"
    assert failure(sdk.messages.find_scheduled_message, grant, grant).status_code == 404
    soon = failure(sdk.messages.send, grant, letter | {"send_at": now + 10})
    assert soon.status_code == 400 and "60 seconds" in str(soon)

    while time.time() < now + 61:
        assert status(first) == status(second) == status(fourth) == "pending" and sdk.messages.list(grant).data == []
        time.sleep(5 if time.time() < now + 55 else 0.5)
    for one, subject in ((first, "Later plain"), (second, "Later and edited")):
        assert taken(sink, subject)["To"] == "ada@people.test"
        wait_until("success", lambda one=one: status(one) == "success")
        closed = sdk.messages.find_scheduled_message(grant, one.schedule_id).data.close_time
        assert now + 62 <= closed <= now + 64
        assert sdk.messages.find(grant, one.id).data.folders == ["sent"]
    assert failure(sdk.messages.stop_scheduled_message, grant, first.schedule_id).status_code == 409
    wait_until("success", lambda: status(fourth) == "success")
    taken(sink, "Later as written")
    (as_sent,) = [mail.raw for mail in sink.taken if b"Later as written" in mail.raw]
    kept = [line for line in raw.split(b"\r\n") if line]
    assert [line for line in as_sent.split(b"\r\n") if line in kept] == kept
    assert len(sdk.messages.list(grant).data) == 3


def test_a_draft_keeps_that_readers_may_unsubscribe(fleets, sink):
    house = fleets(settings={"POSTFLEET_SERVER__PUBLIC_URL": "https://mail.example.test/fleet/"})
    sdk, grant = client(house), house.mailbox()
    draft = sdk.drafts.create(grant, {"to": [{"email": "reader@people.test"}], "subject": "Newsletter", "list_unsubscribe": True}).data
    sdk.drafts.update(grant, draft.id, {"body": "<p>News</p>"})
    sdk.drafts.send(grant, draft.id)
    message = taken(sink, "Newsletter")
    link, mailto = [part.strip(" <>") for part in message["List-Unsubscribe"].split(",")]
    assert link.startswith("https://mail.example.test/fleet/") and mailto.startswith("mailto:u-")
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_drafts_and_schedules_with_the_node_sdk(fleet, grant, modules):
    command = ["node", HERE / "node_drafts.mjs", modules, fleet.server.api, fleet.account["api_key"], grant]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    made = seen["made"]
    assert (made["object"], made["folders"], made["subject"]) == ("draft", ["drafts"], "Node")
    assert seen["found"] == made and seen["listed"] == [made["id"]]
    assert seen["changed"]["subject"] == "Node again" and seen["changed"]["attachments"][0]["size"] == seen["size"]
    assert (seen["sent"]["id"], seen["sent"]["folders"], seen["sent"]["object"]) == (made["id"], ["sent"], "message")
    assert seen["twice"] == 409 and seen["removed"] and seen["gone"] == 404
    scheduled = seen["scheduled"]
    assert scheduled["scheduleId"] and scheduled["grantId"] == grant and scheduled["sendAt"] == seen["sendAt"]
    assert seen["pending"]["status"] == {"code": "pending", "description": PENDING[1]} and len(seen["schedules"]) == 1
    assert seen["stopped"]["message"] == "requested cancelation for workflow" and seen["cancelled"]["status"]["code"] == "cancelled"
