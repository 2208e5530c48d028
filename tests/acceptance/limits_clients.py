"""Writers for `limits_loop.py`: threads of one process that send by every path, and keep what they were told.

They speak HTTP and SMTP over kept connections by hand, so that the server is what takes the time. A server that is away is
waited for. What was asked under a key, or of a draft, is asked again until it is answered; of anything else whose answer was
lost nothing is known.
"""

import base64
import json
import random
import socket
import ssl
import threading
import time

from harness import end_with_parent

# How each of 100 sends by HTTP is made.
PATHS = ["json"] * 30 + ["keyed"] * 15 + ["mime"] * 15 + ["draft"] * 15 + ["later"] * 15 + ["keyed later"] * 10
# Seconds from now on to which sends are put off.
LATER = (62, 150)
BOUNDARY = "b0undary-of-parts"


def text_of(chance, octets):
    """Some text, in lines."""
    length = chance.randrange(*octets)
    return "\r\n".join("x" * min(70, length - at) for at in range(0, length, 70))


class Lost(Exception):
    """The answer did not come."""


def work(plan, name, progress, allowed, offset, stopping, path):
    """One process: `plan.threads` writers that make `plan.tickets` attempts together. Writes what they were told to `path`."""
    end_with_parent()
    pool = Pool(plan, progress, allowed, offset, stopping)
    makers = [Submitter] * len(plan["clients"]) + [Caller] * (plan["threads"] - len(plan["clients"]))
    writers = [maker(pool, f"{name}{number}", number) for number, maker in enumerate(makers)]
    threads = [threading.Thread(target=writer.run, daemon=True) for writer in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open(path, "w") as file:
        json.dump({"told": [record for writer in writers for record in writer.told], "failures": pool.failures}, file)


class Pool:
    """What the writers of a process share."""

    def __init__(self, plan, progress, allowed, offset, stopping):
        self.plan, self.progress, self.allowed = plan, progress, allowed
        self.offset, self.stopping = offset, stopping
        self.lock = threading.Lock()
        self.left = plan["tickets"]
        self.failures = []

    def take_ticket(self):
        """Waits until one more attempt may be made; answers whether there is one left."""
        while True:
            with self.lock:
                if self.left == 0 or self.stopping.value or self.failures:
                    return False
                if self.progress.value < self.allowed.value:
                    self.left -= 1
                    self.progress.value += 1
                    return True
            time.sleep(0.002)

    def now(self):
        """The server's time."""
        return time.time() + self.offset.value


class Writer:
    def __init__(self, pool, name, number):
        self.pool, self.name, self.number = pool, name, number
        self.chance = random.Random(f"{pool.plan['seed']} {name}")
        self.told = []
        self.stream = None

    def run(self):
        count = 0
        while self.pool.take_ticket():
            count += 1
            try:
                self.told.append(self.attempt(f"{self.name}-{count}"))
            except Exception as error:  # noqa: BLE001
                self.pool.failures.append(f"{self.name}: {error!r}")
                return

    def connected(self, connect):
        """Waits until the server is there."""
        end = time.monotonic() + 120
        while self.stream is None:
            try:
                connect()
            except (OSError, Lost):
                self.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)

    def close(self):
        if self.stream is not None:
            self.stream.close()
            self.connection.close()
        self.stream = None

    def open(self, port, wrap=lambda connection: connection):
        connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = wrap(connection)
        self.stream = self.connection.makefile("rb")


