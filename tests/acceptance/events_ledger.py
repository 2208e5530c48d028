"""What `events_loop.py` knows, and whether it fits: what was changed against what was logged, and that against what was received.

The check is a function of this alone, so that it is checked, too: `caught` falsifies what is known in every way that matters,
and each time the check must find it.
"""

import bisect
import collections
import copy
from typing import NamedTuple

# Seconds by which a kill may be away from a first receipt and still be why it came again: where the reader is is written a little
# later than it is sent, and what was under way at the receiver is asked for again when its time is over.
WINDOW = 5.0


class Logged(NamedTuple):
    """An event as the log has it."""

    id: str
    kind: str
    grant: str
    sequence: int
    message: str


class Receipt(NamedTuple):
    """An event as it was received, and when."""

    at: float
    id: str
    kind: str
    grant: str
    sequence: int
    attempt: int


class Run:
    """What is known.

    `changes`: by message, how many changes of it were acknowledged, and how many were tried. `arrivals`: how many messages were
    acknowledged, and how many were tried. `log`: all events, in their order. `receipts`: all, in theirs. `kills`: when somebody was killed.
    `told`: the kinds that are told. `least`: how many events and repeats there must be, so that something was shown.
    """

    def __init__(self, **known):
        self.__dict__.update(known)


def check(run):
    """All findings."""
    return [finding for part in CHECKS for finding in part(run)]


def unlogged(run):
    """Each change that was acknowledged is in the log, and none is that nobody tried."""
    counts = collections.Counter(event.message for event in run.log if event.kind == "message.updated")
    for message, (acknowledged, tried) in run.changes.items():
        if not acknowledged <= counts[message] <= tried:
            yield f"{acknowledged} changes of {message} were acknowledged and {tried} tried; the log has {counts[message]}"
    acknowledged, tried = run.arrivals
    logged = collections.Counter(event.message for event in run.log if event.kind == "message.created")
    if not acknowledged <= len(logged) <= tried:
        yield f"{acknowledged} messages were acknowledged and {tried} tried; the log has {len(logged)}"
    if twice := [message for message, count in logged.items() if count > 1]:
        yield f"{len(twice)} messages are logged more than once as new, such as {twice[0]}"


def gaps(run):
    """The numbers of a mailbox are without gaps, in the order of the log."""
    last = collections.Counter()
    for event in run.log:
        if event.sequence != last[event.grant] + 1:
            yield f"{event.id} is number {event.sequence} of {event.grant} in the log, after {last[event.grant]}"
        last[event.grant] = event.sequence


def lost(run):
    received = {receipt.id for receipt in run.receipts}
    missing = [event for event in run.log if event.kind in run.told and event.id not in received]
    if missing:
        yield f"{len(missing)} events were not received, such as {missing[0]}"


def falsified(run):
    """What is received is what was logged, under the same id, each time."""
    logged = {event.id: (event.kind, event.grant, event.sequence) for event in run.log}
    wrong = [receipt for receipt in run.receipts if logged.get(receipt.id) != (receipt.kind, receipt.grant, receipt.sequence)]
    if wrong:
        yield f"{len(wrong)} receipts are not what was logged under their id, such as {wrong[0]}"


def disordered(run):
    """Of each mailbox the first receipts are in the order of its numbers."""
    last = {}
    for receipt in first(run.receipts):
        if receipt.sequence < last.get(receipt.grant, 0):
            yield f"number {receipt.sequence} of {receipt.grant} was received after {last[receipt.grant]}"
        last[receipt.grant] = receipt.sequence


def unexplained(run):
    """What comes again does so because somebody was killed."""
    begun, kills = {receipt.id: receipt.at for receipt in first(run.receipts)}, sorted(run.kills)
    strange = [receipt for receipt in repeats(run.receipts) if not is_explained(kills, begun[receipt.id], receipt.at)]
    if strange:
        yield f"{len(strange)} receipts came again although nobody was killed, such as {strange[0]}"


def untested(run):
    for what, count in (("events", len(run.log)), ("repeats", sum(1 for _ in repeats(run.receipts))), ("kills", len(run.kills))):
        if count < run.least[what]:
            yield f"there were {count} {what}, and there must be {run.least[what]}"


