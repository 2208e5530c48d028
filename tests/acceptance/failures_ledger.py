"""What senders know of a run with failures, what was found afterwards, and whether the two fit."""

import collections
import copy
import hashlib
from dataclasses import dataclass, field

# Where no fault is: everything is taken.
CALM = "calm"


@dataclass
class Offer:
    """One try to hand over a message."""

    token: str
    # "250", a refusal with its enhanced code such as "452 4.3.1", or "cut": the answer did not come.
    answer: str
    fault: str
    is_large: bool
    # Whether the content was on its way; what was refused before cannot be there.
    had_content: bool


@dataclass
class Fault:
    """A fault as it went."""

    name: str
    # What senders may be told besides 250, and what at least one of them must be told; "cut" is an answer, too.
    may: set
    must: set
    # Whether a message may be kept although its sender was told otherwise: then a commit or its answer was under way.
    leaves_doubt: bool
    # Small messages need nothing that fails.
    spares_small: bool = False
    # Whether the server ends of it, and has to be started again.
    ends_server: bool = False
    # Seconds from its end until every sender was served again; None: never.
    recovered: float | None = None
    # What reading said meanwhile, where that was not as it must be.
    misread: list = field(default_factory=list)


@dataclass
class Run:
    senders: int
    # By token: the mailbox and the digest of the body.
    messages: dict
    offers: list
    faults: list
    # What the mailboxes have: (token, mailbox, digest).
    found: list
    # Sends that the interface accepted, and those that arrived at the receiver.
    accepted: list
    arrived: set
    # Counters that are not what a recount says.
    drift: list


def digest(body):
    return hashlib.sha256(body.strip().encode()).hexdigest()


# The check ----------------------------------------------------------------------------------------------------------


def check(run):
    """Everything that must not be."""
    return [finding for look in (losses, doubles, damages, answers, recoveries, counters) for finding in look(run)]


def acknowledged(run):
    return {offer.token for offer in run.offers if offer.answer == "250"}


def copies(run):
    return collections.Counter(token for token, _, _ in run.found)


def losses(run):
    there = copies(run)
    for token in sorted(acknowledged(run)):
        if not there[token]:
            yield f"{token} was acknowledged and is lost"
    for token in run.accepted:
        if token not in run.arrived:
            yield f"the send {token} was accepted and did not arrive"


def in_doubt(run):
    """By token, how often it was offered so that nobody can know what became of it."""
    doubtful = {fault.name for fault in run.faults if fault.leaves_doubt}
    return collections.Counter(
        offer.token for offer in run.offers if offer.answer != "250" and offer.had_content and offer.fault in doubtful
    )


def surplus(run):
    """Copies beyond those that were acknowledged."""
    known = acknowledged(run)
    return {token: count - (token in known) for token, count in copies(run).items() if count > (token in known)}


def doubles(run):
    doubtful, more = in_doubt(run), surplus(run)
    for token, count in sorted(more.items()):
        if count > doubtful[token]:
            yield f"{token} is there {count} times more than it was acknowledged, and was in doubt {doubtful[token]} times"
    # What was under way when a fault began is one message of each sender.
    at_most = run.senders * sum(fault.leaves_doubt for fault in run.faults)
    if sum(more.values()) > at_most:
        yield f"{sum(more.values())} messages are there more often than acknowledged, and only {at_most} can have been under way"


def damages(run):
    for token, mailbox, found in run.found:
        if token not in run.messages:
            yield f"{token} was never sent"
        elif (mailbox, found) != run.messages[token]:
            yield f"{token} is not as it was sent, or in another mailbox"


def answers(run):
    told = collections.defaultdict(set)
    for offer in run.offers:
        told[offer.fault].add(offer.answer)
    for refused in sorted(told[CALM] - {"250"}):
        yield f"a sender was told {refused} although nothing failed"
    for fault in run.faults:
        for strange in sorted(told[fault.name] - {"250"} - fault.may):
            yield f"{fault.name}: a sender was told {strange}"
        if fault.must and not told[fault.name] & fault.must:
            yield f"{fault.name}: no sender was told {' or '.join(sorted(fault.must))}"
        of_small = {offer.answer for offer in run.offers if offer.fault == fault.name and not offer.is_large}
        if fault.spares_small and of_small != {"250"}:
            yield f"{fault.name}: small messages were answered {sorted(of_small)}"
        yield from (f"{fault.name}: {text}" for text in fault.misread)


