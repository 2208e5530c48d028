#!/usr/bin/env python3
"""64 writers make outcomes at once, the server is killed in between; then everybody stands where a recount puts them.

Some send, to recipients that a receiver takes, puts off or refuses. Others report failures and complaints by the signed return
paths that the receiver saw, say it twice, and lie. Each asks again until it is answered, so what the server acknowledged is
known outside of it: `outcomes_ledger.py` holds it against what the interface shows of mailboxes, workspaces, domains,
applications and organizations, against the recount of each mailbox, the record of outcomes, the events and the stops. What the
check must find is tried on it at the end of each run, with falsified facts; `--self-test` tries that alone.
"""

import sys

sys.dont_write_bytecode = True

import collections  # noqa: E402
import time  # noqa: E402

import loops  # noqa: E402
import outcomes_ledger  # noqa: E402
from harness import Api, Postfleet, Sink, wait_until  # noqa: E402
from loops import Clock, Lives, Stage, all_of, ask, drift_of, listed, query_of  # noqa: E402
from outcomes_clients import COMPLAINTS, MUTE, PROFILES, WRITERS, Fleet, Receiver  # noqa: E402
from outcomes_ledger import Run, check, reached  # noqa: E402

# Seconds from the moment at which the server listens until it is killed, and how many sends are answered in between, however
# slow the machine is; the longest that all of it may take.
ALIVE, BETWEEN, LONGEST = (0.2, 1.5), 25, 900
# The first kill is when so many sends were answered and a mailbox was paused.
BEGINNING = 300
# What is put off comes again after the first, and has been put off for too long after the second.
SOON, LATER = 400, 5 * 86_400 + 3_600
# How the mailboxes of a workspace behave, by organization.
ORGANIZATIONS = {"rough": ("good", "careless", "reviewed", "buyer", "spammer", "small"), "calm": ("good", "good", "careless")}


class World:
    """Organizations with two domains and two applications each, two workspaces in each of these, and their mailboxes."""

    def __init__(self, server):
        self.server, self.organizations, self.accounts, self.applications = server, {}, [], {}

    def found(self):
        """Makes the organizations, before the server is started."""
        for name in ORGANIZATIONS:
            self.organizations[name] = self.server.init(name, domains=[f"{name}.test", f"{name}-mail.test"])
        self.operator = Api(self.server, next(iter(self.organizations.values()))["operator_key"])

    def fill(self):
        """Makes applications, workspaces and mailboxes."""
        for name, organization in self.organizations.items():
            operator = Api(self.server, organization["operator_key"])
            second = ask(operator, "POST", "/v3/admin/applications", {"name": "Second", "environment": "production"})
            key = ask(operator, "POST", f"/v3/admin/applications/{second['id']}/api-keys", {"name": "main"})["api_key"]
            for key in (organization["api_key"], key):
                self.fill_application(name, Api(self.server, key))

    def fill_application(self, name, api):
        organization = self.organizations[name]["organization_id"]
        application = ask(api, "GET", "/v3/reputation")["application"]["subject"]
        self.applications[application] = api
        ask(api, "POST", "/v3/suppressions", {"address": MUTE})
        for number in range(2):
            workspace = ask(api, "POST", "/v3/workspaces", {"name": f"W{number}"})["workspace_id"]
            for at, profile in enumerate(ORGANIZATIONS[name]):
                # One of the domains is of one application alone.
                domain = f"{name}-mail.test" if at % 2 and len(self.applications) % 2 else f"{name}.test"
                email = f"{profile}{len(self.accounts)}@{domain}"
                wish = {"provider": "nylas", "settings": {"email": email}, "workspace_id": workspace}
                weight, ends = PROFILES[profile]
                about = {"id": ask(api, "POST", "/v3/connect/custom", wish)["id"], "key": api.key, "email": email}
                about |= {"domain": domain, "workspace": workspace, "application": application}
                self.accounts.append(about | {"organization": organization, "weight": weight, "ends": ends})

    def shown(self):
        """What the interface shows of everybody, by kind and name."""
        found = {}
        for application, api in self.applications.items():
            found["application", application] = ask(api, "GET", "/v3/reputation")["application"]
        for account in self.accounts:
            api = self.applications[account["application"]]
            found["grant", account["id"]] = ask(api, "GET", f"/v3/grants/{account['id']}/reputation?recount=true")
            found["workspace", account["workspace"]] = ask(api, "GET", f"/v3/workspaces/{account['workspace']}/reputation")
        for name, organization in self.organizations.items():
            operator, id = Api(self.server, organization["operator_key"]), organization["organization_id"]
            found["organization", id] = ask(operator, "GET", f"/v3/admin/organizations/{id}/reputation")
            for domain in {account["domain"] for account in self.accounts if account["organization"] == id}:
                found["domain", domain] = ask(operator, "GET", f"/v3/domains/{domain}/reputation")
        return found


