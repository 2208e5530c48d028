#!/usr/bin/env python3
"""Kills the server again and again while it receives and sends, and then asks it for everything it had acknowledged.

Mail comes in by SMTP and sends come in by HTTP, all the time and from several clients; what is sent goes to a foreign
SMTP server. The ledger of what was acknowledged is kept here, outside of the server. Afterwards

- every message acknowledged with 250 is listed exactly once, and no other message more than once,
- a send whose answer was lost is tried again under its key until it is answered; so
- every send acknowledged with 200 was delivered, and its sent copy is listed exactly once; a second delivery is
  possible only where the kill came between the receiver's answer and the note of it, and each is held against that,
- of one mailbox that may send so many messages a day, exactly as many were accepted, however many clients tried,
- every acknowledged message was announced to the webhook,
- the queue is empty, the event log has no gaps, and every counter equals a recount in SQL.
"""

import sys

sys.dont_write_bytecode = True

import collections  # noqa: E402
import contextlib  # noqa: E402
import http.client  # noqa: E402
import itertools  # noqa: E402
import json  # noqa: E402
import random  # noqa: E402
import socket  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
import zlib  # noqa: E402

import loops  # noqa: E402
from harness import Api, Postfleet, Sink, WebhookReceiver, wait_until  # noqa: E402
from loops import Stage, is_up, query_of  # noqa: E402

MAILBOXES = 4
INBOUND_CLIENTS = 4
SENDING_CLIENTS = 3
# Clients that use up the day's messages of one mailbox, and how many those are for each kill.
SPENDING_CLIENTS, SPENT_PER_CYCLE = 8, 12
# Every so many inbound messages one is so large that its body is a file and not in its row.
LARGE_EVERY, LARGE_OCTETS = 40, 150_000
# Seconds from the moment at which the server listens until it is killed; every fifth time counted from its start, so
# that recovery itself is killed, too.
ALIVE = (0.05, 0.4)
# A delivery noted by the receiver this long before a kill cannot have been under way at the kill.
WINDOW = 2.0


class Ledger:
    """What was acknowledged, and what was tried."""

    def __init__(self):
        self.lock = threading.Lock()
        self.tried = {}
        self.acknowledged = collections.defaultdict(dict)
        # Sends that were answered again as before, and those that the quota refused.
        self.replayed, self.refused = 0, set()

    def note_tried(self, token, kind):
        with self.lock:
            self.tried[token] = kind

    def note_acknowledged(self, token, kind, value):
        with self.lock:
            self.acknowledged[kind][token] = value


class Tokens:
    """Names for what a client tries, each of its own; one that is put back comes again."""

    def __init__(self, client):
        self.client, self.numbers, self.back = client, itertools.count(), None

    def __iter__(self):
        return self

    def __next__(self):
        token, self.back = self.back or f"{self.client}-{next(self.numbers)}", None
        return token

    def put_back(self, token):
        self.back = token


