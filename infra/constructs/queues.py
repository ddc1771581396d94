"""The manifest's queues, each with a queue for what could not be done."""

from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from functions.manifest import DEAD_LETTERS, FUNCTIONS, visibility_timeout
from infra.config import Environment
from infra.nag import acknowledge

_KEEP = Duration.days(14)


@dataclass(frozen=True, slots=True)
class QueuePair:
    """A queue and its dead letters."""

    queue: sqs.Queue
    dead_letters: sqs.Queue


def dead_letter_queue(scope: Construct, id: str, *, name: str) -> sqs.Queue:
    """Where messages wait for a person, as long as SQS keeps any."""
    queue = sqs.Queue(
        scope,
        id,
        queue_name=name,
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=True,
        retention_period=_KEEP,
    )
    acknowledge(queue, "AwsSolutions-SQS3", "Serverless-SQSRedrivePolicy")
    return queue


def manifest_queues(scope: Construct, *, env: Environment) -> dict[str, QueuePair]:
    """Queue name -> the pair. SSE-SQS, since S3 cannot notify a queue under the AWS-managed key."""
    pairs = {}
    for function in FUNCTIONS.values():
        if function.queue is None:
            continue
        name = function.queue.name
        dead_letters = dead_letter_queue(scope, f"{name}{DEAD_LETTERS}", name=f"{env.prefix}-{name}{DEAD_LETTERS}")
        queue = sqs.Queue(
            scope,
            name,
            queue_name=f"{env.prefix}-{name}",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            visibility_timeout=Duration.seconds(visibility_timeout(function)),
            retention_period=_KEEP,
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=dead_letters, max_receive_count=function.queue.max_receive_count
            ),
        )
        pairs[name] = QueuePair(queue, dead_letters)
    return pairs
