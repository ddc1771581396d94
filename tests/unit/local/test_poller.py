"""The poller settles batches as Lambda does, against the emulator's queues."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from functions.manifest import DEAD_LETTERS
from infra.local.poller import Poller, failures
from quintet import aws
from quintet.config import settings

QUEUE = "email"
FUNCTION = "email_sender"


class Recorder:
    """Stands where Lambda would: answers each batch as told, and remembers what it got."""

    def __init__(self, answer: Callable[[list[dict[str, Any]]], Any]) -> None:
        self._answer = answer
        self._lock = threading.Lock()
        self.bodies: Counter[str] = Counter()
        self.batches: list[int] = []

    def __call__(self, name: str, event: dict[str, Any], **_: Any) -> Any:
        assert name == FUNCTION
        with self._lock:
            self.batches.append(len(event["Records"]))
            self.bodies.update(record["body"] for record in event["Records"])
        return self._answer(event["Records"])


@contextmanager
def polling(invoke: Recorder) -> Iterator[None]:
    poller = Poller(settings().queue_urls, retry_seconds=0, invoke=invoke)
    poller.start()
    yield
    poller.stop(timeout=10)


def send(*bodies: str) -> None:
    for body in bodies:
        aws.sqs().send_message(QueueUrl=settings().queue_urls[QUEUE], MessageBody=body)


def waiting(suffix: str = "") -> int:
    attributes = aws.sqs().get_queue_attributes(QueueUrl=settings().queue_urls[QUEUE] + suffix, AttributeNames=["All"])[
        "Attributes"
    ]
    return int(attributes["ApproximateNumberOfMessages"]) + int(attributes["ApproximateNumberOfMessagesNotVisible"])


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


@pytest.mark.usefixtures("resources")
def test_given_a_function_that_succeeds_when_messages_come_then_each_is_delivered_once_and_deleted() -> None:
    invoke = Recorder(lambda _: {"batchItemFailures": []})
    bodies = [f"message {number}" for number in range(25)]
    send(*bodies)
    with polling(invoke):
        eventually(lambda: sum(invoke.bodies.values()) == 25)
    assert invoke.bodies == Counter(bodies)
    assert max(invoke.batches) <= 10
    assert waiting() == 0


@pytest.mark.usefixtures("resources")
def test_given_one_poisoned_message_when_polled_then_it_alone_comes_back_and_ends_in_the_dead_letters() -> None:
    # GIVEN a function that reports one message of the batch as failed, always
    def answer(records: list[dict[str, Any]]) -> Any:
        return {"batchItemFailures": [{"itemIdentifier": r["messageId"]} for r in records if r["body"] == "poison"]}

    invoke = Recorder(answer)
    send("good 1", "poison", "good 2")
    # WHEN
    with polling(invoke):
        eventually(lambda: waiting(DEAD_LETTERS) == 1)
    # THEN it was tried as often as the manifest says, the others once
    assert invoke.bodies == Counter({"good 1": 1, "good 2": 1, "poison": 5})
    assert waiting() == 0


@pytest.mark.usefixtures("resources")
def test_given_a_function_that_raises_once_when_polled_then_the_whole_batch_comes_again() -> None:
    tries: list[int] = []

    def answer(records: list[dict[str, Any]]) -> Any:
        tries.append(len(records))
        if len(tries) == 1:
            raise RuntimeError("the first time fails")
        return None

    invoke = Recorder(answer)
    send("one")
    with polling(invoke):
        eventually(lambda: invoke.bodies["one"] == 2)
        eventually(lambda: waiting() == 0)
    assert waiting(DEAD_LETTERS) == 0


@pytest.mark.usefixtures("resources")
def test_given_a_batch_under_way_when_stopped_then_it_is_finished_and_the_rest_is_left_visible() -> None:
    started, release = threading.Event(), threading.Event()

    def answer(_: list[dict[str, Any]]) -> Any:
        started.set()
        assert release.wait(10)

    invoke = Recorder(answer)
    poller = Poller(settings().queue_urls, retry_seconds=0, invoke=invoke)
    send("slow")
    poller.start()
    assert started.wait(10)
    stopping = threading.Thread(target=poller.stop, args=(10,))
    stopping.start()
    time.sleep(1.5)  # every long poll has ended by now
    send("later")
    release.set()
    stopping.join()
    assert invoke.bodies == Counter({"slow": 1})
    received = aws.sqs().receive_message(QueueUrl=settings().queue_urls[QUEUE]).get("Messages", [])
    assert [message["Body"] for message in received] == ["later"]


@pytest.mark.usefixtures("resources")
def test_given_an_upload_when_the_bucket_takes_it_then_the_queue_hears_of_it() -> None:
    for key in ("elsewhere.txt", "uploads/日本 +1.txt"):
        aws.s3().put_object(Bucket=settings().files_bucket, Key=key, Body=b"x")
    url = settings().queue_urls["uploads"]
    received = aws.sqs().receive_message(QueueUrl=url, WaitTimeSeconds=5, MaxNumberOfMessages=10)["Messages"]
    assert len(received) == 1, "only what is uploaded is announced"
    assert "uploads/%E6%97%A5%E6%9C%AC+%2B1.txt" in received[0]["Body"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, set()),
        ({}, set()),
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": None}, set()),
        ({"batchItemFailures": [{"itemIdentifier": "a"}]}, {"a"}),
        ({"batchItemFailures": [{"itemIdentifier": "unknown"}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, {"a", "b"}),
        ({"batchItemFailures": [{"other": "a"}]}, {"a", "b"}),
        ({"batchItemFailures": ["a"]}, {"a", "b"}),
    ],
)
def test_given_an_answer_when_read_then_failures_are_those_lambda_would_see(answer: Any, expected: set[str]) -> None:
    assert failures(answer, ["a", "b"]) == expected
