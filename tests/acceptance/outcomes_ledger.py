"""What `outcomes_loop.py` knows at the end, and whether everybody stands where they must: what writers were told, what the
receiver answered, what was reported, and against it what the server shows of each sender, its record, and its events.

The check is a function of this alone, so that it is checked, too: `caught` falsifies what is known in every way that matters,
and each time the check must find it.
"""

import collections
import copy

from outcomes_clients import ENDS, MUTE, end_of

# Seconds before a kill in which what the receiver said may not have been written down.
WINDOW = 2.0
STATES = ("healthy", "elevated", "under_review", "paused")
SUBJECTS = ("grant", "workspace", "domain", "application", "organization")
COUNTS = ("recipients", "hard_bounces", "complaints")
ATTEMPT, HARD, COMPLAINT = 1, 4, 8


class Run:
    """What is known.

    `accounts`: mailboxes by id, each with what it belongs to. `told`: what became of each send, with `to` and `barred`.
    `reports`: those that are true and were acknowledged. `refused`, `taken`: what the receiver said to whom and when; of what it
    took all times and return paths. `kills`: when. `waiting`: recipients whose mail waits behind a pause.
    `dropped`: recipients that were given up because of a report that came before the server had written down the end.
    `shown`: by kind and name, what the interface shows. `record`: by mailbox, what counted, in its order.
    `changes`: what events say of changes, in their order. `stopped`: by mailbox that is stopped, the number of the event that
    said so first. `accepted`: by mailbox, the numbers of the events of what it sent. `seen`: when a pause was first seen.
    `feedback`: by mailbox, how many bounces and complaints counted. `drift`: by organization, counters that are wrong.
    """

    def __init__(self, **known):
        self.__dict__.update(known)

    def recipients(self):
        """All to whom something was accepted that they may get, with the mailbox that sent it."""
        for record in self.told:
            if record["outcome"] == "accepted":
                yield from ((recipient, record["account"]) for recipient in record["to"])

    def reported(self):
        """What was said of whom, each once."""
        return {(report["recipient"], report["what"]) for report in self.reports}


def check(run):
    """Findings."""
    return [finding for part in PARTS for finding in part(run)]


def expected(run):
    """By mailbox, what must have been counted."""
    counts = collections.defaultdict(collections.Counter)
    said = run.reported()
    for recipient, grant in run.recipients():
        count = counts[grant]
        has_ended = recipient not in run.waiting and recipient not in run.dropped
        count["recipients"] += has_ended
        count["hard_bounces"] += (end_of(recipient) == "hard" and has_ended) or (recipient, "hard") in said
        count["complaints"] += (recipient, "complaint") in said
    return counts


def counts(run):
    """Counts that are not what writers know."""
    sums = collections.defaultdict(collections.Counter)
    for grant, count in expected(run).items():
        for kind in SUBJECTS:
            name = grant if kind == "grant" else run.accounts[grant][kind]
            sums[kind, name].update(count)
    for subject, shown in run.shown.items():
        differing = [f"{name} {shown['counts'][name]} instead of {sums[subject][name]}" for name in COUNTS if shown["counts"][name] != sums[subject][name]]
        if differing:
            yield f"{' '.join(subject)} has {', '.join(differing)}"


def recounts(run):
    """Mailboxes that do not stand where they do when everything is counted anew: by the server, and by what it wrote down."""
    for (kind, grant), shown in run.shown.items():
        if kind != "grant":
            continue
        recount = shown["recount"]
        if not recount["agrees"] or not recount["is_complete"] or recount["counts"] != shown["counts"]:
            yield f"{grant}: shown {shown['counts']}, counted anew {recount}"
        rows = run.record.get(grant, [])
        if [number for number, _ in rows] != list(range(1, len(rows) + 1)):
            yield f"{grant}: what counted is not numbered from 1 to {len(rows)}"
        tally, state, steps = replayed(rows)
        if tuple(shown["counts"][name] for name in COUNTS) != tally:
            yield f"{grant}: shown {shown['counts']}, by the record {tally}"
        if shown["state"] != state:
            yield f"{grant} is shown as {shown['state']} and is {state} by the record"
        told = [(change["from"], change["state"]) for change in run.changes if change["subject"] == grant]
        if told != steps:
            yield f"{grant} went {steps} by the record, and events say {told}"


