"""Document 001: tiers made of workspaces and policies, and what attaching, swapping and moving does to the very next
message. Tests are named after the rows of the checklist."""

import email
import email.policy
import time

import pytest

from fleet import GIB, Key
from harness import wait_until

UNKNOWN = "00000000-0000-7000-8000-000000000000"


def tier(fleet, sends, name="Tier", **more):
    """A workspace whose accounts may send so many messages a day: its id, and that of its policy."""
    policy = fleet.api.new_policy(f"{name} policy", limit_count_daily_email_sent=sends)["id"]
    return fleet.api.new_workspace(name, policy_id=policy, **more)["workspace_id"], policy


def test_001_01_and_47_the_tier_limits_each_account(fleets):
    fleet = fleets()
    starter, _ = tier(fleet, 2, "Starter")
    pro, _ = tier(fleet, 3, "Pro")
    one, two, three = fleet.mailbox(workspace_id=starter), fleet.mailbox(workspace_id=starter), fleet.mailbox(workspace_id=pro)
    # Two messages each, not two together.
    fleet.api.may_send(one, 2)
    fleet.api.may_send(two, 2)
    fleet.api.may_send(three, 3)


def test_001_02_to_05_limits_are_stored_as_they_are_set(fleets):
    fleet = fleets()
    limits = {
        "limit_count_daily_email_sent": 200, "limit_storage_total": 3_221_225_472,
        "limit_inbox_retention_period": 30, "limit_spam_retention_period": 7,
    }
    policy = fleet.api.new_policy("Tier", **limits)
    for shown in (policy, fleet.api.get(f"/v3/policies/{policy['id']}")):
        assert {name: shown["limits"][name] for name in limits} == limits
    assert fleet.api.put(f"/v3/policies/{policy['id']}", {"limits": {"limit_storage_total": 10 * GIB}})["limits"] == policy["limits"] | {
        "limit_storage_total": 10 * GIB
    }


def test_001_06_spam_is_kept_for_less_than_the_rest(fleets):
    fleet = fleets(plan="full_platform")
    for inbox, spam in ((30, 30), (7, 30), (1, 365)):
        body = {"name": "x", "limits": {"limit_inbox_retention_period": inbox, "limit_spam_retention_period": spam}}
        fleet.api.refused("POST", "/v3/policies", body, field="limit_spam_retention_period")
    # Against what holds as well: the plan keeps spam for 30 days.
    fleet.api.refused("POST", "/v3/policies", {"name": "x", "limits": {"limit_inbox_retention_period": 20}}, field="retention")
    policy = fleet.api.new_policy(limit_inbox_retention_period=30, limit_spam_retention_period=7)["id"]
    fleet.api.refused("PUT", f"/v3/policies/{policy}", {"limits": {"limit_spam_retention_period": 30}}, field="limit_spam_retention_period")
    fleet.api.refused("PUT", f"/v3/policies/{policy}", {"limits": {"limit_inbox_retention_period": 7}}, field="retention")
    shown = fleet.api.get(f"/v3/policies/{policy}")["limits"]
    assert (shown["limit_inbox_retention_period"], shown["limit_spam_retention_period"]) == (30, 7)


def test_001_08_and_33_changes_reach_all_accounts_at_once(fleets):
    fleet = fleets()
    workspace, policy = tier(fleet, 1)
    grants = [fleet.mailbox(workspace_id=workspace) for _ in range(3)]
    for grant in grants:
        fleet.api.may_send(grant, 1)
    # In place.
    fleet.api.put(f"/v3/policies/{policy}", {"limits": {"limit_count_daily_email_sent": 2}})
    for grant in grants:
        fleet.api.may_send(grant, 1)
    # Swapped; the accounts are not touched.
    before = [fleet.api.get(f"/v3/grants/{grant}") for grant in grants]
    other = fleet.api.new_policy("Other", limit_count_daily_email_sent=4)["id"]
    fleet.api.patch(f"/v3/workspaces/{workspace}", {"policy_id": other})
    assert [fleet.api.get(f"/v3/grants/{grant}") for grant in grants] == before
    for grant in grants:
        fleet.api.may_send(grant, 2)


