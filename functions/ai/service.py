"""The rules of conversations with the assistant: one answer at a time, and nothing is done that was not approved."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import flag_modified

from functions.ai import context, limits, log, prompts, tools
from functions.ai.chunks import Chunk, Part, encoded
from functions.ai.producing import Run
from functions.ai.providers import Prompt, Source, provider
from functions.ai.schemas import MAX_QUESTION, ChatApproval, ChatMessage, ChatRequest
from quintet.config import settings
from quintet.db.models.assistant import AiConversation, AiMessage
from quintet.errors import BadRequest, Conflict, NotFound
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.identity.principal import Principal

_TITLE = 80


def begin(session: Session, caller: Principal, *, asked: ChatRequest, base: str) -> Run:
    """Write the question down, or do what was approved, and an answer as running: the run that is to be produced."""
    last = asked.messages[-1]
    sources: list[Source] = []
    if last.role == "user":  # before anything is locked: it takes longest
        sources = context.find(
            session,
            caller,
            question=_text_of(last)[:MAX_QUESTION],
            project_id=asked.project_id,
            conversation_id=asked.conversation_id,
        )
    conversation = _locked(session, caller, asked)
    _require_quiet(session, conversation)
    messages = _messages(session, conversation)
    if asked.trigger == "regenerate-message" and (staying := _staying(messages, asked)):
        _cut(session, messages, staying)
        begun = _Begun(str(uuid4()))
    elif last.role == "user":
        begun = _question(session, conversation, messages, asked)
    else:
        begun = _approved(session, caller, messages, last)
    prompt = prompts.prompt(
        prompts.history((message.role, message.content) for message in messages),
        sources,
        project_id=asked.project_id,
        conversation_id=asked.conversation_id,
        max_tokens=settings().ai_max_tokens,
    )
    return _run(session, caller, conversation, begun, prompt, base=base)


def stop(session: Session, caller: Principal, *, chat_id: str) -> None:
    """Have the answer that is under way end within a second. Repeatable; 404 when there is no such conversation."""
    conversation = _known(session, caller, chat_id)
    running = AiMessage.conversation_id == conversation.id, AiMessage.status == "running"
    session.execute(update(AiMessage).where(*running).values(stop_requested=True))
    _end_abandoned(session, conversation)


def remove(session: Session, caller: Principal, *, chat_id: str) -> None:
    """Delete a conversation; what is under way in it ends, since its next write finds nothing."""
    conversation = _known(session, caller, chat_id)
    session.delete(conversation)
    record(session, EventType.AI_CHAT_REMOVED, subject=conversation.id, scope=scope_of("user", caller.user_id))


@dataclass(slots=True)
class _Begun:
    """How an answer begins: the id that front ends know it by, and what its stream starts with."""

    message_id: str
    chunks: Sequence[Chunk] = ()
    decided: dict[str, list[str]] = field(default_factory=dict)
    """The tools that were `approved` and `declined`."""


def _locked(session: Session, caller: Principal, asked: ChatRequest) -> AiConversation:
    """The caller's conversation of this id, made if there is none, and locked: questions to one take turns."""
    title = " ".join(_text_of(asked.messages[-1]).split())[:_TITLE] or "New conversation"
    statement = insert(AiConversation).values(user_id=caller.user_id, chat_id=asked.id, title=title)
    statement = statement.on_conflict_do_update(index_elements=["user_id", "chat_id"], set_={"updated_at": func.now()})
    conversation: AiConversation = session.scalars(statement.returning(AiConversation)).one()
    return conversation


def _known(session: Session, caller: Principal, chat_id: str) -> AiConversation:
    mine = AiConversation.user_id == caller.user_id, AiConversation.chat_id == chat_id
    conversation = session.scalar(select(AiConversation).where(*mine).with_for_update())
    if conversation is None:
        raise NotFound
    return conversation


def _require_quiet(session: Session, conversation: AiConversation) -> None:
    if _end_abandoned(session, conversation):
        raise Conflict(
            "The last question is still being answered. Wait, or stop that answer first.",
            next={"rel": "stop", "href": f"/ai/chat/{conversation.chat_id}/stop"},
        )


def _end_abandoned(session: Session, conversation: AiConversation) -> bool:
    """Whether an answer is under way; one whose producer has died is ended."""
    running = AiMessage.conversation_id == conversation.id, AiMessage.status == "running"
    found = session.execute(select(AiMessage.id, AiMessage.lease_until < func.now()).where(*running)).one_or_none()
    if found is None:
        return False
    id, abandoned = found
    if abandoned:
        log.interrupt(session, id)
    return not abandoned


def _messages(session: Session, conversation: AiConversation) -> list[AiMessage]:
    """The latest, oldest first."""
    newest = select(AiMessage).where(AiMessage.conversation_id == conversation.id)
    found = session.scalars(newest.order_by(AiMessage.id.desc()).limit(4 * prompts.MAX_TURNS)).all()
    return list(reversed(found))


