"""What `gathering_loop.py` knows, and whether it fits: what was acknowledged against what was found in each way, where the
gathering came to rest, and what the kills fell in.

The check is a function of this alone, so that it is checked, too: `caught` falsifies what is known in every way that matters,
and each time the check must find it.
"""

import collections
import copy
from typing import NamedTuple

# The date before which all imported messages were received.
BEFORE_ALL = 1_770_000_000
# Messages of a segment, and segments of a level that are merged: less than that is left as it is.
SEGMENT_MESSAGES, MERGED_SEGMENTS = 128, 16


class Mail(NamedTuple):
    """A message: its mailbox, how it came, and the person who wrote it."""

    box: int
    way: str
    person: int


class Answer(NamedTuple):
    """The messages of a mailbox that were found in a way, by their tokens."""

    box: int
    way: str
    value: object
    tokens: list


class Mailbox(NamedTuple):
    """A mailbox at rest: whether it waits to be gathered; its segments as (level, state, messages); messages that are loose, and late."""

    is_due: bool
    segments: list
    loose: int
    late: int


class Run:
    """What is known.

    `mail`: by token, what was tried. `acknowledged`, `marking`, `marked`, `removing`, `removed`: tokens, of what was tried and
    what was acknowledged. `answers`: what was found. At the end also `rest`: mailboxes by their number; `fell`: by what was under way,
    how many kills fell in it; `least`: how many must have.
    """

    def __init__(self, **known):
        self.__dict__.update(known)

    def until(self, later, answer):
        """The same for an answer that was read until later."""
        may = {"mail": later.mail, "marking": later.marking, "removing": later.removing, "answers": [answer]}
        return Run(**(self.__dict__ | may))


def check(run):
    """Findings about what was found."""
    return [finding for part in (lost, doubled, ghosts, strangers, differing) for finding in part(run)]


def check_all(run):
    """All findings of a run that has come to its end."""
    return [*check(run), *unsettled(run), *untested(run)]


def is_sought(run, answer, token, marks):
    """Whether a message is one of those that were asked for; `marks` are those that count as marked."""
    mail = run.mail[token]
    if mail.box != answer.box:
        return False
    if answer.way == "from":
        return mail.person == answer.value
    if answer.way == "own words":
        return token in answer.value
    return answer.way != "metadata_pair" or token in marks


def wanted(run, answer):
    """The messages that must have been found."""
    return {token for token in run.acknowledged - run.removing if is_sought(run, answer, token, run.marked)}


def some(tokens):
    return f"{len(tokens)} messages, such as {min(tokens)}"


def lost(run):
    for answer in run.answers:
        if missing := wanted(run, answer) - set(answer.tokens):
            yield f"{named(answer)} does not find {some(missing)}"


def doubled(run):
    for answer in run.answers:
        counts = collections.Counter(answer.tokens)
        if twice := {token for token, count in counts.items() if count > 1}:
            yield f"{named(answer)} finds more than once {some(twice)}"


def ghosts(run):
    for answer in run.answers:
        if found := run.removed & set(answer.tokens):
            yield f"{named(answer)} finds what was removed: {some(found)}"


def strangers(run):
    for answer in run.answers:
        others = {token for token in answer.tokens if token not in run.mail or not is_sought(run, answer, token, run.marking)}
        if others:
            yield f"{named(answer)} finds what was not asked for: {some(others)}"


def differing(run):
    """What is in the list of a mailbox although it was not acknowledged must be found in each way, and what is not, in none."""
    lists = {answer.box: set(answer.tokens) for answer in run.answers if answer.way == "list"}
    for answer in run.answers:
        if len(run.answers) == 1 or answer.way in ("list", "metadata_pair"):
            continue
        doubtful = set(run.mail) - run.acknowledged
        sought = {token for token in doubtful if is_sought(run, answer, token, ())}
        if differs := (sought & lists[answer.box]) ^ (doubtful & set(answer.tokens)):
            yield f"{named(answer)} does not show as the list does {some(differs)}"


def named(answer):
    value = "" if answer.value is None or answer.way == "own words" else f" {answer.value}"
    return f"in mailbox {answer.box}, {answer.way}{value}"


def unsettled(run):
    """Mailboxes that have not come to rest as they must."""
    for box, mailbox in run.rest.items():
        levels = collections.Counter(level for level, _, _ in mailbox.segments)
        if mailbox.is_due:
            yield f"mailbox {box} waits to be gathered for ever"
        if unfinished := [state for _, state, _ in mailbox.segments if state != 1]:
            yield f"mailbox {box} has {len(unfinished)} segments that are left in the making or to be removed"
        if any(count >= MERGED_SEGMENTS for count in levels.values()):
            yield f"mailbox {box} has segments that were not merged: {dict(levels)}"
        for what, count in (("loose", mailbox.loose), ("late", mailbox.late)):
            if count >= SEGMENT_MESSAGES:
                yield f"mailbox {box} has {count} messages that are {what}"
        if not levels[1]:
            yield f"nothing was merged in mailbox {box}"


def untested(run):
    for what, least in run.least.items():
        if run.fell[what] < least:
            yield f"{run.fell[what]} kills fell while a segment was {what}, and it must be {least}"


# Whether the check finds what it must -----------------------------------------------------------------------------------


