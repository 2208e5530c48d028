"""Who fills mailboxes, changes and removes what is in them, and reads them, while the server is killed again and again.

Each asks again until it is answered, so what the server acknowledged is known outside of it: the `Book`. Who reads goes through
all pages of one answer, over any kill, and holds them against what was known before the first and after the last of them.
"""

import base64
import contextlib
import datetime
import http.client
import itertools
import json
import random
import threading
import time
from urllib.parse import quote

from failures_clients import Session
from gathering_ledger import BEFORE_ALL, Answer, Mail, Run, check
from harness import Api

MAILBOXES, PEOPLE = 3, 12
MAIL_SERVERS, CHANGERS, READERS = 3, 2, 2
# Imported messages of one request. Their dates are of so many days.
IMPORTED_AT_ONCE, DAYS = 150, 300
# Seconds from one message, import and change of a client to its next.
MAIL_EVERY, IMPORT_EVERY, CHANGE_EVERY = 0.003, 0.6, 0.02
# Words of the text, by how many of hundred messages have as many: of some no terms are written, of some the body is a file.
LENGTHS = [(60, 90), (900, 99), (12_000, 100)]
WORDS = [f"{first}{second}{third}" for first in "bdgklmnprt" for second in "aeiou" for third in ("n", "r", "s", "l", "m")]
# What all messages have in common.
COMMON, EVERYBODY, TOPIC = "gathered", "everybody@people.test", "Report"
# The pair of those that are marked, and how many own words one search has.
PAIR, WORDS_AT_ONCE = ("key1", "seen"), 24
# Seconds for which one answer may be waited for.
PATIENCE = 120


class Book:
    """What was tried and what was acknowledged. A message has a token, which is in its subject and makes its own word."""

    def __init__(self):
        self.lock = threading.Lock()
        self.mail, self.acknowledged, self.untouched = {}, set(), []
        self.marking, self.marked, self.removing, self.removed, self.moved = set(), set(), set(), set(), set()

    def note_tried(self, token, box, way, person):
        with self.lock:
            self.mail[token] = Mail(box, way, person)

    def note_acknowledged(self, tokens):
        with self.lock:
            self.acknowledged.update(tokens)
            self.untouched.extend(tokens)

    def note(self, token, *sets):
        with self.lock:
            for one in sets:
                one.add(token)

    def take(self, chance):
        """A message that nobody has changed, for one who changes it."""
        with self.lock:
            if not self.untouched:
                return None
            at = chance.randrange(len(self.untouched))
            self.untouched[at], self.untouched[-1] = self.untouched[-1], self.untouched[at]
            return self.untouched.pop()

    def known(self):
        """A copy of what is known now."""
        with self.lock:
            return Run(
                mail=dict(self.mail), acknowledged=set(self.acknowledged), marking=set(self.marking), marked=set(self.marked),
                removing=set(self.removing), removed=set(self.removed), answers=[],
            )


def word_of(token):
    """The word that one message alone has."""
    return f"own{token}"


def token_of(subject):
    """The token of a message by its subject; the subject itself where it has none."""
    topic, _, token = subject.partition(" ")
    return token if topic == TOPIC else subject


def written(token, box, person, chance):
    """A message."""
    words = next(words for words, part in LENGTHS if chance.randrange(100) < part or part == 100)
    text = [*chance.choices(WORDS, k=words), COMMON, word_of(token)]
    lines = "\r\n".join(" ".join(text[at : at + 12]) for at in range(0, len(text), 12))
    return (
        f"From: Person <person{person}@people.test>\r\nTo: box{box}@agents.test\r\nCc: {EVERYBODY}\r\nSubject: {TOPIC} {token}\r\n"
        f"Message-ID: <{token}@people.test>\r\n\r\n{lines}\r\n"
    )


