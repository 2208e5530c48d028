"""A fleet on several nodes: processes of the server on one PostgreSQL and one folder of bodies, and those who use them as if they were one.

Whoever uses a node that ends goes on at the next, as behind a balancer: a mail server hands its message over there, a program asks again
under the same key, and who reads a stream comes back with the cursor of the last event.
"""

import http.client
import itertools
import random
import re
import shutil
import signal
import smtplib
import threading

from events_ledger import Logged, Receipt
from harness import Api, NoNames, Postfleet, Postgres, Sink, WebhookReceiver
from loops import all_of, ask
from test_streams import Ended, ServerSent

# The first is there; the others come while it works. The last one is at the edge: others deliver and tell what it accepts.
WORKERS, EDGE = ("node-1", "node-2", "node-3"), "edge-1"
# The paths of the webhooks that there are before others come, so many that one goes over to them; each of them has one of its name.
OF_FIRST = (WORKERS[0], "second", "third")
EDGE_ROLES = '["api", "mx"]'
# Seconds after which a delivery is another node's if its own does not end it; the deadlines of an attempt are a third of it.
LEASE = 12
# Messages that each node has under way at one destination at once.
AT_ONCE = 5
# Sends of all sandbox applications together, in any second.
RATE = 5
PLANS = f'[plans.fleet]\nbased_on = "self_hosted"\nsandbox_sends_per_second = {RATE}\n'
MAILBOXES, DESTINATIONS = 6, 4
TOLD = "message.created"
# Every so many messages one is so large that its body is a file, which is in the folder that the nodes share.
LARGE_EVERY, LARGE_OCTETS = 10, 150_000
# Seconds between two things that one client does.
PACE = 0.02


class Fleet:
    """The nodes, the world around them, and the application whose mailboxes they have."""

    def __init__(self, folder):
        self.folder, self.servers, self.names = folder, {}, NoNames()
        self.postgres = Postgres(folder / "postgres").start()
        self.sink, self.receiver = Sink().start(), WebhookReceiver()

    def found(self):
        """The first node, alone."""
        first = self.node(WORKERS[0])
        self.made = first.init(plan="fleet")
        first.start()
        self.grants = [self.api().mailbox(f"box{number}@agents.test") for number in range(MAILBOXES)]
        for name in OF_FIRST:
            self.subscribe(WORKERS[0], name)

    def grow(self):
        """Starts the other nodes beside the one that works. That one is told nothing of them."""
        for name in (*WORKERS[1:], EDGE):
            self.join(name)

    def join(self, name):
        server = self.node(name)
        server.data.mkdir(mode=0o700)
        shutil.copy(self.servers[WORKERS[0]].data / "secret", server.data)
        server.start()
        if name in WORKERS:
            self.subscribe(name, name)

    def node(self, name):
        """A node that is not started; it has a folder of its own, and shares the bodies and the database."""
        folder = self.folder / name
        folder.mkdir()
        settings = {
            "POSTFLEET_SERVER__NODE": name,
            "POSTFLEET_STORAGE__BLOBS": f"file:{self.folder}/blobs",
            "POSTFLEET_DELIVERY__LEASE_SECONDS": str(LEASE),
            "POSTFLEET_DELIVERY__DESTINATION_CONCURRENCY": str(AT_ONCE),
            **({"POSTFLEET_SERVER__ROLES": EDGE_ROLES} if name == EDGE else {}),
            **self.names.settings,
        }
        self.servers[name] = Postfleet(folder, self.sink.address, self.postgres.url, settings, PLANS)
        return self.servers[name]

    def subscribe(self, name, path):
        """A webhook that is made at a node, which tells it until it has more than its share."""
        body = {"trigger_types": [TOLD], "webhook_url": f"{self.receiver.url}/{path}"}
        ask(self.api(name), "POST", "/v3/webhooks", body)

    def api(self, name=WORKERS[0]):
        return Api(self.servers[name], self.made["api_key"])

    def operator(self, name):
        return Api(self.servers[name], self.made["operator_key"])

    def running(self):
        return {name: server for name, server in self.servers.items() if server.is_running()}

    def apis(self):
        """One of each node that runs."""
        return [self.api(name) for name in self.running()]

    def counted(self, metric, *labels):
        """What each node has counted since its start: by its name the sum of the series with these labels."""
        texts = {name: self.api(name).call("GET", "/metrics")[2].decode() for name in self.running()}
        return {name: sum(series(text, metric, labels)) for name, text in texts.items()}

    def listed(self, api):
        """What a node lists of all mailboxes: by its id the subject of each message."""
        select = "&select=id,subject"
        return {message["id"]: message["subject"] for grant in self.grants for message in api.messages(grant, select)}

    def log(self, tokens):
        """The events of the log that say that messages with these subjects are there, oldest first."""
        ids = {id for id, subject in self.listed(self.api()).items() if subject in tokens}
        events = reversed(all_of(self.api(), "/v3/events"))
        logged = [Logged(*(one[name] for name in ("id", "type", "grant_id", "grant_sequence", "message_id"))) for one in events]
        return [event for event in logged if event.kind == TOLD and event.message in ids]

    def receipts(self, path, log):
        """The notifications of these events at a webhook, in the order in which they were taken."""
        messages = {event.message for event in log}
        of_webhook = [one for one in list(self.receiver.received) if one.path == f"/{path}"]
        parsed = [(one.at, one.json) for one in of_webhook]
        return [receipt(at, said) for at, said in parsed if said["data"]["object"]["id"] in messages]

    def close(self):
        for server in self.servers.values():
            server.kill()
        for one in (self.receiver, self.sink, self.names):
            one.close()
        # Nobody reads again what it has.
        self.postgres.end(signal.SIGQUIT)


