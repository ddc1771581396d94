"""Frames to clients, through the WebSocket API's management of connections. No session is held meanwhile."""

import random
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from typing import Literal, NamedTuple, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from quintet.aws import SOCKETS_AT_ONCE, sockets
from quintet.observability import logger

Frame = tuple[str, str]
"""A connection's id, and JSON."""

MAX_FRAME = 32 * 1024
"""Bytes that API Gateway sends as one frame."""

_SECONDS = 5.0
"""For all connections together: nobody waits longer for those that do not answer."""

_Result = TypeVar("_Result")


class Posted(NamedTuple):
    """Which connections did not get all their frames."""

    lost: set[str]
    """Closed, or gone: their clients connect again, and ask for what they missed."""
    unreached: set[str]
    """Open, as far as we know: they are to get the frames another time."""


def post(frames: Iterable[Frame]) -> Posted:
    """Post frames, those of one connection in order, many connections at once.

    A connection that does not take a frame is closed, so that its client knows that it missed something.
    """
    by_connection: dict[str, list[str]] = {}
    for connection_id, frame in frames:
        by_connection.setdefault(connection_id, []).append(frame)
    became = _each(lambda id: _post(id, by_connection[id]), by_connection)
    gone, taken, refused = ({id for id in became if became[id] == how} for how in ("gone", "taken", "refused"))
    lost = gone | close(refused)
    return Posted(lost, by_connection.keys() - taken - lost)


def close(connection_ids: Iterable[str]) -> set[str]:
    """Close connections; returns those that are closed now, or were gone."""
    closed = _each(_close, connection_ids)
    return {id for id in closed if closed[id]}


def _each(act: Callable[[str], _Result], connection_ids: Iterable[str]) -> dict[str, _Result]:
    """What became of each connection; those that took too long, or had no turn, are left out."""
    ids = list(connection_ids)
    random.shuffle(ids)  # or the same ones had no turn each time
    if len(ids) < 2:
        return {id: act(id) for id in ids}
    sockets()  # made here: threads that came at once would each make one
    acting = {_threads().submit(act, id): id for id in ids}
    done, late = wait(acting, timeout=_SECONDS)
    for future in late:
        future.cancel()
    return {acting[future]: future.result() for future in done}


def _post(connection_id: str, frames: list[str]) -> Literal["taken", "gone", "refused"]:
    client = sockets()
    try:
        for frame in frames:
            client.post_to_connection(ConnectionId=connection_id, Data=frame.encode())
    except client.exceptions.GoneException:
        return "gone"
    except (ClientError, BotoCoreError) as error:
        logger.warning("A connection did not take a frame; it is closed.", error=str(error))
        return "refused"
    return "taken"


def _close(connection_id: str) -> bool:
    client = sockets()
    try:
        client.delete_connection(ConnectionId=connection_id)
    except client.exceptions.GoneException:
        pass
    except (ClientError, BotoCoreError) as error:
        logger.warning("A connection could not be closed.", error=str(error))
        return False
    return True


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(SOCKETS_AT_ONCE, thread_name_prefix="sockets")
