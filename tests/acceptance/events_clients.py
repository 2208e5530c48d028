"""Who changes mailboxes while the server is killed again and again: mail servers that hand over, and programs that mark messages.

Each program has a mailbox of its own, and marks a message again and again, each time otherwise than before, so that each change is
one. What an answer was lost of is not touched again: so it stays clear how often each message was changed.
"""

import contextlib
import http.client
import itertools
import json
import random
import threading
import time

from failures_clients import Session
from harness import Api
from loops import ask

MAILBOXES, MAIL_SERVERS = 8, 3
# Seconds from one message of a mail server to its next, and from one change of a mailbox to its next, so that not all of the machine
# goes into making events; changes of one message, before another is taken.
MAIL_EVERY, CHANGE_EVERY, CHANGES_OF_ONE = 0.01, 0.008, 25


class Clients:
    """All of them, each with a thread of its own; a server that is away is waited for."""

    def __init__(self, server, key, grants, seed):
        self.server, self.key, self.grants = server, key, grants
        # By message, how many changes were acknowledged and how many tried; messages that were acknowledged, and tried.
        self.changes, self.arrivals, self.lock = {}, [0, 0], threading.Lock()
        self.stopping, self.failures = threading.Event(), []
        work = [(self.hand_over, MAIL_SERVERS), (self.mark, MAILBOXES)]
        self.threads = [
            threading.Thread(target=self.until_stopped, args=(one, n, random.Random(f"{seed}{one.__name__}{n}")), daemon=True)
            for one, count in work
            for n in range(count)
        ]

    def api(self):
        return Api(self.server, self.key)

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(timeout=60)
            assert not thread.is_alive(), "a client does not end"
        self.look()

    def look(self):
        assert not self.failures, self.failures[0]

    def until_stopped(self, session, number, chance):
        while not self.stopping.is_set():
            try:
                session(number, chance)
            except (OSError, http.client.HTTPException):
                time.sleep(0.005)
            except Exception as error:  # noqa: BLE001
                self.failures.append(f"{session.__name__} {number}: {error!r}")
                return

    def hand_over(self, number, chance):
        """One SMTP session with as many messages as it lives for."""
        with Session(self.server.smtp_port) as session:
            while not self.stopping.wait(MAIL_EVERY):
                box = chance.randrange(MAILBOXES)
                head = f"MAIL FROM:<x@people.test>\r\nRCPT TO:<box{box}@agents.test>\r\nDATA\r\n"
                content = f"From: x@people.test\r\nTo: box{box}@agents.test\r\nSubject: news of {number}\r\n\r\nHello.\r\n.\r\n"
                for text in (head, "", ""):
                    self.expect(session.say(text.encode()))
                self.count_arrival(1)
                self.expect(session.say(content.encode()))
                self.count_arrival(0)

    def expect(self, answer):
        if answer.startswith("421"):
            raise ConnectionError(answer)
        assert answer[0] in "23", answer

    def count_arrival(self, which):
        with self.lock:
            self.arrivals[which] += 1

    def mark(self, number, chance):
        """One HTTP connection with as many changes as it lives for."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.http_port, timeout=30)
        with contextlib.closing(connection):
            for message in self.untouched(number, chance):
                for starred in itertools.islice(itertools.cycle([True, False]), CHANGES_OF_ONE):
                    if self.stopping.wait(CHANGE_EVERY):
                        return
                    self.change(connection, self.grants[number], message, starred)

    def untouched(self, number, chance):
        """Messages of the mailbox that nobody has marked, of the newest: there are always such."""
        while not self.stopping.is_set():
            listed = ask(self.api(), "GET", f"/v3/grants/{self.grants[number]}/messages?select=id&limit=200")
            fresh = [message["id"] for message in listed if message["id"] not in self.changes]
            chance.shuffle(fresh)
            yield from fresh
            time.sleep(0.05)

    def change(self, connection, grant, message, starred):
        acknowledged, tried = self.changes.get(message, (0, 0))
        self.changes[message] = (acknowledged, tried + 1)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        connection.request("PUT", f"/v3/grants/{grant}/messages/{message}", json.dumps({"starred": starred}), headers)
        answer = connection.getresponse()
        data = answer.read()
        if answer.status == 503:
            raise ConnectionError("not now")
        assert answer.status == 200, f"{answer.status} {data!r}"
        self.changes[message] = (acknowledged + 1, tried + 1)
