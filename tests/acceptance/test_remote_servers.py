"""Delivery to servers that others wrote: aiosmtpd in its manners, and Postfix. What arrives is what was sent."""

import base64
import email
import email.policy

import pytest

from harness import Missing, Postfix, wait_until

# Dots that begin lines, a line longer than SMTP allows, characters of all kinds, and an attachment of all octets.
BODY = "<p>.</p>\n.\n..\n.dots\n" + "long " * 500 + "\n<p>Grüße, 你好, \U0001f600</p>\n"
OCTETS = bytes(range(256)) * 40
ATTACHMENT = {
    "filename": "Prüfung.bin",
    "content_type": "application/octet-stream",
    "content": base64.b64encode(OCTETS).decode(),
}


@pytest.fixture
def server(internet):
    """For the log of a test that failed."""
    return internet.server


def check(message, sender, people, subject):
    """That a message is the one that was sent."""
    assert max(map(len, message.split(b"\r\n"))) <= 998 and not [line for line in message.split(b"\r\n") if b"\n" in line or b"\r" in line]
    parsed = email.message_from_bytes(message, policy=email.policy.default)
    assert not parsed.defects
    assert (str(parsed["From"]), str(parsed["Subject"])) == (sender.box, subject)
    assert [address.addr_spec for address in parsed["To"].addresses] == people
    html = parsed.get_body(("html",)).get_content()
    assert html.replace("\r\n", "\n").strip() == BODY.strip()
    (attachment,) = parsed.iter_attachments()
    assert (attachment.get_filename(), attachment.get_content()) == (ATTACHMENT["filename"], OCTETS)


def stored(sent):
    """The source of the sent copy."""
    path = f"/v3/grants/{sent.sender.grant}/messages/{sent.id}?fields=raw_mime"
    raw = sent.internet.api.call("GET", path)[2]["data"]["raw_mime"]
    return base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4))


# aiosmtpd ------------------------------------------------------------------------------------------------------------


class Keeper:
    """A handler of aiosmtpd that keeps what comes, and answers as it is told: with a reply, or by failing."""

    def __init__(self, by_recipient=None, by_message=None):
        self.by_recipient, self.by_message = by_recipient or {}, by_message or []
        self.kept = []

    def play(self, answer):
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def handle_RCPT(self, server, session, envelope, address, options):
        answer = self.play(self.by_recipient.get(address.split("@")[0], "250 2.1.5 ok"))
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
        return answer

    async def handle_DATA(self, server, session, envelope):
        answer = self.play(self.by_message.pop(0) if self.by_message else "250 2.0.0 kept")
        if answer.startswith("250"):
            self.kept.append((envelope, session.ssl is not None))
        return answer


@pytest.fixture
def aiosmtpd(internet):
    """Starts servers; tells the domain of each."""
    try:
        from aiosmtpd.controller import Controller
    except ImportError:
        raise Missing("aiosmtpd is not installed (pip package aiosmtpd)") from None
    running = []

    def start(handler, factory=None, **manner):
        domain, address = internet.domain(), internet.address()
        internet.names.host(domain, (f"mx.{domain}", address))
        if "tls" in manner:
            manner["tls_context"] = internet.authority.context(f"mx.{domain}", **manner.pop("tls"))
        controller = Controller(handler, hostname=address, port=internet.port, **manner)
        if factory is not None:
            controller.factory = lambda: factory(handler)
        controller.start()
        running.append(controller)
        return domain

    yield start
    for controller in running:
        controller.stop()


@pytest.mark.parametrize("manner", [{}, {"tls": {}}, {"tls": {}, "require_starttls": True}], ids=["plain", "STARTTLS", "STARTTLS or nothing"])
def test_aiosmtpd_has_what_was_sent(internet, server, aiosmtpd, manner):
    keeper, sender = Keeper(), internet.sender()
    domain = aiosmtpd(keeper, **manner)
    people = [f"{name}@{domain}" for name in ("ada", "grace", "linus")]
    sent = sender.send(*people, subject="Grüße ✓", body=BODY, attachments=[ATTACHMENT])
    (attempt,) = sent.done()["attempts"]
    assert (attempt["tls"] is not None) == ("tls" in manner)
    ((envelope, is_encrypted),) = keeper.kept
    assert envelope.rcpt_tos == people and is_encrypted == ("tls" in manner)
    assert envelope.mail_from.startswith("b-") and envelope.mail_from.endswith("@agents.test")
    check(envelope.content, sender, people, "Grüße ✓")
    # What is stored is what went, below the signatures.
    head = envelope.content[: -len(stored(sent))]
    assert envelope.content.endswith(stored(sent)) and head.startswith(b"DKIM-Signature:")
    assert len(sent.announced(3)) == 3 and sender.inbox() == []


