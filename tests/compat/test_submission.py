"""Mail clients: every way in and every refusal of SMTP submission, by swaks and by Python's smtplib, and the same mailbox
through the interface."""

import base64
import re
import smtplib
import sqlite3
import ssl
import subprocess
from email.message import EmailMessage
from types import SimpleNamespace

import pytest

from fleet import MIB
from harness import program, wait_until

PASSWORD = "Correct-Horse-Battery-9"
SIGNED_IN = "235 2.7.0"


@pytest.fixture
def house(fleets, sink):
    return open_house(fleets, sink)


def open_house(fleets, sink, **wishes):
    """An installation with one mailbox that has a password."""
    fleet = fleets(**wishes)
    fleet.email = fleet.address()
    fleet.grant = fleet.api.new_grant(fleet.email, settings={"app_password": PASSWORD})["id"]
    fleet.sink, fleet.seen = sink, len(sink.taken)
    return fleet


def swaks(house, *more, user=None, password=PASSWORD, tls="--tls", mechanism="PLAIN", to="someone@people.test", sender=None, header_from=None):
    """Runs swaks; the last line of each reply, and whether it was content. It tries one mechanism, or a wrong guess would be
    two."""
    user = user or house.email
    port = house.server.submissions_port if tls == "--tls-on-connect" else house.server.submission_port
    command = [program("swaks", "swaks"), "--server", "127.0.0.1", "--port", str(port), "--helo", "laptop.test"]
    command += ["--timeout", "60", "--from", sender or house.email, "--to", to, "--h-From", header_from or f"<{house.email}>"]
    command += [tls] if tls else []
    command += ["--auth", mechanism, "--auth-user", user, "--auth-password", password] if password else []
    done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=120)
    replies = re.findall(r"^<[~*-][ *~]+ (\d{3}[ ].*)$", done.stdout, re.M)
    assert replies, done.stdout + done.stderr
    return SimpleNamespace(replies=replies, ok=done.returncode == 0, text=done.stdout + done.stderr)


def says(result, reply):
    """Insists that the server said so."""
    assert any(said.startswith(reply) for said in result.replies), f"no {reply}: {result.text[-3_000:]}"
    return result


def refused(house, reply, *more, **wishes):
    """Insists on a refusal, after which nothing is in Sent."""
    result = says(swaks(house, *more, **wishes), reply)
    assert not result.ok, result.text
    assert house.api.get(f"/v3/grants/{house.grant}/messages?in=sent") == []


def arrived(house, count=1):
    """The messages that reached the world outside since the last look."""
    wait_until("mail at the other server", lambda: len(house.sink.taken) >= house.seen + count)
    taken = house.sink.taken[house.seen :]
    house.seen += len(taken)
    return taken


