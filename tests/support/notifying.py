"""Notifications as tests make and read them."""

from typing import Any
from uuid import UUID

from infra.local.events import sqs_event
from infra.local.invocation import invoke
from quintet.events.types import DELIVERED_TO, EventType
from tests.support.api import Api
from tests.support.statements import execute


def notified(queue: str = "notifications", times: int = 1) -> None:
    """As if the queue had delivered everything that waits for it; `times`: more often than needed."""
    function = {"notifications": "notifier", "email": "email_sender", "push": "push_sender"}[queue]
    waiting = execute(
        "SELECT event_id::text, destination FROM deliveries WHERE split_part(destination, ':', 1) = %(queue)s"
        " AND done_at IS NULL ORDER BY event_id",
        queue=queue,
    )
    for _ in range(times):
        for n in range(0, len(waiting), 10):
            messages = [row._asdict() for row in waiting[n : n + 10]]
            assert invoke(function, sqs_event(queue, messages)) == {"batchItemFailures": []}


def told(client: Api, **query: str) -> list[dict[str, Any]]:
    """The client's notifications, newest first."""
    page = client.get("/notifications", query=list(query.items()))
    assert page.status == 200, page
    items: list[dict[str, Any]] = page.json()["items"]
    return items


def kinds(client: Api) -> list[str]:
    """What the client is told of, newest first."""
    return [item["kind"] for item in told(client)]


def unread(client: Api) -> int:
    """How many notifications the client has not read."""
    return int(client.get("/notifications/unread-count").json()["unread"])


def prefers(client: Api, kind: str, **channels: Any) -> None:
    """Change where the client is told of this."""
    answer = client.patch("/notifications/preferences", {kind: channels})
    assert answer.status == 200, answer


def told_often(client: Api, n: int) -> list[UUID]:
    """So many notifications at once, by rows; their ids in order."""
    made = execute(
        "INSERT INTO notifications (user_id, event_id, kind, scope, data, in_app, email)"
        " SELECT %(user)s::uuid, uuidv7(), 'mention', 'user:' || %(user)s::uuid, '{}', true, 'off'"
        " FROM generate_series(1, %(n)s) RETURNING id",
        user=client.id,
        n=n,
    )
    return sorted(row.id for row in made)


def last_event(type: EventType, subject: UUID | str) -> UUID:
    """The id of the last event of this type about the subject."""
    assert type in DELIVERED_TO or type is EventType.NOTIFICATION_CREATED
    [row] = execute(
        "SELECT id FROM events WHERE type = %(type)s AND subject_id = %(subject)s ORDER BY id DESC LIMIT 1",
        type=type.value,
        subject=str(subject),
    )
    found: UUID = row.id
    return found
