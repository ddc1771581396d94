"""Requests that are to be refused, about every operation, and what they may not have done."""

import json
import re
from typing import Any

from openapi_schema_validator import OAS31Validator, oas31_format_checker

from infra.local.events import Response
from quintet.db.engine import owner_engine
from tests.support.access import ACCESS, Access
from tests.support.api import Api
from tests.support.documented import Operation, document, operations
from tests.support.expect import problem
from tests.support.world import World


def counts() -> dict[str, int]:
    """How many rows each table has, but for rate limits, and for passwords that were refused, which is recorded."""
    with owner_engine().connect() as connection:
        tables = connection.exec_driver_sql(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
            " AND NOT relispartition AND relname <> 'rate_counters' ORDER BY 1"
        ).scalars()
        asked = ", ".join(
            f"(SELECT count(*) FROM {table}{_EXCEPT.get(table, '')}) AS {table}" for table in list(tables)
        )
        return dict(connection.exec_driver_sql(f"SELECT {asked}").mappings().one())


_EXCEPT = {"events": " WHERE type NOT IN ('session.refused', 'account.password_refused')"}


class Attempts:
    """Requests about one operation by somebody who may do everything; each is to be refused."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.operation: Operation = operations()[key]
        self.access: Access = ACCESS[key]
        self._renew()

    def _renew(self) -> None:
        self.world = World()
        self.world.owner.with_roles("admin")
        self.parts = self.access.sends(self.world)
        self.path = self._path()
        self._before = counts()

    def _path(self, **changed: str) -> str:
        template = self.operation.path
        given = self.access.path(self.world)
        for name in re.findall(r"\{(\w+)\}", template):
            value = changed.get(name) or given.get(name) or getattr(self.world, name)
            template = template.replace(f"{{{name}}}", str(value))
        return template

    @property
    def body(self) -> dict[str, Any]:
        """A JSON body that has everything right."""
        sent: dict[str, Any] = self.parts.get("json_body", {})
        return sent

    def send(self, *, body: bytes | None = None, content_type: str = "application/json", **changed: Any) -> Response:
        """The request with something changed: its raw body, `query`, `headers`, or path parameters."""
        headers = {**self.parts.get("headers", {}), **changed.pop("headers", {})}
        query = changed.pop("query", list(self.parts.get("query", {}).items()))
        if body is not None:
            headers["content-type"] = content_type
        elif "json_body" in self.parts:
            body, headers["content-type"] = json.dumps(self.body).encode(), "application/json"
        path = self._path(**changed) if changed else self.path
        client: Api = self.world.owner
        sent = body if body is not None else self.parts.get("body", b"")
        answer = client.request(self.operation.method, path, body=sent, query=query, headers=headers)
        assert answer.status < 500, (self.key, answer)
        if answer.status < 400:
            self._renew()  # it was taken, and may have ended what later attempts are about
        elif answer.header("content-type") != "text/html; charset=utf-8":
            problem(answer, answer.status)
        return answer

    def refused(self, what: str, **changed: Any) -> Response:
        """`send`, and it has to be refused."""
        answer = self.send(**changed)
        assert answer.status >= 400, f"{self.key} took {what}"
        return answer

    def done(self) -> None:
        """Fail when one that was refused has written something."""
        assert counts() == self._before, self.key


def named(answer: Response, place: str) -> bool:
    """Whether an error is about this place, or something in it."""
    pointers = [error["pointer"] for error in answer.json().get("errors", [])]
    return any(pointer == place or pointer.startswith(f"{place}/") for pointer in pointers)


def takes(schema: dict[str, Any], value: Any) -> bool:
    """Whether the documented schema allows the value."""
    closed = {**schema, "components": document()["components"]}
    return bool(OAS31Validator(closed, format_checker=oas31_format_checker).is_valid(value))
