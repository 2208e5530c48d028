#!/usr/bin/env python3
"""64 writers send by every path at once, the server is killed in between, midnight and the end of a month pass; then no
limit may have been passed by a single message or octet, no accepted message may be lost, and no counter be wrong.

The server runs by a clock of its own (libfaketime), which goes on over its kills and is put forward to a few seconds before
midnight twice. What clients were told is kept here, outside of the server: `limits_ledger.py` holds it, the sent copies, and
what arrived at the receiver against the limits, and says whether they were reached. What it must find is tried on it at the
end of each run, with falsified facts.
"""

import sys

sys.dont_write_bytecode = True

import calendar  # noqa: E402
import collections  # noqa: E402
import contextlib  # noqa: E402
import datetime  # noqa: E402
import json  # noqa: E402
import multiprocessing  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402

import limits_clients  # noqa: E402
import limits_ledger  # noqa: E402
import loops  # noqa: E402
from harness import Api, Postfleet, Sink, wait_until  # noqa: E402
from limits_ledger import DAY, SECOND  # noqa: E402
from loops import Clock, Lives, Stage, all_of, ask, drift_of, listed, query_of  # noqa: E402

WRITERS, PROCESSES = 64, 2
PASSWORD = "Correct-Horse-Battery-9"
# Of each third of the attempts, after how many the server is killed; and how long before midnight it begins anew.
KILLS_BETWEEN = 2
BEFORE_MIDNIGHT = 4.0
# The part of all attempts that is made while a midnight passes, one in so many.
CROSSING = 12
# Octets of the text of a message.
SHORT, LONG = (10, 200), (500, 6_000)


def midnights():
    """Those before and after the last day of the month before this: files of the server are never older than its clock."""
    first = datetime.datetime.now(datetime.UTC).replace(day=1)
    last = first - datetime.timedelta(days=1)
    end = calendar.timegm((last.year, last.month, last.day, 0, 0, 0)) + DAY
    return end - DAY, end


# The installation -------------------------------------------------------------------------------------------------------


def plans(attempts):
    """The organizations' limits, so small that they are reached with so many attempts."""
    nothing = {"monthly": None, "bandwidth": None, "storage": None, "rate": None, "burst": 0}
    return {
        "daily": nothing,
        "monthly": nothing | {"monthly": int(attempts * 0.025)},
        "bandwidth": nothing | {"bandwidth": int(attempts * 60)},
        "storage": nothing | {"storage": int(attempts * 70)},
        "rate": nothing | {"rate": 8},
        "burst": nothing | {"rate": 4, "burst": 3},
        "holds": nothing,
    }


KEYS = {
    "monthly": "monthly_sends_max", "bandwidth": "monthly_bandwidth_octets_max", "storage": "storage_octets_max",
    "rate": "sends_per_second", "burst": "send_burst_seconds",
}


def accounts_of(attempts):
    """Organization, number of the application, part of all attempts, daily limit, storage limit, whether sends over a quota
    are held, texts."""
    day = attempts / 3
    for number, part in enumerate((0.25, 0.4, 0.9, 0.25, 0.4, 0.9)):
        yield "daily", number % 2, 0.055, max(1, int(day * 0.055 * part)), None, False, SHORT
    for number in range(4):
        yield "monthly", number % 2, 0.035, None, None, False, SHORT
    yield "bandwidth", 0, 0.04, None, None, False, LONG
    yield "bandwidth", 1, 0.04, None, None, False, LONG
    yield "storage", 0, 0.04, None, None, False, LONG
    yield "storage", 1, 0.04, None, None, False, LONG
    yield "storage", 1, 0.02, None, int(attempts * 10), False, LONG
    for number in range(4):
        yield "rate", number % 2, 0.03, None, None, False, SHORT
    yield "burst", 0, 0.03, None, None, False, SHORT
    yield "burst", 1, 0.03, None, None, False, SHORT
    yield "holds", 0, 0.04, max(1, int(day * 0.04 * 0.3)), None, True, SHORT
    yield "holds", 1, 0.04, max(1, int(day * 0.04 * 0.3)), None, True, SHORT


# The mailboxes that mail clients use, by their places among the accounts.
CLIENTS = (0, 1, 2, 6, 10, 12, 15, 21)


