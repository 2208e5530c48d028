"""Who makes outcomes for `outcomes_loop.py`: those who send, receivers that refuse, and strangers who report later, truly or not.

What becomes of a recipient is written in its address, before the first hyphen: see `ENDS`. Whoever is not answered asks
again until there is an answer, so that of everything that was begun it is known what the server acknowledged.
"""

import http.client
import random
import threading
import time

from harness import Api
from reports import bounce_of, complaint_about, report

# What is said of a recipient: by the server at the end, and in reports after it was taken.
ENDS = {
    "fine": (None, ()),
    "slow": ("451 4.7.1 greylisted, come again", ()),
    "never": ("451 4.3.0 not now", ()),
    "hard": ("550 5.1.1 no such user here", ()),
    "full": ("552 5.2.2 mailbox full", ()),
    "shut": ("550 5.7.1 refused by policy", ()),
    "late": (None, ("hard",)),
    "soft": (None, ("soft",)),
    "cry": (None, ("complaint",)),
    "both": (None, ("complaint", "hard")),
}
STATUS = {"hard": "5.1.1", "soft": "5.2.2"}
COMPLAINTS = "complaints@mx.agents.test"
# Somebody to whom nothing is sent from the start, of every application.
MUTE = "mute-0@sink.test"
# How recipients of a mailbox end, of a thousand; the others take what they get. The weight is its part of all messages.
PROFILES = {
    "good": (3.0, {"slow": 10, "never": 4, "full": 10, "shut": 10, "soft": 15}),
    "careless": (2.0, {"hard": 15, "late": 12, "soft": 30, "full": 10, "never": 5}),
    "reviewed": (2.0, {"hard": 35, "late": 35, "soft": 20, "slow": 5}),
    "buyer": (3.0, {"hard": 120, "late": 120, "full": 40, "both": 2, "slow": 5}),
    "spammer": (2.5, {"cry": 35, "both": 15, "soft": 10, "shut": 30}),
    "small": (0.5, {"hard": 20, "late": 20, "cry": 2, "soft": 100, "full": 50, "never": 10}),
}
# How many writers there are, and which part of 64 does what; the others send.
WRITERS = 64
REPORTERS, LIARS, WATCHERS = 20, 8, 2
# Seconds between two messages of a writer, and how many recipients may be on their way before it waits.
PACE, BACKLOG = (0.02, 0.15), 400
PATIENCE = 120


def end_of(address):
    return address.split("-")[0]


class Receiver:
    """What the sink answers to RCPT, by the recipient; it is its `refusals`. Keeps what it refused for good."""

    def __init__(self):
        self.refused, self.came = {}, set()

    def get(self, address):
        kind = end_of(address)
        reply, _ = ENDS.get(kind, (None, ()))
        if kind == "slow" and address in self.came:
            return None
        self.came.add(address)
        if reply and reply.startswith("5"):
            self.refused[address] = time.monotonic()
        return reply


