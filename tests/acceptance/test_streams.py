"""Events as they happen, for programs that nobody can call: server-sent events read by plain HTTP, and WebSockets by a library
that knows nothing of the server."""

import http.client
import itertools
import json
import threading
import time

import pytest
from harness import Api, NoNames, Postfleet, wait_until
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.sync.client import connect

# Changes that are made while both ways are read, and events after which a client goes and comes back.
CHANGES, AT_ONCE = 600, 23


class ServerSent:
    """One connection of server-sent events."""

    def __init__(self, server, key, query="", last=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=60)
        headers = {"Authorization": f"Bearer {key}", **({"Last-Event-ID": last} if last else {})}
        self.connection.request("GET", f"/v3/events/stream?{query}", headers=headers)
        self.answer = self.connection.getresponse()
        if self.answer.status != 200:
            raise Refused(self.answer.status, json.loads(self.answer.read()))
        assert self.answer.headers["Content-Type"] == "text/event-stream"
        assert self.answer.headers["Cache-Control"] == "no-cache"
        self.cursor = None
        self.next()

    def next(self):
        """The next event, None for a sign of life; the end is an `Ended`."""
        place, data = None, None
        while True:
            try:
                line = self.answer.readline()
            except (OSError, http.client.HTTPException) as error:
                raise Ended(str(error)) from None
            if not line:
                raise Ended("over")
            name, _, text = line.decode().rstrip("\n").partition(": ")
            if name == "id":
                place = text
            elif name == "data":
                data = json.loads(text)
            elif line == b"\n" and place:
                # Only what came whole counts.
                self.cursor = place
                return data

    def close(self):
        self.connection.close()


class Socket:
    """One WebSocket."""

    def __init__(self, server, key, query="", last=None):
        headers = {"Authorization": f"Bearer {key}", **({"Last-Event-ID": last} if last else {})}
        url = f"ws://127.0.0.1:{server.http_port}/v3/events/stream?{query}"
        try:
            self.socket = connect(url, additional_headers=headers, compression=None, proxy=None)
        except InvalidStatus as error:
            raise Refused(error.response.status_code, json.loads(error.response.body)) from None
        except (OSError, EOFError, ConnectionClosed, InvalidMessage) as error:
            raise ConnectionError(str(error)) from None
        self.cursor = None
        assert self.next() is None

    def next(self):
        """The next event, None if there is none for a while: signs of life are not shown here."""
        try:
            frame = json.loads(self.socket.recv(timeout=15))
        except TimeoutError:
            return None
        except ConnectionClosed as error:
            raise Ended(error.rcvd.code if error.rcvd else "broken off") from None
        assert set(frame) == {"cursor", "event"}
        self.cursor = frame["cursor"]
        return frame["event"]

    def close(self):
        self.socket.close()


class Ended(Exception):
    """The server has ended the stream."""


class Refused(Exception):
    """A stream was not begun: its status, and the body of the answer."""


WAYS = pytest.mark.parametrize("way", [ServerSent, Socket])


@pytest.fixture
def server(tmp_path):
    names = NoNames()
    server = Postfleet(tmp_path, relay="127.0.0.1:9", settings=names.settings)
    made = server.init()
    server.made = made
    server.start()
    yield server
    server.kill()
    names.close()


def deliver(server, to, subject):
    with server.smtp() as client:
        client.sendmail("ada@sender.test", [to], f"From: ada@sender.test\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nHello\r\n")


def next_event(stream):
    while True:
        event = stream.next()
        if event:
            return event


@WAYS
def test_000_53_mail_that_arrives_is_told_and_nothing_is_missed_between_two_connections(server, way):
    key = server.made["api_key"]
    api = Api(server, key)
    grant = api.mailbox("agent@agents.test")
    stream = way(server, key, f"types=message.created&grant_id={grant}")
    deliver(server, "agent@agents.test", "one")
    came = time.monotonic()
    event = next_event(stream)
    print(f"told {(time.monotonic() - came) * 1_000:.1f} ms after the 250")
    assert event["type"] == "message.created" and "webhook_delivery_attempt" not in event
    assert event["data"]["object"]["subject"] == "one" and "Hello" in event["data"]["object"]["body"]
    assert event["data"]["grant_id"] == grant
    cursor = stream.cursor
    stream.close()
    for number in range(3):
        deliver(server, "agent@agents.test", f"missed {number}")
    for name, given in (("by header", {"last": cursor}), ("by parameter", {"query": f"types=message.created&after={cursor}"})):
        again = way(server, key, **{"query": "types=message.created", **given})
        subjects = [next_event(again)["data"]["object"]["subject"] for _ in range(3)]
        assert subjects == ["missed 0", "missed 1", "missed 2"], name
        again.close()
    with pytest.raises(Refused) as refused:
        way(server, key, "heartbeat=61")
    status, body = refused.value.args
    assert (status, body["error"]["field"]) == (400, "heartbeat") and "from 5 to 60" in body["error"]["message"]


