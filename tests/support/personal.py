"""Exports and deletions of accounts as tests have them done."""

import io
import json
import re
import zipfile
from typing import Any

from infra.local.events import Response, schedule_event, sqs_event
from infra.local.invocation import invoke
from quintet import aws
from quintet.db.models import every_table
from tests.support.api import PASSWORD, Api
from tests.support.mailroom import deliver, happened_already, link_in, listening
from tests.support.statements import execute
from tests.support.uploading import received

_NOT_KEYS = {"owner_id", "user_id", "actor_id", "created_by", "assigned_by", "assignee_id", "sender_id"}
"""Columns that name people, foreign keys or not."""


def tables_of_people() -> set[str]:
    """The tables that know a person."""
    return {
        table.name
        for table in every_table().sorted_tables
        if any(
            column.name in _NOT_KEYS or any(key.column.table.name == "users" for key in column.foreign_keys)
            for column in table.columns
        )
    } | {"users"}


def work_off_exports() -> list[dict[str, Any]]:
    """Have the exporter work on everything that is in its queue; the messages."""
    messages = received("exports")
    if messages:
        assert export_again(messages) == []
    return messages


def export_again(messages: list[dict[str, Any]]) -> list[str]:
    """Hand the exporter these messages, one after the other, as its queue does; those that failed."""
    failed = []
    for message in messages:
        answer = invoke("exporter", sqs_event("exports", [message]))
        failed += [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
    return failed


def archive_of(client: Api) -> zipfile.ZipFile:
    """The archive that the client can get."""
    answer = client.get("/users/me/export/content")
    assert answer.status == 303, answer
    row = execute("SELECT * FROM exports WHERE user_id = %(id)s ORDER BY id DESC LIMIT 1", id=client.id)[0]
    assert row.key in str(answer.header("location"))
    stored = aws.s3().get_object(Bucket=row.bucket, Key=row.key, VersionId=row.version_id)
    return zipfile.ZipFile(io.BytesIO(stored["Body"].read()))


def rows_in(archive: zipfile.ZipFile, table: str) -> list[dict[str, Any]]:
    """The rows of one kind."""
    return [json.loads(line) for line in archive.read(f"{table}.jsonl").splitlines()]


def delete_me(client: Api, password: str | None = PASSWORD) -> Response:
    """The client deletes their account."""
    return client.request("DELETE", "/users/me", json_body=None if password is None else {"password": password})


def restore_token(client: Api) -> str:
    """What is in the link that is mailed when an account is deleted."""
    from quintet.events.types import EventType

    address = execute("SELECT email::text FROM users WHERE id = %(id)s", id=client.id)[0].email
    with listening() as ses:
        assert deliver(happened_already(EventType.ACCOUNT_DELETION_REQUESTED, client.id)) == []
    link = link_in(ses.only(address))
    assert "/auth/account-restore/page?" in link
    return str(re.findall(r"token=([\w-]+)", link)[0])


def month_later(client: Api) -> None:
    """As if the account had been deleted 31 days ago."""
    execute(
        "UPDATE users SET deletion_requested_at = deletion_requested_at - interval '31 days' WHERE id = %(id)s",
        id=client.id,
    )


def maintain() -> dict[str, Any]:
    """The daily run."""
    done: dict[str, Any] = invoke("maintenance", schedule_event("maintenance"))
    return done


def places_with(*data: str) -> list[str]:
    """`table.column` of everything in the database in which one of these texts is."""
    columns = execute(
        "SELECT c.table_name, c.column_name FROM information_schema.columns c"
        " JOIN information_schema.tables t USING (table_schema, table_name)"
        " WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND data_type NOT IN ('bytea')"
    )
    found = []
    for table, column in columns:
        sql = f'SELECT EXISTS (SELECT FROM "{table}" WHERE strpos(lower("{column}"::text), lower(%(text)s)) > 0)'
        found += [f"{table}.{column}: {text}" for text in data if execute(sql, text=text)[0][0]]
    return found
