"""Domains: the SDK's manager with its service-account signer, what a signature is good for, and real verification."""

import base64
import re
import time

import pytest

from fleet import Key, no_secret
from harness import Missing, wait_until
from names import Names
from sdk import client, failure, nylas

REQUIRED = ("ownership", "mx", "spf", "dkim", "feedback")
TYPES = (*REQUIRED, "dmarc")
FLAGS = ("ownership", "dkim", "spf", "mx", "feedback", "dmarc", "arc")


def signer_of(account):
    """The signer of the SDK with the file of a service account."""
    assert nylas()
    from nylas.handler.service_account import ServiceAccountSigner

    return ServiceAccountSigner(account["private_key"], account["private_key_id"])


@pytest.fixture(scope="module")
def names():
    names = Names()
    yield names
    names.close()


@pytest.fixture
def house(fleets, names):
    names.records.clear()
    settings = {
        "POSTFLEET_DELIVERY__NAMESERVERS": f'["{names.address}"]',
        "POSTFLEET_SERVER__HOSTNAME": "mx.agents.test",
    }
    fleet = fleets(settings=settings)
    fleet.names = names
    fleet.file = fleet.operator.post("/v3/admin/service-accounts", {"name": "terraform"})
    fleet.signer = signer_of(fleet.file)
    fleet.sdk = client(fleet, key="not-used")
    return fleet


def publish(house, domain, kind):
    """Puts what is asked for into DNS, as a customer would, until nothing more is asked for; the last answer. A type may
    have several records (a signature for each of two algorithms): each look shows the next that is missing."""
    for _ in range(4):
        info = house.sdk.domains.get_info(domain, {"type": kind}, signer=house.signer).data
        wish = info.attempt.options
        host = wish["host"].rstrip(".")
        name = domain if host in ("@", "") else host if host.endswith(domain) else f"{host}.{domain}"
        house.names.publish(name, wish["type"], wish["value"])
        answer = house.operator.post(f"/v3/admin/domains/{domain}/verify", {"type": kind}, expect=200)
        if answer["status"] == "done":
            break
    assert answer["status"] == "done", answer
    return answer


def test_the_file_of_a_service_account(house):
    file = house.file
    assert file["type"] == "service_account" and file["private_key_id"] and file["organization_id"] == house.organization
    assert file["region"] and isinstance(file["permissions"], list)
    try:
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise Missing("no reader of PEM files (pip package cryptography)") from None
    assert load_pem_private_key(file["private_key"].encode(), None).key_size == 2048
    # The key is shown once.
    listed = house.operator.get("/v3/admin/service-accounts")
    assert file["private_key_id"] in str(listed)
    no_secret(listed, file["private_key"].splitlines()[1])


def test_every_method_of_the_sdk(house):
    domains, signer = house.sdk.domains, house.signer
    made = domains.create({"name": "Märchen — outreach", "domain_address": "Mail.Example.TEST"}, signer=signer).data
    assert made.name == "Märchen — outreach" and made.domain_address == "mail.example.test" and made.branded is False
    assert made.organization_id == house.organization and made.region and 0 < made.created_at <= made.updated_at
    assert [getattr(made, f"verified_{flag}") for flag in FLAGS] == [False] * len(FLAGS)
    twice = failure(domains.create, {"name": "x", "domain_address": "mail.example.test"}, signer=signer)
    assert twice.status_code == 409 and "already exists" in str(twice)
    assert domains.find(made.id, signer=signer).data == domains.find("mail.example.test", signer=signer).data == made
    listed = domains.list({"limit": 50}, signer=signer)
    assert made in listed.data and {one.domain_address for one in listed.data} == {"agents.test", "mail.example.test"}
    assert not listed.next_cursor
    page = domains.list({"limit": 1}, signer=signer)
    following = domains.list({"limit": 1, "page_token": page.next_cursor}, signer=signer)
    assert page.data[0].id != following.data[0].id and not following.next_cursor
    changed = domains.update(made.id, {"name": "Umbenannt"}, signer=signer).data
    assert (changed.id, changed.name, changed.domain_address) == (made.id, "Umbenannt", "mail.example.test")
    for kind in TYPES:
        info = domains.get_info(made.id, {"type": kind, "options": {"key_length": 2048}}, signer=signer).data
        assert info.domain_id == made.id and info.attempt.verification_type == kind and info.message
        assert {"host", "type", "value"} <= set(info.attempt.options) and info.created_at < info.expires_at
        result = domains.verify("mail.example.test", {"type": kind}, signer=signer).data
        assert result.domain_id == made.id and result.attempt.verification_type == kind and result.message
    assert domains.destroy(made.id, signer=signer).request_id
    assert failure(domains.find, made.id, signer=signer).status_code == 404
    assert failure(domains.get_info, made.id, {"type": "mx"}, signer=signer).status_code == 404


