"""What the vendor's public command line asks, command by command: the same requests in the same order, and of the answers
what it reads. The program itself is not to be had from a package registry; what it sends and reads is public."""

import json

import pytest

from fleet import Fleet

# What the program keeps of an account, a workspace, a rule and a list.
ACCOUNT = {"id": str, "email": str, "provider": str, "grant_status": str, "created_at": int, "updated_at": int, "blocked": bool}
WORKSPACE = {"workspace_id": str, "application_id": str, "name": str, "domain": str, "auto_group": bool, "created_at": int, "updated_at": int}
RULE = {"id": str, "name": str, "priority": int, "enabled": bool, "trigger": str, "match": dict, "actions": list, "created_at": int}
LIST = {"id": str, "name": str, "type": str, "items_count": int, "created_at": int, "updated_at": int}


def kept(thing, fields):
    """Insists that every field is there and of the kind that the program decodes; the thing itself."""
    for name, kind in fields.items():
        assert type(thing[name]) is kind, f"{name} of {thing}"
    return thing


class CommandLine:
    """The commands, each as the requests that it makes."""

    def __init__(self, api):
        self.api = api

    def pages(self, path, nested=False):
        """Follows the cursor at the top of the answer; one that comes twice is an error to the program."""
        found, token = [], ""
        while True:
            answer = self.api.ask("GET", path + (f"?page_token={token}" if token else ""), expect=200)
            found += answer["data"]["items"] if nested else answer["data"]
            if not answer.get("next_cursor"):
                return found
            assert answer["next_cursor"] != token
            token = answer["next_cursor"]

    # agent account

    def account_create(self, email, name=None, app_password=None):
        connectors = self.api.get("/v3/connectors")
        if not any(connector["provider"] == "nylas" for connector in connectors):
            self.api.post("/v3/connectors", {"provider": "nylas", "name": "nylas"})
        settings = {"email": email} | ({"app_password": app_password} if app_password else {})
        body = {"provider": "nylas", "settings": settings} | ({"name": name} if name else {})
        return kept(self.api.data("POST", "/v3/connect/custom", body), ACCOUNT)

    def account_list(self):
        grants, offset = [], 0
        while True:
            page = self.api.get(f"/v3/grants?limit=200&offset={offset}")
            grants += [kept(grant, ACCOUNT) for grant in page if grant["provider"] == "nylas"]
            offset += len(page)
            if len(page) < 200:
                return grants

    def account_get(self, account):
        if "@" in account:
            account = next(grant["id"] for grant in self.account_list() if grant["email"] == account)
        return kept(self.api.get(f"/v3/grants/{account}"), ACCOUNT)

    def account_update(self, account, **changes):
        grant = self.account_get(self.account_get(account)["id"])
        settings = {"email": grant["email"]}
        if "app_password" in changes:
            settings["app_password"] = changes.pop("app_password")
        return kept(self.api.patch(f"/v3/grants/{grant['id']}", {"settings": settings, **changes}), ACCOUNT)

    def account_move(self, account, workspace):
        grant = self.account_get(account)["id"]
        return self.api.post(f"/v3/workspaces/{workspace}/manual-assign", {"assign_grants": [grant]})

    def account_delete(self, account):
        grant = self.account_get(account)
        assert self.api.delete(f"/v3/grants/{grant['id']}")["request_id"]

    # agent policy

    def policy_list(self):
        return self.api.get("/v3/policies"), self.account_list(), self.workspace_list()

    def policy_update(self, policy, body):
        self.policy_list()
        return self.api.put(f"/v3/policies/{policy}", body)

    def policy_delete(self, policy):
        users = [workspace["workspace_id"] for workspace in self.workspace_list() if workspace["policy_id"] == policy]
        assert not users, "the program refuses to delete what is attached"
        self.api.delete(f"/v3/policies/{policy}")

    # agent rule

    def rule_list(self):
        return [kept(rule, RULE) for rule in self.pages("/v3/rules", nested=True)]

    def rule_create(self, default, rule):
        workspace = self.account_get(default)["workspace_id"]
        made = kept(self.api.data("POST", "/v3/rules", rule, expect=201), RULE)
        attached = self.api.get(f"/v3/workspaces/{workspace}").get("rule_ids") or []
        self.api.patch(f"/v3/workspaces/{workspace}", {"rule_ids": attached + [made["id"]]})
        return made

    def rule_update(self, rule, body):
        self.api.get(f"/v3/rules/{rule}")
        return kept(self.api.put(f"/v3/rules/{rule}", body), RULE)

    def rule_delete(self, rule):
        for workspace in self.workspace_list():
            attached = workspace.get("rule_ids") or []
            if rule in attached:
                left = [other for other in attached if other != rule]
                self.api.patch(f"/v3/workspaces/{workspace['workspace_id']}", {"rule_ids": left})
        self.api.delete(f"/v3/rules/{rule}")

    # agent list

    def list_create(self, name, kind, items=()):
        made = kept(self.api.data("POST", "/v3/lists", {"name": name, "type": kind}, expect=201), LIST)
        return kept(self.api.post(f"/v3/lists/{made['id']}/items", {"items": list(items)}), LIST) if items else made

    def list_items(self, id):
        return [item["value"] for item in self.pages(f"/v3/lists/{id}/items")]

    # workspace

    def workspace_list(self):
        return [kept(workspace, WORKSPACE) for workspace in self.api.get("/v3/workspaces")]


