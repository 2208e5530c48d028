"""Threads, and the list of drafts, with the official SDKs for Python and Node: every method with each documented parameter."""

import json
import subprocess
import time
import typing
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from sdk import failure, methods_of, nylas

pytestmark = pytest.mark.usefixtures("strict")

HERE = Path(__file__).resolve().parent


def message(fields, text="Hello", attachment=False):
    """Raw MIME with these fields."""
    lines = [f"{name}: {value}" for name, value in fields.items()]
    if attachment:
        lines += ["Content-Type: text/plain; name=a.txt", "Content-Disposition: attachment; filename=a.txt"]
    return "\r\n".join([*lines, "", text, ""]).encode()


@pytest.fixture
def talk(sdk, fleet):
    """A mailbox with three threads: a question of Ada with two answers, a file of Bob, and a letter with an unseen copy."""
    address = fleet.address()
    grant = fleet.api.new_grant(address)["id"]
    begun = int(time.time())

    def receive(sender, fields, **more):
        fields = {"From": sender, "To": address, **fields}
        assert fleet.receive_raw(address, message(fields, **more), sender=sender)[0] == 250
        return sdk.messages.list(grant, {"limit": 1}).data[0]

    question = receive("ada@people.test", {"Subject": "Opening hours", "Message-ID": "<q@people.test>", "Cc": "carol@people.test"})
    answer = sdk.messages.send(grant, {
        "to": [{"email": "ada@people.test"}], "subject": "Re: Opening hours", "body": "9 to 17", "reply_to_message_id": question.id,
    }).data
    thanks = receive("ada@people.test", {"Subject": "Re: Opening hours", "In-Reply-To": "<q@people.test>"})
    time.sleep(1.1)
    file = receive("bob@people.test", {"Subject": "Report"}, attachment=True)
    letter = sdk.messages.send(grant, {
        "to": [{"email": "erin@people.test"}], "bcc": [{"email": "dee@people.test"}], "subject": "Letter", "body": "x", "starred": True,
    }).data
    assert letter.starred and question.thread_id == answer.thread_id == thanks.thread_id
    return SimpleNamespace(
        grant=grant, address=address, begun=begun, question=question, answer=answer, thanks=thanks, file=file, letter=letter,
        hours=question.thread_id, report=file.thread_id, sent=letter.thread_id,
    )


def listed(sdk, talk, **query):
    return {thread.id for thread in sdk.threads.list(talk.grant, query).data}


def filters(talk):
    """Each documented filter with what it finds."""
    hours, report, sent = {talk.hours}, {talk.report}, {talk.sent}
    first, last = talk.question.date, talk.file.date
    return [
        ("subject", "opening", hours), ("subject", "nothing", set()),
        ("any_email", "dee@people.test", sent), ("any_email", "ADA@people.test,bob@people.test", hours | report),
        ("from", "bob@people.test", report), ("from", talk.address, hours | sent),
        ("to", "erin@people.test", sent), ("cc", "carol@people.test", hours), ("bcc", "dee@people.test", sent),
        ("in", "sent", hours | sent), ("in", "inbox", hours | report), ("in", "trash", set()),
        ("unread", True, hours | report), ("starred", True, sent), ("has_attachment", True, report),
        ("thread_id", talk.hours, hours),
        ("search_query_native", "opening -report", hours), ("search_query_native", "dee OR bob", sent | report),
        ("earliest_message_date", last, report | sent), ("latest_message_before", last, hours),
        ("latest_message_after", first, report | sent | (hours if talk.thanks.date > first else set())),
    ]


def test_threads_are_narrowed_by_each_parameter(sdk, talk):
    passed = {"limit", "page_token", "select"}
    for name, value, found in filters(talk):
        assert listed(sdk, talk, **{name: value}) == found, (name, value)
        passed.add(name)
    documented = set(typing.get_type_hints(nylas().models.threads.ListThreadsQueryParams)) or set(
        nylas().models.threads.ListThreadsQueryParams.__annotations__
    )
    assert documented - passed == set()
    assert failure(sdk.threads.list, talk.grant, {"search_query_native": "(hours"}).status_code == 400
    # All must be so of one message: Ada's is not the one that was sent.
    assert listed(sdk, talk, **{"from": "ada@people.test", "in": "sent"}) == set()
    assert listed(sdk, talk, **{"from": "ada@people.test", "in": "inbox", "unread": True}) == {talk.hours}


def test_threads_are_paged_and_trimmed(sdk, talk):
    whole = [thread.id for thread in sdk.threads.list(talk.grant).data]
    assert whole == [talk.sent, talk.report, talk.hours]
    seen, token = [], None
    while True:
        page = sdk.threads.list(talk.grant, {"limit": 1, **({"page_token": token} if token else {})})
        seen += [thread.id for thread in page.data]
        token = page.next_cursor
        if not token:
            break
    assert seen == whole
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (first, *_) = sdk.threads.list(talk.grant, {"select": "subject,message_ids"}).data
    assert (first.id, first.subject, first.message_ids) == (talk.sent, "Letter", [talk.letter.id])


