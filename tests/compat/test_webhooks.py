"""Webhooks with the official SDKs: every method, and what a receiver does with what it is sent. The checks of the
signatures are written from their descriptions, and know nothing of the server's."""

import base64
import gzip
import hashlib
import hmac
import json
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from harness import wait_until
from nylas.models.contacts import Contact
from nylas.models.drafts import Draft
from nylas.models.events import Event
from nylas.models.folders import Folder
from nylas.models.messages import Message
from nylas.models.webhooks import WebhookTriggers
from nylas.resources.webhooks import extract_challenge_parameter
from sdk import failure

# Names that this SDK does not know: it can make webhooks with them, and neither list nor find these.
UNKNOWN = ["message.delivered", "message.bounced", "message.complaint", "message.rejected", "draft.deleted"]


class Receiver:
    """Keeps requests as they came, and echoes challenges as the SDK reads them."""

    def __init__(self):
        self.requests = []
        requests = self.requests

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def answer(self, body):
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                assert "challenge" in parse_qs(urlsplit(self.path).query)
                self.answer(extract_challenge_parameter(f"http://receiver{self.path}").encode())

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                self.answer(b"")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def at(self, path):
        """What came to a path."""
        return [(headers, body) for at, headers, body in list(self.requests) if at == path]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def hooks():
    receiver = Receiver()
    yield receiver
    receiver.close()


def is_signed_as_hosted(secret, headers, body):
    """`X-Nylas-Signature`: lower-case hex of HMAC-SHA-256 over the body as it was sent, with the secret as the key."""
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, headers["x-nylas-signature"])


def is_signed_as_standard(secret, headers, body, tolerance=300):
    """Standard Webhooks: one of the values is of version 1 and fits, and the time is now."""
    if abs(time.time() - int(headers["webhook-timestamp"])) > tolerance:
        return False
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
    values = [value.split(",", 1) for value in headers["webhook-signature"].split(" ")]
    return any(version == "v1" and hmac.compare_digest(expected, value) for version, value in values)


def new_grant(sdk, fleet):
    return sdk.auth.custom_authentication({"provider": "nylas", "settings": {"email": fleet.address("agents.test")}}).data


def one_event(sdk, fleet, hooks, path):
    """Makes a mailbox, and waits until a path is told of it."""
    before = len(hooks.at(path))
    new_grant(sdk, fleet)
    wait_until("a notification", lambda: len(hooks.at(path)) > before)
    return hooks.at(path)[-1]


def test_every_method(sdk, fleet, hooks):
    url = hooks.url + "/every"
    request = {"trigger_types": [WebhookTriggers.GRANT_CREATED], "webhook_url": url, "compressed_delivery": False}
    made = sdk.webhooks.create(request).data
    assert (made.status, made.webhook_url, made.trigger_types) == ("active", url, ["grant.created"])
    headers, body = one_event(sdk, fleet, hooks, "/every")
    assert is_signed_as_hosted(made.webhook_secret, headers, body)
    assert is_signed_as_standard(made.webhook_secret, headers, body)
    assert not is_signed_as_hosted(made.webhook_secret, headers, body + b" ")
    assert not is_signed_as_standard(made.webhook_secret, {**headers, "webhook-timestamp": "1"}, body)
    late = {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}
    assert not is_signed_as_standard(made.webhook_secret, late, body), "the time is signed, too"
    assert sdk.webhooks.find(made.id).data.id == made.id
    assert made.id in [one.id for one in sdk.webhooks.list().data]
    rotated = sdk.webhooks.rotate_secret(made.id).data
    headers, body = one_event(sdk, fleet, hooks, "/every")
    assert is_signed_as_hosted(rotated.webhook_secret, headers, body)
    assert not is_signed_as_standard(made.webhook_secret, headers, body), "the old one is worthless"
    changed = sdk.webhooks.update(made.id, {"status": "pause", "description": "Later"}).data
    assert (changed.status, changed.description) == ("pause", "Later")
    assert isinstance(sdk.webhooks.ip_addresses().data.ip_addresses, list)
    assert sdk.webhooks.destroy(made.id).data.status == "success"
    assert failure(sdk.webhooks.find, made.id).status_code == 404


