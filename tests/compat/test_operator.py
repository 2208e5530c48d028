"""What an operator does: organizations, applications, keys, and the record of who changed what."""

import json
import time

import pytest

from fleet import Key, no_secret
from harness import wait_until

ELSEWHERE = "00000000-0000-7000-8000-000000000000"


def keys_of(application):
    return f"/v3/admin/applications/{application}/api-keys"


# Organizations and applications --------------------------------------------------------------------------------------


def test_organizations(fleets):
    fleet = fleets()
    (own,) = fleet.operator.get("/v3/admin/organizations")
    assert own["id"] == fleet.organization and own["name"] == "Acceptance" and own["plan"] == "self_hosted"
    made = fleet.operator.post("/v3/admin/organizations", {"name": "Zweite", "plan": "free"})
    # What it made beside the organization, such as its keys, is its own matter; the organization must be there.
    organization = made.get("organization", made)
    listed = {one["id"]: one for one in fleet.operator.get("/v3/admin/organizations")}
    assert listed[organization["id"]]["name"] == "Zweite" and listed[organization["id"]]["plan"] == "free" and len(listed) == 2
    changed = fleet.operator.patch(f"/v3/admin/organizations/{organization['id']}", {"name": "Second"})
    assert (changed["name"], changed["plan"]) == ("Second", "free")
    changed = fleet.operator.patch(f"/v3/admin/organizations/{organization['id']}", {"plan": "full_platform"})
    assert (changed["name"], changed["plan"]) == ("Second", "full_platform")
    for bad, field in (({}, "name"), ({"name": ""}, "name"), ({"name": "x" * 257}, "name"), ({"name": "x", "plan": "nonsense"}, "plan"), ({"name": "a\nb"}, "name")):
        fleet.operator.refused("POST", "/v3/admin/organizations", bad, field=field)
    fleet.operator.refused("PATCH", f"/v3/admin/organizations/{ELSEWHERE}", {"name": "x"}, status=404)
    for method, path, body in (("GET", "/v3/admin/organizations", None), ("POST", "/v3/admin/organizations", {"name": "x"})):
        fleet.api.refused(method, path, body, status=403)


def test_applications(fleets):
    fleet = fleets()
    made = fleet.operator.post("/v3/admin/applications", {"name": "Sandbox", "environment": "sandbox"})
    assert made["id"] and made["environment"] == "sandbox"
    path = f"/v3/admin/applications/{made['id']}"
    assert fleet.operator.get(path)["id"] == made["id"]
    assert {one["id"] for one in fleet.operator.get("/v3/admin/applications")} == {fleet.application, made["id"]}
    changed = fleet.operator.patch(path, {"name": "Renamed"})
    assert "Renamed" in json.dumps(changed) and changed["environment"] == "sandbox"
    for bad, field in (({}, "name"), ({"name": ""}, "name"), ({"name": "x", "environment": "moon"}, "environment")):
        fleet.operator.refused("POST", "/v3/admin/applications", bad, field=field)
    # It has what an application needs: a default workspace, and keys that name their environment.
    secret = fleet.operator.post(keys_of(made["id"]), {"name": "main"})["api_key"]
    assert secret.startswith("pf_test_")
    key = fleet.key(secret)
    (workspace,) = key.get("/v3/workspaces")
    shown = key.get("/v3/applications")
    assert workspace["default"] and shown["default_workspace_id"] == workspace["workspace_id"] and shown["environment"] == "sandbox"
    assert shown["application_id"] == made["id"] and shown["organization_id"] == fleet.organization
    grant = key.new_grant("sand@agents.test")["id"]
    assert grant not in {one["id"] for one in fleet.api.all_grants()}
    # What still has mailboxes is not removed by mistake, and nothing of it is left when it is.
    status, _, _ = fleet.operator.call("DELETE", path)
    assert status in (200, 409)
    if status == 409:
        key.delete(f"/v3/grants/{grant}")
        fleet.operator.delete(path)
    key.refused("GET", "/v3/grants", status=401)
    fleet.operator.refused("GET", path, status=404)
    fleet.api.new_grant("sand@agents.test")


