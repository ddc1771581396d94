"""A client that follows what happens by the rule in `docs/asyncapi.json`, whatever becomes of its connections."""

import asyncio
import json
import random
from contextlib import suppress
from typing import Any

import httpx2
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, WebSocketException

LOST = (WebSocketException, InvalidHandshake, OSError, EOFError, TimeoutError, httpx2.HTTPError)


class Follower:
    """One person's client. `seen` is what it knows: each event once."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client
        self.cursor = "latest"
        self.seen: dict[str, dict[str, Any]] = {}
        self.live = 0
        """How many events came as they happened."""
        self.connected = 0

    async def follow(self, stopping: asyncio.Event, *, moods: random.Random | None = None) -> None:
        """Stay connected until `stopping`; with `moods`, leave at random moments and come back."""
        while not stopping.is_set():
            try:
                async with await self._connection() as socket:
                    await self._replay(socket)
                    patience = moods.expovariate(1 / 2) if moods else 3600
                    await self._listen(socket, stopping, patience)
            except LOST:
                await asyncio.sleep(0.2)

    async def catch_up(self) -> None:
        """Connect once more, and ask for what is missing until there is no more."""
        for _ in range(20):
            with suppress(*LOST):
                async with await self._connection() as socket:
                    await self._replay(socket)
                    return
            await asyncio.sleep(0.5)
        raise AssertionError("no way to connect")

    def known(self, scope: str) -> list[str]:
        """The ids of what is known of a scope, in order."""
        events = [event for event in self.seen.values() if event["scope"] == scope]
        return [event["id"] for event in sorted(events, key=lambda event: str(event["position"]))]

    async def _connection(self) -> connect:
        made = await asyncio.to_thread(self._client.post, "/realtime/tickets")
        made.raise_for_status()
        self.connected += 1
        ticket = made.json()
        return connect(f"{ticket['url']}?ticket={ticket['ticket']}", ping_interval=None, open_timeout=30)

    async def _replay(self, socket: ClientConnection) -> None:
        more = True
        while more:
            await socket.send(json.dumps({"action": "replay", "after": self.cursor}))
            while (frame := await self._take(socket))["type"] != "replayed":
                assert frame["type"] != "error", frame
            self.cursor, more = frame["next_cursor"], frame["more"]

    async def _listen(self, socket: ClientConnection, stopping: asyncio.Event, patience: float) -> None:
        async def forever() -> None:
            while True:
                await self._take(socket)

        listening = asyncio.create_task(forever())
        stop = asyncio.create_task(stopping.wait())
        await asyncio.wait([listening, stop], timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        for task in (listening, stop):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await listening

    async def _take(self, socket: ClientConnection) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(await socket.recv())
        for event in frame.get("events", []):
            self.seen.setdefault(event["id"], event)
        self.live += len(frame.get("events", [])) if frame["type"] == "events" else 0
        return frame
