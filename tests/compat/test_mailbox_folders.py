"""Folders with the official SDKs for Python and Node: each method with each parameter, messages in them, rules that fill them."""

import json
import subprocess
from pathlib import Path

import pytest

from sdk import client, failure

pytestmark = pytest.mark.usefixtures("strict")

HERE = Path(__file__).resolve().parent
SYSTEM = ["inbox", "sent", "drafts", "trash", "junk", "archive"]
COLOURS = {"parent_id": "inbox", "background_color": "#ff0000", "text_color": "#000000"}


@pytest.fixture
def address(fleet):
    return fleet.address()


@pytest.fixture
def grant(fleet, address):
    return fleet.api.new_grant(address)["id"]


def names(answer):
    return [folder.name for folder in answer.data]


def counts(sdk, grant, folder):
    found = sdk.folders.find(grant, folder).data
    return found.total_count, found.unread_count


def test_a_folder_from_its_making_to_its_end(sdk, grant):
    made = sdk.folders.create(grant, {"name": "Clients", **COLOURS}).data
    assert made.id and made.grant_id == grant and made.name == "Clients" and made.object == "folder"
    # The model of the SDK takes attributes for a text.
    assert made.system_folder is False and made.attributes == "[]" and made.child_count == 0
    assert (made.total_count, made.unread_count) == (0, 0)
    assert made.parent_id is None and made.background_color is None and made.text_color is None
    assert sdk.folders.find(grant, made.id).data == made
    assert names(sdk.folders.list(grant)) == SYSTEM + ["Clients"]
    renamed = sdk.folders.update(grant, made.id, {"name": "Customers", **COLOURS}).data
    assert renamed.id == made.id and renamed.name == "Customers"
    assert sdk.folders.update(grant, made.id, {"text_color": "red", "background_color": "#fff", "parent_id": "inbox"}).data == renamed
    assert sdk.folders.destroy(grant, made.id).request_id
    for call in (sdk.folders.find, sdk.folders.destroy):
        assert failure(call, grant, made.id).status_code == 404
    assert failure(sdk.folders.update, grant, made.id, {"name": "x"}).status_code == 404
    assert names(sdk.folders.list(grant)) == SYSTEM


def test_lists_with_each_parameter(sdk, grant):
    for number in range(3):
        sdk.folders.create(grant, {"name": f"Folder {number}"})
    expected = SYSTEM + [f"Folder {number}" for number in range(3)]
    ignored = {"parent_id": "inbox", "include_hidden_folders": True, "single_level": True}
    assert names(sdk.folders.list(grant, ignored)) == expected
    seen, query = [], {"limit": 4}
    while True:
        page = sdk.folders.list(grant, query)
        seen += names(page)
        if not page.next_cursor:
            break
        query["page_token"] = page.next_cursor
    assert seen == expected
    # What the SDK cannot do without is there whatever is selected.
    selected = sdk.folders.list(grant, {"select": "id"}).data
    assert [folder.name for folder in selected] == expected and all(folder.total_count is None for folder in selected)
    inbox = sdk.folders.find(grant, "INBOX", query_params={"select": "id"}).data
    assert (inbox.id, inbox.name, inbox.unread_count) == ("inbox", "inbox", None)
    assert sdk.folders.find(grant, "inbox", query_params={"select": "unread_count"}).data.unread_count == 0


def test_names_that_are_taken_or_reserved(sdk, grant):
    made = sdk.folders.create(grant, {"name": "Clients"}).data
    for name, status in [("CLIENTS", 409), ("Inbox", 400), ("spam", 400), ("", 400), ("x" * 1_025, 400)]:
        assert failure(sdk.folders.create, grant, {"name": name}).status_code == status, name
    assert sdk.folders.create(grant, {"name": "x" * 1_024}).data.name == "x" * 1_024
    for folder in SYSTEM:
        assert failure(sdk.folders.update, grant, folder, {"name": "Mine"}).status_code == 400
        assert failure(sdk.folders.destroy, grant, folder).status_code == 400
    assert sdk.folders.find(grant, made.id).data == made