def test_an_operator_sees_one_organization(fleets):
    fleet = fleets()
    other = fleet.second_organization()
    stranger = fleet.key(other["operator_key"])
    path = f"/v3/admin/applications/{fleet.application}"
    for method, at, body in (
        ("GET", path, None), ("PATCH", path, {"name": "x"}), ("DELETE", path, None), ("GET", path + "/api-keys", None),
        ("POST", path + "/api-keys", {"name": "x"}),
    ):
        stranger.refused(method, at, body, status=404)
    assert {one["id"] for one in stranger.get("/v3/admin/applications")} == {other["application_id"]}
    assert fleet.application not in json.dumps(stranger.get("/v3/admin/audit"))
    assert fleet.key(other["api_key"]).get("/v3/grants") == []


# Keys ---------------------------------------------------------------------------------------------------------------


def test_keys_are_made_listed_and_revoked(fleets):
    fleet = fleets()
    path = keys_of(fleet.application)
    before = {one["id"] for one in fleet.operator.get(path)}
    made = fleet.operator.post(path, {"name": "CI", "expires_in": 30}, expect=200)
    secret = made["api_key"]
    assert secret.startswith("pf_live_") and made["name"] == "CI" and made["status"] == "active"
    assert made["application_id"] == fleet.application and isinstance(made["permissions"], list) and made["permissions"]
    assert abs(made["expires_at"] - made["created_at"] - 30 * 86_400) <= 1 and made["created_at"] <= made["updated_at"]
    key = fleet.key(secret)
    key.get("/v3/grants")
    shown = fleet.operator.get(f"{path}/{made['id']}")
    listed = fleet.operator.get(path)
    assert {one["id"] for one in listed} == before | {made["id"]}
    no_secret([shown, listed], secret)
    assert fleet.operator.patch(f"{path}/{made['id']}", {"name": "CI 2"})["name"] == "CI 2"
    fleet.operator.delete(f"{path}/{made['id']}")
    key.refused("GET", "/v3/grants", status=401)
    fleet.api.get("/v3/grants")
    fleet.operator.refused("GET", f"{path}/{ELSEWHERE}", status=404)
    for bad, field in (
        ({}, "name"), ({"name": ""}, "name"), ({"name": "x", "expires_in": 0}, "expires_in"),
        ({"name": "x", "expires_in": -1}, "expires_in"), ({"name": "x", "expires_in": 10**9}, "expires_in"),
        ({"name": "x", "permissions": ["nonsense.read"]}, "permissions"), ({"name": "x", "permissions": "grants.read"}, "permissions"),
    ):
        fleet.operator.refused("POST", path, bad, field=field)


def test_the_use_of_a_key_is_noted(fleets):
    fleet = fleets()
    path = keys_of(fleet.application)
    made = fleet.operator.post(path, {"name": "used"})
    assert not fleet.operator.get(f"{path}/{made['id']}").get("last_used_at")
    fleet.key(made["api_key"]).get("/v3/grants")
    noted = wait_until("the note", lambda: fleet.operator.get(f"{path}/{made['id']}").get("last_used_at"), seconds=90, every=0.5)
    assert abs(noted - time.time()) < 120


@pytest.mark.parametrize("overlap", [0, 2])
def test_a_key_is_rotated(fleets, overlap):
    fleet = fleets()
    path = keys_of(fleet.application)
    made = fleet.operator.post(path, {"name": "rolling", "permissions": ["grants.*"]})
    old = fleet.key(made["api_key"])
    rotated = fleet.operator.post(f"{path}/{made['id']}/rotate", {"overlap_seconds": overlap})
    new = fleet.key(rotated["api_key"])
    assert new.key != old.key and rotated["permissions"] == ["grants.*"]
    new.get("/v3/grants")
    if overlap:
        old.get("/v3/grants")
    wait_until("the old key to end", lambda: old.call("GET", "/v3/grants")[0] == 401, seconds=overlap + 5)
    new.get("/v3/grants")
    fleet.operator.refused("POST", f"{path}/{made['id']}/rotate", {"overlap_seconds": -1}, field="overlap_seconds")


