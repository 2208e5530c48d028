"""Document 002: what a plan allows, over all applications of an organization. Tests are named after the rows of the
checklist; rows about metering, reputation and calendars belong elsewhere."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from fleet import GIB, LIMITS, MIB, TWENTY

UNLIMITED = -1
PLANS = {
    # Inbound message, attachment, attachments, storage, sends a day, inbox and spam retention.
    "free": (50 * MIB, 50 * MIB, 10, 3 * GIB, 200, 30, 7),
    "full_platform": (100 * MIB, 50 * MIB, 20, 10 * GIB, UNLIMITED, 365, 30),
    "self_hosted": (100 * MIB, 50 * MIB, None, UNLIMITED, UNLIMITED, UNLIMITED, UNLIMITED),
}
FIELDS = (
    "limit_size_total_mime", "limit_attachment_size_limit", "limit_attachment_count_limit", "limit_storage_total",
    "limit_count_daily_email_sent", "limit_inbox_retention_period", "limit_spam_retention_period",
)


@pytest.mark.parametrize("plan", PLANS)
def test_001_19_20_25_and_002_06_to_12_what_holds_without_a_policy(fleets, plan):
    """A policy without limits shows what the plan allows."""
    fleet = fleets(plan=plan)
    limits = fleet.api.new_policy("Bare")["limits"]
    shown = tuple(limits[field] for field in FIELDS)
    if plan == "self_hosted":
        # How many attachments, and how long mail is kept, is the operator's matter.
        assert (shown[:2], shown[3:5]) == (PLANS[plan][:2], PLANS[plan][3:5])
    else:
        assert shown == PLANS[plan]
    assert limits["limit_attachment_allowed_types"] == [] and limits["limit_count_daily_message_received"] == UNLIMITED
    sent = fleet.api.send(fleet.mailbox())
    assert sent.get("RateLimit-Limit") == ("200" if plan == "free" else None)


def test_002_01_plans_are_data(fleets):
    fleet = fleets()
    plans = {plan["name"]: plan for plan in fleet.operator.get("/v3/admin/plans")}
    assert set(PLANS) <= set(plans)
    fleet.api.refused("GET", "/v3/admin/plans", status=403)


@pytest.mark.parametrize(("plan", "accounts"), [("free", 3), ("twenty", 20)])
def test_002_02_concurrent_accounts(fleets, plan, accounts):
    fleet = fleets(plan=plan, plans=TWENTY)
    grants = [fleet.mailbox() for _ in range(accounts)]
    body = {"provider": "nylas", "settings": {"email": "over@agents.test"}}

    def refused():
        error = fleet.api.refused("POST", "/v3/connect/custom", body, status=403, type="forbidden_access", text="for this plan")
        assert str(accounts) in error["message"] and error["limit"] == accounts

    refused()
    # What is there already is no new account.
    assert fleet.api.new_grant(fleet.api.get(f"/v3/grants/{grants[0]}")["email"])["id"] == grants[0]
    # Deleting one frees its place at once, and its address.
    fleet.api.delete(f"/v3/grants/{grants[0]}")
    assert fleet.api.new_grant("over@agents.test")["id"] != grants[0]
    body = {"provider": "nylas", "settings": {"email": "another@agents.test"}}
    refused()


def test_002_02_and_002_23_accounts_go_on_above_what_is_included(full):
    for _ in range(22):
        full.mailbox()
    shown = next(one for one in full.api.get("/v3/usage")["organization"]["meters"] if one["meter"] == "accounts")
    assert (shown["used"], shown["limit"], shown["included"], shown["overage"]) == (22, None, 20, 2)
    path = f"/v3/admin/organizations/{full.organization}/usage/statement"
    line = next(one for one in full.operator.get(path)["lines"] if one["meter"] == "accounts")
    assert (line["used"], line["included"], line["overage"], line["is_billed"]) == (22, 20, 2, True)


def test_002_02_is_met_exactly_by_many_at_once(fleets):
    fleet = fleets(plan="twenty", plans=TWENTY)

    def make(number):
        body = {"provider": "nylas", "settings": {"email": f"race-{number}@agents.test"}}
        return fleet.key(fleet.account["api_key"]).call("POST", "/v3/connect/custom", body)[0]

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(make, range(60)))
    assert statuses.count(201) == 20 and statuses.count(403) == 40
    assert len(fleet.api.all_grants()) == 20


@pytest.mark.parametrize(("plan", "lists"), [("free", 10), ("full_platform", 50)])
def test_002_14_lists_over_all_applications_by_many_at_once(fleets, plan, lists):
    fleet = fleets(plan=plan)
    _, second = fleet.second_application()
    body = {"name": "L", "type": "domain"}

    def make(number):
        return (fleet.key(fleet.account["api_key"]) if number % 2 else second).call("POST", "/v3/lists", body)[0]

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(make, range(lists + 20)))
    assert statuses.count(201) == lists and statuses.count(403) == 20
    for key in (fleet.api, second):
        error = key.refused("POST", "/v3/lists", body, status=403, type="forbidden_access", code="lists_max_reached", text="for this plan")
        assert (error["limit"], error["used"], error["retryable"]) == (lists, lists, False)
    found = fleet.api.all("/v3/lists")
    assert len(found) + len(second.all("/v3/lists")) == lists
    fleet.api.delete(f"/v3/lists/{found[0]['id']}")
    assert second.post("/v3/lists", body)["items_count"] == 0


def test_002_16_the_number_is_the_organizations(free):
    _, second = free.second_application()
    _, third = free.second_application("Third", "sandbox")
    free.mailbox()
    second.new_grant("two@agents.test")
    third.new_grant("three@agents.test")
    for key in (free.api, second, third):
        body = {"provider": "nylas", "settings": {"email": "four@agents.test"}}
        key.refused("POST", "/v3/connect/custom", body, status=403, text="for this plan")
    # An address is one mailbox, whoever asks.
    second.delete("/v3/grants/two@agents.test")
    body = {"provider": "nylas", "settings": {"email": "three@agents.test"}}
    second.refused("POST", "/v3/connect/custom", body, status=409, text="already exists")


def test_002_02_an_upgrade_holds_at_once(free):
    for _ in range(3):
        free.mailbox()
    policy = free.api.new_policy("P")["id"]
    assert free.api.get(f"/v3/policies/{policy}")["limits"]["limit_count_daily_email_sent"] == 200
    changed = free.operator.patch(f"/v3/admin/organizations/{free.organization}", {"plan": "full_platform"})
    assert changed["plan"] == "full_platform"
    free.mailbox()
    assert free.api.get(f"/v3/policies/{policy}")["limits"]["limit_count_daily_email_sent"] == UNLIMITED
    free.operator.refused("PATCH", f"/v3/admin/organizations/{free.organization}", {"plan": "nonsense"}, field="plan")
    # Downwards nothing is lost; only nothing more is made.
    free.operator.patch(f"/v3/admin/organizations/{free.organization}", {"plan": "free"})
    assert len(free.api.all_grants()) == 4
    free.api.refused("POST", "/v3/connect/custom", {"provider": "nylas", "settings": {"email": "x@agents.test"}}, status=403)


@pytest.mark.parametrize("plan", ["free", "full_platform"])
def test_001_24_and_000_32_a_policy_never_raises(fleets, plan):
    fleet = fleets(plan=plan)
    maxima = dict(zip(FIELDS, PLANS[plan]))
    for field, maximum in maxima.items():
        if maximum == UNLIMITED:
            continue
        for wrong in (maximum + 1, UNLIMITED):
            # The other retention goes along, so that only the maximum can be what is wrong.
            error = fleet.api.refused("POST", "/v3/policies", {"name": "x", "limits": {field: wrong}}, field=field)
            assert wrong == UNLIMITED or str(maximum) in error["message"], error
        made = fleet.api.new_policy("Exactly", **{field: maximum})
        assert made["limits"][field] == maximum
        fleet.api.refused("PUT", f"/v3/policies/{made['id']}", {"limits": {field: maximum + 1}}, field=field)


@pytest.mark.parametrize("field", sorted(LIMITS - {"limit_attachment_allowed_types"}))
def test_002_45_values_of_the_nine_limits(fleet, field):
    may_be_unlimited = field.endswith(("storage_total", "received", "sent", "retention_period"))
    for wrong in (-2, -(2**63), "5", 1.5, True, [], {}, 2**64):
        fleet.api.refused("POST", "/v3/policies", {"name": "x", "limits": {field: wrong}}, field=field)
    if may_be_unlimited:
        assert fleet.api.new_policy("x", **{field: UNLIMITED})["limits"][field] == UNLIMITED
    else:
        fleet.api.refused("POST", "/v3/policies", {"name": "x", "limits": {field: UNLIMITED}}, field=field)
    small = fleet.api.new_policy("x", **{field: 400, **({"limit_spam_retention_period": 1} if "inbox" in field else {})}) if field != "limit_attachment_count_limit" else fleet.api.new_policy("x", **{field: 4})
    # Null takes the policy's own limit away.
    cleared = fleet.api.put(f"/v3/policies/{small['id']}", {"limits": {field: None}})
    assert cleared["limits"][field] == fleet.api.new_policy("bare")["limits"][field]


def test_002_46_media_types(fleet):
    types = ["application/pdf", "image/*", "text/csv"]
    policy = fleet.api.new_policy("Types", limit_attachment_allowed_types=types)
    assert policy["limits"]["limit_attachment_allowed_types"] == types
    emptied = fleet.api.put(f"/v3/policies/{policy['id']}", {"limits": {"limit_attachment_allowed_types": []}})
    assert emptied["limits"]["limit_attachment_allowed_types"] == []
    for wrong in (["nonsense"], ["image/"], ["/png"], [5], "image/*", [f"image/x{number}" for number in range(10_000)]):
        fleet.api.refused("POST", "/v3/policies", {"name": "x", "limits": {"limit_attachment_allowed_types": wrong}}, field="limit_attachment_allowed_types")


def test_spam_detection_values(fleet):
    for sensitivity in (0.1, 1, 5.0):
        made = fleet.api.post("/v3/policies", {"name": "x", "spam_detection": {"spam_sensitivity": sensitivity}}, expect=200)
        assert made["spam_detection"]["spam_sensitivity"] == sensitivity
    for wrong in (0, 0.09, 5.01, -1, "1"):
        fleet.api.refused("POST", "/v3/policies", {"name": "x", "spam_detection": {"spam_sensitivity": wrong}}, field="spam_sensitivity")


def test_002_07_10_and_46_what_comes_in_is_held_to_the_policy(fleets):
    """Size, number and types of attachments, each at its limit and above it."""
    fleet = fleets()
    limits = {
        "limit_size_total_mime": 100_000, "limit_attachment_size_limit": 20_000, "limit_attachment_count_limit": 2,
        "limit_attachment_allowed_types": ["image/*", "application/pdf"],
    }
    policy = fleet.api.new_policy(**limits)["id"]
    workspace = fleet.api.new_workspace(policy_id=policy)["workspace_id"]
    address = fleet.address()
    fleet.api.new_grant(address, workspace_id=workspace)

    def mail(*files, body=10):
        from email.message import EmailMessage

        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = "a@people.test", address, "Files"
        message.set_content("x" * 70 + "\n" * body)
        for kind, size in files:
            main, sub = kind.split("/")
            message.add_attachment(bytes(size), maintype=main, subtype=sub, filename="f")
        return fleet.receive_raw(address, message.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))[0]

    assert mail(("image/png", 100), ("application/pdf", 20_000)) == 250
    assert mail(("image/png", 20_001)) == 552, "one attachment is too large"
    assert mail(("image/png", 10), ("image/png", 10), ("image/png", 10)) in (550, 552, 554), "too many attachments"
    assert mail(("application/zip", 10)) in (550, 554), "a type that is not allowed"
    assert mail(body=120_000) == 552, "the message is too large"
    fleet.api.put(f"/v3/policies/{policy}", {"limits": {name: None for name in limits}})
    assert mail(("application/zip", 50_000), ("image/png", 10), ("image/png", 10)) == 250


def test_002_47_received_a_day(fleets):
    fleet = fleets()
    policy = fleet.api.new_policy(limit_count_daily_message_received=2)["id"]
    workspace = fleet.api.new_workspace(policy_id=policy)["workspace_id"]
    address = fleet.address()
    grant = fleet.api.new_grant(address, workspace_id=workspace)["id"]
    replies = [fleet.receive(address)[0] for _ in range(3)]
    assert replies[:2] == [250, 250] and 400 <= replies[2] < 600, replies
    assert len(fleet.api.messages(grant)) == 2
    fleet.api.put(f"/v3/policies/{policy}", {"limits": {"limit_count_daily_message_received": 3}})
    assert fleet.receive(address)[0] == 250


def test_002_38_recipients(fleet):
    grant = fleet.mailbox()
    path = f"/v3/grants/{grant}/messages/send"
    people = [{"email": f"p{number}@people.test"} for number in range(51)]
    fleet.api.refused("POST", path, {"to": people, "subject": "x"}, code="too_many_recipients")
    fleet.api.refused("POST", path, {"to": people[:20], "cc": people[20:40], "bcc": people[40:], "subject": "x"}, code="too_many_recipients")
    fleet.api.post(path, {"to": people[:50], "subject": "x", "body": "x"})


def test_002_08_outbound_size_is_the_same_on_every_plan(free):
    import base64
    import random

    grant = free.mailbox()
    content = base64.b64encode(random.Random(1).randbytes(26 * MIB)).decode()
    file = {"filename": "big.bin", "content_type": "application/octet-stream", "content": content}
    body = {"to": [{"email": "a@people.test"}], "subject": "x", "body": "x", "attachments": [file]}
    free.api.refused("POST", f"/v3/grants/{grant}/messages/send", body, status=400, code="json_too_large")
