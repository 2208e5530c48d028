"""Every method that the official Node SDK has for the control plane; node_control.mjs calls them, one part per test."""

import json
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from test_sign_in import CALLBACK, Browser

HERE = Path(__file__).resolve().parent
PASSWORD = "Correct-Horse-Battery-9"
# Helpers of the SDK that are no calls, and what hosted mailboxes have no use for (see test_sdk_python.py).
NO_CALLS = {"auth.urlAuthBuilder", "auth.hashPKCESecret", "auth.getTokenInfo", "auth.urlForAdminConsent"}
NO_CALLS |= {"domains.assertServiceAccountSigningHeaders", "domains.buildSignedRequest"}
NO_CALLS |= {f"connectors.credentials.{name}" for name in ("list", "find", "create", "update", "destroy")}
CALLED, ALL = set(), set()


@pytest.fixture
def run(modules, fleets, tmp_path):
    """Runs a part of node_control.mjs against an installation of its own."""
    fleet = fleets(domains=["agents.test", "node.test"])

    def run(part, **more):
        plan = tmp_path / "plan.json"
        plan.write_text(json.dumps({"part": part, **more}))
        command = ["node", HERE / "node_control.mjs", modules, fleet.server.api, fleet.account["api_key"], plan]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        CALLED.update(answer["called"])
        ALL.update(answer["all"])
        return answer["result"]

    run.fleet = fleet
    return run


def is_missing(refusal):
    return refusal["kind"] == "NylasApiError" and refusal["statusCode"] == 404 and refusal["type"] and refusal["requestId"]


def test_applications(run):
    seen = run("applications")
    assert seen["before"]["applicationId"] == run.fleet.application and seen["before"]["organizationId"] == run.fleet.organization
    sent = seen["requestBody"]
    for name in ("branding", "hostedAuthentication", "idpSettings"):
        assert sent[name].items() <= seen["after"][name].items()
    made = seen["made"]
    assert made["platform"] == "android" and made["settings"]["packageName"] == "p" and made["settings"]["sha1CertificateFingerprint"] == "AA:BB"
    assert seen["found"] == made and made in seen["listed"] and seen["changed"] == made | {"url": "https://n.test/other"}
    assert seen["gone"] and is_missing(seen["missing"])


def test_connectors(run):
    seen = run("connectors")
    assert seen["made"]["provider"] == seen["found"]["provider"] == "nylas"
    assert seen["twice"]["statusCode"] in (400, 409) and "already exists" in seen["twice"]["message"] and len(seen["limited"]) == 1
    assert seen["gone"] and is_missing(seen["missing"])


def test_connector_update(run):
    assert run("connectorUpdate")["provider"] == "nylas" and run.fleet.api.get("/v3/connectors/nylas")["name"] == "Other"


def test_grants(run):
    seen = run("grants")
    made, lists = seen["made"], seen["lists"]
    assert made["email"] == "node@agents.test" and made["state"] == "s" and made["scope"] == []
    assert made["settings"]["hasAppPassword"] is True and "appPassword" not in json.dumps(seen["found"]).replace("hasAppPassword", "")
    assert seen["again"]["id"] == seen["found"]["id"] == seen["changed"]["id"] == made["id"] and seen["changed"]["name"] == "Node"
    assert seen["unknown"]["statusCode"] == 400 and "not registered" in seen["unknown"]["message"]
    newest = [f"node-{number}@agents.test" for number in (4, 3, 2, 1, 0)] + ["node@agents.test"]
    assert lists["newest"] == newest[:3] and lists["offset"] == newest[1:3] and lists["oldest"] == newest[::-1][:2]
    assert lists["email"] == ["node-3@agents.test"] and lists["status"] == [] and lists["provider"] == newest
    assert sorted(lists["updated"]) == sorted(newest) and lists["since"] == newest
    assert seen["gone"] and is_missing(seen["missing"])
    assert seen["detected"]["provider"] == "nylas" and seen["detected"]["detected"] is True


def test_policies(run):
    seen = run("policies")
    assert seen["made"]["limits"] == seen["limits"] and seen["made"]["spamDetection"] == seen["spamDetection"]
    assert seen["made"]["options"] == seen["options"] and seen["made"]["rules"] == [] and seen["found"] == seen["made"]
    assert seen["changed"]["limits"] == seen["limits"] | {"limitCountDailyEmailSent": 4}
    assert seen["changed"]["spamDetection"] == seen["spamDetection"] | {"useListDnsbl": False}
    ids = [id for page in seen["pages"] for id in page]
    assert len(ids) == len(set(ids)) == seen["everything"] == 25 and seen["gone"] and is_missing(seen["missing"])


def test_lists(run):
    seen = run("lists")
    made = seen["made"]
    assert (made["name"], made["type"], made["description"], made["itemsCount"]) == ("Node", "tld", "d", 0)
    assert seen["found"] == made and made["id"] in seen["listed"]
    assert (seen["changed"]["name"], seen["changed"]["description"]) == ("Renamed", "d")
    assert seen["added"]["itemsCount"] == 301 and seen["removed"]["itemsCount"] == 1
    values = [item["value"] for item in seen["items"]]
    assert values == ["com"] + [f"x{number:03}" for number in range(300)]
    assert all(item["listId"] == made["id"] and item["id"] and item["createdAt"] for item in seen["items"])
    assert seen["wrong"]["statusCode"] == 400 and "items[1]" in seen["wrong"]["message"]
    assert seen["gone"] and is_missing(seen["missing"])