def main():
    parser = loops.parser(__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--writers", type=int, default=WRITERS)
    parser.add_argument("--self-test", action="store_true", help="only whether the check finds what it must, without a server")
    arguments = parser.parse_args()
    return loops.try_check("outcomes", outcomes_ledger) if arguments.self_test else loops.main(arguments, run)


def run(arguments):
    with Stage("outcomes", arguments, f"{arguments.kills} kills, {arguments.writers} writers") as stage:
        clock = Clock(time.time())
        storage = stage.database()
        sink = stage.keep(Sink(refusals=Receiver()).start())
        # Who is quarantined waits for people; here outcomes alone decide.
        settings = {"POSTFLEET_FEEDBACK__ADDRESSES": f'["{COMPLAINTS}"]', "POSTFLEET_REPUTATION__QUARANTINE": "false"}
        server = Postfleet(stage.folder, sink.address, storage, clock.environment | settings)
        world = World(server)
        world.found()
        stage.serve(server)
        world.fill()
        query = query_of(server, stage.postgres)
        try:
            known, figures = make_outcomes(arguments, world, clock, sink, query, stage.chance)
        except AssertionError:
            print(f"--- the end of the server's log\n{server.log_tail()}\n---")
            raise
        findings = [*check(known), *reached(known), *loops.blind_spots(known, outcomes_ledger)]
        server.stop()
        stage.report(findings, server)
    print(summary(arguments, known, figures, findings, stage.seconds()))
    return 1 if findings else 0


def make_outcomes(arguments, world, clock, sink, query, chance):
    """Lets the writers work while the server is killed; answers what is known when all is quiet, and figures."""
    server = world.server
    fleet = Fleet(server, sink, world.accounts, arguments.writers, chance.random())
    lives = Lives(server, clock)
    kills, began = [], time.monotonic()
    go_on(fleet, lambda: fleet.seen and len(fleet.told) >= BEGINNING)
    for _ in range(arguments.kills):
        more = len(fleet.told) + BETWEEN
        time.sleep(chance.uniform(*ALIVE))
        go_on(fleet, lambda more=more: len(fleet.told) >= more)
        assert server.is_running(), f"the server ended by itself:\n{server.log_tail()}"
        kills.append(time.monotonic())
        lives.again()
        if time.monotonic() - began > LONGEST:
            break
    # Those who were paused last try once more.
    refused = [record["outcome"] for record in fleet.told].count("refused")
    go_on(fleet, lambda: [record["outcome"] for record in fleet.told].count("refused") > refused)
    fleet.stop_sending()
    sending = time.monotonic() - began
    print(f"  {len(fleet.told):,} sends, {len(fleet.reports):,} reports and {len(fleet.lies):,} lies in {sending:.0f} s", flush=True)
    drain(fleet, query, "attempts = 0")
    for seconds, left in ((SOON, "recipient NOT LIKE 'never-%'"), (LATER, "1 = 1")):
        kills.append(time.monotonic())
        lives.again(clock.now() + seconds)
        drain(fleet, query, left)
    fleet.stop()
    return observe(world, fleet, sink, kills, query), {"kills": len(kills), "sending": sending}


def go_on(fleet, condition):
    wait_until("writers to get on", lambda: fleet.check() or condition(), 180)


def drain(fleet, query, left):
    """Waits until nothing of it is in the queue but behind a pause, and everything that arrived was reported of."""
    rows = f"SELECT count(*) FROM queue WHERE parked <> 2 AND {left}"
    wait_until(f"the queue to be empty ({left})", lambda: fleet.check() or int(query(rows)[0][0]) == 0, 180, 0.2)
    wait_until("what arrived to be reported", fleet.has_reported, 180, 0.1)


def observe(world, fleet, sink, kills, query):
    """Reads everything that is there: by the interface what people see, and from the store the record of outcomes."""
    dashed = {account["id"].replace("-", ""): account["id"] for account in world.accounts}
    messages = {record["id"].replace("-", ""): record for record in fleet.told if record["outcome"] == "accepted"}
    record = collections.defaultdict(list)
    for grant, number, counted in query("SELECT lower(hex(grant_id)), number, counted FROM send_events WHERE number > 0 ORDER BY number"):
        record[dashed[grant.replace("-", "")]].append((int(number), int(counted)))
    taken = collections.defaultdict(list)
    for one in list(sink.taken):
        for recipient in one.recipients:
            taken[recipient].append((one.at, one.sender.lower()))
    dropped = set()
    for recipient, message in query("SELECT recipient, lower(hex(message_id)) FROM send_events WHERE kind = 5"):
        of = messages.get(message.replace("-", ""))
        if of is not None and recipient in of["to"]:
            dropped.add(recipient)
    feedback = {}
    for account in world.accounts:
        records = all_of(world.applications[account["application"]], f"/v3/grants/{account['id']}/feedback")
        feedback[account["id"]] = collections.Counter(one["kind"] for one in records if one["outcome"] == "counted")
    changes, stopped, accepted = told_by_events(world, query, {record["id"] for record in messages.values()})
    return Run(
        accounts={account["id"]: account for account in world.accounts},
        told=fleet.told,
        reports=fleet.reports,
        lies=fleet.lies,
        refused=sink.refusals.refused,
        taken=dict(taken),
        kills=kills,
        waiting={recipient for (recipient,) in query("SELECT recipient FROM queue")},
        dropped=dropped,
        shown=world.shown(),
        record=dict(record),
        changes=changes,
        stopped=stopped,
        accepted=accepted,
        seen=fleet.seen,
        feedback=feedback,
        drift=drift_of(world),
    )


def told_by_events(world, query, sent):
    """What events say, in the order of the log: all changes of standing; by mailbox that is stopped, the number of the event;
    and the numbers of the events of what mailboxes sent."""
    rows = query("SELECT lower(hex(id)), position FROM events WHERE name = 'reputation.changed'")
    positions = {id.replace("-", ""): int(position) for id, position in rows}
    changes, stops, stopped, accepted = [], set(), {}, collections.defaultdict(list)
    for api in world.applications.values():
        changes += all_of(api, "/v3/events?type=reputation.changed")
        stops |= {stop["subject"] for stop in all_of(api, "/v3/stops?kind=pause&active=true")}
        for event in all_of(api, "/v3/events?type=sending.stopped"):
            if event["grant_id"] in stops and event["object"]["kind"] == "pause":
                stopped[event["grant_id"]] = event["grant_sequence"]
        for event in all_of(api, "/v3/events?type=message.created"):
            if event["message_id"] in sent:
                accepted[event["grant_id"]].append(event["grant_sequence"])
    assert stops == stopped.keys(), "a stop was not announced"
    assert len(changes) == len(positions), f"{len(positions)} changes are in the log, and {len(changes)} are shown"
    changes.sort(key=lambda event: positions[event["id"].replace("-", "")])
    return [event["object"] for event in changes], stopped, dict(accepted)


def summary(arguments, known, figures, findings, seconds):
    outcomes = collections.Counter(record["outcome"] for record in known.told)
    said = collections.Counter(what for _, what in known.reported())
    states = collections.Counter(shown["state"] for (kind, _), shown in known.shown.items() if kind == "grant")
    counted = sum(map(len, known.record.values()))
    again = sum(report["again"] for report in known.reports)
    return (
        f"outcomes loop on {arguments.engine}: {figures['kills']} kills, {arguments.writers} writers; sends {listed(outcomes)}, to "
        f"{sum(1 for _ in known.recipients()):,} recipients; reports {listed(said)}, {again:,} said again, {len(known.lies):,} lies of "
        f"{len(set(known.lies))} kinds; {counted:,} outcomes counted of {len(known.shown)} senders and what they belong to; "
        f"{len(known.changes):,} changes; mailboxes {listed(states)}; {len(known.waiting):,} wait behind a pause, "
        f"{len(known.dropped)} were given up after a kill; drift {sum(map(len, known.drift.values()))}; "
        f"{len(outcomes_ledger.LIES)} falsified runs were tried; {len(findings)} findings; "
        f"{figures['sending']:.0f} s of sending, {seconds:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
