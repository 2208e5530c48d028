"""Input that is wrong, hostile or too much: refused with the reason, stored as it is, and never misunderstood."""

import base64
import email
import json
import socket
import time

import pytest

from harness import Api, Postfleet, wait_until

MEBI = 1 << 20


@pytest.fixture(scope="module")
def server(folder, sink):
    server = Postfleet(folder / "postfleet", relay=sink.address)
    server.account = server.init()
    server.other = server.init(organization="Other", domains=("other.test",))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def api(server):
    return Api(server, server.account["api_key"])


@pytest.fixture(scope="module")
def grant(api):
    return api.mailbox("ada@agents.test")


def send(api, grant, **fields):
    body = {"to": [{"email": "grace@people.test"}], "subject": "s", "body": "b", **fields}
    return api.call("POST", f"/v3/grants/{grant}/messages/send", body)


def check(answer, status, field=None, text=None, kind=None):
    """The error envelope, and what is in it."""
    code, headers, body = answer
    assert code == status, (code, body)
    error = body["error"]
    assert body["request_id"] and headers["x-request-id"] == body["request_id"]
    assert error["type"] and error["message"] and error["code"] and isinstance(error["retryable"], bool)
    if field:
        assert error["field"] == field and field in error["message"], error
    if text:
        assert text in error["message"], error
    if kind:
        assert error["type"] == kind, error


# What is no request -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"{", b"", b"[]", b"null", b'"x"', b'{"to":[}', b"\xff\xfe"])
def test_malformed_json(api, grant, body):
    answer = api.call("POST", f"/v3/grants/{grant}/messages/send", body or b" ")
    check(answer, 400, text="error parsing request body", kind="invalid_request_error")


def test_json_that_is_too_deep(api, grant):
    answer = api.call("POST", f"/v3/grants/{grant}/messages/send", b'{"to":' + b"[" * 5_000)
    check(answer, 400, text="64", kind="invalid_request_error")
    assert answer[2]["error"]["code"] == "json_too_deep"


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("to", "grace@people.test", "to"),
        ("to", [{"email": 5}], "to[0].email"),
        ("to", [{"name": "x"}], "to[0]"),
        ("to", [{"email": "a@b.test"}, "c@d.test"], "to[1]"),
        ("cc", {"email": "a@b.test"}, "cc"),
        ("subject", ["s"], "subject"),
        ("body", 5, "body"),
        ("is_plaintext", "perhaps", "is_plaintext"),
        ("attachments", [{"content": 5}], "attachments[0].content"),
        ("attachments", [{"content": "%%%"}], "attachments[0].content"),
        ("custom_headers", [{"name": "X-A", "value": 5}], "custom_headers[0].value"),
        ("reply_to_message_id", 5, "reply_to_message_id"),
        ("reply_to_message_id", "nothing", "reply_to_message_id"),
        ("to", [], "to"),
        ("to", [{"email": "no address"}], "to[0].email"),
        ("from", [{"email": "other@agents.test"}], "from[0].email"),
        ("from", [{"email": "ada@agents.test"}] * 2, "from"),
    ],
)
def test_a_wrong_field_is_named(api, grant, field, value, named):
    check(send(api, grant, **{field: value}), 400, field=named)


def test_content_types(api, grant):
    path = f"/v3/grants/{grant}/messages/send"
    check(api.call("POST", path, b"to=x", {"Content-Type": "text/plain"}), 400, text="content-type")
    wrong = api.call("POST", path, b"{}", {"Content-Type": "application/json; charset=utf-8"})
    check(wrong, 400, field="to")


def test_unknown_routes_and_parameters(api, grant):
    check(api.call("GET", "/v3/nothing"), 400, text="Unrecognized request URL (GET: /v3/nothing)")
    check(api.call("PATCH", "/v3/webhooks"), 400, text="Unrecognized request URL (PATCH: /v3/webhooks)")
    messages = f"/v3/grants/{grant}/messages"
    check(api.call("GET", f"{messages}?limit=500"), 400, "limit", "limit must be lower than or equal to 200")
    for value in ("0", "-1", "x", "1e3", "99999999999999999999"):
        check(api.call("GET", f"{messages}?limit={value}"), 400, "limit")
    check(api.call("GET", f"{messages}?unread=perhaps"), 400, "unread")
    check(api.call("GET", f"{messages}?fields=everything"), 400, "fields")
    check(api.call("GET", f"{messages}?page_token=nothing"), 400, "page_token")
    check(api.call("GET", f"{messages}?received_after=yesterday"), 400, "received_after")
    assert api.call("GET", f"{messages}?limit=200&unread=True&starred=0&surprise=1")[0] == 200


