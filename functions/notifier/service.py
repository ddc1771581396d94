"""From an event to its notifications, and from those to where each person wants to be told."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from sqlalchemy.orm import Session

from functions.manifest import FUNCTIONS, lease
from functions.notifier.told import TOLD, Told
from quintet.db.partitions import time_of, uuid_at
from quintet.db.reads import rows
from quintet.db.session import writing
from quintet.events.consumer import Claimed, deliver
from quintet.events.record import Happening, Origin, originate, record_all, scope_of
from quintet.events.types import EventType
from quintet.identity.scopes import READERS, parts
from quintet.notifications.kinds import KINDS

EMAILS = 20
"""In an hour to one reader, each about one notification. The next ones wait for the digest and are not pushed."""
NOTIFICATIONS = 60
"""In an hour to one reader, from which on they all are told of like that."""

_TELL = f"""
    WITH wanted AS (
        SELECT u.id AS user_id, coalesce(p.in_app, %(in_app)s) AS in_app, coalesce(p.email, %(email)s) AS email,
               coalesce(p.push, %(push)s) AS push,
               (SELECT count(*) >= {NOTIFICATIONS} OR count(*) FILTER (WHERE email = 'immediate') >= {EMAILS} FROM (
                   SELECT n.email FROM notifications n
                   WHERE n.user_id = u.id AND n.event_id > %(an_hour_before)s LIMIT {NOTIFICATIONS}) lately) AS enough
        FROM users u LEFT JOIN notification_preferences p ON p.user_id = u.id AND p.kind = %(kind)s
        WHERE u.id IN ({{whom}}) AND u.id IN ({READERS})
          AND u.id IS DISTINCT FROM %(actor_id)s AND u.status = 'active'
    ), told AS (
        SELECT user_id, in_app, push AND NOT enough AS push,
               CASE WHEN enough AND email = 'immediate' THEN 'digest' ELSE email END AS email
        FROM wanted
    ), made AS (
        INSERT INTO notifications (user_id, event_id, kind, actor_id, scope, data, in_app, email)
        SELECT user_id, %(event_id)s, %(kind)s, %(actor_id)s, %(scope)s, %(kept)s, in_app, email FROM told
        WHERE in_app OR email <> 'off' OR push
        ON CONFLICT (user_id, event_id) DO NOTHING
        RETURNING id, user_id
    )
    SELECT made.id, made.user_id, told.in_app, told.email,
           ARRAY(SELECT b.id FROM push_subscriptions b JOIN sessions s ON s.id = b.session_id
                 WHERE told.push AND b.user_id = told.user_id
                   AND s.revoked_at IS NULL AND s.expires_at > now()) AS browsers
    FROM made JOIN told USING (user_id) ORDER BY made.id"""


def process(message: SQSRecord) -> None:
    """Tell those whom the event concerns that one queue message names, unless that is done."""
    deliver(message, notify, lease_seconds=lease(FUNCTIONS["notifier"]))


def notify(event: Claimed) -> str | None:
    """Make the notifications of `event` and send each on its way; returns a note when there are none. Repeatable."""
    with writing() as session:
        originate(session, Origin(actor_id=event.actor_id))
        happened = [new for told in TOLD[EventType(event.type)] for new in _tell(session, event, told)]
        record_all(session, happened)
    return None if happened else "Nobody is to be told, or everybody has been."


def _tell(session: Session, event: Claimed, told: Told) -> list[Happening]:
    from psycopg.types.json import Jsonb

    kind = KINDS[told.kind]
    scope = scope_of(told.about, UUID(event.data[f"{told.about}_id"])) if told.about else event.scope
    about, _, id = scope.partition(":")
    data: dict[str, Any] = {
        f"{about}_id": id,
        f"{event.type.partition('.')[0]}_id": str(event.subject_id),
        **{name: event.data[name] for name in told.keeps},
    }
    params = {
        **parts(event.scope),
        "event_id": event.id,
        "an_hour_before": uuid_at(time_of(event.id) - timedelta(hours=1)),
        "subject_id": event.subject_id,
        "actor_id": event.actor_id,
        "scope": scope,
        "data": Jsonb(event.data),
        "kind": told.kind,
        "kept": Jsonb(data),
        "in_app": kind.in_app,
        "email": kind.email,
        "push": kind.push,
    }
    return [
        Happening(
            EventType.NOTIFICATION_CREATED,
            row.id,
            scope_of("user", row.user_id),
            {"kind": told.kind, "in_app": row.in_app, **data},
            to=(*(["email"] * (row.email == "immediate")), *(f"push:{id}" for id in row.browsers)),
        )
        for row in rows(session, _TELL.format(whom=told.whom), params)
    ]
