"""The assistant as tests talk to it: requests as `useChat` makes them."""

import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from functions.ai.chunks import decoded
from infra.local.events import Response
from tests.support.api import Api
from tests.support.statements import execute

Chunk = dict[str, Any]


def message(text: str, **more: Any) -> dict[str, Any]:
    """A question, as `useChat` has it."""
    return {"id": uuid4().hex[:16], "role": "user", "parts": [{"type": "text", "text": text}], **more}


def question(text: str, chat: str = "", **more: Any) -> dict[str, Any]:
    """The body of a question, with what `DefaultChatTransport` sends besides."""
    return {
        "id": chat or uuid4().hex[:16],
        "messages": [message(text)],
        "trigger": "submit-message",
        "messageId": None,
        **more,
    }


def ask(client: Api, text: str, chat: str = "", **more: Any) -> list[Chunk]:
    """Ask, and wait for the whole answer; its chunks."""
    return chunks_of(client.post("/ai/chat", question(text, chat, **more)))


def chunks_of(answer: Response) -> list[Chunk]:
    """The chunks of a whole stream."""
    assert answer.status == 200, answer
    assert answer.header("x-vercel-ai-ui-message-stream") == "v1"
    assert (answer.header("content-type") or "").startswith("text/event-stream")
    text = answer.body.decode()
    assert text.endswith("data: [DONE]\n\n"), text[-200:]
    return decoded(text)


def said(chunks: list[Chunk]) -> str:
    """The text of an answer."""
    return "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "text-delta")


def kinds(chunks: list[Chunk]) -> list[str]:
    """The types of the chunks, each run of the same once."""
    found: list[str] = []
    for chunk in chunks:
        if not found or found[-1] != chunk["type"]:
            found.append(chunk["type"])
    return found


def of(chunks: list[Chunk], kind: str) -> list[Chunk]:
    """Those of one type."""
    return [chunk for chunk in chunks if chunk["type"] == kind]


def approval(client: Api, chat: str, *, approved: bool, **more: Any) -> dict[str, Any]:
    """The body by which `useChat` sends the user's word on everything that was proposed last."""
    last = client.get(f"/ai/chat/{chat}").json()["messages"][-1]
    parts = [
        {**part, "state": "approval-responded", "approval": {**part["approval"], "approved": approved}}
        if part.get("state") == "approval-requested"
        else part
        for part in last["parts"]
    ]
    return {"id": chat, "messages": [{**last, "parts": parts}], "trigger": "submit-message", **more}


def runs(client: Api, chat: str) -> list[Any]:
    """The rows of a conversation, oldest first."""
    return list(
        execute(
            "SELECT m.* FROM ai_messages m JOIN ai_conversations c ON c.id = m.conversation_id"
            " WHERE c.user_id = %(user)s AND c.chat_id = %(chat)s ORDER BY m.id",
            user=client.id,
            chat=chat,
        )
    )


def until(true: Callable[[], Any], seconds: float = 10.0) -> Any:
    """What becomes true soon."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return found
