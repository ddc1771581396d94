"""What happens reaches those who may see it at that moment, and nobody else. Real connections throughout."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import boto3
import pytest
from sqlalchemy.orm import Session

from infra.local.events import sqs_event
from infra.local.invocation import invoke
from quintet import aws
from quintet.db.engine import owner_engine
from quintet.db.partitions import uuid_at
from quintet.db.session import writing
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.feed.position import Position
from quintet.realtime.sockets import post
from tests.support.api import Api
from tests.support.campaigning import agent, assign, created
from tests.support.conversing import direct, group, say
from tests.support.people import person
from tests.support.sockets import Answering, Socket, broadcast, connections_of, queued, settle
from tests.support.statements import counted, execute
from tests.support.world import form

pytestmark = pytest.mark.usefixtures("one_connection")

Connect = Callable[[Api], Socket]


@dataclass
class Case:
    """Something of `owner`'s that `member` takes part in, and `removed` no more."""

    owner: Api
    member: Api
    removed: Api
    id: str


def talking(owner: Api, member: Api, removed: Api) -> Case:
    talk = group(owner, member, removed)
    assert owner.delete(f"/conversations/{talk}/members/{removed.id}").status == 204
    return Case(owner, member, removed, talk)


def working(owner: Api, member: Api, removed: Api) -> Case:
    id = owner.post("/projects", {"title": "A project"}).json()["id"]
    for who in (member, removed):
        assert owner.put(f"/projects/{id}/members/{who.id}", {"role": "editor"}).status < 300
    assert owner.delete(f"/projects/{id}/members/{removed.id}").status == 204
    return Case(owner, member, removed, id)


def campaigning(owner: Api, member: Api, removed: Api) -> Case:
    id = created(owner)["id"]
    agents = [agent(member), agent(removed)]
    assign(owner, id, *agents)
    assert owner.delete(f"/campaigns/{id}/agents/{agents[1]}").status == 204
    return Case(owner, member, removed, id)


def said(case: Case) -> str:
    return str(say(case.owner, case.id)["id"])


def edited(case: Case) -> None:
    assert case.owner.put(f"/messages/{said(case)}", {"text": "Better"}).status == 200


def taken_back(case: Case) -> None:
    assert case.owner.delete(f"/messages/{said(case)}").status == 204


def reacted(case: Case) -> None:
    path = f"/messages/{said(case)}/reactions/%F0%9F%A6%86"
    assert case.member.put(path).status < 300
    assert case.member.delete(path).status == 204


def read(case: Case) -> None:
    message = said(case)
    assert case.member.put(f"/conversations/{case.id}/read", {"message_id": message}).status == 200


def titled(case: Case) -> None:
    assert case.owner.put(f"/conversations/{case.id}", {"title": "Another"}).status == 200


def joined(case: Case) -> None:
    assert case.owner.post(f"/conversations/{case.id}/members", {"user_ids": [str(person().id)]}).status == 200


def project_changed(case: Case) -> None:
    assert case.member.put(f"/projects/{case.id}", {"title": "Another"}).status == 200


def folder_made(case: Case) -> None:
    assert case.member.post("/folders", {"project_id": case.id, "name": "Plans"}).status == 201


def file_uploaded(case: Case) -> None:
    assert case.member.post("/files", **form(project_id=case.id)).status == 201


def campaign_changed(case: Case) -> None:
    assert case.owner.put(f"/campaigns/{case.id}", {"name": "Another"}).status == 200


HAPPENS: dict[str, tuple[Callable[[Api, Api, Api], Case], Callable[[Case], Any]]] = {
    "message.created": (talking, said),
    "message.updated": (talking, edited),
    "message.removed": (talking, taken_back),
    "message.reaction_added": (talking, reacted),
    "message.reaction_removed": (talking, reacted),
    "message.read": (talking, read),
    "conversation.updated": (talking, titled),
    "conversation.member_added": (talking, joined),
    "project.updated": (working, project_changed),
    "folder.created": (working, folder_made),
    "file.upload_requested": (working, file_uploaded),
    "campaign.updated": (campaigning, campaign_changed),
}
"""Type -> who is there, and what they do."""


