"""Tasks as tests make and read them."""

from typing import Any

from infra.local.events import Response
from tests.support.api import Api
from tests.support.people import person
from tests.support.statements import execute


def task(caller: Api, project: str, **fields: Any) -> dict[str, Any]:
    """A task that `caller` makes in the project of this path, as answered."""
    answer = caller.post("/tasks", {"project_id": id_of(project), "title": "A task", **fields})
    assert answer.status == 201, answer
    made: dict[str, Any] = answer.json()
    return made


def id_of(path: str) -> str:
    """The id at the end of a path."""
    return path.rpartition("/")[2]


def member(owner: Api, project: str, role: str = "editor") -> Api:
    """Somebody who has this role in the project."""
    someone = person()
    assert owner.put(f"{project}/members/{someone.id}", {"role": role}).status == 204
    return someone


def listed(caller: Api, **query: Any) -> list[str]:
    """The ids of a list's first page, in order."""
    return [item["id"] for item in answered(caller, **query).json()["items"]]


def answered(caller: Api, **query: Any) -> Response:
    """A page of tasks."""
    answer = caller.get("/tasks", query=[(name, str(value)) for name, value in query.items()])
    assert answer.status == 200, answer
    return answer


def in_order(project: str) -> list[str]:
    """The ids of a project's tasks, as their positions sort."""
    found = execute("SELECT id::text FROM tasks WHERE project_id = %(id)s ORDER BY position", id=id_of(project))
    return [row.id for row in found]
