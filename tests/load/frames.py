"""From a message to its frame on a whole stand: API, queue, broadcaster, gateway, as `make run` has them."""

import asyncio
import hashlib
import secrets
import statistics
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import httpx2
import psycopg
from websockets.asyncio.client import ClientConnection, connect

from infra.local.sockets import PATH
from tests.e2e.stand import PASSWORD, Stand

_MEMBERS = """
    WITH person AS (
        INSERT INTO users (email, full_name)
        SELECT 'member' || n || '@example.com', 'Member ' || n FROM generate_series(1, %s) n RETURNING id, email
    ), session AS (
        INSERT INTO sessions (user_id, expires_at) SELECT id, now() + interval '1 day' FROM person RETURNING id, user_id
    )
    SELECT person.id, person.email, session.id FROM person JOIN session ON session.user_id = person.id"""
_TICKET = """
    INSERT INTO one_time_tokens (hash, purpose, user_id, session_id, email, expires_at)
    VALUES (%s, 'realtime_ticket', %s, %s, %s, now() + interval '5 minutes')"""


_APART = 0.6
"""Seconds from one message to the next: as many as one person may send."""


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds, of every frame at every member."""

    p50: float
    p99: float

    @classmethod
    def of(cls, seconds: list[float]) -> "Delays":
        """Their percentiles."""
        percentiles = statistics.quantiles(seconds, n=100, method="inclusive")
        return cls(statistics.median(seconds), percentiles[98])


def delays(folder: Path, *, members: tuple[int, ...], messages: int) -> tuple[dict[int, Delays], Delays]:
    """For each number of connected members: from the message's own time, just before its commit, to its frame.

    And the gateway's part: from a request to its management API to the frame of that.
    """
    stand = Stand(folder)
    stand.start()
    try:
        return asyncio.run(_measured(stand, members, messages))
    finally:
        stand.close()


async def _measured(stand: Stand, members: tuple[int, ...], messages: int) -> tuple[dict[int, Delays], Delays]:
    people, groups = _prepared(stand, members)
    found: dict[int, Delays] = {}
    async with AsyncExitStack() as stack:
        sockets: list[ClientConnection] = []
        api = await stack.enter_async_context(httpx2.AsyncClient(base_url=stand.url, timeout=60))
        signed = await api.post("/login", json={"email": "sender@example.com", "password": PASSWORD})
        api.headers["authorization"] = f"Bearer {signed.json()['access_token']}"
        for count in members:
            for ticket in people[len(sockets) : count]:
                url = f"ws://127.0.0.1:{stand.port}{PATH}?ticket={ticket}"
                sockets.append(await stack.enter_async_context(connect(url)))
            found[count] = await _frames(api, groups[count], sockets, messages)
        with psycopg.connect(stand.running().environment["DATABASE_OWNER_URL"]) as connection:
            first = "SELECT id FROM connections ORDER BY connected_at LIMIT 1"
            [connection_id] = connection.execute(first).fetchone() or ()
        alone = [await _posted(api, connection_id, sockets[0]) for _ in range(max(messages, 100))]
    return found, Delays.of(alone)


def _prepared(stand: Stand, members: tuple[int, ...]) -> tuple[list[str], dict[int, UUID]]:
    """A ticket for each member, and for each number of them a conversation of the sender with so many."""
    sender = stand.sign_up("sender@example.com").get("/users/me").json()["id"]
    tickets, groups = [], {}
    with psycopg.connect(stand.running().environment["DATABASE_OWNER_URL"]) as connection:
        people = connection.execute(_MEMBERS, [max(members)]).fetchall()
        for user_id, email, session_id in people:
            tickets.append(secrets.token_urlsafe(16))
            connection.execute(_TICKET, [hashlib.sha256(tickets[-1].encode()).digest(), user_id, session_id, email])
        for count in members:
            made = "INSERT INTO conversations (title, is_group, created_by) VALUES ('Measured', true, %s) RETURNING id"
            [groups[count]] = connection.execute(made, [sender]).fetchone() or ()
            connection.execute(
                "INSERT INTO conversation_members (conversation_id, user_id) SELECT %s, unnest(%s::uuid[])",
                [groups[count], [UUID(sender), *(person[0] for person in people[:count])]],
            )
    return tickets, groups


async def _frames(
    api: httpx2.AsyncClient, conversation: UUID, sockets: list[ClientConnection], messages: int
) -> Delays:
    """One message after the other, each once everybody has the one before."""
    seconds: list[float] = []
    for number in range(messages):
        arrived = [asyncio.create_task(_arrival(socket)) for socket in sockets]
        answer = await api.post(f"/conversations/{conversation}/messages", json={"text": f"Message {number}."})
        answer.raise_for_status()
        said = datetime.fromisoformat(answer.json()["created_at"]).timestamp()
        seconds += [at - said for at in await asyncio.wait_for(asyncio.gather(*arrived), 60)]
        await asyncio.sleep(max(0.0, said + _APART - time.time()))
    return Delays.of(seconds)


async def _arrival(socket: ClientConnection) -> float:
    """When the next message's frame is there."""
    while "message.created" not in str(await socket.recv()):
        pass
    return time.time()


async def _posted(api: httpx2.AsyncClient, connection_id: str, socket: ClientConnection) -> float:
    arrived = asyncio.create_task(_arrival(socket))
    began = time.time()
    answer = await api.post(f"{PATH}/@connections/{quote(connection_id)}", content=b'{"type":"message.created"}')
    answer.raise_for_status()
    return await arrived - began
