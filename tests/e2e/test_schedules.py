"""The clock: what a crash kept from its queue is sent when the dispatcher comes."""

import psycopg
import pytest

from tests.e2e.stand import Stand


@pytest.mark.timeout(200)
def test_given_an_email_that_never_reached_its_queue_then_the_dispatcher_sends_it(stand: Stand, email: str) -> None:
    # GIVEN a mail that is sent, and recorded as if its message had been lost
    stand.sign_up(email).close()
    stand.wait_for_mail(email, subject="Confirm")
    url = stand.running().environment["DATABASE_OWNER_URL"]
    lost = "UPDATE deliveries SET done_at = NULL, lease_until = NULL, next_attempt_at = now() "
    ours = "WHERE destination = 'email' AND event_id IN (SELECT e.id FROM events e JOIN users u ON u.id = e.subject_id "
    with psycopg.connect(url) as connection:
        changed = connection.execute(lost + ours + "WHERE u.email = %s)", [email])
        assert changed.rowcount >= 1
    # THEN
    stand.wait_for_mail(email, subject="Confirm", count=2, seconds=120)
