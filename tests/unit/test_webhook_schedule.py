"""When a webhook is tried again, and what its messages are signed with."""

import base64
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from uuid import UUID

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from functions.webhook_sender.posting import Answer, signatures
from functions.webhook_sender.schedule import SCHEDULE, judge

DAY = 86_400
EVENT = UUID("01900000-0000-7000-8000-000000000000")


def test_given_the_schedule_then_it_lasts_a_day_and_each_wait_is_longer_than_the_one_before() -> None:
    assert DAY <= sum(SCHEDULE) <= DAY + 3600
    assert sorted(SCHEDULE) == list(SCHEDULE)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_given_success_then_it_is_delivered(status: int) -> None:
    verdict = judge(Answer(status), 3, 0)
    assert (verdict.status, verdict.error, verdict.again_in, verdict.pause) == ("delivered", None, None, None)


@pytest.mark.parametrize("status", [100, 301, 302, 307, 308, 400, 401, 404, 500, 502, 599])
def test_given_anything_else_then_it_is_tried_again_until_a_day_is_over(status: int) -> None:
    for attempt, wait in enumerate((*SCHEDULE, SCHEDULE[-1], SCHEDULE[-1]), 1):
        verdict = judge(Answer(status), attempt, DAY - 1)
        assert (verdict.status, verdict.again_in, verdict.pause) == ("pending", wait, None)
        assert str(status) in str(verdict.error)
    for attempt in (1, len(SCHEDULE) + 1):
        last = judge(Answer(status), attempt, DAY)
        assert (last.status, last.again_in, last.pause) == ("failed", None, "failing")


def test_given_gone_then_it_is_over_at_once() -> None:
    verdict = judge(Answer(410), 1, 0)
    assert (verdict.status, verdict.again_in, verdict.pause) == ("failed", None, "gone")


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("said", "wait"),
    [
        ("3600", 3600),
        ("10", SCHEDULE[0]),
        ("0", SCHEDULE[0]),
        (" 120 ", 120),
        ("999999999999999999", SCHEDULE[-1]),
        ("-5", SCHEDULE[0]),
        ("1e9", SCHEDULE[0]),
        ("٣٦٠٠", SCHEDULE[0]),
        ("soon", SCHEDULE[0]),
        ("", SCHEDULE[0]),
        (None, SCHEDULE[0]),
        ("Sun, 06 Nov 1994 08:49:37 GMT", SCHEDULE[0]),
        ("Fri, 31 Dec 9999 23:59:59 GMT", SCHEDULE[-1]),
        ("Fri, 31 Dec 99999 23:59:59 GMT", SCHEDULE[0]),
        ("Fri, 31 Dec 2100 23:59:59 +9999", SCHEDULE[0]),
        (f"Fri, 31 Dec 2100 23:59:59 +{'9' * 40}", SCHEDULE[0]),
        ("Mon, 01 Jan 0001 00:00:00 +2359", SCHEDULE[0]),
        ("\xe9\xff, 1 \xb2 2026", SCHEDULE[0]),
    ],
)
def test_given_a_receiver_that_asks_for_time_then_it_gets_what_the_schedule_bounds(
    status: int, said: str | None, wait: int
) -> None:
    assert judge(Answer(status, retry_after=said), 1, 0).again_in == wait


def test_given_a_date_to_come_back_at_then_it_is_waited_for() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    wait = judge(Answer(503, retry_after=at), 1, 0).again_in
    assert wait is not None
    assert 3590 <= wait <= 3600
    # WHEN another error says so THEN the schedule counts
    assert judge(Answer(500, retry_after=at), 1, 0).again_in == SCHEDULE[0]


def test_given_secrets_then_each_signs_as_the_standard_says() -> None:
    one, other, body = b"1" * 32, b"2" * 32, '{"type": "é"}'.encode()
    timestamp = int(datetime.now(UTC).timestamp())
    headers = {
        "webhook-id": str(EVENT),
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signatures([one, other], id=EVENT, timestamp=timestamp, body=body),
    }
    for secret in (one, other):
        verifier = Webhook(f"whsec_{base64.b64encode(secret).decode()}")
        assert verifier.verify(body, headers) == {"type": "é"}
    for forged in (headers | {"webhook-id": "x"}, headers | {"webhook-timestamp": str(timestamp + 1)}):
        with pytest.raises(WebhookVerificationError):
            verifier.verify(body, forged)
    with pytest.raises(WebhookVerificationError):
        verifier.verify(body + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(b"3" * 32).verify(body, headers)
