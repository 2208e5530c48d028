"""Several nodes on one PostgreSQL: they are added while the first works, share what there is to do, keep what is promised of the
whole, and go on when one of them is killed."""

import collections
import time
import typing

import pytest
from events_ledger import Run, disordered, falsified, first, lost, unexplained
from harness import Api, wait_until
from loops import ask
from nodes import AT_ONCE, EDGE, LARGE_EVERY, LEASE, OF_FIRST, RATE, TOLD, WORKERS, Client, Fleet, Follower, body_of, cursor_of, times_taken
from test_spike import at_once

# What each client has done at least before something else happens.
ENOUGH = LARGE_EVERY + 5
# Clients at each node that use up a limit, and what each tries; what may be sent in a day, and in how many seconds a rate is watched.
SPENDERS, TRIES, DAILY, SECONDS = 4, 15, 100, 3
# Seconds that the world takes for each message, so that a node has some in its hands; and those that a kill may be away from
# the first delivery of what is delivered again.
SLOWLY, WINDOW = 2, 4
# What is held by a node that is killed, at least.
HELD = 3
# Seconds after which a webhook is told by another node: when its lease has ended, for which they look every 5 seconds.
TOLD_AGAIN = 60 + 15
# Seconds for the machine to do what is due.
GRACE = 30
# Seconds in which nothing may leave after a stop, and from its answer on those in which the last may.
SILENCE, LAST = 2, 1


@pytest.fixture(scope="module")
def fleet(folder):
    fleet = Fleet(folder)
    try:
        fleet.found()
        yield fleet
    finally:
        fleet.close()


class Load(typing.NamedTuple):
    """What clients of all nodes have done: by its subject, how often each message and each send was tried until it was accepted;
    the nodes from which a client had to go to another; who reads streams meanwhile, by the node at which they began."""

    mail: dict
    sends: dict
    moved: list
    followers: dict

    def tokens(self):
        return {*self.mail, *self.sends}


class Kill(typing.NamedTuple):
    """Which node was killed, when, and the messages whose deliveries it had in its hands."""

    name: str
    at: float
    held: set


@pytest.fixture(scope="module")
def joined(fleet):
    """The other nodes are started while the first works."""
    cursor = cursor_of(fleet)
    clients = {WORKERS[0]: Client(fleet, WORKERS[0], "join")}
    wait_until("the first node to work", lambda: clients[WORKERS[0]].has_done(ENOUGH))
    fleet.grow()
    clients |= {name: Client(fleet, name, "join") for name in fleet.running() if name != WORKERS[0]}
    followers = {name: Follower(fleet, name, cursor) for name in fleet.running()}
    wait_until("each to have done enough", lambda: all(client.has_done(ENOUGH) for client in clients.values()))
    stop(clients.values())
    yield loaded(clients, followers)
    stop(followers.values())


@pytest.fixture(scope="module")
def killed(fleet, joined):
    """One of the nodes is killed while all of them work. It is not started again."""
    doomed, cursor, session = WORKERS[1], cursor_of(fleet), fleet.postgres.session()
    fleet.sink.delay = SLOWLY
    clients = {name: Client(fleet, name, "kill") for name in fleet.running()}
    followers = {name: Follower(fleet, name, cursor) for name in fleet.running()}

    def held(table, what):
        return {id for (id,) in session.query(f"SELECT {what} FROM {table} WHERE owner = '{doomed}'")}

    wait_until("each to work", lambda: all(client.has_done(ENOUGH) for client in clients.values()))
    wait_until("it to tell a webhook", lambda: held("webhooks", "id"))
    wait_until("it to have deliveries in its hands", lambda: len(held("queue", "message_id")) >= HELD, every=0)
    fleet.servers[doomed].kill()
    kill = Kill(doomed, time.monotonic(), held("queue", "message_id"))
    session.close()
    done = {name: len(client.sends) for name, client in clients.items()}
    wait_until("all to go on", lambda: all(client.has_done(done[name] + ENOUGH) for name, client in clients.items()))
    stop(clients.values())
    fleet.sink.delay = 0
    yield kill, loaded(clients, followers)
    stop(followers.values())


