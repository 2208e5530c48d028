"""Agents that answer each other at once: each conversation ends within its budget, and other mail does not notice."""

import collections
import itertools
import queue
import statistics
import threading
import time

import pytest
from harness import Api, Postfleet, Sink, WebhookReceiver, wait_until

PAIRS, RINGS, RING = 200, 20, 5
# Messages of one conversation of machines at most (the budget of each side is half of it).
BUDGET = 20
ANSWERERS = 8


@pytest.fixture
def fleet(tmp_path):
    sink, receiver = Sink().start(), WebhookReceiver()
    server = Postfleet(tmp_path, sink.address)
    try:
        made = server.init()
        server.start()
        api = Api(server, made["api_key"])
        body = {"trigger_types": ["message.created"], "webhook_url": receiver.url + "/in"}
        assert api.call("POST", "/v3/webhooks", body)[0] == 200
        yield server, api, made, sink, receiver
    finally:
        server.kill()
        receiver.close()
        sink.close()


class Agents:
    """Programs that answer whatever comes, at once: to whom it came from, or the next of the ring."""

    def __init__(self, server, key, receiver):
        self.server, self.key, self.receiver = server, key, receiver
        self.next_of, self.sent, self.refused = {}, collections.Counter(), collections.Counter()
        self.conversations, self.seen = {}, 0
        self.work, self.stopping = queue.Queue(), threading.Event()
        threads = [threading.Thread(target=self.answer) for _ in range(ANSWERERS)]
        self.threads = [*threads, threading.Thread(target=self.read)]
        for thread in self.threads:
            thread.start()

    def read(self):
        while not self.stopping.is_set():
            told = self.receiver.received[self.seen :]
            self.seen += len(told)
            for one in told:
                notification = one.json["data"]
                if notification["object"]["direction"] == "inbound":
                    self.work.put((notification["grant_id"], notification["object"]))
            time.sleep(0.01)

    def answer(self):
        api = Api(self.server, self.key)
        while not self.stopping.is_set():
            try:
                grant, message = self.work.get(timeout=0.1)
            except queue.Empty:
                continue
            conversation = message["subject"].removeprefix("Re: ")
            to = self.next_of.get(grant) or message["from"][0]["email"]
            body = {"to": [{"email": to}], "subject": f"Re: {conversation}", "body": f"And what do you say? {time.time()}"}
            body["reply_to_message_id"] = message["id"]
            status, _, answer = api.call("POST", f"/v3/grants/{grant}/messages/send", body, keep=True)
            if status == 200:
                self.sent[conversation] += 1
            else:
                self.refused[conversation, status] += 1

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


class Bystander(threading.Thread):
    """Sends to the outside world all the time, and keeps how long each message takes from its acceptance to its arrival."""

    def __init__(self, server, key, grant, sink):
        super().__init__()
        self.api, self.grant, self.sink = Api(server, key), grant, sink
        self.begun, self.stopping = {}, threading.Event()

    def run(self):
        for number in itertools.count():
            if self.stopping.is_set():
                return
            body = {"to": [{"email": f"p{number}@people.test"}], "subject": f"{number}", "body": "hello"}
            self.begun[number] = time.monotonic()
            assert self.api.call("POST", f"/v3/grants/{self.grant}/messages/send", body, keep=True)[0] == 200
            time.sleep(0.02)

    def stop(self):
        self.stopping.set()
        self.join()
        wait_until("its mail to arrive", lambda: len(self.sink.taken) >= len(self.begun))

    def delays(self, since, until):
        at = {int(taken.recipients[0].split("@")[0][1:]): taken.at for taken in list(self.sink.taken)}
        return [at[number] - began for number, began in self.begun.items() if since <= began < until]


def p99(delays):
    return statistics.quantiles(delays, n=100)[98]


def test_agents_that_answer_each_other_are_stopped_and_nobody_else(fleet):
    server, api, made, sink, receiver = fleet
    names = [f"a{number}" for number in range(2 * PAIRS + RING * RINGS)] + ["bystander"]
    wanted = [{"settings": {"email": f"{name}@agents.test"}} for name in names]
    made_grants = api.call("POST", "/v3/grants/bulk", {"grants": wanted})[2]["data"]["results"]
    ids = [result["grant"]["id"] for result in made_grants]
    emails = [f"{name}@agents.test" for name in names]
    agents = Agents(server, made["api_key"], receiver)
    rings = [range(2 * PAIRS + first, 2 * PAIRS + first + RING) for first in range(0, RING * RINGS, RING)]
    for ring in rings:
        for place, member in enumerate(ring):
            agents.next_of[ids[member]] = emails[ring[(place + 1) % RING]]
    bystander = Bystander(server, made["api_key"], ids[-1], sink)
    bystander.start()
    time.sleep(5)
    begun = time.monotonic()

    firsts = [(2 * pair, 2 * pair + 1) for pair in range(PAIRS)] + [(ring[0], ring[1]) for ring in rings]
    for number, (sender, recipient) in enumerate(firsts):
        body = {"to": [{"email": emails[recipient]}], "subject": f"talk {number}", "body": "Hello, what do you say?"}
        assert api.call("POST", f"/v3/grants/{ids[sender]}/messages/send", body, keep=True)[0] == 200
        agents.sent[f"talk {number}"] += 1

    def have_ended():
        return len({conversation for conversation, _ in list(agents.refused)}) == len(firsts)

    wait_until("every conversation to be stopped", have_ended, 240)
    ended = time.monotonic()
    bystander.stop()
    agents.stop()

    talks = [agents.sent[f"talk {number}"] for number in range(len(firsts))]
    print(f"messages of a conversation: {min(talks)} to {max(talks)}; {sum(talks)} in {ended - begun:.0f} s")
    before, during = bystander.delays(0, begun), bystander.delays(begun, ended)
    print(f"p99 of the bystander: {p99(before) * 1000:.1f} ms before, {p99(during) * 1000:.1f} ms during")
    assert max(talks[:PAIRS]) <= BUDGET, "a pair"
    assert max(talks[PAIRS:]) <= BUDGET + RING, "a ring"
    assert min(talks) > 2, "they did talk"
    assert {status for _, status in agents.refused} <= {202, 403}, agents.refused.most_common(3)
    # Who was stopped, and why, is one question.
    status, _, stops = api.call("GET", "/v3/stops?kind=loop&limit=200")
    assert status == 200 and stops["data"], stops
    assert all(stop["scope"] == "thread" and stop["reason"] and stop["evidence"] for stop in stops["data"])