@pytest.fixture
def line(fleets):
    fleet: Fleet = fleets()
    return CommandLine(fleet.api)


def test_001_49_agent_account(line):
    one = line.account_create("one@agents.test", name="One")
    line.account_create("two@agents.test", app_password="Secret-Secret-Secret-1")
    assert [grant["email"] for grant in line.account_list()].count("one@agents.test") == 1
    assert line.account_get("one@agents.test")["id"] == one["id"]
    assert line.account_update("one@agents.test", name="First")["name"] == "First"
    line.account_update(one["id"], app_password="Another-Secret-Secret-2")
    workspace = line.api.new_workspace("Team")["workspace_id"]
    moved = line.account_move("one@agents.test", workspace)
    assert moved and line.account_get(one["id"])["workspace_id"] == workspace
    line.account_delete("one@agents.test")
    assert [grant["email"] for grant in line.account_list()] == ["two@agents.test"]
    assert line.api.refused("GET", f"/v3/grants/{one['id']}", status=404)["message"]


def test_001_49_agent_policy(line):
    policy = line.api.post("/v3/policies", {"name": "From the line"}, expect=200)
    policies, _, workspaces = line.policy_list()
    assert policy["id"] in [one["id"] for one in policies] and workspaces
    changed = line.policy_update(policy["id"], {"name": "Renamed", "limits": {"limit_count_daily_email_sent": 7}})
    assert (changed["name"], changed["limits"]["limit_count_daily_email_sent"]) == ("Renamed", 7)
    line.policy_delete(policy["id"])
    assert policy["id"] not in [one["id"] for one in line.policy_list()[0]]


def test_001_49_agent_rule_and_list(line):
    account = line.account_create("ruled@agents.test")
    rivals = line.list_create("Rivals", "domain", ["rival.test", "Other.TEST"])
    assert rivals["items_count"] == 2 and sorted(line.list_items(rivals["id"])) == ["other.test", "rival.test"]
    rule = {
        "name": "No mail to rivals", "priority": 10, "enabled": True, "trigger": "outbound",
        "match": {"operator": "all", "conditions": [{"field": "recipient.domain", "operator": "in_list", "value": [rivals["id"]]}]},
        "actions": [{"type": "block"}],
    }
    made = line.rule_create("ruled@agents.test", rule)
    assert made["id"] in [one["id"] for one in line.rule_list()]
    status, _, answer = line.api.try_send(account["id"], to=[{"email": "ceo@rival.test"}])
    assert status == 403, json.dumps(answer)
    line.rule_update(made["id"], {"enabled": False})
    line.api.send(account["id"], to=[{"email": "ceo@rival.test"}], subject="While the rule rests")
    emptied = line.api.data("DELETE", f"/v3/lists/{rivals['id']}/items", {"items": ["rival.test"]})
    assert kept(emptied, LIST)["items_count"] == 1
    line.rule_delete(made["id"])
    assert made["id"] not in [one["id"] for one in line.rule_list()]
    assert made["id"] not in sum((one["rule_ids"] or [] for one in line.workspace_list()), [])
    line.api.delete(f"/v3/lists/{rivals['id']}")


def test_001_49_overview_status_and_workspace(line):
    account = line.account_create("seen@agents.test")
    made = line.api.post("/v3/workspaces", {"name": "Sales", "domain": "sales.test", "auto_group": False})
    workspace = kept(made, WORKSPACE)["workspace_id"]
    policy = line.api.new_policy("Sales policy")["id"]
    assert line.api.patch(f"/v3/workspaces/{workspace}", {"policy_id": policy})["policy_id"] == policy
    # An empty text detaches: the program turns it into null.
    assert line.api.patch(f"/v3/workspaces/{workspace}", {"policy_id": None})["policy_id"] is None
    for part in (line.account_list(), line.workspace_list(), line.api.get("/v3/policies")):
        assert part
    assert line.rule_list() == [] and line.pages("/v3/lists") == []
    assert [connector["provider"] for connector in line.api.get("/v3/connectors")] == ["nylas"]
    assert line.account_get(account["id"])["grant_status"] == "valid"
    assert line.api.delete(f"/v3/workspaces/{workspace}")["request_id"]
