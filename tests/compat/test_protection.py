"""Who may not send, as the official SDKs meet it: every kind of stop by every way of sending, with an error that names it
and says what to do next; and the routes by which people look, stop and start again, as any client asks for them."""

import json
import smtplib
import subprocess
import time
from pathlib import Path

import pytest

from harness import WebhookReceiver, wait_until
from sdk import client, failure

HERE = Path(__file__).resolve().parent
PASSWORD = "Correct-Horse-1-Battery"
NOBODY = "01900000-0000-7000-8000-000000000000"


def letter(**more):
    return {"to": [{"email": "someone@people.test"}], "subject": "Your ticket", "body": "Solved.", **more}


@pytest.fixture
def grant(fleet):
    return fleet.api.new_grant(fleet.address(), settings={"app_password": PASSWORD})["id"]


def by_every_way(fleet, sdk, grant, status, kind, code, scope, said):
    """Insists that nothing leaves by any way of sending, and that each is told the same."""
    draft = sdk.drafts.create(grant, letter()).data
    ways = [
        lambda: sdk.messages.send(grant, letter()),
        lambda: sdk.messages.send(grant, letter(reply_to=[{"email": "other@people.test"}])),
        lambda: sdk.drafts.send(grant, draft.id),
    ]
    for number, way in enumerate(ways):
        refused = failure(way)
        assert (refused.status_code, refused.type) == (status, kind), (number, refused)
        assert said in str(refused), (number, str(refused))
        assert refused.headers["X-Request-Id"] == refused.request_id
    error = fleet.api.send_refused(grant, status=status, type=kind, code=code)
    assert error["scope"] == scope and error["retryable"] is False, error
    # What a mail client is told is the same text.
    email = fleet.api.get(f"/v3/grants/{grant}")["email"]
    with smtplib.SMTP("127.0.0.1", fleet.server.submission_port, local_hostname="client.test", timeout=30) as smtp:
        smtp.starttls()
        smtp.login(email, PASSWORD)
        with pytest.raises((smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused)) as refusal:
            smtp.sendmail(email, ["someone@people.test"], f"From: {email}\r\nTo: someone@people.test\r\nSubject: x\r\n\r\nx\r\n")
        assert "550" in str(refusal.value) or "5.7.1" in str(refusal.value), refusal.value
    assert sdk.drafts.find(grant, draft.id).data.id == draft.id, "what is refused stays what it was"
    # What is to leave later is judged when it leaves.
    later = sdk.messages.send(grant, letter(send_at=int(time.time()) + 3_600)).data
    sdk.messages.stop_scheduled_message(grant, later.schedule_id)
    explained = fleet.api.get(f"/v3/grants/{grant}/explain")
    (now,) = [one for one in explained["refusals"] if one["code"] == code]
    assert not explained["accepted"] and now["change"], "it says what would change it"
    assert [one for one in explained["past"] if one["code"] == code and one["times"] >= 3]
    return error


def may_send(sdk, grant):
    assert sdk.messages.send(grant, letter()).data.id


def test_a_switch_is_told_with_its_reason_and_ends_at_once(fleet, sdk, grant):
    wish = {"scope": "grant", "subject": grant, "reason": "the prompt is wrong"}
    stop = fleet.api.post("/v3/stops", wish)
    assert (stop["kind"], stop["effect"], stop["scope"], stop["subject"]) == ("switch", "refuse", "grant", grant)
    assert stop["active"] and stop["raised_by"]["type"] == "api_key" and stop["lifted_at"] is None
    by_every_way(fleet, sdk, grant, 403, "forbidden_access", "sending_paused", "grant", "the prompt is wrong")
    shown = fleet.api.get(f"/v3/grants/{grant}")["sending"]
    assert (shown["stop_id"], shown["kind"], shown["reason"]) == (stop["id"], "switch", "the prompt is wrong")
    # Asked for twice it is one; the SDK finds it by an id or not at all.
    assert fleet.api.post("/v3/stops", wish)["id"] == stop["id"]
    assert fleet.api.get(f"/v3/stops/{stop['id']}") == fleet.api.get(f"/v3/stops?grant_id={grant}")[0]
    lifted = fleet.api.post(f"/v3/stops/{stop['id']}/lift", {"reason": "mended"})
    assert (lifted["active"], lifted["lift_reason"], lifted["lifted_by"]["type"]) == (False, "mended", "api_key")
    may_send(sdk, grant)
    assert fleet.api.get(f"/v3/grants/{grant}")["sending"] is None
    assert fleet.api.get(f"/v3/stops?grant_id={grant}&active=true") == []


