"""Messages changed and deleted, with the official SDKs for Python and Node: each parameter, and what is to be seen afterwards."""

import json
import subprocess
from pathlib import Path

import pytest

from sdk import client, failure

pytestmark = pytest.mark.usefixtures("strict")

HERE = Path(__file__).resolve().parent


@pytest.fixture
def address(fleet):
    return fleet.address()


@pytest.fixture
def grant(fleet, address):
    return fleet.api.new_grant(address)["id"]


@pytest.fixture
def received(fleet, sdk, grant, address):
    """Receives a message, and answers it as the SDK shows it."""

    def receive(subject):
        assert fleet.receive(address, subject=subject)[0] == 250
        (message,) = [one for one in sdk.messages.list(grant).data if one.subject == subject]
        return message

    return receive


def used(fleet, grant):
    meters = fleet.api.get(f"/v3/grants/{grant}/usage")["meters"]
    (storage,) = [meter["used"] for meter in meters if meter["meter"] == "storage" and meter["scope"] == "grant"]
    return storage


def told(fleet, message):
    return [event["type"] for event in fleet.api.all("/v3/events") if event["message_id"] == message][::-1]


def test_update_with_each_parameter(fleet, sdk, grant, received):
    message = received("Changes")
    assert message.unread and not message.starred and message.folders == ["inbox"] and not message.metadata
    for change, attribute, expected in [
        ({"unread": False}, "unread", False),
        ({"starred": True}, "starred", True),
        ({"folders": ["archive"]}, "folders", ["archive"]),
        ({"metadata": {"key1": "on-hold", "camelCase": "Übergabe"}}, "metadata", {"key1": "on-hold", "camelCase": "Übergabe"}),
        ({"metadata": {"key2": "x"}}, "metadata", {"key2": "x"}),
    ]:
        for _ in range(2):
            changed = sdk.messages.update(grant, message.id, change).data
            assert getattr(changed, attribute) == expected, change
        assert getattr(sdk.messages.find(grant, message.id).data, attribute) == expected, change
    # Each was told once.
    assert told(fleet, message.id) == ["message.created"] + ["message.updated"] * 5
    seen = sdk.messages.find(grant, message.id).data
    assert (seen.unread, seen.starred, seen.folders, seen.metadata) == (False, True, ["archive"], {"key2": "x"})
    assert [one.id for one in sdk.messages.list(grant, {"metadata_pair": "key2:x"}).data] == [message.id]
    cleared = sdk.messages.update(grant, message.id, {"metadata": {}}).data
    assert not cleared.metadata and cleared.folders == ["archive"]


def test_the_largest_metadata_and_what_is_beyond(sdk, grant, received):
    message = received("Large")
    largest = {f"{number:02}" + "ü" * 38: "ü" * 500 for number in range(50)}
    assert sdk.messages.update(grant, message.id, {"metadata": largest}).data.metadata == largest
    for metadata, field in [
        (largest | {"one": "more"}, "metadata"),
        ({"x" * 41: ""}, "metadata"),
        ({"key": "x" * 501}, "metadata.key"),
        ({"key": 1}, "metadata.key"),
    ]:
        refused = failure(sdk.messages.update, grant, message.id, {"metadata": metadata})
        assert refused.status_code == 400 and field in str(refused), refused
    assert sdk.messages.find(grant, message.id).data.metadata == largest


def test_a_reply_marks_what_it_answers(fleet, sdk, grant, received):
    message = received("Question")
    path = f"/v3/grants/{grant}/messages/{message.id}"
    assert fleet.api.get(path)["answered"] is False
    sdk.messages.send(grant, {"to": [{"email": "ada@people.test"}], "subject": "Re: Question", "body": "Yes.", "reply_to_message_id": message.id})
    assert fleet.api.get(path)["answered"] is True
    assert fleet.api.put(path, {"answered": False})["answered"] is False


def test_destroy_to_the_trash_and_from_there_for_good(fleet, sdk, grant, received):
    message = received("Away")
    assert sdk.messages.destroy(grant, message.id).request_id
    assert sdk.messages.find(grant, message.id).data.folders == ["trash"] and used(fleet, grant) > 0
    assert [one.id for one in sdk.messages.list(grant, {"in": ["trash"]}).data] == [message.id]
    assert sdk.messages.destroy(grant, message.id).request_id
    for call in (sdk.messages.find, sdk.messages.destroy):
        assert failure(call, grant, message.id).status_code == 404
    assert sdk.messages.list(grant).data == [] and used(fleet, grant) == 0
    assert told(fleet, message.id) == ["message.created", "message.updated", "message.deleted"]
    draft = sdk.drafts.create(grant, {"subject": "A draft"}).data
    assert failure(sdk.messages.destroy, grant, draft.id).status_code == 404
    assert sdk.drafts.find(grant, draft.id).data.subject == "A draft"


def test_a_hard_delete_makes_room_at_once(fleets):
    house = fleets(plan="tight", plans='[plans.tight]\nbased_on = "free"\nstorage_octets_max = 40000\n')
    sdk, address = client(house), house.address()
    grant = house.api.new_grant(address)["id"]
    text = "x" * 30_000
    assert house.receive(address, text, subject="Large")[0] == 250
    assert house.receive(address, text, subject="No room")[0] == 452
    (message,) = sdk.messages.list(grant).data
    house.api.delete(f"/v3/grants/{grant}/messages/{message.id}?hard_delete=true")
    assert failure(sdk.messages.find, grant, message.id).status_code == 404
    assert house.receive(address, text, subject="Room again")[0] == 250


def test_with_the_node_sdk(fleet, grant, modules, received):
    message = received("Node")
    command = ["node", HERE / "node_mailbox_changes.mjs", modules, fleet.server.api, fleet.account["api_key"], grant, message.id]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["changed"]["starred"] is True and seen["changed"]["unread"] is False
    assert seen["changed"]["folders"] == ["archive"] and seen["changed"]["metadata"] == {"camelCase": "x", "key1": "ü"}
    assert seen["found"]["metadata"] == seen["changed"]["metadata"] and seen["kept"]["metadata"] == seen["changed"]["metadata"]
    assert seen["cleared"]["metadata"] == {} and seen["tooLong"] == 400
    assert seen["listed"] == [message.id]
    assert seen["trashed"] and seen["inTrash"] == ["trash"] and seen["purged"] and seen["gone"] == 404 and seen["again"] == 404
