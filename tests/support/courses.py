"""Courses as tests make and read them."""

from typing import Any

from tests.support.api import Api
from tests.support.people import person
from tests.support.statements import execute


def course(owner: Api, **fields: Any) -> str:
    """The path of a published course of `owner`, who may create some."""
    answer = owner.post("/courses", {"title": "A course", "status": "published", **fields})
    assert answer.status == 201, answer
    return f"/courses/{answer.json()['id']}"


def lesson(owner: Api, path: str, **fields: Any) -> dict[str, Any]:
    """A new lesson of the course of this path, as answered."""
    answer = owner.post(f"{path}/lessons", {"title": "A lesson", **fields})
    assert answer.status == 201, answer
    made: dict[str, Any] = answer.json()
    return made


def enrolled(path: str, *people: Api) -> list[Api]:
    """These people, or a new one, enrolled in this order."""
    students = list(people) or [person("student")]
    for student in students:
        answer = student.post(f"{path}/enroll")
        assert answer.status in (200, 201), answer
    return students


def standing(path: str) -> list[tuple[str, str]]:
    """Who is enrolled in a course, by account and status, in the order in which they came."""
    rows = execute(
        "SELECT user_id::text, status FROM enrollments WHERE course_id = %(id)s ORDER BY id", id=path.split("/")[2]
    )
    return [tuple(row) for row in rows]


def counts(path: str) -> tuple[int, int]:
    """What the course counts of them: seats and waiting."""
    [row] = execute("SELECT enrolled_count, waitlist_count FROM courses WHERE id = %(id)s", id=path.split("/")[2])
    return row.enrolled_count, row.waitlist_count


def events_of(path: str) -> list[tuple[str, dict[str, Any]]]:
    """Type and data of the events of a course and of who takes it, oldest first."""
    scopes = [f"{kind}:{path.split('/')[2]}" for kind in ("course", "roster")]
    rows = execute("SELECT type, data FROM events WHERE scope = ANY (%(scopes)s) ORDER BY id", scopes=scopes)
    return [tuple(row) for row in rows]