def test_refusals(house):
    domains, signer = house.sdk.domains, house.signer
    for bad in (
        {"name": "x", "domain_address": ""}, {"name": "x", "domain_address": "no domain"}, {"name": "x"},
        {"name": "x", "domain_address": "-a.test"}, {"name": "x", "domain_address": "a" * 64 + ".test"},
        {"name": "x" * 257, "domain_address": "a.test"}, {"name": "x", "domain_address": "127.0.0.1"},
    ):
        assert failure(domains.create, bad, signer=signer).status_code == 400, bad
    made = domains.create({"name": "x", "domain_address": "a.example.test"}, signer=signer).data
    for bad in ({"type": "nonsense"}, {"type": ""}, {}):
        assert failure(domains.get_info, made.id, bad, signer=signer).status_code == 400, bad
        assert failure(domains.verify, made.id, bad, signer=signer).status_code == 400, bad


def test_from_nothing_to_the_first_send(house):
    """Row 002-70: every record as the server asks for it, published, verified, and then mail goes both ways."""
    domains, signer = house.sdk.domains, house.signer
    made = domains.create({"name": "Real", "domain_address": "real.example.test"}, signer=signer).data
    house.api.refused("POST", "/v3/connect/custom", {"provider": "nylas", "settings": {"email": "a@real.example.test"}}, text="domain")
    for kind in TYPES:
        before = domains.verify(made.id, {"type": kind}, signer=signer).data
        assert getattr(domains.find(made.id, signer=signer).data, f"verified_{kind}") is False, before
        publish(house, "real.example.test", kind)
        assert getattr(domains.find(made.id, signer=signer).data, f"verified_{kind}") is True
    grant = house.api.new_grant("a@real.example.test")["id"]
    house.api.send(grant)
    assert house.receive("a@real.example.test")[0] == 250
    # A record that vanished is believed to be gone when it is missed three times: somebody may be editing the zone.
    house.names.records = {name: [r for r in records if b"v=spf1" not in r[1]] for name, records in house.names.records.items()}
    looks = [house.operator.post(f"/v3/domains/{made.id}/verify", {"type": "spf"}, expect=200) for _ in range(3)]
    assert [look["status"] for look in looks] == ["done", "done", "failed"] and all(look["details"] for look in looks)
    assert domains.find(made.id, signer=signer).data.verified_spf is False
    house.api.send_refused(grant, status=403, text="sender domain is not verified for sending")
    # A domain with mailboxes goes only when it is forced to.
    assert failure(domains.destroy, made.id, signer=signer).status_code == 409


def test_a_wrong_record_is_told_from_none(house):
    signer = house.signer
    made = house.sdk.domains.create({"name": "x", "domain_address": "wrong.example.test"}, signer=signer).data
    none = house.operator.post(f"/v3/domains/{made.id}/verify", {"type": "ownership"}, expect=200)
    wish = house.operator.post(f"/v3/domains/{made.id}/info", {"type": "ownership"}, expect=200)
    assert wish["attempt"]["options"]["value"] in none["message"], "the message says what to publish"
    house.names.publish("wrong.example.test", "TXT", "something else")
    house.names.publish("wrong.example.test", "TXT", wish["attempt"]["options"]["value"] + "x")
    wrong = house.operator.post(f"/v3/domains/{made.id}/verify", {"type": "ownership"}, expect=200)
    assert none["status"] in ("pending", "failed") and wrong["status"] in ("pending", "failed")
    house.names.forget("wrong.example.test")
    house.names.publish("wrong.example.test", "TXT", wish["attempt"]["options"]["value"])
    assert house.operator.post(f"/v3/domains/{made.id}/verify", {"type": "ownership"}, expect=200)["status"] == "done"


