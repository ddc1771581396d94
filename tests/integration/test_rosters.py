"""Who takes a course is told to whoever created it, and to each student of themselves: by every way there is."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from quintet.personal import PERSONAL
from tests.support.api import Api
from tests.support.courses import course, enrolled, lesson
from tests.support.notifying import kinds, notified, told
from tests.support.people import person
from tests.support.receiving import receiving, remove_all, subscribe, work_off
from tests.support.sockets import Socket, broadcast
from tests.support.statements import counted, execute

Told = list[tuple[str, str]]


class Class:
    """A course of two seats with a lesson, whose `first` has one, as has `mate`; `next` and `last` wait."""

    def __init__(self) -> None:
        self.owner = person("instructor")
        self.first, self.mate, self.next, self.last, self.late = (person("student") for _ in range(5))
        self.path = course(self.owner, capacity=2)
        self.lesson = lesson(self.owner, self.path)
        enrolled(self.path, self.first, self.mate, self.next, self.last)
        self.people = {name: getattr(self, name) for name in ("owner", "first", "mate", "next", "last", "late")}

    def go_on(self) -> None:
        """All that can become of an enrollment."""
        assert self.first.put(f"{self.path}/lessons/{self.lesson['id']}/completion").status == 200
        assert self.first.delete(f"{self.path}/enroll").status == 204
        asked = {"user_ids": [str(self.late.id)]}
        assert self.owner.post(f"{self.path}/enrollments", asked).json()["items"][0]["status"] == "waitlisted"

    def expected(self) -> dict[str, Told]:
        """Who is to hear of what since `go_on`: type and whose enrollment."""
        completed, removed = (f"enrollment.{what}" for what in ("completed", "removed"))
        of_first = [(completed, str(self.first.id)), (removed, str(self.first.id))]
        of_next = [("enrollment.moved_up", str(self.next.id))]
        of_late = [("enrollment.created", str(self.late.id))]
        hears = {"owner": of_first + of_next + of_late, "first": of_first, "next": of_next, "late": of_late}
        return {name: hears.get(name, []) for name in self.people}

    def check(self, heard: dict[str, list[dict[str, Any]]]) -> None:
        """Fail unless each has heard of that, each once, and of no other student, not even as who did it."""
        enrollments = {
            name: [(e["type"], e["data"]["user_id"]) for e in events if e["subject_type"] == "enrollment"]
            for name, events in heard.items()
        }
        assert enrollments == self.expected()
        for name, events in heard.items():
            self.check_silence(name, events)

    def check_silence(self, name: str, said: object) -> None:
        """Fail if what a student is told names another."""
        others = {other: who for other, who in self.people.items() if name != "owner" and other not in (name, "owner")}
        assert [other for other, who in others.items() if str(who.id) in json.dumps(said)] == []


@pytest.fixture
def its(own_queues: None, nothing_due: None) -> Iterator[Class]:
    """A class that nobody has a webhook of, and nothing of it is queued."""
    remove_all()
    yield Class()
    remove_all()


def events(client: Api, **query: str) -> list[dict[str, Any]]:
    """What they read of the log, oldest first."""
    answer = client.get("/events", query=[("limit", "100"), *query.items()])
    assert answer.status == 200, answer
    items: list[dict[str, Any]] = answer.json()["items"]
    return items if "after" in query else items[::-1]


def test_given_a_class_then_each_reads_of_their_own_enrollment_and_the_teacher_of_all(its: Class) -> None:
    marks = {name: who.get("/events", query=[("after", "latest")]).json() for name, who in its.people.items()}
    before = {name: {event["id"] for event in events(who)} for name, who in its.people.items()}
    its.go_on()
    its.check({name: events(who, after=marks[name]["next_cursor"]) for name, who in its.people.items()})
    its.check({n: [e for e in events(who) if e["id"] not in before[n]] for n, who in its.people.items()})
    # AND that they came is told as it is that they went.
    own = {name: events(who, type="enrollment.created") for name, who in its.people.items()}
    assert [len(own[name]) for name in ("first", "mate", "next", "last", "late")] == [1] * 5
    assert [event["data"]["status"] for event in own["owner"]] == ["active"] * 2 + ["waitlisted"] * 3
    # AND those who learn in it still hear of the course.
    assert "lesson.created" in [event["type"] for event in events(its.mate)]


def test_given_a_roster_then_it_is_read_by_those_who_may_list_who_takes_the_course_and_nobody_else(its: Class) -> None:
    id = its.path.split("/")[2]
    scope = [("scope", f"roster:{id}")]
    manager, auditor = (person().with_permissions(may) for may in ("courses:manage_all", "events:read_all"))
    for reader in (its.owner, manager, auditor, person("admin")):
        assert len(events(reader, scope=f"roster:{id}")) == 4
    for other in (its.mate, its.last, its.late, person("instructor"), person("student")):
        for mode in ([], [("after", "start")], [("after", "latest")]):
            assert other.get("/events", query=[*scope, *mode]).status == 404


def test_given_a_class_then_live_frames_and_replays_tell_the_same(
    its: Class, connected: Callable[[Api], Socket]
) -> None:
    broadcast()
    marks = {name: who.get("/events", query=[("after", "latest")]).json() for name, who in its.people.items()}
    sockets = {name: connected(who) for name, who in its.people.items()}
    its.go_on()
    assert broadcast() == []
    frames = {name: [f for f in socket.all() if f["type"] == "events"] for name, socket in sockets.items()}
    its.check({name: [event for frame in some for event in frame["events"]] for name, some in frames.items()})
    its.check(
        {name: socket.ask("replay", after=marks[name]["next_cursor"])["events"] for name, socket in sockets.items()}
    )


def test_given_a_class_then_webhooks_tell_the_same(its: Class) -> None:
    with ExitStack() as until_over:
        receivers = {name: until_over.enter_context(receiving()) for name in its.people}
        for name, who in its.people.items():
            subscribe(who, receivers[name])
        its.go_on()
        work_off()
        its.check({name: [request.event for request in it.requests] for name, it in receivers.items()})


def test_given_a_class_then_notifications_come_once_and_name_no_other_student(its: Class) -> None:
    its.go_on()
    notified(times=2)
    heard = {name: kinds(who) for name, who in its.people.items()}
    assert heard == {name: {"next": ["course_seat"], "late": ["course_added"]}.get(name, []) for name in its.people}
    for name, who in its.people.items():
        its.check_silence(name, [told(who), events(who)])
    [seat], [added] = told(its.next), told(its.late)
    assert (seat["actor_id"], added["actor_id"]) == (None, str(its.owner.id))
    place = its.late.get(f"{its.path}/enroll").json()
    assert added["data"] == {"course_id": place["course_id"], "enrollment_id": place["id"], "status": "waitlisted"}


def test_given_who_has_left_before_they_could_be_told_then_they_are_not(its: Class) -> None:
    its.go_on()
    assert its.next.delete(f"{its.path}/enroll").status == 204
    notified()
    assert (kinds(its.next), kinds(its.last)) == ([], ["course_seat"])


def test_given_a_teacher_who_learns_in_their_own_course_then_they_hear_of_it_once(its: Class) -> None:
    assert its.owner.post(f"{its.path}/enroll").status == 201
    for student in (its.first, its.next, its.last):
        assert student.delete(f"{its.path}/enroll").status == 204
    own = [event for event in events(its.owner) if event["data"].get("user_id") == str(its.owner.id)]
    assert [event["type"] for event in own] == ["enrollment.created", "enrollment.moved_up"]
    notified()
    assert kinds(its.owner) == ["course_seat"]


def test_given_what_others_did_in_their_scope_then_a_students_export_has_their_own_address_alone(its: Class) -> None:
    its.go_on()
    for student, acted in ((its.first, True), (its.late, False)):
        rows = execute(PERSONAL["events"].exported, user=student.id)
        assert {row.ip is not None for row in rows if row.subject_type == "enrollment"} == {acted}
        its.check_silence("first" if acted else "late", [str(row) for row in rows])


def test_given_somebody_who_leaves_then_two_scopes_take_no_more_statements_than_one(its: Class) -> None:
    with counted() as statements:
        assert its.first.delete(f"{its.path}/enroll").status == 204
    # The caller, the course's lock, who leaves and who moves up, each with its events; around them a transaction.
    assert len(statements) == 6 + 2
