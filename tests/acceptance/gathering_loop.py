#!/usr/bin/env python3
"""Kills the server again and again while it gathers what is searched of messages into segments; each must be found once.

Mail comes in by SMTP, old mail is imported, messages are marked, moved and removed, and all of it is read in every way, all the
time. Kills fall at random moments, and at those at which the database shows that a segment was just added, is in the making, or is
being removed; after some of them the clock is put forward, so that what a killed server was making has nobody who makes it. The
clients' book says what was acknowledged. It is held, by `gathering_ledger.py`, against what is found: by a word of each
message alone and by one that all have, by `from`, `subject`, `metadata_pair` and `any_email`, and in the plain list, over any kill and at the
end, when the gathering must have come to rest by itself. What the check must find is tried on it at the end of each run; `--self-test` tries that alone.
"""

import sys

sys.dont_write_bytecode = True

import collections  # noqa: E402
import contextlib  # noqa: E402
import time  # noqa: E402

import gathering_ledger  # noqa: E402
import loops  # noqa: E402
from gathering_clients import MAILBOXES, Clients  # noqa: E402
from gathering_ledger import MERGED_SEGMENTS, SEGMENT_MESSAGES, Mailbox, Run, check_all, unsettled  # noqa: E402
from harness import Api, Postfleet, wait_until  # noqa: E402
from loops import Clock, Lives, Stage, query_of  # noqa: E402

# Imported into each mailbox before the first kill: enough to merge, and some more.
FILLED = SEGMENT_MESSAGES * MERGED_SEGMENTS + 200
# What kills are aimed at, in turns; for how many seconds without progress in how many lives that is waited for; and seconds until the
# kill, once it is there.
AIMS, AIMED, TRIES, BEHIND = ("making", "removing", "added", "making", "removing", "any moment"), 1.5, 4, 0.02
# Seconds from the moment at which the server listens until it is killed at any moment.
ALIVE = (0.0, 1.5)
# Of all kills those that come after the aimed ones, and the part of the aimed ones after which the clock is put forward.
LAST, LEAPING = 3, 0.5
# Seconds after which a segment in the making has nobody who makes it, and in which gathering has to come to rest.
ABANDONED, RESTING = 1_000, 60
# How many kills, of so many, must fall in the making of a segment, and in its removal.
ONE_OF = 6
MAKING, LIVE, OVER = 0, 1, 2


# What the database shows ------------------------------------------------------------------------------------------------


class Segments:
    """The segments at one moment: their level and state by mailbox and number, and how much of those that go is still there."""

    def __init__(self, query):
        rows = query("SELECT lower(hex(grant_id)), segment, level, state FROM search_segments")
        self.of = {(grant.replace("-", ""), int(number)): (int(level), int(state)) for grant, number, level, state in rows}
        self.left = 0
        if self.named(OVER):
            ((left,),) = query(
                "SELECT count(*) FROM search_postings p JOIN search_segments s ON s.grant_id = p.grant_id AND s.segment = p.segment "
                f"WHERE s.state = {OVER}"
            )
            self.left = int(left)

    def __eq__(self, other):
        return other is not None and (self.of, self.left) == (other.of, other.left)

    def named(self, state, level=None):
        return {name for name, (of, is_in) in self.of.items() if is_in == state and level in (None, of)}

    def making_since(self, before):
        """Whether one is in the making that was not before."""
        return bool(self.named(MAKING) - before.named(MAKING))

    def removing_since(self, before):
        """Whether one is being removed, and is not as far as before."""
        return bool(self.named(OVER)) and (self.named(OVER), self.left) != (before.named(OVER), before.left)

    def added_since(self, before):
        """Whether there is one more of messages that were in none."""
        return bool(self.named(LIVE, 0) - before.named(LIVE, 0))

    def shows(self, aim, before):
        return {"making": self.making_since, "removing": self.removing_since, "added": self.added_since}[aim](before)


