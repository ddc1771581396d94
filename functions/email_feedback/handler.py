"""Lambda entry of `email_feedback`: the `email_feedback` queue."""

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from functions.email_feedback.service import read_feedback, suppress
from quintet.db.session import writing
from quintet.events.consumer import consumer, started_by


def process(record: SQSRecord) -> None:
    """Take in one report."""
    if feedback := read_feedback(record.body):
        with writing() as session:
            started_by(session, record)
            suppress(session, feedback=feedback)


handler = consumer(process)
