"""What `events_loop.py` knows of the message bus, and whether it fits: the log against what readers were given of the stream.

Checked by falsified runs, as `events_ledger.py` is.
"""

import collections
from typing import NamedTuple

from events_ledger import Logged, Run, first, is_explained, is_seen_by, repeats


class Given(NamedTuple):
    """An event as a reader was given it, when, of which stream (one that was wiped and made again is another) and its place there."""

    at: float
    source: str
    place: int
    id: str
    kind: str
    grant: str
    sequence: int
    position: int
    key: str


# What is known: `log` are all events, in their order. `heard` is what a reader was given that goes by place, `worked` what one was
# given that acknowledges, each in its order; `stream` is what was there at the end. `stops`: when NATS went away; `kills`: when the
# readers were killed. `least`: how much there must be, so that something was shown.


def check(run):
    """All findings."""
    return [finding for part in CHECKS for finding in part(run)]


def ledgers(run):
    return (("heard", run.heard), ("worked on", run.worked), ("in the stream", run.stream))


def lost(run):
    for how, ledger in ledgers(run):
        given = {one.id for one in ledger}
        if missing := [event for event in run.log if event.id not in given]:
            yield f"{len(missing)} events are not {how}, such as {missing[0]}"


def falsified(run):
    """What is given is what was logged, under its id."""
    logged = {event.id: (event.kind, event.grant, event.sequence) for event in run.log}
    for how, ledger in ledgers(run):
        wrong = [one for one in ledger if logged.get(one.id) != (one.kind, one.grant, one.sequence) or one.key.split("/")[0] != one.id]
        if wrong:
            yield f"{len(wrong)} that are {how} are not what was logged under their id, such as {wrong[0]}"


def moved(run):
    """Of one stream each event has one place and each place one event, whoever is given it when; of the log in all of them."""
    places, events, positions = {}, {}, {}
    for how, ledger in ledgers(run):
        for one in ledger:
            place = places.setdefault((one.source, one.id), one.place)
            event = events.setdefault((one.source, one.place), one.id)
            position = positions.setdefault(one.id, one.position)
            if (place, event, position) != (one.place, one.id, one.position):
                yield f"{one} is {how}, and was at place {place} and {position} of the log, and in its place was {event}"


def disordered(run):
    """Of each stream what comes for the first time is the log, without gaps; of all but the first one from its beginning."""
    order = {event.id: n for n, event in enumerate(run.log)}
    for how, ledger in (("heard", run.heard), ("in the stream", run.stream)):
        last = {}
        for one in first_of_streams(ledger):
            at, before = order.get(one.id, -1), last.get(one.source)
            if before is None and last and at != 0:
                yield f"{one} is the first of its stream that is {how}, and number {at} of the log"
            if before is not None and at != before + 1:
                yield f"{one} is number {at} of the log, and {how} after {before}"
            last[one.source] = at


def unexplained(run):
    """What comes again of one stream does so because NATS was away or the reader was killed, and never when nothing happens."""
    reasons = sorted([*run.stops, *run.kills])
    for how, ledger in ledgers(run):
        begun = {(one.source, one.id): one.at for one in first_of_streams(ledger)}
        again = repeats(ledger, of_stream)
        if strange := [one for one in again if not is_explained(reasons, begun[of_stream(one)], one.at)]:
            yield f"{len(strange)} are {how} again although nothing went away, such as {strange[0]}"


def untested(run):
    again = sum(1 for _ in repeats(run.heard, of_stream))
    streams = len({one.source for one in run.heard})
    there = {"events": len(run.stream), "times without NATS": len(run.stops), "streams": streams, "repeats": again}
    for what, count in {**there, "kills of the consumer": len(run.kills)}.items():
        if count < run.least[what]:
            yield f"there were {count} {what}, and there must be {run.least[what]}"


CHECKS = (lost, falsified, moved, disordered, unexplained, untested)


def of_stream(one):
    return one.source, one.id


def first_of_streams(ledger):
    return first(ledger, of_stream)


# Whether the check finds what it must -----------------------------------------------------------------------------------