CHECKS = (unlogged, gaps, lost, falsified, disordered, unexplained, untested)


def by_id(receipt):
    return receipt.id


def first(receipts, key=by_id):
    """Those by which something was received for the first time."""
    seen = set()
    for receipt in receipts:
        if key(receipt) not in seen:
            seen.add(key(receipt))
            yield receipt


def repeats(receipts, key=by_id):
    seen = set()
    for receipt in receipts:
        if key(receipt) in seen:
            yield receipt
        seen.add(key(receipt))


def is_explained(kills, begun, again):
    """Whether one of the kills, which are in order, is why something came again that had come before."""
    after = bisect.bisect_right(kills, begun - WINDOW)
    return after < len(kills) and kills[after] < again


# Whether the check finds what it must -----------------------------------------------------------------------------------


def made_up():
    """A run in which all is well."""
    log, receipts, numbers = [], [], collections.Counter()
    for n in range(60):
        grant, kind = f"g{n % 3}", "message.created" if n % 4 == 0 else "message.updated"
        numbers[grant] += 1
        log.append(Logged(f"e{n}", kind, grant, numbers[grant], f"m{n % 8 if n % 4 else n}"))
        receipts.append(Receipt(float(n), f"e{n}", kind, grant, numbers[grant], 1))
    receipts.append(receipts[40]._replace(at=60.0))
    counts = collections.Counter(event.message for event in log if event.kind == "message.updated")
    changes = {message: (count, count + n % 2) for n, (message, count) in enumerate(sorted(counts.items()))}
    return Run(
        changes=changes, arrivals=(14, 16), log=log, receipts=receipts, kills=[41.5], told={"message.created", "message.updated"},
        least={"events": 60, "repeats": 1, "kills": 1},
    )


def caught(known):
    """The lies that the check does not see."""
    return [lie.__name__ for lie, check in LIES.items() if not is_seen_by(check, known, lie)]


def is_seen_by(check, known, lie):
    false = copy.deepcopy(known)
    lie(false)
    return set(check(false)) - set(check(known)) != set()


def a_change_that_is_not_logged(run):
    at = next(n for n, event in enumerate(run.log) if event.kind == "message.updated" and run.changes[event.message][0] > 0)
    run.changes[run.log[at].message] = (run.changes[run.log[at].message][1],) * 2
    del run.log[at]


def a_change_that_nobody_made(run):
    run.log.append(next(event for event in run.log if event.kind == "message.updated"))
    run.changes[run.log[-1].message] = (1, 1)


def a_message_that_is_not_logged(run):
    run.arrivals = (run.arrivals[1], run.arrivals[1])


def a_message_that_is_logged_twice(run):
    run.log.append(next(event for event in run.log if event.kind == "message.created"))


def a_number_that_is_left_out(run):
    del run.log[10]


def numbers_in_another_order(run):
    run.log[10], run.log[13] = run.log[13], run.log[10]


def an_event_that_is_not_received(run):
    del run.receipts[20]


def an_event_that_is_another(run):
    run.receipts[20] = run.receipts[20]._replace(sequence=99)


def a_repeat_under_another_id(run):
    run.receipts[-1] = run.receipts[-1]._replace(id="another")


def two_of_a_mailbox_the_other_way_round(run):
    run.receipts[20], run.receipts[23] = run.receipts[23], run.receipts[20]


def a_repeat_without_a_kill(run):
    run.kills = []


def too_little(run):
    run.least["events"] = len(run.log) + 1


LIES = {
    a_change_that_is_not_logged: unlogged,
    a_change_that_nobody_made: unlogged,
    a_message_that_is_not_logged: unlogged,
    a_message_that_is_logged_twice: unlogged,
    a_number_that_is_left_out: gaps,
    numbers_in_another_order: gaps,
    an_event_that_is_not_received: lost,
    an_event_that_is_another: falsified,
    a_repeat_under_another_id: falsified,
    two_of_a_mailbox_the_other_way_round: disordered,
    a_repeat_without_a_kill: unexplained,
    too_little: untested,
}