def test_requests_of_two_lengths_are_refused(server):
    for fields in ("Content-Length: 5\r\nContent-Length: 6", "Content-Length: 5\r\nTransfer-Encoding: chunked, nothing"):
        with socket.create_connection(("127.0.0.1", server.http_port), timeout=10) as connection:
            connection.sendall(f"POST /v3/webhooks HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\nGET /health/live HTTP/1.1\r\n\r\n".encode())
            assert connection.recv(1000).startswith(b"HTTP/1.1 400")


# Too much -----------------------------------------------------------------------------------------------------------


def test_fifty_recipients_and_no_more(api, grant):
    people = [{"email": f"p{n}@people.test"} for n in range(51)]
    check(send(api, grant, to=people), 400, text="50")
    check(send(api, grant, to=people[:20], cc=people[20:40], bcc=people[40:]), 400, text="50")
    assert send(api, grant, to=people[:20], cc=people[20:40], bcc=people[40:50])[0] == 200


def send_form(api, grant, message, *files):
    """Sends a form: the message as JSON, and files as names and octets."""
    head = b"--edge\r\nContent-Disposition: form-data; name="
    parts = [head + b"message\r\n\r\n" + json.dumps(message).encode()]
    parts += [head + f"file{n}; filename={name}\r\n\r\n".encode() + octets for n, (name, octets) in enumerate(files)]
    body = b"\r\n".join([*parts, b"--edge--\r\n"])
    return api.call("POST", f"/v3/grants/{grant}/messages/send", body, {"Content-Type": "multipart/form-data; boundary=edge"})