class Load:
    """Clients that work until they are told to stop; a server that is away is waited for."""

    def __init__(self, server, key, grants, thrifty, ledger, seed):
        self.server, self.key, self.grants, self.thrifty, self.ledger = server, key, grants, thrifty, ledger
        self.stopping = threading.Event()
        self.failures = []
        work = [(self.receive, INBOUND_CLIENTS), (self.send, SENDING_CLIENTS), (self.spend, SPENDING_CLIENTS)]
        self.threads = [
            threading.Thread(target=self.until_stopped, args=(one, f"{one.__name__}{n}", random.Random(f"{seed}{n}")), daemon=True)
            for one, count in work
            for n in range(count)
        ]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(timeout=60)
            assert not thread.is_alive(), "a client does not end"

    def until_stopped(self, session, name, chance):
        # A token is tried once, unless its client puts it back: what became of it must stay clear.
        tokens = Tokens(name)
        while not self.stopping.is_set():
            try:
                for _ in session(chance, tokens):
                    if self.stopping.is_set():
                        break
            except (OSError, http.client.HTTPException):
                time.sleep(0.005)
            except Exception as error:  # noqa: BLE001
                self.failures.append(f"{name}: {error!r}")
                return

    def receive(self, chance, tokens):
        """One SMTP session with as many messages as it lives for."""
        with socket.create_connection(("127.0.0.1", self.server.smtp_port), timeout=30) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = connection.makefile("rwb")

            def say(text, expected):
                stream.write(text)
                stream.flush()
                while True:
                    line = stream.readline()
                    if not line.endswith(b"\n"):
                        raise ConnectionError("cut off")
                    if line[3:4] == b" ":
                        break
                if line[:1] != expected and line[:3] != b"421":
                    raise AssertionError(f"answer to {text[:40]!r}: {line!r}")
                if line[:3] == b"421":
                    raise ConnectionError(line)
                return line

            say(b"", b"2")
            say(b"EHLO client.test\r\n", b"2")
            for token in tokens:
                box = chance.randrange(MAILBOXES)
                body = chance.randbytes(LARGE_OCTETS // 2).hex() if chance.randrange(LARGE_EVERY) == 0 else "text"
                lines = "\r\n".join(body[at : at + 76] for at in range(0, len(body), 76))
                message = (
                    f"From: someone@people.test\r\nTo: box{box}@agents.test\r\nSubject: {token}\r\n"
                    f"Message-ID: <{token}@people.test>\r\n\r\n{lines}\r\n.\r\n"
                )
                say(b"MAIL FROM:<someone@people.test>\r\n", b"2")
                say(f"RCPT TO:<box{box}@agents.test>\r\n".encode(), b"2")
                say(b"DATA\r\n", b"3")
                self.ledger.note_tried(token, "inbound")
                say(message.encode(), b"2")
                self.ledger.note_acknowledged(token, "inbound", box)
                yield token

    def send(self, chance, tokens):
        """One HTTP connection with as many sends as it lives for."""
        for token in self.sends(tokens, lambda token: self.grants[zlib.crc32(token.encode()) % MAILBOXES]):
            # A pace that the receiver keeps up with.
            time.sleep(0.002)
            yield token

    def spend(self, chance, tokens):
        """As `send`, from the one mailbox that may send only so much."""
        for token in self.sends(tokens, lambda token: self.thrifty):
            time.sleep(0.05)
            yield token

    def sends(self, tokens, mailbox):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.http_port, timeout=30)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        with contextlib.closing(connection):
            connection.connect()
            for token in tokens:
                to = [{"email": f"{token}@sink.test"}]
                body = json.dumps({"to": to, "subject": token, "body": "text", "is_plaintext": True})
                self.ledger.note_tried(token, "outbound")
                # The answer may be lost with the server: the next one is asked for it under the same key.
                tokens.put_back(token)
                path = f"/v3/grants/{mailbox(token)}/messages/send"
                connection.request("POST", path, body, headers | {"Idempotency-Key": token})
                answer = connection.getresponse()
                data = answer.read()
                if answer.status == 503:
                    raise ConnectionError("not now")
                tokens.back = None
                if answer.status == 429:
                    with self.ledger.lock:
                        self.ledger.refused.add(token)
                elif answer.status == 200:
                    self.ledger.note_acknowledged(token, "outbound", json.loads(data)["data"]["id"])
                    with self.ledger.lock:
                        self.ledger.replayed += answer.getheader("Idempotent-Response") == "true"
                else:
                    raise AssertionError(f"{answer.status} {data!r}")
                yield token


def crash(server, cycles, chance, failures):
    """Kills and restarts the server; answers when it was killed, and how long it took to come back."""
    kills, starts = [], []
    for cycle in range(cycles):
        alive = chance.uniform(*ALIVE)
        if cycle % 5 == 4:
            time.sleep(alive)
        else:
            wait_until("the server to listen", lambda: is_up(server), every=0.005)
            time.sleep(alive)
        if failures:
            raise AssertionError(failures[0])
        server.kill()
        kills.append(time.monotonic())
        began = time.monotonic()
        server.spawn()
        if cycle % 5 != 3:
            wait_until("the server to listen", lambda: is_up(server), every=0.005)
            starts.append(time.monotonic() - began)
        if (cycle + 1) % 50 == 0:
            print(f"  {cycle + 1} cycles", flush=True)
    return kills, starts


