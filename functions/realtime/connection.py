"""One event of the WebSocket API: somebody connects, sends a frame, or is gone.

An answer's body goes back as a frame. What is wrong with a frame is said in one, and touches nobody else; who sends
too many is cut off.
"""

import json
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json
from sqlalchemy.orm import Session

from functions.realtime import queries, service
from functions.realtime.frames import CLIENT_FRAME, FRAME_ID, ClientFrame, Ping, Presence, Replay, Typing
from quintet.db.session import reading
from quintet.errors import Gone, NotFound, Problem, TooManyRequests
from quintet.http.problems import body_error
from quintet.identity.rate_limits import count
from quintet.observability import logger
from quintet.realtime.connections import Changed, announce, forget, send
from quintet.realtime.sockets import close, post

_PONG = '{"type":"pong"}'
_CODES = {NotFound.status: "not_found", Gone.status: "gone"}


def on_event(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """Answer an event as API Gateway wants it: a status, which lets somebody in or not, and perhaps a frame."""
    context = event["requestContext"]
    connection_id: str = context["connectionId"]
    match context["eventType"]:
        case "CONNECT":
            return _connect(connection_id, (event.get("queryStringParameters") or {}).get("ticket", ""))
        case "DISCONNECT":
            announce(forget([connection_id]))
            return {"statusCode": HTTPStatus.OK}
        case _:
            answer = _message(connection_id, event.get("body") or "")
            return {"statusCode": HTTPStatus.OK, **({"body": answer} if answer else {})}


def _connect(connection_id: str, ticket: str) -> dict[str, Any]:
    with reading() as session:
        replaced = queries.connect(session, ticket=ticket, connection_id=connection_id)
    if replaced is None:
        logger.info("Somebody came with a ticket that is no good.")
        problem = {
            "type": "about:blank",
            "title": "Unauthorized",
            "status": HTTPStatus.UNAUTHORIZED,
            "detail": "The ticket is unknown, was used, or has expired. Get another by POST /realtime/tickets.",
        }
        headers = {"Content-Type": "application/problem+json"}
        return {"statusCode": HTTPStatus.UNAUTHORIZED, "headers": headers, "body": json.dumps(problem)}
    if replaced:
        _cut_off(replaced, "replaced", f"You are connected {queries.MOST} times, and this one was silent for longest.")
    return {"statusCode": HTTPStatus.OK}


def _message(connection_id: str, body: str) -> str | None:
    """What to answer a frame; None when nothing, as when the connection is closed."""
    with reading() as session:
        caller = queries.find(session, connection_id)
        wrong = _wrong(session, connection_id, caller)
    if wrong:
        _cut_off([connection_id], *wrong)
        return None
    answer = _answer(connection_id, caller, body)
    id = _id_of(body)
    return f'{{"id":"{id}",{answer[1:]}' if answer and id else answer


def _wrong(session: Session, connection_id: str, caller: Any) -> tuple[str, str] | None:
    """Code and detail of why a connection is to be closed, if it is."""
    if caller is None:
        return "reconnect", "This connection is given up. Connect again, and replay."
    try:
        count(session, "frame", connection=connection_id, account=str(caller.user_id))
    except TooManyRequests:
        return "rate_limited", "Too many frames. Connect again, and send fewer."
    return None if caller.signed_in else ("signed_out", "The session has ended. Sign in, and connect again.")


def _answer(connection_id: str, caller: Any, body: str) -> str | None:
    try:
        return _act(connection_id, caller, CLIENT_FRAME.validate_json(body))
    except ValidationError as invalid:
        return _invalid(invalid)
    except TooManyRequests as problem:
        return _error("slow_down", problem.detail)
    except Problem as problem:
        return _refused(problem)
    except Exception:  # or the gateway would say so, in a frame of its own
        logger.exception("A frame failed.")
        return _error("failed", "Something went wrong on our side. Try again.")


def _act(connection_id: str, caller: Any, frame: ClientFrame) -> str | None:
    answer: str | None = None
    changes = isinstance(frame, Presence) and frame.status not in (None, caller.status)
    with reading() as session:
        if changes or isinstance(frame, Typing):
            count(session, "signal", account=str(caller.user_id))
        if isinstance(frame, Presence | Replay):
            count(session, "look_around", account=str(caller.user_id))
        match frame:
            case Ping():
                answer = _PONG
            case Presence():
                answer = queries.people(session, caller.user_id)
            case Typing():
                typing = service.typing_frames(
                    session, caller.user_id, conversation_id=frame.conversation_id, typing=frame.typing
                )
            case _:
                answer = service.replayed(session, caller.user_id, connected_at=caller.connected_at, after=frame.after)
        changed = _note(session, connection_id, caller, frame)
    if isinstance(frame, Typing):
        send(typing)
    announce(changed)
    return answer


def _note(session: Session, connection_id: str, caller: Any, frame: ClientFrame) -> list[Changed]:
    """That they are there, at first and now and then, and how, if that is new; returns who may be to be announced."""
    status = (frame.status if isinstance(frame, Presence) else None) or caller.status
    if not caller.stale and status == caller.status:
        return []
    noted = queries.seen(session, connection_id, caller.user_id, status)
    return [person for person in noted if person.was is None or status != caller.status]


def _cut_off(connection_ids: Sequence[str], code: str, detail: str) -> None:
    """Say why, and close. Of frames on the way together the first does it; a row stays until it is done."""
    lost, _ = post((id, _error(code, detail)) for id in connection_ids)
    announce(forget(lost | close({*connection_ids} - lost)))


def _refused(problem: Problem) -> str:
    code = _CODES.get(problem.status, "invalid")
    if problem.errors:
        return _error(code, problem.errors[0].detail, problem.errors[0].pointer.removeprefix("query"))
    return _error(code, problem.detail)


def _invalid(invalid: ValidationError) -> str:
    first = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "union_tag_invalid":
        return _error("unknown_action", "The actions are typing, presence, replay and ping.", "/action")
    if first["type"] == "union_tag_not_found":
        return _error("invalid", "Say what to do: typing, presence, replay or ping.", "/action")
    if first["type"] in ("json_invalid", "model_attributes_type", "model_type", "dict_type"):
        return _error("invalid", "Send a JSON object with an action.", "")
    wrong = body_error(first)  # whose place begins with which frame it was taken for
    return _error("invalid", wrong.detail, wrong.pointer)


def _id_of(body: str) -> str | None:
    """What the sender calls this frame, if it can be read at all."""
    try:
        id = from_json(body).get("id")
    except (ValueError, AttributeError):
        return None
    return id if isinstance(id, str) and re.fullmatch(FRAME_ID, id) else None


def _error(code: str, detail: str, pointer: str | None = None) -> str:
    said = {"type": "error", "code": code, "detail": detail}
    return json.dumps(said if pointer is None else {**said, "pointer": pointer})