def recoveries(run):
    for fault in run.faults:
        if fault.recovered is None:
            yield f"{fault.name}: not every sender was served again"


def counters(run):
    yield from (f"counters: {text}" for text in run.drift)


# The check itself, tried --------------------------------------------------------------------------------------------


def caught(run):
    """Falsifies a run, one way at a time; answers the ways that the check did not see."""
    before = set(check(run))
    missed = []
    for lie in LIES:
        false = copy.deepcopy(run)
        lie(false)
        if not set(check(false)) - before:
            missed.append(lie.__name__)
    return missed


def first_acknowledged(run):
    """Where one is that was acknowledged and never in doubt."""
    known, doubtful = acknowledged(run), in_doubt(run)
    return next(at for at, (token, _, _) in enumerate(run.found) if token in known and not doubtful[token])


def a_lost_message(run):
    del run.found[first_acknowledged(run)]


def a_lost_send(run):
    run.arrived.discard(run.accepted[0])


def a_doubled_message(run):
    run.found.append(run.found[first_acknowledged(run)])


def a_damaged_message(run):
    token, mailbox, _ = run.found[first_acknowledged(run)]
    run.found[first_acknowledged(run)] = (token, mailbox, digest("another"))


def a_message_in_another_mailbox(run):
    token, mailbox, body = run.found[first_acknowledged(run)]
    run.found[first_acknowledged(run)] = (token, mailbox + 1, body)


def a_message_that_nobody_sent(run):
    run.found.append(("nobody-0", 0, digest("text")))


def a_refused_message_that_is_there(run):
    run.messages["refused-0"] = (0, digest("text"))
    run.offers.append(Offer("refused-0", "452 4.3.1", CALM, False, True))
    run.found.append(("refused-0", 0, digest("text")))


def more_doubts_than_were_under_way(run):
    fault = next((fault for fault in run.faults if fault.leaves_doubt), run.faults[0])
    for number in range(run.senders * len(run.faults) + 1):
        run.messages[f"doubt-{number}"] = (0, digest("text"))
        run.offers.append(Offer(f"doubt-{number}", "cut", fault.name, False, True))
        run.found.append((f"doubt-{number}", 0, digest("text")))


def a_refusal_for_good(run):
    run.offers.append(Offer("refused-1", "550 5.1.1", run.faults[0].name, False, False))


def a_refusal_without_a_fault(run):
    run.offers.append(Offer("refused-2", "451 4.3.0", CALM, False, False))


def a_fault_that_nobody_noticed(run):
    named = next(fault for fault in run.faults if fault.must)
    run.offers = [offer for offer in run.offers if offer.fault != named.name]


def a_fault_without_recovery(run):
    run.faults[0].recovered = None


def a_counter_that_drifts(run):
    run.drift.append("one is wrong")


LIES = [
    a_lost_message,
    a_lost_send,
    a_doubled_message,
    a_damaged_message,
    a_message_in_another_mailbox,
    a_message_that_nobody_sent,
    a_refused_message_that_is_there,
    more_doubts_than_were_under_way,
    a_refusal_for_good,
    a_refusal_without_a_fault,
    a_fault_that_nobody_noticed,
    a_fault_without_recovery,
    a_counter_that_drifts,
]


def made_up():
    """A small run in which all is well."""
    faults = [
        Fault("full", {"452 4.3.1"}, {"452 4.3.1"}, False, recovered=0.1),
        Fault("away", {"451 4.3.0", "cut"}, {"451 4.3.0"}, True, recovered=0.1),
    ]
    messages = {f"m-{number}": (0, digest(f"text {number}")) for number in range(4)}
    offers = [
        Offer("m-0", "250", CALM, False, True),
        Offer("m-1", "452 4.3.1", "full", True, True),
        Offer("m-1", "250", "full", True, True),
        Offer("m-2", "451 4.3.0", "away", False, True),
        Offer("m-2", "250", "away", False, True),
        Offer("m-3", "cut", "away", False, True),
    ]
    # What was in doubt is there twice, or once without having been acknowledged.
    found = [(token, *messages[token]) for token in ("m-0", "m-1", "m-2", "m-2", "m-3")]
    return Run(2, messages, offers, faults, found, ["program-0"], {"program-0"}, [])