# Counting -----------------------------------------------------------------------------------------------------------

# What must have no rows.
EMPTY = {
    "queue": "SELECT id FROM queue",
    "messages on their way out": "SELECT message_id FROM outbound",
    "waiting notifications": "SELECT position FROM webhook_lanes",
}

# What is kept, and what it must equal: two selections that have the same rows.
EQUAL = {
    "folder counts": (
        "SELECT grant_id, folder, total, unread FROM folder_counts WHERE total <> 0 OR unread <> 0",
        "SELECT l.grant_id, l.folder, count(*), sum(m.unread) FROM listings l JOIN messages m ON m.id = l.message_id "
        "WHERE l.folder <> '' GROUP BY 1, 2",
    ),
    "listings": (
        "SELECT message_id, count(*) FROM listings GROUP BY 1",
        "SELECT id, 2 FROM messages",
    ),
    "storage octets": (
        "SELECT grant_id, storage_octets FROM mailboxes WHERE storage_octets <> 0",
        "SELECT grant_id, sum(octets) FROM messages GROUP BY 1",
    ),
    "daily sends": (
        "SELECT grant_id, day, sent FROM daily_sends WHERE sent <> 0",
        "SELECT grant_id, date / 86400000000, count(*) FROM messages WHERE outgoing = 1 GROUP BY 1, 2",
    ),
    "copies of bodies": (
        "SELECT id, copies FROM blobs",
        "SELECT blob_id, count(*) FROM messages GROUP BY 1",
    ),
    "threads": (
        "SELECT DISTINCT thread_id, grant_id FROM messages",
        "SELECT id, grant_id FROM threads",
    ),
    "announcements of messages": (
        "SELECT message_id, grant_id, count(*) FROM events WHERE name = 'message.created' GROUP BY 1, 2",
        "SELECT id, grant_id, 1 FROM messages",
    ),
    "announcements of deliveries": (
        "SELECT message_id, count(*) FROM events WHERE name = 'message.delivered' GROUP BY 1",
        "SELECT id, 1 FROM messages WHERE outgoing = 1",
    ),
    "sequences of the mailboxes' events": (
        "SELECT grant_id, event_sequence, event_sequence FROM mailboxes",
        "SELECT grant_id, max(grant_sequence), count(DISTINCT grant_sequence) FROM events GROUP BY 1",
    ),
    "positions of events": (
        "SELECT position, position, position FROM event_head WHERE one = 1",
        "SELECT max(position), count(DISTINCT id), max(position) - min(position) + 1 FROM events",
    ),
    "grants": (
        "SELECT id, grant_count FROM organizations",
        "SELECT a.organization_id, count(*) FROM grants g JOIN applications a ON a.id = g.application_id GROUP BY 1",
    ),
}


def recount(query):
    """What does not add up."""
    wrong = []
    for name, sql in EMPTY.items():
        ((count,),) = query(f"SELECT count(*) FROM ({sql}) AS rows_left")
        if int(count):
            wrong.append(f"{name}: {count} rows are left")
    for name, (kept, counted) in EQUAL.items():
        for this, that in ((kept, counted), (counted, kept)):
            ((count,),) = query(f"SELECT count(*) FROM (SELECT * FROM ({this}) AS a EXCEPT SELECT * FROM ({that}) AS b) AS c")
            if int(count):
                wrong.append(f"{name}: {count} rows differ from a recount")
    return wrong


