"""Folders: a tree in each project, without cycles and without orphans."""

import threading
from typing import Any
from uuid import uuid4

import pytest

from functions.files.folders.schemas import FolderRead
from quintet.db.engine import owner_engine
from quintet.http.schemas import Page
from tests.support.api import Api
from tests.support.statements import counted
from tests.support.uploading import presign, project_of


@pytest.fixture
def project(user: Api) -> str:
    """An empty project."""
    return project_of(user)


def folder(user: Api, project: str, name: str, parent: str | None = None) -> str:
    """A new folder."""
    answer = user.post("/folders", {"project_id": project, "name": name, "parent_id": parent})
    assert answer.status == 201, answer
    return str(answer.json()["id"])


def test_given_a_folder_when_creating_then_it_can_be_read_where_location_says(user: Api, project: str) -> None:
    answer = user.post("/folders", {"projectId": project, "name": " 設計 + 図面 "})
    made = FolderRead.model_validate_json(answer.body, strict=True)
    assert (made.name, str(made.project_id), made.parent_id) == ("設計 + 図面", project, None)
    again = user.get(answer.header("location") or "")
    assert again.body == answer.body
    assert user.get(f"/folders/{made.id}", headers={"if-none-match": again.header("etag") or ""}).status == 304


def test_given_a_tree_when_listing_then_each_level_is_documented_and_costs_two_statements(
    user: Api, project: str
) -> None:
    top, other = folder(user, project, "a"), folder(user, project, "b")
    inside = folder(user, project, "a", top)
    with counted() as statements:
        answer = user.get("/folders", query=[("project_id", project)])
    assert len(statements) == 2, statements
    page = Page[FolderRead].model_validate_json(answer.body, strict=True)
    assert [str(item.id) for item in page.items] == [inside, other, top]

    def listed(parent: str) -> list[str]:
        query = [("project_id", project), ("parent_id", parent)]
        return [item["id"] for item in user.get("/folders", query=query).json()["items"]]

    assert listed("root") == [other, top]
    assert listed(top) == [inside]
    assert user.get("/folders").status == 400
    assert user.get("/folders", query=[("project_id", str(uuid4()))]).status == 404


def test_given_a_folder_when_a_second_with_its_name_comes_then_409_and_elsewhere_it_may(
    user: Api, project: str
) -> None:
    first = folder(user, project, "Plans")
    again = user.post("/folders", {"project_id": project, "name": "Plans"})
    assert (again.status, again.json()["errors"][0]["pointer"]) == (409, "/name")
    second = folder(user, project, "Plans", first)
    moved = user.patch(f"/folders/{second}", {"parent_id": None})
    assert (moved.status, moved.json()["errors"][0]["pointer"]) == (409, "/name")


@pytest.mark.parametrize("method", ["put", "patch"])
def test_given_a_folder_when_renaming_then_it_stays_where_it_is(user: Api, project: str, method: str) -> None:
    top = folder(user, project, "a")
    inside = folder(user, project, "b", top)
    answer = getattr(user, method)(f"/folders/{inside}", {"name": "c"}, headers={"if-match": '"1"'})
    assert (answer.status, answer.json()["name"], answer.json()["parent_id"]) == (200, "c", top)
    assert user.patch(f"/folders/{inside}", {"name": "d"}, headers={"if-match": '"1"'}).status == 412


def test_given_a_tree_when_moving_a_folder_into_itself_or_below_then_400(user: Api, project: str) -> None:
    a = folder(user, project, "a")
    b = folder(user, project, "b", a)
    c = folder(user, project, "c", b)
    for parent in (a, b, c):
        answer = user.patch(f"/folders/{a}", {"parent_id": parent})
        assert (answer.status, answer.json()["errors"][0]["pointer"]) == (400, "/parent_id")
    assert user.patch(f"/folders/{c}", {"parent_id": a}).json()["parent_id"] == a
    assert user.patch(f"/folders/{b}", {"parent_id": None}).json()["parent_id"] is None


def test_given_two_projects_when_moving_across_then_400(user: Api, project: str) -> None:
    mine, other = folder(user, project, "a"), folder(user, project_of(user), "b")
    for parent in (other, str(uuid4())):
        answer = user.patch(f"/folders/{mine}", {"parent_id": parent})
        assert (answer.status, answer.json()["errors"][0]["pointer"]) == (400, "/parent_id")