@pytest.mark.parametrize("type", HAPPENS)
def test_given_something_that_happens_then_those_who_take_part_hear_it_and_nobody_else(
    connected: Connect, type: str
) -> None:
    people = [person() for _ in range(3)]
    arrange, act = HAPPENS[type]
    case = arrange(*people)
    broadcast()
    owner, member, removed, stranger, admin = (connected(who) for who in (*people, person(), person("admin")))
    act(case)
    assert broadcast() == []
    heard = {
        name: {type for type, _ in socket.heard()}
        for name, socket in {
            "owner": owner,
            "member": member,
            "removed": removed,
            "stranger": stranger,
            "admin": admin,
        }.items()
    }
    assert type in heard["owner"]
    assert type in heard["member"]
    assert heard["removed"] == heard["stranger"] == heard["admin"] == set()


def test_given_every_live_event_type_then_nobody_gets_one_by_another_way() -> None:
    """What is queued for people is of a scope that has readers; the rest closes connections."""
    from quintet.events.types import DELIVERED_TO

    live = {type for type, queues in DELIVERED_TO.items() if "realtime" in queues}
    assert {"message.created", "file.ready", "project.member_removed", "session.ended"} <= live
    assert not any(type.startswith(("signing_key.rotated", "session.started", "role.")) for type in live)


def test_given_a_member_when_removed_then_they_hear_that_and_nothing_after(connected: Connect) -> None:
    ann, ben, cat = (person() for _ in range(3))
    talk = group(ann, ben, cat)
    broadcast()
    leaver, stayer = connected(ben), connected(cat)
    before = say(ann, talk, "All of you")
    broadcast()
    ann.delete(f"/conversations/{talk}/members/{ben.id}")
    after = say(ann, talk, "Without Ben")
    broadcast()
    assert leaver.heard() == [("message.created", before["id"]), ("conversation.member_removed", talk)]
    assert ("message.created", after["id"]) in stayer.heard()
    events = leaver.ask("replay", after="start")["events"]
    assert {event["scope"] for event in events} == {f"user:{ben.id}"}


def test_given_a_message_before_a_removal_when_handed_on_after_it_then_the_removed_get_nothing(
    connected: Connect,
) -> None:
    ann, ben = person(), person()
    talk = group(ann, ben)
    broadcast()
    leaver = connected(ben)
    say(ann, talk)
    ann.delete(f"/conversations/{talk}/members/{ben.id}")
    broadcast()
    assert [type for type, _ in leaver.heard()] == ["conversation.member_removed"]


def test_given_many_messages_in_one_batch_then_each_connection_gets_one_frame(connected: Connect) -> None:
    ann, ben = person(), person()
    one, other = direct(ann, ben), group(ann, ben)
    broadcast()
    socket = connected(ben)
    ids = [say(ann, talk)["id"] for talk in (one, other) for _ in range(4)]
    broadcast()
    assert sorted(str(subject) for _, subject in socket.heard()) == sorted(ids)
    assert len([frame for frame in socket.frames if frame["type"] == "events"]) == 1


def test_given_large_events_then_frames_stay_small_and_nothing_is_lost(connected: Connect) -> None:
    ann = person()
    socket = connected(ann)
    with writing() as session:
        ids = [
            str(
                record(
                    session,
                    EventType.PROJECT_UPDATED,
                    subject=ann.id,
                    scope=scope_of("user", ann.id),
                    data={"fields": ["x" * 12_000]},
                )
            )
            for _ in range(9)
        ]
    broadcast()
    socket.all()
    frames = [frame for frame in socket.frames if frame["type"] == "events"]
    assert [event["id"] for frame in frames for event in frame["events"]] == ids
    assert len(frames) == 5
    replayed, after = [], "start"
    while True:
        page = socket.ask("replay", after=after)
        replayed += [event["id"] for event in page["events"]]
        after = page["next_cursor"]
        if not page["more"]:
            break
    assert replayed == ids


def test_given_a_delivery_that_was_done_when_it_comes_again_then_nothing_is_sent(connected: Connect) -> None:
    ann, ben = person(), person()
    talk = direct(ann, ben)
    broadcast()
    socket = connected(ben)
    say(ann, talk)
    messages = queued()
    broadcast(messages)
    broadcast(messages)
    assert len(socket.heard()) == 1


