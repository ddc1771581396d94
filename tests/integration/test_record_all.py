"""Many events recorded at once: what one at a time would have recorded and delivered."""

import json
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from quintet import aws
from quintet.config import settings
from quintet.db.session import writing
from quintet.events.record import Happening, Origin, originate, record_all, scope_of
from quintet.events.types import EventType
from tests.support.statements import counted, execute

if TYPE_CHECKING:
    from mypy_boto3_sqs.literals import QueueAttributeNameType

pytestmark = pytest.mark.usefixtures("own_queues")


def _happened(scope: str) -> list[Happening]:
    kinds = [EventType.TASK_CREATED, EventType.FILE_REJECTED, EventType.TASK_UPDATED, EventType.FILE_REMOVED]
    return [Happening(kinds[n % 4], uuid4(), scope, {"n": n, "é": [None, "x"]}) for n in range(12)]


def _sent(queue: str) -> list[UUID]:
    """The events announced on a queue."""
    url, ids = settings().queue_urls[queue], []
    while messages := aws.sqs().receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            ids.append(UUID(json.loads(message["Body"])["event_id"]))
            aws.sqs().delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return ids


def test_given_many_events_when_recorded_then_they_are_there_in_order_and_what_has_a_queue_is_sent_there() -> None:
    scope, actor = scope_of("project", uuid4()), uuid4()
    happened = _happened(scope)
    with counted(here=True) as statements, writing() as session:
        originate(session, Origin(actor, "10.0.0.1", "a request"))
        record_all(session, happened)
    assert len(statements) == 3
    found = execute("SELECT * FROM events WHERE scope = %(scope)s ORDER BY transaction_id, id", scope=scope)
    assert [(row.type, row.subject_id, row.data) for row in found] == [(e.type, e.subject, e.data) for e in happened]
    assert [row.subject_type for row in found] == ["task", "file"] * 6
    assert {(row.actor_id, str(row.ip), row.request_id) for row in found} == {(actor, "10.0.0.1", "a request")}
    delivered = execute("SELECT * FROM deliveries WHERE event_id = ANY(%(ids)s)", ids=[row.id for row in found])
    every = set(EventType)
    for queue, types in (
        ("email", {EventType.FILE_REJECTED}),
        ("uploads", {EventType.FILE_REMOVED}),
        ("realtime", every),
    ):
        expected = {row.id for row in found if row.type in types}
        assert {row.event_id for row in delivered if row.destination == queue} == expected
        assert expected <= set(_sent(queue))
    assert len([row for row in delivered if row.destination != "webhooks"]) == 3 + 3 + 12  # others may subscribe


def test_given_a_transaction_that_fails_then_nothing_is_recorded_and_nothing_sent() -> None:
    scope = scope_of("project", uuid4())

    def fail() -> None:
        with writing() as session:
            record_all(session, _happened(scope))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert execute("SELECT FROM events WHERE scope = %(scope)s", scope=scope) == []
    assert _sent("email") == []


def test_given_more_events_than_a_statement_takes_then_all_are_recorded_in_order_and_some_sent_at_once() -> None:
    scope = scope_of("project", uuid4())
    happened = [Happening(EventType.TASK_UPDATED, uuid4(), scope, {"n": n}) for n in range(20_001)]
    with counted(here=True) as statements, writing() as session:
        record_all(session, happened)
    assert len(statements) == 2 + 21
    found = execute("SELECT subject_id FROM events WHERE scope = %(scope)s ORDER BY transaction_id, id", scope=scope)
    assert [row.subject_id for row in found] == [event.subject for event in happened]
    # AND whoever waits for the answer does not wait until each is sent: the dispatcher sees to the rest
    kind: QueueAttributeNameType = "ApproximateNumberOfMessages"
    asked = aws.sqs().get_queue_attributes(QueueUrl=settings().queue_urls["realtime"], AttributeNames=[kind])
    assert 0 < int(asked["Attributes"][kind]) < 1_000


def test_given_nothing_that_happened_then_no_statement_is_sent() -> None:
    with counted(here=True) as statements, writing() as session:
        record_all(session, [])
    assert statements == []
