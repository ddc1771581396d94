"""Tickets, connections and the frames clients send: real handlers behind a real WebSocket."""

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from functions.realtime import queries
from functions.realtime.queries import MOST
from infra.local.events import websocket_event
from infra.local.invocation import invoke
from tests.support.api import PASSWORD, Api
from tests.support.conversing import direct, group, say
from tests.support.people import person
from tests.support.sockets import Answering, Socket, broadcast, connections_of, settle, ticket_of
from tests.support.statements import counted, execute

pytestmark = pytest.mark.usefixtures("one_connection")

Connect = Callable[[Api], Socket]
MISSING = "01900000-0000-7000-8000-000000000000"


def refused(client: Api, ticket: dict[str, Any]) -> int:
    """The status a connection with this ticket is refused with."""
    with pytest.raises(InvalidStatus) as caught:
        Socket(client, ticket)
    response = caught.value.response
    assert response.headers["content-type"] == "application/problem+json"
    assert "ticket" in json.loads(response.body or b"")["detail"]
    return response.status_code


def test_given_two_people_when_one_says_something_then_both_hear_it_at_once(connected: Connect) -> None:
    ann, ben = person(), person()
    talk = direct(ann, ben)
    broadcast()
    ann_socket, ben_socket = connected(ann), connected(ben)
    message = say(ann, talk, "Hello")
    assert broadcast() == []
    for socket in (ann_socket, ben_socket):
        [event] = socket.wait("events")["events"]
        assert (event["type"], event["subject_id"]) == ("message.created", message["id"])
        assert event["actor_id"] == str(ann.id)
        assert event["data"]["conversation_id"] == talk


def test_given_a_ticket_then_it_says_where_to_connect_and_how_long_it_is_good(realtime: str) -> None:
    made = ticket_of(person())
    assert made["url"] == realtime.replace("http", "ws") + "/realtime"
    assert len(made["ticket"]) > 40
    [row] = execute("SELECT * FROM one_time_tokens WHERE purpose = 'realtime_ticket' ORDER BY created_at DESC LIMIT 1")
    assert made["ticket"].encode() not in row.hash
    assert 29 < (row.expires_at - row.created_at).total_seconds() < 31


def test_given_a_ticket_that_was_used_when_used_again_then_refused_and_the_connection_stays(connected: Connect) -> None:
    ann = person()
    ticket = ticket_of(ann)
    first = Socket(ann, ticket)
    assert refused(ann, ticket) == 401
    assert first.ask("ping") == {"type": "pong"}
    assert len(connections_of(ann)) == 1
    first.close()


@pytest.mark.parametrize("ticket", ["", "garbage", "%00", "x" * 5000])
def test_given_no_such_ticket_then_refused(realtime: str, ticket: str) -> None:
    url = realtime.replace("http", "ws") + "/realtime"
    assert refused(Api(), {"url": url, "ticket": ticket}) == 401


def test_given_an_expired_ticket_then_refused(realtime: str) -> None:
    ann = person()
    ticket = ticket_of(ann)
    execute("UPDATE one_time_tokens SET expires_at = now() - interval '1 s' WHERE user_id = %(id)s", id=ann.id)
    assert refused(ann, ticket) == 401


def test_given_a_ticket_of_a_session_that_has_ended_then_refused(realtime: str) -> None:
    ann = person()
    ticket = ticket_of(ann)
    assert ann.post("/auth/logout").status == 204
    assert refused(ann, ticket) == 401
    assert connections_of(ann) == []


def test_given_a_mailed_token_then_it_is_no_ticket(realtime: str) -> None:
    from tests.support.world import World

    world = World()
    ticket = {"url": realtime.replace("http", "ws") + "/realtime", "ticket": world.mailed("password_reset")}
    assert refused(world.owner, ticket) == 401