class Caller(Writer):
    """Sends by HTTP, each time from another mailbox and by another path."""

    def attempt(self, token):
        accounts = self.pool.plan["accounts"]
        (at,) = self.chance.choices(range(len(accounts)), self.pool.plan["weights"])
        account, path = accounts[at], self.chance.choice(PATHS)
        if account["is_slow"] and path.endswith("later") and self.chance.randrange(5):
            # Of those of which few leave in a second, few are put off.
            path = "json"
        grant = f"/v3/grants/{account['id']}"
        text = text_of(self.chance, account["octets"])
        message = {"to": [{"email": f"{token}@sink.test"}], "subject": token, "body": text, "is_plaintext": True}
        key = {"Idempotency-Key": token} if path.startswith("keyed") else {}
        if path.endswith("later"):
            message["send_at"] = int(self.pool.now()) + self.chance.randrange(*LATER)
        if path == "draft":
            answer = self.send_draft(account, grant, message)
        elif path == "mime":
            raw = f"From: {account['email']}\r\nTo: {token}@sink.test\r\nSubject: {token}\r\n\r\n{text}\r\n"
            part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="mime"\r\n\r\n{raw}\r\n--{BOUNDARY}--\r\n'
            kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
            answer = self.ask(account, "POST", f"{grant}/messages/send?type=mime", part.encode(), kind)
        else:
            answer = self.ask(account, "POST", f"{grant}/messages/send", json.dumps(message).encode(), key, again=bool(key))
        return {"token": token, "account": account["id"], "path": path} | self.understood(answer)

    def send_draft(self, account, grant, message):
        """Makes a draft and sends it; one that may not be sent is removed, or its copy would take of the storage."""
        status, body = self.ask(account, "POST", f"{grant}/drafts", json.dumps(message).encode())
        if status != 200:
            return (status, body)
        draft = f"{grant}/drafts/{body['data']['id']}"
        status, sent = self.ask(account, "POST", draft, b"", again=True)
        if status == 409 and sent["error"]["code"] == "draft_already_sent":
            return (200, {"data": body["data"] | {"date": None}})
        if status in (403, 429):
            self.ask(account, "DELETE", draft, b"", again=True)
        return (status, sent)

    def ask(self, account, method, path, body, headers=None, again=False):
        """Status and body of the answer; status 0 if it was lost. With `again`, asks until there is one."""
        told = {"Host": "mx", "Authorization": f"Bearer {account['key']}", "Content-Type": "application/json"}
        told |= (headers or {}) | {"Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        request = f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body
        while True:
            self.connected(lambda: self.open(self.pool.plan["http"]))
            try:
                self.connection.sendall(request)
                return self.answer()
            except (OSError, Lost):
                self.close()
                if not again:
                    return (0, None)

    def answer(self):
        line = self.stream.readline()
        status, length = int(line[9:12] or 0), None
        while line not in (b"\r\n", b""):
            line = self.stream.readline()
            if line.lower().startswith(b"content-length:"):
                length = int(line[15:])
        body = self.stream.read(length or 0)
        if length is None or len(body) < length:
            raise Lost
        return (status, json.loads(body) if body else None)

    def understood(self, answer):
        status, body = answer
        if status == 0:
            return {"outcome": "lost"}
        if status == 200:
            return {"outcome": "accepted", "id": body["data"]["id"], "at": body["data"]["date"]}
        if status == 202 and "hold" in body:
            return {"outcome": "held", "id": body["data"]["id"], "hold": body["hold"]["id"]}
        if status == 202 and "schedule_id" in body:
            return {"outcome": "later", "id": body["data"]["id"], "schedule": body["schedule_id"]}
        if status == 202:
            return {"outcome": "waits", "id": body["data"]["id"]}
        if status in (403, 409, 429) or (status == 400 and body["error"].get("field") == "send_at"):
            error = body["error"]
            return {"outcome": "refused"} | {name: error.get(name) for name in ("code", "scope", "limit", "used", "resets_at")}
        raise AssertionError(f"{status} {body}")


class Submitter(Writer):
    """A mail client of one mailbox: one session of SMTP over TLS for as long as it lives."""

    def __init__(self, pool, name, number):
        super().__init__(pool, name, number)
        self.account = pool.plan["accounts"][pool.plan["clients"][number]]
        self.trusting = ssl.create_default_context()
        self.trusting.check_hostname, self.trusting.verify_mode = False, ssl.CERT_NONE

    def sign_in(self):
        self.open(self.pool.plan["submissions"], self.trusting.wrap_socket)
        secret = base64.b64encode(f"\0{self.account['email']}\0{self.pool.plan['password']}".encode()).decode()
        for text, expected in (("", "220"), ("EHLO laptop.test", "250"), (f"AUTH PLAIN {secret}", "235")):
            if not (reply := self.say(text)).startswith(expected):
                raise AssertionError(reply)

    def say(self, text):
        """The last line of the reply."""
        if text:
            self.connection.sendall(text.encode() + b"\r\n")
        while True:
            line = self.stream.readline()
            if not line.endswith(b"\n") or line.startswith(b"421"):
                raise Lost
            if line[3:4] == b" ":
                return line.decode().strip()

    def attempt(self, token):
        # They are each of one mailbox, and would take most of the attempts.
        time.sleep(self.chance.uniform(0, 0.1))
        text = text_of(self.chance, self.account["octets"])
        told = {"token": token, "account": self.account["id"], "path": "smtp"}
        message = f"From: {self.account['email']}\r\nTo: {token}@sink.test\r\nSubject: {token}\r\n\r\n{text}\r\n."
        self.connected(self.sign_in)
        try:
            for command, expected in (
                (f"MAIL FROM:<{self.account['email']}>", "250"),
                (f"RCPT TO:<{token}@sink.test>", "250"),
                ("DATA", "354"),
            ):
                if not (reply := self.say(command)).startswith(expected):
                    raise AssertionError(f"{command}: {reply}")
            reply = self.say(message)
        except (OSError, Lost):
            self.close()
            return told | {"outcome": "lost"}
        if reply.startswith("250"):
            name = "held" if "held" in reply else "accepted"
            return told | {"outcome": name, "id": reply.split()[-1], "at": None}
        if reply[:3] in ("450", "451", "452"):
            return told | {"outcome": "refused", "code": reply}
        raise AssertionError(reply)
