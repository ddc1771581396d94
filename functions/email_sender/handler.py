"""Lambda entry of `email_sender`: the `email` queue."""

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from functions.email_sender.service import send_email
from quintet.events.consumer import consumer, deliver

LEASE_SECONDS = 90
"""How long a delivery is ours: more than the function's timeout, less than the message stays hidden."""


def process(record: SQSRecord) -> None:
    """Send the email that one message names."""
    deliver(record, send_email, lease_seconds=LEASE_SECONDS)


handler = consumer(process)
