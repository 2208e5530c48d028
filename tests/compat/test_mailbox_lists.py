"""Lists of messages, drafts, threads and folders as the official Python SDK asks for them: every parameter that it
documents, each with something that passes and something that does not."""

import json
import subprocess
import time
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest

from sdk import failure

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def mailbox(sdk, fleet):
    """A mailbox with three messages from outside and one of its own, the oldest first."""
    address = fleet.address()
    grant = fleet.api.new_grant(address)["id"]
    letters = [
        ("Gr\u00fc\u00dfe aus Athen", "ada@people.test", None),
        ("Invoice 7", "bob@people.test", b"%PDF-1.7"),
        ("Invoice 8", "ada@people.test", None),
    ]
    for subject, sender, file in letters:
        message = EmailMessage()
        message["Subject"], message["From"], message["To"], message["Cc"] = subject, sender, address, "carol@people.test"
        message.set_content("Hello")
        if file:
            message.add_attachment(file, maintype="application", subtype="pdf", filename="invoice.pdf")
        code, text = fleet.receive_raw(address, message.as_bytes(policy=SMTP), sender)
        assert code == 250, text
    sent = sdk.messages.send(grant, {
        "to": [{"email": "dora@people.test"}], "bcc": [{"email": "erik@people.test"}], "subject": "Own",
        "body": "x", "metadata": {"key1": "a, b", "key2": "x"},
    }).data
    oldest_first = list(reversed(sdk.messages.list(grant, {"limit": 10}).data))
    assert [message.subject for message in oldest_first] == [letter[0] for letter in letters] + ["Own"]
    sdk.messages.update(grant, oldest_first[0].id, {"starred": True, "unread": False})
    return grant, [message.id for message in oldest_first], sent


def test_every_parameter_of_a_list_of_messages(sdk, mailbox):
    grant, ids, sent = mailbox
    first, second, third, own = ids
    listed = lambda **query: [message.id for message in sdk.messages.list(grant, query).data]  # noqa: E731
    thread = sdk.messages.find(grant, second).data.thread_id
    date = sdk.messages.find(grant, first).data.date
    for query, expected in [
        ({"any_email": ["erik@people.test", "bob@people.test"]}, [own, second]),
        ({"from": ["ada@people.test"]}, [third, first]),
        ({"to": ["dora@people.test"]}, [own]),
        ({"cc": ["carol@people.test"]}, [third, second, first]),
        ({"bcc": ["erik@people.test"]}, [own]),
        ({"in": "sent"}, [own]),
        ({"in": "INBOX"}, [third, second, first]),
        ({"unread": True}, [third, second]),
        ({"unread": False}, [own, first]),
        ({"starred": True}, [first]),
        ({"thread_id": thread}, [second]),
        ({"received_before": date}, []),
        ({"received_after": date - 1}, [own, third, second, first]),
        ({"has_attachment": True}, [second]),
        ({"metadata_pair": {"key2": "x"}}, [own]),
        ({"subject": "INVOICE"}, [third, second]),
        ({"unread": True, "from": ["ada@people.test"], "in": "inbox", "subject": "invoice"}, [third]),
        ({"subject": "GR\u00dcSSE"}, [first]),
        ({"metadata_pair": {"key1": "a, b"}}, [own]),
        ({"search_query_native": "invoice -8"}, [second]),
        ({"search_query_native": "\"invoice 8\" OR (athen AND ada)"}, [first, third]),
        ({"search_query_native": "erik", "in": "sent"}, [own]),
        ({"search_query_native": "invoice.pdf"}, [second]),
        ({"search_query_native": "nowhere"}, []),
    ]:
        assert listed(**query) == expected, query


def test_what_is_no_query_and_what_is_not_for_us_is_refused(sdk, mailbox):
    grant, ids, _ = mailbox
    for text in ("(invoice", "invoice OR", "\"invoice", "x" * 513):
        refused = failure(sdk.messages.list, grant, {"search_query_native": text})
        assert refused.status_code == 400 and "search_query_native" in str(refused), text
    wish = {"prompt": "Say yes"}
    assert failure(sdk.messages.smart_compose.compose_message, grant, wish).status_code == 404
    assert failure(sdk.messages.smart_compose.compose_message_reply, grant, ids[0], wish).status_code == 404