def replayed(rows):
    """Counts, state and steps of a mailbox whose outcomes are all younger than a week."""
    attempts = hard = complaints = patience = 0
    state, steps = "healthy", []
    for _, counted in rows:
        attempts += counted & ATTEMPT == ATTEMPT
        hard += counted & HARD == HARD
        complaints += counted & COMPLAINT == COMPLAINT
        bounce_of, complaint_of = max(attempts, 100), max(attempts, 1_000)
        is_above = hard * 20 >= bounce_of or complaints * 1_000 >= complaint_of
        if state == "under_review" and is_above:
            patience += counted & ATTEMPT == ATTEMPT
        else:
            patience = 0
        is_over = hard * 10 >= bounce_of or complaints * 200 >= complaint_of
        is_long = state == "under_review" and patience >= max(attempts, 1_000) // 2
        if state == "paused" or is_over or is_long:
            now = "paused"
        elif state == "under_review" and not is_clear(attempts, hard, complaints):
            now = "under_review"
        else:
            now = standing(attempts, hard, complaints)
        if now != state:
            steps.append((state, now))
            state = now
    return (attempts, hard, complaints), state, steps


def is_clear(attempts, hard, complaints):
    return hard * 50 < max(attempts, 100) and complaints * 1_000 < max(attempts, 1_000)


def standing(attempts, hard, complaints):
    """Where somebody stands who was healthy before and is not paused."""
    if hard * 20 >= max(attempts, 100) or complaints * 1_000 >= max(attempts, 1_000):
        return "under_review"
    return "elevated" if hard * 50 >= max(attempts, 100) else "healthy"


def states(run):
    """What many share and stands where its counts do not put it."""
    for (kind, name), shown in run.shown.items():
        if kind == "grant":
            continue
        tally = tuple(shown["counts"][count] for count in COUNTS)
        allowed = {standing(*tally)}
        if not is_clear(*tally):
            allowed.add("under_review")
        if shown["state"] not in allowed:
            yield f"{kind} {name} is {shown['state']} with {tally}"


def chains(run):
    """Changes that do not begin where the one before ended, and last ones that are not what is shown."""
    last = collections.defaultdict(lambda: "healthy")
    for change in run.changes:
        subject = (change["subject_type"], change["subject"])
        if change["from"] != last[subject] or change["from"] == change["state"]:
            yield f"{' '.join(subject)} went from {change['from']} to {change['state']} when it was {last[subject]}"
        last[subject] = change["state"]
    for subject, shown in run.shown.items():
        if shown["state"] != last[subject]:
            yield f"{' '.join(subject)} is {shown['state']}, and events say {last[subject]}"


def pauses(run):
    """Who is paused and not stopped, stopped and not paused, or has sent nevertheless."""
    paused = {name for (kind, name), shown in run.shown.items() if kind == "grant" and shown["state"] == "paused"}
    if differing := paused ^ run.stopped.keys():
        yield f"{len(differing)} mailboxes are either paused or stopped, and not both, such as {min(differing)}"
    if early := run.seen.keys() - paused:
        yield f"{len(early)} mailboxes were seen paused and are not, such as {min(early)}"
    for grant, sequence in run.stopped.items():
        if later := [number for number in run.accepted.get(grant, []) if number > sequence]:
            yield f"{grant} has sent {len(later)} messages after its pause"
    for record in run.told:
        seen = run.seen.get(record["account"])
        if record["outcome"] == "accepted" and seen is not None and record["began"] > seen:
            yield f"{record['token']} was accepted although the pause of {record['account']} had been seen"


def arrivals(run):
    """Recipients without an end, with a wrong one, or that should not have been asked."""
    known = dict(run.recipients())
    for recipient, grant in known.items():
        end = end_of(recipient)
        has = recipient in (run.refused if (ENDS[end][0] or "").startswith("5") else run.taken)
        if recipient in run.waiting:
            if grant not in run.stopped:
                yield f"{recipient} waits, and {grant} is not paused"
        elif recipient in run.dropped:
            moments = [at for at, _ in run.taken.get(recipient, [])]
            if not any(at - 0.1 < kill < at + WINDOW for at in moments for kill in run.kills):
                yield f"{recipient} was given up without a kill that explains it"
        elif has == (end == "never"):
            yield f"{recipient} {'arrived' if has else 'did not come to its end'}"
    if strange := [recipient for recipient in (*run.taken, *run.refused) if recipient not in known]:
        yield f"{len(strange)} recipients were asked to whom nothing was accepted, such as {strange[0]}"
    for recipient, times in run.taken.items():
        if len({path for _, path in times}) > 1:
            yield f"{recipient} was written to again although it is suppressed"
    for record in run.told:
        if record["outcome"] == "accepted" and set(record["suppressed"]) != set(record["barred"]):
            yield f"{record['token']}: left out were {record['suppressed']} instead of {record['barred']}"


