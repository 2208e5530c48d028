"""Waiting for messages, as agents do: one signs up somewhere and needs the code, one wants the answer to what it wrote."""

import json
import re
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, urlencode

from harness import wait_until

HERE = Path(__file__).resolve().parent


def wait(fleet, grant, **query):
    """One request; the messages and the cursor."""
    answer = fleet.api.ask("GET", f"/v3/grants/{grant}/messages/wait?{urlencode(query, doseq=True)}")
    return answer["data"], answer["next_cursor"]


def test_an_agent_waits_for_its_one_time_code(fleet):
    """The code comes by SMTP while the agent waits, among other mail. The answer holds it."""
    address = fleet.address()
    grant = fleet.api.new_grant(address)["id"]
    _, before = wait(fleet, grant, timeout=0)
    with ThreadPoolExecutor() as others:
        waiting = others.submit(wait, fleet, quote(address), **{"from": "login@service.test", "subject": "code", "timeout": 30, "after": before})
        assert fleet.receive(address, "Buy now", "A code for 10 % off", "shop@service.test")[0] == 250
        assert fleet.receive(address, "Welcome", "Welcome", "login@service.test")[0] == 250
        assert not waiting.done()
        assert fleet.receive(address, "Your code is 493817. Tell nobody.", "Your login code", "login@service.test")[0] == 250
        came = time.monotonic()
        (message,), after = waiting.result()
        print(f"answered {(time.monotonic() - came) * 1_000:.0f} ms after the 250")
    assert re.search(r"\b(\d{6})\b", message["body"]).group(1) == "493817"
    assert (message["unread"], message["folders"], message["from"][0]["email"]) == (True, ["inbox"], "login@service.test")
    # It does not come again; and what came between two requests is not missed.
    assert wait(fleet, grant, after=after, timeout=0)[0] == []
    assert fleet.receive(address, "Your code is 111111", "Your login code", "login@service.test")[0] == 250
    (second,), _ = wait(fleet, grant, after=after)
    assert "111111" in second["body"]


def test_an_agent_waits_for_the_answer_in_its_conversation(fleet, sink):
    address = fleet.address()
    grant = fleet.api.new_grant(address)["id"]
    letter = {"to": [{"email": "ada@people.test"}], "subject": "May I?", "body": "Please say yes"}
    sent = fleet.api.post(f"/v3/grants/{grant}/messages/send", letter)
    thread = fleet.api.get(f"/v3/grants/{grant}/messages/{sent['id']}")["thread_id"]
    own = fleet.api.get(f"/v3/grants/{grant}/messages/{sent['id']}")["message_id_header"]
    with ThreadPoolExecutor() as others:
        waiting = others.submit(wait, fleet, grant, thread_id=thread, timeout=30)
        wait_until("somebody to wait", lambda: waiting.running())
        time.sleep(0.2)
        assert fleet.receive(address, "Spam", "May I?", "eve@people.test")[0] == 250
        raw = f"From: ada@people.test\r\nTo: {address}\r\nSubject: Re: May I?\r\nIn-Reply-To: {own}\r\n\r\nYes\r\n"
        assert fleet.receive_raw(address, raw.encode(), "ada@people.test")[0] == 250
        (answer,), _ = waiting.result()
    assert answer["thread_id"] == thread and "Yes" in answer["body"]


def asked(fleet, path):
    """A connection on which this was asked and nothing was read."""
    connection = socket.create_connection(("127.0.0.1", fleet.server.http_port), timeout=60)
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {fleet.account['api_key']}\r\n\r\n"
    connection.sendall(request.encode())
    return connection


def test_so_many_may_wait_and_who_goes_away_gives_his_place_back(fleets):
    """256 of one application. Others are told when to come back, everything else goes on, and all are told of a message."""
    fleet = fleets()
    address = fleet.address()
    path = f"/v3/grants/{fleet.api.new_grant(address)['id']}/messages"
    other = f"/v3/grants/{fleet.mailbox()}/messages"
    waiting = [asked(fleet, f"{at}/wait?timeout=60") for at in (path, other) for _ in range(150)]

    def is_full():
        status, headers, answer = fleet.api.call("GET", f"{path}/wait?timeout=1")
        assert status in (200, 429), answer
        if status == 200:
            # It was in the place of one that came later and was refused.
            waiting.append(asked(fleet, f"{other}/wait?timeout=60"))
        return status == 429 and answer["error"]["code"] == "too_many_waiting" and int(headers["Retry-After"]) > 0

    wait_until("256 to wait", is_full)
    assert fleet.api.get(path) == []
    # Those who go away are missed at once.
    for connection in waiting[150:]:
        connection.close()
    wait_until("a place", lambda: not is_full())
    assert fleet.receive(address, "x", "Now")[0] == 250
    came = time.monotonic()
    answers = [connection.recv(12) for connection in waiting[:150]]
    told = answers.count(b"HTTP/1.1 200")
    assert told >= 100 and told + answers.count(b"HTTP/1.1 429") == 150, set(answers)
    print(f"{told} were answered within {(time.monotonic() - came) * 1_000:.0f} ms after the 250")
    for connection in waiting[:150]:
        connection.close()


def test_nothing_comes_in_time(fleet):
    grant = fleet.mailbox()
    begin = time.monotonic()
    found, cursor = wait(fleet, grant, timeout=1)
    assert found == [] and cursor and 0.9 <= time.monotonic() - begin < 20


def test_a_stream_with_a_reader_of_another_kind(fleet, modules):
    """Node's fetch reads the stream, loses its connection, and goes on where it was."""
    address = fleet.address()
    grant = fleet.api.new_grant(address)["id"]
    command = ["node", HERE / "node_mailbox_wait.mjs", fleet.server.api, fleet.account["api_key"], grant, "4"]
    reader = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert reader.stdout.readline() == "open\n"
        for number in range(4):
            assert fleet.receive(address, f"text {number}", f"number {number}")[0] == 250
        said, wrong = reader.communicate(timeout=60)
        assert reader.returncode == 0, wrong
        events = json.loads(said)
    finally:
        reader.kill()
    assert [event["data"]["subject"] for event in events] == [f"number {number}" for number in range(4)]
    assert {event["event"] for event in events} == {"message.created"} and len({event["id"] for event in events}) == 4


def test_who_waits_is_sent_home_when_the_server_stops(fleets):
    fleet = fleets()
    grant = fleet.mailbox()
    with ThreadPoolExecutor() as others:
        waiting = others.submit(wait, fleet, grant, timeout=60)
        time.sleep(0.5)
        begin = time.monotonic()
        fleet.server.stop()
        assert waiting.result()[0] == [] and time.monotonic() - begin < 10
