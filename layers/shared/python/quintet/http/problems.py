"""Every error as RFC 9457 problem+json, and its place in the OpenAPI document."""

from collections.abc import Iterable, Mapping
from itertools import groupby, islice
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from quintet.db.conflicts import conflict_of
from quintet.errors import BadRequest, FieldError, Problem, ServiceUnavailable, title_of
from quintet.http.envelope import link, request_id_of
from quintet.observability import logger

MEDIA_TYPE = "application/problem+json"

MAX_ERRORS = 100
"""Who sends thousands of wrong things learns of the first."""

MAX_POINTER = 200
"""Characters: the names of unknown fields are the sender's."""


class ProblemField(BaseModel):
    """One thing wrong with the input."""

    pointer: str = Field(description="Where: a JSON pointer into the body (RFC 6901), or `query/limit`.")
    detail: str = Field(description="What is wrong, and what to do.")


class NextStep(BaseModel):
    """The request that helps."""

    rel: str
    href: str


class ProblemDetails(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(title="Problem")

    type: str
    title: str
    status: int
    detail: str
    instance: str = Field(description="The request's id, as in `X-Request-Id` and in the logs.")
    errors: list[ProblemField] | None = None
    next: NextStep | None = None


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of these errors, for a route's `responses`."""
    return {
        status: {
            "description": title_of(status),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def answer(request: Request, problem: Problem) -> Response:
    """`problem` as a response."""
    content: dict[str, Any] = {
        "type": problem.type,
        "title": title_of(problem.status),
        "status": problem.status,
        "detail": problem.detail,
        "instance": request_id_of(request.scope),
    }
    if problem.errors:
        content["errors"] = [{"pointer": e.pointer, "detail": e.detail} for e in problem.errors]
    if problem.next:
        content["next"] = {**problem.next, "href": _absolute(request, problem.next["href"])}
    return JSONResponse(content, problem.status, problem.headers, MEDIA_TYPE)


def invalid(error: RequestValidationError) -> BadRequest:
    """What FastAPI found wrong with a request, as a problem."""
    return BadRequest("The input is not valid.", errors=list(islice(_field_errors(error.errors()), MAX_ERRORS)))


def install(app: FastAPI) -> None:
    """Make `app` answer every error as a problem."""

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return answer(request, error)

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        if request.method not in _methods_at(request):  # `PUT /files/multipart`, which is no `/files/{file_id}`
            return await on_http(request, HTTPException(405))
        return answer(request, invalid(error))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        problem = _from_http(error)
        if problem.status == 405:
            problem.headers["Allow"] = ", ".join(sorted(_methods_at(request)))
        return answer(request, problem)

    async def on_violation(request: Request, error: Exception) -> Response:
        assert isinstance(error, IntegrityError)
        conflict = conflict_of(error)
        if conflict is None:
            raise error
        return answer(request, conflict)

    async def on_unavailable(request: Request, error: Exception) -> Response:
        # A connection that broke, a lock or statement that took too long, a deadlock: all may work the next time.
        logger.exception("The database did not do it", exc_info=error)
        return answer(
            request, ServiceUnavailable("The database is busy. Try again soon.", headers={"Retry-After": "1"})
        )

    async def on_anything(request: Request, error: Exception) -> Response:
        return answer(request, Problem("Something went wrong on our side. Quote the instance when you report it."))

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(IntegrityError, on_violation)
    app.add_exception_handler(OperationalError, on_unavailable)
    app.add_exception_handler(PoolExhausted, on_unavailable)
    app.add_exception_handler(Exception, on_anything)


def _field_errors(errors: Iterable[dict[str, Any]]) -> Iterable[FieldError]:
    """Where and what, never the input itself: it may be a password."""
    for place, told in groupby(errors, key=_place):
        if place == "body":
            yield from map(body_error, told)
        else:  # more than one when it has none of the forms that it may have
            yield FieldError(place, " Or: ".join(_sentence(error["msg"]) for error in told))


def _place(error: dict[str, Any]) -> str:
    """`body`, or the parameter: `query/limit`."""
    place, *path = error["loc"]
    return "body" if place == "body" else f"{place}/{path[0]}"


def body_error(error: Mapping[str, Any]) -> FieldError:
    """What pydantic says of a body, whose `loc` begins with a word for it: where (RFC 6901), and what is wrong."""
    path = [str(part) for part in error["loc"][1:]]
    if error["type"] == "json_invalid" and (not path or path[0].isdigit()):  # which is where in the body
        return FieldError("", "The body is not valid JSON.")
    if not path and error["type"] in ("model_attributes_type", "dict_type"):
        return FieldError("", "Send a JSON object, with Content-Type: application/json.")
    # In angle brackets is which of a union's models it was taken for.
    path = [part for part in path[:-1] if not part.startswith("<")] + path[-1:]
    pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)
    return FieldError(pointer[:MAX_POINTER], _sentence(error["msg"]))


def _sentence(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message[:1].upper() + message[1:] + ("" if message.endswith((".", "!", "?")) else ".")


_DETAILS = {
    400: "The body could not be read. Send it in the form that its Content-Type says.",
    404: "There is nothing at this address. The documentation is at /openapi.json.",
    405: "This method is not for this address; the Allow header lists those that are.",
    413: "The body is too large for this address.",
}


def _from_http(error: HTTPException) -> Problem:
    detail = _DETAILS.get(error.status_code, error.detail)
    unreadable = [FieldError("", detail)] if error.status_code == 400 else []
    problem = Problem(detail, errors=unreadable, headers=error.headers)
    problem.status = error.status_code
    return problem


def _methods_at(request: Request) -> set[str]:
    """Every method of the address, that of its own name where there is one.

    All are to be listed (RFC 9110, 15.5.6); the framework knows those of the first route that fits.
    """
    path = request.scope["path"]
    fitting = [route for route in iter_route_contexts(request.app.routes) if route.path_regex.match(path)]
    routes = [route for route in fitting if route.path == path] or fitting
    methods = {method for route in routes for method in route.methods or ()}
    return methods | {"HEAD"} if "GET" in methods else methods


def _absolute(request: Request, href: str) -> str:
    return link(request.scope, href) if href.startswith("/") else href