def reports(run):
    """Reports that were acknowledged and not counted once, or counted and never made."""
    account = dict(run.recipients())
    counted = collections.defaultdict(collections.Counter)
    for recipient, what in run.reported():
        counted[account.get(recipient)]["complaint" if what == "complaint" else "bounce"] += 1
    for grant in run.accounts:
        if run.feedback[grant] != counted[grant]:
            yield f"{grant}: {dict(run.feedback[grant])} counted, and {dict(counted[grant])} were reported"


def drift(run):
    for name, wrong in run.drift.items():
        if wrong:
            yield f"{name} has counters that are wrong: {wrong}"


PARTS = (counts, recounts, states, chains, pauses, arrivals, reports, drift)


def reached(run):
    """What never happened, so that nothing was shown of it."""
    for kind in SUBJECTS:
        steps = {(change["from"], change["state"]) for change in run.changes if change["subject_type"] == kind}
        if not steps:
            yield f"no {kind} ever stood otherwise"
    to = {change["state"] for change in run.changes if change["subject_type"] == "grant"}
    if missing := {"elevated", "under_review", "paused"} - to:
        yield f"no mailbox was ever {', '.join(sorted(missing))}"
    if not any(run.shown["grant", grant]["state"] == "healthy" for grant in run.accounts):
        yield "no mailbox is healthy"
    ends = collections.Counter(end_of(recipient) for recipient, _ in run.recipients())
    for end in ENDS:
        if not ends[end]:
            yield f"nobody was written to who ends as {end}"
    if not any(report["again"] for report in run.reports):
        yield "nothing was reported again"
    if not any(MUTE in record["barred"] for record in run.told):
        yield "nobody was written to who is suppressed"
    if not any(record["outcome"] == "refused" for record in run.told):
        yield "no send was refused"
    if len(set(run.lies)) < 8:
        yield f"only {len(set(run.lies))} kinds of lies were told"


# A run that is made up -------------------------------------------------------------------------------------------------


def made_up():
    """What would be known if two mailboxes of everybody had written to some hundred recipients, and all went well."""
    accounts = {}
    for number, profile in enumerate(("good", "buyer", "spammer", "reviewed") * 2):
        of = {"workspace": f"w{number // 2}", "domain": f"d{number % 3}", "application": f"a{number // 4}", "organization": "o"}
        accounts[f"g{number}"] = of | {"profile": profile}
    known = {name: {} for name in ("refused", "taken", "shown", "record", "stopped", "accepted", "seen")}
    run = Run(accounts=accounts, told=[], reports=[], lies=[], kills=[], waiting=set(), dropped=set(), changes=[], drift={}, **known)
    run.feedback = {grant: collections.Counter() for grant in accounts}
    plans = {
        "good": ["fine"] * 180,
        "buyer": (["fine", "hard", "late"] * 15) + ["fine"] * 5,
        "spammer": ["fine", "cry", "soft"] * 8,
        "reviewed": ["fine"] * 10 + ["late"] * 6 + ["full", "shut"] * 10,
    }
    rows = collections.defaultdict(list)
    for grant, about in accounts.items():
        for at, end in enumerate(plans[about["profile"]]):
            write(run, rows, grant, at, end)
    for (kind, name), counted in rows.items():
        tally, state, _ = replayed(counted)
        if kind != "grant" and state == "paused":
            state = "under_review"
        shown = dict(zip(COUNTS, tally))
        recount = {"agrees": True, "is_complete": True, "counts": dict(shown)} if kind == "grant" else None
        run.shown[kind, name] = {"state": state, "counts": shown, "recount": recount}
    for grant in accounts:
        run.record[grant] = list(rows["grant", grant])
        if run.shown["grant", grant]["state"] == "paused":
            run.stopped[grant], run.seen[grant] = 1_000, 1_000.0
            run.told.append({"token": "late", "account": grant, "to": [], "barred": [], "outcome": "refused", "began": 1_001.0})
    return run


