"""Many at once: one conversation for a pair, messages in the order of their ids, counts that are right."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quintet.db.engine import owner_engine
from tests.support.api import Api
from tests.support.conversing import events_in, group, may_send_on, say, texts, unread
from tests.support.people import person
from tests.support.projects import ids
from tests.support.statements import execute

pytestmark = pytest.mark.usefixtures("stack")


def at_once(*actions: Callable[[], Any]) -> list[Any]:
    """Do all of them at the same moment, a thread each; what they returned, in order."""
    barrier, results = threading.Barrier(len(actions)), [None] * len(actions)
    failed: list[BaseException] = []

    def run(n: int, action: Callable[[], Any]) -> None:
        try:
            barrier.wait()
            results[n] = action()
        except BaseException as error:  # told to whoever waits
            failed.append(error)

    threads = [threading.Thread(target=run, args=(n, action)) for n, action in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed, failed
    return results


def test_given_twenty_starts_at_once_then_there_is_one_direct_conversation() -> None:
    one, other = person(), person()

    def start(a: Api, b: Api) -> Callable[[], Any]:
        return lambda: a.post("/conversations", {"user_id": str(b.id)})

    answers = []
    for _ in range(4):  # as many at once as there are connections in the pool, or half as many
        answers += at_once(*([start(one, other), start(other, one)] * 2), start(one, other))
    assert sorted(answer.status for answer in answers) == [200] * 19 + [201]
    [conversation] = {answer.json()["id"] for answer in answers}
    assert ids(one.get("/conversations")) == ids(other.get("/conversations")) == [conversation]
    assert [type for type, _, _ in events_in(conversation)] == ["conversation.created"]


def test_given_a_send_repeated_at_the_same_moment_then_one_message_is_sent() -> None:
    user = person()
    conversation = group(user)
    path, key = f"/conversations/{conversation}/messages", {"idempotency-key": "k"}
    answers = at_once(*[lambda: user.post(path, {"text": "Once"}, headers=key)] * 5)
    assert {answer.status for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert texts(user, conversation) == ["Once"]


def test_given_many_who_send_at_once_then_a_reader_who_follows_misses_none_and_the_counts_are_right() -> None:
    # GIVEN four who send, and one who follows by `after` all the while
    senders, reader = [person() for _ in range(4)], person()
    conversation = group(senders[0], *senders[1:], reader)
    path = f"/conversations/{conversation}/messages"
    first = say(senders[0], conversation, "start")
    cursor = reader.get(path).json()["previous_cursor"]
    seen: list[str] = []
    done = threading.Event()

    def follow() -> None:
        nonlocal cursor
        last = False
        while not last:
            last = done.is_set()
            answer = reader.get(path, query=[("after", cursor), ("limit", "3")]).json()
            seen.extend(item["text"] for item in reversed(answer["items"]))
            cursor = answer["previous_cursor"]
            last = last and not answer["items"]

    def send(sender: Api, n: int) -> Callable[[], None]:
        def sends() -> None:
            for k in range(12):
                say(sender, conversation, f"{n} {k}")

        return sends

    follower = threading.Thread(target=follow)
    follower.start()
    # WHEN they send
    at_once(*(send(sender, n) for n, sender in enumerate(senders)))
    done.set()
    follower.join(60)
    # THEN the follower has seen each once, in the order everybody sees, and each sender's in the order they were sent
    assert seen == texts(reader, conversation, limit=100)[-2::-1]
    assert len(seen) == 48
    for n in range(4):
        assert [text for text in seen if text.startswith(f"{n} ")] == [f"{n} {k}" for k in range(12)]
    # AND ids are in the order of the commits, as the log has it
    created = [subject for type, subject, _ in events_in(conversation) if type == "message.created"]
    assert created == sorted(created)
    assert created[0] == first["id"]
    assert unread(reader, conversation) == 49
    for sender in senders:
        [own] = execute(
            "SELECT last_read_message_id AS at FROM conversation_members WHERE conversation_id = %(c)s"
            " AND user_id = %(u)s",
            c=conversation,
            u=sender.id,
        )
        assert unread(sender, conversation) == len([id for id in created if id > str(own.at)])
    [row] = execute("SELECT last_message_id::text AS last FROM conversations WHERE id = %(c)s", c=conversation)
    assert row.last == created[-1]


def test_given_positions_set_at_once_then_the_furthest_stays() -> None:
    user, friend = person(), person()
    conversation = group(user, friend)
    said = [say(user, conversation, str(n))["id"] for n in range(8)]
    path = f"/conversations/{conversation}/read"
    at_once(*(lambda id=id: friend.put(path, {"message_id": id}) for id in said))
    assert unread(friend, conversation) == 0
    moves = [subject for type, subject, _ in events_in(conversation) if type == "message.read"]
    assert moves[-1] == said[-1]
    assert len(set(moves)) == len(moves)


def test_given_somebody_who_sends_while_they_are_removed_then_all_of_it_is_before_that() -> None:
    owner, friend = person(), person()
    conversation = group(owner, friend)
    path = f"/conversations/{conversation}/messages"

    def send() -> int:
        n = 0
        while (answer := friend.post(path, {"text": "x"})).status == 201:
            n += 1
        assert answer.status == 404
        return n

    def remove() -> None:
        while len(texts(owner, conversation)) < 3:
            pass
        assert owner.delete(f"/conversations/{conversation}/members/{friend.id}").status == 204

    sent, _ = at_once(send, remove)
    types = [type for type, _, _ in events_in(conversation)]
    assert types == ["conversation.created", *["message.created"] * sent, "conversation.member_removed"]


def test_given_somebody_who_edits_or_reacts_while_they_are_removed_then_nothing_comes_after_that() -> None:
    owner, friend = person(), person()
    conversation = group(owner, friend)
    path = f"/messages/{say(friend, conversation, 'before')['id']}"
    # GIVEN a removal that is about to commit
    with owner_engine().connect() as removal, removal.begin():
        where = {"c": conversation, "u": friend.id}
        removal.exec_driver_sql("SELECT FROM conversations WHERE id = %(c)s FOR NO KEY UPDATE", where)
        removal.exec_driver_sql(
            "DELETE FROM conversation_members WHERE conversation_id = %(c)s AND user_id = %(u)s", where
        )
        doing: list[Callable[[], Any]] = [
            lambda: friend.patch(path, {"text": "after"}),
            lambda: friend.put(f"{path}/reactions/%F0%9F%A6%86"),
            lambda: friend.post(f"/conversations/{conversation}/messages", {"text": "after"}),
            lambda: friend.delete(path),
        ]
        with ThreadPoolExecutor(len(doing)) as threads:
            answers = [threads.submit(action) for action in doing]
            time.sleep(0.5)
            assert not any(answer.done() for answer in answers)
            # WHEN it commits THEN whoever waited for it is no member
            removal.commit()
    assert {answer.result().status for answer in answers} == {404}
    assert texts(owner, conversation) == ["before"]
    assert [type for type, _, _ in events_in(conversation)] == ["conversation.created", "message.created"]


def test_given_a_conversation_that_is_locked_then_strangers_wait_for_it_no_longer_than_for_none() -> None:
    owner, stranger = person(), person()
    conversation = group(owner)
    message = say(owner, conversation)["id"]
    with owner_engine().connect() as busy, busy.begin():
        busy.exec_driver_sql("SELECT FROM conversations WHERE id = %s FOR UPDATE", (conversation,))
        busy.exec_driver_sql("SELECT FROM messages WHERE id = %s FOR UPDATE", (message,))
        began = time.perf_counter()
        for answer in (
            stranger.patch(f"/conversations/{conversation}", {"title": "x"}),
            stranger.post(f"/conversations/{conversation}/messages", {"text": "x"}),
            stranger.delete(f"/conversations/{conversation}/members/{owner.id}"),
            stranger.patch(f"/messages/{message}", {"text": "x"}),
            stranger.delete(f"/messages/{message}"),
            stranger.put(f"/messages/{message}/reactions/%F0%9F%A6%86"),
        ):
            assert answer.status == 404, answer
        assert time.perf_counter() - began < 2


def test_given_owners_who_all_leave_at_once_then_the_group_has_one_owner_until_it_is_gone() -> None:
    members = [person() for _ in range(5)]
    conversation = group(members[0], *members[1:])

    def leave(member: Api) -> Callable[[], int]:
        return lambda: member.delete(f"/conversations/{conversation}/members/{member.id}").status

    assert set(at_once(*(leave(member) for member in members[:4]))) == {204}
    [last] = execute("SELECT user_id, role FROM conversation_members WHERE conversation_id = %(c)s", c=conversation)
    assert (last.user_id, last.role) == (members[4].id, "owner")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["say", "say", "say", "read", "delete", "leave", "join"]), st.integers(0, 2), st.integers(0, 30)
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_given_any_order_of_messages_readings_and_deletions_then_unread_is_what_brute_force_counts(
    stack: object, steps: list[tuple[str, int, int]]
) -> None:
    people = [person() for _ in range(3)]
    owner = person()
    conversation = group(owner, *people)
    may_send_on(owner)
    said: list[dict[str, Any]] = []  # id, who, deleted
    position = dict.fromkeys(range(3), -1)
    inside = {0, 1, 2}
    path = f"/conversations/{conversation}"
    for step, who, what in steps:
        client = people[who]
        if step == "leave" and who in inside:
            assert client.delete(f"{path}/members/{client.id}").status == 204
            inside.remove(who)
        elif step == "join" and who not in inside:
            assert owner.post(f"{path}/members", {"user_id": str(client.id)}).status == 200
            inside.add(who)
            position[who] = len(said) - 1
        elif who not in inside:
            continue
        elif step == "say":
            said.append({"id": say(client, conversation)["id"], "who": who, "deleted": False})
            position[who] = len(said) - 1
        elif step == "read" and said:
            n = what % len(said)
            assert client.put(f"{path}/read", {"message_id": said[n]["id"]}).status == 200
            position[who] = max(position[who], n)
        elif step == "delete" and said and said[what % len(said)]["who"] == who:
            assert client.delete(f"/messages/{said[what % len(said)]['id']}").status == 204
            said[what % len(said)]["deleted"] = True
    for who in inside:
        expected = sum(1 for n, m in enumerate(said) if n > position[who] and m["who"] != who and not m["deleted"])
        assert unread(people[who], conversation) == expected
        summary = {"conversations": int(expected > 0), "messages": expected}
        assert people[who].get("/conversations/unread").json() == summary
