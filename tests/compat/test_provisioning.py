"""Document 000: one call per mailbox, fleets of them, and workspaces that decide what they may. Tests are named after
the rows of the checklist. Rows 05 and 06 belong to reputation and are not here."""

from concurrent.futures import ThreadPoolExecutor

from fleet import GRANT, LIMITS, POLICY, TWENTY, WORKSPACE
from harness import wait_until

ELSEWHERE = "00000000-0000-7000-8000-000000000000"


def test_000_01_one_call_makes_a_usable_mailbox(fleets):
    fleet = fleets()
    workspace = fleet.api.new_workspace("Outreach")["workspace_id"]
    grant = fleet.api.new_grant("ada@agents.test", name="Ada", workspace_id=workspace)
    assert GRANT <= set(grant), GRANT - set(grant)
    assert grant["provider"] == "nylas" and grant["grant_status"] == "valid" and grant["scope"] == []
    assert grant["email"] == grant["settings"]["email"] == "ada@agents.test" and grant["workspace_id"] == workspace
    fleet.api.send(grant["id"])
    assert fleet.receive("ada@agents.test")[0] == 250
    assert len(fleet.api.messages(grant["id"])) == 2
    assert {one["id"] for one in fleet.api.get(f"/v3/grants/{grant['id']}/folders")} >= {"inbox", "sent", "drafts", "trash", "junk", "archive"}


def test_000_02_a_loop_can_be_repeated(fleets):
    fleet = fleets()
    emails = [f"loop-{number}@agents.test" for number in range(300)]

    def make(email):
        return fleet.key(fleet.account["api_key"]).new_grant(email)["id"]

    with ThreadPoolExecutor(8) as pool:
        first = list(pool.map(make, emails))
        # Everything once more, and the same address by many at once.
        again = list(pool.map(make, emails))
        raced = set(pool.map(make, ["race@agents.test"] * 40))
    assert first == again and len(set(first)) == len(emails) and len(raced) == 1
    listed = fleet.api.all_grants()
    assert len(listed) == len({one["id"] for one in listed}) == len(emails) + 1
    # Spelling does not make another mailbox.
    assert fleet.api.new_grant("LOOP-0@AGENTS.TEST")["id"] == first[0]


def test_000_03_a_trial_domain_needs_no_dns(fleets):
    fleet = fleets(trust=False, settings={"POSTFLEET_DOMAINS__TRIAL": '["trial.postfleet.test"]'})
    made = fleet.operator.post("/v3/domains", {"name": "Trial", "domain_address": "acme.trial.postfleet.test"}, expect=200)
    assert made["branded"] is True and made["verified_ownership"] and made["verified_dkim"] and made["verified_mx"]
    grant = fleet.api.new_grant("first@acme.trial.postfleet.test")["id"]
    fleet.api.send(grant)
    assert fleet.receive("first@acme.trial.postfleet.test")[0] == 250
    for label in ("-bad", "a.b", "x" * 64):
        fleet.operator.refused("POST", "/v3/domains", {"name": "x", "domain_address": f"{label}.trial.postfleet.test"})
    fleet.operator.refused("POST", "/v3/domains", {"name": "x", "domain_address": "trial.postfleet.test"}, status=400)


def test_000_04_any_number_of_domains(fleets):
    domains = [f"d{number}.agents.test" for number in range(60)]
    fleet = fleets(domains=domains)
    grants = [fleet.api.new_grant(f"a@{domain}")["id"] for domain in domains]
    for grant in grants[::7]:
        fleet.api.send(grant)
    assert len({one["email"] for one in fleet.api.all_grants()}) == len(domains)


def test_000_07_the_workspace_governs_from_the_first_message(fleets):
    fleet = fleets()
    policy = fleet.api.new_policy(limit_count_daily_email_sent=1)["id"]
    workspace = fleet.api.new_workspace(policy_id=policy)["workspace_id"]
    fleet.api.may_send(fleet.mailbox(workspace_id=workspace), 1)
    none = fleet.api.new_policy(limit_count_daily_email_sent=0)["id"]
    closed = fleet.api.new_workspace(policy_id=none)["workspace_id"]
    fleet.api.over_quota(fleet.mailbox(workspace_id=closed), 0)


def test_000_08_a_mailbox_has_no_limits_of_its_own(fleets):
    fleet = fleets()
    policy = fleet.api.new_policy(limit_count_daily_email_sent=1)["id"]
    workspace = fleet.api.new_workspace(policy_id=policy)["workspace_id"]
    # What the call sets is the workspace; limits in it are not taken for anything.
    made = fleet.api.new_grant("x@agents.test", workspace_id=workspace, limits={"limit_count_daily_email_sent": 9})
    assert not [name for name in made if "limit" in name]
    fleet.api.may_send(made["id"], 1)


