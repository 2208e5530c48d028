"""What comes back: a real Postfix takes mail, learns later that it cannot be delivered, and reports. And others who report
what is not so."""

import re

import pytest

from harness import Api, Postfix, Postfleet, wait_until
from reports import bounce_of, complaint_about, report

BOX = "ada@agents.test"
TOKEN = re.compile(r"b-[a-z2-7]{48}@agents\.test")


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def engine(request):
    return request.param


@pytest.fixture(scope="module")
def server(folder, storage, sink):
    """A server whose mail goes out through a Postfix that hands late.test to the sink, and reports back."""
    postfix = Postfix(folder / "postfix", ["grace"])
    settings = {"POSTFLEET_FEEDBACK__ADDRESSES": '["complaints@mx.agents.test"]'}
    server = Postfleet(folder / "postfleet", relay=postfix.address, storage=storage, settings=settings)
    sink.refusals = {
        "gone@late.test": "550 5.1.1 <gone@late.test>: no such user here",
        "full@late.test": "552 5.2.2 mailbox full",
    }
    postfix.route({"late.test": sink.port, "agents.test": server.smtp_port})
    server.postfix = postfix.start()
    server.account = server.init()
    server.start()
    server.key = Api(server, server.account["api_key"])
    yield server
    server.stop()
    postfix.stop()


@pytest.fixture(scope="module")
def grant(server):
    return server.key.mailbox(BOX)


@pytest.fixture(scope="module")
def hook(server, receiver, grant):
    triggers = ["message.delivered", "message.bounced", "message.complaint"]
    wish = {"trigger_types": triggers, "webhook_url": receiver.url + "/feedback"}
    status, _, answer = server.key.call("POST", "/v3/webhooks", wish)
    assert status in (200, 201), answer
    return receiver


def send(server, grant, *recipients):
    """Sends to them, also to those who bounced in another test and are suppressed since."""
    for address in recipients:
        server.key.call("DELETE", f"/v3/suppressions/{address}")
    message = {"to": [{"email": email} for email in recipients], "subject": "Hello", "body": "x"}
    status, _, answer = server.key.call("POST", f"/v3/grants/{grant}/messages/send", message)
    assert status == 200, answer
    return answer["data"]


def feedback(server, grant):
    status, _, answer = server.key.call("GET", f"/v3/grants/{grant}/feedback?limit=200")
    assert status == 200, answer
    return answer["data"]


def inbox(server, grant):
    return server.key.call("GET", f"/v3/grants/{grant}/messages?in=inbox&limit=200")[2]["data"]


def return_path(sink, sent):
    """What the recipients of a message see as its return path."""
    mark = f"<{sent['id']}@agents.test>".encode()
    taken = wait_until("the mail", lambda: [one for one in sink.taken if mark in one.raw])[-1]
    assert TOKEN.fullmatch(taken.sender), taken.sender
    return taken.sender


def test_a_server_that_reports_later_is_understood(server, grant, hook, sink):
    sent = send(server, grant, "gone@late.test", "full@late.test", "fine@late.test")
    failed = {}
    for address in ("gone@late.test", "full@late.test"):
        told = hook.wait_for(
            "message.bounced",
            lambda one: one["id"] == sent["id"] and one["bounce"]["recipients"][0]["email"] == address,
        )
        failed[address] = told["data"]["object"]
    gone, full = failed["gone@late.test"]["bounce"], failed["full@late.test"]["bounce"]
    assert (gone["type"], gone["bounce_class"]) == ("UnknownUser", "hard")
    assert (full["type"], full["bounce_class"]) == ("MailboxFull", "soft")
    assert "550 5.1.1" in gone["recipients"][0]["diagnostic_code"] and gone["bounced_at"] >= sent["date"]
    one = failed["gone@late.test"]
    assert (one["from"], one["subject"], one["sent_at"]) == (BOX, "Hello", sent["date"])
    records = wait_until("both records", lambda: len(feedback(server, grant)) >= 2 and feedback(server, grant))
    assert {(record["recipient"], record["kind"], record["outcome"]) for record in records} == {
        ("gone@late.test", "bounce", "counted"),
        ("full@late.test", "bounce", "counted"),
    }
    assert all(record["message_id"] == sent["id"] for record in records)
    # The report is in the conversation, for people to read.
    filed = {message["id"]: message for message in inbox(server, grant)}
    assert {record["report_message_id"] for record in records} <= set(filed)
    assert {message["thread_id"] for message in filed.values()} == {sent["thread_id"]}