def test_both_secrets_sign_while_they_overlap(sdk, fleet, hooks):
    made = sdk.webhooks.create({"trigger_types": ["grant.created"], "webhook_url": hooks.url + "/overlap"}).data
    path = f"/v3/webhooks/rotate-secret/{made.id}"
    status, _, answer = fleet.api.call("POST", path, {"overlap_seconds": 3600})
    assert status == 200, answer
    new = answer["data"]["webhook_secret"]
    assert answer["data"]["previous_secret_until"] == answer["data"]["updated_at"] + 3600
    headers, body = one_event(sdk, fleet, hooks, "/overlap")
    assert is_signed_as_standard(new, headers, body) and is_signed_as_standard(made.webhook_secret, headers, body)
    assert is_signed_as_hosted(new, headers, body)
    sdk.webhooks.destroy(made.id)


def test_compressed_notifications_are_signed_as_they_are_sent(sdk, fleet, hooks):
    request = {"trigger_types": ["grant.created"], "webhook_url": hooks.url + "/packed", "compressed_delivery": True}
    made = sdk.webhooks.create(request).data
    # The models of the SDK leave this out.
    status, _, answer = fleet.api.call("GET", f"/v3/webhooks/{made.id}")
    assert (status, answer["data"]["compressed_delivery"]) == (200, True)
    headers, body = one_event(sdk, fleet, hooks, "/packed")
    assert headers["content-encoding"] == "gzip"
    assert is_signed_as_hosted(made.webhook_secret, headers, body)
    assert is_signed_as_standard(made.webhook_secret, headers, body)
    assert json.loads(gzip.decompress(body))["type"] == "grant.created"
    sdk.webhooks.destroy(made.id)


def test_a_webhook_may_list_every_name_that_the_sdk_has(sdk, fleet, hooks):
    names = [trigger.value for trigger in WebhookTriggers]
    made = sdk.webhooks.create({"trigger_types": names, "webhook_url": hooks.url + "/all"}).data
    assert sdk.webhooks.find(made.id).data.trigger_types == names
    # Names that it has not it cannot read, though the server takes them.
    path = f"/v3/webhooks/{made.id}"
    for method, body in (("PUT", {"trigger_types": UNKNOWN}), ("GET", None)):
        status, _, answer = fleet.api.call(method, path, body)
        assert (status, answer["data"]["trigger_types"]) == (200, UNKNOWN)
    sdk.webhooks.destroy(made.id)


def sample(fleet, name):
    status, _, answer = fleet.api.call("POST", "/v3/webhooks/mock-payload", {"trigger_type": name})
    assert status == 200, (name, answer)
    return answer["data"]


def test_every_sample_is_read_by_the_models_of_the_sdk(fleet):
    models = {"message": Message, "draft": Draft, "folder": Folder, "event": Event, "contact": Contact}
    read = set()
    for name in [trigger.value for trigger in WebhookTriggers] + UNKNOWN + ["draft.created", "message.created.cleaned"]:
        told = sample(fleet, name)
        assert (told["specversion"], told["type"], told["webhook_delivery_attempt"]) == ("1.0", name, 1)
        thing = told["data"]["object"]
        model = models.get(thing.get("object"))
        # Of what became of a message its addresses are plain texts, as the hosted service has it; and of an event that is gone
        # there is too little for the model.
        if model and not isinstance(thing.get("from"), str) and name != "event.deleted":
            parsed = model.from_dict(thing)
            assert parsed.grant_id == thing["grant_id"] and parsed.id == thing["id"], name
            read.add(thing["object"])
    assert read == set(models)
    message = Message.from_dict(sample(fleet, "message.created")["data"]["object"])
    assert message.from_[0]["email"] == "ada@example.com" and message.body and message.folders == ["inbox"]


def test_a_test_event_arrives_signed_with_the_known_secret(fleet, hooks):
    for name in (None, "message.bounced"):
        body = {"webhook_url": hooks.url + "/test", **({"trigger_type": name} if name else {})}
        status, _, answer = fleet.api.call("POST", "/v3/webhooks/send-test-event", body)
        assert (status, answer["data"]) == (200, "success"), answer
        headers, octets = hooks.at("/test")[-1]
        assert is_signed_as_hosted("mock-webhook-secret", headers, octets)
        assert json.loads(octets)["type"] == (name or "message.created")


