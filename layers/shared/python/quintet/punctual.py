"""HTTP connections for urllib3 on which the header of an answer in drops ends in time.

urllib3's own timeouts begin anew with every byte: a header can take as long as a server wants. Here the timeout of
reading, which there has to be, is that of the whole header. Bodies are read by whoever asked, for as long as they want.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from socket import SHUT_RDWR, socket
from typing import TypeVar

from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

_T = TypeVar("_T")


def _in_time(sock: socket, seconds: float | None, receive: Callable[[], _T]) -> _T:
    assert seconds is not None
    late = threading.Event()

    def shut() -> None:
        late.set()
        with suppress(OSError):
            sock.shutdown(SHUT_RDWR)  # whoever reads from it is told that this was the end

    timer = threading.Timer(seconds, shut)
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
        return _in_time(self.sock, self.timeout, super().getresponse)


class _SecureConnection(HTTPSConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3 has it
        return _in_time(self.sock, self.timeout, super().getresponse)


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