def test_lists_of_messages_with_the_node_sdk(sdk, mailbox, fleet, modules):
    grant, (first, second, third, own), _ = mailbox
    one = sdk.messages.find(grant, first).data
    wanted = {"thread": sdk.messages.find(grant, second).data.thread_id, "date": one.date, "own": own}
    command = ["node", HERE / "node_mailbox_lists.mjs", modules, fleet.server.api, fleet.account["api_key"], grant]
    done = subprocess.run([*command, json.dumps(wanted)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["lists"] == {
        "paged": [own, third, second, first], "subject": [third, second], "anyEmail": [own, second], "to": [own],
        "from": [third, first], "cc": [third, second, first], "bcc": [own], "in": [own], "unread": [third, second],
        "starred": [first], "threadId": [second], "receivedBefore": [], "receivedAfter": [own, third, second, first],
        "hasAttachment": [second], "metadataPair": [own], "searchQueryNative": [second],
    }
    forms = seen["forms"]
    assert forms["standard"]["body"] == "x" and forms["raw_mime"]["rawMime"] and "body" not in forms["selected"]
    assert {"name": "Subject", "value": "Own"} in forms["include_headers"]["headers"]
    assert forms["include_tracking_options"]["trackingOptions"] is not None
    assert forms["include_basic_headers"]["headers"] and seen["refused"] == 400 and seen["composed"] == [404, 404]


def test_pages_hold_every_message_once(sdk, mailbox):
    grant, ids, _ = mailbox
    seen, token = [], None
    while True:
        page = sdk.messages.list(grant, {"limit": 3} | ({"page_token": token} if token else {}))
        seen += [message.id for message in page.data]
        token = page.next_cursor
        if not token:
            break
    assert seen == list(reversed(ids))


def test_every_form_of_a_message(sdk, mailbox):
    grant, ids, _ = mailbox
    for find in (
        lambda fields: sdk.messages.list(grant, {"fields": fields, "limit": 1}).data[0],
        lambda fields: sdk.messages.find(grant, ids[3], {"fields": fields}).data,
    ):
        assert find("standard").body == "x" and find("standard").headers is None
        assert any(header.name == "Subject" for header in find("include_headers").headers)
        assert find("include_tracking_options").tracking_options is not None
        assert find("raw_mime").raw_mime
    (one,) = sdk.messages.list(grant, {"select": "id,subject", "limit": 1}).data
    assert (one.subject, one.body, one.folders, one.grant_id) == ("Own", None, None, grant)
    one = sdk.messages.find(grant, ids[3], {"select": "id,subject"}).data
    assert (one.subject, one.body) == ("Own", None)


def test_every_parameter_of_a_list_of_drafts(sdk, fleet):
    grant = fleet.api.new_grant(fleet.address())["id"]
    people = {"to": [{"email": "ada@people.test"}], "cc": [{"email": "bob@people.test"}], "bcc": [{"email": "cy@people.test"}]}
    file = {"filename": "a.txt", "content_type": "text/plain", "content": "YQ==", "size": 1}
    full = sdk.drafts.create(grant, people | {"subject": "Offer", "starred": True, "attachments": [file], "metadata": {"key1": "v"}}).data
    bare = sdk.drafts.create(grant, {"subject": "Bare"}).data
    for query, expected in [
        ({"subject": "offer"}, [full.id]),
        ({"any_email": ["cy@people.test"]}, [full.id]),
        ({"to": ["ada@people.test"]}, [full.id]),
        ({"cc": ["bob@people.test"]}, [full.id]),
        ({"bcc": ["cy@people.test"]}, [full.id]),
        ({"starred": True}, [full.id]),
        ({"unread": False}, [bare.id, full.id]),
        ({"thread_id": bare.thread_id}, [bare.id]),
        ({"has_attachment": True}, [full.id]),
        ({"metadata_pair": {"key1": "v"}}, [full.id]),
        ({"limit": 1}, [bare.id]),
    ]:
        assert [draft.id for draft in sdk.drafts.list(grant, query).data] == expected, query
    page = sdk.drafts.list(grant, {"limit": 1, "select": "id,subject"})
    (after,) = sdk.drafts.list(grant, {"limit": 1, "select": "id,subject", "page_token": page.next_cursor}).data
    assert (after.id, after.subject, after.body) == (full.id, "Offer", None)
    assert sdk.drafts.find(grant, full.id, {"select": "id,subject"}).data.subject == "Offer"


def test_a_draft_takes_every_parameter(sdk, mailbox):
    grant, ids, _ = mailbox
    person = lambda name: [{"email": f"{name}@people.test"}]  # noqa: E731
    whole = {
        "subject": "All", "body": "Plain", "is_plaintext": True, "starred": True, "to": person("ada"), "cc": person("bob"),
        "bcc": person("cy"), "reply_to": person("desk"), "custom_headers": [{"name": "X-Case", "value": "7"}],
        "attachments": [{"filename": "a.txt", "content_type": "text/plain", "content": "YQ==", "size": 1}],
        "metadata": {"key1": "v"}, "reply_to_message_id": ids[0], "send_at": int(time.time()) + 86_400,
        "tracking_options": {"opens": True, "links": False, "thread_replies": True, "label": "x"},
    }
    made = sdk.drafts.create(grant, whole).data
    changed = sdk.drafts.update(grant, made.id, whole | {"subject": "All again"}).data
    for draft, subject in ((made, "All"), (changed, "All again")):
        assert (draft.subject, draft.starred, draft.object, len(draft.attachments)) == (subject, True, "draft", 1)
        assert [list_[0]["email"] for list_ in (draft.to, draft.cc, draft.bcc, draft.reply_to)] == [
            "ada@people.test", "bob@people.test", "cy@people.test", "desk@people.test"]
    sdk.drafts.destroy(grant, made.id)


def test_attachments_are_described_and_downloaded(sdk, mailbox):
    grant, ids, _ = mailbox
    (file,) = sdk.messages.find(grant, ids[1]).data.attachments
    found = sdk.attachments.find(grant, file.id, {"message_id": ids[1]}).data
    assert (found.filename, found.content_type, found.size) == ("invoice.pdf", "application/pdf", 8)
    assert sdk.attachments.download_bytes(grant, file.id, {"message_id": ids[1]}) == b"%PDF-1.7"
    streamed = sdk.attachments.download(grant, file.id, {"message_id": ids[1]})
    assert b"".join(streamed.iter_content(4)) == b"%PDF-1.7"


def test_folders_are_listed_and_selected_from(sdk, mailbox):
    grant, _, _ = mailbox
    assert sdk.folders.find(grant, "inbox", {"select": "id,name"}).data.name == "inbox"
    query = {"limit": 50, "page_token": "", "parent_id": "x", "include_hidden_folders": True, "single_level": True, "select": "id,name"}
    assert {folder.name for folder in sdk.folders.list(grant, query).data} >= {"inbox", "sent", "drafts", "trash", "junk", "archive"}