def test_what_is_made_up_or_comes_again_counts_for_nothing(server, grant, hook, sink):
    sent = send(server, grant, "fine@late.test", "other@late.test")
    path = return_path(sink, sent)
    counted = lambda: [one for one in hook.of_type("message.bounced") if one["data"]["object"]["id"] == sent["id"]]  # noqa: E731
    token, domain = path.split("@")
    for forged in (f"b-{'a' * 48}@{domain}", f"{token[:-1]}{'b' if token.endswith('a') else 'a'}@{domain}", f"b-x@{domain}"):
        code, text = report(server, forged, bounce_of("fine@late.test"))
        assert code == 550 and b"5.1.1" in text, (forged, code, text)
    assert report(server, path, bounce_of("stranger@late.test"))[0] == 250
    assert report(server, BOX, bounce_of("fine@late.test"))[0] == 250
    for _ in range(3):
        assert report(server, path.upper(), bounce_of("fine@late.test"))[0] == 250
    hook.wait_for("message.bounced", lambda one: one["id"] == sent["id"])
    # Another mail's event is behind all of these.
    after = send(server, grant, "gone@late.test")
    hook.wait_for("message.bounced", lambda one: one["id"] == after["id"])
    assert len(counted()) == 1
    outcomes = [record["outcome"] for record in feedback(server, grant) if record["message_id"] == sent["id"]]
    assert sorted(outcomes) == ["counted", "forged", "replayed", "unmatched"]
    assert [one["outcome"] for one in feedback(server, grant) if one["message_id"] is None] == ["unsigned"]


def test_a_complaint_counts_where_it_is_registered(server, grant, hook, sink):
    sent = send(server, grant, "fine@late.test")
    path = return_path(sink, sent)
    for _ in range(2):
        assert report(server, "complaints@mx.agents.test", complaint_about(path, "fine@late.test"), "fbl@late.test")[0] == 250
    assert report(server, "complaints@mx.agents.test", complaint_about(BOX, "fine@late.test"), "fbl@late.test")[0] == 250
    told = hook.wait_for("message.complaint", lambda one: one["id"] == sent["id"])["data"]["object"]
    assert told["complaint"]["type"] == "abuse" and told["complaint"]["complained_recipients"] == ["fine@late.test"]
    operator = Api(server, server.account["operator_key"])
    unassigned = operator.call("GET", "/v3/admin/feedback")[2]["data"]
    assert [(one["kind"], one["outcome"], one["reporter"]) for one in unassigned] == [("complaint", "unsigned", "Late/1")]
    after = send(server, grant, "gone@late.test")
    hook.wait_for("message.bounced", lambda one: one["id"] == after["id"])
    assert len(hook.of_type("message.complaint")) == 1
    # It is no mailbox.
    assert report(server, "complaints@mx.agents.test", "From: a@b.test\r\n\r\nHello?\r\n", "a@b.test")[0] == 550


def test_a_vacation_notice_is_mail(server, grant, hook, sink):
    sent = send(server, grant, "fine@late.test")
    path = return_path(sink, sent)
    notice = (
        f"From: fine@late.test\r\nTo: {path}\r\nSubject: Automatic reply: Hello\r\nAuto-Submitted: auto-replied\r\n"
        f"In-Reply-To: <{sent['id']}@agents.test>\r\n\r\nI am away.\r\n"
    )
    assert report(server, path, notice)[0] == 250
    filed = next(message for message in inbox(server, grant) if message["subject"].startswith("Automatic reply"))
    assert filed["thread_id"] == sent["thread_id"]
    record = feedback(server, grant)[0]
    assert (record["kind"], record["outcome"], record["recipient"]) == ("auto_reply", "noted", "fine@late.test")
