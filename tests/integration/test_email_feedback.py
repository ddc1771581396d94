"""Bounces and complaints as SES reports them through SNS: the address gets no more."""

import json
import logging
from typing import Any
from uuid import uuid4

import pytest

from infra.local.events import sqs_event
from infra.local.invocation import invoke
from infra.local.postgres import Postgres
from quintet.db.engine import owner_engine
from quintet.db.session import writing
from quintet.events.record import SYSTEM, record
from quintet.events.types import EventType
from tests.support.api import Api

MAIL = {
    "timestamp": "2026-11-20T14:03:00.000Z",
    "source": "no-reply@quintet.example",
    "messageId": "0100018d-0000-4000-8000-000000000000-000000",
    "tags": {"ses:configuration-set": ["quintet-prod"]},
}


def bounce(*addresses: str, type: str = "Permanent", kind: str = "eventType") -> dict[str, Any]:
    """A report as the documentation shows it."""
    recipients = [
        {
            "emailAddress": address,
            "action": "failed",
            "status": "5.1.1",
            "diagnosticCode": f"smtp; 550 5.1.1 <{address}>... User unknown",
        }
        for address in addresses
    ]
    return {
        kind: "Bounce",
        "bounce": {
            "bounceType": type,
            "bounceSubType": "General",
            "bouncedRecipients": recipients,
            "timestamp": "2026-11-20T14:03:01.000Z",
            "feedbackId": "0100018d-feedback",
            "reportingMTA": "dsn; mta.example.com",
        },
        "mail": {**MAIL, "destination": list(addresses)},
    }


def complaint(*addresses: str, type: str | None = "abuse") -> dict[str, Any]:
    """The same of a complaint."""
    return {
        "eventType": "Complaint",
        "complaint": {
            "complainedRecipients": [{"emailAddress": address} for address in addresses],
            "timestamp": "2026-11-20T14:03:01.000Z",
            "feedbackId": "0100018d-feedback",
            "complaintSubType": None,
            **({"complaintFeedbackType": type} if type else {}),
        },
        "mail": {**MAIL, "destination": list(addresses)},
    }


def enveloped(report: dict[str, Any] | str) -> dict[str, Any]:
    """A report as SNS puts it into a queue."""
    return {
        "Type": "Notification",
        "MessageId": str(uuid4()),
        "TopicArn": "arn:aws:sns:us-east-1:123456789012:feedback",
        "Subject": "Amazon SES Email Event Notification",
        "Message": report if isinstance(report, str) else json.dumps(report),
        "Timestamp": "2026-11-20T14:03:02.000Z",
        "SignatureVersion": "1",
        "Signature": "c2lnbmF0dXJl",
    }


def take_in(*bodies: dict[str, Any] | str) -> int:
    """One batch through the real handler; how many messages are to come again."""
    return len(invoke("email_feedback", sqs_event("email_feedback", bodies))["batchItemFailures"])


def suppressed(address: str) -> str | None:
    """Why an address is suppressed, if it is."""
    with owner_engine().connect() as connection:
        sql = "SELECT reason FROM suppressed_addresses WHERE email = %(address)s"
        return connection.exec_driver_sql(sql, {"address": address}).scalar()


def recorded(subject: Any) -> list[tuple[str, Any]]:
    """Scope and data of the suppressions recorded about an account."""
    with owner_engine().connect() as connection:
        sql = "SELECT scope, data FROM events WHERE type = 'address.suppressed' AND subject_id = %(id)s ORDER BY id"
        return [tuple(row) for row in connection.exec_driver_sql(sql, {"id": subject})]


def somebody() -> str:
    """An address without an account."""
    return f"{uuid4().hex}@example.com"


