"""Foreign clients deliver in the clear and over TLS: smtplib, swaks, smtp-source (which has no TLS) and a Postfix that relays.

Each of them waits for its greeting, pipelines as it is used to, and starts TLS in its own way; what arrives is what was sent,
and its trace says how it came.
"""

import re
import smtplib
import ssl
import subprocess

import pytest

from harness import Api, Postfix, Postfleet, program, wait_until

BOX = "ada@agents.test"
PER_CLIENT = 5
BODY = "Grüße.\r\n.\r\n..two dots\r\n" + "x" * 900 + "\r\n"


@pytest.fixture(scope="module")
def server(folder):
    server = Postfleet(folder / "postfleet")
    server.folder.mkdir(exist_ok=True)
    server.account = server.init()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def mailbox(server):
    api = Api(server, server.account["api_key"])
    request = {"provider": "nylas", "settings": {"email": BOX}}
    status, _, answer = api.call("POST", "/v3/connect/custom", request)
    assert status in (200, 201), answer

    def arrived(tag):
        path = f"/v3/grants/{answer['data']['id']}/messages?limit=100&fields=include_headers"
        status, _, listed = api.call("GET", path)
        assert status == 200, listed
        return [message for message in listed["data"] if message["subject"].startswith(f"[{tag}]")]

    return arrived


def message(tag, number):
    head = f"From: someone@people.test\r\nTo: {BOX}\r\nSubject: [{tag}] {number}\r\nMessage-ID: <{tag}-{number}@people.test>\r\n"
    head += "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    return (head + "\r\n" + BODY).encode()


def anyone():
    """The certificate is the one that the server made for itself."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def check(mailbox, tag, protocol, count=PER_CLIENT, body=BODY):
    found = wait_until(f"{count} messages of {tag}", lambda: (all := mailbox(tag)) and len(all) == count and all)
    for one in found:
        headers = one["headers"]
        received = next(header["value"] for header in headers if header["name"] == "Received")
        assert re.search(rf"\bwith {protocol} id ", received), received
        if body is not None:
            assert one["body"].replace("\r\n", "\n").rstrip("\n") == body.replace("\r\n", "\n").rstrip("\n")


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_smtplib(server, mailbox, tls):
    tag = f"smtplib{'tls' if tls else ''}"
    with server.smtp() as connection:
        if tls:
            connection.starttls(context=anyone())
            assert connection.sock.version() in ("TLSv1.2", "TLSv1.3")
        for number in range(PER_CLIENT):
            connection.sendmail("someone@people.test", [BOX], message(tag, number), mail_options=["BODY=8BITMIME"])
    check(mailbox, tag, "ESMTPS" if tls else "ESMTP")


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_each_version_of_tls(server, mailbox, version):
    tag = f"v{version[-1]}"
    context = anyone()
    context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
    with server.smtp() as connection:
        connection.starttls(context=context)
        connection.sendmail("someone@people.test", [BOX], message(tag, 0))
    check(mailbox, tag, "ESMTPS", count=1)


def test_older_versions_of_tls_are_refused(server):
    context = anyone()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    connection = server.smtp()
    with pytest.raises((ssl.SSLError, ConnectionError, smtplib.SMTPServerDisconnected)):
        connection.starttls(context=context)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_swaks(server, mailbox, folder, tls):
    swaks = program("swaks", "swaks")
    tag = f"swaks{'tls' if tls else ''}"
    for number in range(PER_CLIENT):
        path = folder / f"{tag}-{number}.eml"
        path.write_bytes(message(tag, number).replace(b"\r\n", b"\n"))
        command = [swaks, "--server", f"127.0.0.1:{server.smtp_port}", "--helo", "client.test", "--silent", "2"]
        command += ["--from", "someone@people.test", "--to", BOX, "--data", f"@{path}", *(["--tls"] if tls else [])]
        # Alternately command by command and in groups.
        command += ["--pipeline"] if number % 2 else []
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if tls and "missing" in done.stderr.lower() and "tls" in done.stderr.lower():
            pytest.skip("this swaks has no TLS (Debian package libnet-ssleay-perl)")
        assert done.returncode == 0, done.stdout + done.stderr
    check(mailbox, tag, "ESMTPS" if tls else "ESMTP")


def test_smtp_source(server, mailbox):
    source = program("smtp-source", "postfix")
    command = [source, "-m", "50", "-s", "10", "-f", "someone@people.test", "-t", BOX, "-M", "client.test", "-l", "10000"]
    command += ["-S", "[source] x", f"127.0.0.1:{server.smtp_port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert len(mailbox("source")) == 50
    check(mailbox, "source", "E?SMTP", count=50, body=None)


@pytest.mark.parametrize("level", ["none", "encrypt"])
def test_postfix_as_a_relay(server, mailbox, folder, level):
    postfix = Postfix(folder / f"postfix-{level}", ["grace"])
    postfix.route({"agents.test": server.smtp_port})
    postfix.configure(smtp_tls_security_level=level)
    postfix.start()
    try:
        tag = f"postfix{level}"
        host, port = postfix.address.split(":")
        with smtplib.SMTP(host, int(port), local_hostname="client.test", timeout=30) as connection:
            for number in range(PER_CLIENT):
                connection.sendmail("someone@people.test", [BOX], message(tag, number), mail_options=["BODY=8BITMIME"])
        check(mailbox, tag, "ESMTPS" if level == "encrypt" else "ESMTP")
    finally:
        postfix.stop()


def test_what_was_limited_is_counted(server):
    """Whoever speaks too early is sent away, and /metrics says so."""
    import socket

    with socket.create_connection(("127.0.0.1", server.smtp_port), timeout=30) as early:
        assert early.recv(100).startswith(b"220 ")
        early.sendall(b"EHLO client.test\r\nMAIL FROM:<a@people.test>\r\n")
        assert early.recv(100).startswith(b"554 5.5.1")
    status, _, metrics = Api(server, "").call("GET", "/metrics")
    text = metrics if isinstance(metrics, str) else str(metrics)
    assert status == 200 and 'reason="pipelining"' in text.replace("\\", ""), text[:2_000]
