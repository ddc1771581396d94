"""Imports on a whole stand: what kills, lost databases, repeated events and wild files make of them."""

import io
import json
import os
import random
import secrets
import signal
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import boto3
import httpx2
import psutil
import psycopg
import pytest
from psycopg.rows import namedtuple_row

from functions.manifest import DEAD_LETTERS
from infra.local.events import s3_notification, s3_test_event
from tests.e2e.stand import Stand, eventually
from tests.e2e.uploading import checked, presign, send
from tests.load.contact_files import write_csv, write_workbook

KILLS = 30
ROWS = 50_000
LEASE_SECONDS = 1
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
OLE = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(4088)
"""How an encrypted workbook begins, and one of Excel before 2007 (MS-CFB)."""

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def fragile(new_stand: Callable[..., Stand]) -> Iterator[tuple[Stand, httpx2.Client]]:
    """A stand to be broken, where a dead process is missed after a second; and somebody there."""
    stand = new_stand(environment={"IMPORT_LEASE_SECONDS": str(LEASE_SECONDS)})
    stand.start()
    no_connection_outlives_a_worker = httpx2.Limits(max_keepalive_connections=0)
    with stand.sign_up("importer@example.com", limits=no_connection_outlives_a_worker) as client:
        stand.prove("importer@example.com")
        yield stand, client


@pytest.fixture
def database(fragile: tuple[Stand, httpx2.Client]) -> Callable[..., list[Any]]:
    """Asks the fragile stand's database, which may be away for a moment."""
    url = fragile[0].running().environment["DATABASE_OWNER_URL"]

    def rows(sql: str, **params: Any) -> list[Any]:
        deadline = time.monotonic() + 30
        while True:
            try:
                with psycopg.connect(url, autocommit=True, row_factory=namedtuple_row) as connection:
                    return connection.execute(sql, params).fetchall()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline
                time.sleep(0.05)

    return rows


@pytest.fixture(scope="module")
def importer(stand: Stand) -> Iterator[httpx2.Client]:
    """A signed-in client of the shared stand: one, since registration is limited."""
    with stand.sign_up(f"importer-{secrets.token_hex(6)}@example.com") as client:
        yield client


def uploaded(client: httpx2.Client, path: Path, media_type: str = "text/csv") -> str:
    """The id of this file, sent by a presigned link and checked."""
    content = path.read_bytes()
    upload = presign(client, file_name=path.name, content_type=media_type, size=len(content), purpose="campaign_data")
    assert send(upload, content).is_success
    assert checked(client, upload["file_id"])["status"] == "ready"
    return str(upload["file_id"])


def campaign_of(client: httpx2.Client) -> str:
    """A campaign, where telephone numbers are American."""
    made = client.post("/campaigns", json={"name": "Wild", "default_country": "US"})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def begun(client: httpx2.Client, file_id: str) -> tuple[str, UUID]:
    """A new campaign, and the import of this file into it."""
    campaign = campaign_of(client)
    asked = client.post(f"/campaigns/{campaign}/data", json={"file_id": file_id})
    assert asked.status_code == 202, asked.text
    return campaign, UUID(asked.json()["id"])


def finished(client: httpx2.Client, campaign: str, seconds: float = 60) -> dict[str, Any]:
    """How the campaign's import has ended."""
    read = lambda: client.get(f"/campaigns/{campaign}/data/status").json()  # noqa: E731
    return eventually(read, lambda state: state["status"] in ("processed", "failed"), seconds)


def outcome(database: Callable[..., list[Any]], upload: UUID) -> tuple[Any, ...]:
    """What an import came to: its state and counts, and the contacts and failures there are, as one hash."""
    [state] = database(
        "SELECT status, rows_total, rows_created, rows_updated, rows_duplicate, rows_invalid, campaign_id "
        "FROM campaign_uploads WHERE id = %(upload)s",
        upload=upload,
    )
    [content] = database(
        "SELECT count(*), md5(string_agg(concat_ws('|', email, phone, full_name, external_id, attributes), E'\\n' "
        'ORDER BY match_key COLLATE "C")) FROM contacts WHERE campaign_id = %(campaign)s',
        campaign=state.campaign_id,
    )
    [failures] = database(
        "SELECT count(*), md5(string_agg(line || reason, E'\\n' ORDER BY line)) FROM upload_failures "
        "WHERE upload_id = %(upload)s",
        upload=upload,
    )
    return (*state[:-1], *content, *failures)