def test_a_workspace_a_domain_and_an_application_are_stopped_as_one(fleets):
    fleet = fleets(domains=["agents.test", "other.test"])
    sdk = client(fleet)
    workspace = fleet.api.new_workspace("Sales")["workspace_id"]
    inside, outside, elsewhere = fleet.mailbox(workspace_id=workspace), fleet.mailbox(), fleet.mailbox(domain="other.test")
    for scope, subject, stopped, free in (
        ("workspace", workspace, [inside], [outside, elsewhere]),
        ("sender_domain", "agents.test", [inside, outside], [elsewhere]),
        ("application", fleet.application, [inside, outside, elsewhere], []),
    ):
        stop = fleet.api.post("/v3/stops", {"scope": scope, "subject": subject, "reason": "an incident"})
        for grant in stopped:
            refused = failure(sdk.messages.send, grant, letter())
            assert refused.status_code == 403 and "an incident" in str(refused), (scope, refused)
            assert fleet.api.send_refused(grant, status=403, code="sending_paused")["scope"] == scope
        for grant in free:
            may_send(sdk, grant)
        fleet.api.post(f"/v3/stops/{stop['id']}/lift", {"reason": "over"})
        for grant in stopped:
            may_send(sdk, grant)


def test_an_abuse_restriction_is_the_operators_and_names_the_first_scope(fleet, sdk, grant):
    email = fleet.api.get(f"/v3/grants/{grant}")["email"]
    of_grant = {"scope": "grant", "subject": grant, "reason": "phishing", "reference": "4711"}
    of_address = {"scope": "sender_address", "subject": email, "reason": "phishing"}
    restrictions = [fleet.operator.post("/v3/admin/restrictions", body) for body in (of_grant, of_address)]
    assert restrictions[0]["reference"] == "4711" and restrictions[1]["subject"] == email
    said = "send blocked by abuse restriction"
    by_every_way(fleet, sdk, grant, 403, "forbidden_access", "abuse_restriction", "sender_address", said)
    # The customer sees it and does not lift it.
    listed = [stop["id"] for stop in fleet.api.get(f"/v3/stops?grant_id={grant}&kind=restriction")]
    assert restrictions[0]["id"] in listed
    lift = {"reason": "we would like to"}
    fleet.api.refused("POST", f"/v3/stops/{restrictions[0]['id']}/lift", lift, status=403, code="operator_lifts")
    for restriction in restrictions:
        failure(sdk.messages.send, grant, letter())
        fleet.operator.post(f"/v3/admin/restrictions/{restriction['id']}/lift", {"reason": "an appeal"})
    may_send(sdk, grant)
    assert fleet.operator.get(f"/v3/admin/stops?grant_id={grant}&active=false"), "an operator finds it by the mailbox"


