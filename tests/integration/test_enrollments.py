"""Enrollments: seats, the waitlist, races for both; bulk; events and who is told."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from infra.local.events import Response
from quintet.config import settings as environment
from quintet.db.engine import engine
from quintet.db.session import reading
from quintet.events.types import EventType
from quintet.notifications.lines import unread_lines
from tests.support.api import Api, events_about
from tests.support.courses import counts, course, enrolled, events_of, standing
from tests.support.expect import logged
from tests.support.notifying import kinds, notified
from tests.support.people import person
from tests.support.statements import execute


@pytest.fixture
def owner(stack: object) -> Api:
    """Somebody who may create courses."""
    return person("instructor")


def statuses(path: str) -> list[str]:
    """Those of the enrollments, in the order of arrival."""
    return [status for _, status in standing(path)]


def said(client: Api) -> list[str]:
    """What their unread notifications say."""
    with reading() as session:
        return [line.headline for line in unread_lines(session, client.id, "true", {})]


def test_given_a_seat_when_enrolling_again_and_again_then_there_is_one_enrollment(owner: Api) -> None:
    path, student = course(owner), person("student")
    first = student.post(f"{path}/enroll")
    assert first.status == 201
    assert first.header("location") == f"/api/v1{path}/enroll"
    assert first.json()["status"] == "active"
    again = [student.post(f"{path}/enroll") for _ in range(2)]
    assert [answer.status for answer in again] == [200, 200]
    assert again[1].json() == first.json() == student.get(f"{path}/enroll").json()
    assert statuses(path) == ["active"]
    # WHEN they leave, again and again, THEN they have left, and may come back.
    assert [student.delete(f"{path}/enroll").status for _ in range(2)] == [204, 204]
    assert student.get(f"{path}/enroll").status == 404
    assert student.post(f"{path}/enroll").status == 201
    assert counts(path) == (1, 0)
    types = [type for type, _ in events_of(path)]
    assert types == ["course.created", "enrollment.created", "enrollment.removed", "enrollment.created"]


def test_given_no_seat_left_then_one_waits_and_moves_up_in_order_when_somebody_leaves(owner: Api) -> None:
    path = course(owner, capacity=1)
    first, second, third = enrolled(path, *(person("student") for _ in range(3)))
    assert [c.get(f"{path}/enroll").json()["waitlist_position"] for c in (first, second, third)] == [None, 1, 2]
    seen = owner.get(path).json()
    assert (seen["enrolled_count"], seen["waitlist_count"]) == (1, 2)
    assert first.delete(f"{path}/enroll").status == 204
    assert second.get(f"{path}/enroll").json()["status"] == "active"
    assert third.get(f"{path}/enroll").json()["waitlist_position"] == 1
    assert owner.get(path).json()["version"] == 1
    # WHEN who waits leaves, THEN no seat is free.
    assert third.delete(f"{path}/enroll").status == 204
    assert statuses(path) == ["active"]


def test_given_a_capacity_that_changes_then_seats_are_given_but_never_taken(owner: Api) -> None:
    path = course(owner, capacity=2)
    enrolled(path, *(person("student") for _ in range(6)))
    assert owner.patch(path, {"capacity": 4}).json()["enrolled_count"] == 4
    assert statuses(path) == ["active"] * 4 + ["waitlisted"] * 2
    assert owner.patch(path, {"capacity": 1}).json()["enrolled_count"] == 4
    student = person("student")
    assert student.post(f"{path}/enroll").json()["waitlist_position"] == 3
    assert owner.patch(path, {"capacity": None}).json()["waitlist_count"] == 0
    assert statuses(path) == ["active"] * 7


def test_given_a_course_that_is_not_published_then_nobody_comes_in_or_moves_up_until_it_is(owner: Api) -> None:
    path = course(owner, capacity=1)
    first, second, _ = enrolled(path, *(person("student") for _ in range(3)))
    assert owner.patch(path, {"status": "draft", "capacity": 2}).status == 200
    assert owner.post(f"{path}/enroll").status == 409
    assert owner.post(f"{path}/enrollments", {"user_ids": [str(person().id)]}).status == 409
    assert second.post(f"{path}/enroll").status == 200  # who is in stays so
    assert first.delete(f"{path}/enroll").status == 204
    assert statuses(path) == ["waitlisted", "waitlisted"]
    assert owner.patch(path, {"status": "published"}).status == 200
    assert statuses(path) == ["active", "active"]


def test_given_many_people_when_enrolled_by_the_owner_then_each_has_a_result(owner: Api) -> None:
    path = course(owner, capacity=3)
    [already] = enrolled(path)
    disabled, by_id, by_mail, waiting = (person("student") for _ in range(4))
    execute("UPDATE users SET status = 'disabled' WHERE id = %(id)s", id=disabled.id)
    nobody = str(uuid4())
    asked = {
        "user_ids": [str(by_id.id), nobody, str(already.id), str(disabled.id), str(by_id.id)],
        "emails": [by_mail.user["email"].upper(), "nobody@example.com", "no address", waiting.user["email"]],
    }
    answer = owner.post(f"{path}/enrollments", asked)
    assert answer.status == 200, answer
    results = [item["result"] for item in answer.json()["items"]]
    ids = ["enrolled", "unknown", "already_enrolled", "unknown", "already_enrolled"]
    assert results == [*ids, "enrolled", "unknown", "unknown", "waitlisted"]
    assert [item["user_id"] for item in answer.json()["items"]][4:6] == [str(by_id.id), str(by_mail.id)]
    assert [user for user, _ in standing(path)] == [str(c.id) for c in (already, by_id, by_mail, waiting)]
    # WHEN it is repeated THEN nothing changes.
    items = owner.post(f"{path}/enrollments", asked).json()["items"]
    assert {item["result"] for item in items} == {"already_enrolled", "unknown"}
    # THEN it says who of them waits.
    stand = ["active", None, "active", None, "active", "active", None, None, "waitlisted"]
    assert [item["status"] for item in answer.json()["items"]] == [item["status"] for item in items] == stand
    assert counts(path) == (3, 1)
    listed = owner.get(f"{path}/enrollments").json()["items"]
    assert [item["user_id"] for item in listed] == [str(c.id) for c in (waiting, by_mail, by_id, already)]
    assert [item["waitlist_position"] for item in listed] == [1, None, None, None]
    [only] = owner.get(f"{path}/enrollments", query=[("status", "waitlisted")]).json()["items"]
    assert only["user_id"] == str(waiting.id)
    # AND the owner takes one off, whose seat goes to who waits.
    assert owner.delete(f"{path}/enrollments/{by_id.id}").status == 204
    assert owner.delete(f"{path}/enrollments/{by_id.id}").status == 404
    assert waiting.get(f"{path}/enroll").json()["status"] == "active"


def test_given_a_long_waitlist_then_each_page_says_who_is_where(owner: Api) -> None:
    path = course(owner, capacity=None)
    execute(
        "WITH u AS (INSERT INTO users (email, full_name, status)"
        " SELECT %(c)s || n || '@example.com', 'N', 'active' FROM generate_series(1, 250) n RETURNING id)"
        " INSERT INTO enrollments (course_id, user_id, status, completed_at)"
        " SELECT %(c)s::uuid, id, CASE WHEN n %% 10 = 0 THEN 'completed' ELSE 'waitlisted' END,"
        " CASE WHEN n %% 10 = 0 THEN now() END FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM u) u",
        c=path.split("/")[2],
    )
    expected = [id for id, status in standing(path) if status == "waitlisted"]
    for query in ("limit=100", "limit=100&status=waitlisted"):
        found, cursor = [], ""
        while cursor is not None:
            page = owner.get(f"{path}/enrollments", query=f"{query}&cursor={cursor}").json()
            found += [item for item in page["items"] if item["status"] == "waitlisted"]
            cursor = page["next_cursor"]
        assert [item["user_id"] for item in found] == expected[::-1]
        assert [item["waitlist_position"] for item in found] == list(range(len(expected), 0, -1))


@pytest.mark.parametrize(
    "body", [{}, {"user_ids": []}, {"user_ids": [str(uuid4())] * 201}, {"emails": ["a@b.c"] * 201}]
)
def test_given_nobody_or_too_many_then_400(owner: Api, body: object) -> None:
    refused = owner.post(f"{course(owner)}/enrollments", body)
    assert refused.status == 400
    assert "200" in refused.json()["errors"][0]["detail"]


def test_given_one_of_the_two_lists_is_empty_then_the_other_counts(owner: Api) -> None:
    path, student = course(owner), person("student")
    answer = owner.post(f"{path}/enrollments", {"user_ids": [str(student.id)], "emails": []})
    assert [item["result"] for item in answer.json()["items"]] == ["enrolled"]


def test_given_an_account_when_it_is_removed_then_its_seat_goes_to_who_waits(owner: Api) -> None:
    path = course(owner, capacity=1)
    first, second = enrolled(path, person("student"), person("student"))
    assert person("admin").delete(f"/users/{first.id}", query=[("purge", "true")]).status == 204
    assert standing(path) == [(str(second.id), "active")]
    assert counts(path) == (1, 0)


def test_given_enrollments_then_their_events_are_the_owners_and_those_of_who_takes_part(owner: Api) -> None:
    path = course(owner, capacity=1)
    first, second, third = enrolled(path, *(person("student") for _ in range(3)))
    assert first.delete(f"{path}/enroll").status == 204
    scope = [("scope", f"course:{path.split('/')[2]}")]
    for reader in (owner, second, third):
        told = [event["type"] for event in reader.get("/events", query=scope).json()["items"]]
        assert told[:3] == ["enrollment.moved_up", "enrollment.removed", "enrollment.created"]
    assert first.get("/events", query=scope).status == person("student").get("/events", query=scope).status == 404
    # AND who has left is told in their own scope, so that all their clients know.
    [left] = first.get("/events", query=[("type", "enrollment.removed")]).json()["items"]
    assert left["scope"] == f"user:{first.id}"
    moved = second.get(f"{path}/enroll").json()["id"]
    facts = {"course_id": path.split("/")[2], "user_id": str(second.id)}
    assert events_about(moved) == [
        ("enrollment.created", {**facts, "status": "waitlisted"}),
        ("enrollment.moved_up", facts),
    ]


def test_given_somebody_who_moves_up_or_is_enrolled_by_another_then_they_are_told_by_mail_too(owner: Api) -> None:
    path = course(owner, capacity=1, title="Knots")
    first, second = enrolled(path, person("student"), person("student"))
    third = person("student")
    owner.post(f"{path}/enrollments", {"user_ids": [str(third.id)]})
    assert first.delete(f"{path}/enroll").status == 204
    notified()
    assert (kinds(first), kinds(second), kinds(third)) == ([], ["course_seat"], ["course_added"])
    for student in (second, third):
        [row] = execute("SELECT id, email FROM notifications WHERE user_id = %(id)s", id=student.id)
        assert row.email == "immediate"
        sent = execute(
            "SELECT d.destination FROM deliveries d JOIN events e ON e.id = d.event_id"
            " WHERE e.subject_id = %(id)s AND e.type = %(type)s ORDER BY 1",
            id=row.id,
            type=EventType.NOTIFICATION_CREATED,
        )
        assert [delivery.destination for delivery in sent] == ["email", "realtime"]
    assert said(second) == ["You have a seat in the course Knots now"]
    assert said(third) == ["Test Person added you to the course Knots"]
    # AND who has left since is told nothing of it.
    assert second.delete(f"{path}/enroll").status == 204
    assert said(second) == []


# --- races ---


@pytest.fixture
def connections(stack: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """So many connections to the database at once, as that many sandboxes have."""
    monkeypatch.setenv("DATABASE_POOL_SIZE", "50")
    environment.cache_clear()
    before = engine()
    engine.cache_clear()
    yield 50
    engine().dispose()
    monkeypatch.undo()
    environment.cache_clear()
    engine.cache_clear()
    before.dispose()


def at_once(workers: int, tries: list[Any]) -> list[Response]:
    """What each of these is answered, all begun together, so many at the same time."""
    start = threading.Barrier(workers)

    def attempt(numbered: tuple[int, Any]) -> Response:
        number, attempt = numbered
        if number < workers:
            start.wait(30)
        answer: Response = attempt()
        return answer

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(attempt, enumerate(tries)))


def test_given_10_seats_when_200_clients_race_then_10_have_one_and_the_rest_wait_in_order(
    owner: Api, connections: int
) -> None:
    path = course(owner, capacity=10)
    students = [person("student") for _ in range(200)]
    with logged() as records:
        # GIVEN each of them tries twice, as by a double click
        answers = at_once(connections, [lambda s=s: s.post(f"{path}/enroll") for s in students for _ in range(2)])
    assert {answer.status for answer in answers} == {200, 201}
    assert sum(answer.status == 201 for answer in answers) == 200
    assert {record["level"] for record in records} == {"INFO"}
    assert statuses(path) == ["active"] * 10 + ["waitlisted"] * 190
    assert counts(path) == (10, 190)
    # THEN each was told the place they have: that of their arrival.
    told = {a.json()["id"]: a.json()["waitlist_position"] for a in answers if a.status == 201}
    arrived = execute("SELECT id::text FROM enrollments WHERE course_id = %(id)s ORDER BY id", id=path.split("/")[2])
    assert [told[row.id] for row in arrived] == [None] * 10 + list(range(1, 191))
    created = [data["user_id"] for type, data in events_of(path) if type == "enrollment.created"]
    assert sorted(created) == sorted(str(student.id) for student in students)

    # WHEN most leave at once, of those with seats and of those who wait, while others come and seats are added
    seated = {user for user, status in standing(path) if status == "active"}
    leaving = [s for n, s in enumerate(students) if str(s.id) in seated or n % 2]
    coming = [person("student") for _ in range(20)]
    tries: list[Any] = [lambda s=s: s.delete(f"{path}/enroll") for s in leaving]
    tries += [lambda s=s: s.post(f"{path}/enroll") for s in coming]
    tries += [lambda: owner.patch(path, {"capacity": 12})]
    random.Random(7).shuffle(tries)
    before = [user for user, _ in standing(path)]
    with logged() as records:
        answers = at_once(connections, tries)
    assert {answer.status for answer in answers} == {200, 201, 204}
    assert {record["level"] for record in records} == {"INFO"}
    # THEN the first who are left have the seats, in the order in which they came; newcomers come last.
    left = {str(student.id) for student in leaving}
    stayed = [user for user in before if user not in left]
    assert [user for user, _ in standing(path)][: len(stayed)] == stayed
    assert statuses(path) == ["active"] * 12 + ["waitlisted"] * (len(stayed) + 20 - 12)
    assert counts(path) == (12, len(stayed) + 8)
    moved = [data["user_id"] for type, data in events_of(path) if type == "enrollment.moved_up"]
    assert len(moved) == len(set(moved))
    assert set(stayed[:12]) <= set(moved)


def test_given_one_seat_when_two_want_it_again_and_again_then_one_has_it(owner: Api) -> None:
    path = course(owner, capacity=1)
    both = [person("student") for _ in range(2)]
    for _ in range(10):
        at_once(2, [lambda s=s: s.post(f"{path}/enroll") for s in both])
        assert statuses(path) == ["active", "waitlisted"]
        at_once(2, [lambda s=s: s.delete(f"{path}/enroll") for s in both])
        assert standing(path) == []
        assert counts(path) == (0, 0)


# --- against a model ---


class Seats(RuleBasedStateMachine):
    """What a list of people and a number of seats would do."""

    people: list[Api]
    owner: Api

    @initialize(capacity=st.integers(1, 3))
    def make(self, capacity: int) -> None:
        self.path = course(self.owner, capacity=capacity)
        self.capacity: int | None = capacity
        self.published = True
        self.seated: list[str] = []
        self.waiting: list[str] = []

    def _fill(self) -> None:
        while self.published and self.waiting and (self.capacity is None or len(self.seated) < self.capacity):
            self.seated.append(self.waiting.pop(0))

    def _come(self, user: str) -> None:
        if user not in self.seated + self.waiting:
            self.waiting.append(user)
            self._fill()

    @rule(who=st.integers(0, 5))
    def enroll(self, who: int) -> None:
        student = self.people[who]
        status = student.post(f"{self.path}/enroll").status
        known = str(student.id) in self.seated + self.waiting
        assert status == (200 if known else 201 if self.published else 404)
        if self.published:
            self._come(str(student.id))

    @rule(who=st.integers(0, 5))
    def leave(self, who: int) -> None:
        student = self.people[who]
        known = str(student.id) in self.seated + self.waiting
        status = student.delete(f"{self.path}/enroll").status
        assert status == (204 if known or self.published else 404)
        self.seated = [user for user in self.seated if user != str(student.id)]
        self.waiting = [user for user in self.waiting if user != str(student.id)]
        self._fill()

    @rule(whom=st.lists(st.integers(0, 5), min_size=1, max_size=6))
    def enroll_people(self, whom: list[int]) -> None:
        users = [str(self.people[n].id) for n in whom]
        answer = self.owner.post(f"{self.path}/enrollments", {"user_ids": users})
        assert answer.status == (200 if self.published else 409)
        if self.published:
            for user in users:
                self._come(user)

    @rule(capacity=st.none() | st.integers(1, 5))
    def resize(self, capacity: int | None) -> None:
        assert self.owner.patch(self.path, {"capacity": capacity}).status == 200
        self.capacity = capacity
        self._fill()

    @rule(status=st.sampled_from(["published", "draft", "archived"]))
    def publish(self, status: str) -> None:
        assert self.owner.patch(self.path, {"status": status}).status == 200
        self.published = status == "published"
        self._fill()

    @invariant()
    def agrees(self) -> None:
        found = standing(self.path)
        assert {user for user, status in found if status == "active"} == set(self.seated)
        assert [user for user, status in found if status == "waitlisted"] == self.waiting
        assert counts(self.path) == (len(self.seated), len(self.waiting))


def test_given_anything_that_can_happen_then_seats_and_waitlist_are_those_of_a_simple_model(owner: Api) -> None:
    class Here(Seats):
        pass

    Here.owner, Here.people = owner, [person("student") for _ in range(6)]
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