def test_000_09_one_policy_many_mailboxes(fleets):
    fleet = fleets()
    policy = fleet.api.new_policy(limit_count_daily_email_sent=5)["id"]
    workspace = fleet.api.new_workspace(policy_id=policy)["workspace_id"]
    wishes = [{"workspace_id": workspace, "settings": {"email": f"many-{n}@agents.test"}} for n in range(1_000)]
    made = fleet.api.post("/v3/grants/bulk", {"grants": wishes})
    assert made["created"] == 1_000
    grants = [one["grant"]["id"] for one in made["results"]]
    for grant in grants[::200]:
        fleet.api.send(grant)
    fleet.api.put(f"/v3/policies/{policy}", {"limits": {"limit_count_daily_email_sent": 1}})
    for grant in grants[::200]:
        fleet.api.over_quota(grant, 1)
    fleet.api.may_send(grants[1], 1)
    fleet.api.put(f"/v3/policies/{policy}", {"limits": {"limit_count_daily_email_sent": 2}})
    for grant in (grants[0], grants[1], grants[200]):
        fleet.api.may_send(grant, 1)


def test_000_10_what_a_policy_carries(fleets):
    fleet = fleets()
    policy = fleet.api.new_policy("Bare")
    assert POLICY <= set(policy), POLICY - set(policy)
    assert set(policy["limits"]) == LIMITS
    assert policy["spam_detection"] == {"use_list_dnsbl": False, "use_header_anomaly_detection": False, "spam_sensitivity": 1.0}
    assert policy["rules"] == []


def test_000_11_presets(fleets):
    fleet = fleets()
    presets = {one.get("id") or one["name"]: one for one in fleet.api.get("/v3/workspaces/presets")}
    assert {"outreach", "triage"} <= set(presets)
    made = {name: fleet.api.post("/v3/workspaces", {"preset": name, "name": name}, expect=200) for name in ("outreach", "triage")}
    policies = {name: fleet.api.get(f"/v3/policies/{workspace['policy_id']}") for name, workspace in made.items()}

    def sends(name):
        allowed = policies[name]["limits"]["limit_count_daily_email_sent"]
        return float("inf") if allowed == -1 else allowed

    assert sends("outreach") > sends("triage") > 0
    spam = {name: policy["spam_detection"]["spam_sensitivity"] for name, policy in policies.items()}
    assert spam["triage"] > spam["outreach"] and policies["triage"]["spam_detection"]["use_header_anomaly_detection"]
    # They are workspaces as any other.
    assert fleet.api.patch(f"/v3/workspaces/{made['outreach']['workspace_id']}", {"name": "Mine"})["name"] == "Mine"
    named = fleet.api.post("/v3/workspaces", {"preset": "triage", "name": "Support"}, expect=200)
    assert named["name"] == "Support" and named["policy_id"]
    fleet.api.refused("POST", "/v3/workspaces", {"preset": "nonsense", "name": "x"}, field="preset")


def test_000_12_auto_group_takes_new_mailboxes_of_its_domain(fleets):
    fleet = fleets(domains=["agents.test", "grouped.test", "sub.grouped.test"])
    workspace = fleet.api.new_workspace("Grouped", domain="Grouped.TEST")
    assert workspace["auto_group"] is True and workspace["domain"] == "grouped.test" and WORKSPACE <= set(workspace)
    assert fleet.api.new_grant("a@grouped.test")["workspace_id"] == workspace["workspace_id"]
    assert fleet.api.new_grant("B@GROUPED.test")["workspace_id"] == workspace["workspace_id"]
    assert fleet.api.new_grant("a@sub.grouped.test")["workspace_id"] == fleet.default_workspace
    assert fleet.api.new_grant("a@agents.test")["workspace_id"] == fleet.default_workspace
    # Without the flag it takes nothing by itself.
    fleet.api.patch(f"/v3/workspaces/{workspace['workspace_id']}", {"auto_group": False})
    assert fleet.api.new_grant("c@grouped.test")["workspace_id"] == fleet.default_workspace
    # The oldest of several takes them.
    fleet.api.patch(f"/v3/workspaces/{workspace['workspace_id']}", {"auto_group": True})
    fleet.api.new_workspace("Younger", domain="grouped.test")
    assert fleet.api.new_grant("d@grouped.test")["workspace_id"] == workspace["workspace_id"]
    assert fleet.api.new_workspace("None")["auto_group"] is False


def test_000_13_an_explicit_workspace_wins_and_a_wrong_one_makes_nothing(fleets):
    fleet = fleets(domains=["agents.test", "grouped.test"])
    fleet.api.new_workspace("Grouped", domain="grouped.test")
    chosen = fleet.api.new_workspace("Chosen")["workspace_id"]
    assert fleet.api.new_grant("a@grouped.test", workspace_id=chosen)["workspace_id"] == chosen
    _, foreign = fleet.second_application()
    (theirs,) = foreign.get("/v3/workspaces")
    for wrong in (ELSEWHERE, "nonsense", "", theirs["workspace_id"]):
        body = {"provider": "nylas", "settings": {"email": "b@grouped.test"}, "workspace_id": wrong}
        fleet.api.refused("POST", "/v3/connect/custom", body, field="workspace_id")
    assert [one["email"] for one in fleet.api.all_grants()] == ["a@grouped.test"]