def test_given_a_connection_when_it_ends_then_its_row_is_gone(connected: Connect) -> None:
    ann = person()
    socket = connected(ann)
    assert len(connections_of(ann)) == 1
    socket.close()
    deadline = time.monotonic() + 5
    while connections_of(ann):
        assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("text", "code", "pointer"),
    [
        ("", "invalid", ""),
        ("garbage", "invalid", ""),
        ("[1]", "invalid", ""),
        ('"ping"', "invalid", ""),
        ("null", "invalid", ""),
        ("{}", "invalid", "/action"),
        ('{"action": "shout"}', "unknown_action", "/action"),
        ('{"action": 7}', "unknown_action", "/action"),
        ('{"action": {"a": []}}', "unknown_action", "/action"),
        ('{"action": "ping", "more": 1}', "invalid", "/more"),
        ('{"action": "ping", "a/b~c": 1}', "invalid", "/a~1b~0c"),
        ('{"action": "ping", "' + "x" * 30_000 + '": 1}', "invalid", "/" + "x" * 199),
        ('{"action": "ping", "id": "what is it?"}', "invalid", "/id"),
        ('{"action": "typing"}', "invalid", "/conversation_id"),
        ('{"action": "typing", "conversation_id": "x"}', "invalid", "/conversation_id"),
        (f'{{"action": "typing", "conversation_id": "{MISSING}", "typing": 9}}', "invalid", "/typing"),
        ('{"action": "presence", "status": "dead"}', "invalid", "/status"),
        ('{"action": "replay"}', "invalid", "/after"),
        ('{"action": "replay", "after": "yesterday"}', "invalid", "/after"),
        ('{"action": "replay", "after": "\\u0000"}', "invalid", "/after"),
        ('{"action": "replay", "after": "' + "x" * 300 + '"}', "invalid", "/after"),
        ("[" * 20000, "invalid", ""),
    ],
)
def test_given_a_malformed_frame_then_an_error_says_where_and_the_connection_goes_on(
    connected: Connect, text: str, code: str, pointer: str
) -> None:
    socket = connected(person())
    socket.send_text(text)
    error = socket.wait("error")
    assert (error["code"], error.get("pointer")) == (code, pointer)
    assert error["detail"].endswith(".")
    assert socket.ask("ping") == {"type": "pong"}


@pytest.mark.parametrize(("frame", "code"), [("x" * 32_769, 1009), ("x" * 1_000_000, 1009), (b"ping", 1003)])
def test_given_a_frame_the_gateway_does_not_take_then_closed_with_a_reason_and_nobody_else_notices(
    connected: Connect, frame: Any, code: int
) -> None:
    ann, ben = person(), person()
    talk = direct(ann, ben)
    broadcast()
    rude, quiet = connected(ann), connected(ben)
    rude.send_text(frame)
    got, reason = rude.closed()
    assert (got, bool(reason)) == (code, True)
    say(ann, talk)
    broadcast()
    assert [type for type, _ in quiet.heard()] == ["message.created"]


def test_given_a_thousand_frames_at_once_then_an_error_and_closed_and_others_chat_on(connected: Connect) -> None:
    ann, ben, eve = person(), person(), person()
    talk = direct(ann, ben)
    broadcast()
    flooding, one, other = connected(eve), connected(ann), connected(ben)
    for _ in range(1000):
        flooding.send("ping")
    say(ann, talk)
    broadcast()
    assert one.wait("events")
    assert other.wait("events")
    flooding.closed(20)
    assert flooding.frames[-1]["code"] == "rate_limited"
    # What was being answered when it was closed is lost.
    assert 190 < len([frame for frame in flooding.frames if frame["type"] == "pong"]) <= 200
    assert connections_of(eve) == []


def test_given_one_person_s_devices_that_send_too_much_together_then_closed(connected: Connect) -> None:
    ann = person()
    sockets = [connected(ann) for _ in range(3)]
    for socket in sockets:
        for _ in range(150):
            socket.send("ping")
    settle(lambda: len(connections_of(ann)) < 3, True)


def test_given_as_many_devices_as_one_person_has_when_another_connects_then_it_replaces_the_one_silent_for_longest(
    connected: Connect,
) -> None:
    ann, ben = person(), person()
    silent, *others = (connected(ann) for _ in range(MOST))
    stranger = connected(ben)
    for socket in others:
        socket.ask("ping")
    new = connected(ann)
    assert silent.wait("error")["code"] == "replaced"
    assert silent.closed()[0] == 1000
    assert len(connections_of(ann)) == MOST
    for socket in (new, stranger, *others):
        assert socket.ask("ping") == {"type": "pong"}