def test_unverified_domains_do_not_send(house):
    """Rows 002-58, 000-28: the sender's domain lost its records, or never had all of them."""
    domains, signer = house.sdk.domains, house.signer
    domains.create({"name": "x", "domain_address": "half.example.test"}, signer=signer)
    for kind in ("ownership", "mx"):
        publish(house, "half.example.test", kind)
    grant = house.api.new_grant("a@half.example.test")["id"]
    house.api.send_refused(grant, status=403, text="sender domain is not verified for sending")


def test_signing_keys_are_rotated(house, sink):
    """The old keys sign until the new ones were found in the DNS, and the new ones from then on."""
    house.sdk.domains.create({"name": "x", "domain_address": "keys.example.test"}, signer=house.signer)
    for kind in REQUIRED:
        publish(house, "keys.example.test", kind)
    grant = house.api.new_grant("a@keys.example.test")["id"]

    def signed_by():
        before = len(sink.taken)
        house.api.send(grant)
        wait_until("the mail", lambda: len(sink.taken) > before)
        return set(re.findall(rb"[;\s]s=([^;\s]+)", b"".join(re.findall(rb"DKIM-Signature:.*?\r\n(?=\S)", sink.taken[-1].raw, re.S))))

    old = signed_by()
    keys = house.operator.post("/v3/domains/keys.example.test/dkim-keys", {})
    no_secret(keys, "PRIVATE KEY")
    new = {key["selector"].encode() for key in keys if key["state"] == "next"}
    assert len(old) == len(new) == 2 and not old & new and {key["algorithm"] for key in keys} == {"rsa-sha256", "ed25519-sha256"}
    assert signed_by() == old, "nobody can verify the new keys yet"
    for key in keys:
        house.names.publish(f"{key['host']}.keys.example.test", "TXT", key["value"])
    assert house.operator.post("/v3/domains/keys.example.test/verify", {"type": "dkim"}, expect=200)["status"] == "done"
    assert signed_by() == new


def test_the_zone_has_all_that_is_to_be_published(house):
    made = house.operator.post("/v3/domains", {"name": "x", "domain_address": "zone.example.test"}, expect=200)
    status, headers, zone = house.operator.call("GET", f"/v3/domains/{made['id']}/zone")
    text = zone.decode()
    assert status == 200 and headers.get_content_type() == "text/plain"
    for record in made["records"]:
        assert record["fqdn"].rstrip(".") + "." in text and record["kind"] in text, record
        pieces = text.replace('" "', "")
        assert record["value"] in pieces or record["value"].rstrip(".") in pieces, record
    assert {record["type"] for record in made["records"]} >= set(TYPES)


def test_both_prefixes_and_both_credentials(house):
    """The older prefix with a signature, the newer one with a bearer key: four ways to the same domain."""
    made = house.operator.post("/v3/domains", {"name": "x", "domain_address": "ways.example.test"}, expect=200)
    no_key = Key(house.server, "")
    for prefix in ("/v3/domains", "/v3/admin/domains"):
        path = f"{prefix}/{made['id']}"
        assert house.operator.get(path) == made
        headers, _ = house.signer.build_headers("GET", path)
        assert no_key.ask("GET", path, headers=headers | {"Authorization": None})["data"] == made
    # A key of an application is not enough.
    house.api.refused("GET", "/v3/admin/domains", status=403)
    house.api.refused("POST", "/v3/domains", {"name": "x", "domain_address": "y.example.test"}, status=403)


def signed(house, method, path, body=None, signer=None, **times):
    """One signed request, with the octets that were signed; status and answer."""
    headers, octets = (signer or house.signer).build_headers(method, path, body, **times)
    return send(house, method, path, octets, headers)