def _question(session: Session, conversation: AiConversation, messages: list[AiMessage], asked: ChatRequest) -> _Begun:
    """Write a question down: in place of the one that is named, which may never have come here; else as the next."""
    said = asked.messages[-1]
    text = _text_of(said)
    if not text.strip():
        raise BadRequest.at("/messages", "The last message has no text.")
    if len(text) > MAX_QUESTION:
        raise BadRequest.at("/messages", f"Send {MAX_QUESTION} characters of text at most.")
    if any(part.type == "file" for part in said.parts):
        raise BadRequest.at("/messages", "Files cannot be attached here. Upload it, then ask about it.")
    if asked.message_id:
        place = _place(messages, "user", asked.message_id)
        if place is not None:
            _cut(session, messages, place)
        elif asked.message_id != said.id:
            raise BadRequest.at("/messageId", "There is no such message in the conversation.")
    taken = {message.message_id for message in messages}
    question = AiMessage(
        conversation_id=conversation.id,
        role="user",
        message_id=said.id if said.id and said.id not in taken else str(uuid4()),
        content=[{"type": "text", "text": text}],
    )
    session.add(question)
    session.flush()
    messages.append(question)
    return _Begun(str(uuid4()))


def _staying(messages: list[AiMessage], asked: ChatRequest) -> int | None:
    """How many messages stay when a question is answered anew; None when it has never come here, and is a new one.

    Front ends name the answer, or the question, or nothing; the question is the last message they send.
    """
    question, named = asked.messages[-1].id, asked.message_id
    answers = [message.message_id for message in messages if message.role == "assistant"]
    if not named and not question and answers:
        named = answers[-1]
    staying = _place(messages, "assistant", named)
    if staying is None and (place := _place(messages, "user", named, question)) is not None:
        staying = place + 1
    if staying is None and question and named in (None, question):
        return None
    if not staying or messages[staying - 1].role != "user":
        raise BadRequest.at("/messageId", "There is no such answer in the conversation.")
    return staying


def _place(messages: list[AiMessage], role: str, *ids: str | None) -> int | None:
    """Where a message is among these."""
    return next((n for n, message in enumerate(messages) if message.role == role and message.message_id in ids), None)


def _cut(session: Session, messages: list[AiMessage], place: int) -> None:
    session.execute(delete(AiMessage).where(AiMessage.id.in_([message.id for message in messages[place:]])))
    del messages[place:]


def _approved(session: Session, caller: Principal, messages: list[AiMessage], said: ChatMessage) -> _Begun:
    """Do what the caller approves of the last answer's proposals. Once, in this transaction, and by their rights.

    What is done is what was proposed, not what the request says was.
    """
    answers = {part.approval.id: part.approval for part in said.parts if part.approval}
    last = messages[-1] if messages and messages[-1].role == "assistant" else None
    waiting = [part for part in last.content if part.get("state") == "approval-requested"] if last else []
    if last is None or not waiting:
        raise Conflict("Nothing waits for an approval in this conversation.")
    chunks: list[Chunk] = []
    decided: dict[str, list[str]] = {"approved": [], "declined": []}
    for part in waiting:
        answer = answers.get(part["approval"]["id"])
        if answer is None or answer.approved is None:
            raise BadRequest.at("/messages", "Approve or decline everything that was proposed.")
        decided["approved" if answer.approved else "declined"].append(part["type"].removeprefix("tool-"))
        chunks += _decided(session, caller, part, answer)
    flag_modified(last, "content")
    session.flush()
    return _Begun(last.message_id, chunks, decided=decided)


def _decided(session: Session, caller: Principal, part: Part, answer: ChatApproval) -> list[Chunk]:
    """Run the tool if it may, and note what came of it; the chunks that tell.

    They say again what was called: who resumes by this stream begins with nothing, and has to find the call in it.
    """
    name, id = part["type"].removeprefix("tool-"), part["toolCallId"]
    called: Chunk = {"type": "tool-input-available", "toolCallId": id, "toolName": name, "input": part["input"]}
    part["approval"] |= {"approved": bool(answer.approved), **({"reason": answer.reason} if answer.reason else {})}
    if not answer.approved:
        part["state"] = "output-denied"
        return [called, {"type": "tool-output-denied", "toolCallId": id}]
    try:
        output = tools.run(session, caller, name, part["input"])
    except tools.RefusedError as refused:
        part |= {"state": "output-error", "errorText": str(refused)}
        return [called, {"type": "tool-output-error", "toolCallId": id, "errorText": str(refused)}]
    part |= {"state": "output-available", "output": output}
    return [called, {"type": "tool-output-available", "toolCallId": id, "output": output}]


def _run(
    session: Session,
    caller: Principal,
    conversation: AiConversation,
    begun: _Begun,
    prompt: Prompt,
    *,
    base: str,
) -> Run:
    answerer, expected = provider(), prompt.expected()
    first: Chunk = {"type": "start", "messageId": begun.message_id, "messageMetadata": {"provider": answerer.name}}
    stream = encoded(first, *begun.chunks, {"type": "start-step"})
    run = AiMessage(
        conversation_id=conversation.id,
        role="assistant",
        message_id=begun.message_id,
        status="running",
        provider=answerer.name,
        input_tokens=expected.input_tokens,
        output_tokens=expected.output_tokens,
    )
    session.add(run)
    session.flush()
    log.begin(session, run.id, stream)
    limits.reserve(session, caller.user_id, expected)
    record(
        session,
        EventType.AI_CHAT_ASKED,
        subject=conversation.id,
        scope=scope_of("user", caller.user_id),
        data={"provider": answerer.name, **begun.decided},
    )
    return Run(id=run.id, begun=stream, prompt=prompt, provider=answerer, base=base)


def _text_of(message: ChatMessage) -> str:
    return "\n".join(part.text for part in message.parts if part.type == "text").strip()
