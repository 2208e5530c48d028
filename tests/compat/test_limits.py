"""What agents may send and keep, as the official Python SDK meets it: days, months, seconds and bytes that end, and what
lets them go on. Tests are named after the rows of documents 000, 001, 002 and 003."""

import datetime
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from harness import wait_until
from sdk import client, failure

DAY = 86_400
# No test here takes longer, so none of them begins so shortly before a day (or a month) ends.
LONGEST = 120


@pytest.fixture(autouse=True)
def one_day():
    """Each test is over on the day on which it begins."""
    left = DAY - time.time() % DAY
    if left < LONGEST:
        time.sleep(left + 1)


def plan(name="tight", based_on="free", **numbers):
    """A plan without rates, but for what is said."""
    numbers = {"sends_per_second": -1, "sandbox_sends_per_second": -1} | numbers
    lines = "".join(f"{key} = {value}\n" for key, value in numbers.items())
    return f'[plans.{name}]\nbased_on = "{based_on}"\n{lines}'


def letter(**more):
    return {"to": [{"email": "someone@people.test"}], "subject": "Your ticket", "body": "Solved.", **more}


def tier(fleet, name="Support", **limits):
    """A workspace with a policy of its own: both ids."""
    policy = fleet.api.new_policy(f"{name} policy", **limits)["id"]
    return fleet.api.new_workspace(name, policy_id=policy)["workspace_id"], policy


def send(sdk, grant, times=1):
    """Sends so many; what remains of the day after the last."""
    for _ in range(times):
        sent = sdk.messages.send(grant, letter())
    remaining = sent.headers.get("RateLimit-Remaining")
    return None if remaining is None else int(remaining)