def test_given_a_frame_with_an_id_then_its_answer_has_it(connected: Connect) -> None:
    socket = connected(person())
    for action, more in (("ping", {}), ("presence", {}), ("replay", {"after": "start"}), ("typing", {"typing": 9})):
        assert socket.ask(action, id=f"my-{action}", **more)["id"] == f"my-{action}"
    assert socket.ask("shout", id="x")["id"] == "x"
    assert "id" not in socket.ask("ping")


def test_given_somebody_who_asks_all_the_time_then_slow_down(connected: Connect) -> None:
    socket = connected(person())
    for n in range(60):
        assert socket.ask("presence")["type"] == "people"
        assert socket.ask("replay", after="latest")["type"] == "replayed", n
    for action, more in (("presence", {}), ("replay", {"after": "latest"})):
        assert socket.ask(action, **more)["code"] == "slow_down"
    assert socket.ask("ping") == {"type": "pong"}


def test_given_a_connection_that_is_unknown_when_a_frame_comes_then_to_be_made_anew(connected: Connect) -> None:
    ann = person()
    socket = connected(ann)
    execute("DELETE FROM connections WHERE user_id = %(id)s", id=ann.id)
    socket.send("ping")
    assert socket.wait("error")["code"] == "reconnect"
    assert socket.closed()[0] == 1000
    assert ann.get("/users/me").status == 200


def test_given_somebody_who_connects_then_nothing_is_posted_before_they_are(
    connected: Connect, managed: Callable[[Answering], None]
) -> None:
    ann, ben = person(), person()
    direct(ann, ben)
    connected(ann).ask("ping")
    ticket = ticket_of(ben)
    asked: list[str] = []

    def answering(method: str, _: str) -> int:
        asked.append(method)
        return 200

    managed(answering)
    event = websocket_event("CONNECT", "bens=", query=f"ticket={ticket['ticket']}")
    assert invoke("realtime", event)["statusCode"] == 200
    assert asked == []
    invoke("realtime", websocket_event("MESSAGE", "bens=", body='{"action": "ping"}'))
    assert asked == ["POST"]


def test_given_a_stranger_when_they_type_then_no_connection_is_looked_for(connected: Connect) -> None:
    ann, stranger = person(), person()
    talk = group(ann, person())

    def plan(caller: Api) -> str:
        params = {"conversation_id": talk, "caller": caller.id}
        return "\n".join(row[0] for row in execute(f"EXPLAIN (ANALYZE) {queries._OTHERS}", **params))

    never = re.compile(r"conversation_members m .*\(never executed\)")
    assert not never.search(plan(ann))
    assert never.search(plan(stranger)), plan(stranger)


def end_here(client: Api) -> None:
    assert client.post("/auth/logout").status == 204


def change_password(client: Api) -> None:
    new = {"current_password": PASSWORD, "new_password": "another good phrase 42 indeed"}
    assert client.post("/auth/password", new).status == 204


def disable(client: Api) -> None:
    assert person("admin").put(f"/users/{client.id}", {"status": "disabled"}).status == 200


def purge(client: Api) -> None:
    assert person("admin").delete(f"/users/{client.id}", query=[("purge", "true")]).status == 204


def reuse_refresh_token(client: Api) -> None:
    from functions.auth.refresh import refresh_token
    from quintet.identity.keys import token_keys

    [row] = execute("UPDATE sessions SET counter = 5 WHERE user_id = %(id)s RETURNING id", id=client.id)
    token = refresh_token(token_keys()[0], row.id, 1)
    assert client.post("/auth/refresh", {"refresh_token": token}).status == 401


@pytest.mark.parametrize("end", [end_here, change_password, disable, purge, reuse_refresh_token])
def test_given_a_session_when_it_ends_then_its_connection_is_closed(
    connected: Connect, end: Callable[[Api], None]
) -> None:
    ann = person()
    socket = connected(ann)
    end(ann)
    broadcast()
    assert socket.closed()[0] == 1000
    assert connections_of(ann) == []


def test_given_several_devices_when_the_others_are_signed_out_then_only_they_are_closed(connected: Connect) -> None:
    ann = Api().register()
    phone = Api().sign_in(ann.user["email"])
    here, there = connected(ann), connected(phone)
    sessions = {item["id"]: item["current"] for item in ann.get("/sessions").json()["items"]}
    [other] = [id for id, current in sessions.items() if not current]
    assert ann.delete(f"/sessions/{other}").status == 204
    broadcast()
    assert there.closed()[0] == 1000
    assert here.ask("ping") == {"type": "pong"}
    assert ("session.ended", other) in here.heard()


