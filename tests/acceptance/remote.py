"""A server whose mail goes to servers that the tests play, by the names that they play as well; and what became of it,
as the senders, the operators and the subscribers see it."""

import base64
import email
import email.policy
import itertools
import uuid
from dataclasses import dataclass

from harness import Api, Postfleet, WebhookReceiver, free_port, wait_until
from scripted import Authority, Names, Scripted

TRIGGERS = ["message.delivered", "message.bounced", "message.send_failed", "message.rejected"]


class Internet:
    """Names, servers and one Postfleet among them. Each remote server has a domain and a loopback address of its own."""

    def __init__(self, folder, storage=None, port=None, settings=None):
        self.names = Names()
        self.authority = Authority(folder)
        self.port = port or free_port()
        self.count = itertools.count(1)
        self.servers = []
        # Other tests' servers may run at the same time.
        self.network = 16 + uuid.uuid4().bytes[0] % 224
        self.receiver = WebhookReceiver()
        settings = {
            "POSTFLEET_DELIVERY__NAMESERVERS": f'["{self.names.address}"]',
            "POSTFLEET_DELIVERY__MX_PORT": str(self.port),
            **(settings or {}),
        }
        self.server = Postfleet(folder, storage=storage, settings=settings)
        account = self.server.init()
        self.server.start()
        self.api = Api(self.server, account["api_key"])
        self.operator = Api(self.server, account["operator_key"])
        wish = {"trigger_types": TRIGGERS, "webhook_url": self.receiver.url}
        status, _, answer = self.api.call("POST", "/v3/webhooks", wish)
        assert status in (200, 201), answer

    def close(self):
        self.server.stop()
        self.receiver.close()
        self.names.close()
        for server in self.servers:
            server.close()

    def address(self):
        number = next(self.count)
        return f"127.{self.network}.{number // 250}.{number % 250 + 1}"

    def domain(self):
        return f"d{next(self.count)}.remote.test"

    def remote(self, script=None, domain=None, is_vouched=False, certificate=None, **manner):
        """A server for a domain of its own. `certificate` says what is special about the one that it shows."""
        domain = domain or self.domain()
        host = f"mx.{domain}"
        context = None if certificate is None else self.authority.context(**{"host": host, **certificate})
        server = Scripted(self.address(), self.port, script or {}, context=context, name=host, **manner).start()
        server.domain = domain
        self.servers.append(server)
        self.names.host(domain, (host, server.address), is_vouched=is_vouched)
        return server

    def sender(self):
        """A mailbox that nobody else uses."""
        box = f"box{next(self.count)}@agents.test"
        return Sender(self, box, self.api.mailbox(box))


@dataclass
class Sender:
    internet: Internet
    box: str
    grant: str

    def send(self, *recipients, body="Hello there.", **fields):
        message = {"to": [{"email": one} for one in recipients], "subject": "Hello", "body": body, **fields}
        return self._sent(*self.internet.api.call("POST", f"/v3/grants/{self.grant}/messages/send", message))

    def send_source(self, source):
        """Sends a message that somebody else has composed."""
        head = 'Content-Disposition: form-data; name="mime"; filename="m.eml"\r\nContent-Type: message/rfc822\r\n\r\n'
        form = b"--f\r\n" + head.encode() + source + b"\r\n--f--\r\n"
        path = f"/v3/grants/{self.grant}/messages/send?type=mime"
        return self._sent(*self.internet.api.call("POST", path, form, {"Content-Type": "multipart/form-data; boundary=f"}))

    def _sent(self, status, _, answer):
        assert status == 200, answer
        return Sent(self, answer["data"]["id"], answer["data"]["thread_id"])

    def inbox(self):
        return self.internet.api.messages(self.grant, "&in=inbox")


@dataclass
class Sent:
    sender: Sender
    id: str
    thread: str

    @property
    def internet(self):
        return self.sender.internet

    def life(self):
        status, _, answer = self.internet.api.call("GET", f"/v3/queue/{self.id}")
        # Its record begins with its first attempt.
        return answer["data"] if status == 200 else {"state": "sending", "attempts": [], "recipients": []}

    def attempted(self, times=1):
        """Its life once it was tried so often, at one server each time."""

        def known():
            life = self.life()
            return life if len(life["attempts"]) >= times and life["state"] != "sending" else None

        life = wait_until(f"{times} attempts", known, every=0.02)
        assert len(life["attempts"]) == times, life
        return life

    def done(self):
        def known():
            life = self.life()
            return life if life["state"] == "done" else None

        return wait_until("the message to have left the queue", known, every=0.02)

    def retry(self):
        status, _, answer = self.internet.api.call("POST", f"/v3/queue/{self.id}/retry")
        assert status == 200, answer

    def answer(self):
        """What was said last, to everybody."""
        (answer,) = self.life()["attempts"][-1]["answers"]
        return answer

    def announced(self, count):
        """All that was announced about it, as (trigger, its object), once it is that many."""

        def known():
            told = [one.json for one in list(self.internet.receiver.received)]
            mine = [(one["type"], one["data"]["object"]) for one in told if one["data"]["object"]["id"] == self.id]
            return mine if len(mine) >= count else None

        found = wait_until(f"{count} events", known, every=0.02)
        assert len(found) == count, found
        return found

    def notice(self):
        """The report in the sender's inbox, which has nothing else: the report's text and its fields by recipient."""
        (notice,) = self.sender.inbox()
        assert notice["thread_id"] == self.thread, "the report belongs to the conversation"
        path = f"/v3/grants/{self.sender.grant}/messages/{notice['id']}?fields=raw_mime"
        raw = self.internet.api.call("GET", path)[2]["data"]["raw_mime"]
        raw = base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4))
        assert not [octet for octet in raw if octet < 32 and octet not in b"\r\n\t" or octet == 127]
        report = email.message_from_bytes(raw, policy=email.policy.default)
        assert report.get_content_type() == "multipart/report"
        text, status, *_ = report.iter_parts()
        _, *recipients = status.get_payload()
        by_recipient = {one["Final-Recipient"].split(";")[1].strip(): one for one in recipients}
        return text.get_content(), by_recipient
