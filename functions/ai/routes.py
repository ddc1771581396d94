"""HTTP of the assistant."""

from collections.abc import Generator, Iterable, Iterator
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from functions.ai import jobs, limits, queries, service
from functions.ai.chunks import HEADERS
from functions.ai.following import follow
from functions.ai.producing import Feed, start
from functions.ai.schemas import CHAT_ID, ChatRead, ChatRequest, ChatWithMessages, TaskAnswer, TaskRequest
from quintet.db.session import after_commit
from quintet.http.answers import changed, listed
from quintet.http.dependencies import Caller, Paging, SessionDep, outside_transaction, rate_limit
from quintet.http.envelope import answer_headers, link
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page

router = Router(prefix="/ai", tags=["ai"])


class EventStream(StreamingResponse):
    """Server-Sent Events. What makes them is told when nobody reads them any more."""

    media_type = "text/event-stream"

    def __init__(self, events: Iterable[str], status_code: int = 200) -> None:  # FastAPI reads the status here
        self._events: Iterator[str] = iter(events)
        super().__init__(self._events, status_code, HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them as they come."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            if isinstance(self._events, Generator):
                self._events.close()


_STREAM: dict[str, Any] = {
    "schema": {"type": "string"},
    "example": 'data: {"type":"start","messageId":"…"}\n\ndata: {"type":"text-delta","id":"text-1","delta":"Yes"}\n\n'
    "data: [DONE]\n\n",
}
_STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The AI SDK's UI message stream: one chunk an event (`start`, `start-step`, `text-start`, "
        "`text-delta`, `text-end`, `tool-input-start`, `tool-input-delta`, `tool-input-available`, `tool-input-error`, "
        "`tool-approval-request`, `tool-output-available`, `tool-output-error`, `tool-output-denied`, `source-url`, "
        "`source-document`, `finish-step`, `finish`, `error`, `abort`), then `[DONE]`.",
        "content": {"text/event-stream": _STREAM},
        "headers": {"x-vercel-ai-ui-message-stream": {"schema": {"const": "v1"}}},
    }
}

ChatId = Annotated[
    str, Path(min_length=1, max_length=200, pattern=CHAT_ID, description="The `id` that the client gave it.")
]


@router.post(
    "/chat", response_class=EventStream, max_body_size=4 * 1024 * 1024, responses={**_STREAMED, **responses(409, 429)}
)
async def chat(request: Request, session: SessionDep, caller: Caller, asked: ChatRequest) -> EventStream:
    """Ask the assistant, or say what you think of its proposals; the answer comes as it is made.

    It is produced to its end whoever listens: `GET /ai/chat/{chat_id}/stream` gives the same stream again while it is.
    """
    _limit(request, session, caller)
    run = service.begin(session, caller, asked=asked, base=link(request.scope, ""))
    feed = Feed()
    after_commit(session, partial(start, run, feed))
    return EventStream(feed)


@router.get("/chat", response_model=Page[ChatRead])
async def list_chats(session: SessionDep, caller: Caller, paging: Paging) -> Response:
    """List your conversations with the assistant."""
    return listed(queries.list_chats(session, caller, paging))


@router.get("/chat/{chat_id}", response_model=ChatWithMessages)
async def read_chat(session: SessionDep, caller: Caller, chat_id: ChatId) -> Response:
    """Read a conversation with what was said in it, the latest of it if that is much, as `useChat` takes it."""
    return listed(queries.read_chat(session, caller, chat_id))


@router.delete("/chat/{chat_id}", status_code=204)
async def delete_chat(session: SessionDep, caller: Caller, chat_id: ChatId) -> Response:
    """Delete a conversation; an answer that is under way ends."""
    service.remove(session, caller, chat_id=chat_id)
    return Response(status_code=204)


@router.get(
    "/chat/{chat_id}/stream",
    response_class=EventStream,
    responses={**_STREAMED, 204: {"description": "Nothing is being answered."}, **responses(429)},
)
async def resume(request: Request, session: SessionDep, caller: Caller, chat_id: ChatId) -> Response:
    """Follow the answer that is under way, from its beginning: byte for byte the stream that was asked for."""
    running = queries.running(session, caller, chat_id)
    if running is None:
        return Response(status_code=204)
    rate_limit(request, session, "assistant_resume", account=str(caller.user_id))
    return EventStream(follow(running))


@router.post("/chat/{chat_id}/stop", status_code=204)
async def stop(session: SessionDep, caller: Caller, chat_id: ChatId) -> Response:
    """Have the answer that is under way end, within a second and at the provider too."""
    service.stop(session, caller, chat_id=chat_id)
    return Response(status_code=204)


@router.post(
    "",
    response_model=TaskAnswer,
    dependencies=[Depends(outside_transaction)],
    responses={200: {"content": {"text/event-stream": _STREAM}}, **responses(429)},
)
async def do_task(
    request: Request,
    session: SessionDep,
    caller: Caller,
    asked: TaskRequest,
    accept: Annotated[str, Header(description="`text/event-stream` for the stream that `POST /ai/chat` gives.")] = "",
) -> Response:
    """Suggest what to do next, format a document, or validate one: as JSON, or as a stream."""
    _limit(request, session, caller)
    job = jobs.prepare(session, caller, asked=asked, base=link(request.scope, ""))
    session.close()  # nobody else is to wait for the connection while the model thinks
    if "text/event-stream" in accept.lower():
        return EventStream(job.stream())
    return changed(job.answer())


def _limit(request: Request, session: SessionDep, caller: Caller) -> None:
    rate_limit(request, session, "assistant", account=str(caller.user_id))
    headers = limits.require_tokens(session, caller.user_id)
    answer_headers(request.scope).update(headers)
