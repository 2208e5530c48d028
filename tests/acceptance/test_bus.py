"""The message bus: a real NATS server that is stopped, killed and loses everything, and consumers by NATS's own client."""

import asyncio
import email
import json
import threading

import nats
import pytest
from harness import Api, Missing, Nats, NoNames, Postfleet, Sink, required, wait_until
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

STREAM = "POSTFLEET_EVENTS"
SUBJECTS = "postfleet.events.>"
CREATED = "postfleet.events.*.*.message.created"


@pytest.fixture
def stage(tmp_path):
    yield from staged(tmp_path, lambda bus, server, sink: (bus, server), {})


@pytest.fixture
def sending(tmp_path):
    """A server that takes sends from the bus, and what it sent."""
    # NATS forgets ids soon, so that it is not NATS that sorts out what is published twice.
    settings = {"POSTFLEET_BUS__SEND": "true", "POSTFLEET_BUS__DUPLICATE_SECONDS": "1"}
    yield from staged(tmp_path, lambda bus, server, sink: Sending(bus, server, sink), settings)


def staged(tmp_path, made, more):
    try:
        bus = Nats(tmp_path)
    except Missing as missing:
        assert not required(), missing
        pytest.skip(str(missing))
    names, sink = NoNames(), Sink().start()
    settings = {"POSTFLEET_BUS__URL": bus.url, **names.settings, **more}
    server = Postfleet(tmp_path, sink.address, settings=settings)
    try:
        yield made(bus, server, sink)
    finally:
        server.kill()
        bus.kill()
        sink.close()
        names.close()


def begin(server):
    api = Api(server, server.init()["api_key"])
    server.start()
    return api


def receive(server, subject, to="reader@agents.test", named=None):
    with server.smtp() as client:
        header = f"From: ada@people.test\r\nTo: {named or to}\r\nSubject: {subject}\r\n"
        client.sendmail("ada@people.test", [to], header + "\r\nHi\r\n")


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
            filter_subject=CREATED,
        )
        consumer = await client.jetstream().pull_subscribe(
            CREATED, durable="agents", stream=STREAM, config=config
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


GIVEN_UP = f"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{STREAM}.agents"


def test_what_a_group_fails_at_is_given_out_as_often_as_it_says_and_then_put_aside(stage):
    """As docs/bus.md describes it: what NATS says of it is kept in a stream, and names the event that nobody could work on."""
    bus, server = stage
    bus.start()
    api = begin(server)
    api.mailbox("reader@agents.test")
    expected = ["0", "poison", "2"]
    for subject in expected:
        receive(server, subject)
    has(bus, expected)
    tried, told = asyncio.run(asyncio.wait_for(given_up(bus.url, len(expected)), 60))
    assert tried == {"0": 1, "poison": 2, "2": 1}
    assert told == "poison"


async def given_up(url, many):
    """How often each event was given to a group that fails at one of them, and which was put aside in the end."""
    client = await nats.connect(url, error_cb=quiet)
    try:
        js, tried = client.jetstream(timeout=5), {}
        await js.add_stream(name="GIVEN_UP", subjects=[GIVEN_UP])
        config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, ack_wait=1, max_deliver=2)
        group = await js.pull_subscribe(CREATED, durable="agents", stream=STREAM, config=config)
        while len(tried) < many or (await js.stream_info("GIVEN_UP")).state.messages == 0:
            try:
                for message in await group.fetch(1, timeout=1):
                    subject = json.loads(message.data)["data"]["object"]["subject"]
                    tried[subject] = tried.get(subject, 0) + 1
                    if subject != "poison":
                        await message.ack()
            except nats.errors.TimeoutError:
                pass
        put_aside = await js.pull_subscribe(GIVEN_UP, durable="reader", stream="GIVEN_UP")
        (advice,) = await put_aside.fetch(1, timeout=5)
        event = await js.get_msg(STREAM, json.loads(advice.data)["stream_seq"])
        return tried, json.loads(event.data)["data"]["object"]["subject"]
    finally:
        await client.close()


# Sends ---------------------------------------------------------------------------------------------------------------


