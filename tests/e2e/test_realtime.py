"""People connected to a running stand: they chat, come and go, misbehave; the stand is killed among them."""

import asyncio
import json
import os
import random
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import psycopg
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.e2e.following import Follower
from tests.e2e.recovery import minutes_pass
from tests.e2e.stand import Stand, eventually

FOLLOWERS = int(os.environ.get("FOLLOWERS", "8"))
SECONDS = float(os.environ.get("FOLLOW_SECONDS", "10"))
"""`FOLLOWERS=50 FOLLOW_SECONDS=120` makes it the long run."""


Person = tuple[str, httpx2.Client]
Somebody = Callable[[Stand], Person]


@pytest.fixture
def somebody() -> Iterator[Callable[[Stand], Person]]:
    """Makes accounts: the id of each, and a client that is closed at the end."""
    with ExitStack() as until_over:

        def make(stand: Stand) -> Person:
            client = until_over.enter_context(stand.sign_up(f"{secrets.token_hex(6)}@example.com"))
            return client.get("/users/me").json()["id"], client

        yield make


def group_of(owner: httpx2.Client, *members: str) -> str:
    made = owner.post("/conversations", json={"title": "A group", "member_ids": list(members)})
    made.raise_for_status()
    return str(made.json()["id"])


def say(client: httpx2.Client, conversation: str, text: str = "Hello") -> str:
    said = client.post(f"/conversations/{conversation}/messages", json={"text": text})
    said.raise_for_status()
    return str(said.json()["id"])


def address(client: httpx2.Client) -> str:
    made = client.post("/realtime/tickets")
    made.raise_for_status()
    return f"{made.json()['url']}?ticket={made.json()['ticket']}"


def heard(socket: Any, message: str, seconds: float = 10) -> dict[str, Any]:
    """The event about this message, once it comes."""
    deadline = time.monotonic() + seconds
    while True:
        frame = json.loads(socket.recv(timeout=max(0.0, deadline - time.monotonic())))
        for event in frame.get("events", []):
            if event["subject_id"] == message:
                found: dict[str, Any] = event
                return found


def test_given_two_people_when_they_chat_then_each_hears_the_other_at_once(stand: Stand, somebody: Somebody) -> None:
    (ann_id, ann), (ben_id, ben) = somebody(stand), somebody(stand)
    talk = ann.post("/conversations", json={"user_id": ben_id}).json()["id"]
    with connect(address(ann)) as ann_socket, connect(address(ben)) as ben_socket:
        for speaker, listener, id in ((ann, ben_socket, ann_id), (ben, ann_socket, ben_id)):
            assert heard(listener, say(speaker, talk))["actor_id"] == id
        ben_socket.send(json.dumps({"action": "typing", "conversation_id": talk}))
        while (frame := json.loads(ann_socket.recv(timeout=10)))["type"] != "typing":
            pass
        assert frame["user_id"] == ben_id
        # WHEN one signs out THEN they are gone, and the other sees it
        ben.post("/auth/logout").raise_for_status()
        while (frame := json.loads(ann_socket.recv(timeout=10))).get("status") != "offline":
            pass
        assert frame["user_id"] == ben_id

        def listen() -> None:
            while True:
                ben_socket.recv(timeout=10)

        with pytest.raises(ConnectionClosed):
            listen()


def test_given_a_ticket_when_used_twice_or_made_up_then_the_handshake_says_so(stand: Stand, somebody: Somebody) -> None:
    _, ann = somebody(stand)
    used = address(ann)
    with connect(used) as socket:
        for url in (used, used[:-5] + "xxxxx", used.partition("?")[0]):
            with pytest.raises(InvalidStatus) as caught, connect(url):
                pass
            assert caught.value.response.status_code in (401, 403)  # the emulator's gateway knows one refusal only
        socket.send('{"action": "ping"}')
        assert json.loads(socket.recv(timeout=10)) == {"type": "pong"}


def test_given_a_thousand_frames_a_second_and_a_megabyte_then_others_chat_undisturbed(
    stand: Stand, somebody: Somebody
) -> None:
    stand.own()  # the emulator's gateway takes frames of any size
    (_, ann), (ben_id, ben) = somebody(stand), somebody(stand)
    talk = group_of(ann, ben_id)
    ended: list[int | None] = []

    def misbehave(frame: str, times: int) -> None:
        _, rude = somebody(stand)
        with connect(address(rude), close_timeout=1) as socket:
            try:
                for _ in range(times):
                    socket.send(frame)
                    time.sleep(0.001)
                while True:
                    socket.recv(timeout=30)
            except ConnectionClosed as closed:
                ended.append(closed.rcvd.code if closed.rcvd else None)

    rude = [
        threading.Thread(target=misbehave, args=('{"action": "ping"}', 3000)),
        threading.Thread(target=misbehave, args=("x" * 1_000_000, 1)),
    ]
    with connect(address(ben)) as socket:
        for thread in rude:
            thread.start()
        for _ in range(10):
            began = time.monotonic()
            heard(socket, say(ann, talk))
            assert time.monotonic() - began < 5
        for thread in rude:
            thread.join(60)
    assert sorted(code or 0 for code in ended) == [1000, 1009]


