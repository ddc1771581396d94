"""Conversations: pages and unread counts whatever has been said before, and how much can be said at once."""

import itertools
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from infra.local.events import rest_event
from tests.load.deployed import Process, Runtime
from tests.load.measure import interleaved
from tests.load.stand import Person, Stand

CONVERSATIONS = 500
"""Of one reader, in each of which 20 messages were said, the last 5 unread."""
SENDERS = 4
"""Functions that send at the same time."""

_BATCH = 20
_MESSAGES_EACH = 25

# Ids are made so that they sort as they were said: `uuidv7(interval)` moves their time.
_SAY = """
    INSERT INTO messages (id, conversation_id, sender_id, content, text)
    SELECT uuidv7(make_interval(secs => n - %(count)s)), %(conversation)s, (%(people)s::uuid[])[1 + n %% %(n)s],
           jsonb_build_object('type', 'doc', 'content', jsonb_build_array(jsonb_build_object(
               'type', 'paragraph', 'content', jsonb_build_array(jsonb_build_object('type', 'text', 'text', said))))),
           said
    FROM generate_series(1, %(count)s) n,
         LATERAL (SELECT 'Message ' || n || ' of a conversation that goes on.') s(said)"""
_LAST = """
    UPDATE conversations SET last_message_id = (
        SELECT id FROM messages WHERE conversation_id = conversations.id ORDER BY id DESC LIMIT 1)"""
_READ = """
    UPDATE conversation_members me SET last_read_message_id = (
        SELECT id FROM messages WHERE conversation_id = me.conversation_id ORDER BY id DESC OFFSET 5 LIMIT 1)
    WHERE user_id = %(reader)s"""


@dataclass(frozen=True, slots=True)
class Chat:
    """A stand where everybody is in one `busy` conversation, and `reader` in `CONVERSATIONS` others too."""

    stand: Stand
    people: list[Person]
    reader: Person
    busy: UUID
    quiet: list[UUID]

    @classmethod
    def in_(cls, stand: Stand, *, said: int) -> "Chat":
        """Fill `stand`: `said` messages in the busy conversation, 20 in each of the others."""
        people = stand.people()
        ids = [person.id for person in people]
        with stand.owner() as connection:

            def begin(members: list[UUID], count: int) -> list[UUID]:
                made = "INSERT INTO conversations (title, is_group, created_by) SELECT 'Talk', true, %s"
                found = connection.execute(f"{made} FROM generate_series(1, %s) RETURNING id", [members[0], count])
                begun = [row[0] for row in found]
                connection.execute(
                    "INSERT INTO conversation_members (conversation_id, user_id)"
                    " SELECT c, u FROM unnest(%s::uuid[]) c, unnest(%s::uuid[]) u",
                    [begun, members],
                )
                return begun

            def say(conversation: UUID, senders: list[UUID], count: int) -> None:
                params = {"conversation": conversation, "people": senders, "n": len(senders), "count": count}
                connection.execute(_SAY, params)

            [busy] = begin(ids, 1)
            quiet = begin(ids, CONVERSATIONS)
            say(busy, ids, said)
            for conversation in quiet:
                say(conversation, ids[1:], 20)
            connection.execute(_LAST)
            connection.execute(_READ, {"reader": people[0].id})
            connection.execute("VACUUM (ANALYZE) messages, conversations, conversation_members")
        return cls(stand, people, people[0], busy, quiet)


def reads(runtime: Runtime, chats: Mapping[str, Chat], *, rounds: int) -> dict[str, float]:
    """Seconds of a busy conversation's first page and of the unread counts, `page_<size>` and `unread_<size>`.

    `bare_page_` and `bare_unread_` are their statements alone.
    """
    actions: dict[str, Callable[[], float]] = {}
    with ExitStack() as stack:
        for size, chat in chats.items():
            for name, path in (
                ("page", f"/api/v1/conversations/{chat.busy}/messages?limit=50"),
                ("unread", "/api/v1/conversations/unread"),
            ):
                worker = stack.enter_context(runtime.worker("conversations", chat.stand.environment))
                event = _get(chat.reader, path)
                worker.ask(do="events", events=[event])  # with what only a first request asks the database
                reply = worker.ask(do="record", event=event)
                assert reply["answer"]["statusCode"] == 200, reply
                found = json.loads(reply["answer"]["body"])
                assert len(found["items"]) == 50 if name == "page" else found["conversations"] > CONVERSATIONS, found
                times = _BATCH if name == "page" else 2
                actions[f"{name}_{size}"] = partial(_seconds, worker, event, times)
                actions[f"bare_{name}_{size}"] = partial(_replayed, worker, times)
        return interleaved(rounds, **actions)


def messages(runtime: Runtime, chat: Chat, *, rounds: int) -> dict[str, float]:
    """Seconds of a message while `SENDERS` functions send, into the `busy` conversation and into 100 `quiet` ones."""
    numbers = itertools.count()
    with ExitStack() as stack:
        workers = [stack.enter_context(runtime.worker("conversations", chat.stand.environment)) for _ in range(SENDERS)]
        senders = ThreadPoolExecutor(SENDERS)
        stack.callback(senders.shutdown)

        def send(conversations: list[UUID]) -> float:
            batches = [
                [_message(chat.people[n % len(chat.people)], conversations[n % len(conversations)], n) for n in some]
                for some in (list(itertools.islice(numbers, _MESSAGES_EACH)) for _ in workers)
            ]
            began = time.perf_counter()
            replies = list(senders.map(lambda w, batch: w.ask(do="events", events=batch), workers, batches))
            took = time.perf_counter() - began
            assert all(reply["answer"]["statusCode"] == 201 for reply in replies), replies
            return took / (SENDERS * _MESSAGES_EACH)

        return interleaved(rounds, busy=partial(send, [chat.busy]), quiet=partial(send, chat.quiet[:100]))


def _seconds(worker: Process, event: Any, times: int) -> float:
    return float(worker.ask(do="events", events=[event] * times)["seconds"]) / times


def _replayed(worker: Process, times: int) -> float:
    return float(worker.ask(do="replay", times=times)["seconds"]) / times


def _headers(person: Person) -> dict[str, str]:
    return {"authorization": f"Bearer {person.token()}", "accept": "application/json", "user-agent": "bench"}


def _get(person: Person, path: str) -> Any:
    path, _, query = path.partition("?")
    return rest_event("GET", path, headers=_headers(person), query=parse_qsl(query))


def _message(person: Person, conversation: UUID, number: int) -> Any:
    """A message that is sent from another address than any before it: no rate limit is met."""
    return rest_event(
        "POST",
        f"/api/v1/conversations/{conversation}/messages",
        headers={**_headers(person), "content-type": "application/json"},
        body=json.dumps({"text": f"Message {number} of the bench."}).encode(),
        source_ip=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
    )