def test_given_kills_at_random_moments_of_imports_then_each_ends_as_if_undisturbed(
    fragile: tuple[Stand, httpx2.Client], database: Callable[..., list[Any]], tmp_path: Path
) -> None:
    # GIVEN what the import of a file comes to when nothing happens to it
    stand, client = fragile
    write_csv(tmp_path / "contacts.csv", ROWS)
    file_id = uploaded(client, tmp_path / "contacts.csv")
    since = time.monotonic()
    campaign, undisturbed = begun(client, file_id)
    assert finished(client, campaign)["status"] == "processed"
    seconds = time.monotonic() - since
    expected = outcome(database, undisturbed)
    assert expected[1] == ROWS == sum(expected[2:6])
    # WHEN the process dies again and again while it imports that file
    seed = random.randrange(2**32)
    chance, uploads = random.Random(seed), [begun(client, file_id)[1]]
    chunks: list[int] = []
    state = "SELECT status, chunk, run, lease_until > clock_timestamp() AS held FROM campaign_uploads WHERE id = %(id)s"
    while len(chunks) < KILLS:
        [now] = database(state, id=uploads[-1])
        if now.status == "processed":
            uploads.append(begun(client, file_id)[1])
        elif now.held:
            time.sleep(chance.uniform(0, seconds))
            with suppress(psutil.NoSuchProcess):
                psutil.Process(stand.worker()).kill()
                chunks.append(now.chunk)
                eventually(stand.worker)
                client.get("/health")  # waits for the next process
        else:
            time.sleep(0.05)
    print(f"seed {seed}: {len(uploads)} imports; chunks done before each kill: {chunks}")
    # THEN
    for upload in uploads:
        eventually(
            partial(database, state, id=upload), lambda rows: rows[0].status in ("processed", "failed"), seconds=120
        )
        assert outcome(database, upload) == expected
    assert any(chunks), "the kills came too early to show anything"
    stand.wait_for_mail("importer@example.com", subject="mported", count=len(uploads))


def test_given_a_database_that_crashes_during_an_import_then_it_ends_as_if_undisturbed(
    fragile: tuple[Stand, httpx2.Client], database: Callable[..., list[Any]], tmp_path: Path
) -> None:
    _, client = fragile
    write_csv(tmp_path / "contacts.csv", 100_000)
    file_id = uploaded(client, tmp_path / "contacts.csv")
    campaign, undisturbed = begun(client, file_id)
    finished(client, campaign)
    campaign, upload = begun(client, file_id)
    progress = "SELECT chunk FROM campaign_uploads WHERE id = %(id)s"
    eventually(partial(database, progress, id=upload), lambda rows: rows[0].chunk > 0)
    # WHEN a process of the server dies: PostgreSQL ends all others, recovers, and its unlogged tables are empty
    [[backend]] = database(
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() LIMIT 1"
    )
    os.kill(backend, signal.SIGKILL)
    # THEN
    assert finished(client, campaign, seconds=150)["status"] == "processed"
    assert outcome(database, upload) == outcome(database, undisturbed)


def test_given_s3s_event_three_times_out_of_order_then_it_is_one_import_and_no_dead_letter(
    stand: Stand, importer: httpx2.Client
) -> None:
    environment = stand.running().environment
    aws = boto3.Session(
        environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"], region_name=environment["AWS_REGION"]
    )
    sqs = aws.client("sqs", endpoint_url=environment["AWS_ENDPOINT_URL"])
    s3 = aws.client("s3", endpoint_url=environment["AWS_ENDPOINT_URL"])
    bucket, queue = environment["FILES_BUCKET"], environment["UPLOADS_QUEUE_URL"]

    def announce(message: dict[str, Any]) -> None:
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(message))

    # GIVEN an import that waits for a file on its way, announced before it is there, and S3's test event
    content = b"Name,E-mail\nAnn,ann@example.com\nBob,bob@example.com\nNobody,nowhere\n"
    form = presign(importer, file_name="c.csv", content_type="text/csv", size=len(content), purpose="campaign_data")
    campaign, upload = begun(importer, form["file_id"])
    key = form["fields"]["key"]
    announce(s3_test_event(bucket))
    announce(s3_notification(bucket, key, size=len(content), sequencer="02"))
    # WHEN it comes, which S3 says three times
    assert send(form, content).is_success
    version = s3.head_object(Bucket=bucket, Key=key)["VersionId"]
    for sequencer in ("03", "01", "02"):
        announce(s3_notification(bucket, key, size=len(content), version_id=version, sequencer=sequencer))
    # THEN
    state = finished(importer, campaign)
    assert (state["id"], state["rows_created"], state["rows_invalid"]) == (str(upload), 2, 1)

    def left(url: str) -> list[str]:
        kinds = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        return list(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=kinds)["Attributes"].values())  # type: ignore[arg-type]

    for name in ("UPLOADS_QUEUE_URL", "CAMPAIGNS_QUEUE_URL"):
        eventually(partial(left, environment[name]), lambda counts: counts == ["0", "0"])
        assert left(environment[name] + DEAD_LETTERS) == ["0", "0"]
    assert len(importer.get(f"/campaigns/{campaign}/data").json()["items"]) == 1
    assert len(importer.get(f"/campaigns/{campaign}/contacts").json()["items"]) == 2
    assert finished(importer, campaign)["version"] == state["version"]


