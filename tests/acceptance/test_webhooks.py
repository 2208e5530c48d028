"""Who does not answer delays nobody else: a webhook that hangs, and a mailbox of a webhook that hangs."""

import pytest
from harness import Api, NoNames, Postfleet, Sink, WebhookReceiver, wait_until

# Seconds that a receiver has to answer: longer than anything here is waited for.
DEADLINE = 300
MESSAGES = 30
# How often something is changed.
CHANGES = 200


@pytest.fixture
def stage(tmp_path):
    names, sink, good, other = NoNames(), Sink().start(), WebhookReceiver(), WebhookReceiver()
    settings = {"POSTFLEET_WEBHOOKS__DEADLINE_SECONDS": str(DEADLINE), **names.settings}
    server = Postfleet(tmp_path, sink.address, settings=settings)
    try:
        api = Api(server, server.init()["api_key"])
        server.start()
        yield server, api, good, other
    finally:
        server.kill()
        for receiver in (good, other):
            receiver.takes.set()
            receiver.ends.set()
            receiver.close()
        sink.close()
        names.close()


def subscribe(api, receiver):
    body = {"trigger_types": ["message.created"], "webhook_url": receiver.url + "/in"}
    status, _, answer = api.call("POST", "/v3/webhooks", body)
    assert status == 200, answer


def receive(server, to, subject):
    with server.smtp() as client:
        client.sendmail("ada@people.test", [to], f"From: ada@people.test\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nHi\r\n")


def subjects(receiver, grant):
    """What was taken of a mailbox, in the order of its arrival."""
    told = [one["data"] for one in receiver.of_type("message.created")]
    return [one["object"]["subject"] for one in told if one["grant_id"] == grant]


def test_a_webhook_that_hangs_delays_no_other(stage):
    server, api, good, hanging = stage
    reader = api.mailbox("reader@agents.test")
    subscribe(api, hanging)
    subscribe(api, good)
    hanging.takes.clear()
    receive(server, "reader@agents.test", "first")
    wait_until("the webhook that hangs to be asked", lambda: hanging.asked)
    expected = ["first"]
    for number in range(MESSAGES):
        receive(server, "reader@agents.test", str(number))
        expected.append(str(number))
        wait_until("the other webhook to be told", lambda: subjects(good, reader) == expected)
    assert hanging.received == []


def test_a_mailbox_that_hangs_delays_no_other_of_its_webhook_and_loses_nothing(stage):
    server, api, receiver, _ = stage
    reader, slow = (api.mailbox(f"{name}@agents.test") for name in ("reader", "slow"))
    subscribe(api, receiver)
    receiver.hanging.add(slow)
    receive(server, "slow@agents.test", "first")
    wait_until("the mailbox that hangs to be told of", lambda: any(slow.encode() in body for body in list(receiver.asked)))
    expected = []
    for number in range(MESSAGES):
        receive(server, "slow@agents.test", str(number))
        receive(server, "reader@agents.test", str(number))
        expected.append(str(number))
        wait_until("the other mailbox to be told of", lambda: subjects(receiver, reader) == expected)
    assert subjects(receiver, slow) == []
    receiver.ends.set()
    wait_until("the mailbox that hung to be told of, in order", lambda: subjects(receiver, slow) == ["first", *expected])


def test_what_happens_after_a_change_is_told_as_it_was_changed(stage):
    """Whoever is answered that a secret is another one may forget the old one: the next event is signed with the new one."""
    _, api, good, _ = stage
    grant = api.mailbox("changing@agents.test")
    _, _, answer = api.call("POST", "/v3/webhooks", {"trigger_types": ["grant.updated"], "webhook_url": good.url + "/in"})
    webhook = answer["data"]["id"]
    for number in range(CHANGES):
        _, _, answer = api.call("POST", f"/v3/webhooks/rotate-secret/{webhook}", keep=True)
        secret = answer["data"]["webhook_secret"]
        status, _, answer = api.call("PATCH", f"/v3/grants/{grant}", {"name": f"Name {number}"}, keep=True)
        assert status == 200, answer
        wait_until("the change to be told", lambda: len(good.received) > number)
        assert good.received[number].is_signed_with(secret), number