def loaded(clients, followers):
    mail, sends = collections.Counter(), collections.Counter()
    for client in clients.values():
        mail += client.mail
        sends += client.sends
    return Load(mail, sends, [name for name, client in clients.items() if client.moves], followers)


def stop(users):
    for user in users:
        user.stopping.set()
    for user in users:
        user.stop()


# Nodes are added --------------------------------------------------------------------------------------------------------


def test_004_21_what_comes_in_at_any_node_is_listed_and_read_at_each(fleet, joined):
    assert not joined.moved and set(joined.mail.values()) == set(joined.sends.values()) == {1}, "nobody had to ask twice"
    listed = listed_alike(fleet, "join-")
    assert collections.Counter(listed.values()) == collections.Counter(joined.tokens())
    # Large bodies are files, in the folder that they share.
    assert any(path.is_file() for path in (fleet.folder / "blobs").rglob("*"))
    large = {id: subject for id, subject in listed.items() if subject.endswith("-0-in")}
    assert len(large) == len(fleet.servers)
    for id, subject in large.items():
        bodies = [ask(api, "GET", f"/v3/grants/{fleet.grants[0]}/messages/{id}")["body"].split() for api in fleet.apis()]
        assert bodies == [body_of(subject).split()] * len(bodies)


def test_004_21_what_is_sent_at_any_node_leaves_once_by_several(fleet, joined):
    settle(fleet, joined.sends)
    taken = times_taken(fleet.sink)
    assert {len(taken[token]) for token in joined.sends} == {1}
    by_node = fleet.counted("postfleet_delivery_attempts_total", 'result="delivered"')
    print(f"{len(joined.sends)} sends, delivered by {by_node}")
    assert by_node.pop(EDGE) == 0 and all(by_node.values())


def test_004_21_each_webhook_and_stream_is_told_once_wherever_it_is(fleet, joined):
    log = fleet.log(joined.tokens())
    events = [event.id for event in log]
    for follower in joined.followers.values():
        wait_until("the stream to have told all", lambda: follower.has_seen(len(events)))
        assert follower.seen[: len(events)] == events and follower.moves == 0
    wait_until("the first webhook to be told", lambda: told(fleet, OF_FIRST[0], log) == set(events))
    assert wrong(fleet, OF_FIRST[0], log) == []
    # The others know of nothing that was before them.
    late = fleet.log({token for token in joined.tokens() if not token.startswith(f"join-{WORKERS[0]}-")})
    for name in WORKERS[1:]:
        wait_until("the webhook to be told", lambda: told(fleet, name, late) == {event.id for event in late})
        assert wrong(fleet, name, late) == []
    by_node = fleet.counted("postfleet_reader_attempts_total", 'kind="webhook"', 'result="delivered"')
    print(f"{len(events)} events; notifications by {by_node}")
    assert by_node.pop(EDGE) == 0 and all(by_node.values())


# One is killed ----------------------------------------------------------------------------------------------------------


def test_004_21_what_a_killed_node_held_goes_on_at_the_others_and_nothing_is_lost(fleet, killed):
    kill, (mail, sends, moved, _) = killed
    assert moved == [kill.name], "nobody else noticed"
    # Nothing that was accepted is lost; what somebody had to offer again may be there again, and nothing else.
    listed = listed_alike(fleet, "kill-")
    copies = collections.Counter(listed.values())
    assert copies.keys() == mail.keys() | sends.keys()
    strange = {token: count for token, count in copies.items() if count > (mail.get(token) or 1)}
    assert not strange, strange
    # What it had in its hands is delivered by others; again, if the world may have had it, and as the same message.
    settle(fleet, sends)
    taken = {token: times for token, times in times_taken(fleet.sink).items() if token in sends}
    late = max(taken[listed[id]][-1][0] for id in kill.held) - kill.at
    repeats = [times for times in taken.values() if len(times) > 1]
    print(f"{len(kill.held)} deliveries in its hands; the last of them came {late:.1f} s after the kill; {len(repeats)} came once more")
    assert late <= LEASE + GRACE
    for (begun, named), *more in repeats:
        assert kill.at - WINDOW < begun < kill.at and [id for _, id in more] == [named]