def bomb() -> bytes:
    """A workbook of a few kilobytes that would be a gigabyte."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("xl/worksheets/sheet1.xml", "w") as sheet:
            for _ in range(1024):
                sheet.write(bytes(1024 * 1024))
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "created", "reason"),
    [
        ("ragged.csv", lambda: b"Name,E-mail\nAnn\nBob,bob@example.com,,,\nCy,cy@example.com\n", 2, ""),
        ("empty.csv", lambda: b" \n", 0, "no rows"),
        ("header-only.csv", lambda: b"Name,E-mail\n", 0, "a header and no rows"),
        ("no-header.csv", lambda: b"Ann,ann@example.com\nBob,bob@example.com\n", 2, ""),
        (
            "wide.csv",
            lambda: b",".join([b"c%d" % n for n in range(10_000)]) + b"\n" + b"," * 9_999,
            0,
            "10,000 columns",
        ),
        ("cell.csv", lambda: b"E-mail,Note\na@example.com," + b"x" * 3_900_000 + b"\nb@example.com,y\n", 1, ""),
        ("nul.csv", lambda: b"E-mail,Note\na@example.com,\0\nb@example.com," + b"y" * 80 + b"\n", 1, ""),
        ("line-ends.csv", lambda: b"E-mail\r\na@example.com\rb@example.com\nc@example.com", 3, ""),
        ("quote.csv", lambda: b'E-mail,Note\na@example.com,"open\nb@example.com,y\n', 1, ""),
        ("twice.csv", lambda: b"E-mail,E-mail,Name\na@example.com,b@example.com,Ann\n", 1, ""),
        ("bomb.xlsx", bomb, 0, "Excel"),
        ("encrypted.xlsx", lambda: OLE, 0, "password"),
        ("old.csv", lambda: OLE, 0, "before 2007"),
        ("pdf.csv", lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", 0, "PDF"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_given_a_wild_file_then_it_is_imported_or_refused_with_a_reason(
    importer: httpx2.Client, name: str, content: Callable[[], bytes], created: int, reason: str
) -> None:
    campaign = campaign_of(importer)
    media_type = XLSX if name.endswith(".xlsx") else "text/csv"
    asked = importer.post(f"/campaigns/{campaign}/data", files={"file": (name, content(), media_type)})
    assert asked.status_code == 202, asked.text
    state = finished(importer, campaign)
    assert (state["status"], state["rows_created"]) == ("failed" if reason else "processed", created), state["reason"]
    assert reason.lower() in (state["reason"] or "").lower()
    assert state["rows_total"] == sum(state[f"rows_{kind}"] for kind in ("created", "updated", "duplicate", "invalid"))


def test_given_a_workbook_then_its_rows_are_contacts_as_excel_shows_them(
    importer: httpx2.Client, tmp_path: Path
) -> None:
    write_workbook(tmp_path / "contacts.xlsx", 2_000)
    campaign, _ = begun(importer, uploaded(importer, tmp_path / "contacts.xlsx", XLSX))
    by_excel = finished(importer, campaign)
    write_csv(tmp_path / "contacts.csv", 2_000)
    campaign, _ = begun(importer, uploaded(importer, tmp_path / "contacts.csv"))
    by_csv = finished(importer, campaign)
    assert by_excel["reason"] is by_csv["reason"] is None
    counts = [f"rows_{kind}" for kind in ("total", "created", "duplicate", "invalid")]
    assert [by_excel[kind] for kind in counts] == [by_csv[kind] for kind in counts]
    assert by_excel["rows_total"] == 2_000