def test_000_55_findings_name_what_fell_through(fleets):
    fleet = fleets(domains=["agents.test", "grouped.test"])
    fleet.mailbox()
    orphan = fleet.api.new_policy("Orphan")
    found = fleet.api.get("/v3/workspaces/findings")
    assert isinstance(found, list) and found
    text = str(found)
    assert orphan["id"] in text, f"a policy that governs nobody is not named: {text}"
    assert fleet.default_workspace in text, f"mailboxes that fell through are not named: {text}"


def test_000_56_a_new_layout_is_previewed_and_carried_out(fleets):
    fleet = fleets(domains=["agents.test", "grouped.test"])
    grants = [fleet.mailbox() for _ in range(5)] + [fleet.mailbox(domain="grouped.test") for _ in range(3)]
    special = fleet.api.new_grant("vip-1@agents.test")["id"]
    one, two = (fleet.api.new_workspace(name)["workspace_id"] for name in ("One", "Two"))
    assignments = [
        {"workspace_id": two, "match": {"email_contains": "vip"}},
        {"workspace_id": one, "match": {"domain": "grouped.test"}},
    ]
    before = {grant: fleet.api.workspace_of(grant) for grant in [*grants, special]}
    plan = fleet.api.post("/v3/workspaces/layout", {"assignments": assignments, "dry_run": True})
    assert {grant: fleet.api.workspace_of(grant) for grant in before} == before, f"a preview moved something: {plan}"
    done = fleet.api.post("/v3/workspaces/layout", {"assignments": assignments, "dry_run": False})
    if done.get("job_id"):
        wait_until("the job", lambda: fleet.api.get(f"/v3/jobs/{done['job_id']}")["status"] in ("done", "succeeded", "completed"))
    assert [fleet.api.workspace_of(grant) for grant in grants[5:]] == [one] * 3
    assert fleet.api.workspace_of(special) == two
    assert [fleet.api.workspace_of(grant) for grant in grants[:5]] == [fleet.default_workspace] * 5
    wrong = {"assignments": [{"workspace_id": ELSEWHERE, "match": {"domain": "grouped.test"}}], "dry_run": False}
    fleet.api.refused("POST", "/v3/workspaces/layout", wrong, field="workspace_id")


# Many at once -------------------------------------------------------------------------------------------------------


def test_bulk_says_of_each_what_became_of_it(fleets):
    fleet = fleets()
    workspace = fleet.api.new_workspace("W")["workspace_id"]
    there = fleet.api.new_grant("there@agents.test")["id"]
    wishes = [
        {"name": "New", "workspace_id": workspace, "settings": {"email": "new@agents.test"}},
        {"settings": {"email": "there@agents.test"}},
        {"settings": {"email": "a@unknown.test"}},
        {"settings": {"email": "nonsense"}},
        {"workspace_id": ELSEWHERE, "settings": {"email": "b@agents.test"}},
        {"settings": {"email": "NEW@agents.test"}},
    ]
    answer = fleet.api.post("/v3/grants/bulk", {"grants": wishes})
    results = answer["results"]
    assert [one["index"] for one in results] == list(range(len(wishes)))
    assert [one["status"] for one in results] == ["created", "existing", "failed", "failed", "failed", "existing"]
    assert (answer["created"], answer["existing"], answer["failed"]) == (1, 2, 3)
    assert results[0]["grant"]["workspace_id"] == workspace and results[0]["grant"]["name"] == "New"
    assert results[1]["grant"]["id"] == there and results[5]["grant"]["id"] == results[0]["grant"]["id"]
    for one in results:
        assert (one["grant"] is None) == (one["status"] == "failed") and (one["error"] is None) == (one["status"] != "failed")
    assert "not registered" in results[2]["error"]["message"] and results[4]["error"]["code"]
    fleet.api.send(results[0]["grant"]["id"])


def test_bulk_takes_one_to_a_thousand(fleets):
    fleet = fleets()
    for bad in ({}, {"grants": []}, {"grants": [{"settings": {"email": f"b{n}@agents.test"}} for n in range(1_001)]}, {"grants": "x"}):
        fleet.api.refused("POST", "/v3/grants/bulk", bad, field="grants")
    assert fleet.api.all_grants() == []


def test_bulk_stops_at_the_plan(fleets):
    """The plan's number is met exactly, and what is over it is said of each."""
    fleet = fleets(plan="twenty", plans=TWENTY)
    wishes = [{"settings": {"email": f"b{n}@agents.test"}} for n in range(30)]
    answer = fleet.api.post("/v3/grants/bulk", {"grants": wishes})
    assert (answer["created"], answer["failed"]) == (20, 10)
    assert all("for this plan" in one["error"]["message"] for one in answer["results"] if one["status"] == "failed")
    assert len(fleet.api.all_grants()) == 20