def midnight():
    return (int(time.time()) // DAY + 1) * DAY


def end_of_month():
    today = datetime.datetime.now(datetime.UTC)
    first = datetime.datetime(today.year + today.month // 12, today.month % 12 + 1, 1, tzinfo=datetime.UTC)
    return int(first.timestamp())


def ends(fleet, sdk, grant, code, scope, limit, resets_at):
    """Insists that nothing more leaves, and that it is said as it is documented: by the SDK and in the body."""
    said = failure(sdk.messages.send, grant, letter())
    assert (said.status_code, said.type) == (429, "too_many_requests")
    wait = int(said.headers["Retry-After"])
    assert 0 <= wait - (resets_at - time.time()) <= 5, (wait, resets_at)
    assert int(said.headers["RateLimit-Limit"]) == limit and int(said.headers["RateLimit-Remaining"]) == 0
    error = fleet.api.send_refused(grant, status=429, type="too_many_requests", code=code)
    assert error["message"] == str(said)
    shown = {name: error[name] for name in ("retryable", "scope", "limit", "used", "resets_at")}
    assert shown == {"retryable": True, "scope": scope, "limit": limit, "used": limit, "resets_at": resets_at}
    return error


def explained(fleet, grant, code):
    """What the explanation says of a refusal: now, and of the past."""
    told = fleet.api.get(f"/v3/grants/{grant}/explain")
    assert not told["accepted"]
    (now,) = [one for one in told["refusals"] if one["code"] == code]
    (past,) = [one for one in told["past"] if one["code"] == code]
    assert now["owner"] == past["owner"] and now["change"] == past["change"]
    return now, past


def meter(usage, name, scope="organization"):
    (found,) = [one for one in usage["meters"] if (one["meter"], one["scope"]) == (name, scope)]
    return found


# Days ---------------------------------------------------------------------------------------------------------------


def test_000_30_33_and_001_10_12_43_45_the_151st_send_of_a_support_agent(fleets):
    fleet = fleets(plan="tight", plans=plan())
    sdk = client(fleet)
    support, policy = tier(fleet, limit_count_daily_email_sent=150)
    agent, neighbour = fleet.mailbox(workspace_id=support), fleet.mailbox(workspace_id=support)
    for left in (149, 148):
        assert send(sdk, agent) == left
    assert send(sdk, agent, 148) == 0
    error = ends(fleet, sdk, agent, "daily_quota_exceeded", "grant", 150, midnight())
    assert error["message"] == "daily send quota of 150 messages is used up until 00:00 UTC"
    # By any way of sending; what is refused stays what it was.
    draft = sdk.drafts.create(agent, letter()).data
    assert failure(sdk.drafts.send, agent, draft.id).status_code == 429
    assert sdk.drafts.find(agent, draft.id).data.id == draft.id
    # Who stopped it, and how often it was asked since; the counter is the one that is shown.
    now, past = explained(fleet, agent, "daily_quota_exceeded")
    assert now["owner"] == {"type": "policy", "id": policy, "name": "Support policy"} and past["times"] == 3
    usage = fleet.api.get(f"/v3/grants/{agent}/usage")
    assert usage["monthly_sends"] == 150
    shown = meter(usage, "daily_sends", "grant")
    assert (shown["used"], shown["limit"], shown["remaining"], shown["resets_at"]) == (150, 150, 0, midnight())
    # An agent that loops stops itself and nobody else.
    assert send(sdk, neighbour) == 149
    # A larger quota holds for the very next message, and the plan is the end.
    fleet.api.put(f"/v3/policies/{policy}", {"limits": {"limit_count_daily_email_sent": 160}})
    assert send(sdk, agent) == 9
    fleet.api.put(f"/v3/policies/{policy}", {"limits": {"limit_count_daily_email_sent": None}})
    assert send(sdk, agent, 49) == 0
    ends(fleet, sdk, agent, "daily_quota_exceeded", "grant", 200, midnight())
    assert explained(fleet, agent, "daily_quota_exceeded")[0]["owner"]["type"] == "plan"
    assert meter(fleet.api.get("/v3/usage")["organization"], "monthly_sends")["used"] == 201


def test_000_31_no_end_of_the_day_on_the_paid_plan(fleets):
    fleet = fleets(plan="tight", plans=plan(based_on="full_platform"))
    sdk, grant = client(fleet), fleet.mailbox()
    assert send(sdk, grant, 201) is None


def test_001_09_a_move_at_noon_takes_what_was_sent_along(fleets):
    fleet = fleets(plan="tight", plans=plan())
    sdk = client(fleet)
    starter, _ = tier(fleet, "Starter", limit_count_daily_email_sent=3)
    pro, _ = tier(fleet, "Pro", limit_count_daily_email_sent=5)
    agent = fleet.mailbox(workspace_id=starter)
    assert send(sdk, agent, 3) == 0
    ends(fleet, sdk, agent, "daily_quota_exceeded", "grant", 3, midnight())
    fleet.api.move(agent, pro)
    assert send(sdk, agent) == 1
    assert send(sdk, agent) == 0
    ends(fleet, sdk, agent, "daily_quota_exceeded", "grant", 5, midnight())
    # Downwards as well: what was sent is more than there is now.
    fleet.api.move(agent, starter)
    assert failure(sdk.messages.send, agent, letter()).status_code == 429
    error = fleet.api.send_refused(agent, status=429, code="daily_quota_exceeded")
    assert (error["limit"], error["used"]) == (3, 5)


def test_000_32_and_001_32_without_a_policy_the_plan_is_the_end(fleets):
    fleet = fleets(plan="tight", plans=plan(daily_sends_max=4))
    sdk = client(fleet)
    workspace, policy = tier(fleet, limit_count_daily_email_sent=1)
    agent = fleet.mailbox(workspace_id=workspace)
    assert send(sdk, agent) == 0
    ends(fleet, sdk, agent, "daily_quota_exceeded", "grant", 1, midnight())
    # No policy raises what the plan allows.
    fleet.api.refused("PUT", f"/v3/policies/{policy}", {"limits": {"limit_count_daily_email_sent": 5}}, field="limit_count_daily_email_sent")
    fleet.api.patch(f"/v3/workspaces/{workspace}", {"policy_id": None})
    assert send(sdk, agent, 3) == 0
    ends(fleet, sdk, agent, "daily_quota_exceeded", "grant", 4, midnight())
    assert explained(fleet, agent, "daily_quota_exceeded")[0]["owner"] == {"type": "plan", "id": None, "name": "tight"}


def test_003_07_29_to_32_what_is_over_the_quota_waits_and_a_raise_lets_it_leave(fleets, sink):
    fleet = fleets(plan="tight", plans=plan())
    sdk = client(fleet)
    workspace, _ = tier(fleet, limit_count_daily_email_sent=1)
    fleet.api.patch(f"/v3/workspaces/{workspace}", {"on_quota": "hold"})
    agent = fleet.mailbox(workspace_id=workspace)
    send(sdk, agent)
    before = len(sink.taken)
    for number in range(3):
        assert sdk.messages.send(agent, letter(subject=f"Over {number}")).data.subject == f"Over {number}"
    waiting = fleet.api.get(f"/v3/grants/{agent}/holds")
    assert [one["state"] for one in waiting] == ["waiting"] * 3 and {one["reason"] for one in waiting} == {"quota"}
    # The newest is shown first, and is taken back.
    fleet.api.delete(f"/v3/grants/{agent}/holds/{waiting[0]['id']}")
    # Who asks for more does not grant it.
    wish = {"value": 3, "ends_at": int(time.time()) + 3_600, "reason": "a campaign"}
    raised = fleet.api.post(f"/v3/grants/{agent}/raises", wish)["id"]
    fleet.api.refused("POST", f"/v3/raises/{raised}/grant", {}, status=403, code="own_raise")
    path = f"/v3/admin/applications/{fleet.application}/api-keys"
    boss = fleet.key(fleet.operator.post(path, {"name": "boss", "permissions": ["raises.decide"]})["api_key"])
    boss.post(f"/v3/raises/{raised}/grant", {})
    # They leave in their order, and arrive in any: each has its own connection.
    subjects = wait_until("what waits to leave", lambda: left(sink, before, 2))
    assert sorted(subjects) == ["Over 0", "Over 1"], "and the one that was taken back never"
    assert [one["state"] for one in fleet.api.get(f"/v3/grants/{agent}/holds")] == ["cancelled", "released", "released"]


def left(sink, before, count):
    """The subjects of what left since, once it is so many."""
    taken = sink.taken[before:]
    lines = [line for one in taken for line in one.raw.split(b"\r\n") if line.startswith(b"Subject: Over")]
    return [line.removeprefix(b"Subject: ").decode() for line in lines] if len(lines) >= count else None


# Months -------------------------------------------------------------------------------------------------------------


def test_002_22_24_25_29_37_the_month_is_used_up(fleets):
    fleet = fleets(plan="tight", plans=plan(monthly_sends_max=4))
    sdk, agent = client(fleet), fleet.mailbox()
    _, other = fleet.second_application()
    second, elsewhere = client(fleet, other.key), other.new_grant("elsewhere@agents.test")["id"]
    send(sdk, agent, 2)
    send(second, elsewhere, 2)
    # The organization's messages, whoever sent them.
    for using, grant in ((sdk, agent), (second, elsewhere)):
        said = failure(using.messages.send, grant, letter())
        assert (said.status_code, said.type) == (429, "too_many_requests")
    ends(fleet, sdk, agent, "monthly_quota_exceeded", "organization", 4, end_of_month())
    assert explained(fleet, agent, "monthly_quota_exceeded")[0]["owner"]["type"] == "plan"
    usage = fleet.api.get("/v3/usage")
    shown = meter(usage["organization"], "monthly_sends")
    assert (shown["used"], shown["remaining"], shown["resets_at"]) == (4, 0, end_of_month())
    assert usage["monthly_sends"] == 2, "and what this application sent of it"
    # What comes in comes in, and what is written is kept.
    address = fleet.api.get(f"/v3/grants/{agent}")["email"]
    assert fleet.receive(address)[0] == 250
    draft = sdk.drafts.create(agent, letter()).data
    # A larger plan holds at once.
    fleet.operator.patch(f"/v3/admin/organizations/{fleet.organization}", {"plan": "self_hosted"})
    assert sdk.drafts.send(agent, draft.id).data.folders == ["sent"]
    send(second, elsewhere)


def test_002_19_20_22_37_the_bandwidth_of_the_month_is_used_up(fleets):
    fleet = fleets(plan="tight", plans=plan(monthly_bandwidth_octets_max=60_000))
    sdk, agent, address = client(fleet), *made(fleet)
    # A message to many goes out once.
    people = [{"email": f"p{number}@people.test"} for number in range(50)]
    sdk.messages.send(agent, letter(to=people, body="x" * 10_000))
    out = fleet.api.get("/v3/usage")["bytes_out"]
    assert 10_000 < out < 40_000
    assert fleet.receive(address, text="word " * 1_000)[0] == 250
    usage = fleet.api.get("/v3/usage")
    assert usage["bytes_out"] == out and 5_000 <= usage["bytes_in"] < 10_000
    used = meter(usage["organization"], "monthly_bandwidth")
    assert used["used"] == out + usage["bytes_in"]
    # What does not fit is refused; what comes in is put off, not lost.
    large = letter(body="x" * 60_000)
    said = failure(sdk.messages.send, agent, large)
    assert (said.status_code, said.type) == (429, "too_many_requests")
    assert int(said.headers["Retry-After"]) > 0 and "bandwidth" in str(said)
    assert fleet.receive(address, text="word " * 12_000)[0] == 452
    sdk.messages.send(agent, letter())


def made(fleet, **more):
    """A mailbox: its id and its address."""
    address = fleet.address()
    return fleet.api.new_grant(address, **more)["id"], address


def test_002_23_27_28_on_a_plan_with_overage_it_goes_on_and_is_told(fleets):
    included = {"monthly_sends_max": 2, "monthly_bandwidth_octets_max": 1_000, "storage_octets_max": 1_000}
    fleet = fleets(plan="full_platform", plans=plan("full_platform", "full_platform", **included))
    sdk, agent, address = client(fleet), *made(fleet)
    send(sdk, agent, 5)
    assert fleet.receive(address)[0] == 250
    sdk.drafts.create(agent, letter())
    usages = [
        fleet.api.get("/v3/usage")["organization"],
        fleet.operator.get(f"/v3/admin/organizations/{fleet.organization}/usage"),
    ]
    assert usages[0] == usages[1] and usages[0]["has_overage"] is True
    sends = meter(usages[0], "monthly_sends")
    assert sends == {
        "meter": "monthly_sends", "scope": "organization", "used": 5, "limit": None, "remaining": None, "included": 2,
        "overage": 3, "resets_at": end_of_month(),
    }
    for name in ("monthly_bandwidth", "storage"):
        shown = meter(usages[0], name)
        assert shown["limit"] is None and shown["included"] == 1_000 and shown["overage"] == shown["used"] - 1_000 > 0
    # On a plan that ends there, it ends.
    fleet.operator.patch(f"/v3/admin/organizations/{fleet.organization}", {"plan": "free"})
    assert meter(fleet.api.get("/v3/usage")["organization"], "monthly_sends")["limit"] == 3_000


# Storage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whose", ["grant", "organization"])
def test_001_11_44_and_002_18_22_41_42_a_full_mailbox_and_room_again(fleets, whose):
    size = 100_000
    fleet = fleets(plan="tight", plans=plan() if whose == "grant" else plan(storage_octets_max=size))
    workspace, _ = tier(fleet, **({"limit_storage_total": size} if whose == "grant" else {}))
    sdk, agent, address = client(fleet), *made(fleet, workspace_id=workspace)
    # Mail that came in, what was sent and what is being written all count, with what is attached.
    file = {"filename": "log.txt", "content_type": "text/plain", "content": "bG9n" * 5_000, "size": 15_000}
    assert fleet.receive(address, text="word " * 2_000)[0] == 250
    send(sdk, agent)
    drafts = [sdk.drafts.create(agent, letter(attachments=[file])).data.id for _ in range(3)]
    usage = fleet.api.get(f"/v3/grants/{agent}/usage")
    used = meter(usage, "storage", "grant")["used"]
    assert used == meter(usage, "storage")["used"] and 70_000 < used < size
    # It is full now for what is larger than the rest.
    large, mail = letter(body="x" * 20_000), "word " * 6_000
    for attempt in (sdk.messages.send, sdk.drafts.create):
        said = failure(attempt, agent, large)
        assert (said.status_code, said.type) == (403, "forbidden_access") and "storage" in str(said)
        assert "Retry-After" not in said.headers
    error = fleet.api.refused("POST", f"/v3/grants/{agent}/messages/send", large, status=403, code="storage_full")
    assert (error["scope"], error["limit"], error["used"], error["retryable"]) == (whose, size, used, False)
    assert "resets_at" not in error
    assert fleet.receive(address, text=mail)[0] == 452
    past = fleet.api.get(f"/v3/grants/{agent}/explain")["past"]
    assert [(one["code"], one["times"], one["owner"]["type"]) for one in past] == [("storage_full", 2, "policy" if whose == "grant" else "plan")]
    # Reading works, making something smaller works, and removing makes room.
    (first,) = sdk.messages.list(agent, {"in": "inbox"}).data
    assert sdk.messages.find(agent, first.id).data.body.startswith("word word")
    sdk.drafts.update(agent, drafts[0], letter(attachments=[]))
    for draft in drafts:
        sdk.drafts.destroy(agent, draft)
    assert meter(fleet.api.get(f"/v3/grants/{agent}/usage"), "storage", "grant")["used"] < used - 3 * 20_000
    sdk.drafts.send(agent, sdk.drafts.create(agent, large).data.id)
    assert fleet.receive(address, text=mail)[0] == 250


# Seconds ------------------------------------------------------------------------------------------------------------


def within_a_second(attempt):
    """Repeats what must happen within a second until it does, on a machine that others use as well."""
    for _ in range(20):
        # The second before is over.
        time.sleep(1.1)
        begin = time.monotonic()
        seen = attempt()
        if time.monotonic() - begin < 0.95:
            return seen
    raise AssertionError("this machine cannot do that in a second")


def accepted(sdk, grant):
    """None if it was accepted, and otherwise the refusal."""
    try:
        sdk.messages.send(grant, letter())
    except Exception as refusal:
        return refusal
    return None


def too_fast(refusal):
    assert (refusal.status_code, refusal.type) == (429, "rate_limit_error"), repr(refusal)
    assert str(refusal) == "per-second rate limit exceeded"
    assert refusal.headers["Retry-After"] == "1" and refusal.headers["RateLimit-Remaining"] == "0"
    return int(refusal.headers["RateLimit-Limit"])


def test_002_30_to_32_two_production_applications_share_five_a_second(fleets):
    fleet = fleets(plan="full_platform")
    _, other = fleet.second_application("Second", "production")
    agents = [(client(fleet), fleet.mailbox()), (client(fleet, other.key), other.new_grant("second@agents.test")["id"])]
    seen = within_a_second(lambda: [accepted(*agents[number % 2]) for number in range(7)])
    assert seen[:5] == [None] * 5, "three of one and two of the other"
    assert [too_fast(refusal) for refusal in seen[5:]] == [5, 5]
    error = within_a_second(lambda: [accepted(*agents[0]) for _ in range(5)] and fleet.api.try_send(agents[0][1]))[2]["error"]
    shown = {name: error[name] for name in ("code", "retryable", "scope", "limit", "used")}
    assert shown == {"code": "per_second_rate_limit_exceeded", "retryable": True, "scope": "organization", "limit": 5, "used": 5}
    # What one has used, the other has not; a second later both go on.
    seen = within_a_second(lambda: [accepted(*agents[0]) for _ in range(5)] + [accepted(*agents[1])])
    assert seen[:5] == [None] * 5 and too_fast(seen[5]) == 5
    time.sleep(int(seen[5].headers["Retry-After"]))
    assert [accepted(*agent) for agent in agents] == [None, None]


def test_002_30_and_000_29_many_at_once_get_no_more_than_five_a_second(fleets):
    fleet = fleets(plan="full_platform")
    grant, barrier, workers = fleet.mailbox(), Barrier(20), 20

    def one(_):
        sdk = client(fleet)
        barrier.wait()
        begin = time.monotonic()
        refusal = accepted(sdk, grant)
        return begin, time.monotonic(), refusal

    with ThreadPoolExecutor(workers) as pool:
        seen = list(pool.map(one, range(workers)))
    took = max(end for _, end, _ in seen) - min(begin for begin, _, _ in seen)
    refused = [refusal for _, _, refusal in seen if refusal is not None]
    assert 5 <= workers - len(refused) <= 5 * (int(took) + 1), f"{workers - len(refused)} accepted in {took} s"
    assert all(too_fast(refusal) == 5 for refusal in refused)
    assert len(fleet.api.messages(grant, "&in=sent")) == workers - len(refused)


def test_002_30_sandboxes_have_a_pool_of_their_own(fleets):
    fleet = fleets(plan="full_platform")
    agent = (client(fleet), fleet.mailbox())
    boxes = []
    for name in ("box", "cube"):
        _, key = fleet.second_application(name, "sandbox")
        boxes.append((client(fleet, key.key), key.new_grant(f"{name}@agents.test")["id"]))
    order = [agent] * 5 + boxes + [agent]
    seen = within_a_second(lambda: [accepted(*who) for who in order])
    assert seen[:6] == [None] * 6, "five of production, and one of all sandboxes"
    assert [too_fast(refusal) for refusal in seen[6:]] == [1, 5]
    time.sleep(1)
    assert accepted(*boxes[1]) is None


def test_002_33_the_operator_gives_another_rate(fleets):
    fleet = fleets(plan="slow", plans=plan("slow", sends_per_second=1) + plan("fast", sends_per_second=1_000))
    agent = (client(fleet), fleet.mailbox())
    seen = within_a_second(lambda: [accepted(*agent) for _ in range(2)])
    assert seen[0] is None and too_fast(seen[1]) == 1
    fleet.operator.patch(f"/v3/admin/organizations/{fleet.organization}", {"plan": "fast"})
    assert within_a_second(lambda: [accepted(*agent) for _ in range(6)]) == [None] * 6