def test_004_21_streams_that_were_read_at_a_killed_node_go_on_at_another(fleet, killed):
    kill, load = killed
    events = [event.id for event in fleet.log(load.tokens())]
    for name, follower in load.followers.items():
        wait_until("the stream to have told all", lambda: follower.has_seen(len(events)))
        assert follower.seen[: len(events)] == events
        assert bool(follower.moves) == (name == kill.name)


# What is promised of the whole ------------------------------------------------------------------------------------------


def test_004_21_a_limit_of_a_day_holds_over_all_nodes_to_the_last_send(fleet, joined):
    names = list(fleet.running())
    grant = thrifty_mailbox(fleet, names)
    # Midnight would give a whole new allowance.
    wait_until("a day that does not end soon", lambda: time.time() % 86_400 < 86_400 - 30, every=1)
    told = []

    def spend(number):
        api = fleet.api(names[number % len(names)])
        for turn in range(TRIES):
            told.append((f"day-{number}-{turn}", *send(api, grant, f"day-{number}-{turn}")))

    at_once(SPENDERS * len(names), spend)
    accepted = {token for token, status, _ in told if status == 200}
    refused = {(status, answer["error"]["code"]) for _, status, answer in told if status != 200}
    assert len(told) > DAILY and (len(accepted), refused) == (DAILY, {(429, "daily_quota_exceeded")})
    settle(fleet, accepted)
    taken = {token: times for token, times in times_taken(fleet.sink).items() if token.startswith("day-")}
    assert taken.keys() == accepted and {len(times) for times in taken.values()} == {1}
    for api in fleet.apis():
        meters = ask(api, "GET", f"/v3/grants/{grant}/usage")["meters"]
        (used,) = [meter for meter in meters if meter["meter"] == "daily_sends" and meter["scope"] == "grant"]
        assert (used["used"], used["remaining"]) == (DAILY, 0)


def test_004_21_a_rate_holds_over_all_nodes(fleet, joined):
    names = list(fleet.running())
    key = sandbox(fleet, names)
    grant = Api(fleet.servers[names[0]], key).mailbox("hasty@agents.test")
    told, ends = [], time.monotonic() + SECONDS

    def hurry(number):
        api = Api(fleet.servers[names[number % len(names)]], key)
        while time.monotonic() < ends:
            told.append(send(api, grant, f"rate-{number}-{len(told)}"))

    at_once(SPENDERS * len(names), hurry)
    refused = {(status, answer["error"]["code"]) for status, answer in told if status != 200}
    assert refused == {(429, "per_second_rate_limit_exceeded")}
    accepted = [answer["data"]["id"] for status, answer in told if status == 200]
    rows = fleet.postgres.query(f"SELECT id, date FROM messages WHERE grant_id = '{grant}' ORDER BY date")
    assert {id for id, _ in rows} == set(accepted) and len(accepted) >= RATE * (SECONDS - 1)
    times = [int(date) for _, date in rows]
    fullest = min(last - first for first, last in zip(times, times[RATE:]))
    print(f"{len(accepted)} of {len(told)} in {SECONDS} s; {RATE + 1} of them within {fullest / 1e6:.3f} s at least")
    assert fullest >= 1_000_000, f"more than {RATE} in a second"


