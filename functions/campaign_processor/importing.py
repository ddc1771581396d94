"""From a file to contacts: read, check and COPY one chunk while the one before is merged.

A chunk and the counts that go with it are one transaction, which only the newest run can commit, and only for the
next chunk: whatever is repeated, killed or delivered twice, no row is merged twice and none is left out.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, count, islice
from typing import Any

from botocore.exceptions import ClientError

from functions.campaign_processor import endings
from functions.campaign_processor.claims import MAX_RUNS, ClaimedUpload, LostError, VanishedRowsError, kept
from functions.campaign_processor.merging import merge, stage, unstage
from quintet.db.session import reading
from quintet.files.objects import is_missing
from quintet.imports.contacts import InvalidRowError, line_maker
from quintet.imports.mapping import ColumnMap, beginning
from quintet.imports.s3file import S3File
from quintet.imports.tables import Row, Table, UnreadableTableError, next_rows, open_table, size_of
from quintet.imports.uploads import mapping_of_list
from quintet.observability import logger

CHUNK_ROWS = 20_000
"""Rows of a transaction: it is open for less than two seconds, since the feed of events waits for it."""
CHUNK_BYTES = 8 * 1024 * 1024
"""Bytes after which a chunk has no more rows: two chunks are in memory at once."""
_BLOCK_ROWS = 500
"""Rows that are text at the same time."""
_GONE = "The file was deleted before all of it was read."
_BUFFER = 256 * 1024


@dataclass(slots=True)
class Chunk:
    """Rows that are merged together."""

    number: int
    rows: int = 0
    valid: int = 0
    size: int = 0
    """Bytes that it takes."""
    blocks: list[bytes] = field(default_factory=list)
    """The valid ones as lines of COPY."""
    failures: list[tuple[int, str, list[str]]] = field(default_factory=list)
    """Of the others line, reason and cells."""
    progress: float = 0.0

    def fail(self, line: int, reason: str, cells: list[str]) -> None:
        """A row that is not taken."""
        self.failures.append((line, reason, cells))
        self.size += size_of(cells)


def run_import(upload: ClaimedUpload, time_left: Callable[[], bool]) -> bool:
    """Import what is left of the upload; whether that was all."""
    with kept(upload):
        try:
            if not upload.bucket:
                raise UnreadableTableError(_GONE)
            if upload.run > MAX_RUNS:
                raise UnreadableTableError("The import was begun too often without coming to its end.")
            source = S3File(upload.bucket, upload.key, upload.version_id, upload.size)
            table = open_table(io.BufferedReader(source, _BUFFER), upload.detected_type)
            columns, rows = _begun(table, upload)
            if upload.chunk == 0:
                endings.begin(upload, columns, table.format)
            make = line_maker(columns, upload.default_country)
            chunks = _chunks(islice(rows, upload.rows_total, None), make, columns.came, upload)
            if not _merge_all(upload, chunks, lambda: min(source.tell() / max(1, upload.size), 1.0), time_left):
                return False
            endings.finish(upload)
        except VanishedRowsError:
            if not upload.dry_run:
                raise
            endings.begin_again(upload)
            return False
        except UnreadableTableError as error:
            endings.fail(upload, str(error))
        except ClientError as error:
            if not is_missing(error):
                raise
            endings.fail(upload, _GONE)
        except LostError:
            logger.info("The upload has another run now, or was cancelled.", upload_id=str(upload.id))
            unstage(upload)
    return True


def _begun(table: Table, upload: ClaimedUpload) -> tuple[ColumnMap, Iterator[Row]]:
    """What the columns are, and the rows after the header."""

    def known(sample: Sequence[Row]) -> Mapping[str, Any] | None:
        with reading() as session:
            return upload.mapping or mapping_of_list(session, upload.campaign_id, sample)

    columns, first, rows = beginning(table, known)
    if not first:
        raise UnreadableTableError("The file has a header and no rows.")
    return columns, chain(first, rows)


def _chunks(
    rows: Iterator[Row],
    make: Callable[[list[str]], str],
    came: Callable[[list[str]], list[str]],
    upload: ClaimedUpload,
) -> Iterator[Chunk]:
    """The rows, in chunks whose lines are bytes already: as text of some alphabets they would take four times that."""
    for number in count(upload.chunk):
        chunk, front = Chunk(number), f"{upload.id}\t{upload.run}\t{number}\t"
        while (
            chunk.rows < CHUNK_ROWS
            and chunk.size < CHUNK_BYTES
            and (some := next_rows(rows, min(_BLOCK_ROWS, CHUNK_ROWS - chunk.rows)))
        ):
            lines: list[str] = []
            add, fail = lines.append, chunk.fail
            for line, cells, problem in some:
                if problem is not None:
                    fail(line, problem, cells)
                else:
                    try:
                        add(f"{front}{line}\t{make(cells)}")
                    except InvalidRowError as error:
                        fail(line, str(error), came(cells))
            chunk.rows += len(some)
            chunk.valid += len(lines)
            chunk.blocks.append("".join(lines).encode())
            chunk.size += len(chunk.blocks[-1])
        if not chunk.rows:
            return
        yield chunk


def _merge_all(
    upload: ClaimedUpload, chunks: Iterator[Chunk], progress: Callable[[], float], time_left: Callable[[], bool]
) -> bool:
    """Stage each chunk while the one before is merged; whether the file's end was reached."""
    merging: Future[None] | None = None
    with ThreadPoolExecutor(max_workers=1) as merger:
        for chunk in chunks:
            stage(chunk)
            if merging:
                merging.result()
            chunk.progress = progress()
            merging = merger.submit(merge, upload, chunk)
            if not time_left():
                merging.result()
                return False
        if merging:
            merging.result()
    return True