@pytest.mark.timeout(600)
def test_given_clients_that_come_and_go_while_others_write_then_each_has_every_event_once_and_in_order(
    stand: Stand, somebody: Somebody
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    moods = random.Random(seed)
    people = [somebody(stand) for _ in range(FOLLOWERS)]
    talk = group_of(people[0][1], *(id for id, _ in people[1:]))
    followers = [Follower(client) for _, client in people]

    async def live() -> None:
        stopping = asyncio.Event()
        for follower in followers:
            await follower.catch_up()
        running = [asyncio.create_task(f.follow(stopping, moods=random.Random(moods.random()))) for f in followers]
        await asyncio.to_thread(write, [client for _, client in people[:4]], talk, SECONDS)
        stopping.set()
        await asyncio.wait_for(asyncio.gather(*running), 60)
        for follower in followers:
            await follower.catch_up()

    asyncio.run(live())
    wanted = in_order(stand, talk)
    print(f"{len(wanted)} events, {[(f.connected, f.live) for f in followers]}")
    for follower in followers:
        assert follower.known(f"conversation:{talk}") == [id for id in wanted if id in follower.seen]
        since = len(wanted) - len(follower.known(f"conversation:{talk}"))
        assert since <= 1, "all but that the group was made, which was before"
    assert any(follower.live for follower in followers)


def write(clients: list[httpx2.Client], talk: str, seconds: float) -> None:
    """Say things all the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for client in clients:
            say(client, talk)
        time.sleep(0.05 * len(clients) * 4)  # below the limit of two messages a second for each


def in_order(stand: Stand, talk: str) -> list[str]:
    """All events of the conversation."""
    with psycopg.connect(stand.running().environment["DATABASE_OWNER_URL"]) as connection:
        rows = connection.execute(
            "SELECT id::text FROM events WHERE scope = %s ORDER BY transaction_id, id", [f"conversation:{talk}"]
        )
        return [row[0] for row in rows]


@pytest.mark.timeout(600)
def test_given_kills_at_random_moments_then_every_frame_still_arrives(
    new_stand: Callable[..., Stand], somebody: Somebody
) -> None:
    stand = new_stand()
    stand.start()
    (_, ann), (ben_id, ben) = somebody(stand), somebody(stand)
    talk = group_of(ann, ben_id)
    follower = Follower(ben)
    said: list[str] = []

    def talk_on(stopping: threading.Event) -> None:
        while not stopping.wait(0.6):
            try:
                said.append(say(ann, talk))
            except httpx2.HTTPError:
                time.sleep(0.2)

    async def live() -> None:
        stopping, silent = asyncio.Event(), threading.Event()
        await follower.catch_up()
        following = asyncio.create_task(follower.follow(stopping))
        speaking = threading.Thread(target=talk_on, args=(silent,))
        speaking.start()
        for _ in range(3):
            await asyncio.sleep(random.uniform(0.5, 3))
            os.kill(stand.worker(), signal.SIGKILL)
            await asyncio.to_thread(stand.wait_ready)
        silent.set()
        await asyncio.to_thread(speaking.join)
        # THEN what the queue, or the dispatcher, brings again reaches the connection that is there now, by itself
        await asyncio.to_thread(minutes_pass, stand)
        await asyncio.to_thread(eventually, lambda: undone(stand), lambda n: n == 0, 60)
        stopping.set()
        await following

    asyncio.run(live())
    messages = {event["subject_id"] for event in follower.seen.values() if event["type"] == "message.created"}
    assert set(said) <= messages
    assert len(said) > 3
    assert follower.connected >= 4


def undone(stand: Stand) -> int:
    """Deliveries to those connected that are not done."""
    with psycopg.connect(stand.running().environment["DATABASE_OWNER_URL"]) as connection:
        row = connection.execute("SELECT count(*) FROM deliveries WHERE destination = 'realtime' AND done_at IS NULL")
        [count] = row.fetchone() or [0]
        return int(count)