def write(run, rows, grant, at, end):
    """One recipient, what becomes of it, and what follows for everybody."""
    recipient, about = f"{end}-{grant}.{at}-0@sink.test", run.accounts[grant]
    reply, says = ENDS[end]
    record = {"token": f"{grant}.{at}", "account": grant, "to": [recipient], "barred": [], "suppressed": []}
    if about["profile"] == "buyer" and replayed(rows["grant", grant])[1] == "paused":
        return
    run.told.append(record | {"outcome": "accepted", "began": float(at)})
    run.accepted.setdefault(grant, []).append(at)
    if (reply or "").startswith("5"):
        run.refused[recipient] = float(at)
    else:
        run.taken[recipient] = [(float(at), f"path of {recipient}")]
    for what in says:
        run.reports += [{"recipient": recipient, "what": what, "again": again} for again in (False, True)]
        run.feedback[grant]["complaint" if what == "complaint" else "bounce"] += 1
    counted = [ATTEMPT | (HARD if end == "hard" else 0)]
    counted += [{"hard": HARD, "complaint": COMPLAINT}[what] for what in says if what != "soft"]
    for kind in SUBJECTS:
        name = grant if kind == "grant" else about[kind]
        for one in counted:
            before = shared(kind, replayed(rows[kind, name])[1])
            rows[kind, name].append((len(rows[kind, name]) + 1, one))
            after = shared(kind, replayed(rows[kind, name])[1])
            if before != after:
                run.changes.append({"subject_type": kind, "subject": name, "from": before, "state": after})


def shared(kind, state):
    return "under_review" if kind != "grant" and state == "paused" else state


# Whether the check sees -------------------------------------------------------------------------------------------------


def caught(run):
    """Falsifies what is known, one way at a time; answers the ways that the check did not see."""
    return [lie.__name__ for lie in LIES if not sees(run, lie)]


def sees(run, lie):
    false = Run(**{name: copy.deepcopy(value) for name, value in run.__dict__.items()})
    try:
        lie(false)
    except StopIteration:
        # There is nothing that could be falsified so.
        return False
    return set(LIES[lie](false)) - set(LIES[lie](run)) != set()


def first(run, kind, is_wanted=lambda _: True):
    return next(shown for (of, _), shown in run.shown.items() if of == kind and is_wanted(shown))


def paused(run):
    return next(name for (kind, name), shown in run.shown.items() if kind == "grant" and shown["state"] == "paused")


def one_more_bounce_of_a_mailbox(run):
    shown = first(run, "grant")
    shown["counts"]["hard_bounces"] += 1
    shown["recount"]["counts"]["hard_bounces"] += 1


def one_recipient_less_of_a_domain(run):
    first(run, "domain")["counts"]["recipients"] -= 1


def one_more_complaint_of_a_workspace(run):
    first(run, "workspace")["counts"]["complaints"] += 1


def one_bounce_less_of_an_application(run):
    first(run, "application")["counts"]["hard_bounces"] -= 1


def one_recipient_more_of_an_organization(run):
    first(run, "organization")["counts"]["recipients"] += 1


def a_replay_that_counts(run):
    """What was said twice is there twice: a report is taken for one about somebody else."""
    report = next(one for one in run.reports if one["again"] and one["what"] == "hard")
    other = next(recipient for recipient, _ in run.recipients() if end_of(recipient) == "fine")
    run.reports.append(report | {"recipient": other})


def a_report_that_does_not_count(run):
    gone = next(report for report in run.reports if report["what"] == "complaint")
    run.reports = [one for one in run.reports if (one["recipient"], one["what"]) != (gone["recipient"], gone["what"])]


def a_window_that_was_counted_otherwise(run):
    first(run, "grant")["recount"]["agrees"] = False


def a_row_that_is_gone(run):
    max(run.record.values(), key=len).pop()


def a_row_that_is_there_twice(run):
    rows = max(run.record.values(), key=len)
    rows.append(rows[-1])


