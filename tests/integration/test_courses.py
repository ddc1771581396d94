"""Courses through real API Gateway events: drafts, publishing, archiving, lists, who sees what."""

import json
from typing import Any

import pytest

from functions.courses.courses.schemas import CourseRead
from functions.courses.enrollments.schemas import EnrollmentRead, StudentRead
from functions.courses.lessons.schemas import LessonListed, LessonRead
from quintet.http.schemas import Output, Page
from tests.support.api import Api
from tests.support.courses import counts, course, enrolled, events_of, lesson, standing
from tests.support.expect import pointers
from tests.support.people import person
from tests.support.projects import ids
from tests.support.statements import counted, execute


@pytest.fixture
def owner(stack: object) -> Api:
    """Somebody who may create courses."""
    return person("instructor")


def listed(caller: Api, **query: Any) -> list[str]:
    """The paths of a list's first page, in order."""
    answer = caller.get("/courses", query=[(name, str(value)) for name, value in query.items()])
    assert answer.status == 200, answer
    return [f"/courses/{id}" for id in ids(answer)]


def test_given_a_title_when_creating_then_201_says_where_the_draft_is_and_in_which_version(owner: Api) -> None:
    answer = owner.post("/api/v1/courses", {"name": "  Ærø  ", "capacity": 3})
    made = answer.json()
    assert answer.status == 201
    assert (made["title"], made["status"], made["capacity"], made["version"]) == ("Ærø", "draft", 3, 1)
    assert made["created_by"] == str(owner.id)
    assert made["enrollment"] is None
    assert answer.header("location") == f"/api/v1/courses/{made['id']}"
    assert answer.header("etag") == '"1"'
    assert owner.get(answer.header("location") or "").json() == made
    assert events_of(f"/courses/{made['id']}") == [("course.created", {"status": "draft"})]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/title"),
        ({"title": "x" * 201}, "/title"),
        ({"title": "x", "status": "archived"}, "/status"),
        ({"title": "x", "capacity": 0}, "/capacity"),
        ({"title": "x", "capacity": "3"}, "/capacity"),
        ({"title": "x", "enrolled_count": 3}, "/enrolled_count"),
    ],
)
def test_given_a_wrong_field_when_creating_then_400_points_at_it(owner: Api, body: object, pointer: str) -> None:
    refused = owner.post("/courses", body)
    assert refused.status == 400
    assert pointers(refused) == [pointer]


def test_given_a_draft_then_nobody_else_sees_it_until_it_is_published(owner: Api) -> None:
    path = course(owner, status="draft")
    strangers = [Api(), person("student"), person("instructor")]
    assert [caller.get(path).status for caller in strangers] == [404] * 3
    assert strangers[1].post(f"{path}/enroll").status == 404
    published = owner.patch(path, {"status": "published", "title": "Out"})
    assert published.status == 200
    assert [caller.get(path).json()["title"] for caller in strangers] == ["Out"] * 3
    assert [type for type, _ in events_of(path)] == ["course.created", "course.published", "course.updated"]
    assert owner.put(path, {"status": "draft"}).status == 200
    assert [caller.get(path).status for caller in strangers] == [404] * 3


def test_given_the_owner_and_an_administrator_then_both_change_and_others_may_not(owner: Api) -> None:
    path = course(owner)
    other = person("instructor")
    assert other.patch(path, {"title": "Mine"}).status == other.delete(path).status == 403
    assert owner.patch(path, {"title": "One"}).json()["title"] == "One"
    assert person("admin").patch(path, {"title": "Two"}).json()["title"] == "Two"
    assert Api().patch(path, {"title": "Nobody's"}).status == 401


def test_given_a_course_when_archived_then_it_can_be_brought_back(owner: Api) -> None:
    path = course(owner)
    [student] = enrolled(path)
    assert owner.delete(path).status == owner.delete(path).status == 204
    archived = owner.get(path).json()
    assert archived["status"] == "archived"
    assert archived["archived_at"] is not None
    # THEN who is in sees it, others do not, and nobody comes in.
    assert student.get(path).json()["enrollment"]["status"] == "active"
    assert person("student").get(path).status == person("student").post(f"{path}/enroll").status == 404
    assert student.post(f"{path}/enroll").status == 200
    assert path not in listed(owner)
    assert path in listed(owner, status="archived")
    back = owner.patch(path, {"status": "published"}).json()
    assert (back["status"], back["archived_at"]) == ("published", None)
    types = [type for type, _ in events_of(path)]
    assert types == ["course.created", "enrollment.created", "course.archived", "course.published"]


