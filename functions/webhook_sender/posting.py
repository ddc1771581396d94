"""One POST to an address that somebody else chose: signed, to a checked address, within a time that nothing extends."""

import base64
import hmac
import io
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPConnection, HTTPException
from typing import Any
from uuid import UUID

from quintet.outbound import NotAllowed, Resolver, Target, parse, resolve

CONNECT_SECONDS = 3
WHOLE_SECONDS = 15
"""From the first connection to the end of the answer's header. Resolving has the resolver's own timeouts."""

_MAX_ADDRESSES = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an attempt: the status, or why there is none."""

    status: int | None = None
    error: str | None = None
    retry_after: str | None = None
    """The header of that name (RFC 9110, 10.2.3)."""


def signatures(secrets: Sequence[bytes], *, id: UUID, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: one signature for each secret that is valid now.

    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#verifying-webhook-authenticity
    """
    signed = f"{id}.{timestamp}.".encode() + body
    return " ".join(f"v1,{base64.b64encode(hmac.digest(secret, signed, 'sha256')).decode()}" for secret in secrets)


def post(
    url: str, body: bytes, *, id: UUID, secrets: Sequence[bytes], resolver: Resolver = socket.getaddrinfo
) -> Answer:
    """Send a webhook's message once; redirects are answers like others. Whatever goes wrong is in the Answer."""
    timestamp = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Quintet-Webhooks",
        "Connection": "close",
        "webhook-id": str(id),
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signatures(secrets, id=id, timestamp=timestamp, body=body),
    }
    try:
        target = parse(url)
        addresses = resolve(target, resolver)
        with closing(_Bounded(target, addresses)) as connected:
            return _exchange(connected, target, body, headers)
    except NotAllowed as reason:
        return Answer(error=str(reason))
    except _NotConnectedError:
        return Answer(error=f"No connection could be made within {CONNECT_SECONDS} seconds.")
    except TimeoutError:
        return Answer(error=f"It did not answer within {WHOLE_SECONDS} seconds.")
    except ssl.SSLCertVerificationError as error:
        return Answer(error=f"Its certificate is not accepted: {error.verify_message}.")
    except ssl.SSLError:
        return Answer(error="No secure connection could be made.")
    except (OSError, HTTPException, ValueError) as error:
        # The class alone: a message may quote what the other side sent.
        return Answer(error=f"The connection failed: {type(error).__name__}.")


def _exchange(connected: "_Bounded", target: Target, body: bytes, headers: dict[str, str]) -> Answer:
    connection = HTTPConnection(target.host, target.port)
    connection.sock = connected
    connection.request("POST", target.path, body, {"Host": target.authority, **headers})
    response = connection.getresponse()
    # The status is the answer. Its body is not read: nobody needs it, and it may be endless.
    return Answer(response.status, retry_after=response.headers.get("Retry-After"))


class _NotConnectedError(Exception):
    """The last address that was tried took no connection in time."""


class _Bounded:
    """A connection whose every use ends by the same deadline, so that an answer in drops ends too.

    Has what http.client uses of a socket.
    """

    def __init__(self, target: Target, addresses: Sequence[str]) -> None:
        self._deadline = time.monotonic() + WHOLE_SECONDS
        self._socket = _connected(addresses[:_MAX_ADDRESSES], target.port)
        if target.secure:
            try:
                self._hurry()
                self._socket = _tls().wrap_socket(self._socket, server_hostname=target.host)
            except BaseException:
                self._socket.close()
                raise

    def sendall(self, data: Any) -> None:
        """As a socket's."""
        self._hurry()
        self._socket.sendall(data)

    def makefile(self, *_: object) -> io.BufferedReader:
        """As a socket's, for reading."""
        return io.BufferedReader(_Reader(self))

    def recv_into(self, buffer: Any) -> int:
        """As a socket's, but for the end, which always comes too early: only the header is read."""
        self._hurry()
        received = self._socket.recv_into(buffer)
        if not received:
            raise ConnectionAbortedError
        return received

    def close(self) -> None:
        """As a socket's."""
        self._socket.close()

    def _hurry(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)


class _Reader(io.RawIOBase):
    """What comes in by a connection, as a file. Closing it leaves the connection alone."""

    def __init__(self, connection: _Bounded) -> None:
        super().__init__()
        self._connection = connection

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As a raw stream's."""
        return self._connection.recv_into(buffer)


def _connected(addresses: Sequence[str], port: int) -> socket.socket:
    """A connection to the first of the addresses that takes one."""
    failure: OSError = OSError("no address")
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout=CONNECT_SECONDS)
        except OSError as error:
            failure = error
    raise _NotConnectedError if isinstance(failure, TimeoutError) else failure


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Checks the certificate against the URL's host, though the connection is to an address."""
    import certifi

    return ssl.create_default_context(cafile=certifi.where())
