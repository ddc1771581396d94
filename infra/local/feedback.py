"""SES's mailbox simulator: mail to `bounce@simulator.amazonses.com` bounces, `complaint@` complains.

https://docs.aws.amazon.com/ses/latest/dg/send-an-email-from-console.html#send-email-simulator
"""

import http.client
import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from infra.local.events import ACCOUNT, REGION

_DOMAIN = "simulator.amazonses.com"
QUEUE = "email_feedback"


def reports(recipients: Iterable[str]) -> list[dict[str, Any]]:
    """What SES would put into the feedback queue (by SNS) after mail to these addresses."""
    found = []
    for address in recipients:
        local, _, domain = address.lower().partition("@")
        kind = local.partition("+")[0]
        if domain == _DOMAIN and kind in ("bounce", "complaint"):
            found.append(report(kind, address))
    return found


def report(kind: str, address: str) -> dict[str, Any]:
    """SNS's envelope around SES's report of a `bounce` or a `complaint`."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    details: dict[str, dict[str, Any]] = {
        "bounce": {
            "bounceType": "Permanent",
            "bounceSubType": "General",
            "bouncedRecipients": [{"emailAddress": address, "action": "failed", "status": "5.1.1"}],
        },
        "complaint": {"complainedRecipients": [{"emailAddress": address}], "complaintFeedbackType": "abuse"},
    }
    message = {
        "eventType": kind.title(),
        kind: {**details[kind], "timestamp": now, "feedbackId": uuid.uuid4().hex},
        "mail": {"timestamp": now, "messageId": uuid.uuid4().hex, "destination": [address]},
    }
    return {
        "Type": "Notification",
        "MessageId": str(uuid.uuid4()),
        "TopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:email-feedback",
        "Subject": "Amazon SES Email Event Notification",
        "Message": json.dumps(message),
        "Timestamp": now,
    }


def send(port: int, queue: str, recipients: Iterable[str]) -> None:
    """Put those reports into that queue of the emulator that listens on `port`."""
    for body in reports(recipients):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request(
                "POST",
                f"/{ACCOUNT}/{queue}",
                urlencode({"Action": "SendMessage", "Version": "2012-11-05", "MessageBody": json.dumps(body)}),
                {
                    "Content-Type": "application/x-www-form-urlencoded",
                    "Authorization": f"AWS4-HMAC-SHA256 Credential=test/20000101/{REGION}/sqs/aws4_request",
                },
            )
            connection.getresponse().read()
        finally:
            connection.close()
