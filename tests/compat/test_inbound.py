"""Mail that comes in, as the official Python SDK shows it: what rules do with it, what goes into junk, and how messages are
moved."""

import pytest

from harness import wait_until
from sdk import client, failure

BAIT = "Click here to claim your prize"


@pytest.fixture
def setting(fleets):
    """An installation, the SDK, and a mailbox in a workspace of its own."""
    fleet = fleets()
    sdk = client(fleet)
    workspace = sdk.workspaces.create({"name": "Support"}).data.workspace_id
    address = fleet.address()
    grant = fleet.api.new_grant(address, workspace_id=workspace)["id"]
    return fleet, sdk, workspace, address, grant


def use(sdk, workspace, *rules):
    """Lets the workspace use exactly these rules."""
    made = []
    for number, (condition, actions) in enumerate(rules):
        wish = {"name": f"Rule {number}", "trigger": "inbound", "match": {"conditions": [condition]}, "actions": actions}
        made.append(sdk.rules.create(wish).data.id)
    sdk.workspaces.update(workspace, {"rule_ids": made})
    return made


def subjects(sdk, grant, **query):
    return [message.subject for message in sdk.messages.list(grant, query).data]


def test_a_blocked_sender_is_refused_and_the_record_says_why(setting):
    fleet, sdk, workspace, address, grant = setting
    block = {"field": "from.domain", "operator": "is", "value": "rival.test"}
    (rule,) = use(sdk, workspace, (block, [{"type": "block"}]))
    code, text = fleet.receive(address, sender="eve@rival.test")
    assert code == 550, text
    assert fleet.receive(address, sender="ada@friend.test", subject="Welcome")[0] == 250
    assert subjects(sdk, grant) == ["Welcome"]
    welcomed, record = sdk.rules.list_evaluations(grant, {"limit": 10}).data
    assert record.matched_rule_ids == [rule] and welcomed.matched_rule_ids == []
    assert record.applied_actions.blocked and not welcomed.applied_actions.blocked
    assert record.evaluation_stage == "smtp_rcpt" and record.evaluation_input.from_domain == "rival.test"
    # Once the rule is gone, the next message is there.
    sdk.rules.destroy(rule)
    assert fleet.receive(address, sender="eve@rival.test", subject="Again")[0] == 250
    assert subjects(sdk, grant) == ["Again", "Welcome"]


def test_a_list_holds_for_the_next_message(setting):
    fleet, sdk, workspace, address, grant = setting
    bad = sdk.lists.create({"name": "Rivals", "type": "domain"}).data.id
    use(sdk, workspace, ({"field": "from.domain", "operator": "in_list", "value": [bad]}, [{"type": "block"}]))
    assert fleet.receive(address, sender="eve@rival.test", subject="Before")[0] == 250
    sdk.lists.add_items(bad, {"items": ["rival.test"]})
    assert fleet.receive(address, sender="eve@rival.test")[0] == 550
    sdk.lists.remove_items(bad, {"items": ["rival.test"]})
    assert fleet.receive(address, sender="eve@rival.test", subject="After")[0] == 250
    assert subjects(sdk, grant) == ["After", "Before"]


def test_other_actions_say_where_it_goes_and_how_it_looks(setting):
    fleet, sdk, workspace, address, grant = setting

    def of(domain):
        return {"field": "from.domain", "operator": "is", "value": domain}

    use(
        sdk, workspace,
        (of("bills.test"), [{"type": "archive"}, {"type": "mark_as_read"}]),
        (of("boss.test"), [{"type": "mark_as_starred"}]),
        (of("noise.test"), [{"type": "mark_as_spam"}]),
        (of("old.test"), [{"type": "trash"}]),
    )
    for domain in ("bills", "boss", "noise", "old", "else"):
        assert fleet.receive(address, sender=f"a@{domain}.test", subject=domain)[0] == 250
    shown = {one.subject: (sorted(one.folders), one.unread, one.starred) for one in sdk.messages.list(grant).data}
    assert shown == {
        "bills": (["archive"], False, False),
        "boss": (["inbox"], True, True),
        "noise": (["junk"], True, False),
        "old": (["trash"], True, False),
        "else": (["inbox"], True, False),
    }
    assert subjects(sdk, grant, **{"in": ["junk"]}) == ["noise"]


def test_junk_is_told_apart_and_a_message_is_moved_out_of_it(setting):
    fleet, sdk, workspace, address, grant = setting
    policy = sdk.policies.create({"name": "Careful", "spam_detection": {"spam_sensitivity": 5.0}}).data
    assert policy.spam_detection.spam_sensitivity == 5.0
    sdk.workspaces.update(workspace, {"policy_id": policy.id})
    head = f"From: Prize <p@prize.test>\r\nTo: {address}\r\nSubject: YOU WON!!! {BAIT}\r\nMIME-Version: 1.0\r\n"
    html = f'<a href="http://192.0.2.7/x">http://bank.test</a> <b>{BAIT}</b> act now, wire transfer, 100% free'
    spam = head + f"Content-Type: text/html\r\n\r\n{html}\r\n"
    assert fleet.receive_raw(address, spam.encode(), "p@prize.test")[0] == 250
    assert fleet.receive(address, sender="ada@friend.test", subject="Lunch", text="At noon?")[0] == 250
    (junk,) = sdk.messages.list(grant, {"in": ["junk"]}).data
    assert BAIT in junk.subject and junk.folders == ["junk"]
    assert subjects(sdk, grant, **{"in": ["inbox"]}) == ["Lunch"]

    moved = sdk.messages.update(grant, junk.id, {"folders": ["inbox"], "unread": False, "starred": True}).data
    assert (moved.folders, moved.unread, moved.starred) == (["inbox"], False, True)
    assert sdk.messages.find(grant, junk.id).data.folders == ["inbox"]
    assert sdk.messages.list(grant, {"in": ["junk"]}).data == []
    # What is not named stays.
    moved = sdk.messages.update(grant, junk.id, {"starred": False}).data
    assert (moved.folders, moved.unread, moved.starred) == (["inbox"], False, False)


def test_messages_are_moved_between_folders(setting):
    fleet, sdk, workspace, address, grant = setting
    for subject in ("one", "two"):
        assert fleet.receive(address, subject=subject)[0] == 250
    wait_until("both to be there", lambda: len(sdk.messages.list(grant).data) == 2)
    two, one = sdk.messages.list(grant).data
    for folder in ("archive", "trash", "junk", "inbox"):
        assert sdk.messages.update(grant, one.id, {"folders": [folder]}).data.folders == [folder]
        assert [found.id for found in sdk.messages.list(grant, {"in": [folder]}).data if found.id == one.id] == [one.id]
        assert sdk.messages.find(grant, two.id).data.folders == ["inbox"], "the other stays"
    for wish in ({"folders": ["drafts"]}, {"folders": []}, {"folders": ["no-such-folder"]}, {"unread": "yes"}):
        assert failure(sdk.messages.update, grant, one.id, wish).status_code == 400, wish
    assert failure(sdk.messages.update, grant, workspace, {"unread": True}).status_code == 404
    assert sdk.messages.find(grant, one.id).data.folders == ["inbox"], "what is refused changes nothing"