def test_given_a_purge_then_only_an_administrator_may_and_all_of_it_is_gone(owner: Api) -> None:
    path = course(owner)
    [student] = enrolled(path)
    made = lesson(owner, path)
    assert student.put(f"{path}/lessons/{made['id']}/completion").status == 200
    query = [("purge", "true")]
    assert owner.delete(path, query=query).status == 403
    assert person("admin").delete(path, query=query).status == 204
    for caller in (owner, student, person("admin")):
        assert caller.get(path).status == caller.get(f"{path}/lessons").status == 404
    assert standing(path) == []
    assert events_of(path)[-1] == ("course.purged", {})


def test_given_versions_then_enrollments_change_the_tag_but_not_what_a_change_is_meant_for(owner: Api) -> None:
    path = course(owner)
    tag = owner.get(path).header("etag") or ""
    assert owner.get(path, headers={"if-none-match": tag}).status == 304
    enrolled(path)
    assert owner.get(path, headers={"if-none-match": tag}).status == 200
    # THEN the owner's change, made of what was read before, is taken: nobody else has changed the course.
    assert owner.patch(path, {"title": "New"}, headers={"if-match": tag}).status == 200
    assert owner.patch(path, {"title": "Newer"}, headers={"if-match": tag}).status == 412
    assert owner.delete(path, headers={"if-match": tag}).status == 412
    assert "Authorization" in (owner.get(path).header("vary") or "")


def test_given_a_change_that_changes_nothing_then_neither_version_nor_log_say_it_did(owner: Api) -> None:
    path = course(owner, title="Same", capacity=2)
    before = owner.get(path).json()
    assert owner.patch(path, {"title": "Same", "capacity": 2, "status": "published"}).json() == before
    assert len(events_of(path)) == 1


def test_given_published_drafts_and_taken_courses_then_each_caller_has_their_own_list(owner: Api) -> None:
    student = person("student")
    public, mine, drafted, foreign = (
        course(owner),
        course(owner, status="draft"),
        course(owner),
        course(person("instructor"), status="draft"),
    )
    enrolled(public, student)
    enrolled(drafted, student)
    assert owner.patch(drafted, {"status": "draft"}).status == 200
    ours = {public, mine, drafted, foreign}
    assert [path for path in listed(owner) if path in ours] == [drafted, mine, public]
    assert [path for path in listed(student) if path in ours] == [drafted, public]
    assert [path for path in listed(person("admin")) if path in ours] == [foreign, drafted, mine, public]
    assert listed(student, enrolled="true") == [drafted, public]
    assert listed(student, enrolled="true", status="draft") == [drafted]
    assert ours & set(listed(student, enrolled="false", created_by=owner.id)) == set()
    assert listed(owner, created_by=owner.id, status="draft") == [drafted, mine]
    assert listed(Api(), created_by=owner.id) == [public]
    assert listed(Api(), created_by=owner.id, status="draft") == []
    shown = {item["id"]: item["enrollment"] for item in student.get("/courses").json()["items"]}
    assert shown[public.split("/")[2]]["status"] == "active"
    assert Api().get("/courses", query=[("enrolled", "true")]).status == 401


def test_given_words_then_those_courses_are_found(owner: Api) -> None:
    topology, analysis = (
        course(owner, title="Algebraic topology", description="With knots"),
        course(owner, title="Analysis", description="No topology-free/ lunch"),
    )
    for caller in (owner, Api()):
        assert listed(caller, q="topology", created_by=owner.id) == [analysis, topology]
        assert listed(caller, q='"algebraic topology"', created_by=owner.id) == [topology]
        assert listed(caller, q="topology -knots", created_by=owner.id) == [analysis]


