"""Lessons: their order, who reads them and their files, progress and completion."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quintet.db.engine import owner_engine
from tests.support.api import Api, events_about
from tests.support.courses import course, enrolled, events_of, lesson
from tests.support.expect import pointers, problem
from tests.support.people import person
from tests.support.statements import execute


@pytest.fixture
def owner(stack: object) -> Api:
    """Somebody who may create courses."""
    return person("instructor")


def ready_file(owner: Api, **columns: Any) -> str:
    """The id of a file of theirs."""
    [row] = execute(
        "INSERT INTO files (owner_id, file_name, bucket, key, content_type, size, status, project_id)"
        " VALUES (%(owner)s, 'a.pdf', 'quintet-files', %(key)s, 'application/pdf', 1, %(status)s, %(project_id)s)"
        " RETURNING id::text",
        owner=owner.id,
        key=secrets.token_hex(8),
        **{"status": "ready", "project_id": None, **columns},
    )
    return str(row.id)


def titles(caller: Api, path: str) -> list[str]:
    """Those of the course's lessons, in order; their positions have no gaps."""
    items = caller.get(f"{path}/lessons").json()["items"]
    assert [item["position"] for item in items] == list(range(1, len(items) + 1))
    return [item["title"] for item in items]


def done(student: Api, path: str, made: dict[str, Any]) -> dict[str, Any]:
    """The enrollment of somebody who says that they are done with a lesson."""
    answer = student.put(f"{path}/lessons/{made['id']}/completion")
    assert answer.status == 200, answer
    enrollment: dict[str, Any] = answer.json()
    return enrollment


def test_given_a_lesson_when_created_then_201_says_where_it_is_and_it_is_the_last(owner: Api) -> None:
    path = course(owner)
    lesson(owner, path, title="One")
    answer = owner.post(f"{path}/lessons", {"title": "Two", "content": "# Two"})
    made = answer.json()
    assert answer.status == 201
    assert (made["position"], made["content"], made["file_id"], made["version"]) == (2, "# Two", None, 1)
    assert answer.header("location") == f"/api/v1{path}/lessons/{made['id']}"
    assert owner.get(answer.header("location") or "").json() == made
    assert owner.get(path).json()["lesson_count"] == 2
    assert events_about(made["id"]) == [("lesson.created", {"course_id": path.split("/")[2]})]


def test_given_a_content_as_long_as_it_may_be_in_any_script_then_it_is_taken(owner: Api) -> None:
    path, content = course(owner), "\U0001f600" * 50_000
    made = lesson(owner, path, content=content)  # as json.dumps writes it: twelve bytes for each of them
    assert made["content"] == content
    one = f"{path}/lessons/{made['id']}"
    assert owner.put(one, {"content": content[1:]}).json()["content"] == content[1:]
    assert pointers(owner.patch(one, {"content": content + "x"})) == ["/content"]


def test_given_an_order_when_lessons_come_move_and_go_then_positions_have_no_gaps(owner: Api) -> None:
    path = course(owner)
    made = {title: lesson(owner, path, title=title) for title in "ABCD"}

    def change(which: str, /, **fields: Any) -> None:
        assert owner.patch(f"{path}/lessons/{made[which]['id']}", fields).status == 200

    lesson(owner, path, title="E", position=2)
    assert titles(owner, path) == list("AEBCD")
    change("D", position=1)
    assert titles(owner, path) == list("DAEBC")
    change("D", position=4)
    assert titles(owner, path) == list("AEBDC")
    change("A", position=200, title="Z")
    assert titles(owner, path) == list("EBDCZ")
    assert owner.delete(f"{path}/lessons/{made['B']['id']}").status == 204
    assert titles(owner, path) == list("EDCZ")
    # THEN a lesson that was moved by another has a new version: it says another position.
    assert owner.get(f"{path}/lessons/{made['C']['id']}").json()["version"] > 1


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 8)), min_size=1, max_size=8))
def test_given_any_moves_then_the_order_is_that_of_a_list(owner: Api, moves: list[tuple[int, int]]) -> None:
    path = course(owner)
    made = [lesson(owner, path, title=str(n)) for n in range(6)]
    expected = [str(n) for n in range(6)]
    for which, position in moves:
        assert owner.patch(f"{path}/lessons/{made[which]['id']}", {"position": position}).status == 200
        expected.remove(str(which))
        expected.insert(position - 1, str(which))
    assert titles(owner, path) == expected