def a_bounce_that_became_none(run):
    rows = next(rows for rows in run.record.values() if any(counted & HARD for _, counted in rows))
    at = next(at for at, (_, counted) in enumerate(rows) if counted & HARD)
    rows[at] = (rows[at][0], rows[at][1] & ~HARD)


def an_order_that_was_another(run):
    """The worst of a mailbox that was paused is told to have come first: then it went another way."""
    rows = run.record[paused(run)]
    came = sorted((counted for _, counted in rows), key=lambda counted: not counted & (HARD | COMPLAINT))
    rows[:] = [(number, counted) for number, counted in enumerate([came[-1], came[-1], *came[:-2]], 1)]
    rows[-1] = (rows[-1][0] + 1, rows[-1][1])


def a_state_that_is_too_good(run):
    first(run, "grant", lambda shown: shown["state"] != "healthy")["state"] = "healthy"


def a_shared_state_that_is_too_good(run):
    first(run, "organization", lambda shown: shown["state"] == "under_review")["state"] = "healthy"


def a_domain_that_is_paused(run):
    first(run, "domain")["state"] = "paused"


def a_change_that_was_not_told(run):
    run.changes.pop(0)


def a_change_that_was_told_twice(run):
    run.changes.append(run.changes[-1])


def a_last_change_that_was_not_told(run):
    run.changes.pop()


def a_pause_without_a_stop(run):
    run.stopped.pop(paused(run))


def a_stop_without_a_pause(run):
    run.stopped[next(name for (kind, name), shown in run.shown.items() if kind == "grant" and shown["state"] != "paused")] = 1


def a_message_after_the_pause(run):
    grant = paused(run)
    run.accepted.setdefault(grant, []).append(run.stopped[grant] + 1)


def a_send_after_the_pause_was_seen(run):
    grant, seen = next(iter(run.seen.items()))
    like = next(record for record in run.told if record["outcome"] == "accepted")
    run.told.append(like | {"account": grant, "began": seen + 0.001})


def a_recipient_that_was_forgotten(run):
    run.taken.pop(next(recipient for recipient in run.taken if end_of(recipient) == "fine" and recipient not in run.waiting | run.dropped))


def a_recipient_that_waits_for_nothing(run):
    run.waiting.add(next(to for to, grant in run.recipients() if grant not in run.stopped))


def a_recipient_that_was_given_up(run):
    run.dropped.add(next(recipient for recipient in run.taken if recipient not in run.waiting | run.dropped))
    run.kills = []


def one_who_is_suppressed(run):
    run.taken[MUTE] = [(0.0, "path")]


def one_who_was_written_to_again(run):
    times = next(iter(run.taken.values()))
    times.append((times[0][0], "another path"))


def one_who_was_left_out(run):
    next(record for record in run.told if record["outcome"] == "accepted")["suppressed"].append("lie@sink.test")


def a_forged_report_that_counts(run):
    next(iter(run.feedback.values()))["bounce"] += 1


def a_drift(run):
    run.drift["lie"] = 1


LIES = {
    one_more_bounce_of_a_mailbox: counts,
    one_recipient_less_of_a_domain: counts,
    one_more_complaint_of_a_workspace: counts,
    one_bounce_less_of_an_application: counts,
    one_recipient_more_of_an_organization: counts,
    a_replay_that_counts: counts,
    a_report_that_does_not_count: counts,
    a_window_that_was_counted_otherwise: recounts,
    a_row_that_is_gone: recounts,
    a_row_that_is_there_twice: recounts,
    a_bounce_that_became_none: recounts,
    an_order_that_was_another: recounts,
    a_state_that_is_too_good: recounts,
    a_shared_state_that_is_too_good: states,
    a_domain_that_is_paused: states,
    a_change_that_was_not_told: chains,
    a_change_that_was_told_twice: chains,
    a_last_change_that_was_not_told: chains,
    a_pause_without_a_stop: pauses,
    a_stop_without_a_pause: pauses,
    a_message_after_the_pause: pauses,
    a_send_after_the_pause_was_seen: pauses,
    a_recipient_that_was_forgotten: arrivals,
    a_recipient_that_waits_for_nothing: arrivals,
    a_recipient_that_was_given_up: arrivals,
    one_who_is_suppressed: arrivals,
    one_who_was_written_to_again: arrivals,
    one_who_was_left_out: arrivals,
    a_forged_report_that_counts: reports,
    a_drift: drift,
}
