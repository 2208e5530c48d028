"""Who hands over mail while things fail: mail servers by SMTP, and a program that sends by the JSON interface.

What is put off is tried again, as such clients do; what each was told is written down outside of the server.
"""

import collections
import contextlib
import http.client
import itertools
import random
import socket
import threading
import time

from failures_ledger import CALM, Offer, digest
from harness import wait_until

MAILBOXES, SENDERS = 4, 6
LARGE_EVERY, LARGE_OCTETS = 4, 150_000
# Seconds after which a sender takes its session for dead. Nothing here lasts that long.
SESSION = 240
# Who has waited so long for an answer waits for the fault to end; if not, it is taken for that too early, and nothing is lost.
STUCK = 0.5
SENDER = "someone@people.test"


class Senders:
    """Mail servers that hand over what they have, and try again what was put off."""

    def __init__(self, port, chance):
        self.port, self.stopping, self.lock = port, threading.Event(), threading.Lock()
        self.messages, self.offers, self.failures = {}, [], []
        # The fault that is on, and how many offers there were before it.
        self.fault, self.mark = CALM, 0
        # By sender: since when an answer is waited for, and whether it is about a large message that is on its way.
        self.asking = [None] * SENDERS
        seeds = [chance.random() for _ in range(SENDERS)]
        self.threads = [threading.Thread(target=self.run, args=(n, random.Random(seeds[n])), daemon=True) for n in range(SENDERS)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(timeout=SESSION + 60)
            assert not thread.is_alive(), "a sender does not end"
        self.look()

    def look(self):
        assert not self.failures, self.failures[0]

    # What has happened ----------------------------------------------------------------------------------------------

    def begin(self, fault):
        """From now on what is answered is answered under this fault."""
        with self.lock:
            self.fault, self.mark = fault, len(self.offers)

    def since(self, mark):
        self.look()
        with self.lock:
            return self.offers[mark:]

    def were_told(self, fault):
        """One was told what it must be, and where small messages are spared, one of these was taken."""
        offers = [offer for offer in self.since(self.mark) if offer.fault == fault.name]
        small = any(offer.answer == "250" and not offer.is_large for offer in offers)
        return any(offer.answer in fault.must for offer in offers) and (small or not fault.spares_small)

    def have_gone_on(self, mark):
        """Each was answered twice."""
        counts = collections.Counter(sender_of(offer.token) for offer in self.since(mark))
        return min(counts[number] for number in range(SENDERS)) >= 2

    def have_been_served(self, mark):
        """Each of them, for each mailbox, and with a large message."""
        taken = [offer for offer in self.since(mark) if offer.answer == "250"]
        served, boxes = {sender_of(offer.token) for offer in taken}, {self.messages[offer.token][0] for offer in taken}
        return len(served) == SENDERS and len(boxes) == MAILBOXES and any(offer.is_large for offer in taken)

    def are_stuck(self, with_large_ones):
        """All wait for an answer; or one does that hands over a large message, after a small one was taken."""
        self.look()
        now = time.monotonic()
        stuck = [asking for asking in list(self.asking) if asking and now - asking[0] > STUCK]
        if not with_large_ones:
            return len(stuck) == SENDERS
        small = any(offer.answer == "250" and not offer.is_large for offer in self.since(self.mark))
        return small and any(is_large for _, is_large in stuck)

    # What they do ---------------------------------------------------------------------------------------------------

    def run(self, number, chance):
        put_off, numbers = collections.deque(), itertools.count()
        while not self.stopping.is_set():
            try:
                with Session(self.port) as session:
                    while not self.stopping.is_set():
                        if put_off and chance.random() < 0.5:
                            token, box, body = put_off.popleft()
                        else:
                            token, box, body = self.compose(f"s{number}-{next(numbers)}", chance)
                        answer = self.offer(session, number, token, box, body, put_off)
                        time.sleep(0.01 if answer == "250" else 0.05)
            except OSError:
                time.sleep(0.05)
            except Exception as error:  # noqa: BLE001
                self.failures.append(f"sender {number}: {error!r}")
                return

    def compose(self, token, chance):
        text = chance.randbytes(LARGE_OCTETS // 2 if is_large(token) else chance.randrange(1, 2000)).hex()
        body = "\r\n".join(text[at : at + 76] for at in range(0, len(text), 76))
        box = chance.randrange(MAILBOXES)
        with self.lock:
            self.messages[token] = (box, digest(body))
        return token, box, body

    def offer(self, session, number, token, box, body, put_off):
        """Hands over one message and notes what was said; who is sent away begins a new session."""
        self.asking[number] = (time.monotonic(), is_large(token))
        try:
            answer, had_content = session.deliver(token, box, body)
        except OSError:
            put_off.append((token, box, body))
            if session.had_content:
                self.note(token, "cut", True)
            raise
        finally:
            self.asking[number] = None
        if answer != "250":
            put_off.append((token, box, body))
        self.note(token, answer, had_content)
        if answer.startswith("421"):
            raise ConnectionError(answer)
        return answer

    def note(self, token, answer, had_content):
        with self.lock:
            fault = CALM if self.fault is CALM else self.fault.name
            self.offers.append(Offer(token, answer, fault, is_large(token), had_content))


def is_large(token):
    return int(token.split("-")[1]) % LARGE_EVERY == LARGE_EVERY - 1


def sender_of(token):
    return int(token.split("-")[0][1:])


class Session:
    """One SMTP session."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SESSION)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.socket.makefile("rwb")
        self.had_content = False

    def __enter__(self):
        try:
            self.say(b"")
            self.say(b"EHLO client.test\r\n")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.stream.close()
        self.socket.close()

    def say(self, text):
        """The code of the answer; of a refusal with its enhanced code."""
        self.stream.write(text)
        self.stream.flush()
        while True:
            line = self.stream.readline()
            if not line.endswith(b"\n"):
                raise ConnectionError("cut off")
            if line[3:4] == b" ":
                break
        code, *rest = line.decode().split(" ", 2)
        return code if code[0] in "23" else f"{code} {rest[0].strip()}"

    def deliver(self, token, box, body):
        """Hands over one message; answers the last word on it and whether its content was on its way."""
        self.had_content = False
        for command in (f"MAIL FROM:<{SENDER}>", f"RCPT TO:<box{box}@agents.test>", "DATA"):
            answer = self.say(f"{command}\r\n".encode())
            if answer[0] not in "23":
                if not command.startswith("MAIL") and not answer.startswith("421"):
                    self.say(b"RSET\r\n")
                return answer, False
        self.had_content = True
        head = f"From: {SENDER}\r\nTo: box{box}@agents.test\r\nSubject: {token}\r\nMessage-ID: <{token}@people.test>\r\n\r\n"
        return self.say(f"{head}{body}\r\n.\r\n".encode()), True


class Program:
    """Sends one message for each fault, and asks again under its key until it was accepted."""

    def __init__(self, api, grant):
        self.api, self.path = api, f"/v3/grants/{grant}/messages/send"
        self.accepted, self.numbers = [], itertools.count()

    def begin(self):
        self.token = f"program-{next(self.numbers)}"

    def ask(self):
        """Sends; answers what was wrong with the answer, if it was neither that nor "try again"."""
        body = {"to": [{"email": f"{self.token}@sink.test"}], "subject": self.token, "body": "text", "is_plaintext": True}
        try:
            status, _, answer = self.api.call("POST", self.path, body, {"Idempotency-Key": self.token})
        except (OSError, http.client.HTTPException):
            return None
        if status == 200:
            if self.token not in self.accepted:
                self.accepted.append(self.token)
            return None
        if status == 503 and answer["error"]["retryable"]:
            return None
        return f"a send was answered {status} {answer}"

    def until_accepted(self):
        def accepted():
            wrong = self.ask()
            assert wrong is None, wrong
            return self.token in self.accepted

        wait_until("a send to be accepted", accepted, every=0.2)