def test_given_a_broadcaster_that_died_when_its_lease_is_over_then_every_frame_arrives(connected: Connect) -> None:
    ann, ben = person(), person()
    talk = direct(ann, ben)
    broadcast()
    socket = connected(ben)
    ids = [say(ann, talk)["id"] for _ in range(3)]
    messages = queued()
    # GIVEN one that claimed the deliveries and is no more
    claim = (
        "UPDATE deliveries SET lease_until = now() + interval '{} s' WHERE destination = 'realtime' AND done_at IS NULL"
    )
    execute(claim.format(50))
    broadcast(messages)
    assert socket.heard() == []
    # WHEN the lease is over, and the queue or the dispatcher brings them again
    execute(claim.format(-1))
    assert broadcast(messages) == []
    assert [subject for _, subject in socket.heard()] == ids


def test_given_a_batch_with_nonsense_in_it_then_only_that_comes_again(connected: Connect) -> None:
    ann, ben = person(), person()
    talk = direct(ann, ben)
    broadcast()
    socket = connected(ben)
    say(ann, talk)
    event = sqs_event(
        "realtime", ["{", {"event_id": "x", "destination": "realtime"}, {"destination": "email"}, *queued()]
    )
    failed = [failure["itemIdentifier"] for failure in invoke("realtime_broadcaster", event)["batchItemFailures"]]
    assert failed == [message["messageId"] for message in event["Records"][:3]]
    assert len(socket.heard()) == 1


def test_given_a_connection_that_is_gone_when_something_happens_then_it_is_forgotten_and_others_are_told(
    connected: Connect,
) -> None:
    ann, ben, cat = (person() for _ in range(3))
    talk = group(ann, ben, cat)
    broadcast()
    socket = connected(ann)
    execute(
        "INSERT INTO connections (id, user_id, session_id, connected_at)"
        " SELECT 'gone=' || id, user_id, id, now() - interval '1 minute' FROM sessions WHERE user_id = %(id)s",
        id=ben.id,
    )
    say(ann, talk)
    broadcast()
    assert socket.wait("presence")["status"] == "offline"
    assert connections_of(ben) == []
    assert len(socket.heard()) == 1


def test_given_a_connection_just_begun_when_the_gateway_does_not_know_it_yet_then_it_is_kept(
    stack: object, realtime: str
) -> None:
    ann = person()
    talk = group(ann)
    execute(
        "INSERT INTO connections (id, user_id, session_id)"
        " SELECT 'new=' || id, user_id, id FROM sessions WHERE user_id = %(id)s",
        id=ann.id,
    )
    say(ann, talk)
    broadcast()
    assert len(connections_of(ann)) == 1


def test_given_a_writer_that_commits_late_when_a_client_replays_past_it_then_it_is_not_skipped(
    connected: Connect,
) -> None:
    ann = person()
    socket = connected(ann)
    cursor = socket.ask("replay", after="latest")["next_cursor"]

    def write(session: Session) -> str:
        scope = scope_of("user", ann.id)
        return str(record(session, EventType.PROJECT_UPDATED, subject=ann.id, scope=scope))

    with Session(owner_engine()) as late, Session(owner_engine()) as quick:
        slow, fast = write(late), write(quick)
        quick.commit()
        # THEN what is committed comes at once, and the cursor stays before both
        held = socket.ask("replay", after=cursor)
        assert ([event["id"] for event in held["events"]], held["more"]) == ([fast], False)
        late.commit()
    page = socket.ask("replay", after=held["next_cursor"])
    assert [event["id"] for event in page["events"]] == [slow, fast]
    positions = [event["position"] for event in page["events"]]
    assert positions == sorted(positions)
    assert socket.ask("replay", after=page["next_cursor"])["events"] == []


def test_given_a_cursor_then_frame_and_feed_take_the_same_and_give_the_same(connected: Connect) -> None:
    ann, ben = person(), person()
    talk = direct(ann, ben)
    for n in range(7):
        say(ann, talk, str(n))
    socket = connected(ben)
    feed = ben.get("/events", query=[("after", "start"), ("limit", "3")]).json()
    rest = socket.ask("replay", after=feed["next_cursor"])
    whole = ben.get("/events", query=[("after", "start")]).json()
    without_ip = [{**event, "ip": None} for event in whole["items"]]
    assert [{**event, "ip": None} for event in feed["items"]] + rest["events"] == without_ip
    after = ben.get("/events", query=[("after", rest["next_cursor"])]).json()
    assert after["items"] == []


