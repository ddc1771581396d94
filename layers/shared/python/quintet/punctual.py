"""HTTP connections for urllib3 and requests on which an answer in drops ends in time.

Their own timeouts begin anew with every byte: a header, and with requests a body, can take as long as a server wants.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from socket import SHUT_RDWR, socket
from typing import Any, TypeVar

from requests import ConnectionError as NoConnection
from requests import PreparedRequest, Response, Timeout
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

HEADER_SECONDS = 15
"""From the request to the end of the answer's header."""
BODY_SECONDS, MAX_BODY = 10, 1024**2
"""Of what comes by `Adapter`; whoever uses the pools reads for themselves."""

_T = TypeVar("_T")


def _in_time(sock: socket, receive: Callable[[], _T]) -> _T:
    late = threading.Event()

    def shut() -> None:
        late.set()
        with suppress(OSError):
            sock.shutdown(SHUT_RDWR)  # whoever reads from it is told that this was the end

    timer = threading.Timer(HEADER_SECONDS, shut)
    timer.daemon = True
    timer.start()
    try:
        return receive()
    finally:
        timer.cancel()
        if late.is_set():  # http.client takes a header that is cut off for a whole one
            raise TimeoutError


class _Connection(HTTPConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3 has it
        return _in_time(self.sock, super().getresponse)


class _SecureConnection(HTTPSConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3 has it
        return _in_time(self.sock, super().getresponse)


class Pool(HTTPConnectionPool):
    """urllib3's, for http."""

    ConnectionCls = _Connection


class SecurePool(HTTPSConnectionPool):
    """urllib3's, for https."""

    ConnectionCls = _SecureConnection


def punctual(manager: PoolManager) -> PoolManager:
    """The same, with these connections."""
    manager.pool_classes_by_scheme = {"http": Pool, "https": SecurePool}
    return manager


class Adapter(HTTPAdapter):
    """To be mounted in a session of requests; raises what requests does."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """As HTTPAdapter's."""
        super().init_poolmanager(*args, **options)
        punctual(self.poolmanager)

    def send(self, request: PreparedRequest, stream: bool = False, **options: Any) -> Response:  # type: ignore[override]
        """As HTTPAdapter's, with the whole content."""
        answer = super().send(request, stream=True, **options)
        until, content = time.monotonic() + BODY_SECONDS, bytearray()
        try:
            while chunk := answer.raw.read1(64 * 1024, decode_content=True):
                content += chunk
                if len(content) > MAX_BODY or time.monotonic() > until:
                    raise Timeout("The answer is too long, or comes too slowly.")
        except HTTPError:
            raise NoConnection("The connection broke off.") from None
        finally:
            answer.raw.close()
        answer._content, answer._content_consumed = bytes(content), True
        return answer