def send(house, method, path, octets, headers):
    sent = {"Authorization": None, **({"Content-Type": "application/json"} if octets else {}), **headers}
    status, _, answer = Key(house.server, "").call(method, path, octets, headers=sent)
    return status, answer


def test_what_a_signature_is_good_for(house):
    path = "/v3/admin/domains"
    body = {"name": "b", "domain_address": "signed.example.test", "more": {"z": [1, 2.5, None], "a": "ü\u2028\"\\/"}}
    assert signed(house, "POST", path, body)[0] == 200
    assert signed(house, "GET", path)[0] == 200
    # The query is not signed, escaped paths are signed as they are sent.
    headers, _ = house.signer.build_headers("GET", path)
    assert send(house, "GET", path + "?limit=1", None, headers)[0] == 200
    assert signed(house, "GET", path + "/signed%2Eexample.test")[0] == 200
    now = int(time.time())
    assert signed(house, "GET", path, timestamp=now - 240)[0] == signed(house, "GET", path, timestamp=now + 240)[0] == 200
    for stale in (now - 400, now + 400, 0):
        assert signed(house, "GET", path, timestamp=stale)[0] == 401, stale
    # A nonce is good once, whatever else is signed with it.
    assert signed(house, "GET", path, nonce="N" * 20)[0] == 200
    assert signed(house, "GET", path, nonce="N" * 20)[0] == 401
    assert signed(house, "GET", path, nonce="N" * 20, timestamp=now - 5)[0] == 401


def test_what_a_signature_is_not_good_for(house):
    path = "/v3/admin/domains"
    body = {"name": "n", "domain_address": "never.example.test"}
    headers, octets = house.signer.build_headers("POST", path, body)
    changed = octets.replace(b"never", b"other")
    assert send(house, "POST", path, changed, headers)[0] == 401, "another body"
    headers, octets = house.signer.build_headers("POST", path, body)
    assert send(house, "POST", "/v3/domains", octets, headers)[0] == 401, "another path"
    headers, _ = house.signer.build_headers("GET", path)
    assert send(house, "POST", path, octets, headers)[0] == 401, "another method"
    for name in ("X-Nylas-Kid", "X-Nylas-Nonce", "X-Nylas-Timestamp", "X-Nylas-Signature"):
        headers, _ = house.signer.build_headers("GET", path)
        assert send(house, "GET", path, None, headers | {name: None})[0] == 401, f"without {name}"
        headers, _ = house.signer.build_headers("GET", path)
        for bad in ("nonsense", "x" * 10_000):
            assert send(house, "GET", path, None, headers | {name: bad})[0] in (400, 401, 431), f"{name}: {bad[:20]}"
    headers, _ = house.signer.build_headers("GET", path)
    forged = bytearray(base64.b64decode(headers["X-Nylas-Signature"]))
    forged[0] ^= 1
    assert send(house, "GET", path, None, headers | {"X-Nylas-Signature": base64.b64encode(forged).decode()})[0] == 401
    listed = [one["domain_address"] for one in house.operator.get(path)]
    assert "never.example.test" not in listed and "other.example.test" not in listed


def test_a_service_account_ends(house):
    account = house.operator.get("/v3/admin/service-accounts")
    (one,) = [one for one in account if house.file["private_key_id"] in str(one)]
    house.operator.delete(f"/v3/admin/service-accounts/{one['id']}")
    assert signed(house, "GET", "/v3/admin/domains")[0] == 401


def test_an_organization_sees_its_own_domains(house):
    other = house.second_organization()
    operator = house.key(other["operator_key"])
    made = house.operator.post("/v3/domains", {"name": "x", "domain_address": "mine.example.test"}, expect=200)
    for path in (f"/v3/domains/{made['id']}", "/v3/domains/mine.example.test"):
        operator.refused("GET", path, status=404)
        operator.refused("DELETE", path, status=404)
    # Nobody can have a domain twice.
    operator.refused("POST", "/v3/domains", {"name": "x", "domain_address": "mine.example.test"}, status=409, text="already exists")
    assert operator.get("/v3/domains") == []
    assert house.operator.get(f"/v3/domains/{made['id']}") == made
