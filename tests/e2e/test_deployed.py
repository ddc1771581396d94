"""What the stacks wire up beside the API, on AWS's own ways: queues to functions to dead letters, SNS, schedules."""

import json
import secrets
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import boto3
import psycopg
import pytest

from functions.manifest import DEAD_LETTERS, FUNCTIONS, QUEUES
from infra.local.feedback import report
from tests.e2e.stand import eventually

Aws = Callable[[str], Any]


@pytest.fixture(scope="module")
def aws(deployed: dict[str, str]) -> Aws:
    """Clients of the emulated account, as an administrator of it."""
    session = boto3.Session(
        deployed["AWS_ACCESS_KEY_ID"], deployed["AWS_SECRET_ACCESS_KEY"], region_name=deployed["AWS_REGION"]
    )
    return partial(session.client, endpoint_url=deployed["AWS_ENDPOINT_URL"])


@pytest.fixture
def impatient(aws: Aws, deployed: dict[str, str]) -> Iterator[dict[str, str]]:
    """Queue name -> URL; a message that could not be done comes again at once, not when a function has had its time."""
    sqs = aws("sqs")
    urls = {
        name: sqs.get_queue_url(QueueName=f"quintet-{deployed['ENVIRONMENT']}-{name}")["QueueUrl"] for name in QUEUES
    }
    before = {}
    for url in urls.values():
        hidden = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
        before[url] = hidden
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "1"})
    yield urls
    for url, attributes in before.items():
        sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)


def test_given_a_message_nobody_can_read_then_it_ends_among_its_queues_dead_letters(
    aws: Aws, impatient: dict[str, str]
) -> None:
    sqs, poison = aws("sqs"), f"poison {secrets.token_hex(8)}"
    for url in impatient.values():
        sqs.send_message(QueueUrl=url, MessageBody=poison)

    def died(url: str) -> bool:
        found = sqs.receive_message(QueueUrl=url + DEAD_LETTERS, MaxNumberOfMessages=10, VisibilityTimeout=0)
        receipts = [message["ReceiptHandle"] for message in found.get("Messages", []) if message["Body"] == poison]
        for receipt in receipts:
            sqs.delete_message(QueueUrl=url + DEAD_LETTERS, ReceiptHandle=receipt)
        return bool(receipts)

    missing = set(impatient)

    def not_dead() -> set[str]:
        missing.difference_update([name for name in missing if died(impatient[name])])
        return missing

    eventually(not_dead, lambda names: not names, seconds=90)


def test_given_a_bounce_that_ses_reports_then_the_address_gets_no_more(aws: Aws, deployed: dict[str, str]) -> None:
    address = f"{secrets.token_hex(8)}@example.com"
    [topic] = [topic["TopicArn"] for topic in aws("sns").list_topics()["Topics"] if "Feedback" in topic["TopicArn"]]
    aws("sns").publish(TopicArn=topic, Message=report("bounce", address)["Message"])

    def suppressed() -> list[Any]:
        with psycopg.connect(deployed["DATABASE_OWNER_URL"]) as connection:
            known = connection.execute("SELECT reason FROM suppressed_addresses WHERE email = %s", [address])
            return known.fetchall()

    assert eventually(suppressed) == [("bounce",)]


@pytest.mark.parametrize("name", [name for name, function in FUNCTIONS.items() if function.schedule])
def test_given_a_schedule_when_its_time_comes_then_its_function_may_do_all_it_does(
    aws: Aws, deployed: dict[str, str], name: str
) -> None:
    rule = f"quintet-{deployed['ENVIRONMENT']}-{name}"
    assert aws("events").describe_rule(Name=rule)["ScheduleExpression"] == FUNCTIONS[name].schedule
    [target] = aws("events").list_targets_by_rule(Rule=rule)["Targets"]
    answer = aws("lambda").invoke(FunctionName=target["Arn"], Payload=json.dumps({"source": "aws.events"}))
    assert "FunctionError" not in answer, answer["Payload"].read()