def test_given_a_cursor_past_retention_then_gone(connected: Connect) -> None:
    old = Position(5, uuid_at(datetime(2024, 1, 1, tzinfo=UTC)))
    assert connected(person()).ask("replay", after=str(old))["code"] == "gone"


def test_given_who_may_read_everything_when_they_replay_then_they_get_what_they_take_part_in(
    connected: Connect,
) -> None:
    admin, ann = person("admin"), person()
    group(ann)
    assert connected(admin).ask("replay", after="start")["events"] == []


def presences(socket: Socket, of: Api) -> list[str]:
    return [f["status"] for f in socket.all() if f["type"] == "presence" and f["user_id"] == str(of.id)]


def test_given_several_devices_then_presence_is_that_of_the_best(connected: Connect) -> None:
    ann, ben, stranger = (person() for _ in range(3))
    direct(ann, ben)
    watcher, nobody = connected(ann), connected(stranger)
    phone = connected(ben)
    assert phone.ask("typing", conversation_id=str(stranger.id))["code"] == "not_found"
    assert presences(watcher, ben) == []
    phone.ask("ping")
    settle(lambda: presences(watcher, ben), ["online"])
    laptop = connected(ben)
    laptop.ask("ping")
    phone.ask("presence", status="away")
    assert presences(watcher, ben) == ["online"], "which is still how they are"
    laptop.ask("presence", status="away")
    settle(lambda: presences(watcher, ben)[-1], "away")
    phone.ask("presence", status="online")
    settle(lambda: presences(watcher, ben)[-1], "online")
    phone.close()
    settle(lambda: presences(watcher, ben)[-1], "away")
    people = watcher.ask("presence")["people"]
    assert [(person["user_id"], person["status"]) for person in people] == [(str(ben.id), "away")]
    laptop.close()
    settle(lambda: presences(watcher, ben)[-1], "offline")
    assert watcher.ask("presence")["people"] == []
    assert presences(nobody, ben) == []
    assert nobody.ask("presence")["people"] == []


def test_given_devices_that_leave_together_then_it_is_seen(connected: Connect) -> None:
    ann, ben = person(), person()
    direct(ann, ben)
    watcher = connected(ann)
    for _ in range(5):
        devices = [connected(ben) for _ in range(3)]
        for device in devices:
            device.ask("ping")
        settle(lambda: presences(watcher, ben)[-1], "online")
        for device in devices:
            device.close()
        settle(lambda: connections_of(ben), [])
        settle(lambda: presences(watcher, ben)[-1], "offline")


def test_given_a_large_group_then_coming_is_not_announced_and_can_be_asked_about(connected: Connect) -> None:
    ann, ben = person(), person()
    group(ann, ben, *(person() for _ in range(20)))
    watcher = connected(ann)
    connected(ben).ask("ping")
    assert presences(watcher, ben) == []
    assert [one["user_id"] for one in watcher.ask("presence")["people"]] == [str(ben.id)]


def test_given_a_ping_now_and_then_when_nothing_changes_then_the_row_is_rarely_written(connected: Connect) -> None:
    ann = person()
    socket = connected(ann)

    def last_seen() -> Any:
        return execute("SELECT last_seen_at FROM connections WHERE user_id = %(id)s", id=ann.id)[0].last_seen_at

    socket.ask("ping")
    first = last_seen()
    socket.ask("ping")
    assert last_seen() == first
    execute("UPDATE connections SET last_seen_at = now() - interval '31 s' WHERE user_id = %(id)s", id=ann.id)
    socket.ask("ping")
    assert last_seen() > first


def test_given_a_frame_of_events_then_its_id_is_that_of_the_log(connected: Connect) -> None:
    ann = person()
    talk = group(ann)
    broadcast()
    socket = connected(ann)
    say(ann, talk)
    broadcast()
    [event] = socket.wait("events")["events"]
    [row] = execute(
        "SELECT transaction_id::text AS xid, scope, data FROM events WHERE id = %(id)s", id=UUID(event["id"])
    )
    assert event["position"] == f"{int(row.xid):016x}-{event['id']}"
    assert (event["scope"], event["data"], event["ip"]) == (row.scope, row.data, None)