def test_given_two_who_add_lessons_at_once_then_each_has_its_place(owner: Api) -> None:
    path = course(owner)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: owner.post(f"{path}/lessons", {"title": str(n), "position": 1}), range(8)))
    assert {answer.status for answer in answers} == {201}
    assert sorted(titles(owner, path)) == [str(n) for n in range(8)]


def test_given_an_old_version_when_changing_then_412(owner: Api) -> None:
    path = course(owner)
    one = f"{path}/lessons/{lesson(owner, path)['id']}"
    tag = owner.get(one).header("etag") or ""
    assert owner.get(one, headers={"if-none-match": tag}).status == 304
    assert owner.patch(one, {"title": "New"}, headers={"if-match": tag}).status == 200
    assert owner.patch(one, {"title": "Newer"}, headers={"if-match": tag}).status == 412
    assert owner.delete(one, headers={"if-match": tag}).status == 412
    assert owner.patch(f"{course(owner)}/lessons/{one.rpartition('/')[2]}", {"title": "Elsewhere"}).status == 404


def test_given_lessons_then_they_are_for_who_has_a_seat_and_others_are_told_how_to_get_one(owner: Api) -> None:
    path = course(owner, capacity=1)
    made = lesson(owner, path)
    seated, waiting = enrolled(path, person("student"), person("student"))
    for way in (f"{path}/lessons", f"{path}/lessons/{made['id']}"):
        assert [caller.get(way).status for caller in (owner, seated, person("admin"))] == [200] * 3
        for caller in (waiting, person("student")):
            assert problem(caller.get(way), 403)["next"] == {"rel": "enroll", "href": f"/api/v1{path}/enroll"}
        assert Api().get(way).status == 401
    assert waiting.put(f"{path}/lessons/{made['id']}/completion").status == 403
    # WHEN the course is archived THEN who has a seat reads on, and no more.
    assert owner.delete(path).status == 204
    assert seated.get(f"{path}/lessons/{made['id']}").status == 200
    assert seated.put(f"{path}/lessons/{made['id']}/completion").status == 409
    assert owner.post(f"{path}/lessons", {"title": "Late"}).status == 409
    assert owner.get(f"{path}/lessons/{path.split('/')[2]}").status == 404


def test_given_a_file_of_ones_own_then_it_comes_with_the_lesson(owner: Api) -> None:
    path = course(owner, capacity=1)
    file_id = ready_file(owner)
    made = lesson(owner, path, file_id=file_id)
    seated, waiting = enrolled(path, person("student"), person("student"))
    assert seated.get(f"/files/{file_id}").json()["download_url"]
    assert seated.get(f"/files/{file_id}/content").status == 303
    assert waiting.get(f"/files/{file_id}").status == 404
    # WHEN its owner takes the file away THEN the lesson is there without it, and its tag says so.
    tag = seated.get(f"{path}/lessons/{made['id']}").header("etag") or ""
    assert owner.delete(f"/files/{file_id}").status == 204
    after = seated.get(f"{path}/lessons/{made['id']}", headers={"if-none-match": tag})
    assert (after.status, after.json()["file_id"]) == (200, None)


def test_given_a_file_that_is_not_ones_own_to_give_then_400(owner: Api) -> None:
    path = course(owner)
    project = owner.post("/projects", {"title": "A project"}).json()["id"]
    for file_id in (
        ready_file(person()),
        ready_file(owner, status="pending"),
        ready_file(owner, project_id=project),
        path.split("/")[2],
    ):
        refused = owner.post(f"{path}/lessons", {"title": "New", "file_id": file_id})
        assert refused.status == 400
        assert pointers(refused) == ["/file_id"]
    # AND one that an administrator leaves as it is stays, though it is not theirs.
    made = lesson(owner, path, file_id=ready_file(owner))
    same = {"title": "Changed", "file_id": made["file_id"]}
    assert person("admin").patch(f"{path}/lessons/{made['id']}", same).status == 200