class Fleet:
    """64 writers, and what they were told."""

    def __init__(self, server, sink, accounts, writers, seed):
        self.server, self.sink, self.accounts = server, sink, accounts
        self.lock = threading.Lock()
        self.told, self.reports, self.lies = [], [], []
        # Recipients of which a hard bounce was acknowledged, by application; when the pause of a mailbox was seen first.
        self.bounced, self.seen = {}, {}
        # By recipient, who wrote to it: the mailbox, its application, and to whom nothing was sent with the same message.
        self.written = {}
        self.failures, self.next, self.busy, self.is_behind = [], 0, 0, False
        self.sending, self.reporting = threading.Event(), threading.Event()
        self.sending.set()
        self.reporting.set()
        others = {self.answer: REPORTERS, self.lie: LIARS, self.watch: WATCHERS}
        others = {one: max(1, count * writers // WRITERS) for one, count in others.items()}
        work = [(self.send, writers - sum(others.values())), *others.items()]
        self.watchers = others[self.watch]
        self.threads = [
            self.writer(one, number, random.Random(f"{seed} {one.__name__} {number}"))
            for one, count in work
            for number in range(count)
        ]
        for thread in self.threads:
            thread.start()

    def writer(self, one, *arguments):
        return threading.Thread(target=self.guard, args=(one, *arguments), name=f"{one.__name__} {arguments[0]}", daemon=True)

    def guard(self, one, number, chance):
        try:
            one(number, chance)
        except Exception as error:  # noqa: BLE001
            self.failures.append(f"{one.__name__} {number}: {error!r}")

    def check(self):
        assert not self.failures, self.failures[0]

    def stop_sending(self):
        self.sending.clear()
        self.join(thread for thread in self.threads if not thread.name.startswith("answer"))

    def has_reported(self):
        """Whether everything that arrived was looked at, and reported where it is to be."""
        self.check()
        with self.lock:
            return self.next == len(self.sink.taken) and self.busy == 0

    def stop(self):
        self.reporting.clear()
        self.join(self.threads)

    def join(self, threads):
        for thread in threads:
            thread.join(timeout=PATIENCE + 30)
            assert not thread.is_alive(), f"{thread.name} does not end"
        self.check()

    def persist(self, ask):
        """Asks until there is an answer."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                answer = ask()
                # 409 is that the same is still being answered, to a connection that is gone.
                if answer[0] not in (409, 421, 451, 452, 503):
                    return answer
            except (OSError, http.client.HTTPException):
                pass
            assert time.monotonic() < end, "the server does not come back"
            time.sleep(0.01)

    # Sending ------------------------------------------------------------------------------------------------------------

    def send(self, number, chance):
        apis = {account["key"]: Api(self.server, account["key"], timeout=30) for account in self.accounts}
        weights = [account["weight"] for account in self.accounts]
        count = 0
        while self.sending.is_set():
            if self.is_behind:
                time.sleep(0.1)
                continue
            (account,) = chance.choices(self.accounts, weights)
            count += 1
            self.told.append(self.send_one(apis[account["key"]], account, f"{number}.{count}", chance))
            time.sleep(chance.uniform(*PACE))

    def send_one(self, api, account, token, chance):
        names = [*account["ends"], "fine"]
        weights = [*account["ends"].values(), 1_000 - sum(account["ends"].values())]
        many = chance.choice((1, 1, 1, 2, 3, 6))
        ends = chance.choices(names, weights, k=many)
        to = [f"{end}-{token}-{at}@{chance.choice(('sink', 'people', 'late'))}.test" for at, end in enumerate(ends)]
        barred = self.barred(account, chance)
        people = [{"email": email} for email in (*to, *barred)]
        message = {"to": people, "subject": token, "body": "text", "is_plaintext": True}
        path, key = f"/v3/grants/{account['id']}/messages/send", {"Idempotency-Key": token}
        with self.lock:
            self.written.update(dict.fromkeys(to, (account["id"], account["application"], barred)))
        record = {"token": token, "account": account["id"], "to": to, "barred": barred, "began": time.monotonic()}
        status, _, answer = self.persist(lambda: api.call("POST", path, message, key, keep=True))
        if status == 200:
            data = answer["data"]
            suppressed = [one["email"] for one in data.get("suppressed_recipients") or []]
            return record | {"outcome": "accepted", "id": data["id"], "suppressed": suppressed}
        if status == 400 and answer["error"]["code"] == "account_paused":
            self.see(account["id"])
            return record | {"outcome": "refused"}
        raise AssertionError(f"{status} {answer}")

    def barred(self, account, chance):
        """Now and then somebody to whom nothing is sent any more."""
        if chance.random() < 0.05:
            return [MUTE]
        known = self.bounced.get(account["application"])
        return [chance.choice(known)] if known and chance.random() < 0.05 else []

    def see(self, grant):
        with self.lock:
            self.seen.setdefault(grant, time.monotonic())

    def watch(self, number, chance):
        """Looks who is paused, by the interface."""
        keys = sorted({account["key"] for account in self.accounts})[number :: self.watchers]
        apis = [Api(self.server, key, timeout=30) for key in keys]
        while self.sending.is_set():
            for api in apis:
                status, _, answer = self.persist(lambda api=api: api.call("GET", "/v3/reputation?limit=200", keep=True))
                assert status == 200, answer
                for one in answer["data"]["grants"]:
                    if one["state"] == "paused":
                        self.see(one["subject"])
            asked = self.sink.refusals.came
            with self.lock:
                behind = [to for to, about in self.written.items() if to not in asked and about[0] not in self.seen]
            self.is_behind = len(behind) > BACKLOG
            time.sleep(0.1)

    # Reporting ----------------------------------------------------------------------------------------------------------

    def take(self):
        """The next that arrived, or nothing."""
        with self.lock:
            if self.next == len(self.sink.taken):
                return None
            self.next += 1
            self.busy += 1
            return self.sink.taken[self.next - 1]

    def answer(self, number, chance):
        """Reports of what arrived what is to be said of it."""
        while self.reporting.is_set():
            taken = self.take()
            if taken is None:
                time.sleep(0.02)
                continue
            for recipient in taken.recipients:
                _, says = ENDS.get(end_of(recipient), (None, ()))
                for what in chance.sample(says, len(says)):
                    self.hand_in(taken.sender, recipient, what)
                    # Some say it twice.
                    if chance.random() < 0.2:
                        self.hand_in(taken.sender.upper(), recipient, what, again=True)
            with self.lock:
                self.busy -= 1

    def hand_in(self, path, recipient, what, again=False):
        if what == "complaint":
            to, raw, sender = COMPLAINTS, complaint_about(path, recipient), "fbl@late.test"
        else:
            to, raw, sender = path, bounce_of(recipient, STATUS[what]), ""
        code, text = self.persist(lambda: report(self.server, to, raw, sender))
        assert code == 250, (to, code, text)
        with self.lock:
            self.reports.append({"path": path.lower(), "recipient": recipient, "what": what, "again": again})
            if what == "hard":
                self.bounced.setdefault(self.written[recipient][1], []).append(recipient)

    # Lying --------------------------------------------------------------------------------------------------------------

    def lie(self, number, chance):
        """Hands in what must count for nothing."""
        while self.sending.is_set():
            time.sleep(chance.uniform(0.1, 0.3))
            taken = list(self.sink.taken[-400:])
            if len(taken) < 20:
                continue
            one, other = chance.sample(taken, 2)
            fine = one.recipients[0]
            name, to, raw, sender, expected = chance.choice(self.made_up(one, other, fine))
            code, text = self.persist(lambda: report(self.server, to, raw, sender))
            assert code == expected, (name, to, code, text)
            self.lies.append(name)

    def made_up(self, one, other, recipient):
        """Lies about a message: the name, to whom it is said, what, by whom, and the answer."""
        token, domain = one.sender.split("@")
        changed = f"{token[:-1]}{'b' if token.endswith('a') else 'a'}@{domain}"
        elsewhere = next(account["domain"] for account in self.accounts if account["domain"] != domain)
        failed, box = bounce_of(recipient), next(a["email"] for a in self.accounts if a["domain"] == domain)
        lies = [
            ("changed return path", changed, failed, "", 550),
            ("made up return path", f"b-{'a' * 48}@{domain}", failed, "", 550),
            ("another domain", f"{token}@{elsewhere}", failed, "", 550),
            ("about a stranger", one.sender, bounce_of("stranger@late.test"), "", 250),
            ("to the mailbox", box, failed, "", 250),
            ("complaint with a changed path", COMPLAINTS, complaint_about(changed, recipient), "fbl@late.test", 250),
            ("complaint about the mailbox", COMPLAINTS, complaint_about(box, recipient), "fbl@late.test", 250),
        ]
        if one.sender != other.sender:
            lies.append(("about another message", one.sender, bounce_of(other.recipients[0]), "", 250))
        if barred := self.written[recipient][2]:
            lies += [("about who was left out", one.sender, bounce_of(barred[0]), "", 250)] * 5
        return lies
