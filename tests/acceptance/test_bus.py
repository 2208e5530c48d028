"""The message bus: a real NATS server that is stopped, killed and loses everything, and consumers by NATS's own client."""

import asyncio
import json
import threading

import nats
import pytest
from harness import Api, Missing, Nats, NoNames, Postfleet, Sink, required, wait_until
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

STREAM = "POSTFLEET_EVENTS"
SUBJECTS = "postfleet.events.>"


@pytest.fixture
def stage(tmp_path):
    try:
        bus = Nats(tmp_path)
    except Missing as missing:
        assert not required(), missing
        pytest.skip(str(missing))
    names, sink = NoNames(), Sink().start()
    settings = {"POSTFLEET_BUS__URL": bus.url, **names.settings}
    server = Postfleet(tmp_path, sink.address, settings=settings)
    try:
        yield bus, server
    finally:
        server.kill()
        bus.kill()
        sink.close()
        names.close()


def begin(server):
    api = Api(server, server.init()["api_key"])
    server.start()
    return api


def receive(server, subject, to="reader@agents.test"):
    with server.smtp() as client:
        client.sendmail("ada@people.test", [to], f"From: ada@people.test\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nHi\r\n")


class Message:
    def __init__(self, message):
        self.subject, self.headers, self.body = message.subject, message.headers or {}, json.loads(message.data)

    @property
    def position(self):
        return int(self.headers["Postfleet-Position"])


async def quiet(_):
    """NATS is away on purpose: that need not be reported."""


async def _read(url):
    """Everything that the stream has, in order; nothing while there is no stream."""
    client = await nats.connect(url, allow_reconnect=False, connect_timeout=5, max_reconnect_attempts=1, error_cb=quiet)
    try:
        js = client.jetstream(timeout=5)
        try:
            state = (await js.stream_info(STREAM)).state
        except nats.js.errors.NotFoundError:
            return []
        if state.messages == 0:
            return []
        reader = await js.subscribe(SUBJECTS, stream=STREAM, ordered_consumer=True)
        return [Message(await reader.next_msg(timeout=5)) for _ in range(state.messages)]
    finally:
        await client.close()


def read(bus):
    try:
        return asyncio.run(asyncio.wait_for(_read(bus.url), 20))
    except (OSError, asyncio.TimeoutError, nats.errors.Error):
        return []


def log(api):
    """The events of the application as the interface lists them, oldest first."""
    events, cursor = [], ""
    while True:
        status, _, page = api.call("GET", "/v3/events?limit=200" + cursor)
        assert status == 200, page
        events += page["data"]
        if not page.get("next_cursor"):
            return events[::-1]
        cursor = "&page_token=" + page["next_cursor"]


def subjects(messages):
    created = [one.body["data"]["object"]["subject"] for one in messages if one.body["type"] == "message.created"]
    return created


def has(bus, expected):
    wait_until(f"the stream to have {len(expected)} messages, ends {expected[-1]}", lambda: subjects(read(bus)) == expected)
    return read(bus)


def is_in_order(messages):
    positions = [one.position for one in messages]
    assert positions == sorted(set(positions)), positions
    ids = [one.body["id"] for one in messages]
    assert len(ids) == len(set(ids))


def test_every_event_is_published_once_as_webhooks_are_told_it(stage):
    bus, server = stage
    bus.start()
    api = begin(server)
    reader = api.mailbox("reader@agents.test")
    receive(server, "one")
    messages = has(bus, ["one"])
    is_in_order(messages)
    told = next(one for one in messages if one.body["type"] == "message.created")
    application = told.body["data"]["application_id"]
    assert told.subject == f"postfleet.events.{application}.{reader}.message.created"
    assert told.headers["Nats-Msg-Id"] == told.body["id"]
    assert int(told.headers["Postfleet-Sequence"]) == told.body["data"]["grant_sequence"]
    assert [one.body["id"] for one in messages] == [event["id"] for event in log(api)]


def test_without_the_bus_mail_goes_on_and_nothing_is_lost(stage):
    bus, server = stage
    api = begin(server)
    api.mailbox("reader@agents.test")
    receive(server, "before")
    bus.start()
    expected = ["before"]
    has(bus, expected)
    for number in range(3):
        bus.kill()
        receive(server, f"away {number}")
        bus.start()
        receive(server, f"back {number}")
        expected += [f"away {number}", f"back {number}"]
        is_in_order(has(bus, expected))


def test_a_bus_that_loses_everything_gets_it_again(stage):
    bus, server = stage
    bus.start()
    api = begin(server)
    api.mailbox("reader@agents.test")
    receive(server, "one")
    has(bus, ["one"])
    bus.kill()
    receive(server, "two")
    bus.wipe()
    bus.start()
    receive(server, "three")
    messages = has(bus, ["one", "two", "three"])
    is_in_order(messages)
    assert [one.body["id"] for one in messages] == [event["id"] for event in log(api)]


def test_a_server_that_is_killed_publishes_the_rest_and_nothing_twice(stage):
    bus, server = stage
    bus.start()
    api = begin(server)
    api.mailbox("reader@agents.test")
    expected = []
    for number in range(4):
        for part in "abcde":
            receive(server, f"{number}{part}")
            expected.append(f"{number}{part}")
        server.kill()
        if number % 2:
            bus.kill()
            bus.start()
        server.start()
    messages = has(bus, expected)
    is_in_order(messages)


class Workers:
    """Three programs that share the events of new messages: each is given to one of them."""

    def __init__(self, url):
        self.url, self.done, self.loop = url, [], asyncio.new_event_loop()
        self.stops = []
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def start(self, name, hangs=False):
        self.stops.append(asyncio.run_coroutine_threadsafe(self._work(name, hangs), self.loop))

    async def _work(self, name, hangs):
        client = await nats.connect(self.url, error_cb=quiet)
        config = ConsumerConfig(
            ack_policy=AckPolicy.EXPLICIT,
            deliver_policy=DeliverPolicy.ALL,
            ack_wait=2,
            filter_subject="postfleet.events.*.*.message.created",
        )
        consumer = await client.jetstream().pull_subscribe(
            "postfleet.events.*.*.message.created", durable="agents", stream=STREAM, config=config
        )
        while True:
            try:
                for message in await consumer.fetch(1, timeout=1):
                    if hangs:
                        # It was killed with a message in its hands.
                        await client.close()
                        return
                    self.done.append((name, json.loads(message.data)["data"]["object"]["subject"]))
                    await message.ack()
            except nats.errors.TimeoutError:
                pass

    def close(self):
        for one in self.stops:
            one.cancel()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(timeout=10)


def test_a_group_of_three_shares_the_work_and_one_that_is_killed_loses_nothing(stage):
    bus, server = stage
    bus.start()
    api = begin(server)
    api.mailbox("reader@agents.test")
    receive(server, "0")
    has(bus, ["0"])
    workers = Workers(bus.url)
    try:
        workers.start("killed", hangs=True)
        wait_until("the first to take its message", lambda: workers.stops[0].done())
        workers.start("second")
        workers.start("third")
        expected = [str(number) for number in range(20)]
        for subject in expected[1:]:
            receive(server, subject)
        wait_until("all to be worked on", lambda: {subject for _, subject in list(workers.done)} == set(expected))
        assert "killed" not in {name for name, _ in workers.done}
    finally:
        workers.close()