def test_what_is_wrong_has_the_type_of_the_hosted_service(fleet, hooks):
    for body, kind in [
        ({"trigger_types": ["no.such"], "webhook_url": hooks.url}, "70001"),
        ({"webhook_url": hooks.url}, "70001"),
        ({"trigger_types": ["message.created"], "webhook_url": "https://10.0.0.1/"}, "70005"),
    ]:
        status, _, answer = fleet.api.call("POST", "/v3/webhooks", body)
        assert (status, answer["error"]["type"]) == (400, kind), answer


def test_every_method_of_the_node_sdk(modules, fleet):
    script = Path(__file__).resolve().parent / "node_webhooks.mjs"
    command = ["node", script, modules, fleet.server.api, fleet.account["api_key"], fleet.address("agents.test")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    made, found, sent = seen["made"], seen["found"], seen["requestBody"]
    assert {name: made[name] for name in sent} == sent and made["status"] == "active" and made["webhookSecret"]
    assert all(isinstance(made[name], int) for name in ("createdAt", "updatedAt", "statusUpdatedAt"))
    assert "webhookSecret" not in found and {name: found[name] for name in sent} == sent
    assert [one["id"] for one in seen["listed"]].count(made["id"]) == 1
    first = seen["first"]
    assert (first["type"], first["webhook_delivery_attempt"], first["data"]["object"]["object"]) == ("grant.created", 1, "grant")
    assert seen["signed"] == seen["signedAnew"] == [True, False], "by its secret alone, and by the new one alone"
    assert seen["rotated"]["id"] == made["id"] and seen["rotated"]["webhookSecret"] != made["webhookSecret"]
    assert (seen["changed"]["description"], seen["changed"]["status"]) == ("Later", "pause")
    assert isinstance(seen["addresses"]["ipAddresses"], list) and isinstance(seen["addresses"]["updatedAt"], int)
    assert seen["challenge"] == "d" and seen["removed"]["data"] == {"status": "success"} and seen["removed"]["requestId"]
    assert seen["missing"]["status"] == 404 and seen["missing"]["type"] and seen["missing"]["requestId"]
    called = {"list", "find", "create", "update", "destroy", "rotateSecret", "ipAddresses", "extractChallengeParameter"}
    assert set(seen["methods"]) == called


def told(fleet, path):
    status, _, answer = fleet.api.call("GET", path)
    assert status == 200, answer
    return answer["data"]


def test_what_was_told_is_told_once_more_and_what_was_sent_is_shown(sdk, fleet, hooks):
    made = sdk.webhooks.create({"trigger_types": ["grant.created"], "webhook_url": hooks.url + "/again?token=hush"}).data
    headers, body = one_event(sdk, fleet, hooks, "/again?token=hush")
    path = f"/v3/webhooks/{made.id}"
    status, _, answer = fleet.api.call("POST", f"{path}/replay", {"event_id": headers["webhook-id"]})
    assert status == 202, answer
    wait_until("the same again", lambda: len(hooks.at("/again?token=hush")) > 1)
    again, same = hooks.at("/again?token=hush")[-1]
    assert same == body and again["webhook-id"] == headers["webhook-id"]
    assert again["x-postfleet-replay"] == answer["data"]["id"] and "x-postfleet-replay" not in headers
    assert is_signed_as_hosted(made.webhook_secret, again, same) and is_signed_as_standard(made.webhook_secret, again, same)
    replay = f"{path}/replays/{answer['data']['id']}"
    wait_until("the end of the replay", lambda: told(fleet, replay)["status"] == "done")
    assert (told(fleet, replay)["told"], told(fleet, replay)["not_taken"]) == (1, 0)
    wait_until("both to be written down", lambda: len(told(fleet, f"{path}/attempts")) == 2)
    for attempt in told(fleet, f"{path}/attempts"):
        assert (attempt["outcome"], attempt["status"], attempt["url"]) == ("taken", 200, hooks.url + "/again?…")
        assert (attempt["request_bytes"], attempt["request_sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
        whole = told(fleet, f"{path}/attempts/{attempt['id']}")
        assert whole["request_body"].encode() == body and whole["request_body_is_as_sent"] is True
    sdk.webhooks.destroy(made.id)