def test_a_key_may_what_it_is_permitted(fleets):
    fleet = fleets()
    grant = fleet.mailbox()
    policy = fleet.api.new_policy("P")["id"]

    def key(*permissions):
        return fleet.key(fleet.operator.post(keys_of(fleet.application), {"name": "x", "permissions": list(permissions)})["api_key"])

    def may_not(key, method, path, body=None):
        key.refused(method, path, body, status=403, type="insufficient_scopes")

    reader = key("*.read")
    for path in ("/v3/grants", f"/v3/grants/{grant}", "/v3/workspaces", f"/v3/policies/{policy}", "/v3/webhooks", "/v3/applications", f"/v3/grants/{grant}/messages"):
        reader.get(path)
    send = {"to": [{"email": "a@people.test"}], "subject": "x"}
    may_not(reader, "POST", f"/v3/grants/{grant}/messages/send", send)
    may_not(reader, "POST", "/v3/policies", {"name": "x"})
    may_not(reader, "DELETE", f"/v3/grants/{grant}")
    may_not(reader, "POST", "/v3/connect/custom", {"provider": "nylas", "settings": {"email": "x@agents.test"}})
    sender = key("messages.send")
    sender.post(f"/v3/grants/{grant}/messages/send", send)
    may_not(sender, "GET", f"/v3/grants/{grant}/messages")
    may_not(sender, "GET", "/v3/grants")
    provisioner = key("grants.*", "workspaces.read")
    provisioner.new_grant("new@agents.test")
    provisioner.get("/v3/workspaces")
    may_not(provisioner, "PUT", f"/v3/policies/{policy}", {"name": "x"})
    may_not(provisioner, "POST", "/v3/workspaces", {"name": "x"})
    # No key makes a stronger one by way of its own application.
    provisioner.refused("POST", keys_of(fleet.application), {"name": "x"}, status=403)


def test_operator_keys(fleets):
    fleet = fleets()
    made = fleet.operator.post("/v3/admin/keys", {"name": "Grafana", "permissions": ["*.read"]})
    secret = made["api_key"]
    assert secret.startswith("pf_op_")
    key = fleet.key(secret)
    key.get("/v3/admin/applications")
    key.refused("POST", "/v3/admin/applications", {"name": "x"}, status=403, type="insufficient_scopes")
    no_secret(fleet.operator.get("/v3/admin/keys"), secret, fleet.account["operator_key"])
    # An operator's key does not read mail.
    grant = fleet.mailbox()
    fleet.operator.refused("GET", f"/v3/grants/{grant}/messages", status=403)
    fleet.operator.delete(f"/v3/admin/keys/{made['id']}")
    key.refused("GET", "/v3/admin/applications", status=401)


def test_no_key_no_entry(fleets):
    fleet = fleets()
    for path in ("/v3/admin/organizations", "/v3/admin/applications", "/v3/admin/keys", "/v3/admin/audit", "/v3/admin/domains", "/v3/audit", "/v3/policies"):
        for key in ("", "pf_op_nobody", "pf_live_nobody", fleet.account["operator_key"][:-1], fleet.account["operator_key"] + "x"):
            Key(fleet.server, key).refused("GET", path, status=401)
    assert fleet.server.log_tail(10**6).count(fleet.account["api_key"]) == 0


# The record ---------------------------------------------------------------------------------------------------------

RECORD = {"id", "created_at", "actor", "action", "target", "before", "after", "request_id"}


def test_the_audit_says_who_changed_what(fleets):
    fleet = fleets()
    made = fleet.operator.post(keys_of(fleet.application), {"name": "Deployer"})
    api = fleet.key(made["api_key"])
    policy = api.new_policy("Before", limit_count_daily_email_sent=5)["id"]
    answer = api.ask("PUT", f"/v3/policies/{policy}", {"name": "After", "limits": {"limit_count_daily_email_sent": 3}})
    records = [one for one in fleet.api.get("/v3/audit?limit=200") if one["target"]["id"] == policy]
    assert all(RECORD <= set(one) for one in records) and len(records) == 2, records
    changed, created = records
    for one in records:
        assert one["target"]["kind"] == "policy" and one["actor"]["name"] == "Deployer" and one["actor"]["id"] == made["id"]
        assert abs(one["created_at"] - time.time()) < 60
    assert changed["request_id"] == answer["request_id"] and created["before"] is None
    assert "Before" in json.dumps(changed["before"]) and "After" in json.dumps(changed["after"])
    assert "Before" not in json.dumps(changed["after"])
    # What changes nothing leaves nothing.
    api.put(f"/v3/policies/{policy}", {"name": "After"})
    assert len([one for one in fleet.api.get("/v3/audit?limit=200") if one["target"]["id"] == policy]) == 2


