"""A spike of mail, in and out: everything is answered, waits in order, and is there once; who takes notifications slowly
delays nobody else, and misses nothing.

How long things take is printed, and decides nothing: the limits only end a run that hangs."""

import collections
import statistics
import threading
import time

import pytest

from harness import PATIENCE, Api, NoNames, Postfleet, Sink, WebhookReceiver, wait_until

# In: more than comes in most hours, at once. Of them so many while the slow receiver takes nothing at all.
MAILBOXES, SESSIONS, MESSAGES, WAVE = 50, 20, 2_000, 200
# Out, by so many clients, to a server that takes so many seconds for each.
CLIENTS, SENDS, TAKES = 16, 500, 0.1
# Seconds for each notification that the slow receiver takes.
SLOW = 0.05
# Seconds after which nothing is expected any more: from the last answer until nothing waits.
DRAINED = 240


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def engine(request):
    return request.param


@pytest.fixture(scope="module")
def setting(folder, storage):
    names, sink = NoNames(), Sink(delay=TAKES).start()
    quick, slow = WebhookReceiver(), WebhookReceiver(delay=SLOW)
    server = Postfleet(folder / "postfleet", relay=sink.address, storage=storage, settings=names.settings)
    try:
        key = server.init()["api_key"]
        server.start()
        api = Api(server, key)
        grants = {address: api.mailbox(address) for address in (f"agent-{number}@agents.test" for number in range(MAILBOXES))}
        for receiver in (quick, slow):
            body = {"trigger_types": ["message.created", "message.delivered"], "webhook_url": receiver.url + "/"}
            assert api.call("POST", "/v3/webhooks", body)[0] == 200
        yield server, key, grants, sink, quick, slow
        server.stop()
    finally:
        server.kill()
        for other in (sink, quick, slow, names):
            other.close()


def at_once(count, work):
    """Runs `work(number)` on as many threads, and raises what one of them raised."""
    failed = []

    def run(number):
        try:
            work(number)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def told(receiver, name, wanted, subject_of):
    """When the receiver was first told of each of `wanted`. Who answered too late is told again, and of nothing else twice."""
    first, read = {}, 0

    def all_told():
        nonlocal read
        new = receiver.received[read:]
        read += len(new)
        for said in (notification for notification in new if notification.json["type"] == name):
            one = said.json
            subject = subject_of(one["data"]["object"])
            if subject not in wanted:
                continue
            before, _ = first.setdefault(subject, (one, said.at))
            is_again = before is not one
            assert not is_again or (one["id"] == before["id"] and one["webhook_delivery_attempt"] > 1), f"told twice: {subject}"
        return len(first) == len(wanted)

    wait_until(f"notifications {name} of all", all_told, DRAINED)
    return {subject: at for subject, (_, at) in first.items()}


def in_order(receiver):
    """Whether the events of each mailbox were told in their order, as far as none was told again."""
    last = collections.Counter()
    for one in receiver.of_type("message.created"):
        data = one["data"]
        if one["webhook_delivery_attempt"] == 1 and last[data["grant_id"]] > data["grant_sequence"]:
            return False
        last[data["grant_id"]] = max(last[data["grant_id"]], data["grant_sequence"])
    return True


def subject(message):
    return message["subject"]


def test_004_06_07_08_a_spike_of_mail_that_comes_in(setting):
    server, key, grants, _, quick, slow = setting
    addresses, answered, waits = list(grants), {}, []

    def bring(positions):
        with server.smtp(timeout=PATIENCE) as connection:
            for position in positions:
                to, about = addresses[position % MAILBOXES], f"spike {position}"
                raw = f"From: a@people.test\r\nTo: {to}\r\nSubject: {about}\r\nMessage-ID: <s{position}@people.test>\r\n\r\nHi\r\n"
                began = time.monotonic()
                assert connection.sendmail("a@people.test", [to], raw.encode()) == {}
                answered[about] = time.monotonic()
                waits.append(answered[about] - began)

    # While one receiver takes nothing, the other is told of everything.
    slow.takes.clear()
    at_once(SESSIONS, lambda number: bring(range(number, WAVE, SESSIONS)))
    told(quick, "message.created", set(answered), subject)
    assert slow.received == []
    slow.takes.set()

    began = time.monotonic()
    at_once(SESSIONS, lambda number: bring(range(WAVE + number, MESSAGES, SESSIONS)))
    took = time.monotonic() - began
    assert len(answered) == len(waits) == MESSAGES, "each was answered, and at once: none was put off"
    moments = told(quick, "message.created", set(answered), subject)
    delays = sorted(moments[about] - at for about, at in answered.items())
    print(
        f"{MESSAGES - WAVE} messages in {took:.1f} s; answers: median {statistics.median(waits) * 1e3:.0f} ms, longest "
        f"{max(waits) * 1e3:.0f} ms; told after: median {statistics.median(delays) * 1e3:.0f} ms, longest {delays[-1] * 1e3:.0f} ms"
    )
    told(slow, "message.created", set(answered), subject)

    # In order for each mailbox, at either receiver, and kept once.
    assert in_order(quick) and in_order(slow)
    api = Api(server, key)
    kept = [message["subject"] for grant in grants.values() for message in api.messages(grant)]
    assert sorted(kept) == sorted(answered)


def test_004_08_a_spike_of_sends_waits_and_drains(setting):
    server, key, grants, sink, quick, slow = setting
    senders, accepted, waits = list(grants.values()), set(), []
    before = len(sink.taken)

    def client(number):
        api = Api(server, key, timeout=PATIENCE)
        for position in range(number, SENDS, CLIENTS):
            body = {"to": [{"email": f"p{position}@people.test"}], "subject": f"out {position}", "body": "Hi"}
            began = time.monotonic()
            status, _, answer = api.call("POST", f"/v3/grants/{senders[position % MAILBOXES]}/messages/send", body, keep=True)
            waits.append(time.monotonic() - began)
            assert status == 200, answer
            accepted.add(answer["data"]["id"])

    began = time.monotonic()
    at_once(CLIENTS, client)
    took = time.monotonic() - began
    assert len(accepted) == SENDS
    waiting = SENDS - (len(sink.taken) - before)
    print(f"{SENDS} sends accepted in {took:.1f} s, longest answer {max(waits) * 1e3:.0f} ms; {waiting} waited then")
    wait_until("the queue to be empty", lambda: len(sink.taken) - before >= SENDS, seconds=DRAINED)
    for receiver in (quick, slow):
        told(receiver, "message.delivered", accepted, lambda message: message.get("message_id") or message["id"])
    got = collections.Counter(recipient for one in sink.taken[before:] for recipient in one.recipients)
    assert len(got) == SENDS and set(got.values()) == {1}, "each once"