def series(text, metric, labels):
    for line in text.splitlines():
        if re.match(rf"{metric}\b", line) and all(label in line for label in labels):
            yield float(line.rpartition(" ")[2])


def receipt(at, said):
    data = said["data"]
    return Receipt(at, said["id"], said["type"], data["grant_id"], data["grant_sequence"], said["webhook_delivery_attempt"])


def times_taken(sink):
    """By the subject of each send, when the sink took it, and under which Message-ID."""
    taken = {}
    for one in list(sink.taken):
        named = re.search(rb"^Message-ID:\s*(\S+)", one.raw, re.IGNORECASE | re.MULTILINE)[1]
        taken.setdefault(one.recipients[0].split("@")[0], []).append((one.at, named))
    return taken


class User(threading.Thread):
    """Uses a node for as long as that lives, and then the next one; what fails is told to the test."""

    def __init__(self, fleet, name):
        super().__init__(daemon=True)
        names = list(fleet.running())
        at = names.index(name)
        self.fleet, self.failed, self.moves = fleet, None, 0
        self.stopping = threading.Event()
        self.ways = itertools.cycle([fleet.servers[one] for one in names[at:] + names[:at]])
        self.server = next(self.ways)

    def move(self):
        self.server = next(self.ways)
        self.moves += 1

    def run(self):
        try:
            self.work()
        except Exception as error:  # noqa: BLE001: told to the test
            self.failed = repr(error)

    def look(self):
        assert self.failed is None, self.failed

    def stop(self):
        self.stopping.set()
        self.join(60)
        assert not self.is_alive()
        self.look()


class Client(User):
    """Hands mail over and sends, one after the other; keeps how often it tried each, once it was accepted."""

    def __init__(self, fleet, name, part):
        super().__init__(fleet, name)
        self.part, self.mail, self.sends = f"{part}-{name}", {}, {}
        self.smtp = None
        self.start()

    def work(self):
        for number in itertools.count():
            if self.stopping.wait(PACE):
                return
            token = f"{self.part}-{number}"
            self.mail[f"{token}-in"] = self.until_answered(self.hand_over, f"{token}-in", number)
            self.sends[f"{token}-out"] = self.until_answered(self.send, f"{token}-out", number)

    def has_done(self, sends):
        self.look()
        return len(self.sends) >= sends

    def until_answered(self, do, token, number):
        for tries in itertools.count(1):
            try:
                do(token, number)
                return tries
            except (ConnectionError, smtplib.SMTPServerDisconnected, http.client.HTTPException):
                self.smtp = None
                self.move()

    def hand_over(self, token, number):
        self.smtp = self.smtp or self.server.smtp()
        to = f"box{number % MAILBOXES}@agents.test"
        text = "x" * 70 + "\r\n" if number % LARGE_EVERY else body_of(token)
        header = f"From: ada@people.test\r\nTo: {to}\r\nSubject: {token}\r\nMessage-ID: <{token}@people.test>\r\n"
        self.smtp.sendmail("ada@people.test", [to], f"{header}\r\n{text}")

    def send(self, token, number):
        to = [{"email": f"{token}@people{number % DESTINATIONS}.test"}]
        path = f"/v3/grants/{self.fleet.grants[number % MAILBOXES]}/messages/send"
        body = {"to": to, "subject": token, "body": "Hello"}
        api = Api(self.server, self.fleet.made["api_key"])
        status, _, answer = api.call("POST", path, body, headers={"Idempotency-Key": token})
        assert status == 200, answer


def body_of(token):
    """A large body that does not become small by packing, and is each message's own."""
    octets = random.Random(token).randbytes(LARGE_OCTETS // 2).hex()
    return "".join(octets[at : at + 76] + "\r\n" for at in range(0, len(octets), 76))


class Follower(User):
    """Reads the stream of new messages from a cursor on."""

    def __init__(self, fleet, name, cursor):
        super().__init__(fleet, name)
        self.cursor, self.seen = cursor, []
        self.start()

    def work(self):
        while not self.stopping.is_set():
            try:
                stream = self.connected()
            except (OSError, Ended, http.client.HTTPException):
                self.move()
                continue
            try:
                self.read(stream)
            except Ended:
                self.move()
            finally:
                stream.close()

    def stop(self):
        # It ends with the next sign of life, which is not waited for.
        self.stopping.set()
        self.look()

    def has_seen(self, events):
        self.look()
        return len(self.seen) >= events

    def connected(self):
        return ServerSent(self.server, self.fleet.made["api_key"], f"types={TOLD}&heartbeat=5&after={self.cursor}")

    def read(self, stream):
        while not self.stopping.is_set():
            event = stream.next()
            self.cursor = stream.cursor
            if event:
                self.seen.append(event["id"])


def cursor_of(fleet):
    """The end of the log, as somebody knows it who reads from there on."""
    stream = ServerSent(fleet.servers[WORKERS[0]], fleet.made["api_key"])
    stream.close()
    return stream.cursor
