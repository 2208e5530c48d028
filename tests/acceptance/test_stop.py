"""A fleet that is stopped by one request: nothing leaves any more, nothing is lost, and all of it leaves afterwards, once and
in its order.

The order is that of each destination: what was accepted before something else was asked for leaves before it. Messages
that are under way at the same time arrive as the network will have it: when one arrives, fewer of those that were
accepted before it are still missing than may be under way at one destination (`delivery.destination_concurrency`)."""

import bisect
import itertools
import random
import threading
import time

import pytest
from harness import Api, Postfleet, Postgres, Sink, wait_until

MAILBOXES, WRITERS = 10_000, 16
# Messages that wait when the fleet is stopped, at least.
LOAD = 800
# Seconds in which nothing may leave after the stop, and in which the last may.
SILENCE, GRACE = 3, 1
# Where they send to, and how many messages may be under way at each at once, which is the default.
DESTINATIONS, AT_ONCE = 4, 20
# Seconds that the world takes for each message, so that much waits.
SLOWLY = 0.4


@pytest.fixture(params=["sqlite", "postgres"])
def fleet(request, tmp_path):
    """An installation with 10,000 mailboxes, and the world that it sends to."""
    postgres = Postgres(tmp_path / "postgres").start() if request.param == "postgres" else None
    sink = Sink(delay=SLOWLY).start()
    settings = {"POSTFLEET_DELIVERY__DESTINATION_CONCURRENCY": str(AT_ONCE)}
    server = Postfleet(tmp_path, sink.address, postgres.url if postgres else None, settings)
    try:
        made = server.init()
        server.start()
        api = Api(server, made["api_key"])
        yield server, api, made, sink, provision(api)
    finally:
        server.kill()
        sink.close()
        if postgres:
            postgres.stop()


def provision(api):
    grants = []
    for first in range(0, MAILBOXES, 1_000):
        wanted = [{"settings": {"email": f"agent{number}@agents.test"}} for number in range(first, first + 1_000)]
        status, _, answer = api.call("POST", "/v3/grants/bulk", {"grants": wanted})
        assert status == 200 and answer["data"]["created"] == 1_000, answer
        grants += [result["grant"]["id"] for result in answer["data"]["results"]]
    return grants


class Writers:
    """Threads that send from mailboxes of the fleet, and keep when each message was asked for and accepted, and what was
    refused."""

    def __init__(self, server, key, grants, numbers):
        self.server, self.key, self.grants = server, key, grants
        self.numbers, self.stopping = numbers, threading.Event()
        self.accepted, self.refused = {}, []
        self.threads = [threading.Thread(target=self.work, args=(random.Random(number),)) for number in range(WRITERS)]
        for thread in self.threads:
            thread.start()

    def work(self, chance):
        api = Api(self.server, self.key)
        while not self.stopping.is_set():
            number = next(self.numbers)
            body = {"to": [{"email": f"p{number}@people{number % DESTINATIONS}.test"}], "subject": f"number {number}", "body": "hello"}
            began = time.monotonic()
            status, _, answer = api.call("POST", f"/v3/grants/{chance.choice(self.grants)}/messages/send", body, keep=True)
            if status == 200:
                self.accepted[number] = (began, time.monotonic())
            else:
                self.refused.append((began, status, answer["error"]["code"]))

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


def arrived(sink):
    """The numbers of what arrived, in that order, each with its time."""
    return [(int(taken.recipients[0].split("@")[0][1:]), taken.at) for taken in list(sink.taken)]


def call(api, method, path, body=None):
    status, _, answer = api.call(method, path, body)
    assert status in (200, 201), f"{method} {path}: {status} {answer}"
    return answer["data"]


def overtaken(arrivals, accepted):
    """How many of the messages that had been accepted before one was asked for were still missing when it arrived, at most."""
    missing, most = sorted(answered for _, answered in accepted.values()), 0
    for number in arrivals:
        began, answered = accepted[number]
        del missing[bisect.bisect_left(missing, answered)]
        most = max(most, bisect.bisect_right(missing, began))
    return most


def at_each(numbers):
    """The numbers by where they go."""
    return [[number for number in numbers if number % DESTINATIONS == place] for place in range(DESTINATIONS)]


def test_a_stopped_fleet_is_silent_within_a_second_and_goes_on_where_it_was(fleet):
    server, api, made, sink, grants = fleet
    numbers = itertools.count()
    writers = Writers(server, made["api_key"], grants, numbers)
    wait_until("much to wait", lambda: len(writers.accepted) >= LOAD + len(sink.taken), 120)
    application = {"scope": "application", "reason": "an agent loops"}
    stop = call(api, "POST", "/v3/stops", application)
    answered = time.monotonic()
    time.sleep(SILENCE)
    writers.stop()

    # Who sends now is told so, at once.
    late = [refusal for refusal in writers.refused if refusal[0] > answered]
    assert late and {refusal[1:] for refusal in late} == {(403, "sending_paused")}, late[:3]
    out = arrived(sink)
    overdue = [at - answered for _, at in out if at > answered + GRACE]
    assert not overdue, f"{len(overdue)} left up to {max(overdue):.2f} s after the answer"
    waiting = len(writers.accepted) - len(out)
    assert waiting > LOAD / 2, f"only {waiting} of {len(writers.accepted)} waited, which shows little"

    # Not even a server that is killed forgets that it is stopped.
    server.kill()
    server.start()
    time.sleep(SILENCE)
    assert len(sink.taken) == len(out)

    # Others send on at once, and do not get ahead.
    call(api, "POST", f"/v3/stops/{stop['id']}/lift", {"reason": "the agent is mended"})
    others = Writers(server, made["api_key"], grants, numbers)
    time.sleep(1)
    others.stop()
    accepted = writers.accepted | others.accepted
    wait_until("all to arrive", lambda: len(sink.taken) >= len(accepted), 120)
    time.sleep(1)
    came = [number for number, _ in arrived(sink)]
    assert sorted(came) == sorted(accepted), "each arrives, and once"

    gone = {number for number, _ in out}
    resumed = at_each([number for number in came if number not in gone])
    most = [overtaken(those, {number: accepted[number] for number in those}) for those in resumed]
    print(f"{len(writers.accepted)} accepted, {len(out)} left before the stop, {waiting} waited and left after it,", end=" ")
    print(f"{len(others.accepted)} accepted meanwhile; overtaken at once at each destination, at most: {most}")
    assert max(most) < AT_ONCE, "more than is under way at once"