class Clients:
    """All of them, each with a thread of its own; a server that is away is waited for."""

    def __init__(self, server, key, grants, seed):
        self.server, self.key, self.grants, self.book = server, key, grants, Book()
        self.api = Api(server, key)
        self.imports = [self.begin_import(grant) for grant in grants]
        # What comes next in an import is known to who imports alone.
        self.importing = [threading.Lock() for _ in grants]
        self.stopping, self.failures, self.findings = threading.Event(), [], []
        # Which of the server's lives it is; readings that ended, those of them that saw a kill, and the lives in which they began.
        self.lives, self.readings, self.over_kills, self.read_in = 0, 0, 0, set()
        work = [(self.hand_over, MAIL_SERVERS), (self.bring, 1), (self.change, CHANGERS), (self.read, READERS)]
        self.threads = [
            threading.Thread(target=self.until_stopped, args=(one, n, random.Random(f"{seed}{one.__name__}{n}")), daemon=True)
            for one, count in work
            for n in range(count)
        ]

    def begin_import(self, grant):
        status, _, answer = self.api.call("POST", f"/v3/grants/{grant}/imports", {"source": "archive"})
        assert status == 200, answer
        return answer["data"]["id"]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(timeout=PATIENCE)
            assert not thread.is_alive(), "a client does not end"
        self.look()

    def look(self):
        assert not self.failures, self.failures[0]

    def until_stopped(self, work, number, chance):
        try:
            work(number, chance)
        except Exception as error:  # noqa: BLE001
            self.failures.append(f"{work.__name__} {number}: {error!r}")

    def persist(self, ask):
        """The answer to something that is asked until the server gives one."""
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, _, answer = ask()
                if status != 503:
                    return status, answer
            assert time.monotonic() < end, f"no answer in {PATIENCE} s"
            time.sleep(0.01)

    # Filling ------------------------------------------------------------------------------------------------------------

    def hand_over(self, number, chance):
        """A mail server; what it was not told of, it does not try again, so that it stays clear what became of it."""
        numbers = itertools.count()
        while not self.stopping.is_set():
            with contextlib.suppress(OSError), Session(self.server.smtp_port) as session:
                while not self.stopping.wait(MAIL_EVERY):
                    token, box, person = f"s{number}x{next(numbers)}", chance.randrange(MAILBOXES), chance.randrange(PEOPLE)
                    self.book.note_tried(token, box, "smtp", person)
                    content = written(token, box, person, chance)
                    # Three commands at once, and their answers one by one.
                    head = f"MAIL FROM:<x@people.test>\r\nRCPT TO:<box{box}@agents.test>\r\nDATA\r\n"
                    for text in (head, "", "", f"{content}.\r\n"):
                        answer = session.say(text.encode())
                        if answer.startswith("421"):
                            raise ConnectionError(answer)
                        assert answer[0] in "23", f"answer to {text[:40]!r}: {answer}"
                    self.book.note_acknowledged([token])
            time.sleep(0.01)

    def bring(self, _, chance):
        """Imports some messages with old dates into one mailbox after the other."""
        for box in itertools.cycle(range(MAILBOXES)):
            if self.stopping.wait(IMPORT_EVERY):
                return
            self.import_some(box, IMPORTED_AT_ONCE, chance, at_once=False)

    def import_some(self, box, count, chance, at_once=True):
        """Imports messages; asks where the import is, whether it was answered or not, and goes on there."""
        api, path = Api(self.server, self.key), f"/v3/grants/{self.grants[box]}/imports/{self.imports[box]}"
        with self.importing[box]:
            begin = self.position(api, path)
            tokens = [f"i{box}x{begin + n}" for n in range(count)]
            lines = [self.line(token, box, chance) for token in tokens]
            position = begin
            while position < begin + count and (at_once or not self.stopping.is_set()):
                at = position - begin
                body = "\n".join(lines[at : at + IMPORTED_AT_ONCE]).encode()
                with contextlib.suppress(OSError, http.client.HTTPException):
                    headers = {"Content-Type": "application/x-ndjson"}
                    status, _, answer = api.call("POST", f"{path}/messages?position={position}", body, headers)
                    assert status in (200, 503), answer
                    assert status == 503 or (answer["data"]["state"], answer["data"]["skipped_messages"]) == ("open", 0), answer
                reached = self.position(api, path)
                self.book.note_acknowledged(tokens[at : reached - begin])
                position = reached

    def position(self, api, path):
        status, answer = self.persist(lambda: api.call("GET", path))
        assert status == 200, answer
        return answer["data"]["position"]

    def line(self, token, box, chance):
        person = chance.randrange(PEOPLE)
        self.book.note_tried(token, box, "import", person)
        raw = base64.b64encode(written(token, box, person, chance).encode()).decode()
        at = BEFORE_ALL - chance.randrange(DAYS * 86_400)
        return json.dumps({"folder": chance.choice(["inbox", "archive"]), "received_at": at, "unread": True, "starred": False, "raw_mime": raw})

    # Changing -----------------------------------------------------------------------------------------------------------

    def change(self, number, chance):
        """Marks, moves and removes messages, each of which it has to find first."""
        api = Api(self.server, self.key)
        while not self.stopping.wait(CHANGE_EVERY):
            token = self.book.take(chance)
            if token is None:
                continue
            box = self.book.mail[token].box
            path = f"/v3/grants/{self.grants[box]}/messages"
            status, answer = self.persist(lambda: api.call("GET", f"{path}?select=id,subject&q={word_of(token)}", keep=True))
            assert status == 200, answer
            found = answer["data"]
            if [token_of(message["subject"]) for message in found] != [token]:
                self.findings.append(f"{token} was sought by its own word, and {len(found)} messages were found")
                continue
            self.change_one(api, f"{path}/{found[0]['id']}", token, chance)

    def change_one(self, api, path, token, chance):
        what = chance.choices(["mark", "move", "remove"], [4, 3, 3])[0]
        if what == "mark":
            self.book.note(token, self.book.marking)
            status, answer = self.persist(lambda: api.call("PUT", path, {"metadata": dict([PAIR])}))
            assert status == 200, answer
            self.book.note(token, self.book.marked)
        elif what == "move":
            folder = chance.choice(["archive", "inbox", "junk", "trash"])
            status, answer = self.persist(lambda: api.call("PUT", path, {"folders": [folder]}))
            assert status == 200, answer
            self.book.note(token, self.book.moved)
        else:
            self.book.note(token, self.book.removing)
            status, answer = self.persist(lambda: api.call("DELETE", f"{path}?hard_delete=true"))
            # It is gone already where the answer to the same was lost.
            assert status in (200, 404), answer
            self.book.note(token, self.book.removed)

    # Reading ------------------------------------------------------------------------------------------------------------

    def read(self, number, chance):
        """Asks for everything in one way after the other, and holds it against what is known."""
        while not self.stopping.wait(0.02):
            before, life = self.book.known(), self.lives
            box, (way, value) = chance.randrange(MAILBOXES), chance.choice(list(ways(before, chance)))
            answer = self.ask(box, way, value)
            if answer is None:
                return
            self.findings += check(before.until(self.book.known(), answer))
            with self.book.lock:
                self.readings += 1
                self.over_kills += self.lives > life
                self.read_in.add(life)

    def ask(self, box, way, value, to_the_end=False):
        """What is found in a way, through all pages; nothing if it is to stop."""
        api, tokens, next_page = Api(self.server, self.key), [], ""
        path = f"/v3/grants/{self.grants[box]}/messages?select=id,subject&limit=200{parameter(way, value)}"
        while to_the_end or not self.stopping.is_set():
            status, answer = self.persist(lambda: api.call("GET", f"{path}{next_page}", keep=True))
            assert status == 200, answer
            tokens += [token_of(message["subject"]) for message in answer["data"]]
            cursor = answer.get("next_cursor")
            if not cursor:
                return Answer(box, way, value, tokens)
            next_page = f"&page_token={cursor}"
        return None

    def ask_everything(self):
        """All answers when nothing changes any more, and what is known."""
        known = self.book.known()
        for box in range(MAILBOXES):
            of_box = sorted(token for token, mail in known.mail.items() if mail.box == box)
            chunks = [of_box[at : at + WORDS_AT_ONCE] for at in range(0, len(of_box), WORDS_AT_ONCE)]
            asked = [*common_ways(range(PEOPLE)), *(("own words", tuple(chunk)) for chunk in chunks)]
            known.answers += [self.ask(box, way, value, to_the_end=True) for way, value in asked]
        return known


def common_ways(people):
    """How many messages are asked for: ways and values."""
    yield from (("list", None), ("common word", COMMON), ("any_email", EVERYBODY), ("subject", TOPIC.lower()), ("metadata_pair", ":".join(PAIR)))
    yield from (("from", person) for person in people)


def ways(known, chance):
    yield from common_ways([chance.randrange(PEOPLE)])
    if known.acknowledged:
        yield "own words", tuple(chance.sample(sorted(known.acknowledged), min(WORDS_AT_ONCE, len(known.acknowledged))))


def parameter(way, value):
    """How it is written in a request."""
    if way == "list":
        return ""
    if way == "own words":
        return f"&search_query_native={quote(' OR '.join(map(word_of, value)))}"
    name = {"common word": "search_query_native"}.get(way, way)
    return f"&{name}={quote(f'person{value}@people.test' if way == 'from' else value)}"
