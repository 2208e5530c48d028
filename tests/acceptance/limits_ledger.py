"""What `limits_loop.py` knows at the end, and whether any of it is over a limit: what clients were told, what the server
has, and what arrived, all without the server's counters.

The check is a function of this alone, so that it is checked, too: `caught` falsifies what is known in every way that matters,
and each time the check must find it.
"""

import collections
import copy
import datetime

DAY = 86_400
SECOND = 1_000_000


class Run:
    """What is known.

    `accounts`: by id, `organization`, `daily` (or None), `storage` (or None), `holds`.
    `organizations`: by name, its `limits`: `monthly`, `bandwidth`, `storage`, `rate` (or None each).
    `told`: what each attempt was told. `sent`: sent copies with `id`, `token`, `account`, `at` in microseconds, `octets`.
    `kept`: octets that each account keeps. `closed`: by id of a schedule or hold, whether it was sent, or is to be still.
    `usage`: by organization, the server's own counters at the end. `peaks`: the highest that was ever read of them.
    `taken`: tokens that arrived. `months`: those of which everything is known.
    """

    def __init__(self, **known):
        self.__dict__.update(known)

    def by_organization(self):
        found = collections.defaultdict(list)
        for message in self.sent:
            found[self.accounts[message["account"]]["organization"]].append(message)
        return found


