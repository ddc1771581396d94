"""The clock: what a crash kept from its queue is sent when the dispatcher comes."""

import psycopg
import pytest

from tests.e2e.stand import Stand, eventually


@pytest.mark.timeout(200)
def test_given_an_email_that_never_reached_its_queue_then_the_dispatcher_sends_it(stand: Stand, email: str) -> None:
    # GIVEN a mail that was sent, and recorded as if its message had been lost
    stand.sign_up(email).close()
    stand.wait_for_mail(email, subject="Confirm")
    url = stand.running().environment["DATABASE_OWNER_URL"]
    eventually(lambda: lose(url, email))
    # THEN
    stand.wait_for_mail(email, subject="Confirm", count=2, seconds=120)


def lose(url: str, email: str) -> int:
    """Forget that mails to this address are done; answers how many were."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "UPDATE deliveries d SET done_at = NULL, next_attempt_at = now() "
            "FROM events e JOIN users u ON u.id = e.subject_id "
            "WHERE d.event_id = e.id AND d.destination = 'email' AND d.done_at IS NOT NULL AND u.email = %s",
            [email],
        ).rowcount
