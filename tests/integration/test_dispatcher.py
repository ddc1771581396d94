"""What should be on a queue and is not gets there: after a crash, a lost message, a dead consumer, a full bucket."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import unquote_plus
from uuid import UUID

import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from sqlalchemy.orm import Session

from functions.event_dispatcher.service import MAX_ATTEMPTS
from infra.local.events import schedule_event, sqs_event
from infra.local.invocation import invoke
from quintet import aws
from quintet.config import settings
from quintet.db.engine import engine
from quintet.db.session import writing
from quintet.events.consumer import Claimed, consumer, deliver
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from tests.support.api import Api
from tests.support.statements import execute
from tests.support.uploading import forget_what_is_due, received


@pytest.fixture(autouse=True)
def quiet(stack: object) -> None:
    """Nothing is due, and nothing is queued."""
    forget_what_is_due()
    for queue in ("email", "uploads"):
        received(queue)
    dispatch()  # what other tests have left to be tallied


def dispatch(**event: bool) -> dict[str, int]:
    """One run."""
    answer: dict[str, int] = invoke("event_dispatcher", {**schedule_event("event_dispatcher"), **event})
    return answer


def request_mail(session: Session, user: Api) -> UUID:
    """An event that is delivered to `email`."""
    return record(
        session,
        EventType.ACCOUNT_PASSWORD_RESET_REQUESTED,
        subject=user.id,
        scope=scope_of("user", user.id),
        actor_id=user.id,
    )


def make_due(minutes: int = 1) -> None:
    """Let time pass for what is open."""
    execute(
        "UPDATE deliveries SET next_attempt_at = next_attempt_at - make_interval(mins => %(minutes)s), "
        "lease_until = lease_until - make_interval(mins => %(minutes)s) WHERE done_at IS NULL",
        minutes=minutes,
    )


def delivery(event_id: UUID) -> Any:
    """The delivery's row, with the minutes until it is looked at again."""
    (row,) = execute(
        "SELECT attempts, error, done_at, lease_until, extract(epoch FROM next_attempt_at - now()) / 60 AS minutes "
        "FROM deliveries WHERE event_id = %(id)s",
        id=event_id,
    )
    return row


def consume(event_id: UUID, effect: Callable[[Claimed], Any]) -> list[str]:
    """Have a consumer act on one message; what it reports as failed."""

    def process(message: SQSRecord) -> None:
        deliver(message, effect, lease_seconds=90)

    class Context:
        function_name, aws_request_id = "test", "test"

    event = sqs_event("email", [{"event_id": str(event_id), "destination": "email"}])
    answer = consumer(process)(event, Context())
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


# --- the outbox ------------------------------------------------------------------------------------------


def test_given_a_commit_then_the_message_is_sent_at_once_and_a_rollback_sends_nothing(user: Api) -> None:
    with writing() as session:
        event_id = request_mail(session, user)
    with suppress(ZeroDivisionError), writing() as session:
        request_mail(session, user)
        raise ZeroDivisionError
    assert received("email") == [{"event_id": str(event_id), "destination": "email"}]
    assert dispatch() == dict.fromkeys(
        ("deliveries", "files", "uploads", "webhooks", "syncs", "requests", "tallies"), 0
    )


def test_given_a_crash_between_commit_and_send_then_the_dispatcher_sends(user: Api) -> None:
    # GIVEN a process that died right after its commit: what waits for the commit never ran
    with Session(engine()) as session:
        event_id = request_mail(session, user)
        session.commit()
    # WHEN it is not due yet THEN it is left alone; one minute later it is sent, once
    assert dispatch()["deliveries"] == 0
    make_due()
    assert dispatch()["deliveries"] == 1
    assert dispatch()["deliveries"] == 0
    assert received("email") == [{"event_id": str(event_id), "destination": "email"}]