def written_plans(limits):
    """The plans as the configuration has them."""
    lines = []
    for name, of in limits.items():
        lines += [f"[plans.limits_{name}]", 'based_on = "self_hosted"', "overage = false"]
        lines += [f"{KEYS[what]} = {value}" for what, value in of.items() if value is not None]
    return "\n".join(lines) + "\n"


class World:
    """Organizations with two applications each, and their mailboxes."""

    def __init__(self, server, attempts):
        self.server, self.attempts = server, attempts
        self.limits = plans(attempts)
        self.accounts, self.organizations = [], {}

    def found(self):
        """Makes the organizations, before the server is started."""
        for name in self.limits:
            self.organizations[name] = self.server.init(name, domains=[f"{name}.test"], plan=f"limits_{name}")
        self.operator = Api(self.server, self.organizations["daily"]["operator_key"])

    def fill(self):
        """Makes applications and mailboxes."""
        keys = {}
        for name, organization in self.organizations.items():
            operator = Api(self.server, organization["operator_key"])
            made = ask(operator, "POST", "/v3/admin/applications", {"name": "Second", "environment": "production"})
            second = ask(operator, "POST", f"/v3/admin/applications/{made['id']}/api-keys", {"name": "main"})
            keys[name] = [organization["api_key"], second["api_key"]]
        for number, (name, application, part, daily, storage, holds, octets) in enumerate(accounts_of(self.attempts)):
            key = keys[name][application]
            api, email = Api(self.server, key), f"box{number}@{name}.test"
            wish = {"provider": "nylas", "settings": {"email": email, "app_password": PASSWORD}}
            if daily is not None or storage is not None:
                own = {"limit_count_daily_email_sent": daily, "limit_storage_total": storage}
                limits = {field: value for field, value in own.items() if value is not None}
                policy = ask(api, "POST", "/v3/policies", {"name": f"P{number}", "limits": limits})
                workspace = {"name": f"W{number}", "policy_id": policy["id"]}
                wish["workspace_id"] = ask(api, "POST", "/v3/workspaces", workspace)["workspace_id"]
                if holds:
                    ask(api, "PATCH", f"/v3/workspaces/{wish['workspace_id']}", {"on_quota": "hold"})
            grant = ask(api, "POST", "/v3/connect/custom", wish)["id"]
            about = {"id": grant, "key": key, "email": email, "octets": octets, "organization": name}
            about |= {"daily": daily, "storage": storage, "holds": holds, "part": part}
            about["is_slow"] = self.limits[name]["rate"] is not None
            # Where many more are tried than may be sent, the limit is reached on each of the days.
            about["tight"] = daily is not None and daily < self.attempts / 3 * part * 0.5
            self.accounts.append(about)

    def usage(self, name):
        """An organization's counters, and where each ends."""
        path = f"/v3/admin/organizations/{self.organizations[name]['organization_id']}/usage"
        meters = ask(self.operator, "GET", path)["meters"]
        return {meter["meter"]: (meter["used"], meter["limit"]) for meter in meters}


# The run ----------------------------------------------------------------------------------------------------------------


class Writers:
    """The processes that send, and how far they are."""

    def __init__(self, world, clock, folder, seed):
        spawn = multiprocessing.get_context("spawn")
        self.stopping = spawn.Value("i", 0)
        self.progress = [spawn.Value("q", 0) for _ in range(PROCESSES)]
        # How many attempts each process may have made by now: none of the days is over before it had its part.
        self.allowed = spawn.Value("q", 0)
        self.paths = [folder / f"told{number}.json" for number in range(PROCESSES)]
        self.processes = []
        for number in range(PROCESSES):
            plan = {
                "threads": WRITERS // PROCESSES, "tickets": world.attempts // PROCESSES, "seed": seed,
                "accounts": world.accounts, "weights": [account["part"] for account in world.accounts],
                "clients": CLIENTS[number::PROCESSES], "password": PASSWORD,
                "http": world.server.http_port, "submissions": world.server.submissions_port,
            }
            work = (plan, f"w{number}-", self.progress[number], self.allowed, clock.offset, self.stopping, self.paths[number])
            self.processes.append(spawn.Process(target=limits_clients.work, args=work, daemon=True))
        for process in self.processes:
            process.start()

    def allow(self, attempts):
        self.allowed.value = attempts // PROCESSES

    def done(self):
        return sum(progress.value for progress in self.progress)

    def are_running(self):
        return any(process.is_alive() for process in self.processes)

    def stop(self):
        self.stopping.value = 1
        for process in self.processes:
            process.join(timeout=120)
            assert not process.is_alive(), "writers do not end"

    def told(self):
        told = []
        for path in self.paths:
            kept = json.loads(path.read_text())
            assert not kept["failures"], kept["failures"][0]
            told += kept["told"]
        return told