def test_each_recipient_of_aiosmtpd_has_its_answer(internet, server, aiosmtpd):
    """Refusals, and a handler that fails: it says 500, which is final."""
    keeper = Keeper({"gone": "550 5.1.1 no such user", "broken": RuntimeError("boom")})
    domain, sender = aiosmtpd(keeper), internet.sender()
    gone, broken, fine = (f"{name}@{domain}" for name in ("gone", "broken", "fine"))
    sent = sender.send(gone, broken, fine)
    states = {one["email"]: one["state"] for one in sent.done()["recipients"]}
    assert states == {gone: "bounced", broken: "bounced", fine: "delivered"}
    assert [envelope.rcpt_tos for envelope, _ in keeper.kept] == [[fine]]
    types = {
        about["bounce"]["recipients"][0]["email"]: about["bounce"]["bounce_class"]
        for trigger, about in sent.announced(3)
        if trigger == "message.bounced"
    }
    # A server that is broken says nothing about the address.
    assert types[gone] == "hard" and types[broken] != "hard"
    _, reports = sent.notice()
    assert set(reports) == {gone, broken}
    assert "boom" in reports[broken]["Diagnostic-Code"]


def test_aiosmtpd_puts_off_and_takes_later(internet, server, aiosmtpd):
    keeper = Keeper(by_message=["451 4.3.0 not now", "452 4.2.2 mailbox full"])
    domain, sender = aiosmtpd(keeper), internet.sender()
    sent = sender.send(f"ada@{domain}", body=BODY)
    for times, (code, klass) in enumerate([(451, "other"), (452, "mailbox_full")], 1):
        sent.attempted(times)
        answer = sent.answer()
        assert (answer["code"], answer["class"], answer["result"]) == (code, klass, "deferred")
        sent.retry()
    sent.done()
    assert len(keeper.kept) == 1 and sender.inbox() == []


def test_names_beyond_ascii(internet, server, aiosmtpd):
    """A domain goes in its ASCII form, which every server can read. A local part has none, and is refused at once."""
    keeper = Keeper()
    domain, sender = aiosmtpd(keeper), internet.sender()
    ascii_domain = f"xn--bcher-kva.{domain}"
    internet.names.add(ascii_domain, "MX", f"10 mx.{domain}.")
    sent = sender.send(f"ada@bücher.{domain}")
    assert sent.done()["recipients"][0]["state"] == "delivered"
    ((envelope, _),) = keeper.kept
    assert envelope.rcpt_tos == [f"ada@{ascii_domain}"] and envelope.content.isascii()
    parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert [address.addr_spec for address in parsed["To"].addresses] == [f"ada@{ascii_domain}"]
    message = {"to": [{"email": f"grüße@{domain}"}], "subject": "Hello", "body": "x"}
    status, _, answer = internet.api.call("POST", f"/v3/grants/{sender.grant}/messages/send", message)
    assert (status, answer["error"]["field"]) == (400, "to[0].email")


def test_a_server_of_another_protocol_gets_nothing(internet, server, aiosmtpd):
    """LMTP at the port of SMTP: it knows neither EHLO nor HELO, and mail waits until somebody mends that."""
    from aiosmtpd.lmtp import LMTP

    keeper = Keeper()
    domain, sender = aiosmtpd(keeper, factory=LMTP), internet.sender()
    sent = sender.send(f"ada@{domain}")
    sent.attempted()
    answer = sent.answer()
    assert (answer["result"], answer["code"], keeper.kept) == ("deferred", 500, [])
    assert answer["reply_lines"][0].startswith("HELO: server said 500") and sender.inbox() == []


# Postfix -------------------------------------------------------------------------------------------------------------

PEOPLE = ["ada", "grace", "linus", "later"]


