"""What a service has made becomes a file of the person: it goes into the storage as an upload does, and is checked as
one. Kept on disk meanwhile, so that it takes little memory however large it is."""

import base64
import hashlib
import tempfile
import time
from contextlib import closing
from typing import IO, TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urljoin

from functions.integration_syncer.claimed import Claimed
from functions.integration_syncer.client import CONNECT_SECONDS, READ_SECONDS
from functions.integration_syncer.troubles import Lost, Outage, Refused
from quintet.aws import s3
from quintet.config import settings
from quintet.db.models.files import File
from quintet.db.reads import rows
from quintet.db.session import writing
from quintet.events.record import record
from quintet.events.types import EventType
from quintet.files.events import scope_of_file
from quintet.files.objects import key_of
from quintet.files.purposes import MB
from quintet.outbound import NotAllowed, parse, resolve

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse
    from urllib3.connectionpool import HTTPConnectionPool

MAX_SIZE = 400 * MB
"""Of the 512 that a function has on disk."""
DOWNLOAD_SECONDS = 150
LONGEST_SECONDS = 2 * DOWNLOAD_SECONDS
"""For all of it: what came in that time goes out sooner."""

_MAX_REDIRECTS = 3
_CHUNK = 1024 * 1024

# The request is locked until the commit: there is one file of it, however often this is tried.
_MINE = """
    SELECT file_id, uuidv7() AS new_id FROM integration_requests
    WHERE id = %(id)s AND run = %(run)s AND status IN ('queued', 'running') FOR NO KEY UPDATE"""
_HAS = "UPDATE integration_requests SET file_id = %(file)s WHERE id = %(id)s RETURNING id"


class _Content(NamedTuple):
    file: IO[bytes]
    size: int
    sha256: str


def store(request: Claimed, url: str, *, name: str, media_type: str) -> None:
    """Put what is at `url` into the storage as the request's file, which is `pending` until it has been checked.

    May be repeated until it has succeeded. Raises Outage, Refused or Lost.
    """
    with tempfile.TemporaryFile() as file:
        content = _download(url, file)
        stored = _declare(request, content, name=name, media_type=media_type)
        file.seek(0)
        s3().put_object(
            Bucket=stored.bucket,
            Key=stored.key,
            Body=file,
            ContentType=media_type,
            ChecksumAlgorithm="SHA256",
            ChecksumSHA256=content.sha256,
        )


def _declare(request: Claimed, content: _Content, *, name: str, media_type: str) -> File:
    """The row of the file that is to come; that of an earlier try, if there was one."""
    with writing() as session:
        found = rows(session, _MINE, {"id": request.id, "run": request.run})
        if not found:
            raise Lost
        [row] = found
        stored = session.get(File, row.file_id, with_for_update={"key_share": True}) if row.file_id else None
        if stored is None:
            stored = File(
                id=row.new_id,
                owner_id=request.user_id,
                file_name=name,
                bucket=settings().files_bucket,
                key=key_of(row.new_id),
                content_type=media_type,
                purpose="asset",
                size=content.size,
                sha256=content.sha256,
            )
            session.add(stored)
            session.flush()
            rows(session, _HAS, {"id": request.id, "file": stored.id})
            data = {"purpose": stored.purpose, "size": stored.size}
            requested = EventType.FILE_UPLOAD_REQUESTED
            record(
                session, requested, subject=stored.id, scope=scope_of_file(stored), data=data, actor_id=request.user_id
            )
        elif stored.status == "pending":
            stored.size, stored.sha256 = content.size, content.sha256
        session.flush()
        session.expunge(stored)
    return stored


def _download(url: str, file: IO[bytes]) -> _Content:
    """The content of an address that a service has named, without anybody's token."""
    from urllib3.exceptions import HTTPError

    until, digest, size = time.monotonic() + DOWNLOAD_SECONDS, hashlib.sha256(), 0
    try:
        with closing(_opened(url)) as response:
            while chunk := response.read1(_CHUNK):
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                if size > MAX_SIZE:
                    raise Refused(f"The result has more than {MAX_SIZE // MB} MB.", status=502)
                if time.monotonic() > until:
                    raise Outage("The result comes too slowly.", again_in=120)
    except (HTTPError, OSError):
        raise Outage("The result could not be downloaded.") from None
    return _Content(file, size, base64.b64encode(digest.digest()).decode())


def _opened(url: str) -> "BaseHTTPResponse":
    for _ in range(_MAX_REDIRECTS + 1):
        response = _asked(url)
        if response.status == 200:
            return response
        response.close()
        location = response.headers.get("location")
        if response.status in (301, 302, 303, 307, 308) and location:
            url = urljoin(url, location)
        elif response.status in (408, 425, 429) or response.status >= 500:
            raise Outage("The result could not be downloaded.")
        else:
            raise Refused(f"The result could not be downloaded: {response.status}.", status=502)
    raise Refused("The result redirects again and again.", status=502)


def _asked(url: str) -> "BaseHTTPResponse":
    """One GET, of an address that has been checked, at exactly that."""
    try:
        target = parse(url)
        address = resolve(target)[0]
    except NotAllowed:
        raise Refused("The service named an address for the result that is not a public one.", status=502) from None
    options: dict[str, Any] = {"retries": False}
    pool = _pool(target.secure, address, target.host, target.port)
    headers = {"host": target.authority, "user-agent": "Quintet"}
    return pool.request(
        "GET", target.path, headers=headers, redirect=False, preload_content=False, decode_content=True, **options
    )


def _pool(secure: bool, address: str, host: str, port: int) -> "HTTPConnectionPool":
    import certifi
    from urllib3 import Timeout

    from quintet.punctual import Pool, SecurePool

    timeout = Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    if not secure:
        return Pool(address, port, timeout=timeout)
    return SecurePool(
        address, port, timeout=timeout, server_hostname=host, assert_hostname=host, ca_certs=certifi.where()
    )