def test_given_more_than_a_page_held_back_by_a_late_writer_then_a_client_that_goes_on_asking_gets_everything(
    connected: Connect,
) -> None:
    ann = person()
    socket = connected(ann)
    cursor = socket.ask("replay", after="latest")["next_cursor"]

    def write(session: Session, times: int) -> list[str]:
        scope = scope_of("user", ann.id)
        return [str(record(session, EventType.PROJECT_UPDATED, subject=ann.id, scope=scope)) for _ in range(times)]

    with Session(owner_engine()) as late, Session(owner_engine()) as quick:
        slow, fast = write(late, 1), write(quick, 150)
        quick.commit()
        held = socket.ask("replay", after=cursor)
        assert 0 < len(held["events"]) <= 100
        seen, after = pages(socket, cursor)
        assert seen == fast, "each once, though the late one is still open"
        # WHEN they are asked for one by one, and the connection breaks after the first THEN the next begins again
        anew = connected(ann)
        assert pages(anew, held["next_cursor"])[0] == fast
        # THEN the feed, which waits, takes that cursor as well
        feed = ann.get("/events", query=[("after", held["next_cursor"])]).json()
        assert feed["items"] == []
        late.commit()
    for cursor in (after, feed["next_cursor"]):
        assert pages(socket, cursor)[0] == slow + fast


def test_given_a_cursor_in_two_parts_that_is_none_of_ours_then_invalid_or_gone(connected: Connect) -> None:
    socket = connected(person())
    now, old = (str(Position(5, uuid_at(at))) for at in (datetime.now(UTC), datetime(2024, 1, 1, tzinfo=UTC)))
    for after, code in ((now + "x", "invalid"), (now + now[:-4], "invalid"), (3 * now, "invalid"), (old + now, "gone")):
        assert socket.ask("replay", after=after)["code"] == code


def test_given_what_is_not_told_as_it_happens_then_a_replay_does_not_tell_it_either(connected: Connect) -> None:
    ann = person()
    socket = connected(ann)
    talk = direct(ann, person())
    say(ann, talk)
    ann.put("/users/me", {"full_name": "Another"})
    broadcast()
    live = {id for frame in socket.all() if frame["type"] == "events" for id in [e["id"] for e in frame["events"]]}
    replayed = socket.ask("replay", after="start")
    assert live == {event["id"] for event in replayed["events"]} != set()
    kept = {event["type"] for event in ann.get("/events", query=[("after", "start")]).json()["items"]}
    assert {"account.updated", "message.created"} <= kept
    # AND one page of it moves the cursor past what it does not show
    with writing() as session:
        for _ in range(150):
            record(session, EventType.ACCOUNT_UPDATED, subject=ann.id, scope=scope_of("user", ann.id))
        last = record(session, EventType.PROJECT_UPDATED, subject=ann.id, scope=scope_of("user", ann.id))
    assert pages(socket, replayed["next_cursor"])[0] == [str(last)]


def pages(socket: Socket, after: str) -> tuple[list[str], str]:
    """The ids of all that comes, page by page, and the cursor behind that."""
    ids: list[str] = []
    while True:
        page = socket.ask("replay", after=after)
        ids += [event["id"] for event in page["events"]]
        after = page["next_cursor"]
        if not page["more"]:
            return ids, after


# --- connections that do not answer ---------------------------------------------------------------------


def pretend(client: Api, *ids: str) -> None:
    """Connections that somebody had for a minute, as far as the database knows."""
    for id in ids:
        execute(
            "INSERT INTO connections (id, user_id, session_id, connected_at)"
            " SELECT %(connection)s, user_id, id, now() - interval '1 minute' FROM sessions WHERE user_id = %(id)s",
            connection=id,
            id=client.id,
        )