class Sending:
    """Whoever sends by the bus: publishes, and looks at what left."""

    def __init__(self, bus, server, sink):
        self.bus, self.server, self.sink = bus, server, sink

    def begin(self):
        self.bus.start()
        made = self.server.init()
        self.application = made["application_id"]
        self.api = Api(self.server, made["api_key"])
        self.server.start()
        self.mailbox = self.api.mailbox("agent@agents.test")
        wait_until("the queue to be there", lambda: self.waiting() == 0)
        return self

    def run(self, work):
        async def connected():
            client = await nats.connect(self.bus.url, allow_reconnect=False, connect_timeout=5, error_cb=quiet)
            try:
                return await work(client.jetstream(timeout=5))
            finally:
                await client.close()

        return asyncio.run(asyncio.wait_for(connected(), 20))

    def publish(self, body, key=None, mailbox=None):
        """Publishes a send; whether NATS says that it has it already."""
        subject = f"postfleet.send.{self.application}.{mailbox or self.mailbox}"
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Nats-Msg-Id": key} if key else None
        return self.run(lambda js: js.publish(subject, data, headers=headers)).duplicate is True

    def waiting(self):
        """How many sends the queue has; None while there is no queue."""

        async def look(js):
            try:
                return (await js.stream_info("POSTFLEET_SEND")).state.messages
            except nats.js.errors.NotFoundError:
                return None

        try:
            return self.run(look)
        except (OSError, asyncio.TimeoutError, nats.errors.Error):
            return None

    def settled(self):
        wait_until("all sends to be settled", lambda: self.waiting() == 0)

    def outcomes(self):
        """What was told of sends, in order."""

        async def look(js):
            state = (await js.stream_info("POSTFLEET_SENT")).state
            if state.messages == 0:
                return []
            reader = await js.subscribe("postfleet.sent.>", stream="POSTFLEET_SENT", ordered_consumer=True)
            return [json.loads((await reader.next_msg(timeout=5)).data) for _ in range(state.messages)]

        return self.run(look)

    def parked(self):
        status, _, page = self.api.call("GET", "/v3/bus/parked?limit=200")
        assert status == 200, page
        return page["data"]

    def sent(self):
        """Subjects of the sent copies, oldest first."""
        return [one["subject"] for one in self.api.messages(self.mailbox, "&in=sent")][::-1]

    def left(self):
        """How many messages the other server was given."""
        return len(self.sink.taken)

    def different(self):
        """How many of them are not the same once more. Who is killed when the other server has said 250, and before that is noted, has to
        send the same message again (RFC 5321 §4.5.4.1): with the same Message-ID."""
        return len({email.message_from_bytes(one.raw)["Message-ID"] for one in self.sink.taken})


def letter(subject, **more):
    return {"to": [{"email": "ada@people.test"}], "subject": subject, "body": "Hi", **more}


def test_a_send_from_the_bus_leaves_once_however_often_it_is_published(sending):
    stage = sending.begin()
    stage.publish(letter("one"), key="one")
    stage.settled()
    assert stage.sent() == ["one"]

    def published_anew():
        return not stage.publish(letter("one"), key="one")

    wait_until("NATS to have forgotten the id", published_anew)
    stage.settled()
    assert stage.sent() == ["one"]
    outcomes = stage.outcomes()
    assert [one["data"]["duplicate"] for one in outcomes] == [False, True], outcomes
    assert len({one["data"]["message_id"] for one in outcomes}) == 1
    # The key is the one of the interface.
    path = f"/v3/grants/{stage.mailbox}/messages/send"
    status, headers, answer = stage.api.call("POST", path, letter("one"), headers={"Idempotency-Key": "one"})
    assert (status, headers["Idempotent-Response"], answer["data"]["id"]) == (200, "true", outcomes[0]["data"]["message_id"])
    wait_until("it to leave", lambda: stage.left() >= 1)
    stage.publish(letter("two"))
    stage.settled()
    wait_until("the other to leave", lambda: stage.left() >= 2)
    assert stage.sent() == ["one", "two"] and stage.left() == 2


def test_neither_a_killed_server_nor_a_killed_bus_loses_or_doubles_a_send(sending):
    stage = sending.begin()
    expected = []
    for round in range(6):
        keys = [f"{round}-{number}" for number in range(10)]
        for key in keys:
            # Every other one has no id of its own.
            stage.publish(letter(key), key=key if int(key[-1]) % 2 else None)
        expected += keys
        stage.server.kill()
        if round % 2:
            stage.bus.kill()
            stage.bus.start()
        stage.server.start()
    # What was given out to a server that was killed is given out again after half a minute.
    # NATS 2.9 may keep in the queue what it knows to be settled when it was killed itself: nobody is given that.
    wait_until("all to be sent", lambda: len(stage.sent()) >= len(expected), seconds=150)
    wait_until("all to leave", lambda: stage.different() >= len(expected))
    last = letter("last")
    stage.publish(last, key="last")
    wait_until("the last one to be sent", lambda: "last" in stage.sent())
    wait_until("the last one to leave", lambda: stage.different() > len(expected))
    assert sorted(stage.sent()) == sorted([*expected, "last"])
    assert stage.different() == len(expected) + 1
    assert stage.parked() == []


