"""What the agent does when mail comes in; the programs beside this one differ only in how they are told of it."""

from nylas import Client

# What it says. Yours asks a model.
TEXT = "Thank you. An agent has read your message and will come back to you."


def answer(nylas: Client, notification: dict) -> None:
    """Answers the message that a notification is about, once, however often the notification comes."""
    if not notification["type"].startswith("message.created"):
        return
    message = notification["data"]["object"]
    # Its own mail is announced as well, and programs that answer each other never stop.
    if message.get("direction") != "inbound" or message.get("automated"):
        return
    nylas.messages.send(
        message["grant_id"],
        request_body={
            "to": message.get("reply_to") or message["from"],
            "subject": f"Re: {message['subject']}",
            "body": TEXT,
            "is_plaintext": True,
            "reply_to_message_id": message["id"],
        },
        # The id is the same each time; a second send under the same key is answered as the first was, and nothing leaves.
        overrides={"headers": {"Idempotency-Key": notification["id"]}},
    )