def test_given_every_key_revoked_then_every_connection_is_closed(connected: Connect) -> None:
    sockets = [connected(person()) for _ in range(3)]
    execute("UPDATE sessions SET revoked_at = now() WHERE revoked_at IS NULL")
    from quintet.db.session import writing
    from quintet.events.record import SYSTEM, record
    from quintet.events.types import EventType

    with writing() as session:
        record(session, EventType.SIGNING_KEY_REVOKED, subject=None, scope=SYSTEM)
    broadcast()
    assert [socket.closed()[0] for socket in sockets] == [1000, 1000, 1000]
    assert all(frame["type"] != "events" for socket in sockets for frame in socket.frames)


def test_given_a_session_that_ended_unheard_when_a_frame_comes_then_an_error_and_closed(connected: Connect) -> None:
    ann = person()
    socket = connected(ann)
    execute("UPDATE sessions SET expires_at = now() WHERE user_id = %(id)s", id=ann.id)
    socket.send("ping")
    assert socket.wait("error")["code"] == "signed_out"
    assert socket.closed()[0] == 1000


def test_given_a_member_when_they_type_then_the_others_are_told_and_nobody_else(connected: Connect) -> None:
    ann, ben, cat, stranger = (person() for _ in range(4))
    talk = group(ann, ben, cat)
    typist, one, other, nobody = (connected(client) for client in (ann, ben, cat, stranger))
    typist.send("typing", conversation_id=talk)
    said = {"type": "typing", "conversation_id": talk, "user_id": str(ann.id), "expires_in": 6}
    assert one.wait("typing") == other.wait("typing") == said
    typist.send("typing", conversation_id=talk, typing=False)
    assert one.wait("typing") == said | {"expires_in": 0}
    for socket in (typist, nobody):
        assert all(frame["type"] != "typing" for frame in socket.all())
    assert execute("SELECT FROM events WHERE type LIKE 'typing%%' OR type LIKE 'presence%%'") == []


def test_given_no_member_when_they_type_then_it_looks_like_no_conversation(connected: Connect) -> None:
    ann, ben, stranger = (person() for _ in range(3))
    talk = group(ann, ben)
    socket, member = connected(stranger), connected(ben)
    hidden, missing = (socket.ask("typing", conversation_id=id) for id in (talk, MISSING))
    assert hidden == missing
    assert hidden["code"] == "not_found"
    ann.delete(f"/conversations/{talk}/members/{ben.id}")
    assert member.ask("typing", conversation_id=talk) == missing


@pytest.mark.parametrize(
    ("action", "more", "statements"),
    [("ping", {}, 2), ("presence", {}, 4), ("replay", {"after": "latest"}, 4), ("typing", {}, 4)],
)
def test_given_a_frame_then_it_costs_few_statements(
    connected: Connect, action: str, more: dict[str, str], statements: int
) -> None:
    ann = person()
    if action == "typing":
        more = {"conversation_id": direct(ann, person())}
    connected(ann).ask("ping")  # which is noted
    [id] = connections_of(ann)
    frame = websocket_event("MESSAGE", id, body=json.dumps({"action": action, **more}))
    with counted() as sent:
        invoke("realtime", frame)
    assert len(sent) == statements, sent


def test_given_somebody_who_types_all_the_time_then_others_are_told_now_and_then(connected: Connect) -> None:
    ann, ben = person(), person()
    talk = direct(ann, ben)
    socket, other = connected(ann), connected(ben)
    for _ in range(70):
        socket.send("typing", conversation_id=talk)
    assert socket.wait("error")["code"] == "slow_down"
    assert socket.ask("ping")
    time.sleep(0.5)
    assert len([frame for frame in other.all() if frame["type"] == "typing"]) == 60


def test_given_a_frame_of_nobody_then_nothing_happens(realtime: str) -> None:
    event = websocket_event("MESSAGE", "nobody=", body='{"action": "ping"}')
    assert invoke("realtime", event) == {"statusCode": 200}
