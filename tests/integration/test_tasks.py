"""Tasks through real API Gateway events: what is made and changed, by whom, and what is told of it."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from functions.tasks.schemas import TaskRead
from quintet.db.engine import owner_engine
from quintet.http.schemas import Page
from tests.support.api import Api, events_about
from tests.support.expect import pointers, problem
from tests.support.people import person
from tests.support.projects import created
from tests.support.statements import counted, execute
from tests.support.tasks import answered, id_of, in_order, listed, member, task

NOBODY = "01900000-0000-7000-8000-000000000000"


def test_given_the_requests_that_epop_documents_then_they_work_as_written(owner: Api, project: str) -> None:
    colleague = member(owner, project)
    made = owner.post("/api/tasks", {"projectId": id_of(project), "title": "Draw the engine", "dueDate": "2026-12-24"})
    assert made.status == 201
    path = f"/api/tasks/{made.json()['id']}"
    changed = owner.put(path, {"status": "in_progress", "assigneeId": str(colleague.id), "dueDate": "2027-01-02"})
    assert changed.status == 200
    read = colleague.get("/api/tasks", query=f"projectId={id_of(project)}").json()["items"]
    assert read == [changed.json()]
    assert (read[0]["status"], read[0]["assignee_id"], read[0]["due_date"]) == (
        "in_progress",
        str(colleague.id),
        "2027-01-02",
    )


def test_given_a_title_when_creating_then_201_says_where_it_is_and_in_which_version(owner: Api, project: str) -> None:
    answer = owner.post("/tasks", {"project_id": id_of(project), "title": "  Ærø  "})
    made = answer.json()
    assert answer.status == 201
    assert answer.header("location") == f"/api/v1/tasks/{made['id']}"
    assert answer.header("etag") == '"1"'
    assert owner.get(answer.header("location") or "").json() == made
    assert made["title"] == "Ærø"
    assert (made["status"], made["priority"], made["assignee_id"], made["due_date"]) == ("todo", "normal", None, None)
    assert made["created_by"] == str(owner.id)
    told = {"status": "todo", "assignee_id": None, "due_date": None}
    assert events_about(made["id"]) == [("task.created", told)]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"title": ""}, "/title"),
        ({"title": "x" * 201}, "/title"),
        ({"status": "later"}, "/status"),
        ({"priority": 1}, "/priority"),
        ({"due_date": "2026-11-20T09:30:00Z"}, "/due_date"),
        ({"due_date": "2026-02-30"}, "/due_date"),
        ({"assignee_id": NOBODY}, "/assignee_id"),
        ({"project_id": NOBODY}, "/project_id"),
        ({"before": NOBODY}, "/before"),
        ({"after": NOBODY}, "/after"),
        ({"before": None, "after": None}, ""),
        ({"position": "V"}, "/position"),
    ],
)
def test_given_a_wrong_field_when_creating_then_400_points_at_it(
    owner: Api, project: str, body: Any, pointer: str
) -> None:
    refused = owner.post("/tasks", {"project_id": id_of(project), "title": "x", **body})
    assert refused.status == 400
    assert pointers(refused) == [pointer]
    assert in_order(project) == []


def test_given_json_built_by_postgresql_then_it_is_what_the_response_model_would_write(
    owner: Api, project: str
) -> None:
    made = task(owner, project, description='línea\n"two"', due_date="2026-12-31", assignee_id=str(owner.id))
    for body in (owner.get(f"/tasks/{made['id']}").body, owner.post("/tasks", _new(project)).body):
        assert json.loads(TaskRead.model_validate_json(body).model_dump_json()) == json.loads(body)
    body = answered(owner, limit=1).body
    assert json.loads(Page[TaskRead].model_validate_json(body).model_dump_json()) == json.loads(body)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_given_some_fields_when_changing_then_the_others_stay(owner: Api, project: str, method: str) -> None:
    made = task(owner, project, description="kept", due_date="2026-12-31", priority="high")
    path = f"/tasks/{made['id']}"
    changed = owner.request(method, path, json_body={"name": "New", "due_date": None})
    assert changed.status == 200
    assert changed.header("etag") == '"2"'
    after = changed.json()
    assert after == owner.get(path).json()
    assert after.pop("updated_at") > made.pop("updated_at")
    assert after == {**made, "title": "New", "due_date": None, "version": 2}
    # AND what changes nothing is no change.
    assert owner.request(method, path, json_body={"title": "New"}).header("etag") == '"2"'
    told = {"fields": ["due_date", "title"], "assignee_id": None, "changes": {"due_date": ["2026-12-31", None]}}
    assert events_about(made["id"])[1:] == [("task.updated", told)]


def test_given_an_etag_then_304_while_it_is_the_newest_and_412_once_it_is_not(owner: Api, project: str) -> None:
    path = f"/tasks/{task(owner, project)['id']}"
    assert owner.get(path, headers={"if-none-match": '"1"'}).status == 304
    assert owner.patch(path, {"status": "done"}, headers={"if-match": '"1"'}).status == 200
    assert owner.get(path, headers={"if-none-match": '"1"'}).status == 200
    problem(owner.patch(path, {"status": "todo"}, headers={"if-match": '"1"'}), 412)
    problem(owner.delete(path, headers={"if-match": '"1"'}), 412)
    assert owner.get(path).json()["status"] == "done"
    assert owner.delete(path, headers={"if-match": '"2"'}).status == 204
    problem(owner.get(path), 404)


def test_given_an_idempotency_key_when_repeated_then_there_is_one_task(owner: Api, project: str) -> None:
    answers = [owner.post("/tasks", _new(project), headers={"idempotency-key": "once"}) for _ in range(3)]
    assert {answer.body for answer in answers} == {answers[0].body}
    assert in_order(project) == [answers[0].json()["id"]]


def test_given_changes_of_a_task_then_their_events_say_from_what_to_what_and_whose_it_is(
    owner: Api, project: str
) -> None:
    one, two = member(owner, project), member(owner, project, "viewer")
    made = task(owner, project, assignee_id=str(one.id), due_date="2026-12-01")
    path, first, second = f"/tasks/{made['id']}", str(one.id), str(two.id)
    owner.patch(path, {"due_date": "2026-12-02", "description": "Soon"})
    owner.patch(path, {"status": "blocked", "assignee_id": second, "title": "New"})
    owner.patch(path, {"assignee_id": None})
    owner.delete(path)
    due = {"due_date": ["2026-12-01", "2026-12-02"]}
    given = {"status": ["todo", "blocked"], "assignee_id": [first, second]}
    assert events_about(made["id"]) == [
        ("task.created", {"status": "todo", "assignee_id": first, "due_date": "2026-12-01"}),
        ("task.assigned", {"assignee_id": first}),
        ("task.updated", {"fields": ["description", "due_date"], "assignee_id": first, "changes": due}),
        ("task.updated", {"fields": ["assignee_id", "status", "title"], "assignee_id": second, "changes": given}),
        ("task.assigned", {"assignee_id": second}),
        (
            "task.updated",
            {"fields": ["assignee_id"], "assignee_id": None, "changes": {"assignee_id": [second, None]}},
        ),
        ("task.removed", {"assignee_id": None}),
    ]
    scopes = execute("SELECT DISTINCT scope, actor_id FROM events WHERE subject_id = %(id)s", id=made["id"])
    assert [tuple(row) for row in scopes] == [(f"project:{id_of(project)}", owner.id)]


def test_given_a_viewer_then_they_read_and_change_the_status_alone_of_what_is_assigned_to_them(
    owner: Api, project: str
) -> None:
    viewer, stranger = member(owner, project, "viewer"), person()
    mine, others = task(owner, project, assignee_id=str(viewer.id)), task(owner, project)
    path = f"/tasks/{mine['id']}"
    assert viewer.get(f"/tasks/{others['id']}").status == 200
    assert viewer.patch(path, {"status": "done"}).status == 200
    problem(viewer.patch(path, {"status": "todo", "priority": "low"}), 403)
    problem(viewer.patch(path, {"assignee_id": None}), 403)
    problem(viewer.patch(path, {"status": "todo", "after": None}), 403)
    problem(viewer.patch(f"/tasks/{others['id']}", {"status": "done"}), 403)
    problem(viewer.post("/tasks", _new(project)), 403)
    problem(viewer.delete(path), 403)
    for attempt in (stranger.get(path), stranger.patch(path, {"status": "todo"}), stranger.delete(path)):
        problem(attempt, 404)
    assert pointers(stranger.post("/tasks", _new(project))) == ["/project_id"]
    assert owner.get(path).json()["status"] == "done"


def test_given_somebody_who_is_no_member_then_no_task_is_assigned_to_them(owner: Api, project: str) -> None:
    made = task(owner, project)
    for someone in (person(), person("admin")):
        refused = owner.patch(f"/tasks/{made['id']}", {"assignee_id": str(someone.id)})
        assert pointers(refused) == ["/assignee_id"]
    assert owner.get(f"/tasks/{made['id']}").json() == made


def test_given_a_member_who_is_removed_then_their_tasks_there_are_nobodys(owner: Api, project: str) -> None:
    leaving, elsewhere = member(owner, project), f"/projects/{created(owner)['id']}"
    owner.put(f"{elsewhere}/members/{leaving.id}", {"role": "editor"})
    theirs = [task(owner, project, assignee_id=str(leaving.id))["id"] for _ in range(2)]
    others = task(owner, project, assignee_id=str(owner.id))
    kept = task(owner, elsewhere, assignee_id=str(leaving.id))
    with counted() as statements:
        assert leaving.delete(f"{project}/members/{leaving.id}").status == 204
    assert len(statements) == 8  # two more than without tasks, however many there are
    for task_id in theirs:
        read = owner.get(f"/tasks/{task_id}").json()
        assert (read["assignee_id"], read["version"]) == (None, 2)
        changes = {"assignee_id": [str(leaving.id), None]}
        told = {"fields": ["assignee_id"], "assignee_id": None, "changes": changes}
        assert events_about(task_id)[2:] == [("task.updated", told)]
    assert owner.get(f"/tasks/{others['id']}").json() == others
    assert owner.get(f"/tasks/{kept['id']}").json() == kept


def test_given_an_archived_project_then_its_tasks_are_only_read(owner: Api, project: str) -> None:
    made = task(owner, project, assignee_id=str(owner.id))
    path = f"/tasks/{made['id']}"
    owner.delete(project)
    for attempt in (
        owner.post("/tasks", _new(project)),
        owner.patch(path, {"status": "done"}),
        owner.patch(path, {"before": None}),
        owner.delete(path),
    ):
        assert problem(attempt, 409)["next"]["href"] == f"/api/v1{project}"
    assert pointers(owner.patch("/tasks", {"ids": [made["id"]], "changes": {"status": "done"}})) == ["/ids/0"]
    assert owner.get(path).json() == made
    assert listed(owner, project_id=id_of(project)) == [made["id"]]
    # WHEN it is brought back, THEN they can be changed.
    owner.patch(project, {"status": "active"})
    assert owner.patch(path, {"status": "done"}).status == 200


@pytest.mark.parametrize("kind", ["create", "change", "bulk"])
def test_given_a_project_that_is_just_being_archived_then_a_change_of_its_tasks_waits_and_is_refused(
    owner: Api, project: str, kind: str
) -> None:
    made = task(owner, project)
    attempts = {
        "create": lambda: owner.post("/tasks", _new(project)),
        "change": lambda: owner.patch(f"/tasks/{made['id']}", {"status": "done"}),
        "bulk": lambda: owner.patch("/tasks", {"ids": [made["id"]], "changes": {"status": "done"}}),
    }
    with ThreadPoolExecutor(1) as pool:
        with owner_engine().begin() as connection:
            id = {"id": id_of(project)}
            connection.exec_driver_sql("SELECT FROM projects WHERE id = %(id)s FOR UPDATE", id)
            attempt = pool.submit(attempts[kind])
            time.sleep(0.3)
            assert not attempt.done()
            connection.exec_driver_sql("UPDATE projects SET status = 'archived' WHERE id = %(id)s", id)
        problem(attempt.result(), 409)
    assert owner.get(f"/tasks/{made['id']}").json() == made
    assert in_order(project) == [made["id"]]


def test_given_a_member_who_is_just_being_removed_then_who_assigns_them_a_task_waits_and_is_refused(
    owner: Api, project: str
) -> None:
    leaving, made = member(owner, project), task(owner, project)
    with ThreadPoolExecutor(1) as pool:
        with owner_engine().begin() as connection:
            ids = {"project": id_of(project), "user": leaving.id}
            connection.exec_driver_sql("SELECT FROM projects WHERE id = %(project)s FOR UPDATE", ids)
            connection.exec_driver_sql(
                "DELETE FROM project_members WHERE project_id = %(project)s AND user_id = %(user)s", ids
            )
            attempt = pool.submit(owner.patch, f"/tasks/{made['id']}", {"assignee_id": str(leaving.id)})
            time.sleep(0.3)
            assert not attempt.done()
        assert pointers(attempt.result()) == ["/assignee_id"]
    assert owner.get(f"/tasks/{made['id']}").json() == made


@pytest.mark.parametrize("kind", ["create", "change", "move", "bulk", "remove"])
@pytest.mark.parametrize(
    ("meanwhile", "status"),
    [
        ("DELETE FROM project_members WHERE project_id = %(project)s AND user_id = %(user)s", 404),
        ("UPDATE project_members SET role = 'viewer' WHERE project_id = %(project)s AND user_id = %(user)s", 403),
    ],
)
def test_given_a_member_who_is_just_being_removed_or_demoted_then_a_change_of_theirs_waits_and_is_refused(
    owner: Api, project: str, kind: str, meanwhile: str, status: int
) -> None:
    leaving, made = member(owner, project), task(owner, project)
    path = f"/tasks/{made['id']}"
    attempts = {
        "create": lambda: leaving.post("/tasks", _new(project)),
        "change": lambda: leaving.patch(path, {"title": "Mine"}),
        "move": lambda: leaving.patch(path, {"before": None}),
        "bulk": lambda: leaving.patch("/tasks", {"ids": [made["id"]], "changes": {"priority": "low"}}),
        "remove": lambda: leaving.delete(path),
    }
    with ThreadPoolExecutor(1) as pool:
        with owner_engine().begin() as connection:
            ids = {"project": id_of(project), "user": leaving.id}
            connection.exec_driver_sql("SELECT FROM projects WHERE id = %(project)s FOR UPDATE", ids)
            connection.exec_driver_sql(meanwhile, ids)
            attempt = pool.submit(attempts[kind])
            time.sleep(0.3)
            assert not attempt.done()
        if kind == "create" and status == 404:
            assert pointers(attempt.result()) == ["/project_id"]
        else:
            problem(attempt.result(), status)
    assert owner.get(path).json() == made
    assert in_order(project) == [made["id"]]


def test_given_a_project_that_is_purged_then_its_tasks_are_gone(owner: Api, project: str) -> None:
    made = task(owner, project)
    assert person("admin").delete(project, query=[("purge", "true")]).status == 204
    assert owner.get(f"/tasks/{made['id']}").status == 404


def test_given_each_kind_of_request_then_its_round_trips_to_the_database_are_few(owner: Api, project: str) -> None:
    path = f"/tasks/{task(owner, project)['id']}"
    id = id_of(project)

    def round_trips(method: str, path: str, body: object = None, query: object = None) -> int:
        with counted() as statements:
            answer = owner.request(method, path, json_body=body, query=query)
        assert answer.status < 300, answer
        return len(statements)

    assert round_trips("GET", "/tasks") == 2
    assert round_trips("GET", "/tasks", query=f"project_id={id}&sort=due_date") == 2
    assert round_trips("GET", path) == 2
    assert round_trips("POST", "/tasks", _new(project)) == 7
    assert round_trips("POST", "/tasks", {**_new(project), "assignee_id": str(owner.id)}) == 8
    assert round_trips("PATCH", path, {"status": "done"}) == 6
    assert round_trips("PATCH", path, {"assignee_id": str(owner.id)}) == 7
    assert round_trips("PATCH", path, {"before": None}) == 7
    assert round_trips("DELETE", path) == 6


def _new(project: str) -> dict[str, Any]:
    return {"project_id": id_of(project), "title": "New"}