def test_given_many_courses_then_pages_have_each_once(owner: Api) -> None:
    made = [course(owner, status="draft" if n % 3 else "published") for n in range(7)]
    student = person("student")
    for path in made[::3]:
        enrolled(path, student)
    assert owner.patch(made[3], {"status": "draft"}).status == 200
    for caller, expected in ((owner, made[::-1]), (student, [made[6], made[3], made[0]])):
        found: list[str] = []
        query = f"created_by={owner.id}&limit=2"
        cursor = ""
        while True:
            page = caller.get("/courses", query=query + cursor).json()
            found += [f"/courses/{item['id']}" for item in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert found == expected


@pytest.mark.parametrize("text", ['"', "\x01", "é", "\U0001f600"])
def test_given_descriptions_as_long_as_they_may_be_then_a_page_has_as_many_as_a_function_can_answer(
    owner: Api, text: str
) -> None:
    execute(
        "INSERT INTO courses (title, description, created_by, status)"
        " SELECT 'Long', repeat(%(text)s, 20000), %(owner)s, 'published' FROM generate_series(1, 101)",
        text=text,
        owner=owner.id,
    )
    for caller in (Api(), owner):
        found: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = caller.get("/courses", query=f"created_by={owner.id}&limit=100&cursor={cursor}").json()
            assert page["items"]
            found += [item["id"] for item in page["items"]]
            cursor = page["next_cursor"]
        assert len(found) == len(set(found)) == 101
        assert found == sorted(found, reverse=True)


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/courses", Page[CourseRead]),
        ("{course}", CourseRead),
        ("{course}/enroll", EnrollmentRead),
        ("{course}/enrollments", Page[StudentRead]),
        ("{course}/lessons", Page[LessonListed]),
        ("{course}/lessons/{lesson}", LessonRead),
    ],
)
def test_given_json_built_by_postgresql_then_it_is_what_the_response_model_would_write(
    owner: Api, path: str, model: type[Output]
) -> None:
    made = course(owner, description='línea\n"two"', capacity=1)
    done, _ = lesson(owner, made, content="línea"), lesson(owner, made)
    enrolled(made, owner, *(person("student") for _ in range(2)))
    assert owner.put(f"{made}/lessons/{done['id']}/completion").status == 200
    body = owner.get(path.format(course=made, lesson=done["id"])).body
    assert json.loads(model.model_validate_json(body).model_dump_json()) == json.loads(body)


def test_given_each_kind_of_request_then_its_round_trips_to_the_database_are_few(owner: Api) -> None:
    path = course(owner)
    made = lesson(owner, path)
    student = person("student")
    one = f"{path}/lessons/{made['id']}"

    def round_trips(caller: Api, method: str, path: str, expected: int, body: object = None) -> int:
        with counted() as statements:
            answer = caller.request(method, path, json_body=body)
        assert answer.status == expected, answer
        return len(statements)

    assert round_trips(owner, "GET", "/courses", 200) == 2
    assert round_trips(owner, "GET", path, 200) == 2
    assert round_trips(Api(), "GET", path, 200) == 1
    assert round_trips(owner, "GET", f"{path}/enrollments", 200) == 2
    assert round_trips(owner, "GET", f"{path}/lessons", 200) == 2
    assert round_trips(owner, "GET", one, 200) == 2
    assert round_trips(owner, "POST", "/courses", 201, {"title": "New"}) == 6
    assert round_trips(owner, "PATCH", path, 200, {"title": "New"}) == 7
    assert round_trips(student, "POST", f"{path}/enroll", 201) == 7
    assert round_trips(student, "POST", f"{path}/enroll", 200) == 6
    assert round_trips(student, "GET", f"{path}/enroll", 200) == 2
    assert round_trips(student, "PUT", f"{one}/completion", 200) == 11
    assert round_trips(student, "DELETE", f"{path}/enroll", 204) == 7
    many = {"user_ids": [str(person("student").id) for _ in range(20)]}
    assert round_trips(owner, "POST", f"{path}/enrollments", 200, many) == 7
    assert counts(path) == (20, 0)
