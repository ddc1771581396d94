"""The daily run as a whole, and what it removes: real PostgreSQL, S3, SQS and Secrets Manager by moto."""

import json
import threading
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from functions.maintenance import expiry
from functions.maintenance.expiry import EXPIRED
from infra.local.events import schedule_event
from infra.local.invocation import invoke
from quintet import aws
from quintet.config import settings
from quintet.db.engine import owner_engine
from quintet.db.partitions import MONTHS_AHEAD, existing_partitions, month_start, partition_name
from tests.support.api import Api
from tests.support.statements import execute
from tests.support.uploading import work_off


def maintain(**event: Any) -> dict[str, Any]:
    """One run."""
    answer: dict[str, Any] = invoke("maintenance", {**schedule_event("maintenance"), **event})
    return answer


def test_given_a_run_when_it_runs_again_then_nothing_is_left_to_do(user: Api) -> None:
    first = maintain()
    assert first["partitions_ahead"] >= MONTHS_AHEAD
    again = maintain()
    assert again == {
        "partitions_ahead": first["partitions_ahead"],
        "keys_rotated": False,
        "keys_removed": 0,
        "exports_expired": 0,
        "accounts_erased": 0,
        "expired": {table: 0 for table, _ in EXPIRED},
        "former_secrets": 0,
        "abandoned_uploads": 0,
        "texts_asked_for": 0,
        "archived": {},
    }


def test_given_a_missing_month_then_it_is_made_and_counted(user: Api, capsys: pytest.CaptureFixture[str]) -> None:
    # GIVEN no partition for the last of the months ahead, and none behind it
    wanted = month_start(datetime.now(UTC), MONTHS_AHEAD)
    with owner_engine().connect() as connection:
        later = [month for month in existing_partitions(connection) if month >= wanted]
    for month in later:
        execute(f"DROP TABLE {partition_name(month)}")
    capsys.readouterr()
    # WHEN maintenance runs THEN it is there again, and the number for the alarm is right
    assert maintain()["partitions_ahead"] == MONTHS_AHEAD
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "PartitionsAhead" in line]
    metric = json.loads(line)
    assert metric["PartitionsAhead"] == [MONTHS_AHEAD]
    assert (metric["service"], metric["environment"]) == ("maintenance", "test")
    assert metric["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Quintet"
    assert metric["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service", "environment"]]


def test_given_a_new_partition_while_a_transaction_reads_and_writes_then_nobody_waits(user: Api, stack: Any) -> None:
    import psycopg

    month = partition_name(month_start(datetime.now(UTC), MONTHS_AHEAD))
    execute(f"DROP TABLE {month}")
    with psycopg.connect(stack.app_url) as busy:
        # GIVEN a transaction that has read the log and written to it
        busy.execute("SELECT count(*) FROM events")
        busy.execute(
            "INSERT INTO events (type, subject_type, data, scope) VALUES ('account.updated', 'account', '{}', 'system')"
        )
        # WHEN maintenance makes a partition THEN it does not wait for that, nor another writer for maintenance
        assert maintain()["partitions_ahead"] == MONTHS_AHEAD
        busy.rollback()


