"""Cleaning messages with the official SDKs; templates and signatures, for which they have no methods, by plain requests."""

import email
import email.policy
import json
import subprocess
from pathlib import Path

import pytest

from harness import wait_until
from sdk import failure

pytestmark = pytest.mark.usefixtures("strict")

HERE = Path(__file__).resolve().parent
REPLY = (
    "From: Ada Berg <someone@people.test>\r\nTo: agent@agents.test\r\nSubject: Re: Offer\r\nMIME-Version: 1.0\r\n"
    "Content-Type: text/html; charset=utf-8\r\n\r\n"
    '<div dir="ltr"><p>We take <b>two</b> of <a href="https://shop.example/a">these</a> '
    '<img src="https://shop.example/p.png" alt="lamp">.</p><table><tr><td>Lamp</td><td>2</td></tr></table>'
    "<p>Best regards,<br>Ada</p></div>"
    '<div class="gmail_quote"><div class="gmail_attr">On Mon, Oct 5, 2026 at 10:00 AM Agent wrote:</div>'
    '<blockquote class="gmail_quote">Shall we send some?</blockquote></div><script>steal()</script>\r\n'
)
USUAL = "<div><p>We take <b>two</b> of these .</p><div>Lamp 2</div></div>"
# What each parameter makes of it.
EXPECTED = {
    "usual": USUAL,
    "links": '<div><p>We take <b>two</b> of <a href="https://shop.example/a">these</a> .</p><div>Lamp 2</div></div>',
    "images": "<div><p>We take <b>two</b> of these ![lamp](https://shop.example/p.png).</p><div>Lamp 2</div></div>",
    "tags": '<div><p>We take <b>two</b> of these <img src="https://shop.example/p.png" alt="lamp">.</p><div>Lamp 2</div></div>',
    "tables": "<div><p>We take <b>two</b> of these .</p><table><tr><td>Lamp</td><td>2</td></tr></table></div>",
    "conclusion": "<div><p>We take <b>two</b> of these .</p><div>Lamp 2</div><p>Best regards,<br>Ada</p></div>",
    "markdown": "We take **two** of these .\n\nLamp 2",
}
PARAMETERS = {
    "usual": {},
    "links": {"ignore_links": False},
    "images": {"ignore_images": False},
    "tags": {"ignore_images": False, "images_as_markdown": False},
    "tables": {"ignore_tables": False},
    "conclusion": {"remove_conclusion_phrases": False},
    "markdown": {"html_as_markdown": True},
}


@pytest.fixture
def mailbox(sdk, fleet):
    """The id of a mailbox with one message, and that message's."""
    address = fleet.address("agents.test")
    grant = sdk.auth.custom_authentication({"provider": "nylas", "settings": {"email": address}}).data.id
    fleet.receive_raw(address, REPLY.encode())
    (message,) = wait_until("the message", lambda: sdk.messages.list(grant).data)
    return grant, message.id


def test_the_python_sdk_cleans_with_every_parameter(sdk, mailbox):
    grant, message = mailbox
    for name, parameters in PARAMETERS.items():
        (cleaned,) = sdk.messages.clean_messages(grant, {"message_id": [message], **parameters}).data
        assert cleaned.conversation == EXPECTED[name], name
        assert (cleaned.id, cleaned.grant_id, cleaned.object) == (message, grant, "message")
        assert cleaned.from_[0]["email"] == "someone@people.test" and "steal()" in cleaned.body
    assert len(sdk.messages.clean_messages(grant, {"message_id": [message] * 20}).data) == 20
    refused = failure(sdk.messages.clean_messages, grant, {"message_id": [message] * 21})
    assert refused.status_code == 400 and "20" in str(refused)
    wrong = {"message_id": [message], "html_as_markdown": True, "images_as_markdown": False}
    assert "images_as_markdown" in str(failure(sdk.messages.clean_messages, grant, wrong))
    unknown = failure(sdk.messages.clean_messages, grant, {"message_id": [message, grant]})
    assert unknown.status_code == 400 and "message_id[1]" in str(unknown)


def test_the_node_sdk_cleans_with_every_parameter(fleet, mailbox, modules):
    grant, message = mailbox
    command = ["node", HERE / "node_mailbox_clean.mjs", modules, fleet.server.api, fleet.account["api_key"], grant, message]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert {name: cleaned["conversation"] for name, cleaned in answer["seen"].items()} == EXPECTED
    assert all(cleaned["id"] == message and cleaned["grantId"] == grant for cleaned in answer["seen"].values())
    assert answer["refused"] == [400, 400]


def test_a_message_is_made_of_a_template_and_ends_with_a_signature(fleet, mailbox, sink):
    grant, _ = mailbox
    at = f"/v3/grants/{grant}"
    signature = fleet.api.post(f"{at}/signatures", {"name": "Work", "body": "<p>Ada &amp; Co<script>x()</script></p>"}, expect=(201,))
    assert signature["body"] == "<p>Ada &amp; Co</p>"
    assert fleet.api.get(f"{at}/signatures") == [signature]
    letter = {"name": "Order", "subject": "Order {{id}}", "body": "<p>Dear {{name}}</p>{{#items}}<p>{{.}}</p>{{/items}}"}
    for level in ["/v3/templates", f"{at}/templates"]:
        template = fleet.api.post(level, letter, expect=(200,))
        variables = {"id": f"7 {len(level)}", "name": "Ada <x>", "items": ["Lamp", "Bulb"]}
        rendered = fleet.api.post(f"{level}/{template['id']}/render", {"variables": variables})
        assert rendered["body"] == "<p>Dear Ada &lt;x&gt;</p><p>Lamp</p><p>Bulb</p>"
        fleet.api.refused("POST", f"{level}/{template['id']}/render", {"variables": {"id": 1}}, field="variables.name")
        body = {"to": [{"email": "ada@people.test"}], "template": {"id": template["id"], "variables": variables}, "signature_id": signature["id"]}
        fleet.api.post(f"{at}/messages/send", body)

        def found():
            parsed = [email.message_from_bytes(mail.raw, policy=email.policy.default) for mail in sink.taken]
            return [message for message in parsed if message["Subject"] == rendered["subject"]]

        (message,) = wait_until("the message", found)
        html = message.get_body(("html",)).get_content().strip()
        assert html == rendered["body"] + "<br>" + signature["body"]
        text = message.get_body(("plain",)).get_content()
        assert "Dear Ada <x>" in text and text.rstrip().endswith("Ada & Co")