def made_up():
    """A run in which all is well: the bus begins late, is killed and loses its end, and is wiped and filled again."""
    log = [Logged("e0", "grant.created", "", 0, None)]
    numbers = collections.Counter()
    for n in range(1, 50):
        numbers[f"g{n % 3}"] += 1
        log.append(Logged(f"e{n}", "message.updated", f"g{n % 3}", numbers[f"g{n % 3}"], f"m{n % 8}"))
    once = [given(log, n, "one", n - 1, 2.0 * n) for n in range(2, 30)]
    again = [given(log, n, "one", n - 1, 2.0 * n + 40) for n in range(25, 33)]
    anew = [given(log, n, "two", n + 1, 150.0 + n) for n in range(50)]
    return Run(
        log=log, heard=[*once, *again, *anew], worked=[*once, *anew, anew[30]._replace(at=230.0)], stream=[one._replace(at=300.0) for one in anew],
        stops=[61.0, 140.0], kills=[190.0], least={"events": 50, "times without NATS": 2, "streams": 2, "repeats": 5, "kills of the consumer": 1},
    )


def given(log, n, source, place, at):
    event = log[n]
    return Given(at, source, place, event.id, event.kind, event.grant, event.sequence, n + 1, event.id)


def caught(known):
    """The lies that the check does not see."""
    return [lie.__name__ for lie, check in LIES.items() if not is_seen_by(check, known, lie)]


def an_event_that_is_not_heard(run):
    run.heard = [one for one in run.heard if one.id != "e40"]


def an_event_that_nobody_works_on(run):
    run.worked = [one for one in run.worked if one.id != "e40"]


def an_event_that_the_stream_has_lost(run):
    del run.stream[20]


def an_event_that_is_another(run):
    run.stream[20] = run.stream[20]._replace(sequence=99)


def an_event_under_the_id_of_another(run):
    run.heard[-3] = run.heard[-3]._replace(key="e3")


def a_repeat_under_another_id(run):
    run.worked[-1] = run.worked[-1]._replace(id="another", key="another")


def an_event_that_is_stored_twice(run):
    run.stream.append(run.stream[20]._replace(place=51))


def an_event_that_is_stored_twice_before_a_wipe(run):
    run.worked.insert(28, run.worked[27]._replace(place=60))


def another_event_in_a_place_that_was_lost(run):
    run.heard[30] = run.heard[30]._replace(place=29)


def two_of_the_stream_the_other_way_round(run):
    run.stream[20], run.stream[23] = run.stream[23], run.stream[20]


def two_that_are_heard_the_other_way_round(run):
    run.heard[10], run.heard[13] = run.heard[13], run.heard[10]


def an_event_that_is_left_out_before_a_wipe(run):
    run.heard = [one for one in run.heard if (one.source, one.id) != ("one", "e12")]


def a_stream_that_is_not_filled_from_the_beginning(run):
    run.heard = [one for one in run.heard if (one.source, one.id) != ("two", "e0")]


def a_place_of_the_log_that_changes(run):
    run.heard[-1] = run.heard[-1]._replace(position=77)


def a_repeat_although_nothing_went_away(run):
    run.stops = run.stops[1:]


def work_that_is_given_again_although_nobody_was_killed(run):
    run.kills = []


def too_few_streams(run):
    run.least["streams"] = 3


LIES = {
    an_event_that_is_not_heard: lost,
    an_event_that_nobody_works_on: lost,
    an_event_that_the_stream_has_lost: lost,
    an_event_that_is_another: falsified,
    an_event_under_the_id_of_another: falsified,
    a_repeat_under_another_id: falsified,
    an_event_that_is_stored_twice: moved,
    an_event_that_is_stored_twice_before_a_wipe: moved,
    another_event_in_a_place_that_was_lost: moved,
    a_place_of_the_log_that_changes: moved,
    two_of_the_stream_the_other_way_round: disordered,
    two_that_are_heard_the_other_way_round: disordered,
    an_event_that_is_left_out_before_a_wipe: disordered,
    a_stream_that_is_not_filled_from_the_beginning: disordered,
    a_repeat_although_nothing_went_away: unexplained,
    work_that_is_given_again_although_nobody_was_killed: unexplained,
    too_few_streams: untested,
}
