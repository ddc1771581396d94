"""The router of every resource."""

from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from functools import cached_property
from itertools import islice
from operator import attrgetter
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError
from fastapi.params import Query
from fastapi.routing import APIRoute
from starlette.responses import HTMLResponse, Response

from quintet.http.idempotency import Replayed, store_answer
from quintet.http.problems import MAX_ERRORS

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class Route(APIRoute):
    """Ends the request's session once there is an answer, which it keeps if the request has an Idempotency-Key.

    Committed before the answer is sent, so a commit that fails is not answered by a 201. Query parameters that the
    route does not have are refused, but by pages: mailers add some to their links.
    """

    @cached_property
    def query_names(self) -> tuple[str, ...]:
        """The query parameters there are, those of dependencies and other names among them."""
        return tuple(field.alias for field in get_flat_params(self.dependant) if isinstance(field.field_info, Query))

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler."""
        handle = super().get_route_handler()
        is_page = self.response_class is HTMLResponse

        async def handler(request: Request) -> Response:
            if request.scope["query_string"] and not is_page:
                self._refuse_unknown(request)
            try:
                with ExitStack() as request.state.until_answered:
                    response = await handle(request)
                    store_answer(request, response)
            except Replayed as replayed:
                return replayed.response
            return response

        return handler

    def _refuse_unknown(self, request: Request) -> None:
        """400 for a query parameter that would be lost in silence, as `dryRun` for `dry_run`."""
        unknown = [name for name in request.query_params if name not in self.query_names]
        if unknown:
            errors = [
                {"type": "extra_forbidden", "loc": ("query", name), "msg": _advice(name, self.query_names)}
                for name in islice(unknown, MAX_ERRORS)
            ]
            raise RequestValidationError(errors)


def _advice(name: str, names: tuple[str, ...]) -> str:
    from difflib import get_close_matches  # for mistakes only

    if not names:
        return "This address takes no query parameters."
    meant = get_close_matches(name.lower(), names, n=1)
    there = f"Did you mean `{meant[0]}`?" if meant else f"There are {', '.join(f'`{known}`' for known in names)}."
    return f"There is no such query parameter. {there}"


class Router(APIRouter):
    """An APIRouter whose changes answer PUT and PATCH alike."""

    def __init__(self, *, tags: list[str], route_class: type[Route] = Route, **options: Any) -> None:
        unique = attrgetter("name")
        super().__init__(tags=list(tags), route_class=route_class, generate_unique_id_function=unique, **options)

    def change(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Register PUT and PATCH with one meaning: the fields sent are changed, the others stay (RFC 7396)."""

        def register(endpoint: Endpoint) -> Endpoint:
            name = options.get("name", endpoint.__name__)
            for method in ("PUT", "PATCH"):
                operation_id = f"{name}_{method.lower()}"
                self.add_api_route(path, endpoint, methods=[method], operation_id=operation_id, **options)
            return endpoint

        return register
