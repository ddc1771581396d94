"""Events that ask for emails, what becomes of them, and what SES hears of it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from infra.local.events import sqs_event
from infra.local.invocation import invoke
from quintet.aws import sesv2
from quintet.db.engine import owner_engine
from quintet.db.session import writing
from quintet.events.record import SYSTEM, record
from quintet.events.types import EventType
from tests.support.api import Api


@dataclass
class Ses:
    """What SES was asked to send and took, in order."""

    requests: list[dict[str, Any]] = field(default_factory=list)

    def to(self, address: str) -> list[dict[str, Any]]:
        """The requests for one recipient."""
        return [request for request in self.requests if request["Destination"]["ToAddresses"] == [address]]

    def only(self, address: str) -> dict[str, Any]:
        """The one email to a recipient: its `Simple` content."""
        (request,) = self.to(address)
        content: dict[str, Any] = request["Content"]["Simple"]
        return content


@contextmanager
def listening() -> Iterator[Ses]:
    """Listens at the door of moto's SES, which keeps only half of an email."""
    seen = Ses()

    def listen(params: dict[str, Any], **_: Any) -> None:
        seen.requests.append(params)

    sesv2().meta.events.register("provide-client-params.sesv2.SendEmail", listen)
    yield seen
    sesv2().meta.events.unregister("provide-client-params.sesv2.SendEmail", listen)


def happened(type: EventType, subject: UUID | None) -> UUID:
    """Record an event as some function would; its id."""
    with writing() as session:
        return record(session, type, subject=subject, scope=SYSTEM)


def happened_already(type: EventType, subject: UUID) -> UUID:
    """The id of the last event of that type about `subject`."""
    return UUID(
        str(
            as_owner(
                "SELECT id FROM events WHERE type = %(type)s AND subject_id = %(subject)s ORDER BY id DESC LIMIT 1",
                type=type.value,
                subject=subject,
            )[0]["id"]
        )
    )


def deliver(*event_ids: UUID) -> list[str]:
    """One batch of queue messages to the real handler; the messages that are to come again."""
    messages = [{"event_id": str(event_id), "destination": "email"} for event_id in event_ids]
    answer = invoke("email_sender", sqs_event("email", messages))
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def delivery(event_id: UUID) -> dict[str, Any]:
    """The delivery's row."""
    (row,) = as_owner(
        "SELECT done_at, attempts, error, lease_until > now() AS leased FROM deliveries"
        " WHERE event_id = %(id)s AND destination = 'email'",
        id=event_id,
    )
    return row


def let_lease_run_out(event_id: UUID) -> None:
    """As if whoever holds the delivery had died a while ago."""
    as_owner(
        "UPDATE deliveries SET lease_until = now() - interval '1 s'"
        " WHERE event_id = %(id)s AND destination = 'email' RETURNING 1",
        id=event_id,
    )


def as_owner(sql: str, **params: Any) -> list[dict[str, Any]]:
    """The rows of a statement by the database's owner."""
    with owner_engine().begin() as connection:
        return [dict(row) for row in connection.exec_driver_sql(sql, params).mappings()]


def link_in(content: dict[str, Any]) -> str:
    """The link of an email, which both parts hold."""
    text, html = content["Body"]["Text"]["Data"], content["Body"]["Html"]["Data"]
    (link,) = re.findall(r"^http\S+$", text, re.MULTILINE)
    assert f'href="{link}"' in html
    return str(link)


def address_of(user: Api) -> str:
    """The account's address."""
    return str(user.user["email"])