@pytest.mark.parametrize("kind", ["eventType", "notificationType"])
@pytest.mark.parametrize("wrap", [enveloped, dict], ids=["in SNS's envelope", "raw"])
def test_given_a_permanent_bounce_when_it_is_reported_then_the_account_gets_no_more_email(
    api: Api, wrap: Any, kind: str
) -> None:
    user = api.register()
    address = user.user["email"]

    # WHEN the report arrives, in the spelling the other server uses, and again, and once more
    report = wrap(bounce(address.upper(), kind=kind))
    assert take_in(report, report) == 0
    assert take_in(report) == 0

    # THEN the address is suppressed, recorded once and without the address
    assert suppressed(address) == "bounce"
    assert recorded(user.id) == [(f"user:{user.id}", {"reason": "bounce"})]

    # AND nothing is sent there
    with writing() as session:
        event_id = record(session, EventType.ACCOUNT_PASSWORD_CHANGED, subject=user.id, scope=SYSTEM)
    message = {"event_id": str(event_id), "destination": "email"}
    assert invoke("email_sender", sqs_event("email", [message])) == {"batchItemFailures": []}
    with owner_engine().connect() as connection:
        sql = "SELECT error FROM deliveries WHERE event_id = %(id)s AND destination = 'email'"
        note = connection.exec_driver_sql(sql, {"id": event_id}).scalar_one()
    assert note == "The address bounced or complained before."


def test_given_a_bounce_when_a_complaint_follows_then_it_counts_and_a_later_bounce_does_not(api: Api) -> None:
    user = api.register()
    address = user.user["email"]
    for report, reason in (
        (bounce(address), "bounce"),
        (complaint(address, type=None), "complaint"),
        (bounce(address), "complaint"),
        (complaint(address), "complaint"),
    ):
        assert take_in(enveloped(report)) == 0
        assert suppressed(address) == reason
    assert [data["reason"] for _, data in recorded(user.id)] == ["bounce", "complaint"]


def test_given_a_report_of_several_addresses_then_each_is_suppressed_with_or_without_an_account(api: Api) -> None:
    user, stranger = api.register(), somebody()
    assert take_in(enveloped(bounce(stranger, f"Test Person <{user.user['email']}>", stranger))) == 0
    assert suppressed(stranger) == suppressed(user.user["email"]) == "bounce"
    assert len(recorded(user.id)) == 1
    with owner_engine().connect() as connection:
        sql = "SELECT count(*) FROM events e WHERE type = 'address.suppressed' AND e::text LIKE %(a)s"
        assert connection.exec_driver_sql(sql, {"a": f"%{stranger}%"}).scalar() == 0


@pytest.mark.parametrize("type", ["Transient", "Undetermined"])
def test_given_a_bounce_that_may_pass_then_it_is_logged_without_the_address(
    stack: Postgres, caplog: pytest.LogCaptureFixture, type: str
) -> None:
    address = somebody()
    with caplog.at_level(logging.DEBUG):
        assert take_in(enveloped(bounce(address, type=type))) == 0
    assert suppressed(address) is None
    assert "An email bounced for now." in caplog.text
    assert address not in caplog.text + "".join(str(vars(entry)) for entry in caplog.records)


@pytest.mark.parametrize(
    "body",
    [
        complaint("not-spam@example.com", type="not-spam"),
        {"eventType": "Delivery", "delivery": {"recipients": ["delivered@example.com"]}, "mail": MAIL},
        "Successfully validated SNS topic for Amazon SES event publishing.",
    ],
    ids=["taken back", "delivered", "SES's greeting"],
)
def test_given_a_report_that_asks_for_nothing_then_it_is_done_and_nothing_is_suppressed(
    stack: Postgres, body: dict[str, Any] | str
) -> None:
    assert take_in(enveloped(body), body) == 0
    assert suppressed("not-spam@example.com") is None
    assert suppressed("delivered@example.com") is None


def test_given_a_message_nobody_understands_then_it_alone_comes_again_for_the_dead_letters(stack: Postgres) -> None:
    address = somebody()
    broken: list[dict[str, Any] | str] = [
        "{",
        "[]",
        {"eventType": "Bounce"},
        enveloped("not JSON"),
        enveloped(bounce("a\x00@b.example")),
    ]
    assert take_in(*broken, enveloped(bounce(address))) == len(broken)
    assert suppressed(address) == "bounce"


def test_given_a_database_error_then_the_log_does_not_show_the_address(
    stack: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert take_in(bounce("unmistakable\x00@example.com")) == 1
    assert "A record failed" in caplog.text
    assert "unmistakable" not in caplog.text
