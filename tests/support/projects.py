"""Projects as tests make and read them."""

from typing import Any

from quintet.db.engine import owner_engine
from tests.support.api import Api


def created(owner: Api, **fields: Any) -> dict[str, Any]:
    """A project of `owner`, as answered."""
    answer = owner.post("/projects", {"title": "A project", **fields})
    assert answer.status == 201, answer
    made: dict[str, Any] = answer.json()
    return made


def ids(page: Any) -> list[str]:
    """The ids of a page's items, in order."""
    return [item["id"] for item in page.json()["items"]]


def events_of(project_id: str) -> list[str]:
    """The types of the events recorded in a project's scope, oldest first."""
    with owner_engine().connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT type FROM events WHERE scope = %(scope)s ORDER BY id", {"scope": f"project:{project_id}"}
        )
        return list(rows.scalars())
