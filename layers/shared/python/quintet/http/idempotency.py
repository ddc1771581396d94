"""`Idempotency-Key`: a repeated POST gets the first one's answer (draft-ietf-httpapi-idempotency-key-header).

The key's row commits with the change it answers for. A repeat of one that is still running waits for it (up to
the role's `lock_timeout`), since inserting the same key blocks until the other transaction ends.
"""

import hashlib
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from psycopg.errors import LockNotAvailable
from psycopg.types.json import Jsonb
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from starlette.responses import Response

from quintet.errors import Conflict, IdempotencyMismatch
from quintet.http.dependencies import Caller, SessionDep

MAX_STORED_BODY = 64 * 1024
"""Bytes; of a larger answer only status and headers are kept, among them Location."""

_CLAIM = """
    INSERT INTO idempotency_keys (user_id, key, route, body_hash, expires_at)
    VALUES (%(user_id)s, %(key)s, %(route)s, %(body_hash)s, now() + interval '24 hours')
    ON CONFLICT (user_id, key, route) DO UPDATE
        SET body_hash = excluded.body_hash, expires_at = excluded.expires_at, status = NULL
        WHERE idempotency_keys.expires_at <= now() OR idempotency_keys.status IS NULL
    RETURNING true"""
"""A row without a status is of a request that committed half way (a rate limit does) and failed, or whose answer is
not kept: it claims nothing."""

_READ = """
    SELECT body_hash, status, headers, body FROM idempotency_keys
    WHERE user_id = %(user_id)s AND key = %(key)s AND route = %(route)s"""

_STORE = """
    UPDATE idempotency_keys SET status = %(status)s, headers = %(headers)s, body = %(body)s
    WHERE user_id = %(user_id)s AND key = %(key)s AND route = %(route)s"""

_KEPT_HEADERS = ("location", "etag", "content-type")


class Replayed(Exception):  # noqa: N818  (not an error: the answer is known)
    """The stored answer of the first request."""

    def __init__(self, response: Response) -> None:
        self.response = response


async def idempotent(
    request: Request,
    session: SessionDep,
    caller: Caller,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            pattern=r"^[\x21-\x7e]+$",
            description="Any unique text. A repeat within 24 hours gets the first request's answer.",
        ),
    ] = None,
) -> None:
    """Claim the request's key, or answer what the first request with it was answered."""
    if idempotency_key is None:
        return
    claim = {
        "user_id": caller.user_id,
        "key": idempotency_key,
        "route": f"{request.method} {request.scope['path']}",
        "body_hash": _request_hash(request),
    }
    connection = session.connection()
    try:
        first = connection.exec_driver_sql(_CLAIM, claim).one_or_none()
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise Conflict("The first request with this Idempotency-Key is still running. Try again soon.") from None
        raise
    if first:
        request.state.idempotency_claim = claim
        return
    stored = connection.exec_driver_sql(_READ, claim).one()
    if bytes(stored.body_hash) != claim["body_hash"]:
        raise IdempotencyMismatch(
            "This Idempotency-Key was used with another body or query. Use a new key for a new request."
        )
    headers = {**stored.headers, "idempotency-replayed": "true"}
    raise Replayed(Response(bytes(stored.body or b""), stored.status, headers))


Idempotent = Depends(idempotent)
"""For the `dependencies` of a POST that creates something."""


def do_not_keep(request: Request) -> None:
    """Have a repeat done anew, which does no harm: the answer is good for a while only, or with a cookie."""
    request.state.idempotency_claim = None


def store_answer(request: Request, response: Response) -> None:
    """Keep the answer with the key if the request claimed one, in the transaction of the change."""
    claim: dict[str, Any] | None = getattr(request.state, "idempotency_claim", None)
    if claim is None:
        return
    kept = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    body = bytes(response.body) if len(response.body) <= MAX_STORED_BODY else b""
    session: Session = request.state.session
    session.connection().exec_driver_sql(
        _STORE, {**claim, "status": response.status_code, "headers": Jsonb(kept), "body": body}
    )


def _request_hash(request: Request) -> bytes:
    """Of query and body as they came, but for a multipart boundary, which clients make anew for a repeat."""
    query = b"&".join(sorted(request.scope["query_string"].split(b"&")))
    return hashlib.sha256(query + b"\n" + _body(request)).digest()


def _body(request: Request) -> bytes:
    body: str = request.scope["aws.event"].get("body") or ""
    content_type = request.headers.get("content-type", "")
    if "boundary=" not in content_type:
        return body.encode()
    import base64

    boundary = content_type.partition("boundary=")[2].split(";")[0].strip('"')
    raw = base64.b64decode(body) if request.scope["aws.event"].get("isBase64Encoded") else body.encode()
    return raw.replace(boundary.encode(), b"")