def compare(ledger, listed, sink, kills, announced):
    """Holds the ledger against what is there; answers findings and figures."""
    wrong = []
    inbound, outbound = ledger.acknowledged["inbound"], ledger.acknowledged["outbound"]
    copies = collections.Counter(message["subject"] for message in listed)
    delivered = collections.defaultdict(list)
    for taken in list(sink.taken):
        delivered[taken.recipients[0].split("@")[0]].append(taken.at)

    lost = [token for token in [*inbound, *outbound] if copies[token] != 1]
    if lost:
        wrong.append(f"{len(lost)} acknowledged messages are not listed exactly once, such as {lost[0]} ({copies[lost[0]]})")
    strange = [token for token, count in copies.items() if count > 1 or token not in ledger.tried]
    if strange:
        wrong.append(f"{len(strange)} messages are listed more than once or were never sent, such as {strange[0]}")
    undelivered = [token for token in outbound if token not in delivered]
    if undelivered:
        wrong.append(f"{len(undelivered)} accepted sends were not delivered, such as {undelivered[0]}")
    # What was stored although its answer was lost must be delivered as well, and nothing else may be.
    sent = {message["subject"] for message in listed if message["direction"] == "outbound"}
    if sent != set(delivered):
        wrong.append(f"{len(sent ^ set(delivered))} messages are either delivered or listed as sent, and not both")
    ids = {message["id"] for message in listed if message["subject"] in inbound or message["subject"] in outbound}
    if missing := ids - announced:
        wrong.append(f"{len(missing)} acknowledged messages were not announced to the webhook")

    duplicates = {token: times for token, times in delivered.items() if len(times) > 1}
    unexplained = [token for token, times in duplicates.items() if not all(explained(*pair, kills) for pair in zip(times, times[1:]))]
    if unexplained:
        wrong.append(f"{len(unexplained)} messages were delivered again without a kill in between, such as {unexplained[0]}")
    figures = {
        "inbound": len(inbound),
        "sends": len(outbound),
        "deliveries": sum(map(len, delivered.values())),
        "repeated": sum(len(times) - 1 for times in duplicates.values()),
        # How long before its kill a delivery was that had to be repeated.
        "gap": max((min(abs(first - kill) for kill in kills) for first, *_ in duplicates.values()), default=0),
        "unacknowledged": len(ledger.tried) - len(inbound) - len(outbound) - len(ledger.refused),
        "kept": sum(token not in inbound and token not in outbound for token in copies),
    }
    return wrong, figures


def explained(first, second, kills):
    """Whether a kill came so soon after the first delivery that its note was lost, and before the second."""
    return any(first - WINDOW < kill < first + WINDOW and kill < second for kill in kills)


# Running ------------------------------------------------------------------------------------------------------------


def main():
    parser = loops.parser(__doc__)
    parser.add_argument("--cycles", type=int, default=50)
    return loops.main(parser.parse_args(), run)


def run(arguments):
    with Stage("crash", arguments, f"{arguments.cycles} cycles") as stage:
        storage = stage.database()
        sink, receiver = stage.keep(Sink().start()), stage.keep(WebhookReceiver())
        server = Postfleet(stage.folder, sink.address, storage, stage.no_names())
        account = server.init()
        stage.serve(server)
        findings, figures = crash_and_compare(server, account, sink, receiver, stage.postgres, arguments.cycles, stage.chance)
        stage.report(findings, server)
    print(summary(arguments, figures, findings, stage.seconds()))
    return 1 if findings else 0


