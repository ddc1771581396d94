"""SQS event source mappings: each queue of the manifest feeds its function, as Lambda's poller does."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from functions.manifest import FUNCTIONS, Queue
from infra.local import terminal
from infra.local.events import sqs_event
from infra.local.invocation import Context, invoke
from infra.local.threads import Threads

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

RETRY_SECONDS = 10
"""After a failure a message comes back this soon. On AWS it is the visibility timeout, half an hour for some:
nobody wants to watch that on a laptop. While a function works on it, it is hidden for as long as there."""

_THREADS = 3  # per queue, where the manifest allows as many
_LONG_POLL = 1  # seconds; short, so that stopping waits no longer


class Poller(Threads):
    """Receives from every queue, invokes, and settles each batch: done is deleted, failed comes back.

    The queue's redrive policy moves what has come back too often to the dead letters.
    """

    def __init__(
        self,
        queue_urls: Mapping[str, str],
        *,
        retry_seconds: int = RETRY_SECONDS,
        invoke: Callable[..., Any] = invoke,
    ) -> None:
        super().__init__()
        self._invoke = invoke
        self._retry_seconds = retry_seconds
        self._client = _client()
        for name, function in FUNCTIONS.items():
            if queue := function.queue:
                for number in range(min(_THREADS, queue.max_concurrency)):
                    self._add(self._poll, name, queue, queue_urls[queue.name], name=f"{name}-{number}")

    def _poll(self, name: str, queue: Queue, url: str) -> None:
        while not self._stopping.is_set():
            try:
                messages = self._client.receive_message(
                    QueueUrl=url,
                    MaxNumberOfMessages=min(10, queue.batch_size),
                    WaitTimeSeconds=_LONG_POLL,
                    MessageSystemAttributeNames=["All"],
                    MessageAttributeNames=["All"],
                ).get("Messages", [])
                if messages and self._stopping.is_set():
                    self._give_back(url, messages, 0)
                elif messages:
                    self._handle(name, queue, url, messages)
            except Exception as error:
                if not self._stopping.is_set():
                    terminal.error(f"polling the queue {queue.name} failed", error)
                    self._stopping.wait(1)

    def _handle(self, name: str, queue: Queue, url: str, messages: "Sequence[MessageTypeDef]") -> None:
        function = FUNCTIONS[name]
        context = Context(name, function.memory, function.timeout)
        started = time.perf_counter()
        try:
            answer = self._invoke(name, sqs_event(queue.name, messages), context=context)
            failed = failures(answer, [message["MessageId"] for message in messages])
        except Exception as error:
            terminal.error(f"{name} failed", error)
            failed = {message["MessageId"] for message in messages}
        done = [message for message in messages if message["MessageId"] not in failed]
        self._give_back(url, [message for message in messages if message["MessageId"] in failed], self._retry_seconds)
        if done:
            self._client.delete_message_batch(
                QueueUrl=url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                    for number, message in enumerate(done)
                ],
            )
        terminal.emit(
            "batch",
            queue=queue.name,
            function=name,
            messages=len(messages),
            failed=len(failed),
            ms=round((time.perf_counter() - started) * 1000),
            request_id=context.aws_request_id,
        )

    def _give_back(self, url: str, messages: "Sequence[MessageTypeDef]", seconds: int) -> None:
        if messages:
            self._client.change_message_visibility_batch(
                QueueUrl=url,
                Entries=[
                    {
                        "Id": str(number),
                        "ReceiptHandle": message["ReceiptHandle"],
                        "VisibilityTimeout": seconds,
                    }
                    for number, message in enumerate(messages)
                ],
            )


def failures(answer: Any, ids: Sequence[str]) -> set[str]:
    """The messages of a batch that come back, by what the function answered (ReportBatchItemFailures).

    Nothing, or no failures: none. A failure that names no message of the batch: all of them.
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    named = answer.get("batchItemFailures") if isinstance(answer, dict) else None
    if not named:
        return set()
    try:
        failed = {failure["itemIdentifier"] for failure in named}
    except (TypeError, KeyError):
        return set(ids)
    return failed if failed <= set(ids) else set(ids)


def _client() -> "SQSClient":
    return boto3.client("sqs", config=Config(max_pool_connections=4 * _THREADS, retries={"mode": "standard"}))