@WAYS
def test_a_stream_ends_when_its_key_is_revoked(server, way):
    operator = Api(server, server.made["operator_key"])
    keys = f"/v3/admin/applications/{server.made['application_id']}/api-keys"
    status, _, answer = operator.call("POST", keys, {"name": "k"})
    assert status == 200, answer
    stream = way(server, answer["data"]["api_key"], "heartbeat=5")
    assert operator.call("DELETE", f"{keys}/{answer['data']['id']}")[0] == 200
    with pytest.raises(Ended) as ended:
        while True:
            stream.next()
    assert way is ServerSent or ended.value.args == (1008,)


@WAYS
def test_streams_end_within_a_second_when_the_server_stops(server, way):
    streams = [way(server, server.made["api_key"]) for _ in range(20)]
    began = time.monotonic()
    server.process.terminate()
    for stream in streams:
        with pytest.raises(Ended) as ended:
            while True:
                stream.next()
        assert way is ServerSent or ended.value.args == (1001,)
    took = time.monotonic() - began
    for stream in streams:
        stream.close()
    assert took < 1, f"{took:.2f} s"
    server.stop()


def test_000_53_each_event_once_and_in_order_over_many_connections_and_kills(server):
    """Clients of both ways come back with their cursor, while the server is killed and started again."""
    key = server.made["api_key"]
    api = Api(server, key)
    grant = api.mailbox("agent@agents.test")
    deliver(server, "agent@agents.test", "one")
    (message,) = wait_until("the message", lambda: api.messages(grant))
    first = ServerSent(server, key, "timeout=0")
    done = threading.Event()
    readers = [Reader(server, key, way, first.cursor, done) for way in (ServerSent, Socket)]
    for number in range(CHANGES):
        if number in (CHANGES // 3, CHANGES * 2 // 3):
            server.kill()
            server.start()
        body = {"starred": number % 2 == 0, "unread": number % 3 == 0}
        wait_until("a change", lambda: changes(api, grant, message["id"], body), every=0.01)
    log = events_of(api)
    # Of a change that was not answered two may have been made, and of one that changed nothing none.
    expected = [event["id"] for event in log if event["type"] == "message.updated"]
    assert len(expected) >= CHANGES // 2
    for reader in readers:
        wait_until("the last event", lambda: reader.seen and reader.seen[-1] == expected[-1] or reader.failed)
    done.set()
    for reader in readers:
        reader.join(60)
        assert reader.failed is None, reader.failed
        assert reader.seen == expected, reader.way
        assert reader.connections > 10
        print(f"{reader.way.__name__}: {len(reader.seen)} events over {reader.connections} connections")


def changes(api, grant, message, body):
    try:
        return api.call("PUT", f"/v3/grants/{grant}/messages/{message}", body)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def events_of(api):
    """All events, oldest first."""
    found, token = [], None
    while True:
        status, _, page = api.call("GET", "/v3/events?limit=200" + (f"&page_token={token}" if token else ""))
        assert status == 200, page
        found += page["data"]
        token = page.get("next_cursor")
        if not token:
            return found[::-1]


class Reader(threading.Thread):
    """Reads a stream, leaves it after some events, and comes back with the cursor of the last."""

    def __init__(self, server, key, way, cursor, done):
        super().__init__(daemon=True)
        self.server, self.key, self.way, self.cursor, self.done = server, key, way, cursor, done
        self.seen, self.connections, self.failed = [], 0, None
        self.start()

    def run(self):
        try:
            for turn in itertools.count():
                if self.done.is_set():
                    return
                self.connect(turn)
        except Exception as error:  # noqa: BLE001: told to the test
            self.failed = repr(error)

    def connect(self, turn):
        by_header = {"last": self.cursor} if turn % 2 else {}
        query = "types=message.updated&heartbeat=5" + ("" if by_header else f"&after={self.cursor}")
        try:
            stream = self.way(self.server, self.key, query, **by_header)
        except (OSError, Ended, http.client.HTTPException):
            time.sleep(0.05)
            return
        self.connections += 1
        try:
            for _ in range(AT_ONCE + turn % 7):
                event = stream.next()
                self.cursor = stream.cursor
                if event:
                    self.seen.append(event["id"])
                if self.done.is_set():
                    break
        except Ended:
            pass
        finally:
            stream.close()