def test_given_a_queue_that_does_not_answer_then_the_change_stands_and_nothing_is_lost(
    user: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = settings().queue_urls["email"]
    monkeypatch.setitem(settings().queue_urls, "email", url + "-nowhere")
    with writing() as session:
        event_id = request_mail(session, user)
    make_due()
    # WHEN the dispatcher cannot send either THEN it says so, and the alarm on errors hears of it
    with pytest.raises(RuntimeError, match="email"):
        dispatch()
    monkeypatch.setitem(settings().queue_urls, "email", url)
    make_due(minutes=2)
    assert dispatch()["deliveries"] == 1
    assert [message["event_id"] for message in received("email")] == [str(event_id)]


def test_given_a_backlog_then_what_waits_longer_is_sent_less_often(user: Api) -> None:
    # GIVEN an event of three hours ago that nobody gets to
    execute(
        "INSERT INTO deliveries (event_id, destination, next_attempt_at) "
        "VALUES (uuidv7(interval '-3 hours'), 'email', now())"
    )
    assert dispatch()["deliveries"] == 1
    ((minutes,),) = execute(
        "SELECT extract(epoch FROM next_attempt_at - now()) / 60 FROM deliveries WHERE done_at IS NULL"
    )
    assert 179 < minutes <= 180


# --- two at once -----------------------------------------------------------------------------------------


def test_given_two_dispatchers_at_once_then_each_delivery_is_sent_once(user: Api) -> None:
    execute(
        "INSERT INTO deliveries (event_id, destination, next_attempt_at) SELECT uuidv7(), 'email', now() "
        "FROM generate_series(1, 250)"
    )
    barrier, totals = threading.Barrier(2), []

    def run() -> None:
        barrier.wait()
        totals.append(dispatch()["deliveries"])

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sent = Counter(message["event_id"] for message in received("email"))
    assert sum(totals) == len(sent) == 250
    assert set(sent.values()) == {1}


def test_given_another_dispatcher_in_the_middle_of_its_claim_then_its_rows_are_neither_waited_for_nor_sent(
    user: Api,
) -> None:
    ids = [
        row.event_id
        for row in execute(
            "INSERT INTO deliveries (event_id, destination, next_attempt_at) "
            "SELECT uuidv7(), 'email', now() FROM generate_series(1, 3) RETURNING event_id"
        )
    ]
    with engine().connect() as other:
        other.exec_driver_sql("SELECT FROM deliveries WHERE event_id = %(id)s FOR UPDATE", {"id": ids[0]})
        assert dispatch()["deliveries"] == 2
    assert {message["event_id"] for message in received("email")} == {str(id) for id in ids[1:]}


# --- consumers -------------------------------------------------------------------------------------------


def test_given_a_delivery_that_is_done_or_being_done_then_a_second_message_does_nothing(user: Api) -> None:
    with writing() as session:
        event_id = request_mail(session, user)
    acted: list[Claimed] = []

    def effect(claimed: Claimed) -> None:
        # WHEN the same message comes again while this one works, or after
        assert consume(event_id, acted.append) == []
        acted.append(claimed)

    assert consume(event_id, effect) == []
    assert consume(event_id, acted.append) == []
    assert [(claimed.id, claimed.type, claimed.destination) for claimed in acted] == [
        (event_id, "account.password_reset_requested", "email")
    ]
    row = delivery(event_id)
    assert (row.attempts, row.error) == (1, None)
    assert row.done_at is not None


def test_given_a_consumer_that_dies_at_work_then_the_dispatcher_sends_when_its_lease_is_over(user: Api) -> None:
    with writing() as session:
        event_id = request_mail(session, user)
    received("email")

    def die(_: Claimed) -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        consume(event_id, die)
    make_due(minutes=1)
    assert dispatch()["deliveries"] == 0
    make_due(minutes=1)
    assert dispatch()["deliveries"] == 1
    done: list[Claimed] = []
    assert consume(event_id, done.append) == []
    assert len(done) == 1
    assert delivery(event_id).attempts == 2


def test_given_an_effect_that_fails_then_the_queue_tries_again_first_and_the_dispatcher_later(user: Api) -> None:
    with writing() as session:
        event_id = request_mail(session, user)

    def fail(_: Claimed) -> None:
        raise ConnectionError("the provider said: someone@example.com is unknown")

    for attempt, minutes in ((1, 10), (2, 10), (3, 10), (4, 16), (5, 32)):
        assert len(consume(event_id, fail)) == 1
        row = delivery(event_id)
        # The class of the error, never its text.
        assert (row.attempts, row.error, row.lease_until) == (attempt, "ConnectionError", None)
        assert minutes - 0.1 < row.minutes <= minutes
    assert consume(event_id, lambda _: "nobody wants it") == []
    assert delivery(event_id).error == "nobody wants it"
    assert delivery(event_id).done_at is not None


def test_given_too_many_attempts_then_it_is_given_up_loudly_once_and_the_row_stays(
    user: Api, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with writing() as session:
        event_id = request_mail(session, user)
    received("email")
    execute(
        "UPDATE deliveries SET attempts = %(n)s, next_attempt_at = now(), error = 'X' WHERE event_id = %(id)s",
        n=MAX_ATTEMPTS,
        id=event_id,
    )

    def run() -> tuple[list[str], list[Any]]:
        """The ids of the deliveries that are said to be given up, and the numbers put out."""
        caplog.clear()
        capsys.readouterr()
        assert dispatch()["deliveries"] == 0
        given_up = [vars(entry)["event_id"] for entry in caplog.records if entry.levelname == "ERROR"]
        metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "DeliveriesStuck" in line]
        assert {metric["_aws"]["CloudWatchMetrics"][0]["Namespace"] for metric in metrics} == {"Quintet"}
        return given_up, [metric["DeliveriesStuck"] for metric in metrics]

    assert run() == ([str(event_id)], [[1.0]])
    # THEN it is said once, while the number stays until somebody looks after it
    assert run() == ([], [[1.0]])
    assert delivery(event_id).done_at is None
    assert received("email") == []
    # WHEN an operator has put right what was wrong THEN it is sent, with all attempts anew
    assert dispatch(retry=True)["deliveries"] == 1
    assert [message["event_id"] for message in received("email")] == [str(event_id)]
    assert delivery(event_id).attempts == 0


# --- files -----------------------------------------------------------------------------------------------


def pending(user: Api, key: str, *, minutes: float = 5, body: bytes | None = None) -> UUID:
    """A file that waits for its object since then; with `body` it has arrived."""
    bucket = settings().files_bucket
    if body is not None:
        aws.s3().put_object(Bucket=bucket, Key=key, Body=body)
    ((id,),) = execute(
        "INSERT INTO files (owner_id, file_name, bucket, key, content_type, size, created_at) VALUES "
        "(%(owner)s, 'a', %(bucket)s, %(key)s, 'text/plain', 3, now() - make_interval(secs => %(seconds)s)) "
        "RETURNING id",
        owner=user.id,
        bucket=bucket,
        key=key,
        seconds=minutes * 60,
    )
    return UUID(str(id))


def test_given_an_object_nobody_was_told_of_then_its_message_is_sent_as_s3_would(user: Api) -> None:
    key = f"{user.id}/日本 語+1%.txt"
    pending(user, key, body=b"abc")
    pending(user, f"{user.id}/too-young", minutes=0.5, body=b"abc")
    pending(user, f"{user.id}/never-arrived")
    assert dispatch()["files"] == 1
    (message,) = received("uploads")
    (notice,) = message["Records"]
    assert (notice["eventSource"], notice["eventName"]) == ("aws:s3", "ObjectCreated:Put")
    assert notice["s3"]["bucket"]["name"] == settings().files_bucket
    told = notice["s3"]["object"]
    assert unquote_plus(told["key"]) == key
    assert told["key"].isascii()
    assert told["size"] == 3
    version = aws.s3().head_object(Bucket=settings().files_bucket, Key=key)["VersionId"]
    assert told["versionId"] == version
    # THEN while the consumer is at work it is not sent each minute
    assert dispatch()["files"] == 0


def test_given_many_files_that_never_arrive_then_one_that_does_is_still_found(user: Api) -> None:
    for n in range(250):
        pending(user, f"{user.id}/missing-{n}", minutes=600)
    pending(user, f"{user.id}/there", body=b"abc")
    assert dispatch()["files"] == 1
    # WHEN an object comes late THEN it is found when the file's turn comes, a quarter of its age later
    late = pending(user, f"{user.id}/late", minutes=8)
    assert dispatch()["files"] == 0
    aws.s3().put_object(Bucket=settings().files_bucket, Key=f"{user.id}/late", Body=b"abc")
    assert dispatch()["files"] == 0
    execute(
        "UPDATE files SET checked_at = checked_at - interval '3 minutes', "
        "created_at = created_at - interval '3 minutes' WHERE id = %(id)s",
        id=late,
    )
    assert dispatch()["files"] == 1


def test_given_two_dispatchers_at_once_then_each_file_is_sent_once(user: Api) -> None:
    for n in range(120):
        pending(user, f"{user.id}/{n}", body=b"abc")
    threads = [threading.Thread(target=dispatch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys = [message["Records"][0]["s3"]["object"]["key"] for message in received("uploads")]
    assert len(keys) == len(set(keys)) == 120


def test_given_a_bucket_that_does_not_answer_then_deliveries_still_go_out_and_the_run_fails(user: Api) -> None:
    execute(
        "INSERT INTO files (owner_id, file_name, bucket, key, content_type, size, created_at) VALUES "
        "(%(owner)s, 'a', 'Not A Bucket', %(key)s, 'text/plain', 3, now() - interval '5 minutes')",
        owner=user.id,
        key=f"{user.id}/x",
    )
    with Session(engine()) as session:
        event_id = request_mail(session, user)
        session.commit()
    make_due()
    try:
        with pytest.raises(RuntimeError, match="Not A Bucket"):
            dispatch()
    finally:  # or it would fail every dispatcher that comes along a minute from now
        execute("DELETE FROM files WHERE bucket = 'Not A Bucket'")
    assert [message["event_id"] for message in received("email")] == [str(event_id)]