def test_given_two_moves_at_once_that_make_a_cycle_together_then_one_of_them_is_refused(
    user: Api, project: str
) -> None:
    a, b = folder(user, project, "a"), folder(user, project, "b")
    ready, answers = threading.Barrier(2), []

    def move(child: str, parent: str) -> None:
        ready.wait()
        answers.append(user.patch(f"/folders/{child}", {"parent_id": parent}).status)

    for _ in range(5):
        threads = [threading.Thread(target=move, args=pair) for pair in ((a, b), (b, a))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [200, 400]
        answers.clear()
        for each in (a, b):
            assert user.patch(f"/folders/{each}", {"parent_id": None}).status == 200


def test_given_something_inside_when_deleting_then_409_says_what_to_do(user: Api, project: str) -> None:
    top = folder(user, project, "a")
    inside = folder(user, project, "b", top)
    file_id = presign(user, 7, folder_id=inside).json()["file_id"]
    with_folder, with_file = user.delete(f"/folders/{top}"), user.delete(f"/folders/{inside}")
    assert (with_folder.status, with_file.status) == (409, 409)
    assert with_folder.json()["next"]["href"].endswith(f"/folders?project_id={project}&parent_id={top}")
    assert with_file.json()["next"]["href"].endswith(f"/files?folder_id={inside}")
    # WHEN doing so, THEN it can be deleted
    assert user.delete(f"/files/{file_id}").status == 204
    assert user.delete(f"/folders/{inside}").status == 204
    assert user.delete(f"/folders/{top}").status == 204
    assert user.get(f"/folders/{top}").status == 404


def test_given_a_file_just_coming_in_when_deleting_its_folder_then_it_waits_and_409(user: Api, project: str) -> None:
    target = folder(user, project, "a")
    answers: list[Any] = []
    with owner_engine().begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO files (owner_id, project_id, folder_id, file_name, bucket, key, content_type, size) "
            "VALUES (%(owner)s, %(project)s, %(folder)s, 'x', 'b', uuidv7()::text, 'text/plain', 1)",
            {"owner": user.id, "project": project, "folder": target},
        )
        thread = threading.Thread(target=lambda: answers.append(user.delete(f"/folders/{target}")))
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
    thread.join()
    assert answers[0].status == 409


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "a"}, "/project_id"),
        ({"project_id": str(uuid4()), "name": "a"}, "/project_id"),
        ({"project_id": None, "name": "a/b"}, "/project_id"),
        ({"name": ""}, "/name"),
        ({"name": "a", "parent_id": "x"}, "/parent_id"),
        ({"name": "a", "parent_id": str(uuid4())}, "/parent_id"),
        ({"name": "a", "colour": "red"}, "/colour"),
    ],
)
def test_given_a_bad_folder_when_creating_then_400_names_the_field(
    user: Api, project: str, body: dict[str, Any], pointer: str
) -> None:
    if pointer != "/project_id":
        body = {"project_id": project, **body}
    answer = user.post("/folders", body)
    assert (answer.status, pointer in {error["pointer"] for error in answer.json()["errors"]}) == (400, True)


def test_given_an_idempotency_key_when_creating_twice_then_one_folder(user: Api, project: str) -> None:
    new, key = {"project_id": project, "name": "once"}, {"idempotency-key": "k"}
    first, second = user.post("/folders", new, headers=key), user.post("/folders", new, headers=key)
    assert (first.status, first.body) == (second.status, second.body)
    assert second.header("idempotency-replayed") == "true"


def test_given_folder_changes_then_each_is_an_event_of_the_project(user: Api, project: str) -> None:
    made = folder(user, project, "secret")
    assert user.patch(f"/folders/{made}", {"name": "b"}).json()["version"] == 2
    # what changes nothing is no change
    assert user.patch(f"/folders/{made}", {"name": "b", "parent_id": None}).json()["version"] == 2
    user.delete(f"/folders/{made}")
    with owner_engine().begin() as connection:
        events = connection.exec_driver_sql(
            "SELECT type, scope, data::text FROM events WHERE subject_id = %(id)s ORDER BY id", {"id": made}
        ).all()
    assert [event.type for event in events] == ["folder.created", "folder.updated", "folder.removed"]
    assert {event.scope for event in events} == {f"project:{project}"}
    assert not any("secret" in event.data for event in events)