def at_rest(query, grants):
    """Each mailbox by its number."""
    dashless = {grant.replace("-", ""): box for box, grant in enumerate(grants)}

    def by_box(sql):
        return [(dashless[grant.replace("-", "")], *map(int, rest)) for grant, *rest in query(sql)]

    due = {box for (box,) in by_box("SELECT lower(hex(grant_id)) FROM search_due")}
    segments = collections.defaultdict(list)
    for box, *segment in by_box("SELECT lower(hex(grant_id)), level, state, messages FROM search_segments"):
        segments[box].append(tuple(segment))
    late = dict(by_box("SELECT lower(hex(grant_id)), count(*) FROM search_late GROUP BY grant_id"))
    loose = dict(by_box(LOOSE))
    return {box: Mailbox(box in due, segments[box], loose[box], late.get(box, 0)) for box in dashless.values()}


LOOSE = """SELECT lower(hex(grant_id)), (SELECT count(*) FROM listings l
    WHERE l.grant_id = mailboxes.grant_id AND l.folder = '' AND l.date > mailboxes.searched_until) FROM mailboxes"""


def can_merge(mailbox):
    """Whether there is enough to make a segment of the next level."""
    segments = [messages for level, state, messages in mailbox.segments if (level, state) == (0, LIVE)]
    return sum(segments) + mailbox.loose + mailbox.late >= FILLED - SEGMENT_MESSAGES and not is_made_in(mailbox)


def is_made_in(mailbox):
    return any(state == MAKING for _, state, _ in mailbox.segments)


# The run ----------------------------------------------------------------------------------------------------------------


def main():
    parser = loops.parser(__doc__)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--self-test", action="store_true", help="only whether the check finds what it must, without a server")
    arguments = parser.parse_args()
    return loops.try_check("gathering", gathering_ledger) if arguments.self_test else loops.main(arguments, run)


def run(arguments):
    with Stage("gathering", arguments, f"{arguments.kills} kills") as stage:
        clock = Clock(time.time())
        storage = stage.database()
        server = Postfleet(stage.folder, None, storage, clock.environment | stage.no_names())
        account = server.init()
        stage.serve(server)
        api = Api(server, account["api_key"])
        grants = [api.mailbox(f"box{n}@agents.test") for n in range(MAILBOXES)]
        clients = Clients(server, account["api_key"], grants, stage.chance.random())
        deaths = Deaths(server, clock, clients, stage)
        try:
            known = deaths.kill_and_compare(arguments.kills)
        except AssertionError:
            print(f"--- the end of the server's log\n{server.log_tail()}\n---")
            raise
        findings = [*clients.findings, *check_all(known)]
        findings += loops.blind_spots(gathering_ledger.made_up(), gathering_ledger)
        server.stop()
        stage.report(findings, server)
    print(summary(arguments, known, clients, deaths, findings, stage.seconds()))
    return 1 if findings else 0