def test_given_a_step_that_fails_then_the_others_are_done_and_the_run_fails(
    user: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute("INSERT INTO rate_counters VALUES ('old', 1, now() - interval '1 second')")
    monkeypatch.setenv("TOKEN_SECRET_ID", "quintet/not-there")
    settings.cache_clear()
    try:
        with pytest.raises(RuntimeError, match=r"These steps failed: keys_rotated, keys_removed$"):
            maintain()
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    assert execute("SELECT FROM rate_counters WHERE key = 'old'") == []


# --- expired rows ----------------------------------------------------------------------------------------

_OLD_AND_YOUNG: dict[str, tuple[str, str, str]] = {
    "sessions": (
        "INSERT INTO sessions (user_id, expires_at, user_agent) VALUES (%(user)s, {at}, %(mark)s)",
        "now() - interval '31 days'",
        "now() - interval '29 days'",
    ),
    "one_time_tokens": (
        "INSERT INTO one_time_tokens (hash, purpose, user_id, email, expires_at) "
        "VALUES (decode(md5(%(mark)s), 'hex'), 'password_reset', %(user)s, 'a@example.com', {at})",
        "now() - interval '8 days'",
        "now() - interval '6 days'",
    ),
    "former_addresses": (
        "INSERT INTO former_addresses VALUES ({at}, %(user)s, 'a@example.com')",
        "uuidv7(interval '-31 days')",
        "uuidv7(interval '-29 days')",
    ),
    "idempotency_keys": (
        "INSERT INTO idempotency_keys (user_id, key, route, body_hash, expires_at) "
        "VALUES (%(user)s, %(mark)s, 'POST /x', '', {at})",
        "now() - interval '1 second'",
        "now() + interval '1 hour'",
    ),
    "connections": (
        "INSERT INTO connections (id, user_id, session_id, connected_at) VALUES (%(mark)s, %(user)s, uuidv7(), {at})",
        "now() - interval '181 minutes'",
        "now() - interval '179 minutes'",
    ),
    "rate_counters": (
        "INSERT INTO rate_counters VALUES (%(mark)s, 1, {at})",
        "now() - interval '1 second'",
        "now() + interval '1 hour'",
    ),
    "contact_staging": (
        "WITH c AS (INSERT INTO campaigns (name, created_by) VALUES (%(mark)s, %(user)s) RETURNING *), "
        "u AS (INSERT INTO campaign_uploads (campaign_id, created_by, status) "
        "SELECT id, created_by, {at} FROM c RETURNING id) "
        "INSERT INTO contact_staging (upload_id, run, chunk, line, attributes) SELECT id, 1, 0, 1, '{{}}' FROM u",
        "'processed'",
        "'processing'",
    ),
    "messages": (
        "WITH c AS (INSERT INTO conversations (title, is_group, created_by, removed_at) "
        "VALUES (%(mark)s, true, %(user)s, {at}) RETURNING *) INSERT INTO messages (conversation_id, sender_id, "
        """content, text) SELECT id, created_by, '{{"type": "doc"}}', '' FROM c""",
        "now()",
        "NULL",
    ),
    "conversations": (
        "INSERT INTO conversations (title, is_group, created_by, removed_at) VALUES (%(mark)s, true, %(user)s, {at})",
        "now()",
        "NULL",
    ),
    "integration_requests": (
        "WITH i AS (INSERT INTO integrations (user_id, service, status) "
        "VALUES (%(user)s, 'meshy', 'disconnected') RETURNING id) "
        "INSERT INTO integration_requests (id, integration_id, operation, input, status, finished_at) "
        "SELECT {at}, id, %(mark)s, '{{}}', 'failed', now() FROM i",
        "uuidv7(interval '-91 days')",
        "uuidv7(interval '-89 days')",
    ),
    "integrations": (
        "INSERT INTO integrations (user_id, service, status, updated_at) "
        "SELECT %(user)s, CASE WHEN starts_with(%(mark)s, 'old') THEN 'meshy' ELSE 'video' END, 'pending', {at}",
        "now() - interval '8 days'",
        "now() - interval '6 days'",
    ),
    "webhook_deliveries": (
        "WITH w AS (INSERT INTO webhooks (owner_id, url, types, secret) "
        "VALUES (%(user)s, 'https://example.com/', ARRAY[%(mark)s], 'secret') RETURNING id) "
        "INSERT INTO webhook_deliveries (id, webhook_id, event_id, type, status) "
        "SELECT {at}, id, uuidv7(), 'file.ready', 'failed' FROM w",
        "uuidv7(interval '-31 days')",
        "uuidv7(interval '-29 days')",
    ),
    "notifications": (
        "INSERT INTO notifications (user_id, event_id, kind, scope, data, in_app, email, read_at) "
        "VALUES (%(user)s, uuidv7(), 'mention', %(mark)s, '{{}}', true, 'off', {at})",
        "now() - interval '91 days'",
        "now() - interval '89 days'",
    ),
    "ai_chunks": (
        "WITH c AS (INSERT INTO ai_conversations (user_id, chat_id, title) VALUES (%(user)s, %(mark)s, '') "
        "RETURNING id), m AS (INSERT INTO ai_messages (id, conversation_id, role, message_id) "
        "SELECT {at}, id, 'assistant', 'm' FROM c RETURNING id) INSERT INTO ai_chunks SELECT id, 0, '' FROM m",
        "uuidv7(interval '-25 hours')",
        "uuidv7(interval '-23 hours')",
    ),
    "ai_usage": (
        "INSERT INTO ai_usage VALUES (%(user)s, {at}, 1, 1)",
        "current_date - 401",
        "current_date - 399",
    ),
    "task_reminders": (
        "WITH p AS (INSERT INTO projects (title, owner_id) VALUES (%(mark)s, %(user)s) RETURNING *), "
        "t AS (INSERT INTO tasks (project_id, title, position, created_by) "
        "SELECT id, title, 'V', owner_id FROM p RETURNING *) "
        "INSERT INTO task_reminders (task_id, user_id, due_date) SELECT id, created_by, {at} FROM t",
        "now() - interval '32 days'",
        "now() - interval '29 days'",
    ),
    "deliveries": (
        "INSERT INTO deliveries (event_id, destination, done_at) VALUES (uuidv7(), %(mark)s, {at})",
        "now() - interval '31 days'",
        "now() - interval '29 days'",
    ),
}


@pytest.mark.parametrize("table", list(_OLD_AND_YOUNG))
def test_given_old_and_young_rows_then_the_old_ones_alone_are_removed(user: Api, table: str) -> None:
    insert, old, young = _OLD_AND_YOUNG[table]
    execute(insert.format(at=old), user=user.id, mark=f"old {table}")
    execute(insert.format(at=young), user=user.id, mark=f"young {table}")
    ((before,),) = execute(f"SELECT count(*) FROM {table}")
    assert maintain()["expired"][table] == 1
    ((after,),) = execute(f"SELECT count(*) FROM {table}")
    assert after == before - 1


def test_given_sessions_that_were_ended_long_ago_and_deliveries_nobody_can_do_any_more_then_they_go(user: Api) -> None:
    execute(
        "INSERT INTO sessions (user_id, expires_at, revoked_at) "
        "VALUES (%(user)s, now() + interval '9 days', now() - interval '31 days')",
        user=user.id,
    )
    execute("INSERT INTO deliveries (event_id, destination) VALUES (uuidv7(interval '-15 months'), 'email')")
    execute("INSERT INTO deliveries (event_id, destination) VALUES (uuidv7(interval '-12 months'), 'stuck')")
    expired = maintain()["expired"]
    assert (expired["sessions"], expired["deliveries"]) == (1, 1)
    # One that failed too often stays for the operator.
    assert execute("DELETE FROM deliveries WHERE destination = 'stuck' RETURNING true")
    assert user.get("/events").status == 200


def test_given_tables_then_each_that_has_expired_rows_is_tried_here() -> None:
    assert {table for table, _ in EXPIRED} == _OLD_AND_YOUNG.keys()


def test_given_old_notifications_then_read_or_not_they_are_found_by_an_index_and_removed(user: Api) -> None:
    execute(
        "INSERT INTO notifications (id, user_id, event_id, kind, scope, data, in_app, email, created_at, read_at) "
        "SELECT uuidv7(-age), %(user)s, uuidv7(), 'mention', 'system', '{}', true, 'off', now() - age, read_at "
        "FROM (VALUES (interval '14 months', NULL), (interval '14 months', now()), "
        "(interval '12 months', NULL), (interval '4 months', now() - interval '91 days'), "
        "(interval '4 months', now())) old (age, read_at)",
        user=user.id,
    )
    assert maintain()["expired"]["notifications"] == 3
    assert execute("SELECT count(*) FROM notifications WHERE user_id = %(id)s", id=user.id) == [(2,)]
    # AND none of the conditions makes it look at every row
    with owner_engine().connect() as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        for table, expired in EXPIRED:
            if table == "notifications":
                plan = connection.exec_driver_sql(f"EXPLAIN SELECT ctid FROM {table} WHERE {expired} LIMIT 5000").all()
                assert "Index Cond" in str(plan)


def test_given_a_former_secret_that_signs_no_more_then_it_is_forgotten(user: Api) -> None:
    def rotated() -> str:
        made = user.post("/webhooks", {"url": "https://example.com/", "types": ["division.removed"]}).json()
        assert user.post(f"/webhooks/{made['id']}/rotate-secret").status == 200
        return str(made["id"])

    old, new = rotated(), rotated()
    execute("UPDATE webhooks SET former_secret_until = now() - interval '1 s' WHERE id = %(id)s", id=old)
    assert maintain()["former_secrets"] == 1
    kept = execute("SELECT id::text FROM webhooks WHERE owner_id = %(id)s AND former_secret IS NOT NULL", id=user.id)
    assert kept == [(new,)]
    execute("DELETE FROM webhooks WHERE owner_id = %(id)s", id=user.id)


def test_given_more_rows_than_a_batch_and_one_that_is_locked_then_all_but_that_are_removed(user: Api) -> None:
    execute("DELETE FROM rate_counters")  # those of other tests, whose windows may end meanwhile
    execute(
        "INSERT INTO rate_counters SELECT 'many ' || n, 1, now() - interval '1 hour' "
        f"FROM generate_series(1, {expiry.BATCH + 10}) n"
    )
    with owner_engine().connect() as other:
        other.exec_driver_sql("SELECT FROM rate_counters WHERE key = 'many 7' FOR UPDATE")
        assert maintain()["expired"]["rate_counters"] == expiry.BATCH + 9
    assert maintain()["expired"]["rate_counters"] == 1


# --- uploads that never arrived --------------------------------------------------------------------------


def pending(user: Api, key: str, *, days: float, upload_id: str | None = None) -> UUID:
    """A file that has waited for its object for so long."""
    ((id,),) = execute(
        "INSERT INTO files (owner_id, file_name, bucket, key, content_type, size, upload_id, created_at) VALUES "
        "(%(owner)s, 'a', %(bucket)s, %(key)s, 'text/plain', 3, %(upload)s, now() - make_interval(hours => %(hours)s)) "
        "RETURNING id",
        owner=user.id,
        bucket=settings().files_bucket,
        key=key,
        upload=upload_id,
        hours=int(days * 24),
    )
    return UUID(str(id))


def test_given_files_that_never_arrived_then_they_go_with_all_there_is_of_them(user: Api) -> None:
    # GIVEN a multipart upload begun long ago, an object nobody was told of, and a young file
    bucket, s3 = settings().files_bucket, aws.s3()
    key = f"uploads/{user.id}-parts"
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    abandoned = pending(user, key, days=3.5, upload_id=upload_id)
    s3.put_object(Bucket=bucket, Key=f"uploads/{user.id}-there", Body=b"abc")
    there = pending(user, f"uploads/{user.id}-there", days=3.5)
    young = pending(user, f"uploads/{user.id}-young", days=2.5)
    # WHEN maintenance runs THEN only the first goes, which is on record
    assert maintain()["abandoned_uploads"] == 1
    left = {row.id for row in execute("SELECT id FROM files WHERE owner_id = %(id)s", id=user.id)}
    assert left == {there, young}
    (event,) = user.get("/events", query=[("type", "file.removed")]).json()["items"]
    assert (event["subject_id"], event["actor_id"]) == (str(abandoned), None)
    # WHEN the queue, which was told at once, is worked off THEN its parts are gone, too
    assert {"event_id": event["id"], "destination": "uploads"} in work_off()
    assert upload_id not in [
        upload["UploadId"] for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    ]
    execute("DELETE FROM files WHERE owner_id = %(id)s", id=user.id)


def test_given_two_runs_at_once_then_both_end_well(user: Api) -> None:
    for n in range(5):
        pending(user, f"uploads/{user.id}-{n}", days=4)
    answers: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: answers.append(maintain())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(answer["abandoned_uploads"] for answer in answers) == 5
    events = user.get("/events", query=[("type", "file.removed")]).json()["items"]
    assert len({event["subject_id"] for event in events}) == len(events) == 5
