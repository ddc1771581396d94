"""A function of the tests' own, for what no route of ours does."""

import json
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, FastAPI

from infra.local.events import Response, rest_event, rest_response
from infra.local.invocation import Context
from quintet.db.engine import owner_engine
from quintet.http.app import create_app, lambda_handler
from quintet.http.dependencies import SessionDep
from quintet.http.routing import Router

scratch = Router(prefix="/scratch", tags=["scratch"])


@scratch.get("/failing")
async def fails() -> None:
    """Fails."""
    raise RuntimeError("it exploded")


@scratch.post("/deferred", status_code=201)
async def deferred(session: SessionDep) -> dict[str, str]:
    """Write what only the commit refuses."""
    session.connection().exec_driver_sql("INSERT INTO scratch_children VALUES (1)")
    return {"status": "made"}


@scratch.post("/killed", status_code=201)
async def killed(session: SessionDep) -> dict[str, str]:
    """Write, and lose the connection before the commit."""
    session.connection().exec_driver_sql("INSERT INTO scratch_parents VALUES (7)")
    terminate(session.connection().exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
    return {"status": "made"}


def function_of(*routers: APIRouter) -> Callable[..., Response]:
    app: FastAPI = create_app(*routers)
    handler = lambda_handler(app)

    def request(method: str, path: str, **parts: Any) -> Response:
        sent = rest_event(method, path, **parts)
        answer = handler(json.loads(json.dumps(sent)), Context("scratch", 1024, 29))
        return rest_response(answer, request_id=sent["requestContext"]["requestId"])

    return request


def terminate(*pids: int) -> None:
    with owner_engine().begin() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM unnest(%(pids)s) pid", {"pids": list(pids)}
        )