class Peaks(threading.Thread):
    """Looks at the counters of all organizations again and again, and keeps the highest."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self.world, self.highest, self.stopping, self.looks = world, {}, threading.Event(), 0

    def run(self):
        while not self.stopping.wait(0.5):
            for name in self.world.organizations:
                with contextlib.suppress(OSError, AssertionError):
                    for meter, (used, limit) in self.world.usage(name).items():
                        before, _ = self.highest.get((name, meter), (0, None))
                        self.highest[name, meter] = (max(before, used), limit)
                        self.looks += 1


class Days(Lives):
    """Lives in which a third of the attempts is made each, and midnights pass."""

    def __init__(self, server, clock, chance, writers):
        super().__init__(server, clock)
        self.chance, self.writers = chance, writers

    def until(self, attempts):
        """Waits until so many attempts were made."""

        def made():
            assert self.server.is_running(), self.server.log_tail()
            return self.writers.done() >= attempts or not self.writers.are_running()

        wait_until(f"{attempts} attempts", made, 3_600, 0.02)

    def third(self, number, attempts):
        """Kills in one third of the attempts."""
        first, last = attempts * number // 3, attempts * (number + 1) // 3
        self.writers.allow(last)
        for at in sorted(self.chance.randrange(first + (last - first) // 5, last) for _ in range(KILLS_BETWEEN)):
            self.until(at)
            self.again()
        self.until(last // PROCESSES * PROCESSES)
        print(f"  {last:,} attempts were made", flush=True)

    def over(self, midnight, attempts):
        """Goes to a few seconds before midnight and lets it pass under load, with a kill close to it. The load is a part of
        the next third, and even."""
        begins, made = midnight - BEFORE_MIDNIGHT, self.writers.done()
        self.again(begins)

        def is_past(at):
            passed = (self.clock.now() - begins) / (BEFORE_MIDNIGHT + 1)
            self.writers.allow(made + int(attempts / CROSSING * min(1, max(0, passed))))
            return self.clock.now() >= at

        kill_at = midnight + self.chance.uniform(-0.3, 0.6)
        wait_until("midnight", lambda: is_past(kill_at), every=0.002)
        self.again()
        wait_until("midnight to be over", lambda: is_past(midnight + 1), every=0.002)


def main():
    parser = loops.parser(__doc__)
    parser.add_argument("--attempts", type=int, default=12_000)
    return loops.main(parser.parse_args(), run)


def run(arguments):
    with Stage("limits", arguments, f"{arguments.attempts:,} attempts of {WRITERS} writers") as stage:
        # The first day begins in the evening: what is put off for a minute does not leave on another.
        clock = Clock(midnights()[0] - DAY // 6)
        storage = stage.database()
        sink = stage.keep(Sink().start())
        settings = clock.environment | {"POSTFLEET_SUBMISSION__FAILED_SIGN_INS": "1"}
        server = Postfleet(stage.folder, sink.address, storage, settings, written_plans(plans(arguments.attempts)))
        world = World(server, arguments.attempts)
        world.found()
        stage.serve(server)
        world.fill()
        query = query_of(server, stage.postgres)
        known, figures = send(world, clock, stage.folder, query, sink, stage.chance)
        findings = judge(known)
        server.stop()
        stage.report(findings, server)
    print(summary(arguments, known, figures, findings, stage.seconds()))
    return 1 if findings else 0


def judge(known):
    """Findings, of which it is a part whether the check would find what it must."""
    return [*limits_ledger.check(known), *limits_ledger.reached(known), *loops.blind_spots(known, limits_ledger)]


def send(world, clock, folder, query, sink, chance):
    """Lets the writers work over both midnights; answers what is known then, and figures."""
    first, second = midnights()
    peaks = Peaks(world)
    peaks.start()
    writers = Writers(world, clock, folder, chance.random())
    lives = Days(world.server, clock, chance, writers)
    began = time.monotonic()
    lives.third(0, world.attempts)
    lives.over(first, world.attempts)
    lives.third(1, world.attempts)
    lives.over(second, world.attempts)
    lives.third(2, world.attempts)
    writers.stop()
    told, sending = writers.told(), time.monotonic() - began
    print(f"  {len(told):,} attempts in {sending:.0f} s", flush=True)
    # Everything that was put off is due now.
    lives.again(clock.now() + 2 * limits_clients.LATER[1])
    settle(query)
    peaks.stopping.set()
    peaks.join()
    known = observe(world, told, query, sink, peaks)
    return known, {"kills": lives.kills, "sending": sending, "looks": peaks.looks}


def settle(query):
    """Waits until nothing is on its way: out, for its time, for its turn, or for a quota that there is."""
    left = {
        "sends that wait for their time": "SELECT count(*) FROM schedules WHERE closed_at IS NULL",
        "the queue": "SELECT count(*) FROM queue",
    }
    for what, sql in left.items():
        began = time.monotonic()
        wait_until(f"{what} to be empty", lambda sql=sql: int(query(sql)[0][0]) == 0, 900, 0.2)
        print(f"  waited {time.monotonic() - began:.1f} s for {what}", flush=True)


def observe(world, told, query, sink, peaks):
    """Reads everything that is there: by the interface what mailboxes and clients see, and from the store the exact times."""
    exact = {
        id.replace("-", ""): (int(at), int(octets))
        for id, at, octets in query("SELECT lower(hex(id)), date, octets FROM messages WHERE outgoing = 1 AND draft = 0")
    }
    kept = {account["id"]: 0 for account in world.accounts}
    dashed = {account["id"].replace("-", ""): account["id"] for account in world.accounts}
    for grant, octets in query("SELECT lower(hex(grant_id)), sum(octets) FROM messages GROUP BY grant_id"):
        kept[dashed[grant.replace("-", "")]] = int(octets)
    sent, closed = [], {}
    for account in world.accounts:
        api, grant = Api(world.server, account["key"]), account["id"]
        for message in api.messages(grant, "&in=sent&select=id,subject"):
            at, octets = exact.pop(message["id"].replace("-", ""))
            sent.append({"id": message["id"], "token": message["subject"], "account": grant, "at": at, "octets": octets})
        for hold in all_of(api, f"/v3/grants/{grant}/holds"):
            state = {"released": "sent", "waiting": "waiting"}.get(hold["state"], "unsent")
            closed[hold["id"]] = closed[hold["message_id"]] = state
        for schedule in all_of(api, f"/v3/grants/{grant}/messages/schedules"):
            state = {"success": "sent", "failed": "unsent", "pending": "pending"}.get(schedule["status"]["code"])
            closed[schedule["schedule_id"]] = state or closed.get(schedule["message_id"], "unknown")
    assert not exact, f"{len(exact)} sent messages are in no sent folder"
    month = limits_ledger.month_of
    return limits_ledger.Run(
        accounts={account["id"]: account for account in world.accounts},
        organizations=world.limits,
        told=told,
        sent=sent,
        kept=kept,
        closed=closed,
        usage={name: {meter: used for meter, (used, _) in world.usage(name).items()} for name in world.organizations},
        peaks=peaks.highest,
        drift=drift_of(world),
        taken={taken.recipients[0].split("@")[0] for taken in list(sink.taken)},
        months=[month((end - 1) * SECOND) for end in (midnights()[1], midnights()[1] + DAY)],
    )


def summary(arguments, known, figures, findings, seconds):
    outcomes = collections.Counter(record["outcome"] for record in known.told)
    codes = collections.Counter(record["code"].split(",")[0][:40] for record in known.told if record["outcome"] == "refused")
    paths = collections.Counter(record["path"] for record in known.told)
    days = len({message["at"] // SECOND // DAY for message in known.sent})
    drift = sum(map(len, known.drift.values()))
    return (
        f"limits loop on {arguments.engine}: {len(known.told):,} attempts of {WRITERS} writers ({listed(paths)}), "
        f"{figures['kills']} kills, {days} days; {listed(outcomes)}; refused: {listed(codes)}; {len(known.sent):,} sent; "
        f"{figures['looks']:,} looks at counters; drift {drift}; {len(limits_ledger.LIES)} falsified runs were tried; "
        f"{len(findings)} findings; {figures['sending']:.0f} s of sending, {seconds:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
