"""Objects of S3 read as files: versions, seeking, connections that break."""

import io
import os
import random
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from botocore.exceptions import ClientError, ResponseStreamingError

from quintet.aws import forget_clients, s3
from quintet.imports.s3file import S3File

KEY = "imports/contacts (ünïcode).xlsx"
CONTENT = random.Random(1).randbytes(3_000_000)


def store(content: bytes) -> str:
    """Put a version of the object; its id."""
    return s3().put_object(Bucket=os.environ["FILES_BUCKET"], Key=KEY, Body=content)["VersionId"]


def opened(version: str | None, size: int) -> S3File:
    """The file of a version."""
    return S3File(os.environ["FILES_BUCKET"], KEY, version, size)


@contextmanager
def requests_counted() -> Iterator[list[str]]:
    """The ranges that are asked for meanwhile."""
    ranges: list[str] = []

    def count(params: dict[str, dict[str, str]], **_: object) -> None:
        ranges.append(params["headers"]["Range"])

    s3().meta.events.register("before-call.s3.GetObject", count)
    try:
        yield ranges
    finally:
        s3().meta.events.unregister("before-call.s3.GetObject", count)


@pytest.mark.usefixtures("aws")
class TestS3:
    """Against S3 as moto knows it."""

    def test_given_a_later_version_when_read_then_it_is_the_version_asked_for(self) -> None:
        first, second = store(b"first"), store(b"second!")
        assert opened(first, 5).read() == b"first"
        assert opened(second, 7).read() == b"second!"
        assert opened(None, 7).read() == b"second!"

    def test_when_read_in_sequence_then_there_is_one_request(self) -> None:
        file = io.BufferedReader(opened(store(CONTENT), len(CONTENT)), 64 * 1024)
        with requests_counted() as ranges:
            assert b"".join(iter(lambda: file.read(10_000), b"")) == CONTENT
        assert ranges == ["bytes=0-"]

    def test_when_sought_then_it_reads_from_there_by_one_request_more(self) -> None:
        with requests_counted() as ranges, opened(store(CONTENT), len(CONTENT)) as file:
            assert file.seek(-10, io.SEEK_END) == len(CONTENT) - 10
            assert file.read() == CONTENT[-10:]
            assert file.read() == b""
            file.seek(5)
            file.seek(1_000, io.SEEK_CUR)
            assert file.read(7) == CONTENT[1005:1012]
            assert file.tell() == 1012
            file.seek(1012)
            assert file.read(3) == CONTENT[1012:1015]
            file.seek(len(CONTENT) + 1)
            assert file.read(1) == b""
            with pytest.raises(ValueError, match="beginning"):
                file.seek(-1)
        assert ranges == [f"bytes={len(CONTENT) - 10}-", "bytes=1005-"]

    def test_given_a_zip_archive_when_opened_then_its_parts_are_read(self) -> None:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as written:
            for name in ("a", "b", "c"):
                written.writestr(name, name.encode() * 300_000)
        size = len(archive.getvalue())
        file = io.BufferedReader(opened(store(archive.getvalue()), size), 1024**2)
        with zipfile.ZipFile(file) as read:
            assert [read.read(name) for name in "cab"] == [name.encode() * 300_000 for name in "cab"]

    def test_given_no_such_version_when_read_then_it_says_so(self) -> None:
        store(CONTENT)
        with pytest.raises(ClientError, match="version"):
            opened("00000000-0000-0000-0000-000000000000", 10).read()

    def test_given_an_object_shorter_than_its_size_when_read_then_it_is_an_error_and_no_end(self) -> None:
        file = opened(store(b"short"), 10)
        assert file.read(5) == b"short"
        with pytest.raises((ClientError, ResponseStreamingError)):
            file.read(5)


class Breaking(BaseHTTPRequestHandler):
    """Serves ranges of the content, breaking off each response after so many bytes."""

    protocol_version = "HTTP/1.1"
    breaks_after = 0
    ranges = True

    def do_GET(self) -> None:
        """Answer with all, send a part."""
        start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-")) if self.ranges else 0
        rest = CONTENT[start:]
        self.send_response(206 if self.ranges else 200)
        self.send_header("Content-Length", str(len(rest)))
        if self.ranges:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        self.wfile.write(rest[: self.breaks_after])
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Breaking]]:
    """A server in the place of S3 whose connections break."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Breaking)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_port}")
    forget_clients()
    monkeypatch.setattr(Breaking, "ranges", True)
    yield Breaking
    server.shutdown()
    server.server_close()
    forget_clients()


def test_given_connections_that_break_when_read_then_it_goes_on_where_they_broke(breaking: type[Breaking]) -> None:
    breaking.breaks_after = 400_001
    file = io.BufferedReader(S3File("bucket", "key", None, len(CONTENT)), 1024**2)
    assert b"".join(iter(lambda: file.read(700_000), b"")) == CONTENT


def test_given_a_server_without_ranges_when_sought_then_it_reads_from_there(breaking: type[Breaking]) -> None:
    breaking.breaks_after, breaking.ranges = len(CONTENT), False
    file = S3File("bucket", "key", None, len(CONTENT))
    file.seek(-400_001, io.SEEK_END)
    assert file.readall() == CONTENT[-400_001:]


def test_given_connections_that_give_nothing_when_read_then_it_ends_with_an_error(breaking: type[Breaking]) -> None:
    breaking.breaks_after = 0
    with pytest.raises(ResponseStreamingError):
        S3File("bucket", "key", None, len(CONTENT)).read(10)