def test_a_pause_for_bad_results_ends_by_a_case_that_an_operator_grants(fleets, sink):
    fleet = fleets(domains=["agents.test"])
    sdk = client(fleet)
    grant = fleet.api.new_grant("bulk@agents.test", settings={"app_password": PASSWORD})["id"]
    gone = [f"gone-{number}@nowhere.test" for number in range(10)]
    sink.refusals.update({address: "550 5.1.1 no such user" for address in gone})
    sdk.messages.send(grant, letter(to=[{"email": address} for address in gone]))

    def reputation():
        return fleet.api.get(f"/v3/grants/{grant}/reputation")

    wait_until("the pause", lambda: reputation()["state"] == "paused")
    now = reputation()
    assert now["counts"]["hard_bounces"] == 10 and now["rates"]["hard_bounces"]["percent"] == 10
    assert len(now["outcomes"]["counted"]) == 10
    by_every_way(fleet, sdk, grant, 400, "bad_request", "account_paused", "grant", "operator of the installation")
    (stop,) = fleet.api.get(f"/v3/stops?grant_id={grant}&active=true")
    lift = {"reason": "we would like to"}
    fleet.api.refused("POST", f"/v3/stops/{stop['id']}/lift", lift, status=403, code="operator_lifts")
    fleet.operator.refused("POST", f"/v3/admin/stops/{stop['id']}/lift", lift, status=409, code="recovery_needed")
    wish = {"cause": "a list that was bought", "fix": "it is deleted", "evidence": ["ticket 4711"]}
    case = fleet.api.post(f"/v3/grants/{grant}/recoveries", wish)
    assert (case["state"], case["cause"], case["evidence"]) == ("requested", wish["cause"], wish["evidence"])
    fleet.api.refused("POST", f"/v3/grants/{grant}/recoveries", wish, status=409, code="recovery_pending", text=case["id"])
    decision = {"decision": "grant", "note": "seen"}
    granted = fleet.operator.post(f"/v3/admin/recoveries/{case['id']}/decide", decision)
    assert granted["state"] == "granted"
    may_send(sdk, grant)
    limits = fleet.api.get(f"/v3/grants/{grant}/limits")["limits"]["limit_count_daily_email_sent"]
    assert limits["source"] == "recovery_ramp", limits
    # It is above the mailbox that the figures of the rest come from, and nobody else is paused.
    whole = fleet.api.get("/v3/reputation")
    assert whole["application"]["state"] != "paused" and whole["application"]["counts"]["hard_bounces"] == 10
    for path, key in ((f"/v3/workspaces/{fleet.default_workspace}", fleet.api), ("/v3/domains/agents.test", fleet.operator),
                      (f"/v3/admin/organizations/{fleet.organization}", fleet.operator)):  # fmt: skip
        of = key.get(f"{path}/reputation")
        assert of["counts"]["hard_bounces"] == 10 and of["state"] != "paused", of
    # The same, recipient by recipient, and as figures.
    found = fleet.api.all(f"/v3/activity/send?grant_id={grant}&event_type=bounced", 3)
    assert sorted(one["recipient"] for one in found) == sorted(gone)
    assert {one["bounce_class"] for one in found} == {"hard"} and all(one["detail"]["counted"] for one in found)
    (figures,) = [one for one in fleet.api.get("/v3/metrics/send?group_by=agent_account") if one["key"] == "bulk@agents.test"]
    assert figures["hard_bounced"] == 10 and figures["bounce_rate"] > 0.5


def test_a_breaker_of_a_workspace_holds_throttles_and_pauses(fleet, sdk):
    workspace = fleet.api.new_workspace("Trial")["workspace_id"]
    breaker = {"metric": "sends_per_hour", "threshold": 2, "action": "hold"}
    shown = fleet.api.put(f"/v3/workspaces/{workspace}/breakers", {"breakers": [breaker]})
    assert [(one["metric"], one["action"], one["enabled"]) for one in shown["breakers"]] == [("sends_per_hour", "hold", True)]
    grant = fleet.mailbox(workspace_id=workspace)
    for number in range(2):
        may_send(sdk, grant)
    held = sdk.messages.send(grant, letter(subject="one too many"))
    assert held.data.id and held.data.folders == [], "held and not sent"
    status, _, answer = fleet.api.try_send(grant)
    assert status == 202 and answer["hold"]["reason"] == "breaker", answer
    (stop,) = fleet.api.get(f"/v3/stops?grant_id={grant}&active=true")
    assert (stop["kind"], stop["effect"], stop["held_sends"]) == ("breaker", "hold", 2) and stop["evidence"], stop
    # Lifted by whose it is; what is held stays held, and is taken back.
    fleet.api.post(f"/v3/stops/{stop['id']}/lift", {"reason": "mended"})
    for hold in fleet.api.get(f"/v3/grants/{grant}/holds"):
        fleet.api.delete(f"/v3/grants/{grant}/holds/{hold['id']}")
    pausing = {"metric": "sends_per_hour", "threshold": 1, "action": "pause"}
    fleet.api.put(f"/v3/workspaces/{workspace}/breakers", {"breakers": [pausing]})
    other = fleet.mailbox(workspace_id=workspace)
    may_send(sdk, other)
    refused = failure(sdk.messages.send, other, letter())
    assert (refused.status_code, refused.type) == (403, "forbidden_access") and "breaker" in str(refused)
    assert fleet.api.send_refused(other, status=403, code="sending_paused")["scope"] == "grant"
    fleet.api.delete(f"/v3/workspaces/{workspace}/breakers")


