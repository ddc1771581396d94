"""Several tasks changed at once: all of them, or none."""

import threading
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest

from functions.tasks.schemas import MAX_BULK
from infra.local.events import Response
from tests.support.api import Api, events_about
from tests.support.expect import pointers, problem
from tests.support.people import person
from tests.support.projects import created
from tests.support.statements import counted, execute
from tests.support.tasks import id_of, member, task

NOBODY = "01900000-0000-7000-8000-000000000000"


def bulk(caller: Api, ids: list[str], **changes: Any) -> Response:
    """One change of these tasks."""
    return caller.patch("/tasks", {"ids": ids, "changes": changes})


def test_given_tasks_of_several_projects_when_changed_then_all_are_and_omitted_fields_stay(
    owner: Api, project: str
) -> None:
    elsewhere = f"/projects/{created(owner)['id']}"
    made = [task(owner, place, description="kept", due_date="2026-12-01") for place in (project, elsewhere, project)]
    done = task(owner, project, status="done")
    ids = [item["id"] for item in (*made, done)]
    with counted() as statements:
        answer = bulk(owner, ids[::-1], status="done")
    assert answer.status == 200
    # THEN the answer has them in the order they were named in, AND what was so already has not changed.
    assert answer.json()["items"] == [{"id": id, "version": 1 if id == done["id"] else 2} for id in ids[::-1]]
    for before in made:
        after = owner.get(f"/tasks/{before['id']}").json()
        assert after.pop("updated_at") > before.pop("updated_at")
        assert after == {**before, "status": "done", "version": 2}
        told = {"fields": ["status"], "assignee_id": None, "changes": {"status": ["todo", "done"]}}
        assert events_about(before["id"])[1:] == [("task.updated", told)]
    assert owner.get(f"/tasks/{done['id']}").json() == done
    # AND it was one UPDATE and one statement for the events.
    assert len(statements) == 6
    for part in ("UPDATE tasks", "INSERT INTO events"):
        assert sum(part in statement for statement in statements) == 1


def test_given_an_assignee_then_each_task_that_was_not_theirs_is_announced(owner: Api, project: str) -> None:
    colleague = member(owner, project)
    ids = [task(owner, project)["id"], task(owner, project, assignee_id=str(colleague.id))["id"]]
    assert bulk(owner, ids, assignee_id=str(colleague.id), due_date="2026-12-01").status == 200
    assert [type for type, _ in events_about(ids[0])] == ["task.created", "task.updated", "task.assigned"]
    told = {"fields": ["due_date"], "assignee_id": str(colleague.id), "changes": {"due_date": [None, "2026-12-01"]}}
    assert events_about(ids[1])[2:] == [("task.updated", told)]
    assert bulk(owner, ids, assigneeId=None).status == 200
    assert {owner.get(f"/tasks/{id}").json()["assignee_id"] for id in ids} == {None}


def test_given_one_task_that_is_not_to_be_changed_then_none_is_and_the_answer_says_which(
    owner: Api, project: str
) -> None:
    colleague = person()
    elsewhere, unseen = (f"/projects/{created(colleague)['id']}" for _ in range(2))
    colleague.put(f"{elsewhere}/members/{owner.id}", {"role": "viewer"})
    mine, read, hidden = task(owner, project), task(colleague, elsewhere), task(colleague, unseen)

    def refused(status: int, *ids: str) -> list[str]:
        answer = bulk(owner, list(ids), status="done")
        assert owner.get(f"/tasks/{mine['id']}").json() == mine
        details = {error["detail"] for error in problem(answer, status)["errors"]}
        assert len(details) == 1
        return pointers(answer)

    assert refused(403, mine["id"], read["id"]) == ["/ids/1"]
    assert refused(403, mine["id"], mine["id"], read["id"]) == ["/ids/2"]
    # What one may not see is not told from what is not there, AND that comes before all else.
    assert refused(404, hidden["id"], mine["id"], NOBODY, read["id"]) == ["/ids/0", "/ids/2"]
    one, other = (problem(bulk(owner, [id], status="done"), 404) for id in (hidden["id"], NOBODY))
    assert {**one, "instance": ""} == {**other, "instance": ""}
    assert [type for type, _ in events_about(mine["id"])] == ["task.created"]


def test_given_an_assignee_who_is_a_viewer_then_they_change_the_status_of_their_own(owner: Api, project: str) -> None:
    viewer = member(owner, project, "viewer")
    mine, others = task(owner, project, assignee_id=str(viewer.id))["id"], task(owner, project)["id"]
    assert bulk(viewer, [mine], status="done").status == 200
    assert pointers(bulk(viewer, [others, mine], status="todo")) == ["/ids/0"]
    problem(bulk(viewer, [mine], status="todo", priority="low"), 403)
    assert owner.get(f"/tasks/{mine}").json()["status"] == "done"