def month_of(at):
    return datetime.datetime.fromtimestamp(at // SECOND, datetime.UTC).strftime("%Y-%m")


def check(run):
    """Findings."""
    return [*over_daily(run), *over_monthly(run), *over_storage(run), *over_rates(run), *lost_or_twice(run), *counters(run)]


def over_daily(run):
    """Mailboxes that sent more than they may in a day, or were refused before."""
    sent, told, refused = collections.Counter(), collections.Counter(), set()
    dates = {}
    for message in run.sent:
        sent[message["account"], message["at"] // SECOND // DAY] += 1
        dates[message["id"]] = message["at"] // SECOND
    for record in run.told:
        if record["outcome"] == "accepted":
            at = record["at"] or dates.get(record["id"], 0)
            told[record["account"], at // DAY] += 1
        elif record.get("code") == "daily_quota_exceeded":
            refused.add((record["account"], record["resets_at"] // DAY - 1))
            if record["used"] != record["limit"] or record["limit"] != run.accounts[record["account"]]["daily"]:
                yield f"{record['token']} was refused with {record['used']} of {record['limit']} sent"
    for what, counts in (("has", sent), ("was told to have", told)):
        for (account, day), count in counts.items():
            limit = run.accounts[account]["daily"]
            if limit is not None and count > limit:
                yield f"{account} {what} sent {count} on day {day} and may send {limit}"
    for account, day in refused:
        if sent[account, day] != run.accounts[account]["daily"]:
            yield f"{account} was refused on day {day} with {sent[account, day]} of {run.accounts[account]['daily']} sent"


def over_monthly(run):
    """Organizations that sent more messages or octets than they may in a month, or were refused before."""
    refused = collections.defaultdict(set)
    for record in run.told:
        if record.get("code") in ("monthly_quota_exceeded", "bandwidth_exceeded"):
            month = month_of((record["resets_at"] - 1) * SECOND)
            refused[record["code"]].add((run.accounts[record["account"]]["organization"], month))
    largest = max((message["octets"] for message in run.sent), default=0)
    for name, messages in run.by_organization().items():
        limits = run.organizations[name]
        for month in run.months:
            of_month = [message for message in messages if month_of(message["at"]) == month]
            count, octets = len(of_month), sum(message["octets"] for message in of_month)
            if limits["monthly"] is not None:
                if count > limits["monthly"]:
                    yield f"{name} has sent {count} messages in {month} and may send {limits['monthly']}"
                if (name, month) in refused["monthly_quota_exceeded"] and count != limits["monthly"]:
                    yield f"{name} was refused in {month} with {count} of {limits['monthly']} messages sent"
            if limits["bandwidth"] is not None:
                if octets > limits["bandwidth"]:
                    yield f"{name} has sent {octets} octets in {month} and may send {limits['bandwidth']}"
                if (name, month) in refused["bandwidth_exceeded"] and octets + largest <= limits["bandwidth"]:
                    yield f"{name} was refused in {month} with {octets} of {limits['bandwidth']} octets sent"


def over_storage(run):
    """Mailboxes and organizations that keep more than they may."""
    kept = collections.Counter()
    for account, octets in run.kept.items():
        about = run.accounts[account]
        kept[about["organization"]] += octets
        if about["storage"] is not None and octets > about["storage"]:
            yield f"{account} keeps {octets} octets and may keep {about['storage']}"
    for name, octets in kept.items():
        limit = run.organizations[name]["storage"]
        if limit is not None and octets > limit:
            yield f"{name} keeps {octets} octets and may keep {limit}"


def over_rates(run):
    """Seconds, wherever they begin, in which an organization sent more than it may."""
    for name, messages in run.by_organization().items():
        rate = run.organizations[name]["rate"]
        if rate is None:
            continue
        times = sorted(message["at"] for message in messages)
        over = [first for first, last in zip(times, times[rate:]) if last - first < SECOND]
        if over:
            yield f"{name} sent more than {rate} in {len(over)} seconds, such as that from {over[0]} on"


def lost_or_twice(run):
    """Sends that are not there once, as they should be, or there although they should not be."""
    copies = collections.Counter(message["token"] for message in run.sent)
    of_account = {message["token"]: message["account"] for message in run.sent}
    known = set()
    for record in run.told:
        token, outcome, count = record["token"], record["outcome"], copies[record["token"]]
        known.add(token)
        if outcome in ("later", "held"):
            outcome = run.closed.get(record.get("schedule") or record.get("hold") or record["id"], "unknown")
        if outcome in ("accepted", "waits", "sent") and count != 1:
            yield f"{token} ({record['path']}, {outcome}) is there {count} times"
        if outcome in ("refused", "waiting", "unsent") and count:
            yield f"{token} ({record['path']}, {outcome}) is there although it was not sent"
        if outcome == "unsent" and not has_quota(run, record["account"]):
            yield f"{token} ({record['path']}) was not sent, although there is room in another second"
        if outcome == "unknown":
            yield f"{token} ({record['path']}) has an end of which nothing is known"
        if count > 1:
            yield f"{token} is there {count} times"
        if count and of_account[token] != record["account"]:
            yield f"{token} was sent by somebody else"
    if strange := copies.keys() - known:
        yield f"{len(strange)} messages were never sent, such as {min(strange)}"
    if apart := copies.keys() ^ run.taken:
        yield f"{len(apart)} messages have either arrived or are listed as sent, and not both, such as {min(apart)}"


def has_quota(run, account):
    """Whether there is anything but a rate by which a send may be refused for good."""
    about = run.accounts[account]
    limits = run.organizations[about["organization"]]
    quotas = (about["daily"], about["storage"], limits["monthly"], limits["bandwidth"], limits["storage"])
    return any(quota is not None for quota in quotas)


def counters(run):
    """Counters of the server that are not what is there, or were over a limit at any time."""
    month = run.months[-1]
    for name, messages in run.by_organization().items():
        of_month = [message for message in messages if month_of(message["at"]) == month]
        kept = sum(octets for account, octets in run.kept.items() if run.accounts[account]["organization"] == name)
        counted = {"monthly_sends": len(of_month), "storage": kept}
        counted["monthly_bandwidth"] = sum(message["octets"] for message in of_month)
        for meter, value in counted.items():
            if run.usage[name][meter] != value:
                yield f"{name} has {meter} at {run.usage[name][meter]}, and it is {value}"
    for (name, meter), (used, limit) in run.peaks.items():
        if limit is not None and used > limit:
            yield f"{name} had {meter} at {used} of {limit}"
    for name, drift in run.drift.items():
        if drift:
            yield f"{name} has counters that are wrong: {drift}"


def reached(run):
    """Limits that were never reached, so that nothing was shown of them."""
    codes = collections.Counter(record.get("code") for record in run.told)
    for code in (
        "daily_quota_exceeded", "monthly_quota_exceeded", "bandwidth_exceeded", "storage_full", "per_second_rate_limit_exceeded",
    ):
        if not codes[code]:
            yield f"nothing was refused with {code}"
    for outcome in ("accepted", "held", "later", "refused", "waits"):
        if not any(record["outcome"] == outcome for record in run.told):
            yield f"nothing was {outcome}"
    sent = collections.Counter((message["account"], message["at"] // SECOND // DAY) for message in run.sent)
    days = {day for _, day in sent}
    for account, about in run.accounts.items():
        for day in days:
            if about["daily"] is not None and about["tight"] and sent[account, day] != about["daily"]:
                yield f"{account} sent {sent[account, day]} on day {day} and not all of {about['daily']}"
    counts = collections.Counter(
        (run.accounts[message["account"]]["organization"], month_of(message["at"])) for message in run.sent
    )
    for name, limits in run.organizations.items():
        for month in run.months:
            if limits["monthly"] is not None and counts[name, month] != limits["monthly"]:
                yield f"{name} sent {counts[name, month]} in {month} and not all of {limits['monthly']}"


# Whether the check sees -------------------------------------------------------------------------------------------------


def caught(run):
    """Falsifies what is known, one way at a time; answers the ways that the check did not see."""
    return [lie.__name__ for lie in LIES if not sees(run, lie)]


def sees(run, lie):
    false = Run(**{name: copy.copy(value) for name, value in run.__dict__.items()})
    lie(false)
    return len(check_of(false, lie)) > len(check_of(run, lie))


def check_of(run, lie):
    return list(LIES[lie](run))


def first_where(run, condition):
    return next(message for message in run.sent if condition(run.accounts[message["account"]], run.organizations))


def add(run, message):
    """One more sent copy, as if it had been accepted; everything else agrees with it."""
    run.sent = [*run.sent, message | {"token": "lie", "id": "lie"}]


def one_more_in_a_day(run):
    """The day on which somebody sent all that they may."""
    counts = collections.Counter((message["account"], message["at"] // SECOND // DAY) for message in run.sent)
    (account, day), _ = next(item for item in counts.items() if item[1] == run.accounts[item[0][0]]["daily"])
    add(run, {"account": account, "at": day * DAY * SECOND, "octets": 1})


def one_more_told(run):
    told = collections.Counter()
    for record in run.told:
        if record["outcome"] == "accepted" and record["at"] and run.accounts[record["account"]]["daily"] is not None:
            told[record["account"], record["at"] // DAY] += 1
    (account, day), count = told.most_common(1)[0]
    more = [{"token": "lie", "account": account, "path": "json", "outcome": "accepted", "id": "lie", "at": day * DAY}]
    run.told = run.told + more * (run.accounts[account]["daily"] - count + 1)


def one_more_in_a_month(run):
    name, month = next(
        (name, month)
        for name, messages in run.by_organization().items()
        for month in run.months
        if sum(month_of(message["at"]) == month for message in messages) == run.organizations[name]["monthly"]
    )
    add(run, next(message for message in run.by_organization()[name] if month_of(message["at"]) == month))


def too_many_octets(run):
    message = first_where(run, lambda account, all: all[account["organization"]]["bandwidth"] is not None)
    about = run.accounts[message["account"]]
    add(run, message | {"octets": run.organizations[about["organization"]]["bandwidth"]})


def too_much_kept(run):
    account = next(account for account, about in run.accounts.items() if about["storage"] is not None)
    run.kept = run.kept | {account: run.accounts[account]["storage"] + 1}


def one_more_in_a_second(run):
    name, rate = next((name, limits["rate"]) for name, limits in run.organizations.items() if limits["rate"] is not None)
    message = first_where(run, lambda account, _: account["organization"] == name)
    run.sent = [*run.sent, *[message | {"at": message["at"] + number} for number in range(rate)]]


def one_lost(run):
    accepted = {record["token"] for record in run.told if record["outcome"] == "accepted"}
    run.sent = [message for message in run.sent if message["token"] != min(accepted)]


def one_twice(run):
    run.sent = [*run.sent, run.sent[0]]


def one_refused_and_sent(run):
    refused = next(record for record in run.told if record["outcome"] == "refused")
    run.sent = [*run.sent, run.sent[0] | {"token": refused["token"], "account": refused["account"]}]


def one_not_arrived(run):
    run.taken = run.taken - {min(run.taken)}


def one_counted_twice(run):
    name = next(iter(run.usage))
    run.usage = run.usage | {name: run.usage[name] | {"monthly_sends": run.usage[name]["monthly_sends"] + 1}}


def a_peak(run):
    run.peaks = run.peaks | {("lie", "storage"): (2, 1)}


def a_drift(run):
    run.drift = run.drift | {"lie": 1}


LIES = {
    one_more_in_a_day: over_daily,
    one_more_told: over_daily,
    one_more_in_a_month: over_monthly,
    too_many_octets: over_monthly,
    too_much_kept: over_storage,
    one_more_in_a_second: over_rates,
    one_lost: lost_or_twice,
    one_twice: lost_or_twice,
    one_refused_and_sent: lost_or_twice,
    one_not_arrived: lost_or_twice,
    one_counted_twice: counters,
    a_peak: counters,
    a_drift: counters,
}
