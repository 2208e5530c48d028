"""Who is not written to, and why: from a server's refusal or a reader's click to the next send, over plain HTTP and SMTP."""

import email
import email.policy
import http.client
import urllib.parse

import pytest

from harness import wait_until

PUBLIC = "https://mail.example.test/fleet"


@pytest.fixture
def house(fleets):
    return fleets(settings={"POSTFLEET_SERVER__PUBLIC_URL": PUBLIC + "/"})


def send(api, grant, *recipients, **more):
    message = {"to": [{"email": one} for one in recipients], "subject": "Hello", "body": "x", **more}
    return api.call("POST", f"/v3/grants/{grant}/messages/send", message)


def sent(api, grant, *recipients, **more):
    status, _, answer = send(api, grant, *recipients, **more)
    assert status == 200, answer
    return answer["data"]


def test_000_45_a_hard_bounce_is_not_attempted_again_until_it_is_removed(house, sink):
    api, grant = house.api, house.mailbox()
    gone, here = "gone-45@people.test", "here-45@people.test"
    sink.refusals[gone] = "550 5.1.1 no such user"
    assert sent(api, grant, gone)["suppressed_recipients"] == []
    entry = wait_until("the bounce", lambda: api.all("/v3/suppressions"))[0]
    assert (entry["address"], entry["reason"], entry["source"], entry["grant_id"]) == (gone, "hard_bounce", "delivery", grant)

    error = api.refused("POST", f"/v3/grants/{grant}/messages/send", {"to": [{"email": gone.upper()}]}, code="all_recipients_suppressed", text="hard_bounce")
    assert error["retryable"] is False
    answer = sent(api, grant, gone, here)
    assert answer["suppressed_recipients"] == [{"email": gone, "reason": "hard_bounce"}]
    assert len(answer["to"]) == 2 and answer["folders"] == ["sent"]
    wait_until("the other one", lambda: [one for one in sink.taken if here in one.recipients])

    del sink.refusals[gone]
    api.delete(f"/v3/suppressions/{urllib.parse.quote(gone)}")
    sent(api, grant, gone)
    wait_until("the next attempt", lambda: [one for one in sink.taken if gone in one.recipients])


@pytest.mark.parametrize("reply", ["552 5.2.2 mailbox full", "550 5.7.1 blocked as spam", "451 4.3.0 later"])
def test_000_45_other_refusals_suppress_nobody(fleet, sink, reply):
    api, grant = fleet.api, fleet.mailbox()
    to = f"other-{reply[4:9].replace('.', '-')}@people.test"
    sink.refusals[to] = reply
    sent(api, grant, to)
    if reply.startswith("5"):
        wait_until("the report", lambda: api.get(f"/v3/grants/{grant}/messages?in=inbox"))
    api.refused("GET", f"/v3/suppressions/{to}", status=404)
    assert sent(api, grant, to)["suppressed_recipients"] == []


def test_000_44_addresses_are_validated_one_by_one_and_a_thousand_at_a_time(fleet):
    api = fleet.api
    grant = api.new_grant("known-44@agents.test")
    assert grant["id"]
    wanted = ["known-44@agents.test", "nobody-44@agents.test", "no address", "postmaster@agents.test"]
    validated = api.post("/v3/addresses/validate", {"addresses": wanted}, expect=200)
    assert [one["address"] for one in validated] == wanted
    assert [one["verdict"] for one in validated] == ["deliverable", "undeliverable", "undeliverable", "undeliverable"]
    assert [one["findings"] for one in validated][:3] == [[], ["no_such_mailbox"], ["syntax"]]
    assert validated[3]["is_role"] and validated[0]["mailbox_exists"]
    many = [f"r{number}@agents.test" for number in range(1000)]
    assert len(api.post("/v3/addresses/validate", {"addresses": many}, expect=200)) == 1000
    api.refused("POST", "/v3/addresses/validate", {"addresses": many + ["x@agents.test"]}, field="addresses")


def test_000_44_a_policy_has_sends_look_first(fleet):
    api = fleet.api
    policy = api.post("/v3/policies", {"name": "Looks first", "options": {"validate_recipients": True}}, expect=200)
    workspace = api.new_workspace("Careful", policy_id=policy["id"])
    grant = fleet.mailbox(workspace_id=workspace["workspace_id"])
    body = {"to": [{"email": "nobody-44b@agents.test"}], "subject": "x"}
    api.refused("POST", f"/v3/grants/{grant}/messages/send", body, code="recipient_undeliverable", text="nobody-44b@agents.test")
    assert api.get(f"/v3/grants/{grant}/messages?in=sent") == []
    other = fleet.mailbox()
    sent(api, other, "nobody-44b@agents.test")


def test_000_46_a_reader_unsubscribes_with_one_click(house, sink):
    api, grant = house.api, house.mailbox()
    reader = "reader-46@people.test"
    sent(api, grant, reader, list_unsubscribe=True)
    (taken,) = wait_until("the mail", lambda: [one for one in sink.taken if reader in one.recipients])
    message = email.message_from_bytes(taken.raw, policy=email.policy.default)
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link, letter = [way.strip(" <>") for way in str(message["List-Unsubscribe"]).split(",")]
    assert link.startswith(PUBLIC + "/v3/unsubscribe/") and letter.startswith("mailto:u-")
    signatures = message.get_all("DKIM-Signature")
    assert signatures
    for signature in signatures:
        fields = {part.strip()[:2]: part.strip()[2:] for part in str(signature).split(";")}
        signed = [name.strip().lower() for name in fields["h="].split(":")]
        assert "list-unsubscribe" in signed and "list-unsubscribe-post" in signed

    path = link.removeprefix(PUBLIC)

    def ask(method, body=None, kind="application/x-www-form-urlencoded"):
        connection = http.client.HTTPConnection("127.0.0.1", house.server.http_port, timeout=30)
        connection.request(method, path, body, {"Content-Type": kind} if body else {})
        answer = connection.getresponse()
        assert answer.getheader("Set-Cookie") is None and answer.getheader("Location") is None
        return answer.status, answer.read().decode()

    status, page = ask("GET")
    assert status == 200 and 'method="post"' in page
    assert ask("POST", "List-Unsubscribe=No")[0] == 400
    api.refused("GET", f"/v3/suppressions/{reader}", status=404)
    status, page = ask("POST", "List-Unsubscribe=One-Click")
    assert status == 200 and "unsubscribed" in page
    assert api.get(f"/v3/suppressions/{reader}")["reason"] == "unsubscribe"
    api.refused("POST", f"/v3/grants/{grant}/messages/send", {"to": [{"email": reader}]}, code="all_recipients_suppressed", text="unsubscribe")
    actions = [one["action"] for one in api.get("/v3/audit")]
    assert "suppression.added" in actions


def test_000_46_without_a_public_address_there_is_no_link(fleet):
    body = {"to": [{"email": "x@people.test"}], "list_unsubscribe": True}
    path = f"/v3/grants/{fleet.mailbox()}/messages/send"
    fleet.api.refused("POST", path, body, code="public_url_not_configured", field="list_unsubscribe")