def test_004_21_a_change_at_one_node_holds_at_the_others_for_the_next_message(fleet, joined):
    names, (grant, *_) = list(fleet.running()), fleet.grants
    workspace = ask(fleet.api(), "GET", f"/v3/grants/{grant}")["workspace_id"]
    for turn, name in enumerate(names):
        # A rule that is made at one node, used by a workspace at the next, and taken out at a third.
        at, then, after = (fleet.api(names[(turn + step) % len(names)]) for step in range(3))
        rules = [ask(at, "POST", "/v3/rules", rule)["id"] for rule in blocking(f"blocked{turn}.test")]
        ask(then, "PATCH", f"/v3/workspaces/{workspace}", {"rule_ids": rules})
        for other in names:
            status, answer = send(fleet.api(other), grant, f"rule-{turn}-{other}", f"blocked{turn}.test")
            assert (status, answer["error"]["code"]) == (403, "blocked_by_rule"), other
            assert offered(fleet.servers[other], f"x@blocked{turn}.test")[0] == 550, other
        ask(after, "PATCH", f"/v3/workspaces/{workspace}", {"rule_ids": []})
        for other in names:
            assert send(fleet.api(other), grant, f"free-{turn}-{other}", f"blocked{turn}.test")[0] == 200, other
            assert offered(fleet.servers[other], f"x@blocked{turn}.test")[0] == 250, other
        # A key that is made at one node is known at the next, and one that is revoked at one is known nowhere.
        keys = f"/v3/admin/applications/{fleet.made['application_id']}/api-keys"
        made = ask(fleet.operator(name), "POST", keys, {"name": f"key {turn}"})
        apis = [Api(fleet.servers[other], made["api_key"]) for other in names]
        assert [api.call("GET", "/v3/grants", keep=True)[0] for api in apis] == [200] * len(names)
        assert fleet.operator(names[turn - 1]).call("DELETE", f"{keys}/{made['id']}")[0] == 200
        assert [api.call("GET", "/v3/grants")[0] for api in apis] == [401] * len(names)


def test_004_21_a_stop_at_one_node_stops_all(fleet, joined):
    names, accepted = list(fleet.running()), set()
    fleet.sink.delay = SLOWLY

    def bring(number):
        # To one destination, so that much waits.
        api = fleet.api(names[number])
        for turn in range(ENOUGH):
            assert send(api, fleet.grants[number], f"stop-{number}-{turn}")[0] == 200
            accepted.add(f"stop-{number}-{turn}")

    at_once(len(names), bring)
    stop = ask(fleet.api(EDGE), "POST", "/v3/stops", {"scope": "application", "reason": "an agent loops"})
    answered = time.monotonic()
    for name in names:
        status, answer = send(fleet.api(name), fleet.grants[0], f"stopped-{name}")
        assert (status, answer["error"]["code"]) == (403, "sending_paused"), name
    time.sleep(SILENCE)
    out = {token: times for token, times in times_taken(fleet.sink).items() if token in accepted}
    waiting = len(accepted) - len(out)
    assert waiting > len(WORKERS) * AT_ONCE, f"only {waiting} of {len(accepted)} waited, which shows little"
    overdue = [at - answered for ((at, _),) in out.values() if at > answered + LAST]
    assert not overdue, f"{len(overdue)} left up to {max(overdue):.2f} s after the answer"
    ask(fleet.api(WORKERS[-1]), "POST", f"/v3/stops/{stop['id']}/lift", {"reason": "the agent is mended"})
    fleet.sink.delay = 0
    for name in names:
        assert send(fleet.api(name), fleet.grants[0], f"stop-lifted-{name}")[0] == 200, name
        accepted.add(f"stop-lifted-{name}")
    settle(fleet, accepted)
    taken = {token: times for token, times in times_taken(fleet.sink).items() if token.startswith("stop")}
    assert taken.keys() == accepted and {len(times) for times in taken.values()} == {1}