def test_given_progress_then_the_last_lesson_completes_the_course_once(owner: Api) -> None:
    path = course(owner, capacity=1)
    first, second = lesson(owner, path), lesson(owner, path)
    student, waiting = enrolled(path, person("student"), person("student"))
    half = done(student, path, first)
    assert (half["status"], half["lessons_completed"], half["lesson_count"]) == ("active", 1, 2)
    assert done(student, path, first) == half
    [seen, _] = student.get(f"{path}/lessons").json()["items"]
    assert seen["completed_at"] is not None
    assert owner.get(f"{path}/lessons").json()["items"][0]["completed_at"] is None
    # WHEN they change their mind twice
    one = f"{path}/lessons/{first['id']}/completion"
    assert [student.delete(one).status for _ in range(2)] == [204, 204]
    assert done(student, path, second)["lessons_completed"] == 1
    whole = done(student, path, first)
    assert (whole["status"], whole["lessons_completed"]) == ("completed", 2)
    assert whole["completed_at"] is not None
    # THEN what is completed stays so, with new lessons too, and keeps its seat.
    lesson(owner, path)
    assert student.delete(one).status == 204
    after = done(student, path, first)
    assert (after["status"], after["completed_at"]) == ("completed", whole["completed_at"])
    assert waiting.get(f"{path}/enroll").json()["status"] == "waitlisted"
    completed = [data for type, data in events_of(path) if type == "enrollment.completed"]
    assert completed == [{"course_id": path.split("/")[2], "user_id": str(student.id)}]
    # AND of single lessons nobody else is told.
    assert not [type for type, _ in events_of(path) if type in ("lesson.completed", "lesson.reopened")]
    own = student.get("/events", query=[("subject_type", "lesson"), ("subject_id", first["id"])]).json()["items"]
    assert {event["scope"] for event in own if event["type"] == "lesson.completed"} == {f"user:{student.id}"}


def test_given_the_last_lesson_left_when_it_is_removed_then_those_with_all_others_have_completed(owner: Api) -> None:
    path = course(owner)
    first, second = lesson(owner, path), lesson(owner, path)
    ahead, behind = enrolled(path, person("student"), person("student"))
    done(ahead, path, first)
    assert owner.delete(f"{path}/lessons/{second['id']}").status == 204
    assert ahead.get(f"{path}/enroll").json()["status"] == "completed"
    assert behind.get(f"{path}/enroll").json()["status"] == "active"
    # AND a course without lessons is completed by nobody.
    assert owner.delete(f"{path}/lessons/{first['id']}").status == 204
    assert behind.get(f"{path}/enroll").json()["status"] == "active"


def test_given_a_lesson_that_is_done_while_the_only_other_is_removed_then_the_course_is_completed(owner: Api) -> None:
    student = person("student")
    with ThreadPoolExecutor(2) as pool:
        for _ in range(15):
            path = course(owner)
            first, second = lesson(owner, path), lesson(owner, path)
            enrolled(path, student)
            removal = pool.submit(owner.delete, f"{path}/lessons/{second['id']}")
            done(student, path, first)
            assert removal.result().status == 204
            assert student.get(f"{path}/enroll").json()["status"] == "completed"
            assert [type for type, _ in events_of(path)].count("enrollment.completed") == 1


def test_given_somebody_who_changes_the_course_or_its_seats_then_who_learns_does_not_wait_for_them(owner: Api) -> None:
    path = course(owner)
    made = lesson(owner, path)
    [student] = enrolled(path)
    with owner_engine().begin() as other:
        other.exec_driver_sql("SELECT FROM courses WHERE id = %(id)s FOR NO KEY UPDATE", {"id": path.split("/")[2]})
        assert done(student, path, made)["status"] == "completed"
    # AND the other way round.
    with owner_engine().begin() as other:
        other.exec_driver_sql("SELECT FROM courses WHERE id = %(id)s FOR KEY SHARE", {"id": path.split("/")[2]})
        assert person("student").post(f"{path}/enroll").status == 201
        assert owner.patch(path, {"title": "New"}).status == 200


def test_given_the_last_two_lessons_when_both_are_done_at_once_then_the_course_is_completed_once(owner: Api) -> None:
    path = course(owner)
    lessons = [lesson(owner, path) for _ in range(4)]
    students = enrolled(path, *(person("student") for _ in range(5)))
    with ThreadPoolExecutor(8) as pool:
        tries = [(student, made) for student in students for made in lessons]
        list(pool.map(lambda one: done(one[0], path, one[1]), tries))
    assert {student.get(f"{path}/enroll").json()["status"] for student in students} == {"completed"}
    assert [type for type, _ in events_of(path)].count("enrollment.completed") == 5