def crash_and_compare(server, account, sink, receiver, postgres, cycles, chance):
    api = Api(server, account["api_key"])
    grants = [api.mailbox(f"box{n}@agents.test") for n in range(MAILBOXES)]
    hook = {"trigger_types": ["message.created"], "webhook_url": receiver.url}
    status, _, answer = api.call("POST", "/v3/webhooks", hook)
    assert status in (200, 201), answer
    allowed = SPENT_PER_CYCLE * cycles
    thrifty = thrifty_mailbox(api, allowed)
    grants.append(thrifty)

    began_on = time.time() // 86_400
    ledger = Ledger()
    load = Load(server, account["api_key"], grants, thrifty, ledger, chance.random())
    load.start()
    kills, starts = crash(server, cycles, chance, load.failures)
    wait_until("the server to listen", lambda: is_up(server))
    time.sleep(0.3)
    day = time.time() // 86_400
    with contextlib.suppress(AssertionError):
        wait_until("the day's messages to be used up", lambda: ledger.refused or load.failures, 120, 0.1)
    load.stop()
    if load.failures:
        raise AssertionError(load.failures[0])

    query = query_of(server, postgres)
    drained_from = time.monotonic()
    findings = []
    try:
        wait_until("the queue to drain", lambda: int(query("SELECT count(*) FROM queue")[0][0]) == 0, 120, 0.1)
    except AssertionError as error:
        rows = query("SELECT attempts, last_reply, owner, due_at, count(*) FROM queue GROUP BY 1, 2, 3, 4 LIMIT 5")
        findings.append(f"{error}: {rows}")
    drained = time.monotonic() - drained_from
    spent = sum(token.startswith("spend") for token in ledger.acknowledged["outbound"])
    # Midnight gives a whole new allowance.
    if not ledger.refused or (spent != allowed and day == began_on):
        findings.append(f"{spent} messages were accepted from a mailbox that may send {allowed} a day")
    listed = [message for grant in grants for message in api.messages(grant, "&select=id,subject,direction")]

    def announced():
        return {one["data"]["object"]["id"] for one in receiver.of_type("message.created")}

    expected = {message["id"] for message in listed}
    with contextlib.suppress(AssertionError):
        wait_until("the notifications", lambda: expected <= announced(), 120, 0.5)
    differing, figures = compare(ledger, listed, sink, kills, announced())
    figures |= {"drained": drained, "slowest": max(starts, default=0), "events": int(query("SELECT count(*) FROM events")[0][0])}
    figures |= {"replayed": ledger.replayed, "spent": spent}
    figures |= {"notifications": len(receiver.received), "announced": len(announced())}
    # Whether every kept body can be read, and not only its row.
    for grant in grants:
        for message in api.messages(grant):
            if message["direction"] == "inbound" and len(message["body"].strip()) not in (4, LARGE_OCTETS + 2 * (LARGE_OCTETS // 76)):
                findings.append(f"{message['subject']} has a body of {len(message['body'])} octets")
    server.stop()
    if not figures["inbound"] or not figures["sends"]:
        findings.append("nothing was acknowledged, so nothing was tested")
    return findings + differing + recount(query), figures


def thrifty_mailbox(api, daily):
    """A mailbox that may send so many messages a day."""
    limits = {"limit_count_daily_email_sent": daily}
    status, _, policy = api.call("POST", "/v3/policies", {"name": "Thrifty", "limits": limits})
    assert status == 200, policy
    status, _, workspace = api.call("POST", "/v3/workspaces", {"name": "Thrifty", "policy_id": policy["data"]["id"]})
    assert status == 200, workspace
    grant = api.mailbox("thrifty@agents.test")
    move = {"workspace_id": workspace["data"]["workspace_id"]}
    status, _, moved = api.call("PATCH", f"/v3/grants/{grant}", move)
    assert status == 200, moved
    return grant


def summary(arguments, figures, findings, seconds):
    return (
        f"crash loop on {arguments.engine}: {arguments.cycles} kills; acknowledged {figures['inbound']:,} inbound and "
        f"{figures['sends']:,} sends, {figures['deliveries']:,} deliveries of which {figures['repeated']} repeated (at most {figures['gap']:.2f} s from a kill); "
        f"{figures['replayed']} answered again under their key, {figures['spent']:,} of one mailbox with so many a day; "
        f"unacknowledged {figures['unacknowledged']:,} of which {figures['kept']} were kept; {figures['events']:,} events, "
        f"{figures['notifications']:,} notifications of {figures['announced']:,} messages; drained in {figures['drained']:.1f} s, "
        f"slowest start {figures['slowest']:.2f} s; {len(findings)} findings; {seconds:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