def test_workspaces(run):
    seen = run("workspaces")
    made = seen["made"]
    assert (made["name"], made["domain"], made["autoGroup"], made["policyId"]) == ("Node", "node.test", True, seen["policyId"])
    assert seen["found"] == seen["byDomain"] == made and len(seen["listed"]) == 2
    assert (seen["kept"]["name"], seen["kept"]["autoGroup"], seen["kept"]["policyId"]) == ("Renamed", False, seen["policyId"])
    assert seen["detached"]["policyId"] is None and seen["detached"]["ruleIds"] == []
    assert seen["removed"]["grantsRemoved"] == [seen["grant"]["id"]] and not seen["removed"]["grantsAssigned"]
    assert seen["assigned"]["grantsAssigned"] == [seen["grant"]["id"]] and seen["assigned"]["domain"] == "node.test"
    assert seen["job"]["jobId"] in seen["job"]["message"] and seen["tooSoon"]["statusCode"] == 429
    assert seen["gone"] and is_missing(seen["missing"])


def test_rules(run):
    seen = run("rules", workspace=run.fleet.default_workspace)
    made = seen["made"]
    wish = seen["requestBody"]
    assert {name: made[name] for name in ("name", "description", "priority", "enabled", "trigger", "match", "actions")} == wish
    assert (made["applicationId"], made["organizationId"]) == (run.fleet.application, run.fleet.organization)
    assert seen["found"] == made and (seen["changed"]["name"], seen["changed"]["match"]) == ("Other", made["match"])
    assert seen["attached"]["ruleIds"] == [made["id"]] and seen["detached"]["ruleIds"] == []
    ids = [id for page in seen["pages"] for id in page]
    assert [len(page) for page in seen["pages"]] == [2, 2, 1] and len(set(ids)) == seen["everything"] == 5
    assert seen["invalid"]["statusCode"] == 400 and "match.conditions[0].field" in seen["invalid"]["message"]
    assert seen["evaluations"] == [] and seen["gone"] and is_missing(seen["missing"])


def test_webhooks(run, receiver):
    seen = run("webhooks", hook=receiver.url + "/node-control")
    assert seen["made"]["webhookSecret"] and seen["rotated"]["webhookSecret"] not in ("", seen["made"]["webhookSecret"])
    assert seen["found"]["id"] == seen["made"]["id"] and [one["id"] for one in seen["listed"]] == [seen["made"]["id"]]
    assert (seen["changed"]["status"], seen["changed"]["description"]) == ("pause", "e")
    assert seen["gone"] and seen["challenge"] == "c"


def test_webhook_addresses(run):
    seen = run("webhookAddresses")
    assert isinstance(seen["ipAddresses"], list) and isinstance(seen["updatedAt"], int)


def test_domains(run):
    account = run.fleet.operator.post("/v3/admin/service-accounts", {"name": "node"})
    seen = run("domains", account=account)
    made = seen["made"]
    assert made["name"] == "Nödë" and made["domainAddress"] == "n.example.test" and made["verifiedOwnership"] is False
    assert seen["byId"] == seen["byAddress"] == made and sorted(seen["listed"]) == ["agents.test", "n.example.test", "node.test"]
    assert seen["changed"]["name"] == "Other"
    for kind, both in seen["kinds"].items():
        for one in both.values():
            assert one["domainId"] == made["id"] and one["attempt"]["type"] == kind and one["status"] in ("pending", "failed", "done")
            assert {"host", "type", "value"} <= set(one["attempt"]["options"]) and one["message"] and one["expiresAt"] > one["createdAt"]
    assert seen["gone"] and is_missing(seen["missing"])


def test_sign_in(run):
    fleet = run.fleet
    fleet.api.post("/v3/applications/redirect-uris", {"url": CALLBACK, "platform": "web"})
    email = fleet.address()
    grant = fleet.api.new_grant(email, settings={"app_password": PASSWORD})["id"]
    wishes = {"application": fleet.application, "callback": CALLBACK, "email": email}
    seen = run("signIn", **wishes)
    assert parse_qs(urlsplit(seen["url"]).query)["login_hint"] == [email]
    browser = Browser(fleet)
    back = browser.sign_in(seen["url"], email, PASSWORD)
    assert back["state"] == "a b"
    pkce = browser.sign_in(seen["pkce"]["url"], email, PASSWORD)
    done = run("tokens", **wishes, code=back["code"], pkceCode=pkce["code"], secret=seen["pkce"]["secret"])
    assert done["plain"]["grantId"] == done["pkce"]["grantId"] == done["fresh"]["grantId"] == done["me"]["id"] == grant
    assert done["plain"]["refreshToken"] and done["plain"]["email"] == email and done["plain"]["tokenType"] == "Bearer"
    assert done["used"]["kind"] == "NylasOAuthError" and done["used"]["error"] == "invalid_grant" and isinstance(done["used"]["errorCode"], int)
    for info in (done["access"], done["identity"]):
        assert info["aud"] == fleet.application and info["sub"] == grant and info["email"] == email and info["exp"] > info["iat"]
    assert done["revoked"] is True and done["after"]["statusCode"] == 401


def test_every_method_of_the_control_plane_was_called(request):
    here = {name for name in globals() if name.startswith("test_")}
    if not here <= {item.originalname for item in request.session.items if item.path == request.path}:
        pytest.skip("only a part of this file runs")
    assert NO_CALLS <= ALL
    assert ALL - CALLED - NO_CALLS == set()