def test_001_09_and_40_and_46_a_move_changes_the_tier_and_nothing_else(fleets):
    fleet = fleets()
    small, _ = tier(fleet, 1, "Small")
    large, _ = tier(fleet, 3, "Large")
    grant = fleet.mailbox(workspace_id=small, name="Ada")
    fleet.api.may_send(grant, 1)
    messages = fleet.api.messages(grant)
    before = fleet.api.get(f"/v3/grants/{grant}")
    after = fleet.api.move(grant, large)
    told = {name: after[name] for name in ("updated_at", "placement")}
    assert after == before | told | {"workspace_id": large}
    assert fleet.api.messages(grant) == messages
    fleet.api.may_send(grant, 2)
    # Back again: what was sent counts there, too.
    fleet.api.move(grant, small)
    error = fleet.api.send_refused(grant, status=429, type="too_many_requests")
    assert error["limit"] == 1
    for wrong in (UNKNOWN, "nonsense", ""):
        fleet.api.refused("PATCH", f"/v3/grants/{grant}", {"workspace_id": wrong}, field="workspace_id")
    assert fleet.api.workspace_of(grant) == small


def test_001_39_move_and_detach_by_manual_assign(fleets):
    """What `nylas agent account move` asks for. Out of every workspace, the plan's maxima hold."""
    fleet = fleets(plan="free")
    workspace, _ = tier(fleet, 1)
    other, _ = tier(fleet, 2, "Other")
    grant, by_address = fleet.mailbox(), fleet.mailbox()
    path = f"/v3/workspaces/{workspace}/manual-assign"
    moved = fleet.api.post(path, {"assign_grants": [grant]}, expect=200)
    assert moved["grants_assigned"] == [grant] and not moved["grants_removed"] and moved["domain"] == ""
    fleet.api.may_send(grant, 1)
    # From another workspace as well.
    fleet.api.post(f"/v3/workspaces/{other}/manual-assign", {"assign_grants": [grant]}, expect=200)
    fleet.api.may_send(grant, 1)
    gone = fleet.api.post(f"/v3/workspaces/{other}/manual-assign", {"remove_grants": [grant, by_address]}, expect=200)
    assert gone["grants_removed"] == [grant], "only what was in it is removed from it"
    assert fleet.api.workspace_of(grant) is None
    # Other mail may use the second: so many a second leave, and the plan allows 200 a day.
    headers = retried(lambda: fleet.api.try_send(grant))
    assert headers["RateLimit-Limit"] == "200"
    for bad in ({}, {"assign_grants": []}, {"assign_grants": ["x"] * 501}, {"assign_grants": "x"}):
        fleet.api.refused("POST", path, bad)


def retried(attempt):
    """A send that a limit per second may hold up; its headers."""
    for _ in range(10):
        status, headers, answer = attempt()
        if status != 429 or answer["error"]["type"] != "rate_limit_error":
            break
        time.sleep(int(headers["Retry-After"]))
    assert status in (200, 202), answer
    return headers