class Deaths(Lives):
    """Lives that end at random moments and at those that are aimed at."""

    def __init__(self, server, clock, clients, stage):
        super().__init__(server, clock)
        self.clients, self.chance, self.fell, self.leaps = clients, stage.chance, collections.Counter(), 0
        self.query = query_of(server, stage.postgres)
        self.watch = query_of(server, stage.postgres and stage.keep(stage.postgres.session()))
        self.left = Segments(self.watch)

    def kill_and_compare(self, kills):
        """Answers what is known when all of it is over."""
        # Those who check what they read are not to keep the others waiting.
        sys.setswitchinterval(0.0005)
        self.timed("filling", self.fill)
        self.clients.start()
        aims = [AIMS[n % len(AIMS)] for n in range(kills - LAST)]
        self.chance.shuffle(aims)
        for aim in aims:
            self.timed(f"killing: {aim}", self.live, aim, self.chance.random() < LEAPING)
        # The last one leaves a segment in the making. Who comes next finds it too young to remove it, and then nobody comes.
        self.timed("killing: the last one that is making", self.live, "making", False)
        self.clients.stop()
        self.timed("waiting while it is young", self.wait_while_young)
        self.die(leaps=True)
        self.timed("coming to rest", self.come_to_rest)
        known = self.timed("asking for everything", self.clients.ask_everything)
        known.rest = at_rest(self.query, self.clients.grants)
        known.fell = self.fell
        known.least = {"in the making": max(1, kills // ONE_OF), "being removed": max(1, kills // ONE_OF), "left in the making": 1}
        return known

    def timed(self, what, work, *values):
        began = time.monotonic()
        done = work(*values)
        print(f"  {what}: {time.monotonic() - began:.1f} s", flush=True)
        return done

    def fill(self):
        for box in range(MAILBOXES):
            self.clients.import_some(box, FILLED, self.chance)

    def live(self, aim, leaps):
        """One life, to its end and the beginning of the next. With `leaps`, that is so much later that what was in the making has
        nobody who makes it; else it is in the way of others."""
        if aim == "any moment":
            time.sleep(self.chance.uniform(*ALIVE))
        else:
            self.wait_for(aim)
            time.sleep(self.chance.choice([0, self.chance.uniform(0, BEHIND)]))
        self.die(leaps)

    def wait_for(self, aim):
        """Waits until it shows; who gathers comes at each start, and is waited for as long as it gets on."""
        for again in range(TRIES):
            if again:
                if aim != "added" and not any(map(can_merge, self.mailboxes().values())):
                    self.clients.import_some(self.chance.randrange(MAILBOXES), FILLED, self.chance)
                self.die(leaps=True)
            seen, end = None, time.monotonic() + AIMED
            while time.monotonic() < end:
                now = Segments(self.watch)
                if now.shows(aim, self.left):
                    return
                if now != seen:
                    seen, end = now, time.monotonic() + AIMED
                time.sleep(0.001)

    def die(self, leaps):
        self.clients.look()
        assert self.server.is_running(), f"the server ended by itself:\n{self.server.log_tail()}"
        before = self.left
        self.server.process.kill()
        self.server.process.wait()
        self.left = Segments(self.watch)
        self.fell["in the making"] += self.left.making_since(before)
        self.fell["being removed"] += self.left.removing_since(before)
        self.fell["just added"] += self.left.added_since(before)
        self.leaps += leaps
        self.again(self.clock.now() + ABANDONED if leaps else None)
        self.clients.lives += 1

    def wait_while_young(self):
        """Waits until no more is done, with something in the making that nobody makes."""
        for box in range(MAILBOXES):
            # With this each is looked at by the one who comes next.
            self.clients.import_some(box, 1, self.chance)
        self.die(leaps=False)
        was = [None, None]

        def is_still():
            was[:] = [was[1], self.mailboxes()]
            is_waiting = any(mailbox.is_due and not is_made_in(mailbox) for mailbox in was[1].values())
            return was[0] == was[1] and not is_waiting

        with contextlib.suppress(AssertionError):
            wait_until("no more to be done", is_still, RESTING, 1.0)
        self.fell["left in the making"] += any(map(is_made_in, was[1].values()))

    def mailboxes(self):
        return at_rest(self.query, self.clients.grants)

    def come_to_rest(self):
        with contextlib.suppress(AssertionError):
            wait_until("gathering", lambda: not self.is_unsettled(), RESTING, 0.2)

    def is_unsettled(self):
        return any(unsettled(Run(rest=self.mailboxes())))


def summary(arguments, known, clients, deaths, findings, seconds):
    ways = collections.Counter(known.mail[token].way for token in known.acknowledged)
    rest = [segment for mailbox in known.rest.values() for segment in mailbox.segments]
    levels = collections.Counter(f"level {level}" for level, _, _ in rest)
    return (
        f"gathering loop on {arguments.engine}: {deaths.kills} kills, {deaths.leaps} of them a quarter of an hour before the next start; with a segment "
        f"{loops.listed(deaths.fell)}; acknowledged {loops.listed(ways)}, {len(known.marked):,} marked, {len(clients.book.moved):,} moved, "
        f"{len(known.removed):,} removed; {len(known.mail) - len(known.acknowledged):,} unacknowledged; {clients.readings:,} readings, "
        f"{clients.over_kills} over a kill and begun in {len(clients.read_in)} lives, and {len(known.answers):,} at the end; segments of {loops.listed(levels)}; "
        f"{len(gathering_ledger.LIES)} falsified runs were tried; {len(findings)} findings; {seconds:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
