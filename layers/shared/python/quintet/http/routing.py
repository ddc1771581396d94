"""The router of every resource."""

from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from operator import attrgetter
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from quintet.http.idempotency import Replayed, store_answer

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class Route(APIRoute):
    """Ends the request's session once there is an answer, which it keeps if the request has an Idempotency-Key.

    Committed before the answer is sent, so a commit that fails is not answered by a 201.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                with ExitStack() as request.state.until_answered:
                    response = await handle(request)
                    store_answer(request, response)
            except Replayed as replayed:
                return replayed.response
            return response

        return handler


class Router(APIRouter):
    """An APIRouter whose changes answer PUT and PATCH alike."""

    def __init__(self, *, tags: list[str], **options: Any) -> None:
        super().__init__(tags=list(tags), route_class=Route, generate_unique_id_function=attrgetter("name"), **options)

    def change(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Register PUT and PATCH with one meaning: the fields sent are changed, the others stay (RFC 7396)."""

        def register(endpoint: Endpoint) -> Endpoint:
            name = options.get("name", endpoint.__name__)
            for method in ("PUT", "PATCH"):
                operation_id = f"{name}_{method.lower()}"
                self.add_api_route(path, endpoint, methods=[method], operation_id=operation_id, **options)
            return endpoint

        return register
