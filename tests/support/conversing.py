"""Conversations as tests make and read them."""

from typing import Any

from tests.support.api import Api
from tests.support.statements import execute


def group(owner: Api, *members: Api, **fields: Any) -> str:
    """The id of a group of `owner` with these members."""
    made = owner.post("/conversations", {"title": "A group", "member_ids": [str(m.id) for m in members], **fields})
    assert made.status == 201, made
    return str(made.json()["id"])


def direct(one: Api, other: Api) -> str:
    """The id of their direct conversation, which `one` starts if there is none."""
    made = one.post("/conversations", {"user_id": str(other.id)})
    assert made.status in (200, 201), made
    return str(made.json()["id"])


def say(client: Api, conversation: str, text: str = "Hello", **more: Any) -> dict[str, Any]:
    """A message, as answered."""
    said = client.post(f"/conversations/{conversation}/messages", {"text": text, **more})
    assert said.status == 201, said
    message: dict[str, Any] = said.json()
    return message


def has_read(client: Api, conversation: str, message: str) -> None:
    """The client has read up to this message."""
    answer = client.put(f"/conversations/{conversation}/read", {"message_id": message})
    assert answer.status == 200, answer


def said_often(sender: Api, conversation: str, n: int, text: str = "hello") -> None:
    """So many messages at once, by rows."""
    execute(
        "WITH m AS (INSERT INTO messages (conversation_id, sender_id, content, text)"
        """ SELECT %(c)s, %(s)s, '{"type": "doc", "content": [{"type": "paragraph"}]}', %(text)s || ' ' || n"""
        " FROM generate_series(1, %(n)s) n RETURNING id)"
        " UPDATE conversations SET last_message_id = (SELECT id FROM m ORDER BY id DESC LIMIT 1) WHERE id = %(c)s",
        c=conversation,
        s=sender.id,
        n=n,
        text=text,
    )


def conversation_of(client: Api, conversation: str) -> dict[str, Any]:
    """It, as the client sees it."""
    read = client.get(f"/conversations/{conversation}")
    assert read.status == 200, read
    body: dict[str, Any] = read.json()
    return body


def unread(client: Api, conversation: str) -> int:
    """How many messages the client has not read."""
    return int(conversation_of(client, conversation)["unread_count"])


def texts(client: Api, conversation: str, **query: Any) -> list[str]:
    """A page of what was said, newest first."""
    page = client.get(f"/conversations/{conversation}/messages", query=[(k, str(v)) for k, v in query.items()])
    assert page.status == 200, page
    return [item["text"] for item in page.json()["items"]]


def may_send_on(client: Api) -> None:
    """As if minutes had passed: the rate limits begin anew."""
    execute("DELETE FROM rate_counters WHERE key ~ '^(message|conversation|reaction|search):'")
    assert client


def events_in(conversation: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Type, subject and data of what was recorded for the members, oldest first."""
    rows = execute(
        "SELECT type, subject_id::text, data FROM events WHERE scope = %(scope)s ORDER BY id",
        scope=f"conversation:{conversation}",
    )
    return [(row.type, row.subject_id, row.data) for row in rows]