def test_messages_in_folders_and_what_becomes_of_them(fleet, sdk, grant, address):
    clients, other = (sdk.folders.create(grant, {"name": name}).data.id for name in ("Clients", "Other"))
    for subject in ("one", "two"):
        assert fleet.receive(address, subject=subject)[0] == 250
    two, one = sdk.messages.list(grant).data
    assert sdk.messages.update(grant, one.id, {"folders": [clients]}).data.folders == [clients]
    assert sdk.messages.update(grant, two.id, {"folders": [clients, "other", "archive"], "unread": False}).data.folders == [clients, other, "archive"]
    assert counts(sdk, grant, clients) == (2, 1) and counts(sdk, grant, other) == (1, 0) and counts(sdk, grant, "inbox") == (0, 0)
    for wanted, expected in [([clients], [two.id, one.id]), (["Other"], [two.id]), (["inbox", "other"], [two.id]), (["nothing"], [])]:
        assert [message.id for message in sdk.messages.list(grant, {"in": wanted}).data] == expected, wanted
    assert "does not have" in str(failure(sdk.messages.update, grant, one.id, {"folders": ["Nothing"]}))
    sdk.folders.destroy(grant, clients)
    assert sdk.messages.find(grant, one.id).data.folders == ["trash"]
    assert sdk.messages.find(grant, two.id).data.folders == [other, "archive"]
    assert counts(sdk, grant, "trash") == (1, 1)
    fleet.api.delete(f"/v3/grants/{grant}/folders/{other}?hard_delete=true")
    assert sdk.messages.find(grant, two.id).data.folders == ["archive"]


def test_rules_fill_folders_by_id_name_and_policy(fleets):
    house = fleets()
    sdk = client(house)
    policy = sdk.policies.create({"name": "Folders", "options": {"additional_folders": ["Invoices"]}}).data.id
    workspace = sdk.workspaces.create({"name": "Support", "policy_id": policy}).data.workspace_id
    address = house.address()
    grant = house.api.new_grant(address, workspace_id=workspace)["id"]
    clients = sdk.folders.create(grant, {"name": "Clients/Acme"}).data.id
    rules = []
    for domain, folder in [("id.test", clients), ("name.test", "clients/acme"), ("made.test", "Invoices"), ("none.test", "Nothing")]:
        condition = {"field": "from.domain", "operator": "is", "value": domain}
        wish = {"name": domain, "trigger": "inbound", "match": {"conditions": [condition]}}
        rules.append(sdk.rules.create(wish | {"actions": [{"type": "assign_to_folder", "value": folder}]}).data.id)
    sdk.workspaces.update(workspace, {"rule_ids": rules})
    for domain in ("id", "name", "made", "made", "none"):
        assert house.receive(address, sender=f"a@{domain}.test", subject=domain)[0] == 250
    assert names(sdk.folders.list(grant)) == SYSTEM + ["Clients/Acme", "Invoices"]
    invoices = sdk.folders.find(grant, "Invoices").data
    assert counts(sdk, grant, clients) == (2, 2) and invoices.total_count == 2 and counts(sdk, grant, "inbox") == (1, 1)
    applied = [record.applied_actions.folder_ids for record in sdk.rules.list_evaluations(grant, {"limit": 10}).data]
    assert [clients] in applied and [invoices.id] in applied


def test_with_the_node_sdk(fleet, grant, modules):
    command = ["node", HERE / "node_mailbox_folders.mjs", modules, fleet.server.api, fleet.account["api_key"], grant]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    made = seen["made"]
    assert made["name"] == "Kunden" and made["grantId"] == grant and made["systemFolder"] is False and made["attributes"] == []
    assert made["parentId"] is None and made["backgroundColor"] is None and made["textColor"] is None
    assert seen["found"] == made and seen["renamed"] == made | {"name": "Clients"}
    assert seen["listed"] == SYSTEM + ["Clients"] and seen["paged"] == seen["listed"]
    assert seen["selected"] == {"id": made["id"], "name": "Clients", "grantId": grant, "object": "folder"}
    assert seen["taken"] == 409 and seen["system"] == 400 and seen["removed"] and seen["gone"] == 404