def test_a_thread_adds_up_to_its_messages(sdk, talk):
    thread = sdk.threads.find(talk.grant, talk.hours).data
    assert thread.message_ids == [talk.question.id, talk.answer.id, talk.thanks.id] and thread.draft_ids == []
    assert {person["email"] for person in thread.participants} == {"ada@people.test", talk.address, "carol@people.test"}
    assert (thread.unread, thread.starred, thread.has_attachments, thread.has_drafts) == (True, False, False, False)
    assert sorted(thread.folders) == ["inbox", "sent"]
    assert thread.latest_draft_or_message.id == talk.thanks.id and thread.latest_draft_or_message.object == "message"
    assert thread.latest_message_received_date == talk.thanks.date and thread.latest_message_sent_date == talk.answer.date
    assert thread.earliest_message_date == talk.question.date


def test_a_thread_is_changed_and_deleted_with_all_its_messages(sdk, talk):
    changed = sdk.threads.update(talk.grant, talk.hours, {"starred": True, "unread": False, "folders": ["archive"]}).data
    assert (changed.id, changed.starred, changed.unread, changed.folders) == (talk.hours, True, False, ["archive"])
    for one in (talk.question, talk.answer, talk.thanks):
        found = sdk.messages.find(talk.grant, one.id).data
        assert (found.starred, found.unread, found.folders) == (True, False, ["archive"])
    assert failure(sdk.threads.update, talk.grant, talk.hours, {"folders": ["nowhere"]}).status_code == 400
    assert sdk.threads.destroy(talk.grant, talk.hours).request_id
    assert sdk.threads.find(talk.grant, talk.hours).data.folders == ["trash"]
    assert {one.id for one in sdk.messages.list(talk.grant, {"in": "trash"}).data} == set(changed.message_ids)
    assert failure(sdk.threads.destroy, talk.grant, talk.question.id).status_code == 404


def test_drafts_are_narrowed_by_each_parameter(sdk, talk):
    made = sdk.drafts.create(talk.grant, {
        "to": [{"email": "fay@people.test"}], "cc": [{"email": "gus@people.test"}], "bcc": [{"email": "hal@people.test"}],
        "reply_to": [{"email": "desk@agents.test"}], "subject": "Re: Opening hours", "body": "plain", "is_plaintext": True,
        "starred": True, "metadata": {"key1": "offer"}, "tracking_options": {"opens": True, "label": "x"},
        "reply_to_message_id": talk.question.id,
        "attachments": [{"filename": "a.txt", "content_type": "text/plain", "content": "YQ==", "size": 1}],
    }).data
    assert made.thread_id == talk.hours and made.reply_to[0]["email"] == "desk@agents.test" and made.body == "plain"
    other = sdk.drafts.create(talk.grant, {"subject": "Other"}).data
    one, both = [made.id], [other.id, made.id]
    for query, found in [
        ({"subject": "hours"}, one), ({"any_email": ["hal@people.test"]}, one), ({"from": [talk.address]}, both),
        ({"to": ["fay@people.test"]}, one), ({"cc": ["gus@people.test"]}, one), ({"bcc": ["hal@people.test"]}, one),
        ({"in": ["drafts"]}, both), ({"in": ["inbox"]}, []), ({"unread": True}, []), ({"starred": True}, one),
        ({"thread_id": talk.hours}, one), ({"has_attachment": True}, one), ({"metadata_pair": "key1:offer"}, one),
        ({"limit": 1}, [other.id]),
    ]:
        assert [draft.id for draft in sdk.drafts.list(talk.grant, query).data] == found, query
    first = sdk.drafts.list(talk.grant, {"limit": 1})
    assert [draft.id for draft in sdk.drafts.list(talk.grant, {"limit": 1, "page_token": first.next_cursor}).data] == one
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert sdk.drafts.find(talk.grant, made.id, {"select": "subject"}).data.subject == "Re: Opening hours"
    thread = sdk.threads.find(talk.grant, talk.hours).data
    assert thread.draft_ids == one and thread.has_drafts and "drafts" in thread.folders
    sent = sdk.drafts.send(talk.grant, made.id).data
    assert sent.starred and sdk.messages.find(talk.grant, sent.id).data.starred
    assert failure(sdk.drafts.send, talk.grant, talk.question.id).status_code == 404


def test_every_method_of_threads_was_called(sdk):
    called = {"list", "find", "update", "destroy"}
    assert methods_of(sdk.threads._resource) == called


def test_threads_with_the_node_sdk(fleet, talk, modules):
    command = ["node", HERE / "node_mailbox_threads.mjs", modules, fleet.server.api, fleet.account["api_key"], talk.grant]
    wanted = {"hours": talk.hours, "last": talk.file.date, "first": talk.question.date}
    done = subprocess.run([*command, json.dumps(wanted)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    hours, report, sent = [talk.hours], [talk.report], [talk.sent]
    assert seen["lists"] == {
        "all": sent + report + hours, "paged": sent + report + hours, "subject": hours, "anyEmail": report + hours, "from": report,
        "to": sent, "cc": hours, "bcc": sent, "in": report + hours, "unread": report + hours, "starred": sent,
        "threadId": hours, "latestMessageBefore": hours, "latestMessageAfter": seen["lists"]["latestMessageAfter"],
        "hasAttachment": report, "select": sent + report + hours, "searchQueryNative": hours,
    }
    assert set(seen["lists"]["latestMessageAfter"]) >= {talk.report, talk.sent}
    assert seen["refused"] == 400 and seen["found"]["id"] == talk.hours
    assert seen["found"]["latestDraftOrMessage"]["object"] == "message" and len(seen["found"]["messageIds"]) == 3
    assert (seen["changed"]["starred"], seen["changed"]["unread"], seen["changed"]["folders"]) == (True, False, ["archive"])
    assert seen["removed"] and seen["trashed"]["folders"] == ["trash"]
