"""Reading a report of SES, and marking the addresses it names."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parseaddr
from typing import Any, Literal

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from quintet.db.models.accounts import User
from quintet.db.models.addresses import SuppressedAddress
from quintet.db.session import writing
from quintet.events.consumer import started_by
from quintet.events.record import SYSTEM, record, scope_of
from quintet.events.types import EventType
from quintet.observability import logger


@dataclass(frozen=True, slots=True)
class Feedback:
    """Addresses that get no more email, and why."""

    reason: Literal["bounce", "complaint"]
    addresses: tuple[str, ...] = field(repr=False)


_GREETING = "Successfully validated SNS topic"
"""How the sentence begins that SES sends when a topic becomes its destination; all else is JSON."""


def process(message: SQSRecord) -> None:
    """Take in one report, if the message is one of those that count."""
    if feedback := read_feedback(message.body):
        with writing() as session:
            started_by(session, message)
            suppress(session, feedback=feedback)


def read_feedback(body: str) -> Feedback | None:
    """What a queue message asks for: SNS's envelope around a report, or the report alone; None when nothing.

    https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html: a configuration set
    calls the kind `eventType`, an identity's own notifications call it `notificationType`.
    """
    if body.startswith(_GREETING):
        return None
    report = json.loads(body)
    if report.get("Type") == "Notification":
        return read_feedback(report["Message"])
    match report.get("eventType") or report.get("notificationType"):
        case "Bounce":
            return _bounce(report["bounce"])
        case "Complaint":
            return _complaint(report["complaint"])
        case kind:  # sends, deliveries; or SNS about itself
            logger.info("A report of another kind is left alone.", kind=kind)
            return None


def _bounce(bounce: Mapping[str, Any]) -> Feedback | None:
    if bounce["bounceType"] != "Permanent":
        logger.info(
            "An email bounced for now.",
            bounce_type=bounce["bounceType"],
            bounce_subtype=bounce.get("bounceSubType"),
            recipients=len(bounce["bouncedRecipients"]),
        )
        return None
    return Feedback("bounce", _addresses(bounce["bouncedRecipients"]))


def _complaint(complaint: Mapping[str, Any]) -> Feedback | None:
    if complaint.get("complaintFeedbackType") == "not-spam":  # takes an earlier complaint back
        logger.info("An email is said to be no spam.")
        return None
    return Feedback("complaint", _addresses(complaint["complainedRecipients"]))


def _addresses(recipients: list[Mapping[str, str]]) -> tuple[str, ...]:
    """Each once, and in one order, so that two reports lock them alike."""
    found = {parseaddr(recipient["emailAddress"])[1].lower() for recipient in recipients}
    return tuple(sorted(found - {""}))


def suppress(session: Session, *, feedback: Feedback) -> None:
    """Mark the addresses. A complaint weighs more than a bounce; what is known already is not recorded again."""
    for address in feedback.addresses:
        statement = insert(SuppressedAddress).values(email=address, reason=feedback.reason)
        changed = session.scalar(
            statement.on_conflict_do_update(
                index_elements=["email"],
                set_={"reason": statement.excluded.reason},
                where=(SuppressedAddress.reason == "bounce") & (statement.excluded.reason == "complaint"),
            ).returning(SuppressedAddress.email)
        )
        if changed is None:
            continue
        user_id = session.scalar(select(User.id).where(User.email == address))
        record(
            session,
            EventType.ADDRESS_SUPPRESSED,
            subject=user_id,
            scope=scope_of("user", user_id) if user_id else SYSTEM,
            data={"reason": feedback.reason},
        )
