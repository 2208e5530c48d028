"""Delivery to servers that answer anything at any stage: what becomes of the message, what the queue tells of it, what is
announced, when it comes again, and what its sender sees."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness import free_port, wait_until
from remote import Internet
from scripted import Drip, Drop, Flood, Hold, Reset, Say, reply

MIB = 1 << 20
# More than the sockets hold between us.
LARGE = int(Path("/proc/sys/net/ipv4/tcp_wmem").read_text().split()[2]) + 2 * MIB


@pytest.fixture
def server(internet):
    """For the log of a test that failed."""
    return internet.server


def source(box, recipients, octets):
    """A message of about so many octets, in 7 bits or in 8."""
    head = f"From: {box}\r\nTo: {', '.join(recipients)}\r\nSubject: Much\r\nMIME-Version: 1.0\r\n\r\n"
    return head.encode() + (b"0123456789" * 7 + b"\r\n") * (octets // 72)


# What is not final ---------------------------------------------------------------------------------------------------


@dataclass
class Later:
    """What happens at first, and what the queue tells of it."""

    name: str
    script: dict
    klass: str
    code: int
    status: str
    # Words of the lines that are kept.
    said: str
    is_ambiguous: bool = False
    # Messages that came to their last dot before the server behaved.
    received: int = 0
    is_large: bool = False
    manner: dict = field(default_factory=dict)


def once(stage, *actions):
    return {stage: [actions]}


def no_answer(stage, action, during, said, **rest):
    """The conversation broke off."""
    return Later(f"{type(action).__name__} at {stage}", once(stage, action), "unreachable", None, "4.4.2", f"{during}: {said}", **rest)


def said_later(stage, line, klass="other", **rest):
    code, status, text = line.split(" ", 2)
    return Later(f"{line[:9]} at {stage}", once(stage, reply(line)), klass, int(code), status, text, **rest)


def nonsense(name, stage, octets, during, said, code=None, **rest):
    """What is no reply, or cannot be one here; then it is for the client to close the connection."""
    klass = "unreachable" if code is None else "other"
    return Later(f"{name} at {stage}", once(stage, Say(octets), Hold()), klass, code, "4.4.2", f"{during}: {said}", **rest)


CLOSED = "connection closed by the server"
TORN = "Connection reset by peer"
LONG = b"x" * MIB
SHORT_OF_TLS = {"certificate": {}}
END = {"is_ambiguous": True, "received": 1}

LATER = [
    # Greylisting, in the ways in which servers put it.
    said_later("RCPT", "451 4.7.1 please come back in a while", "greylisted"),
    said_later("RCPT", "450 4.2.0 Greylisted, see http://postgrey.test/", "greylisted"),
    said_later("DATA", "451 4.7.1 come back later", "greylisted"),
    said_later("end", "451 4.3.0 greylisting in action", "greylisted", received=1),
    # Not now, at each stage.
    said_later("MAIL", "452 4.3.1 insufficient storage"),
    said_later("RCPT", "450 4.2.1 mailbox busy"),
    said_later("RCPT", "452 4.2.2 mailbox full", "mailbox_full"),
    said_later("DATA", "451 4.3.0 local error"),
    said_later("end", "451 4.3.0 queue file write error", received=1),
    # Too much.
    said_later("MAIL", "421 4.7.0 too many messages", "busy"),
    said_later("RCPT", "421 4.7.28 slow down", "busy"),
    said_later("DATA", "421 4.3.2 closing down", "busy"),
    said_later("end", "421 4.3.2 closing down", "busy", received=1),
    said_later("content", "421 4.3.2 closing down", "busy", is_large=True, received=1),
    # No word about the recipients: another server of the domain might have been asked.
    Later("421 at banner", once("banner", reply("421 4.3.2 full house")), "busy", 421, "4.4.2", "greeting: server said 421 4.3.2 full house"),
    Later("554 at banner", once("banner", reply("554 5.7.1 no service for you")), "other", 554, "4.4.2", "greeting: server said 554 5.7.1 no service"),
    Later("421 at EHLO", once("EHLO", reply("421 4.7.0 bad time")), "busy", 421, "4.4.2", "EHLO: server said 421 4.7.0 bad time"),
    Later("450 at EHLO", once("EHLO", reply("450 4.3.0 bad time")), "other", 450, "4.4.2", "EHLO: server said 450 4.3.0 bad time"),
    Later(
        "5xx at EHLO and HELO", {"EHLO": [reply("502 no")], "HELO": [reply("550 5.7.1 nor you")]}, "other", 550, "4.4.2",
        "HELO: server said 550 5.7.1 nor you",
    ),
    # Dropped and torn connections. The one answer that matters is the one to the last dot.
    no_answer("banner", Drop(), "greeting", CLOSED),
    # It may be torn before the client has seen that it stands: then nobody has waited for a greeting.
    no_answer("banner", Reset(), "", TORN),
    no_answer("EHLO", Drop(), "EHLO", CLOSED),
    no_answer("MAIL", Drop(), "MAIL", CLOSED, manner={"offer": ()}),
    no_answer("RCPT", Drop(), "RCPT", CLOSED),
    no_answer("RCPT", Reset(), "RCPT", TORN),
    no_answer("DATA", Drop(), "DATA", CLOSED),
    no_answer("content", Drop(), "message", "", is_large=True),
    no_answer("content", Reset(), "message", "", is_large=True),
    # All of a small message was sent: nobody here can know how much of it was read.
    no_answer("content", Reset(), "end of message", TORN, is_ambiguous=True),
    no_answer("end", Drop(), "end of message", CLOSED, **END),
    no_answer("end", Reset(), "end of message", TORN, **END),
    # What is not a reply.
    nonsense("octets", "banner", b"\x00\xff\xfe\x80\r\n", "greeting", "reply has no valid code"),
    nonsense("HTTP", "banner", b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n", "greeting", "reply has no valid code"),
    nonsense("a code of two digits", "RCPT", b"25 ok\r\n", "RCPT", "reply has no valid code"),
    nonsense("a code of no class", "MAIL", b"999 ok\r\n", "MAIL", "reply has no valid code"),
    nonsense("354", "RCPT", b"354 go on\r\n", "RCPT", "server said 354 go on", 354),
    nonsense("250", "DATA", b"250 ok\r\n", "DATA", "server said 250 ok", 250),
    nonsense("two codes in one reply", "RCPT", b"250-yes\r\n550 no\r\n", "RCPT", "lines of one reply have different codes"),
    nonsense("octets", "end", b"\x00\xff\xfe\r\n", "end of message", "reply has no valid code", **END),
    nonsense("354", "end", b"354 go on\r\n", "end of message", "server said 354 go on", 354, **END),
    # A "yes" to the message before the message.
    nonsense("354 and 250", "DATA", b"354 go on\r\n250 2.0.0 taken\r\n", "message", "server said 250 2.0.0 taken", 250),
    # Enormous ones.
    nonsense("one line of 1 MiB", "banner", b"220 " + LONG + b"\r\n", "greeting", "reply is longer than"),
    nonsense("one line of 1 MiB", "RCPT", b"550 5.1.1 " + LONG + b"\r\n", "RCPT", "reply is longer than"),
    nonsense("one line of 1 MiB", "end", b"550 5.1.1 " + LONG + b"\r\n", "end of message", "reply is longer than", **END),
    nonsense("100,000 lines", "EHLO", b"250-X\r\n" * 100_000 + b"250 X\r\n", "EHLO", "reply is longer than"),
    nonsense("100,000 lines", "RCPT", b"450-4.2.0 no\r\n" * 100_000 + b"450 no\r\n", "RCPT", "reply is longer than"),
    nonsense("100,000 replies", "MAIL", b"250 ok\r\n" * 100_000, "DATA", "server said 250 ok", 250),
    no_answer("banner", Flood(b"x" * 65_536), "greeting", "reply is longer than"),
    no_answer("EHLO", Flood(b"250-X\r\n" * 1_000), "EHLO", "reply is longer than"),
    no_answer("RCPT", Flood(b"250-X\r\n" * 1_000), "RCPT", "reply is longer than"),
    no_answer("end", Flood(b"250-X\r\n" * 1_000), "end of message", "reply is longer than", **END),
    # More in the clear than belongs there, before a handshake (RFC 3207, section 6).
    nonsense("words for later", "STARTTLS", b"220 go\r\n250 injected\r\n", "STARTTLS", "server sent more", manner=SHORT_OF_TLS),
]


def has_received(remote, number):
    """Whether so many messages came to their last dot; what is on its way in may need a moment."""
    wait_until(f"{number} messages", lambda: len(remote.received) >= number)
    return len(remote.received) == number


# By class: seconds until the second attempt.
WAITS = {"unreachable": (45, 60), "greylisted": (225, 300), "mailbox_full": (1350, 1800), "busy": (90, 120), "other": (45, 60)}


@pytest.mark.parametrize("case", LATER, ids=lambda case: case.name)
def test_what_is_not_final_comes_again(internet, server, case):
    remote, sender = internet.remote(case.script, **case.manner), internet.sender()
    to = f"ada@{remote.domain}"
    if case.is_large:
        sent = sender.send_source(source(sender.box, [to], LARGE))
    else:
        sent = sender.send(to)
    life = sent.attempted()
    answer = sent.answer()
    assert (answer["result"], answer["next"]) == ("ambiguous" if case.is_ambiguous else "deferred", "retry"), answer
    assert (answer["class"], answer["code"], answer["status"]) == (case.klass, case.code, case.status), answer
    assert case.said in " ".join(answer["reply_lines"]), answer
    assert sum(map(len, answer["reply_lines"])) <= 500
    soonest, latest = WAITS[case.klass]
    wait = answer["next_attempt_at"] - life["attempts"][0]["at"]
    # It counts from the attempt's end, and both are cut to whole seconds.
    assert soonest - 1 <= wait <= latest + 1 + life["attempts"][0]["duration_ms"] / 1000, wait
    (recipient,) = life["recipients"]
    assert (recipient["email"], recipient["attempts"], recipient["ambiguous"]) == (to, 1, case.is_ambiguous)
    if recipient["state"] == "deferred":
        assert recipient["next_attempt_at"] == answer["next_attempt_at"]
    else:
        # The destination's turn decides, which comes as soon.
        assert recipient["state"] == "waiting" and abs(recipient["next_attempt_at"] - answer["next_attempt_at"]) <= 20
    assert case.said in recipient["last_reply"]
    assert (life["attempts"][0]["server"], life["attempts"][0]["address"]) == (f"mx.{remote.domain}", f"{remote.address}:{remote.port}")
    assert has_received(remote, case.received)
    assert sender.inbox() == [], "what may still arrive is not reported"

    sent.retry()
    life = sent.done()
    assert [attempt["answers"][0]["result"] for attempt in life["attempts"]] == [answer["result"], "delivered"]
    assert (life["recipients"][0]["state"], life["recipients"][0]["ambiguous"]) == ("delivered", case.is_ambiguous)
    assert len(remote.received) == case.received + 1, "once more, and no more"
    assert len({one.raw for one in remote.received}) == 1, "to the octet: receivers recognise the repetition"
    ((trigger, about),) = sent.announced(1)
    assert (trigger, about["delivered"]["recipients"], about["delivered"]["ambiguous"]) == ("message.delivered", [to], case.is_ambiguous)
    assert sender.inbox() == []


STAGES = ["banner", "EHLO", "MAIL", "RCPT", "DATA", "end"]


def test_a_storm_of_refusals_at_each_stage_in_turn(internet, server):
    """One message, and a server that finds something else each time."""
    codes = [421, 450, 451, 452, 450, 451]
    # Each stage refuses once; before its turn comes, those behind it are not asked.
    remote = internet.remote({stage: [reply(f"{code} 4.3.0 not at {stage}")] for stage, code in zip(STAGES, codes)}, offer=())
    sender = internet.sender()
    sent = sender.send(f"ada@{remote.domain}")
    for attempts, (stage, code) in enumerate(zip(STAGES, codes), 1):
        sent.attempted(attempts)
        answer = sent.answer()
        assert (answer["result"], answer["code"]) == ("deferred", code) and f"not at {stage}" in answer["reply_lines"][0]
        assert sender.inbox() == []
        sent.retry()
    sent.done()
    assert sent.answer()["result"] == "delivered"
    # The one that was refused after its end, and the one that was taken.
    assert len(remote.received) == 2
    assert [trigger for trigger, _ in sent.announced(1)] == ["message.delivered"]


# What is final -------------------------------------------------------------------------------------------------------


@dataclass
class Never:
    """A refusal, and how it is told."""

    stage: str
    line: str
    kind: str
    received: int = 0

    @property
    def said(self):
        return self.line.split(" ", 2)


NEVER = [
    Never("MAIL", "550 5.7.1 you are on a block list", "Blocked"),
    Never("MAIL", "552 5.3.4 message too big for me", "MessageTooLarge"),
    Never("RCPT", "550 5.1.1 no such user here", "UnknownUser"),
    Never("RCPT", "552 5.2.2 mailbox full", "MailboxFull"),
    Never("RCPT", "554 5.7.1 relay access denied", "Policy"),
    Never("DATA", "554 5.7.1 not by our policy", "Policy"),
    # It does not wait for the end, and hangs up.
    Never("content", "552 5.3.4 larger than we take", "MessageTooLarge"),
    Never("end", "550 5.7.1 this looks like spam", "ContentRejected", received=1),
]
HARD = {"UnknownUser"}


@pytest.mark.parametrize("case", NEVER, ids=lambda case: f"{case.line[:9]} at {case.stage}")
def test_a_refusal_for_good_is_told_to_the_sender(internet, server, case):
    is_within = case.stage == "content"
    remote, sender = internet.remote({case.stage: (reply(case.line), *([Drop()] if is_within else []))}), internet.sender()
    to = f"ada@{remote.domain}"
    sent = sender.send_source(source(sender.box, [to], LARGE)) if is_within else sender.send(to)
    life = sent.done()
    code, status, text = case.said
    (attempt,) = life["attempts"]
    (answer,) = attempt["answers"]
    assert (answer["result"], answer["next"], answer["next_attempt_at"]) == ("refused", "bounced", None)
    assert (answer["code"], answer["status"], answer["reply_lines"]) == (int(code), status, [text])
    (recipient,) = life["recipients"]
    assert (recipient["state"], recipient["last_reply"]) == ("bounced", case.line)
    assert len(remote.received) == case.received
    ((trigger, about),) = sent.announced(1)
    bounce = about["bounce"]
    assert trigger == "message.bounced" and bounce["status"] == status and not bounce["expired"] and not bounce["ambiguous"]
    assert (bounce["type"], bounce["bounce_class"]) == (case.kind, "hard" if case.kind in HARD else "soft")
    assert bounce["recipients"] == [{"email": to, "diagnostic_code": f"smtp; {case.line}"}]
    words, reports = sent.notice()
    assert case.line in words
    assert (reports[to]["Action"], reports[to]["Status"]) == ("failed", status)
    assert text in reports[to]["Diagnostic-Code"]


def test_three_recipients_have_three_fates(internet, server):
    script = {
        "RCPT gone@{}": reply("550 5.1.1 no such user"),
        "RCPT full@{}": [reply("452 4.2.2 mailbox full")],
    }
    domain = internet.domain()
    remote = internet.remote({stage.format(domain): action for stage, action in script.items()}, domain=domain)
    sender = internet.sender()
    gone, full, fine = (f"{name}@{domain}" for name in ("gone", "full", "fine"))
    sent = sender.send(gone, full, fine)
    life = sent.attempted()
    results = {answer["recipients"][0]: answer["result"] for answer in life["attempts"][0]["answers"]}
    assert results == {gone: "refused", full: "deferred", fine: "delivered"}
    assert [one.recipients for one in remote.received] == [[fine]], "one transaction for all of a domain"
    sent.retry()
    sent.done()
    assert [one.recipients for one in remote.received] == [[fine], [full]]
    told = sent.announced(3)
    delivered = [about["delivered"]["recipients"] for trigger, about in told if trigger == "message.delivered"]
    bounced = [about["bounce"]["recipients"][0]["email"] for trigger, about in told if trigger == "message.bounced"]
    assert (delivered, bounced) == ([[fine], [full]], [gone])
    _, reports = sent.notice()
    assert list(reports) == [gone]


def test_each_recipient_keeps_its_answer_when_the_server_goes_away(internet, server):
    """What was said to one recipient counts, whatever becomes of the others."""
    domain = internet.domain()
    remote = internet.remote({f"RCPT gone@{domain}": reply("550 5.1.1 no such user"), "RCPT": [Drop()]}, domain=domain)
    sender = internet.sender()
    sent = sender.send(f"gone@{domain}", f"ada@{domain}")
    life = sent.attempted()
    results = {answer["recipients"][0]: answer["next"] for answer in life["attempts"][0]["answers"]}
    assert results == {f"gone@{domain}": "bounced", f"ada@{domain}": "retry"}
    sent.retry()
    sent.done()
    assert [one.recipients for one in remote.received] == [[f"ada@{domain}"]]
    assert remote.said("RCPT TO:<GONE") == [f"RCPT TO:<gone@{domain}>"], "it was asked once"
    assert sorted(trigger for trigger, _ in sent.announced(2)) == ["message.bounced", "message.delivered"]


def test_what_a_server_says_is_data(internet, server):
    """Control characters, NUL, octets that are no UTF-8, and lines without end are kept so that they can be shown."""
    wild = b"550-5.1.1 no\x00such\x07 \x1b[31muser\x7f \xff\xfe \xc3\xa9\r\n550-5.1.1 <script>\xe2\x80\xae\x85\r\n"
    remote = internet.remote({"RCPT": Say(wild + b"550 5.1.1 " + b"y" * 1_900 + b"\r\n")})
    sender = internet.sender()
    sent = sender.send(f"ada@{remote.domain}")
    (answer,) = sent.done()["attempts"][0]["answers"]
    assert (answer["result"], answer["code"], answer["status"]) == ("refused", 550, "5.1.1")
    first, second, third = answer["reply_lines"]
    assert first.startswith("no such  ") and "é" in first and "<script>" in second and third == "y" * 500
    everything = "".join([first, second, sent.life()["recipients"][0]["last_reply"]])
    assert not [character for character in everything if ord(character) < 32 or 127 <= ord(character) < 160]
    ((_, about),) = sent.announced(1)
    assert len(about["bounce"]["recipients"][0]["diagnostic_code"]) < 600
    # `notice` looks for control characters itself.
    _, reports = sent.notice()
    assert reports[f"ada@{remote.domain}"]["Status"] == "5.1.1"


@pytest.mark.parametrize("count, octets", [(1, 60_000), (20, 3_000), (1_000, 50)], ids=["long", "many and long", "many"])
def test_a_lengthy_answer_holds_and_is_cut(internet, server, count, octets):
    lines = b"550-5.7.1 " + b"z" * octets + b"\r\n"
    remote = internet.remote({"MAIL": Say(lines * (count - 1) + lines.replace(b"-", b" "))})
    sent = internet.sender().send(f"ada@{remote.domain}")
    (answer,) = sent.done()["attempts"][0]["answers"]
    assert (answer["result"], answer["code"], len(answer["reply_lines"])) == ("refused", 550, min(count, 64))
    assert max(map(len, answer["reply_lines"])) == min(octets, 500)
    assert len(sent.life()["recipients"][0]["last_reply"]) < 40_000
    ((_, about),) = sent.announced(1)
    assert len(about["bounce"]["recipients"][0]["diagnostic_code"]) < 600


# Odd, and well nevertheless ------------------------------------------------------------------------------------------

MERGED = {
    "MAIL": Say(b""),
    "RCPT": Say(b""),
    "DATA": Say(b"250 2.1.0 ok\r\n" + b"250 2.1.5 ok\r\n" * 3 + b"354 go on\r\n"),
}
PIECEMEAL = {
    "banner": Say(b"220-mx\r\n220 ESMTP\r\n", True),
    "EHLO": Say(b"250-mx\r\n250-SIZE 0\r\n250 PIPELINING\r\n", True),
    "MAIL": Say(b"250 2.1.0 ok\r\n", True),
    "RCPT": Say(b"250-2.1.5 ok\r\n250 2.1.5 ok\r\n", True),
    "DATA": Say(b"354 go\r\n", True),
    "end": Say(b"250 2.0.0 ok\r\n", True),
}
NO_TEXT = {"banner": Say(b"220\r\n"), "MAIL": Say(b"250\r\n"), "RCPT": Say(b"250\r\n"), "DATA": Say(b"354\r\n"), "end": Say(b"250\r\n")}
BARE = {"banner": Say(b"220 mx\n"), "EHLO": Say(b"250-mx\n250 PIPELINING\n"), "RCPT": Say(b"250 ok\n"), "end": Say(b"250 ok\n")}

# Name, script, manner, whether it comes encrypted.
WELL = [
    ("HELO where EHLO is unknown", {"EHLO": reply("502 5.5.1 what?")}, {}, False),
    ("all replies in one packet", MERGED, {}, False),
    ("replies octet by octet", PIECEMEAL, {}, False),
    ("replies without text", NO_TEXT, {}, False),
    ("lines that end with LF", BARE, {}, False),
    ("251 and 252 for recipients", {"RCPT": [reply("251 will forward"), reply("252 cannot verify"), reply("250 ok")]}, {}, False),
    ("a yes of 60,000 octets", {"end": Say(b"250 2.0.0 " + b"y" * 60_000 + b"\r\n")}, {}, False),
    ("a yes of 5,000 lines", {"end": Say(b"250-ok\r\n" * 5_000 + b"250 ok\r\n")}, {}, False),
    ("a status that contradicts its code", {"end": reply("250 5.0.0 taken")}, {}, False),
    ("no extensions at all", {}, {"offer": ()}, False),
    ("an offer of nonsense", {}, {"offer": ("SIZE -5", "SIZE", "8BITMIME x", "AUTH", "XYZZY \x01", "=")}, False),
    ("a connection that closes after each message", {"end": (reply("250 ok"), reply("421 bye"), Drop())}, {}, False),
    ("TLS by an unknown authority", {}, {"certificate": {}}, True),
    ("TLS with a certificate of its own", {}, {"certificate": {"is_self_signed": True}}, True),
    ("TLS with a certificate that is over", {}, {"certificate": {"is_over": True}}, True),
    ("TLS with another's certificate", {}, {"certificate": {"host": "somebody.else.test"}}, True),
    ("STARTTLS that is offered and refused", {"STARTTLS": reply("454 4.7.0 not now")}, {"certificate": {}}, False),
    ("STARTTLS that is offered and unknown", {"STARTTLS": reply("502 5.5.1 what?")}, {"certificate": {}}, False),
    ("STARTTLS that ends the connection", {"STARTTLS": Drop()}, {"certificate": {}}, False),
    ("a handshake of nonsense", {"handshake": (Say(b"nonsense\r\n" * 10), Drop())}, {"certificate": {}}, False),
    ("a handshake that ends the connection", {"handshake": Drop()}, {"certificate": {}}, False),
    ("a handshake that is torn", {"handshake": Reset()}, {"certificate": {}}, False),
    ("ciphers of another time", {}, {"certificate": {"is_old": True}}, False),
    ("TLS that wants to see our certificate", {}, {"certificate": {"is_mutual": True}}, False),
]


@pytest.mark.parametrize("name, script, manner, is_encrypted", WELL, ids=[row[0] for row in WELL])
def test_what_is_odd_and_well_is_delivered_at_once(internet, server, name, script, manner, is_encrypted):
    remote = internet.remote(script, **manner)
    sender = internet.sender()
    to = [f"{name}@{remote.domain}" for name in ("ada", "grace", "linus")]
    for number in (1, 2):
        sent = sender.send(*to)
        (attempt,) = sent.done()["attempts"]
        assert {(answer["result"], answer["next"]) for answer in attempt["answers"]} == {("delivered", "delivered")}
        assert len(remote.received) == number and remote.received[-1].recipients == to
        assert (attempt["tls"] or "").startswith("TLSv1.") == is_encrypted, attempt
        assert remote.received[-1].is_encrypted == is_encrypted
        assert {trigger for trigger, _ in sent.announced(3)} == {"message.delivered"}
    assert sender.inbox() == []


def test_the_next_server_is_asked_where_one_says_nothing(internet, server):
    """And not where it has refused: who has answered is not gone around."""
    first, second = internet.remote({"banner": Drop()}), internet.remote()
    domain = internet.domain()
    internet.names.host(domain, (f"mx.{first.domain}", first.address), (f"mx.{second.domain}", second.address))
    sent = internet.sender().send(f"ada@{domain}")
    life = sent.done()
    assert [attempt["answers"][0]["result"] for attempt in life["attempts"]] == ["passed_over", "delivered"]
    assert len(second.received) == 1
    first.script["banner"] = [reply("220 hello")]
    first.script["RCPT"] = [reply("450 4.2.0 not now")]
    sent = internet.sender().send(f"ada@{domain}")
    sent.attempted()
    assert (sent.answer()["result"], len(second.received)) == ("deferred", 1)


# What servers offer --------------------------------------------------------------------------------------------------


def test_a_message_that_a_server_does_not_offer_to_take_is_not_sent(internet, server):
    """Larger than it takes, with 8 bits, or for a name that it cannot read: it is told without being tried."""
    small = internet.remote(offer=("PIPELINING", "SIZE 2000"))
    sender = internet.sender()
    sent = sender.send(f"ada@{small.domain}", body="x" * 3_000)
    answer = sent.done()["attempts"][0]["answers"][0]
    assert (answer["result"], answer["code"], answer["status"]) == ("refused", 552, "5.3.4")
    assert "2000" in answer["reply_lines"][0] and small.said("MAIL") == []
    _, reports = sent.notice()
    assert reports[f"ada@{small.domain}"]["Status"] == "5.3.4"
    assert sent.announced(1)[0][1]["bounce"]["type"] == "MessageTooLarge"

    seven = internet.remote(offer=("PIPELINING",))
    sent = internet.sender()
    head = f"From: {sent.box}\r\nTo: ada@{seven.domain}\r\nSubject: Bits\r\nMIME-Version: 1.0\r\n"
    head += "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    eight_bits = head.encode() + "Grüße\r\n".encode()
    sent = sent.send_source(eight_bits)
    answer = sent.done()["attempts"][0]["answers"][0]
    assert (answer["result"], answer["status"]) == ("refused", "5.6.3") and seven.said("MAIL") == []
    assert sent.announced(1)[0][1]["bounce"]["bounce_class"] == "soft"


@pytest.mark.parametrize("line, kind", [("552 5.3.4 too big after all", "MessageTooLarge"), ("555 5.5.4 no such parameter", "Unsupported")])
def test_an_offer_that_is_taken_back(internet, server, line, kind):
    """SIZE and 8BITMIME are offered, and refused once they are used."""
    remote = internet.remote({"MAIL": reply(line)})
    sender = internet.sender()
    head = f"From: {sender.box}\r\nTo: ada@{remote.domain}\r\nSubject: Bits\r\n\r\n"
    sent = sender.send_source(head.encode() + "Grüße\r\n".encode())
    answer = sent.done()["attempts"][0]["answers"][0]
    assert (answer["result"], answer["code"]) == ("refused", int(line[:3]))
    (command,) = remote.said("MAIL")
    assert " SIZE=" in command and command.endswith(" BODY=8BITMIME")
    ((trigger, about),) = sent.announced(1)
    assert (trigger, about["bounce"]["type"]) == ("message.bounced", kind)


# Slow ----------------------------------------------------------------------------------------------------------------


def test_a_slow_server_holds_up_only_its_own(internet, server):
    """While one does not answer, others are delivered to; when it answers, it has its message once."""
    go_on = threading.Event()
    slow, quick = internet.remote({"end": (Hold(go_on), reply("250 2.0.0 at last"))}), internet.remote()
    sender = internet.sender()
    waiting = [sender.send(f"ada@{slow.domain}") for _ in range(2)]
    for number in range(1, 6):
        sender.send(f"ada{number}@{quick.domain}").done()
    assert len(quick.received) == 5 and {sent.life()["state"] for sent in waiting} == {"sending"}
    go_on.set()
    for sent in waiting:
        assert sent.done()["attempts"][0]["answers"][0]["reply_lines"] == ["at last"]
    assert len(slow.received) == 2


# Stage, what happens there, what is waited for, whether the message is large, whether it comes to its end.
SILENT = [
    ("banner", Hold(), "greeting", False, False),
    ("EHLO", Hold(), "EHLO", False, False),
    ("MAIL", Hold(), "MAIL", False, False),
    ("RCPT", Hold(), "RCPT", False, False),
    ("DATA", Hold(), "DATA", False, False),
    # It does not read on.
    ("content", Hold(threading.Event()), "message", True, False),
    ("end", Hold(), "end of message", False, True),
    # Lively and endless: the deadline is for the whole of it.
    ("EHLO", Drip(b"250-A\r\n" * 1_000, 0.2), "EHLO", False, False),
    ("end", Drip(b"250-A\r\n" * 1_000, 0.2), "end of message", False, True),
]


def test_silence_ends_by_a_deadline_at_each_stage(folder):
    """The deadlines are at most a third of the lease, and so is all of them together."""
    (folder / "silence").mkdir()
    internet = Internet(folder / "silence", settings={"POSTFLEET_DELIVERY__LEASE_SECONDS": "12"})
    try:
        cases = []
        for stage, action, during, is_large, is_ended in SILENT:
            remote, sender = internet.remote({stage: [action]}), internet.sender()
            to = f"ada@{remote.domain}"
            sent = sender.send_source(source(sender.box, [to], LARGE)) if is_large else sender.send(to)
            cases.append((remote, sent, during, is_ended))
        # A handshake that hangs ends in time for a connection in the clear.
        remote = internet.remote({"handshake": [Hold(threading.Event())]}, certificate={})
        hanging = internet.sender().send(f"ada@{remote.domain}")
        for remote, sent, during, is_ended in cases:
            life = sent.attempted()
            answer = sent.answer()
            assert (answer["result"], answer["class"]) == ("ambiguous" if is_ended else "deferred", "unreachable"), (during, answer)
            assert answer["reply_lines"][0].startswith(f"{during}: no answer within 4s ("), answer
            assert 3_900 < life["attempts"][0]["duration_ms"] < 12_000
            assert len(remote.received) == is_ended and sent.sender.inbox() == []
        for remote, sent, _, is_ended in cases:
            sent.retry()
            sent.done()
            assert len(remote.received) == is_ended + 1
            ((trigger, about),) = sent.announced(1)
            assert (trigger, about["delivered"]["ambiguous"]) == ("message.delivered", is_ended)
        (attempt,) = hanging.done()["attempts"]
        assert (attempt["answers"][0]["result"], attempt["tls"]) == ("delivered", None)
    finally:
        internet.close()


# Bounds --------------------------------------------------------------------------------------------------------------


def memory(server):
    """The most that the process has ever had, in octets."""
    with open(f"/proc/{server.process.pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def test_endless_replies_take_no_memory(internet, server):
    before = memory(server)
    stages = ["banner", "EHLO", "MAIL", "DATA", "end"]
    endless = [(stage, octets) for stage in stages for octets in (b"x" * 60, b"250-X\r\n", b"250 X\r\n")]
    remotes = [internet.remote({stage: [Flood(octets * 1_000)]}) for stage, octets in endless]
    sent = [internet.sender().send(f"ada@{remote.domain}") for remote in remotes]
    for (stage, octets), one in zip(endless, sent):
        # The first of endless "yes" to the message is a "yes".
        is_taken = (stage, octets) == ("end", b"250 X\r\n")
        assert (one.attempted()["state"] == "done") == is_taken, (stage, octets)
    # What the sockets hold, and no more.
    assert max(remote.flooded for remote in remotes) < 32 * MIB
    assert memory(server) - before < 64 * MIB


# Protection that is asked for ----------------------------------------------------------------------------------------


def vouch(internet, remote, certificate):
    """Publishes, by DNSSEC, which certificate the server has: DANE-EE of the whole of it (3 0 0)."""
    name = f"_{remote.port}._tcp.mx.{remote.domain}"
    internet.names.add(name, "TLSA", f"3 0 0 {certificate.hex()}", is_vouched=True)


# Name, script, whether the certificate is another's, whether TLS is offered, the status.
UNPROTECTED = [
    ("another certificate", {}, True, True, "4.7.5"),
    ("no TLS", {}, False, False, "4.7.4"),
    ("a refused STARTTLS", {"STARTTLS": [reply("454 4.7.0 not now")]}, False, True, "4.7.4"),
    ("a broken handshake", {"handshake": [(Say(b"nonsense\r\n" * 10), Drop())]}, False, True, "4.7.5"),
    ("a dropped STARTTLS", {"STARTTLS": [Drop()]}, False, True, "4.7.5"),
]


@pytest.mark.parametrize("name, script, is_wrong, is_offered, status", UNPROTECTED, ids=[row[0] for row in UNPROTECTED])
def test_mail_waits_where_the_protection_that_is_asked_for_is_missing(internet, server, name, script, is_wrong, is_offered, status):
    remote, sender = internet.remote(script, is_vouched=True, certificate={"is_self_signed": True}), internet.sender()
    right = remote.context
    vouch(internet, remote, right.certificate)
    if is_wrong:
        remote.context = internet.authority.context(remote.name)
    if not is_offered:
        remote.context = None
    sent = sender.send(f"ada@{remote.domain}")
    sent.attempted()
    answer = sent.answer()
    assert (answer["result"], answer["class"], answer["status"]) == ("deferred", "unreachable", status), answer
    assert answer["reply_lines"][0].startswith(f"DANE records of mx.{remote.domain}"), answer
    assert remote.said("MAIL") == [] and sender.inbox() == []
    remote.context = right
    sent.retry()
    (_, attempt) = sent.done()["attempts"]
    assert attempt["tls"].startswith("TLSv1.") and [one.is_encrypted for one in remote.received] == [True]
    assert [trigger for trigger, _ in sent.announced(1)] == ["message.delivered"]


def test_a_relay_that_must_prove_its_name_and_does_not_gets_nothing(folder):
    (folder / "relay").mkdir()
    port = free_port()
    settings = {"HOST": "mx.relay.remote.test", "PORT": str(port), "TLS": "required"}
    settings = {f"POSTFLEET_RELAY__{key}": value for key, value in settings.items()}
    internet = Internet(folder / "relay", port=port, settings=settings)
    try:
        relay, sender = internet.remote(domain="relay.remote.test", certificate={}), internet.sender()
        sent = sender.send("ada@people.test")
        for times in (1, 2):
            sent.attempted(times)
            answer = sent.answer()
            assert (answer["result"], answer["status"]) == ("deferred", "4.7.5"), answer
            assert "mx.relay.remote.test" in answer["reply_lines"][0]
            if times == 1:
                sent.retry()
        assert relay.said("MAIL") == [] and sender.inbox() == []
    finally:
        internet.close()
