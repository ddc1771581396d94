"""Frames to clients, through the WebSocket API's management of connections. No session is held meanwhile."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from botocore.exceptions import BotoCoreError, ClientError

from quintet.aws import SOCKETS_AT_ONCE, sockets
from quintet.observability import logger

Frame = tuple[str, str]
"""A connection's id, and JSON."""

MAX_FRAME = 32 * 1024
"""Bytes that API Gateway sends as one frame."""


def post(frames: Iterable[Frame]) -> set[str]:
    """Post frames, those of one connection in order, many connections at once; returns which connections are lost.

    One that does not take a frame is closed: so its client knows that it missed something, connects again and asks.
    """
    by_connection: dict[str, list[str]] = {}
    for connection_id, frame in frames:
        by_connection.setdefault(connection_id, []).append(frame)
    return _each(_post, by_connection.items())


def close(connection_ids: Iterable[str]) -> None:
    """Close connections. One that is gone is closed."""
    _each(_close, [(id, []) for id in connection_ids])


def _each(act: Callable[[str, list[str]], bool], what: Iterable[tuple[str, list[str]]]) -> set[str]:
    """The connections for which `act` says that they are lost."""
    what = list(what)
    if len(what) < 2:
        return {id for id, frames in what if act(id, frames)}
    lost = _threads().map(lambda one: act(*one), what)
    return {id for (id, _), is_lost in zip(what, lost, strict=True) if is_lost}


def _post(connection_id: str, frames: list[str]) -> bool:
    client = sockets()
    try:
        for frame in frames:
            client.post_to_connection(ConnectionId=connection_id, Data=frame.encode())
    except client.exceptions.GoneException:
        return True
    except (ClientError, BotoCoreError) as error:
        logger.warning("A connection did not take a frame; it is closed.", error=str(error))
        return _close(connection_id, [])
    return False


def _close(connection_id: str, _: list[str]) -> bool:
    client = sockets()
    try:
        client.delete_connection(ConnectionId=connection_id)
    except client.exceptions.GoneException:
        pass
    except (ClientError, BotoCoreError) as error:
        logger.warning("A connection could not be closed.", error=str(error))
    return True


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(SOCKETS_AT_ONCE, thread_name_prefix="sockets")