def test_given_an_assignee_who_is_not_a_member_of_every_project_then_400_and_nothing_changed(
    owner: Api, project: str
) -> None:
    colleague, elsewhere = member(owner, project), f"/projects/{created(owner)['id']}"
    made = [task(owner, project), task(owner, elsewhere)]
    refused = bulk(owner, [item["id"] for item in made], assignee_id=str(colleague.id))
    assert pointers(refused) == ["/changes/assignee_id"]
    assert [owner.get(f"/tasks/{item['id']}").json() for item in made] == made


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"ids": [], "changes": {"status": "done"}}, "/ids"),
        ({"ids": [NOBODY] * (MAX_BULK + 1), "changes": {"status": "done"}}, "/ids"),
        ({"ids": ["x"], "changes": {"status": "done"}}, "/ids/0"),
        ({"ids": [NOBODY], "changes": {}}, "/changes"),
        ({"ids": [NOBODY], "changes": {"title": "x"}}, "/changes/title"),
        ({"ids": [NOBODY], "changes": {"status": None}}, "/changes/status"),
        ({"ids": [NOBODY]}, "/changes"),
        ({"ids": [NOBODY], "change": {"status": "done"}}, "/changes"),
    ],
)
def test_given_a_wrong_field_then_400_points_at_it(owner: Api, body: object, pointer: str) -> None:
    refused = owner.patch("/tasks", body)
    assert refused.status == 400
    assert pointer in pointers(refused)


def test_given_as_many_as_may_be_and_one_twice_then_each_is_changed_once_in_as_few_statements(
    owner: Api, project: str
) -> None:
    rows = execute(
        "INSERT INTO tasks (project_id, title, position, created_by) SELECT %(p)s, 'T', n || 'V', %(o)s"
        " FROM generate_series(1, %(n)s) n RETURNING id::text",
        p=id_of(project),
        o=owner.id,
        n=MAX_BULK - 1,
    )
    ids = [row.id for row in rows]
    with counted() as statements:
        answer = bulk(owner, [*ids, ids[0]], priority="high")
    assert len(answer.json()["items"]) == MAX_BULK - 1
    assert {item["version"] for item in answer.json()["items"]} == {2}
    assert len(statements) == 6
    told = execute("SELECT count(*) FROM events WHERE subject_id = ANY(%(ids)s::uuid[])", ids=ids)
    assert told[0].count == MAX_BULK - 1


def test_given_many_bulk_updates_moves_and_removals_of_members_at_once_then_none_waits_in_a_circle(
    owner: Api, project: str
) -> None:
    elsewhere = f"/projects/{created(owner)['id']}"
    colleague = member(owner, project)
    owner.put(f"{elsewhere}/members/{colleague.id}", {"role": "editor"})
    ids = [task(owner, place)["id"] for place in (project, elsewhere) * 5]

    assigned = threading.Event()

    def come_and_go() -> set[int]:
        answers = set()
        while not assigned.is_set():
            for place in (project, elsewhere):
                answers.add(owner.put(f"{place}/members/{colleague.id}", {"role": "editor"}).status)
            for place in (elsewhere, project):
                answers.add(owner.delete(f"{place}/members/{colleague.id}").status)
        return answers

    def assign() -> set[int]:
        """Until it has been too late and in time."""
        answers: set[int] = set()
        try:
            for step in range(500):
                answers.add(bulk(owner, _mixed(ids, step), assignee_id=str(colleague.id)).status)
                if len(answers) > 1:
                    break
        finally:
            assigned.set()
        return answers

    def change(n: int) -> set[int]:
        answers = set()
        for step in range(8):
            mixed = _mixed(ids, n + step)
            answers |= {
                bulk(owner, mixed, status=("todo", "done")[step % 2], priority="low").status,
                owner.patch(f"/tasks/{mixed[0]}", {"after": None, "assignee_id": str(owner.id)}).status,
            }
        return answers

    with ThreadPoolExecutor(7) as pool:
        membership, assignment = pool.submit(come_and_go), pool.submit(assign)
        assert set().union(*pool.map(change, range(5))) == {200}
        assert membership.result() == {204}
        assert assignment.result() == {200, 400}
    # AND nobody has a task who is no member of its project.
    left = execute("SELECT DISTINCT assignee_id FROM tasks WHERE id = ANY(%(ids)s::uuid[])", ids=ids)
    assert {row.assignee_id for row in left} <= {None, owner.id}


def _mixed(ids: list[str], n: int) -> list[str]:
    return Random(n).sample(ids, len(ids))


def test_given_two_who_change_the_same_tasks_at_once_then_each_change_is_whole(owner: Api, project: str) -> None:
    ids = [task(owner, project)["id"] for _ in range(6)]
    states = [("todo", "low"), ("in_progress", "high"), ("blocked", "urgent"), ("done", "normal")]

    def work(n: int) -> set[int]:
        status, priority = states[n]
        order = ids if n % 2 else ids[::-1]
        return {bulk(owner, order, status=status, priority=priority).status for _ in range(8)}

    with ThreadPoolExecutor(4) as pool:
        assert set().union(*pool.map(work, range(4))) == {200}
    left = {(row["status"], row["priority"]) for row in (owner.get(f"/tasks/{id}").json() for id in ids)}
    assert len(left) == 1
    assert left <= set(states)
