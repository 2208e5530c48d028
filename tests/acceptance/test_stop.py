"""A fleet that is stopped by one request: nothing leaves any more, nothing is lost, and all of it leaves afterwards, once."""

import itertools
import random
import threading
import time

import pytest
from harness import Api, Postfleet, Postgres, Sink, wait_until

MAILBOXES, WRITERS = 10_000, 16
# Seconds in which writers send before the stop, in which nothing may leave after it, and in which the last may.
LOAD, SILENCE, GRACE = 3, 3, 1


@pytest.fixture(params=["sqlite", "postgres"])
def fleet(request, tmp_path):
    """An installation with 10,000 mailboxes, and the world that it sends to."""
    postgres = Postgres(tmp_path / "postgres").start() if request.param == "postgres" else None
    sink = Sink().start()
    # So slowly that much waits.
    settings = {"POSTFLEET_DELIVERY__CONCURRENCY": "1"}
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
    """Threads that send from mailboxes of the fleet, and keep what was accepted, in which order, and what was refused."""

    def __init__(self, server, key, grants):
        self.server, self.key, self.grants = server, key, grants
        self.numbers, self.stopping = itertools.count(), threading.Event()
        self.accepted, self.refused = [], []
        self.threads = [threading.Thread(target=self.work, args=(random.Random(number),)) for number in range(WRITERS)]
        for thread in self.threads:
            thread.start()

    def work(self, chance):
        api = Api(self.server, self.key)
        while not self.stopping.is_set():
            number = next(self.numbers)
            body = {"to": [{"email": f"p{number}@people.test"}], "subject": f"number {number}", "body": "hello"}
            began = time.monotonic()
            status, _, answer = api.call("POST", f"/v3/grants/{chance.choice(self.grants)}/messages/send", body, keep=True)
            if status == 200:
                self.accepted.append(number)
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


def test_a_stopped_fleet_is_silent_within_a_second_and_loses_nothing(fleet):
    server, api, made, sink, grants = fleet
    writers = Writers(server, made["api_key"], grants)
    time.sleep(LOAD)
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
    assert waiting > 500, f"only {waiting} of {len(writers.accepted)} waited, which shows little"

    # Not even a server that is killed forgets that it is stopped.
    server.kill()
    server.start()
    time.sleep(SILENCE)
    assert len(sink.taken) == len(out)

    call(api, "POST", f"/v3/stops/{stop['id']}/lift", {"reason": "the agent is mended"})
    wait_until("all to arrive", lambda: len(sink.taken) >= len(writers.accepted), 120)
    time.sleep(1)
    numbers = [number for number, _ in arrived(sink)]
    assert sorted(numbers) == sorted(writers.accepted), "each arrives, and once"
    print(f"{len(writers.accepted)} accepted, {len(out)} left before the stop, {waiting} waited and left after it")
