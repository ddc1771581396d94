"""What imports need in tests: a campaign, a file of contacts, and the queues worked off."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from infra.local.events import Response, sqs_event
from infra.local.invocation import invoke
from quintet import aws
from quintet.config import settings
from tests.support.api import Api
from tests.support.statements import execute
from tests.support.uploading import announced, direct, process, received

CSV = "text/csv"


def campaign_of(owner: Api, **fields: Any) -> str:
    """A campaign of this owner, whose numbers are American; its id."""
    made = owner.post("/campaigns", {"name": "Spring", "default_country": "US", **fields})
    assert made.status == 201, made
    return str(made.json()["id"])


def table(*rows: Sequence[object], header: str = "Name,E-mail,Phone,City") -> bytes:
    """Rows as CSV."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header.split(","))
    writer.writerows(rows)
    return text.getvalue().encode()


def send(
    owner: Api, campaign: str, content: bytes, *, dry_run: bool = False, content_type: str = CSV, **fields: Any
) -> Response:
    """Ask for an import of this content."""
    path, query = f"/campaigns/{campaign}/data", {"dry_run": "true"} if dry_run else {}
    return direct(owner, content, name="contacts.csv", content_type=content_type, path=path, query=query, **fields)


def imported(owner: Api, campaign: str, content: bytes, **options: Any) -> dict[str, Any]:
    """An import of this content, worked off; its status at the end."""
    asked = send(owner, campaign, content, **options)
    assert asked.status == 202, asked
    assert process(announced(asked.json()["file_id"])) == []
    work_off()
    return status(owner, campaign, asked.json()["id"])


def work_off() -> list[dict[str, Any]]:
    """Have the processor of campaigns work on all that is in its queue, and on what that puts there."""
    done = []
    while messages := received("campaigns"):
        for message in messages:
            assert invoke("campaign_processor", sqs_event("campaigns", [message])) == {"batchItemFailures": []}
        done += messages
    return done


def status(owner: Api, campaign: str, upload: str = "") -> dict[str, Any]:
    """How an import goes."""
    answer = owner.get(f"/campaigns/{campaign}/data/status", query=[("upload", upload)] if upload else [])
    assert answer.status == 200, answer
    return dict(answer.json())


def counts(state: dict[str, Any]) -> tuple[int, ...]:
    """Created, updated, duplicate, invalid, and all rows."""
    return tuple(state[f"rows_{kind}"] for kind in ("created", "updated", "duplicate", "invalid", "total"))


def contacts(campaign: str) -> list[Any]:
    """The campaign's contacts, by key."""
    found: list[Any] = execute(
        "SELECT full_name, email, phone, attributes, version, upload_id FROM contacts "
        "WHERE campaign_id = %(id)s ORDER BY match_key",
        id=UUID(campaign),
    )
    return found


def failed_rows(owner: Api, campaign: str, upload: str) -> list[list[str]]:
    """The list of failed rows, as a spreadsheet reads it."""
    answer = owner.get(f"/campaigns/{campaign}/data/{upload}/failed-rows")
    assert answer.status == 303, answer
    row = execute(
        "SELECT f.bucket, f.key FROM campaign_uploads u JOIN files f ON f.id = u.failed_rows_file WHERE u.id = %(id)s",
        id=UUID(upload),
    )[0]
    assert row.key in (answer.header("location") or "")
    content = aws.s3().get_object(Bucket=settings().files_bucket, Key=row.key)["Body"].read()
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def mailed(upload: str) -> list[str]:
    """The types of events about an import that an email was asked for."""
    rows = execute(
        "SELECT e.type FROM events e JOIN deliveries d ON d.event_id = e.id"
        " WHERE e.subject_id = %(id)s AND d.destination = 'email' ORDER BY e.id",
        id=UUID(upload),
    )
    return [row.type for row in rows]


def recorded(upload: str) -> list[tuple[str, dict[str, Any]]]:
    """What is recorded of an import."""
    rows = execute("SELECT type, data FROM events WHERE subject_id = %(id)s ORDER BY id", id=UUID(upload))
    return [(row.type, json.loads(row.data) if isinstance(row.data, str) else row.data) for row in rows]