def test_004_21_webhooks_go_over_to_nodes_that_come_and_from_one_that_is_killed(fleet, joined, killed):
    """The last of them, so that what is waited for is nearly there; and something happens once more, while some are told by nobody."""
    kill, load = killed
    client = Client(fleet, EDGE, "late")
    wait_until("it to have done enough", lambda: client.has_done(ENOUGH))
    client.stop()
    all_of_them = dict.fromkeys([*OF_FIRST, *WORKERS])
    tokens = {"join": joined.tokens(), "kill": load.tokens(), "late": {*client.mail, *client.sends}}
    for what, some in tokens.items():
        paths, log = OF_FIRST if what == "join" else all_of_them, fleet.log(some)
        events = {event.id for event in log}
        for path in paths:
            wait_until("the webhooks to be told", lambda: told(fleet, path, log) == events, TOLD_AGAIN + GRACE, 0.2)
        assert [finding for path in paths for finding in wrong(fleet, path, log, [kill.at])] == []
        longest = {path: round(behind(fleet, path, log), 1) for path in paths}
        again = {path: len(fleet.receipts(path, log)) - len(log) for path in paths}
        print(f"{what}: seconds that each webhook was behind {OF_FIRST[0]} at most {longest}; told again {again}")
        assert max(longest.values()) <= TOLD_AGAIN + GRACE


# What is asked ----------------------------------------------------------------------------------------------------------


def send(api, grant, token, domain="people.test"):
    body = {"to": [{"email": f"{token}@{domain}"}], "subject": token, "body": "Hello"}
    status, _, answer = api.call("POST", f"/v3/grants/{grant}/messages/send", body, keep=True)
    return status, answer


def offered(server, sender):
    """What somebody is told who offers mail."""
    with server.smtp() as client:
        client.ehlo()
        client.mail(sender)
        return client.rcpt("box0@agents.test")


def blocking(domain):
    for trigger, field in (("outbound", "recipient.domain"), ("inbound", "from.domain")):
        conditions = [{"field": field, "operator": "is", "value": domain}]
        yield {"name": f"Not {domain}", "trigger": trigger, "actions": [{"type": "block"}], "match": {"conditions": conditions}}


def thrifty_mailbox(fleet, names):
    """A mailbox that may send so many messages a day; each step of its making at another node."""
    apis = [fleet.api(name) for name in names]
    limits = {"limit_count_daily_email_sent": DAILY}
    policy = ask(apis[0], "POST", "/v3/policies", {"name": "Thrifty", "limits": limits})["id"]
    workspace = ask(apis[1], "POST", "/v3/workspaces", {"name": "Thrifty", "policy_id": policy})["workspace_id"]
    grant = apis[2].mailbox("thrifty@agents.test")
    ask(apis[-1], "PATCH", f"/v3/grants/{grant}", {"workspace_id": workspace})
    return grant


def sandbox(fleet, names):
    """The key of a sandbox application that was made at one node, made at another."""
    made = ask(fleet.operator(names[0]), "POST", "/v3/admin/applications", {"name": "Tries"})
    keys = f"/v3/admin/applications/{made['id']}/api-keys"
    return ask(fleet.operator(names[-1]), "POST", keys, {"name": "Tries"})["api_key"]


# What is there ----------------------------------------------------------------------------------------------------------


def listed_alike(fleet, beginning):
    """By its id the subject of each message of which it begins so, which each node lists in the same way."""
    first, *others = [fleet.listed(api) for api in fleet.apis()]
    assert all(listed == first for listed in others)
    return {id: subject for id, subject in first.items() if subject.startswith(beginning)}


def settle(fleet, sends):
    """Waits until all of these have left, and nothing waits any more."""
    wait_until("all to be delivered", lambda: set(sends) <= times_taken(fleet.sink).keys())
    wait_until("the queue to be empty", lambda: fleet.postgres.query("SELECT count(*) FROM queue") == [("0",)])


def told(fleet, path, log):
    return {receipt.id for receipt in fleet.receipts(path, log)}


def wrong(fleet, path, log, kills=()):
    """What a webhook was told otherwise than it should be: each event once and in order, and again only because of a kill."""
    run = Run(log=log, receipts=fleet.receipts(path, log), kills=kills, told={TOLD})
    return [finding for check in (lost, falsified, disordered, unexplained) for finding in check(run)]


def behind(fleet, path, log):
    """By how many seconds a webhook was told of something later than the one that stays where it is, at most."""
    soonest = {receipt.id: receipt.at for receipt in first(fleet.receipts(OF_FIRST[0], log))}
    return max(receipt.at - soonest[receipt.id] for receipt in first(fleet.receipts(path, log)))