def test_everything_is_recorded(fleets):
    fleet = fleets()
    secrets = []

    def seen():
        return [(one["action"], one["target"]["kind"]) for one in fleet.operator.all("/v3/admin/audit")]

    steps = [
        ("grant", lambda: fleet.mailbox(settings={"app_password": "Correct-Horse-Battery-9"})),
        ("grant", lambda: fleet.api.patch(f"/v3/grants/{grant()}", {"name": "Renamed"})),
        ("workspace", lambda: fleet.api.new_workspace("W")),
        ("workspace", lambda: fleet.api.patch(f"/v3/workspaces/{fleet.default_workspace}", {"policy_id": fleet.api.new_policy("P")["id"]})),
        ("grant", lambda: fleet.api.delete(f"/v3/grants/{grant()}")),
        ("application", lambda: fleet.operator.post("/v3/admin/applications", {"name": "A"})),
        ("key", lambda: secrets.append(fleet.operator.post(keys_of(fleet.application), {"name": "K"})["api_key"])),
        ("organization", lambda: fleet.operator.patch(f"/v3/admin/organizations/{fleet.organization}", {"name": "O"})),
        ("domain", lambda: fleet.operator.post("/v3/domains", {"name": "D", "domain_address": "d.example.test"})),
        ("application", lambda: fleet.api.patch("/v3/applications", {"branding": {"name": "B"}})),
        ("redirect_uri", lambda: fleet.api.post("/v3/applications/redirect-uris", {"url": "https://a.test/", "platform": "web"})),
    ]

    def grant():
        return fleet.api.all_grants()[0]["id"]

    for kind, step in steps:
        before = len(seen())
        step()
        new = seen()[: len(seen()) - before]
        assert any(kind in target or kind in action for action, target in new), f"no record about {kind}: {new}"
    text = json.dumps(fleet.operator.all("/v3/admin/audit"))
    no_secret(text, "Correct-Horse-Battery-9", fleet.account["api_key"], fleet.account["operator_key"], *secrets)


def test_the_audit_is_paged_and_filtered(fleets):
    fleet = fleets()
    for number in range(30):
        fleet.api.new_policy(f"P{number}")
    records = fleet.api.all("/v3/audit", limit=7)
    assert len({one["id"] for one in records}) == len(records) >= 30
    assert [one["created_at"] for one in records] == sorted((one["created_at"] for one in records), reverse=True)
    _, other = fleet.second_application()
    assert not [one for one in other.all("/v3/audit") if one["target"]["kind"] == "policy"]
    assert {one["id"] for one in records} <= {one["id"] for one in fleet.operator.all("/v3/admin/audit")}
    for bad in ("limit=0", "limit=x", "page_token=nonsense"):
        fleet.api.refused("GET", f"/v3/audit?{bad}")


# The document of the interface ---------------------------------------------------------------------------------------


def test_the_interface_describes_itself(fleet):
    status, headers, answer = fleet.key("").call("GET", "/openapi.json", headers={"Authorization": None})
    assert status == 200 and answer["openapi"].startswith("3.1") and headers.get_content_type() == "application/json"
    described = {(method.upper(), path) for path, methods in answer["paths"].items() for method in methods if method in ("get", "post", "put", "patch", "delete")}
    for route in (
        ("POST", "/v3/connect/custom"), ("POST", "/v3/grants/bulk"), ("GET", "/v3/grants"), ("POST", "/v3/policies"),
        ("PATCH", "/v3/workspaces/{workspace}"), ("POST", "/v3/connect/token"), ("GET", "/v3/audit"), ("POST", "/v3/admin/applications"),
    ):
        assert route in described, f"{route} is not described"
    for reference in {part.split('"')[0] for part in json.dumps(answer).split('"$ref": "')[1:]}:
        _, components, kind, name = reference.split("/")
        assert components == "components" and name in answer["components"][kind], reference
    # Every route that takes parameters in its path declares them.
    for path, methods in answer["paths"].items():
        wanted = {part[1:-1] for part in path.split("/") if part.startswith("{")}
        for method, operation in methods.items():
            if method in ("get", "post", "put", "patch", "delete"):
                declared = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
                assert declared == wanted, (method, path, declared)
                assert operation.get("summary") or operation.get("operationId"), (method, path)
    status, headers, page = fleet.key("").call("GET", "/reference", headers={"Authorization": None})
    assert status == 200 and headers.get_content_type() == "text/html" and len(page) > 1_000
    assert b"<script src=\"http" not in page and b"cdn." not in page, "the page needs nothing from elsewhere"