def made_up():
    """A run in which all is well."""
    mail = {f"{way[0]}{n}": Mail(n % 2, way, n % 3) for way in ("smtp", "import") for n in range(60)}
    acknowledged = set(mail) - {"s1", "s2", "i5"}
    removed, marked = {"s4", "s9", "i7"}, {"s6", "s7", "i10", "i11"}
    run = Run(mail=mail, acknowledged=acknowledged, marking=marked | {"i12"}, marked=marked, removing=removed | {"i9"}, removed=removed)
    there = set(mail) - removed - {"s2", "i9"}
    run.answers = []
    for box in (0, 1):
        for way, value in (("list", None), ("common word", "x"), ("metadata_pair", "k:v"), *(("from", n) for n in range(3)), ("own words", tuple(mail))):
            answer = Answer(box, way, value, [])
            answer.tokens.extend(sorted(token for token in there if is_sought(run, answer, token, marked)))
            run.answers.append(answer)
    run.rest = {box: Mailbox(False, [(0, 1, 128), (1, 1, 2048)], 100, 127) for box in (0, 1)}
    run.fell, run.least = collections.Counter({"in the making": 2, "being removed": 3}), {"in the making": 2, "being removed": 2}
    return run


def caught(known):
    """The lies that the check does not see."""
    return [lie.__name__ for lie in LIES if not is_seen(known, lie)]


def is_seen(known, lie):
    false = copy.deepcopy(known)
    try:
        lie(false)
    except StopIteration:
        # There is nothing that could be falsified so.
        return False
    return set(LIES[lie](false)) - set(LIES[lie](known)) != set()


def answer_in(run, way, is_wanted=lambda run, token: token in run.acknowledged - run.removing):
    """An answer of a way and a message in it."""
    return next((answer, token) for answer in run.answers if answer.way == way for token in answer.tokens if is_wanted(run, token))


def one_that_is_not_listed(run):
    answer, token = answer_in(run, "list")
    answer.tokens.remove(token)


def one_that_is_not_found_by_a_word(run):
    answer, token = answer_in(run, "common word")
    answer.tokens.remove(token)


def one_that_is_not_found_by_its_own_word(run):
    answer, token = answer_in(run, "own words")
    answer.tokens.remove(token)


def one_that_is_not_found_by_its_writer(run):
    answer, token = answer_in(run, "from")
    answer.tokens.remove(token)


def one_that_is_not_found_by_its_mark(run):
    answer, token = answer_in(run, "metadata_pair", lambda run, token: token in run.marked - run.removing)
    answer.tokens.remove(token)


def one_that_is_listed_twice(run):
    answer, token = answer_in(run, "list")
    answer.tokens.append(token)


def one_that_is_found_twice(run):
    answer, token = answer_in(run, "common word")
    answer.tokens.append(token)


def one_that_was_removed(run):
    token = next(iter(run.removed))
    next(one for one in run.answers if one.way == "common word" and one.box == run.mail[token].box).tokens.append(token)


def one_of_another_mailbox(run):
    answer, token = answer_in(run, "list")
    next(one for one in run.answers if one.way == "list" and one.box != answer.box).tokens.append(token)


def one_of_another_writer(run):
    answer, token = answer_in(run, "from")
    next(one for one in run.answers if one.way == "from" and one.box == answer.box and one.value != answer.value).tokens.append(token)


def one_that_was_not_marked(run):
    answer, _ = answer_in(run, "metadata_pair", lambda *_: True)
    answer.tokens.append(next(t for t in run.acknowledged - run.marking - run.removing if run.mail[t].box == answer.box))


def one_that_nobody_sent(run):
    run.answers[0].tokens.append("nobody")


def one_that_is_listed_and_not_found(run):
    answer, token = answer_in(run, "list")
    for one in run.answers:
        if one.way != "list" and token in one.tokens:
            one.tokens.remove(token)
    run.acknowledged.remove(token)


def one_that_is_found_and_not_listed(run):
    answer, token = answer_in(run, "list")
    answer.tokens.remove(token)
    run.acknowledged.remove(token)


def a_mailbox_that_waits(run):
    run.rest[0] = run.rest[0]._replace(is_due=True)


def a_segment_that_nobody_makes(run):
    run.rest[0].segments.append((1, 0, 2048))


def a_segment_that_is_not_removed(run):
    run.rest[0].segments.append((0, 2, 128))


def segments_that_are_not_merged(run):
    run.rest[0].segments.extend([(0, 1, 128)] * MERGED_SEGMENTS)


def messages_that_stay_loose(run):
    run.rest[0] = run.rest[0]._replace(loose=SEGMENT_MESSAGES)


def messages_that_stay_late(run):
    run.rest[0] = run.rest[0]._replace(late=SEGMENT_MESSAGES)


def a_mailbox_without_merging(run):
    run.rest[0] = run.rest[0]._replace(segments=[(0, 1, 128)])


def too_few_kills(run):
    run.fell["in the making"] = run.least["in the making"] - 1


LIES = {
    one_that_is_not_listed: lost,
    one_that_is_not_found_by_a_word: lost,
    one_that_is_not_found_by_its_own_word: lost,
    one_that_is_not_found_by_its_writer: lost,
    one_that_is_not_found_by_its_mark: lost,
    one_that_is_listed_twice: doubled,
    one_that_is_found_twice: doubled,
    one_that_was_removed: ghosts,
    one_of_another_mailbox: strangers,
    one_of_another_writer: strangers,
    one_that_was_not_marked: strangers,
    one_that_nobody_sent: strangers,
    one_that_is_listed_and_not_found: differing,
    one_that_is_found_and_not_listed: differing,
    a_mailbox_that_waits: unsettled,
    a_segment_that_nobody_makes: unsettled,
    a_segment_that_is_not_removed: unsettled,
    segments_that_are_not_merged: unsettled,
    messages_that_stay_loose: unsettled,
    messages_that_stay_late: unsettled,
    a_mailbox_without_merging: unsettled,
    too_few_kills: untested,
}
