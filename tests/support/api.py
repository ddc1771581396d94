"""A client of the API: API Gateway events in, answers out, or requests over the network. And the people who use it."""

import itertools
import json
import os
import secrets
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any
from uuid import UUID

import httpx2

from infra.local.events import Response
from infra.local.invocation import call
from tests.support.documented import check

PASSWORD = "correct horse battery staple 7"
DEPLOYED = os.environ.get("BASE_URL", "")
"""Where the API is, when it is not to be called in this process; the stand there says what else tests need."""

_hosts = itertools.count(1)


def _address() -> str:
    """An IP address nobody else in this run uses, so that rate limits of one test are not another's."""
    n = next(_hosts)
    return f"10.{secrets.randbelow(256)}.{n // 250 % 256}.{n % 250 + 1}"


@cache
def _client() -> httpx2.Client:
    return httpx2.Client(base_url=DEPLOYED, timeout=60)


def _over_the_network(method: str, path: str, *, query: Any, headers: dict[str, str], body: bytes) -> Response:
    params = query if isinstance(query, str) else list(query)
    answer = _client().request(method, path, params=params, headers=headers, content=body)
    return Response(answer.status_code, answer.headers.multi_items(), answer.content)


def events_about(subject_id: UUID | str) -> list[tuple[str, dict[str, Any]]]:
    """What has been recorded about something, oldest first: type and data."""
    from quintet.db.engine import owner_engine

    with owner_engine().connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT type, data FROM events WHERE subject_id = %(id)s ORDER BY id", {"id": str(subject_id)}
        )
        return [(row.type, row.data) for row in rows]


@dataclass(frozen=True)
class Api:
    """Calls the API as one client: an address, and a token once signed in."""

    token: str = ""
    source_ip: str = field(default_factory=_address)
    user: dict[str, Any] = field(default_factory=dict)
    refresh_token: str = ""

    def request(
        self,
        method: str,
        path: str,
        *,
        json_body: Any = None,
        body: bytes = b"",
        query: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Response:
        """One request; a body given as `json_body` is sent as JSON. Any answer must be a documented one."""
        sent = {"authorization": f"Bearer {self.token}"} if self.token else {}
        if json_body is not None:
            body, sent["content-type"] = json.dumps(json_body).encode(), "application/json"
        sent.update(headers or {})
        if DEPLOYED:
            answer = _over_the_network(method, path, query=query or [], headers=sent, body=body)
        else:
            answer = call(method, path, query=query or [], headers=sent, body=body, source_ip=self.source_ip)
        check(method, path, answer)
        return answer

    def get(self, path: str, **parts: Any) -> Response:
        """GET."""
        return self.request("GET", path, **parts)

    def post(self, path: str, json_body: Any = None, **parts: Any) -> Response:
        """POST."""
        return self.request("POST", path, json_body=json_body, **parts)

    def put(self, path: str, json_body: Any = None, **parts: Any) -> Response:
        """PUT."""
        return self.request("PUT", path, json_body=json_body, **parts)

    def patch(self, path: str, json_body: Any = None, **parts: Any) -> Response:
        """PATCH."""
        return self.request("PATCH", path, json_body=json_body, **parts)

    def delete(self, path: str, **parts: Any) -> Response:
        """DELETE."""
        return self.request("DELETE", path, **parts)

    def register(self, email: str = "", **more: Any) -> "Api":
        """A new account, signed in."""
        email = email or f"{secrets.token_hex(8)}@example.com"
        new = {"email": email, "password": PASSWORD, "full_name": "Test Person", **more}
        made = self.post("/auth/register", new)
        assert made.status == 201, made
        return self.sign_in(email)

    def sign_in(self, email: str, password: str = PASSWORD) -> "Api":
        """The same client, signed in."""
        answer = self.post("/auth/login", {"email": email, "password": password, "token_delivery": "body"})
        assert answer.status == 200, answer
        signed = answer.json()
        client = replace(self, token=signed["access_token"], refresh_token=signed["refresh_token"])
        return replace(client, user=client.get("/users/me").json())

    def with_roles(self, *roles: str) -> "Api":
        """Give this account exactly these roles, as its database's owner would."""
        from quintet.db.engine import owner_engine

        with owner_engine().begin() as connection:
            connection.exec_driver_sql("DELETE FROM user_roles WHERE user_id = %(id)s", {"id": self.id})
            connection.exec_driver_sql(
                "INSERT INTO user_roles (user_id, role_id) SELECT %(id)s, id FROM roles WHERE name = ANY(%(roles)s)",
                {"id": self.id, "roles": list(roles)},
            )
        return self

    def with_permissions(self, *permissions: str) -> "Api":
        """Give this account exactly these permissions, by a role of its own."""
        from quintet.db.engine import owner_engine

        name = f"r{secrets.token_hex(8)}"
        with owner_engine().begin() as connection:
            connection.exec_driver_sql(
                "INSERT INTO roles (name, permissions) VALUES (%(name)s, %(permissions)s)",
                {"name": name, "permissions": list(permissions)},
            )
        return self.with_roles(name)

    @property
    def id(self) -> UUID:
        """The account's id."""
        return UUID(self.user["id"])