def trusting():
    """The server's certificate is its own."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def over_tls(house):
    return smtplib.SMTP_SSL("127.0.0.1", house.server.submissions_port, local_hostname="laptop.test", timeout=60, context=trusting())


def message(house, to="someone@people.test", subject="Hello", text="Hi", **headers):
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = house.email, to, subject
    for name, value in headers.items():
        made[name.replace("_", "-")] = value
    made.set_content(text)
    return made


@pytest.mark.parametrize("tls", ["--tls", "--tls-on-connect"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_both_ports_and_both_mechanisms(house, tls, mechanism):
    tag = f"{mechanism} {tls}"
    result = says(swaks(house, "--header", f"Subject: {tag}", tls=tls, mechanism=mechanism), SIGNED_IN)
    assert result.ok, result.text
    (accepted,) = [reply for reply in result.replies if "accepted as" in reply]
    (sent,) = house.api.get(f"/v3/grants/{house.grant}/messages?in=sent")
    assert sent["subject"] == tag and sent["folders"] == ["sent"] and accepted.endswith(sent["id"])
    (taken,) = arrived(house)
    assert taken.recipients == ["someone@people.test"]
    head = taken.raw.split(b"\r\n\r\n")[0].decode()
    assert f"Received: by mx.agents.test with ESMTPSA id {sent['id']};" in head and "DKIM-Signature:" in head
    assert "laptop.test" not in head.replace("swaks", ""), f"where the client is: {head}"


def test_what_is_offered(house):
    with smtplib.SMTP("127.0.0.1", house.server.submission_port, timeout=60) as client:
        client.ehlo()
        assert client.has_extn("starttls") and not client.has_extn("auth") and not client.has_extn("smtputf8")
        client.starttls(context=trusting())
        client.ehlo()
        assert client.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"] and not client.has_extn("starttls")
        offered = {"pipelining", "size", "8bitmime", "enhancedstatuscodes", "chunking", "auth"}
        assert set(client.esmtp_features) == offered and int(client.esmtp_features["size"]) == 25 * MIB - 1024


def test_a_wrong_password_looks_like_an_unknown_address(house):
    for wishes in ({"password": PASSWORD + "x"}, {"user": "nobody@agents.test"}, {"user": "nobody"}):
        refused(house, "535 5.7.8 sign-in failed, check the address and the password", **wishes)
    other = house.api.new_grant(house.address())["email"]
    refused(house, "535 5.7.8", user=other)


def test_no_password_and_no_mail_without_tls(house):
    refused(house, "530 5.7.0", tls=None, password=None)
    with smtplib.SMTP("127.0.0.1", house.server.submission_port, timeout=60) as client:
        client.ehlo()
        shown = base64.b64encode(f"\0{house.email}\0{PASSWORD}".encode()).decode()
        assert client.docmd("AUTH", f"PLAIN {shown}")[0] == 538
        assert client.docmd("AUTH", "LOGIN")[0] == 538


def test_no_mail_without_signing_in(house):
    refused(house, "530 5.7.0", password=None)
    refused(house, "530 5.7.0", password=None, tls="--tls-on-connect")


def test_nobody_sends_as_somebody_else(house):
    other = house.api.new_grant(house.address())["email"]
    refused(house, "553 5.7.1", sender=other)
    refused(house, "553 5.7.1", sender="<>")
    refused(house, "550 5.7.1", header_from=f"<{other}>")
    refused(house, "550 5.7.1", header_from=f"<{house.email}>, <{other}>")
    refused(house, "554 5.6.0", "--header", f"Sender: {other}")
    assert swaks(house, sender=house.email.upper(), header_from=f"Agent <{house.email.upper()}>").ok


def test_bcc_is_blind(house):
    to = "someone@people.test,hidden@people.test,unnamed@people.test"
    assert swaks(house, "--h-To", "someone@people.test", "--header", "Bcc: hidden@people.test", to=to).ok
    (taken,) = arrived(house)
    assert sorted(taken.recipients) == ["hidden@people.test", "someone@people.test", "unnamed@people.test"]
    # Anything may stand in the letters of a signature.
    assert not re.search(rb"^bcc:|hidden@|unnamed@", taken.raw, re.I | re.M), taken.raw
    (sent,) = house.api.get(f"/v3/grants/{house.grant}/messages?in=sent")
    assert [person["email"] for person in sent["to"]] == ["someone@people.test"]
    assert [person["email"] for person in sent["bcc"]] == ["hidden@people.test", "unnamed@people.test"]


def test_fifty_recipients_and_no_more(house):
    many = [f"someone{number}@people.test" for number in range(51)]
    result = says(swaks(house, to=",".join(many)), "452 4.5.3")
    assert sum("2.1.5" in reply for reply in result.replies) == 50, result.text
    with over_tls(house) as client:
        client.login(house.email, PASSWORD)
        before = len(house.api.get(f"/v3/grants/{house.grant}/messages?in=sent&limit=200"))
        assert list(client.send_message(message(house), to_addrs=many)) == many[50:]
        assert len(house.api.get(f"/v3/grants/{house.grant}/messages?in=sent&limit=200")) == before + 1


def test_too_large(house, tmp_path):
    with over_tls(house) as client:
        client.login(house.email, PASSWORD)
        limit = int(client.esmtp_features["size"])
        assert client.docmd("MAIL", f"FROM:<{house.email}> SIZE={limit + 1}")[0] == 552
        assert client.docmd("MAIL", f"FROM:<{house.email}> SIZE={limit}")[0] == 250
    (tmp_path / "large.bin").write_bytes(bytes(20 * MIB))
    refused(house, "552 5.3.4", "--attach", f"@{tmp_path / 'large.bin'}")


def test_the_daily_quota_is_that_of_the_interface(house):
    house.api.patch(f"/v3/workspaces/{house.default_workspace}", {"policy_id": house.api.new_policy(limit_count_daily_email_sent=3)["id"]})
    assert swaks(house).ok
    house.api.send(house.grant)
    assert swaks(house).ok
    says(swaks(house), "451 4.7.1 daily send quota of 3 messages is used up until 00:00 UTC")
    house.api.over_quota(house.grant, 3)
    assert len(house.api.get(f"/v3/grants/{house.grant}/messages?in=sent")) == 3


def test_a_rule_sees_the_envelope(house):
    conditions = [{"field": "recipient.domain", "operator": "is", "value": "forbidden.test"}]
    wish = {"name": "No", "trigger": "outbound", "match": {"conditions": conditions}, "actions": [{"type": "block"}]}
    rule = house.api.post("/v3/rules", wish)["id"]
    house.api.patch(f"/v3/workspaces/{house.default_workspace}", {"rule_ids": [rule]})
    to = "someone@people.test,someone@forbidden.test"
    refused(house, "550 5.7.1", "--h-To", "someone@people.test", to=to)
    (record,) = house.api.get(f"/v3/grants/{house.grant}/rule-evaluations")
    assert record["applied_actions"] == {"blocked": True} and record["matched_rule_ids"] == [rule]
    assert record["evaluation_input"]["recipient_domains"] == ["people.test", "forbidden.test"]
    # What the header alone names gets nothing and is not judged.
    assert swaks(house, "--h-To", "someone@forbidden.test").ok


def test_an_unverified_domain_does_not_send(fleets, sink):
    house = open_house(fleets, sink)
    house.stop()
    with sqlite3.connect(house.server.data / "postfleet.db") as database:
        assert database.execute("UPDATE domains SET verified_at = NULL").rowcount == 1
    database.close()
    house.start()
    refused(house, "550 5.7.1 sender domain is not verified for sending")


def test_a_new_password_ends_open_sessions(house):
    with over_tls(house) as client:
        client.login(house.email, PASSWORD)
        client.send_message(message(house))
        house.api.patch(f"/v3/grants/{house.grant}", {"settings": {"email": house.email, "app_password": PASSWORD + "x"}})
        code, text = client.docmd("MAIL", f"FROM:<{house.email}>")
        assert code == 421 and text.startswith(b"4.7.0"), (code, text)
    assert says(swaks(house), "535 5.7.8") and says(swaks(house, password=PASSWORD + "x"), SIGNED_IN).ok
    house.api.patch(f"/v3/grants/{house.grant}", {"settings": {"app_password": None}})
    says(swaks(house, password=PASSWORD + "x"), "535 5.7.8")


def test_guessing_is_slowed_down(house):
    for _ in range(5):
        says(swaks(house, password="Guess-" + PASSWORD), "535 5.7.8")
    says(swaks(house), "454 4.7.0 too many failed sign-ins, try again later")
    # One connection has three attempts, whatever became of them.
    with over_tls(house) as client:
        client.ehlo()
        shown = base64.b64encode(f"\0{house.email}\0{PASSWORD}".encode()).decode()
        assert [client.docmd("AUTH", f"PLAIN {shown}")[0] for _ in range(3)] == [454, 454, 454]
        assert client.getreply()[0] == 421
    assert "Guess-" not in house.server.log.read_text() and PASSWORD not in house.server.log.read_text()


def test_one_mailbox_from_both_sides(house):
    """What smtplib sends is answered from outside, read through the interface, and answered by smtplib again."""
    with smtplib.SMTP("127.0.0.1", house.server.submission_port, timeout=60) as client:
        client.starttls(context=trusting())
        client.login(house.email, PASSWORD)
        first = message(house, subject="Opening hours", Message_ID="<first@laptop.test>")
        first.add_attachment(b"\x00\x01" * 5_000, maintype="application", subtype="octet-stream", filename="hours.bin")
        client.send_message(first)
        (taken,) = arrived(house)
        assert b"Message-ID: <first@laptop.test>" in taken.raw, "a client's own identifier is kept"
        (sent,) = house.api.get(f"/v3/grants/{house.grant}/messages?in=sent")
        assert [file["filename"] for file in sent["attachments"]] == ["hours.bin"] and not sent["unread"]

        answer = "From: someone@people.test\r\nSubject: Re: Opening hours\r\nMessage-ID: <answer@people.test>\r\n"
        answer += "In-Reply-To: <first@laptop.test>\r\n\r\nFrom 9 to 17.\r\n"
        assert house.receive_raw(house.email, answer.encode())[0] == 250
        (received,) = house.api.get(f"/v3/grants/{house.grant}/messages?in=inbox")
        assert received["thread_id"] == sent["thread_id"]

        client.send_message(message(house, subject="Re: Opening hours", In_Reply_To="<answer@people.test>", text="Grüße"))
        (reply, _) = house.api.get(f"/v3/grants/{house.grant}/messages?in=sent")
        assert reply["thread_id"] == sent["thread_id"] and "Grüße" in reply["body"]
    sender = house.api.send(house.grant, to=[{"email": house.email}], subject="To myself")
    assert sender
    house.ends_well()