def test_given_an_ended_session_then_its_row_goes_when_its_socket_has_gone(
    stack: object, managed: Callable[[Answering], None]
) -> None:
    ann = person()
    broadcast()
    pretend(ann, "shut=", "stuck=")
    rows: list[list[str]] = []
    stuck = True

    def answering(method: str, id: str) -> int:
        assert method == "DELETE"
        rows.append(connections_of(ann))
        return 500 if id == "stuck=" and stuck else 204

    managed(answering)
    assert ann.post("/auth/logout").status == 204
    # THEN of what is being closed the row is there, so that whoever is killed meanwhile does not lose it
    assert len(broadcast()) == 1
    assert rows == [["shut=", "stuck="]] * 2
    # AND what could not be closed is, when it comes again
    assert connections_of(ann) == ["stuck="]
    stuck = False
    assert broadcast() == []
    assert connections_of(ann) == []


def test_given_connections_that_hang_then_others_hear_soon_and_they_are_forgotten(
    stack: object, managed: Callable[[Answering], None]
) -> None:
    ann, ben, *hanging = (person() for _ in range(5))
    talk = group(ann, ben, *hanging)
    broadcast()
    for n, who in enumerate(hanging):
        pretend(who, *(f"a-{n}-{i:02}=" for i in range(15)))
    pretend(ben, "well=")
    heard: list[float] = []
    release = threading.Event()

    def answering(method: str, id: str) -> int:
        if id == "well=":
            heard.append(time.monotonic())
        elif method == "POST":
            release.wait(20)
        return 204 if method == "DELETE" else 200

    managed(answering)
    say(ann, talk)
    began = time.monotonic()
    failed = broadcast()
    took = time.monotonic() - began
    # THEN whoever had no turn gets it when the batch comes again, and that is soon
    assert took < 12
    left = [connections_of(who) for who in hanging]
    assert sum(map(len, left)) <= 5
    assert bool(failed) == any(left)
    release.set()
    assert broadcast() == []
    assert heard[0] - began < 6


def test_given_a_connection_that_can_neither_be_reached_nor_closed_then_it_gets_the_frame_another_time(
    stack: object, managed: Callable[[Answering], None]
) -> None:
    ann, ben = person(), person()
    talk = direct(ann, ben)
    broadcast()
    pretend(ben, "throttled=")
    status = 429
    asked: list[str] = []

    def answering(method: str, _: str) -> int:
        asked.append(method)
        return status

    managed(answering)
    say(ann, talk)
    assert len(broadcast()) == 1
    assert asked == ["POST", "DELETE"]
    assert connections_of(ben) == ["throttled="]
    status = 200
    assert broadcast() == []
    assert asked[2:] == ["POST"]


def test_given_many_connections_at_once_then_one_client_is_made(
    stack: object, managed: Callable[[Answering], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    managed(lambda *_: 200)
    make = boto3.client

    def slowly(*args: Any, **options: Any) -> Any:
        time.sleep(0.1)
        return make(*args, **options)

    monkeypatch.setattr(boto3, "client", slowly)
    post([(str(n), "{}") for n in range(40)])
    assert aws.sockets.cache_info().misses == 1


def test_given_what_does_not_concern_everybody_then_not_every_connection_is_looked_at(connected: Connect) -> None:
    ann = person()
    talk = group(ann)
    broadcast()
    say(ann, talk)
    with counted() as sent:
        broadcast()
    [audience] = [statement for statement in sent if "reached AS" in statement]
    assert "'system'" not in audience


def test_given_a_device_that_went_without_a_word_then_it_is_there_for_twelve_minutes(connected: Connect) -> None:
    ann, ben = person(), person()
    direct(ann, ben)
    watcher, device = connected(ann), connected(ben)
    assert watcher.ask("presence")["people"] == []
    device.ask("ping")
    assert [one["user_id"] for one in watcher.ask("presence")["people"]] == [str(ben.id)]
    silent = "UPDATE connections SET last_seen_at = now() - interval '13 minutes' WHERE user_id = %(id)s"
    execute(silent, id=ben.id)
    assert watcher.ask("presence")["people"] == []
    # WHEN it is there again THEN that is told, and so is its end, however late
    device.ask("ping")
    settle(lambda: presences(watcher, ben), ["online", "online"])
    execute(silent, id=ben.id)
    device.close()
    settle(lambda: presences(watcher, ben), ["online", "online", "offline"])