@pytest.mark.parametrize("how", ["body", "attachment", "attachments"])
def test_a_send_as_json_of_6_mb_is_refused_with_the_limit(api, grant, how):
    if how == "body":
        fields = {"body": "0123456789abcde\n" * (6 * MEBI // 16)}
    else:
        count = 1 if how == "attachment" else 6
        content = base64.b64encode(b"x" * (4 * MEBI // count)).decode()
        fields = {"attachments": [{"filename": f"{n}.bin", "content": content} for n in range(count)]}
    check(send(api, grant, **fields), 400, text="max size of attachments for json is 3MB, received '")


@pytest.mark.parametrize("count", [1, 6])
def test_a_send_of_30_mb_is_refused_with_the_limit(api, grant, count):
    # So much that only its raw form is too large; and so much that it is refused before it is read, which a client must
    # see that writes to the end before it reads.
    message = {"to": [{"email": "grace@people.test"}], "subject": "Large", "body": "x"}
    files = [(f"{n}.bin", b"x" * (24 * MEBI // count)) for n in range(count)]
    check(send_form(api, grant, message, *files), 413, text=str(25 * MEBI))
    check(send_form(api, grant, message, ("30.bin", b"x" * (30 * MEBI))), 413, text=str(26 * MEBI))


def test_a_send_below_the_limit_is_taken(api, grant, sink):
    content = b"0123456789abcdef" * MEBI
    message = {"to": [{"email": "large@people.test"}], "subject": "Large", "body": "x"}
    code, _, answer = send_form(api, grant, message, ("16.bin", content))
    assert code == 200, answer
    taken = wait_until("the delivery", lambda: [one for one in sink.taken if one.recipients == ["large@people.test"]])
    parsed = email.message_from_bytes(taken[0].raw)
    assert [part for part in parsed.walk() if part.get_filename() == "16.bin"][0].get_payload(decode=True) == content


def test_a_large_request_to_another_route_is_refused(api):
    check(api.call("POST", "/v3/connect/custom", b'{"x":"' + b"y" * (2 * MEBI) + b'"}'), 413, text=str(MEBI))


def test_the_size_of_mail_is_limited(server):
    with server.smtp() as connection:
        connection.ehlo()
        limit = int(connection.esmtp_features["size"])
        assert connection.docmd("MAIL", f"FROM:<a@people.test> SIZE={limit + 1}")[0] == 552
        # A client that lies about it, or says nothing.
        assert connection.mail("a@people.test")[0] == 250 and connection.rcpt("ada@agents.test")[0] == 250
        line = b"x" * 998 + b"\r\n"
        code, text = connection.data(b"Subject: too large\r\n\r\n" + line * (limit // 1000 + 1))
        assert code == 552, text
        assert connection.noop()[0] == 250


# Header fields ------------------------------------------------------------------------------------------------------

BREAKS = ["\r\nBcc: evil@people.test", "\nX-Evil: 1", "\rX-Evil: 1", "\0", "\r\n\r\nnew body", "\x85X-Evil: 1"]


@pytest.mark.parametrize("attack", BREAKS, ids=[repr(one) for one in BREAKS])
def test_no_value_can_begin_another_header_field(api, grant, sink, attack):
    person = lambda: {"name": "Grace", "email": "grace@people.test"}  # noqa: E731
    fields = {"subject": f"s{attack}"}
    cases = [("subject", fields)]
    for field in ("to", "cc", "bcc", "reply_to"):
        cases.append((f"{field}[0].name", {field: [person() | {"name": f"Grace{attack}"}]}))
        cases.append((f"{field}[0].email", {field: [person() | {"email": f"grace@people.test{attack}"}]}))
        cases.append((f"{field}[0].email", {field: [person() | {"email": f"gr{attack}ace@people.test"}]}))
    cases.append(("from.name", {"from": [{"name": f"Ada{attack}", "email": "ada@agents.test"}]}))
    cases.append(("from[0].email", {"from": [{"email": f"ada@agents.test{attack}"}]}))
    cases.append(("custom_headers[0].value", {"custom_headers": [{"name": "X-A", "value": f"a{attack}"}]}))
    cases.append(("custom_headers[0].name", {"custom_headers": [{"name": f"X-A{attack}", "value": "a"}]}))
    content = base64.b64encode(b"x").decode()
    for field in ("filename", "content_type", "content_id"):
        value = "text/plain" if field == "content_type" else "name"
        cases.append((f"attachments[0].{field}", {"attachments": [{"content": content, field: f"{value}{attack}"}]}))
    cases.append(("reply_to_message_id", {"reply_to_message_id": f"x{attack}"}))
    before = len(sink.taken)
    for field, fields in cases:
        code, _, answer = send(api, grant, **fields)
        assert code == 400, (field, attack, code, answer)
        named = answer["error"]["field"]
        assert named.split("[")[0].split(".")[0] == field.split("[")[0].split(".")[0], (field, answer)
    assert len(sink.taken) == before


def test_structural_headers_cannot_be_set(api, grant):
    for name in ("From", "to", "BCC", "Subject", "DKIM-Signature", "Received", "Content-Type", "Sender", "", "X A", "X:A"):
        assert send(api, grant, custom_headers=[{"name": name, "value": "x"}])[0] == 400, name


# Whose --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer x", "Bearer pf_live_" + "0" * 64, "Basic eDp4", "Bearer " + "x" * 5_000])
def test_an_unknown_key_is_401(api, grant, header):
    for path in ("/v3/grants", f"/v3/grants/{grant}/messages", "/v3/webhooks"):
        check(api.call("GET", path, headers={"Authorization": header}), 401)


def test_what_belongs_to_another_application_is_404(server, api, grant, receiver):
    with server.smtp() as connection:
        connection.sendmail("x@people.test", ["ada@agents.test"], b"Subject: mine\r\nContent-Type: image/png\r\n\r\nx\r\n")
    (message,) = [one for one in api.messages(grant) if one["subject"] == "mine"]
    hook = {"trigger_types": ["message.updated"], "webhook_url": receiver.url + "/mine"}
    webhook = api.call("POST", "/v3/webhooks", hook)[2]["data"]["id"]
    mine = f"/v3/grants/{grant}"
    attachment = message["attachments"][0]["id"]
    paths = [
        mine, f"{mine}/messages", f"{mine}/messages/{message['id']}", f"{mine}/threads", f"{mine}/threads/{message['thread_id']}",
        f"{mine}/folders", f"{mine}/folders/inbox", f"{mine}/attachments/{attachment}?message_id={message['id']}",
        f"{mine}/attachments/{attachment}/download?message_id={message['id']}", f"{mine}/attachments/{attachment}",
        f"{mine}/messages/{message['id']}/attachments/{attachment}", "/v3/grants/ada@agents.test/messages", f"/v3/webhooks/{webhook}",
    ]  # fmt: skip
    other = Api(server, server.other["api_key"])
    for path in paths:
        assert api.call("GET", path)[0] == 200, path
        check(other.call("GET", path), 404, kind="not_found_error")
    check(send(other, grant), 404)
    check(other.call("DELETE", mine), 404)
    check(other.call("DELETE", f"/v3/webhooks/{webhook}"), 404)
    check(other.call("PUT", f"/v3/webhooks/{webhook}", {"description": "x"}), 404)
    check(other.call("POST", f"/v3/webhooks/rotate-secret/{webhook}"), 404)
    # Nor through a mailbox of one's own.
    theirs = other.mailbox("eve@other.test")
    for path in (f"messages/{message['id']}", f"threads/{message['thread_id']}", f"attachments/{attachment}",
                 f"attachments/{attachment}/download?message_id={message['id']}"):  # fmt: skip
        check(other.call("GET", f"/v3/grants/{theirs}/{path}"), 404)
    check(send(other, theirs, reply_to_message_id=message["id"]), 400, field="reply_to_message_id")
    assert other.call("GET", "/v3/grants")[2]["data"][0]["email"] == "eve@other.test"
    assert len(other.call("GET", "/v3/grants")[2]["data"]) == 1 and other.call("GET", "/v3/webhooks")[2]["data"] == []
    code, _, answer = other.call("POST", "/v3/connect/custom", {"provider": "nylas", "settings": {"email": "eve@agents.test"}})
    assert code in (400, 403, 404), answer


def test_unknown_ids_are_404(api, grant):
    for id in ("nothing", "01a1fd47-5b2e-7449-97f6-f61683260077", "..%2F..", "%00", "%ff"):
        check(api.call("GET", f"/v3/grants/{id}/messages"), 404)
        for kind in ("messages", "threads", "folders", "attachments"):
            check(api.call("GET", f"/v3/grants/{grant}/{kind}/{id}"), 404)


def test_webhooks_into_the_private_network_are_refused(api):
    for url in ("http://10.0.0.1/x", "http://169.254.169.254/latest", "https://192.168.0.1/", "http://[::1]/", "ftp://127.0.0.1/", "x"):
        answer = api.call("POST", "/v3/webhooks", {"trigger_types": ["message.created"], "webhook_url": url})
        check(answer, 400, field="webhook_url")


# Mail ---------------------------------------------------------------------------------------------------------------

MALFORMED = {
    "nothing at all": b"",
    "an empty line": b"\r\n",
    "no header": b"\r\njust text\r\n",
    "no body": b"Subject: x\r\n",
    "no colon": b"Subject x\r\nFrom\r\n\r\ntext\r\n",
    "no boundary": b"Content-Type: multipart/mixed\r\n\r\n--x\r\n\r\ntext\r\n--x--\r\n",
    "boundary that never comes": b"Content-Type: multipart/mixed; boundary=x\r\n\r\ntext\r\n",
    "not closed": b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\ntext\r\n",
    "same boundary inside": b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\na\r\n--x--\r\n",
    "encoded multipart": b"Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: base64\r\n\r\n--x\r\n\r\ntext\r\n--x--\r\n",
    "broken base64": b"Content-Transfer-Encoding: base64\r\n\r\n====%%%AA\r\nQQ\r\n",
    "broken quoted-printable": b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=ZZ =\r\n==4\r\n=\r\n",
    "unknown encoding": b"Content-Transfer-Encoding: x-rot13\r\n\r\ngrkg\r\n",
    "unknown charset": b"Content-Type: text/plain; charset=x-nothing\r\n\r\n\xe4\xf6\xfc\r\n",
    "wrong charset": b"Content-Type: text/plain; charset=utf-8\r\n\r\n\xff\xfe\xe4\r\n",
    "broken words": b"Subject: =?utf-8?B?%%%?= =?nothing?Q?=ZZ?= =?utf-8?X?a?= =?utf-8?Q?=E4?=\r\n\r\nx\r\n",
    "several of each": b"Subject: one\r\nSubject: two\r\nFrom: a@b.test\r\nFrom: c@d.test\r\nMessage-ID: <1>\r\nMessage-ID: <2>\r\n\r\nx\r\n",
    "strange addresses": b"From: <<<>>>,,;:@\"\r\nTo: undisclosed-recipients:;\r\nCc: (((\r\n\r\nx\r\n",
    "strange date": b"Date: Thu, 99 Foo 99999999 25:61:61 +9999\r\n\r\nx\r\n",
    "strange type": b"Content-Type: ;;;=\"\r\nContent-Disposition: =;filename\r\n\r\nx\r\n",
    "strange names": b"Content-Type: text/x; name=\"..\\\\..\\\\/etc/passwd\x01\"\r\n\r\nx\r\n",
    "name without end": b"Content-Disposition: attachment; filename=\"no end\r\n\r\nx\r\n",
    "continuations out of order": b"Content-Disposition: attachment; filename*2=c; filename*0=a; filename*99999999999999999999=z\r\n\r\nx\r\n",
    "deep": b"Content-Type: message/rfc822\r\n\r\n" * 500 + b"\r\nx\r\n",
    "deeper": b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(2_000)) + b"\r\nx\r\n",
    "many parts": b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\na\r\n" * 20_000 + b"--x--\r\n",
    "many fields": b"X-A: b\r\n" * 20_000 + b"\r\nx\r\n",
    "many addresses": b"To: " + b",\r\n ".join(b"a%d@b.test" % n for n in range(20_000)) + b"\r\n\r\nx\r\n",
    "long subject": b"Subject: " + b"\r\n ".join([b"word " * 100] * 200) + b"\r\n\r\nx\r\n",
    "long line": b"Subject: long line\r\n\r\n" + b"x" * 100_000 + b"\r\n",
    "controls": b"Subject: a\x01\x1b[31m\x7f\r\n\r\n\x07\x1b]0;x\x07\r\n",
    "surrogates": b"Content-Type: text/plain; charset=utf-16le\r\nContent-Transfer-Encoding: base64\r\n\r\nANgA2ADcANw=\r\n",
    "yEnc and uuencode": b"\r\nbegin 644 a.txt\r\n#86)C\r\n`\r\nend\r\n=ybegin line=128 size=3 name=a\r\n",
    "html bomb": b"Content-Type: text/html\r\n\r\n" + b"<div>" * 50_000 + b"\r\n",
}  # fmt: skip


def test_malformed_mail_is_stored_and_served_as_it_is(server, api):
    grant = api.mailbox("odd@agents.test")
    for raw in MALFORMED.values():
        with server.smtp() as connection:
            connection.ehlo()
            connection.mail("x@people.test", ["BODY=8BITMIME"])
            connection.rcpt("odd@agents.test")
            code, text = connection.data(raw)
            assert code == 250, (raw[:80], text)
    began = time.monotonic()
    listed = api.messages(grant)
    assert len(listed) == len(MALFORMED)
    # Newest first.
    for message, (name, raw) in zip(reversed(listed), MALFORMED.items()):
        path = f"/v3/grants/{grant}/messages/{message['id']}"
        code, _, found = api.call("GET", path)
        assert code == 200 and isinstance(found["data"]["body"], str) and isinstance(found["data"]["subject"], str), name
        code, _, source = api.call("GET", f"{path}?fields=raw_mime")
        assert base64.urlsafe_b64decode(source["data"]["raw_mime"]).endswith(raw), name
        assert api.call("GET", f"{path}?fields=include_headers")[0] == 200, name
        for attachment in message["attachments"][:5]:
            code, _, octets = api.call("GET", f"/v3/grants/{grant}/attachments/{attachment['id']}/download")
            assert code == 200 and len(octets) == attachment["size"], name
    threads = api.call("GET", f"/v3/grants/{grant}/threads?limit=50")
    assert threads[0] == 200
    assert time.monotonic() - began < 30


class Wire:
    """An SMTP client that sends what it likes."""

    def __init__(self, server, ready=True):
        self.socket = socket.create_connection(("127.0.0.1", server.smtp_port), timeout=10)
        self.read()
        if ready:
            for line in (b"EHLO client.test\r\n", b"MAIL FROM:<a@people.test>\r\n", b"RCPT TO:<ada@agents.test>\r\n", b"DATA\r\n"):
                self.say(line)

    def read(self):
        try:
            return self.socket.recv(65_536)
        except ConnectionError:
            return b""

    def say(self, octets):
        self.socket.sendall(octets)
        return self.read()

    def all(self, seconds=3.0):
        """Everything that comes until the other side ends or is silent."""
        self.socket.settimeout(seconds)
        got = b""
        try:
            while piece := self.read():
                got += piece
        except TimeoutError:
            pass
        self.socket.close()
        return got


SMUGGLED = b"MAIL FROM:<evil@people.test>\r\nRCPT TO:<ada@agents.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nevil\r\n.\r\nQUIT\r\n"
ENDS = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\n.\r", b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n.\r\r\n", b"\n\n.\n\n"]


@pytest.mark.parametrize("end", ENDS, ids=[repr(one) for one in ENDS])
def test_nothing_but_crlf_dot_crlf_ends_a_message(server, api, grant, end):
    before = len(api.messages(grant))
    for pieces in (1, 2):
        wire = Wire(server)
        message = b"Subject: first\r\n\r\ntext" + end
        if pieces == 2:
            wire.socket.sendall(message)
            time.sleep(0.05)
            message = b""
        try:
            wire.socket.sendall(message + SMUGGLED)
        except ConnectionError:
            pass
        answer = wire.all()
        assert b"250" not in answer and (answer.startswith(b"5") or not answer), answer
    after = api.messages(grant)
    assert len(after) == before and all(message["subject"] != "smuggled" for message in after)


def test_nothing_is_taken_before_its_turn(server, api, grant):
    before = len(api.messages(grant))
    # The message sent before 354 was seen.
    wire = Wire(server, ready=False)
    wire.socket.sendall(b"EHLO c.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<ada@agents.test>\r\nDATA\r\nSubject: early\r\n\r\nx\r\n.\r\n" + SMUGGLED)
    wire.all()
    # Commands behind STARTTLS in the same packet.
    wire = Wire(server, ready=False)
    wire.say(b"EHLO c.test\r\n")
    wire.socket.sendall(b"STARTTLS\r\n" + SMUGGLED)
    assert wire.all().count(b"\r\n") <= 1
    # A client that speaks HTTP.
    wire = Wire(server, ready=False)
    wire.socket.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO c.test\r\n" + SMUGGLED)
    assert b"250 2.0.0" not in wire.all()
    assert len(api.messages(grant)) == before


def test_mail_for_nobody_is_refused(server):
    with server.smtp() as connection:
        connection.ehlo()
        connection.mail("a@people.test")
        assert connection.rcpt("nobody@agents.test")[0] == 550
        assert connection.rcpt("grace@people.test")[0] in (550, 554)
        assert connection.rcpt("ada%people.test@agents.test")[0] == 550
        assert connection.rcpt("@people.test:ada@agents.test")[0] in (250, 501, 550, 553)
        assert connection.docmd("RCPT", "TO:ada@agents.test\0x")[0] >= 500


def test_the_server_is_well_after_all_that(server, api, grant):
    assert server.is_running() and api.call("GET", "/health/ready")[0] == 200
    with server.smtp() as connection:
        connection.sendmail("x@people.test", ["ada@agents.test"], b"Subject: still here\r\n\r\nx\r\n")
    assert [one for one in api.messages(grant) if one["subject"] == "still here"]
    assert "panicked" not in server.log.read_text()