def test_machines_that_answer_each_other_are_held_and_people_are_told(fleet, sdk):
    receiver = WebhookReceiver()
    try:
        # Not with the SDK, which reads no trigger that it does not know.
        wish = {"trigger_types": ["sending.stopped"], "webhook_url": receiver.url + "/stops"}
        fleet.api.post("/v3/webhooks", wish)
        grants = [fleet.mailbox(), fleet.mailbox()]
        emails = [fleet.api.get(f"/v3/grants/{grant}")["email"] for grant in grants]
        sdk.messages.send(grants[0], letter(to=[{"email": emails[1]}], subject="talk"))
        seen, held, turn = set(), None, 1
        for number in range(40):

            def came():
                found = sdk.messages.list(grants[turn], query_params={"in": "inbox", "limit": 1}).data
                return next((one for one in found if one.id not in seen), None)

            message = wait_until("an answer", came)
            seen.add(message.id)
            body = letter(to=[{"email": emails[1 - turn]}], subject="Re: talk", body=f"And you? {number}", reply_to_message_id=message.id)
            answer = sdk.messages.send(grants[turn], body)
            if answer.data.folders == []:
                held = answer.data
                break
            turn = 1 - turn
        assert held and number < 20, number
        told = receiver.wait_for("sending.stopped", lambda stop: stop["kind"] == "loop")["data"]["object"]
        assert told["scope"] == "thread" and told["email"] == emails[turn] and told["evidence"]["count"] > 1, told
        (stop,) = fleet.api.get(f"/v3/stops?grant_id={grants[turn]}&kind=loop")
        assert stop["held_sends"] == 1 and stop["subject"] == held.thread_id
        # Nothing else of the mailbox is concerned.
        may_send(sdk, grants[turn])
        fleet.api.post(f"/v3/stops/{stop['id']}/lift", {"reason": "they were people"})
        again = letter(to=[{"email": emails[1 - turn]}], subject="Re: talk", body="Once more", reply_to_message_id=message.id)
        assert sdk.messages.send(grants[turn], again).data.folders == ["sent"]
    finally:
        receiver.close()


def test_a_pool_passes_over_who_is_stopped(fleet, sdk):
    grants = [fleet.mailbox(), fleet.mailbox()]
    pool = fleet.api.post("/v3/sender-pools", {"name": "Outreach", "grant_ids": grants})["id"]
    stop = fleet.api.post("/v3/stops", {"scope": "grant", "subject": grants[0], "reason": "out"})["id"]
    for number in range(3):
        body = letter(to=[{"email": f"p{number}@people.test"}])
        assert fleet.api.ask("POST", f"/v3/sender-pools/{pool}/messages/send", body)["grant_id"] == grants[1]
    other = fleet.api.post("/v3/stops", {"scope": "grant", "subject": grants[1], "reason": "out, too"})["id"]
    body = letter(to=[{"email": "p9@people.test"}])
    fleet.api.refused("POST", f"/v3/sender-pools/{pool}/messages/send", body, status=403, code="sending_paused")
    for one in (stop, other):
        fleet.api.post(f"/v3/stops/{one}/lift", {"reason": "back"})
    fleet.api.delete(f"/v3/sender-pools/{pool}")


def test_the_support_bundle_has_what_support_asks_for(fleet, sdk, grant):
    stop = fleet.api.post("/v3/stops", {"scope": "grant", "subject": grant, "reason": "an incident"})
    failure(sdk.messages.send, grant, letter())
    bundle = fleet.api.get(f"/v3/grants/{grant}/support-bundle")
    assert (bundle["application_id"], bundle["grant_id"]) == (fleet.application, grant)
    example = bundle["example_error"]
    assert example["request_id"] and example["error"]["code"] == "sending_paused" and "an incident" in example["error"]["message"]
    assert [one["id"] for one in bundle["stops"]] == [stop["id"]] and bundle["sending"]["accepted"] is False
    text = json.dumps(bundle)
    assert PASSWORD not in text and fleet.account["api_key"] not in text and "Solved." not in text
    fleet.api.post(f"/v3/stops/{stop['id']}/lift", {"reason": "over"})


def test_the_node_sdk_is_told_of_stops_as_well(fleet, modules, grant):
    def run():
        command = ["node", HERE / "node_stopped.mjs", modules, fleet.server.api, fleet.account["api_key"], grant]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    stop = fleet.api.post("/v3/stops", {"scope": "grant", "subject": grant, "reason": "an incident"})
    for way, refused in run().items():
        assert (refused["status"], refused["type"]) == (403, "forbidden_access"), (way, refused)
        assert "an incident" in refused["message"] and refused["requestId"], (way, refused)
    fleet.api.post(f"/v3/stops/{stop['id']}/lift", {"reason": "over"})
    wish = {"scope": "grant", "subject": grant, "reason": "phishing"}
    restriction = fleet.operator.post("/v3/admin/restrictions", wish)
    for way, refused in run().items():
        assert (refused["status"], refused["message"]) == (403, "send blocked by abuse restriction"), (way, refused)
    fleet.operator.post(f"/v3/admin/restrictions/{restriction['id']}/lift", {"reason": "an appeal"})
    assert all(sent["sent"] for sent in run().values())