def test_001_10_and_43_and_45_the_refusal_over_quota(fleets):
    fleet = fleets()
    workspace, _ = tier(fleet, 0)
    grant = fleet.mailbox(workspace_id=workspace)
    error = fleet.api.over_quota(grant, 0)
    midnight = (int(time.time()) // 86_400 + 1) * 86_400
    assert error["resets_at"] in (midnight, midnight - 86_400) and error["scope"] == "grant"
    status, headers, _ = fleet.api.try_send(grant)
    assert status == 429 and 0 < int(headers["Retry-After"]) <= 86_400


def test_001_11_and_44_storage_is_capped_where_mail_is_stored(fleets):
    fleet = fleets()
    policy = fleet.api.new_policy(limit_storage_total=60_000)["id"]
    workspace = fleet.api.new_workspace(policy_id=policy)["workspace_id"]
    address = fleet.address()
    grant = fleet.api.new_grant(address, workspace_id=workspace)["id"]
    # What compresses well is counted as it is.
    replies = [fleet.receive(address, text="word " * 4_000)[0] for _ in range(5)]
    assert replies[0] == 250 and replies[-1] == 452, f"five times 20 KB into 60 KB: {replies}"
    fleet.api.send_refused(grant, status=403, text="storage")
    # Room is made by a larger limit, and the very next mail is taken.
    fleet.api.put(f"/v3/policies/{policy}", {"limits": {"limit_storage_total": 10_000_000}})
    assert fleet.receive(address)[0] == 250
    fleet.api.send(grant)


def test_001_13_and_14_and_16_paths_belong_to_the_key(fleets):
    fleet = fleets()
    workspace, policy = tier(fleet, 1)
    grant = fleet.mailbox(workspace_id=workspace)
    _, other = fleet.second_application()
    for path in (f"/v3/policies/{policy}", f"/v3/workspaces/{workspace}", f"/v3/grants/{grant}", f"/v3/grants/{grant}/messages"):
        other.refused("GET", path, status=404)
        Key(fleet.server, "pf_live_nobody").refused("GET", path, status=401)
        status, _, answer = fleet.api.call("GET", path, headers={"Authorization": None})
        assert status == 401 and answer["error"]["message"], path
    for method, path, body in (
        ("PUT", f"/v3/policies/{policy}", {"name": "stolen"}), ("DELETE", f"/v3/policies/{policy}", None),
        ("PATCH", f"/v3/workspaces/{workspace}", {"name": "stolen"}), ("DELETE", f"/v3/workspaces/{workspace}", None),
        ("POST", f"/v3/workspaces/{workspace}/manual-assign", {"remove_grants": [grant]}),
        ("PATCH", f"/v3/grants/{grant}", {"name": "stolen"}), ("DELETE", f"/v3/grants/{grant}", None),
    ):
        other.refused(method, path, body, status=404)
    # An id of another application inside a body is a wrong field.
    (own,) = other.get("/v3/workspaces")
    other.refused("PATCH", f"/v3/workspaces/{own['workspace_id']}", {"policy_id": policy}, field="policy_id")
    other.refused("POST", "/v3/workspaces", {"name": "x", "policy_id": policy}, field="policy_id")
    moved = other.call("POST", f"/v3/workspaces/{own['workspace_id']}/manual-assign", {"assign_grants": [grant]})
    assert moved[0] in (200, 400) and fleet.api.workspace_of(grant) == workspace
    assert not other.get("/v3/policies") and fleet.api.get(f"/v3/policies/{policy}")["name"] != "stolen"


def test_001_17_only_registered_domains(fleets):
    fleet = fleets()
    for address in ("a@unknown.test", "a@sub.agents.test", "a@agents.test.evil.test"):
        body = {"provider": "nylas", "settings": {"email": address}}
        fleet.api.refused("POST", "/v3/connect/custom", body, text=("domain", "not registered"))


def test_001_22_limits_outside_of_the_limits_are_no_limits(fleets):
    fleet = fleets()
    status, _, answer = fleet.api.call("POST", "/v3/policies", {"name": "Misplaced", "limit_count_daily_email_sent": 1})
    if status == 200:
        assert answer["data"]["limits"]["limit_count_daily_email_sent"] == -1, "it counts although it is in the wrong place"
        assert "limit_count_daily_email_sent" in str(answer), answer
    else:
        assert status == 400 and "limit_count_daily_email_sent" in answer["error"]["message"], answer


def test_001_26_and_21_policies_are_listed_and_found(fleets):
    fleet = fleets()
    made = [fleet.api.new_policy(f"P{number}") for number in range(30)]
    assert all(policy["id"] for policy in made)
    listed = fleet.api.all("/v3/policies", limit=7)
    assert sorted(policy["id"] for policy in listed) == sorted(policy["id"] for policy in made)
    found = fleet.api.get(f"/v3/policies/{made[3]['id']}")
    assert found == made[3]
    # Hints for people stand where one policy is looked at.
    assert {name: value for name, value in found.items() if name != "warnings"} in listed
    fleet.api.refused("GET", f"/v3/policies/{UNKNOWN}", status=404)
    fleet.api.refused("GET", "/v3/policies/nonsense", status=404)


def test_001_28_a_policy_does_nothing_until_it_is_attached(fleets):
    fleet = fleets()
    grant = fleet.mailbox()
    policy = fleet.api.new_policy(limit_count_daily_email_sent=0)["id"]
    fleet.api.send(grant)
    fleet.api.patch(f"/v3/workspaces/{fleet.default_workspace}", {"policy_id": policy})
    fleet.api.send_refused(grant, status=429)


def test_001_29_and_31_and_32_attach_swap_and_detach(fleets):
    fleet = fleets(domains=["agents.test", "tier.test"])
    one = fleet.api.new_policy("One", limit_count_daily_email_sent=1)["id"]
    two = fleet.api.new_policy("Two", limit_count_daily_email_sent=2)["id"]
    made = fleet.api.new_workspace("Tier", domain="tier.test", policy_id=one, auto_group=True, rule_ids=[])
    workspace = made["workspace_id"]
    assert (made["name"], made["domain"], made["policy_id"], made["auto_group"], made["rule_ids"]) == ("Tier", "tier.test", one, True, [])
    grant = fleet.mailbox(workspace_id=workspace)
    fleet.api.may_send(grant, 1)
    assert fleet.api.patch(f"/v3/workspaces/{workspace}", {"policy_id": two})["policy_id"] == two
    fleet.api.may_send(grant, 1)
    # What is absent stays; null detaches, and an empty text is neither.
    assert fleet.api.patch(f"/v3/workspaces/{workspace}", {"name": "Renamed"})["policy_id"] == two
    fleet.api.refused("PATCH", f"/v3/workspaces/{workspace}", {"policy_id": ""}, text="policy_id must be a valid UUID or null")
    fleet.api.refused("PATCH", f"/v3/workspaces/{workspace}", {"policy_id": UNKNOWN}, field="policy_id")
    detached = fleet.api.patch(f"/v3/workspaces/{workspace}", {"policy_id": None})
    assert detached["policy_id"] is None
    fleet.api.send(grant)
    fleet.api.refused("POST", "/v3/workspaces", {"domain": "x.test"}, field="name")
    fleet.api.refused("POST", "/v3/workspaces", {"name": "x", "rule_ids": [UNKNOWN]}, field="rule_ids")


def test_a_policy_that_is_removed_is_detached_everywhere(fleets):
    fleet = fleets()
    first, policy = tier(fleet, 0)
    second = fleet.api.new_workspace("Second", policy_id=policy)["workspace_id"]
    grants = [fleet.mailbox(workspace_id=workspace) for workspace in (first, second)]
    for grant in grants:
        fleet.api.over_quota(grant, 0)
    fleet.api.delete(f"/v3/policies/{policy}")
    assert {one["policy_id"] for one in fleet.api.get("/v3/workspaces")} == {None}
    for grant in grants:
        fleet.api.send(grant)


def test_001_34_the_display_name_stands_in_the_mail(fleets, sink):
    fleet = fleets()
    taken = len(sink.taken)
    fleet.api.send(fleet.mailbox(name="Ada Löwe, Agent"))
    wait_until("the mail", lambda: len(sink.taken) > taken)
    message = email.message_from_bytes(sink.taken[-1].raw, policy=email.policy.default)
    (author,) = message["From"].addresses
    assert author.display_name == "Ada Löwe, Agent"


def test_001_36_where_an_account_comes_to(fleets):
    """Explicit workspace, else the domain's, else the default one. Spelled out in the tests of document 000."""
    fleet = fleets(domains=["agents.test", "tier.test"])
    grouped = fleet.api.new_workspace("Grouped", domain="tier.test")["workspace_id"]
    chosen = fleet.api.new_workspace("Chosen")["workspace_id"]
    assert fleet.api.new_grant("a@tier.test", workspace_id=chosen)["workspace_id"] == chosen
    assert fleet.api.new_grant("b@tier.test")["workspace_id"] == grouped
    assert fleet.api.new_grant("c@agents.test")["workspace_id"] == fleet.default_workspace
    # Making it again moves nothing, not even when another workspace is named.
    again = fleet.api.new_grant("a@tier.test", workspace_id=chosen)
    assert again["workspace_id"] == chosen


def test_001_37_and_38_the_default_workspace(fleets):
    fleet = fleets()
    (default,) = fleet.api.get("/v3/workspaces")
    assert default["default"] is True and default["policy_id"] is None and default["workspace_id"] == fleet.default_workspace
    grant = fleet.mailbox()
    policy = fleet.api.new_policy(limit_count_daily_email_sent=1)["id"]
    fleet.api.patch(f"/v3/workspaces/{fleet.default_workspace}", {"policy_id": policy, "rule_ids": []})
    fleet.api.may_send(grant, 1)
    fleet.api.may_send(fleet.mailbox(), 1)
    for body in ({"name": "x"}, {"auto_group": True}, {"domain": "agents.test"}):
        fleet.api.refused("PATCH", f"/v3/workspaces/{fleet.default_workspace}", body)
    fleet.api.refused("DELETE", f"/v3/workspaces/{fleet.default_workspace}")


def test_001_41_tiers_by_subdomain(fleets):
    fleet = fleets(domains=["starter.agents.test", "pro.agents.test"])
    for sends, domain in ((1, "starter.agents.test"), (2, "pro.agents.test")):
        tier(fleet, sends, domain, domain=domain)
        fleet.api.may_send(fleet.mailbox(domain=domain), sends)


def test_001_42_what_was_refused_does_not_count(fleets):
    fleet = fleets()
    workspace, _ = tier(fleet, 2)
    grant = fleet.mailbox(workspace_id=workspace)
    path = f"/v3/grants/{grant}/messages/send"
    for bad in ({}, {"to": [{"email": "nonsense"}]}, {"to": [{"email": f"p{n}@people.test"} for n in range(51)]}):
        fleet.api.refused("POST", path, bad)
    fleet.api.may_send(grant, 2)


def test_a_workspace_that_is_removed_leaves_its_accounts_to_the_default_one(fleets):
    fleet = fleets()
    workspace, _ = tier(fleet, 0)
    policy = fleet.api.new_policy("Default", limit_count_daily_email_sent=1)["id"]
    fleet.api.patch(f"/v3/workspaces/{fleet.default_workspace}", {"policy_id": policy})
    grant = fleet.mailbox(workspace_id=workspace)
    fleet.api.over_quota(grant, 0)
    fleet.api.delete(f"/v3/workspaces/{workspace}")
    assert fleet.api.workspace_of(grant) == fleet.default_workspace
    fleet.api.may_send(grant, 1)


def test_everything_is_there_after_a_restart(fleets):
    fleet = fleets()
    workspace, policy = tier(fleet, 1)
    grant = fleet.mailbox(workspace_id=workspace, name="Ada")
    fleet.api.may_send(grant, 1)
    paths = (f"/v3/workspaces/{workspace}", f"/v3/policies/{policy}", f"/v3/grants/{grant}", "/v3/applications", "/v3/workspaces")
    before = [fleet.api.get(path) for path in paths]
    fleet.stop()
    fleet.start()
    assert [fleet.api.get(path) for path in paths] == before
    fleet.api.over_quota(grant, 1)