def test_what_cannot_be_sent_is_parked_with_its_reason_and_can_be_sent_again(sending):
    stage = sending.begin()
    nobody = "01900000-0000-7000-8000-000000000000"
    for name, body, mailbox, code, field in [
        ("not JSON", b"{", None, "invalid_request", None),
        ("not UTF-8", b"\xff\xfe", None, "invalid_request", None),
        ("no recipient", {}, None, "invalid_request", "to"),
        ("no mailbox", letter("x"), nobody, "not_found", None),
        ("no mailbox by that name", letter("x"), "nobody", "not_found", None),
        ("another author", letter("x", **{"from": [{"email": "ceo@agents.test"}]}), None, "invalid_request", "from[0].email"),
        ("too many", letter("x", to=[{"email": f"a{n}@people.test"} for n in range(51)]), None, "too_many_recipients", None),
        ("an id that is none", letter("x"), None, "invalid_request", "Nats-Msg-Id"),
    ]:
        before = len(stage.parked())
        stage.publish(body, key="x" * 257 if name == "an id that is none" else None, mailbox=mailbox)
        wait_until(f"it to be parked: {name}", lambda: len(stage.parked()) == before + 1)
        error = stage.parked()[0]["error"]
        assert error["code"] == code, (name, error)
        assert field is None or error["field"] == field, (name, error)
    stage.settled()
    told = [one["error"]["code"] for one in stage.outcomes()]
    assert len(told) == 8, told
    parked = {(one["error"]["code"], one["error"]["field"]): one["id"] for one in stage.parked()}
    status, _, answer = stage.api.call("POST", f"/v3/bus/parked/{parked['invalid_request', 'to']}/retry", {})
    assert (status, answer["error"]["field"]) == (400, "to"), answer
    # What was wrong with the id does not matter here.
    status, _, answer = stage.api.call("POST", f"/v3/bus/parked/{parked['invalid_request', 'Nats-Msg-Id']}/retry", {})
    assert (status, answer["data"]["status"]) == (200, 200), answer
    assert stage.sent() == ["x"]
    for one in stage.parked():
        status, _, answer = stage.api.call("DELETE", f"/v3/bus/parked/{one['id']}")
        assert status == 200, answer
    assert stage.parked() == []
    assert stage.sent() == ["x"]


def test_sends_wait_in_the_bus_while_the_server_is_away_and_the_bus_may_come_later(sending):
    stage = sending.begin()
    stage.server.kill()
    for number in range(3):
        stage.publish(letter(str(number)))
    stage.bus.kill()
    stage.server.start()
    status, _, answer = stage.api.call("POST", f"/v3/grants/{stage.mailbox}/messages/send", letter("by the interface"))
    assert status == 200, answer
    stage.bus.start()
    stage.settled()
    assert stage.sent() == ["by the interface", "0", "1", "2"]


# The router ----------------------------------------------------------------------------------------------------------


class Group:
    """Programs that share what is given to one subject."""

    def __init__(self, url, subject):
        self.url, self.subject, self.done, self.members = url, subject, [], {}
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def start(self, name, hangs=False):
        self.members[name] = asyncio.run_coroutine_threadsafe(self._work(name, hangs), self.loop)

    async def _work(self, name, hangs):
        client = await nats.connect(self.url, error_cb=quiet, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
        try:
            await self._share(client.jetstream(), name, hangs)
        finally:
            await client.close()

    async def _share(self, js, name, hangs):
        config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, deliver_policy=DeliverPolicy.ALL, ack_wait=2, filter_subject=self.subject)
        consumer = await js.pull_subscribe(self.subject, durable="group", stream="POSTFLEET_WORK", config=config)
        while True:
            try:
                for message in await consumer.fetch(1, timeout=1):
                    if hangs:
                        # It was killed with a message in its hands.
                        return
                    body = json.loads(message.data)
                    await message.ack_sync()
                    self.done.append((name, body["id"], body["data"]["object"]["subject"]))
            except (nats.errors.Error, asyncio.TimeoutError):
                # Nothing came, or NATS is away.
                await asyncio.sleep(0.05)

    def close(self):
        async def end():
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self.loop).result(timeout=10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(timeout=10)


def test_a_routed_event_reaches_its_group_though_one_of_three_is_killed_and_nats_restarted(stage):
    bus, server = stage
    bus.start()
    made = server.init()
    api, application = Api(server, made["api_key"]), made["application_id"]
    server.start()
    api.mailbox("billing@agents.test")
    api.mailbox("other@agents.test")
    rule = {"name": "Billing", "subject": "agents.billing", "match": {"trigger": ["message.created"], "recipient": ["billing+*"]}}
    status, _, answer = api.call("POST", "/v3/routes", rule)
    assert status == 200, answer
    receive(server, "0", to="billing@agents.test", named="billing+0@agents.test")
    has(bus, ["0"])
    group = Group(bus.url, f"postfleet.work.{application}.agents.billing")
    try:
        group.start("killed", hangs=True)
        wait_until("the first to take its message", lambda: group.members["killed"].done())
        group.start("second")
        group.start("third")
        expected = ["0"]
        for number in range(1, 16):
            if number == 8:
                bus.kill()
            receive(server, str(number), to="billing@agents.test", named=f"billing+{number}@agents.test")
            receive(server, "not for them", to="other@agents.test")
            expected.append(str(number))
            if number == 10:
                bus.start()
        wait_until("all to be worked on", lambda: {subject for _, _, subject in list(group.done)} >= set(expected))
        done = list(group.done)
        assert {subject for _, _, subject in done} == set(expected)
        assert "killed" not in {name for name, _, _ in done}
        # Once each, as far as nobody was given one a second time because an acknowledgement was lost: by its id.
        assert len({id for _, id, _ in done}) == len(expected)
        ids = {event["id"] for event in log(api)}
        assert {id for _, id, _ in done} <= ids
    finally:
        group.close()
