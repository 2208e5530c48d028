"""A send that is asked for more than once, as the official SDKs ask: under a key in their header overrides, and without."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sdk import failure, nylas

HERE = Path(__file__).resolve().parent
TWO_MINUTES = {"POSTFLEET_SENDING__REPEAT_WINDOW_SECONDS": "120"}


@pytest.fixture(scope="module")
def client(fleet):
    return nylas().Client(api_key=fleet.account["api_key"], api_uri=fleet.server.api, timeout=60)


def under(key):
    return {"headers": {"Idempotency-Key": key}}


def letter(subject, **more):
    return {"to": [{"email": "someone@people.test"}], "subject": subject, "body": "x", **more}


def large():
    # Made anew for each send: the SDK takes the files out of what it is given.
    file = {"filename": "a.bin", "content_type": "application/octet-stream", "content": b"x" * 4_000_000, "size": 4_000_000}
    return letter("Three", attachments=[file])


def sent(fleet, grant):
    return fleet.api.get(f"/v3/grants/{grant}/messages?in=sent&limit=200")


def test_the_python_sdk_sends_once_under_a_key(fleet, client):
    grant = fleet.mailbox()
    first = client.messages.send(grant, letter("One"), overrides=under("python"))
    again = client.messages.send(grant, letter("One"), overrides=under("python"))
    assert again.data.id == first.data.id and again.data == first.data and again.request_id == first.request_id
    assert again.headers["Idempotent-Response"] == "true" and "Idempotent-Response" not in first.headers
    refused = failure(client.messages.send, grant, letter("Two"), overrides=under("python"))
    assert (refused.status_code, refused.type) == (409, "api.invalid_idempotent_request")
    refused = failure(client.messages.send, grant, letter("Two"), overrides=under("k" * 257))
    assert (refused.status_code, refused.type) == (400, "api.invalid_idempotency_key")
    # A file of more than 3 MB travels as a form.
    first, again = (client.messages.send(grant, large(), overrides=under("form")) for _ in range(2))
    assert again.data.id == first.data.id and again.headers["Idempotent-Response"] == "true"
    assert len(sent(fleet, grant)) == 2


def test_of_many_clients_with_one_key_one_sends(fleet, client):
    grant = fleet.mailbox()

    def ask(_):
        headers = {"Idempotency-Key": "many"}
        return fleet.api.call("POST", f"/v3/grants/{grant}/messages/send", letter("One"), headers)

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(ask, range(64)))
    accepted = [answer for status, _, answer in answers if status == 200]
    others = [answer["error"]["type"] for status, _, answer in answers if status != 200]
    assert len({answer["data"]["id"] for answer in accepted}) == 1
    assert set(others) <= {"api.concurrent_idempotent_request"}
    assert len(sent(fleet, grant)) == 1


def test_the_same_without_a_key_is_sent_once_in_two_minutes(fleets):
    fleet = fleets(settings=TWO_MINUTES)
    client = nylas().Client(api_key=fleet.account["api_key"], api_uri=fleet.server.api, timeout=60)
    grant = fleet.mailbox()
    first = client.messages.send(grant, letter("One"))
    fleet.server.kill()
    fleet.start()
    again = client.messages.send(grant, letter("One"))
    assert again.data == first.data and again.headers["Duplicate-Of"] == first.data.id
    meant = client.messages.send(grant, letter("One", allow_duplicate=True))
    assert meant.data.id != first.data.id and "Duplicate-Of" not in meant.headers
    assert len(sent(fleet, grant)) == 2


def test_the_node_sdk_sends_once_under_a_key(fleet, modules):
    grant = fleet.mailbox()
    command = ["node", HERE / "node_repeats.mjs", modules, fleet.server.api, fleet.account["api_key"], grant]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["first"]["data"] == seen["again"]["data"] and seen["first"]["requestId"] == seen["again"]["requestId"]
    assert seen["replayed"] == [None, "true"]
    assert seen["other"] == {"status": 409, "type": "api.invalid_idempotent_request"}
    assert len(sent(fleet, grant)) == 1