@pytest.fixture(scope="module")
def postfix(internet, folder):
    """A Postfix for people.test, with TLS, a taste in subjects and a limit."""
    postfix = Postfix(folder / "postfix", PEOPLE)
    checks = folder / "checks"
    checks.write_text("/^Subject: Buy now/ REJECT we do not buy\n")
    context = internet.authority.context("mx.people.test")
    checks.chmod(0o644)
    postfix.configure(
        header_checks=f"regexp:{checks}",
        message_size_limit=200_000,
        smtpd_tls_security_level="may",
        smtpd_tls_chain_files=context.path,
    )
    postfix.answer({"later@people.test": "450 4.2.0 Greylisted, see you"})
    postfix.start()
    route = {"route": postfix.address}
    status, _, answer = internet.operator.call("PATCH", "/v3/admin/destinations/people.test", route)
    assert status == 200, answer
    yield postfix
    postfix.stop()


def test_postfix_has_what_was_sent(internet, server, postfix):
    sender = internet.sender()
    people = [f"{name}@people.test" for name in ("ada", "grace", "linus")]
    sent = sender.send(*people, subject="Grüße", body=BODY, attachments=[ATTACHMENT])
    (attempt,) = sent.done()["attempts"]
    assert attempt["tls"].startswith("TLSv1.3") and attempt["answers"][0]["recipients"] == people
    ids = set()
    for name in ("ada", "grace", "linus"):
        (taken,) = wait_until(f"the mail of {name}", lambda: postfix.mail_of(name))
        # In a Maildir lines end with LF, below the fields that Postfix adds.
        assert taken.endswith(stored(sent).replace(b"\r\n", b"\n"))
        source = taken.replace(b"\n", b"\r\n")
        check(source, sender, people, "Grüße")
        ids.add(email.message_from_bytes(taken)["Received"].split(" id ")[1].split()[0])
    assert len(ids) == 1, "one transaction for all three"


# To whom, subject, octets of the body, code, status, type.
REFUSED = [
    ("nobody", "Hello", 10, 550, "5.1.1", "UnknownUser"),
    ("ada", "Buy now", 10, 550, "5.7.1", None),
    ("ada", "Hello", 300_000, 552, "5.3.4", "MessageTooLarge"),
]


@pytest.mark.parametrize("name, subject, octets, code, status, kind", REFUSED, ids=[f"{row[3]} {row[4]}" for row in REFUSED])
def test_what_postfix_refuses_comes_back(internet, server, postfix, name, subject, octets, code, status, kind):
    sender, to = internet.sender(), f"{name}@people.test"
    before = len(postfix.mail_of("ada"))
    sent = sender.send(to, subject=subject, body="x" * octets)
    (answer,) = sent.done()["attempts"][0]["answers"]
    assert (answer["result"], answer["code"], answer["status"]) == ("refused", code, status)
    ((trigger, about),) = sent.announced(1)
    assert trigger == "message.bounced" and about["bounce"]["type"] == (kind or about["bounce"]["type"])
    assert (about["bounce"]["bounce_class"] == "hard") == (kind == "UnknownUser")
    _, reports = sent.notice()
    assert reports[to]["Status"] == status and len(postfix.mail_of("ada")) == before


def test_what_postfix_puts_off_comes_again(internet, server, postfix):
    """For one of two recipients, and in the words of a greylisting policy."""
    later, ada = "later@people.test", "ada@people.test"
    sender, before = internet.sender(), len(postfix.mail_of("ada"))
    sent = sender.send(later, ada)
    life = sent.attempted()
    answers = {one["recipients"][0]: one for one in life["attempts"][0]["answers"]}
    assert (answers[later]["class"], answers[later]["code"]) == ("greylisted", 450)
    assert answers[ada]["result"] == "delivered" and sender.inbox() == []
    postfix.stop()
    postfix.answer({})
    postfix.start()
    sent.retry()
    sent.done()
    wait_until("the mail", lambda: postfix.mail_of("later"))
    wait_until("the other mail", lambda: len(postfix.mail_of("ada")) > before)
    assert (len(postfix.mail_of("later")), len(postfix.mail_of("ada"))) == (1, before + 1)
    assert [trigger for trigger, _ in sent.announced(2)] == ["message.delivered"] * 2


def test_a_postfix_that_was_away_gets_its_mail(internet, server, postfix):
    before = len(postfix.mail_of("ada"))
    postfix.stop()
    sent = internet.sender().send("ada@people.test")
    sent.attempted()
    answer = sent.answer()
    assert (answer["result"], answer["class"]) == ("deferred", "unreachable") and "refused" in answer["reply_lines"][0]
    postfix.start()
    sent.retry()
    sent.done()
    wait_until("the mail", lambda: len(postfix.mail_of("ada")) > before)
    assert len(postfix.mail_of("ada")) == before + 1
