"""The disk fills up: mail is deferred and not lost, sends are refused with a reason, and room makes it go on."""

import base64
import os
import random
import subprocess

import pytest

from harness import Api, Missing, Postfleet, wait_until

ROOM, MORE_ROOM = 24, 64  # MiB


@pytest.fixture
def small_disk(folder, request):
    """A data directory on a file system of its own, which is full soon."""
    data = folder / request.node.name.replace(" ", "-") / "data"
    data.mkdir(parents=True)
    if os.geteuid() != 0:
        raise Missing("only root can mount a small file system")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}m,mode=700", "tmpfs", data], capture_output=True, text=True)
    if mounted.returncode != 0:
        raise Missing(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    yield data
    subprocess.run(["umount", data], check=True)


@pytest.fixture
def server(small_disk, sink):
    server = Postfleet(small_disk.parent, relay=sink.address)
    server.account = server.init()
    server.start()
    yield server
    server.kill()


def deliver(server, chance, subject, octets):
    """One message of its own connection; answers the code of the server's last word."""
    body = base64.encodebytes(chance.randbytes(octets)).replace(b"\n", b"\r\n")
    with server.smtp() as connection:
        connection.ehlo()
        for code, text in (connection.mail("x@people.test"), connection.rcpt("ada@agents.test")):
            if code != 250:
                return code, text
        return connection.data(f"Subject: {subject}\r\n\r\n".encode() + body)


def fill(server, chance, acknowledged, octets):
    """Delivers until there is no room; notes what was acknowledged and answers how that was refused."""
    for number in range(10_000):
        subject = f"{octets}-{number}"
        code, text = deliver(server, chance, subject, octets)
        if code != 250:
            return code, text
        acknowledged.append(subject)
    raise AssertionError("the disk does not become full")


@pytest.mark.parametrize("octets", [20_000, 200_000], ids=["bodies in rows", "bodies in files"])
def test_a_full_disk_defers_mail_and_loses_nothing(server, small_disk, octets, capsys):
    chance, acknowledged = random.Random(octets), []
    api = Api(server, server.account["api_key"])
    grant = api.mailbox("ada@agents.test")

    code, text = fill(server, chance, acknowledged, octets)
    assert code == 452 and text.startswith(b"4.3.1"), text
    # It stays so, also for small mail, which may find the room that larger mail did not.
    small = [fill(server, chance, acknowledged, 20_000)[0], fill(server, chance, acknowledged, 100)[0]]
    assert small == [452, 452]
    for number in range(5):
        assert deliver(server, chance, f"refused-{number}", octets)[0] == 452
    assert server.is_running()

    # A send is refused in a way that a program can understand, and may be repeated.
    send = {"to": [{"email": "grace@people.test"}], "subject": "x", "body": base64.b64encode(chance.randbytes(60_000)).decode()}
    status, headers, answer = api.call("POST", f"/v3/grants/{grant}/messages/send", send)
    assert status == 503 and answer["error"]["code"] == "disk_full" and answer["error"]["retryable"], answer
    assert headers["Retry-After"]
    # Whether it lives is another question than whether it should get more.
    assert api.call("GET", "/health/live")[0] == 200

    check(api, grant, acknowledged)

    subprocess.run(["mount", "-o", f"remount,size={MORE_ROOM}m", small_disk], check=True)
    way = goes_on(server, chance, acknowledged)
    with capsys.disabled():
        print(f"\n  {len(acknowledged)} acknowledged before and after the full disk; it went on {way}", end="")
    check(api, grant, acknowledged)
    status, _, answer = api.call("POST", f"/v3/grants/{grant}/messages/send", send)
    assert status == 200, answer
    server.stop()
    server.start()
    check(api, grant, [*acknowledged, "x"])


def goes_on(server, chance, acknowledged):
    """Delivers again after room was made; says what that took."""

    def accepted(name):
        if not server.is_running():
            return False
        code, _ = deliver(server, chance, name, 20_000)
        if code == 250:
            acknowledged.append(name)
        return code == 250

    if accepted("at once"):
        return "at once"
    try:
        wait_until("mail to be taken again", lambda: accepted("later"), 10, 0.5)
        return "without a restart"
    except AssertionError:
        server.kill()
        server.start()
        assert accepted("restarted")
        return "after a restart"


def check(api, grant, acknowledged):
    """Everything acknowledged is there once, nothing refused is there, and every body can be read."""
    listed = api.messages(grant)
    assert sorted(message["subject"] for message in listed) == sorted(acknowledged)
    assert all(message["body"] for message in listed)
    folders = {folder["id"]: folder["total_count"] for folder in api.call("GET", f"/v3/grants/{grant}/folders")[2]["data"]}
    assert folders["inbox"] == sum(message["direction"] == "inbound" for message in listed)
