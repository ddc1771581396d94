"""The rules of messages.

Who sends locks the conversation until the commit: messages get their ids one after the other, and who was removed
meanwhile sends nothing. What was said by others until then counts as read.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from functions.conversations.access import locked_conversation, locked_message
from functions.conversations.document import MAX_BYTES
from functions.conversations.messages import queries
from functions.conversations.messages.schemas import MessageCreate, MessageUpdate
from quintet.db.models.conversations import (
    Attachment,
    Message,
    MessageMention,
    MessageReaction,
)
from quintet.documents import mentioned, plain_text
from quintet.errors import BadRequest, Conflict, FieldError, Forbidden
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.identity.principal import Principal

MAX_REACTIONS = 20
"""Of one member to one message."""


def send_message(session: Session, caller: Principal, *, conversation_id: UUID, new: MessageCreate) -> UUID:
    """Say something in a conversation the caller takes part in; the message's id."""
    content, files = new.document(), list(dict.fromkeys(new.attachments))
    mentions = mentioned(content)
    locked_conversation(session, caller, conversation_id)
    text = _checked(
        session, caller, conversation_id, content, mentions, files=new.attachments, reply_to_id=new.reply_to_id
    )
    message_id = queries.insert_message(
        session,
        caller,
        conversation_id=conversation_id,
        content=content,
        text=text,
        reply_to_id=new.reply_to_id,
        files=files,
        mentions=list(mentions),
    )
    data: dict[str, Any] = {"mentions": _strings(mentions), "attachments": _strings(files)}
    if new.reply_to_id:
        data["reply_to_id"] = str(new.reply_to_id)
    _record(session, EventType.MESSAGE_CREATED, message_id, conversation_id, **data)
    return message_id


def update_message(
    session: Session, caller: Principal, *, message_id: UUID, change: MessageUpdate, expected: frozenset[int] | None
) -> None:
    """Say something else instead; for who sent it."""
    message = _locked_own(session, caller, message_id)
    message.require_version(expected)
    if message.deleted_at:
        raise Conflict("The message is deleted.")
    content = change.document()
    mentions = mentioned(content)
    text = _checked(session, caller, message.conversation_id, content, mentions, message_id=message_id)
    if not message.apply({"content": content}):
        return
    message.text, message.edited_at = text, func.now()
    session.flush()
    new = queries.replace_mentions(session, message_id, list(mentions))
    _record(session, EventType.MESSAGE_UPDATED, message_id, message.conversation_id, mentions=_strings(new))


def delete_message(session: Session, caller: Principal, *, message_id: UUID, expected: frozenset[int] | None) -> None:
    """Take back what was said; for who sent it. That there was a message stays. Repeatable."""
    message = _locked_own(session, caller, message_id)
    message.require_version(expected)
    if message.deleted_at:
        return
    message.content, message.text, message.deleted_at = None, "", func.now()
    message.touch()
    session.flush()
    for part in (Attachment, MessageMention, MessageReaction):
        session.execute(delete(part).where(part.message_id == message_id))
    _record(session, EventType.MESSAGE_REMOVED, message_id, message.conversation_id)


def add_reaction(session: Session, caller: Principal, *, message_id: UUID, emoji: str) -> None:
    """Put an emoji to a message. Repeatable."""
    message = locked_message(session, caller, message_id, share=True)
    if message.deleted_at:
        raise Conflict("The message is deleted.")
    new = {"message_id": message_id, "user_id": caller.user_id, "emoji": emoji}
    statement = insert(MessageReaction).values(new).on_conflict_do_nothing()
    if session.scalar(statement.returning(MessageReaction.emoji)) is None:
        return
    own = select(func.count()).where(
        MessageReaction.message_id == message_id, MessageReaction.user_id == caller.user_id
    )
    if session.scalars(own).one() > MAX_REACTIONS:
        raise Conflict(f"You have put {MAX_REACTIONS} emojis to this message; take one away first.")
    _record(session, EventType.MESSAGE_REACTION_ADDED, message_id, message.conversation_id, emoji=emoji)


def remove_reaction(session: Session, caller: Principal, *, message_id: UUID, emoji: str) -> None:
    """Take the caller's emoji away again. Repeatable."""
    message = locked_message(session, caller, message_id, share=True)
    removed = session.scalar(
        delete(MessageReaction)
        .where(
            MessageReaction.message_id == message_id,
            MessageReaction.user_id == caller.user_id,
            MessageReaction.emoji == emoji,
        )
        .returning(MessageReaction.emoji)
    )
    if removed:
        _record(session, EventType.MESSAGE_REACTION_REMOVED, message_id, message.conversation_id, emoji=emoji)


def _checked(
    session: Session,
    caller: Principal,
    conversation_id: UUID,
    content: dict[str, Any],
    mentions: dict[UUID, str],
    *,
    message_id: UUID | None = None,
    files: list[UUID] | None = None,
    reply_to_id: UUID | None = None,
) -> str:
    """What the content says, as plain text; 400 when it, or what goes with it, refers to what it may not."""
    files = files or []
    there = queries.referred_to(
        session,
        caller,
        conversation_id=conversation_id,
        message_id=message_id,
        reply_to_id=reply_to_id,
        files=files,
        mentions=list(mentions),
    )
    names = {UUID(user_id): name for user_id, name in there.names.items()}
    errors = [
        FieldError(f"/content{pointer}/attrs/id", "Only members of the conversation can be mentioned.")
        for user_id, pointer in mentions.items()
        if user_id not in names
    ]
    errors += [
        FieldError(
            f"/attachments/{n}",
            "Send a file of your own, in no project, with the purpose attachment, that is ready.",
        )
        for n, file_id in enumerate(files)
        if file_id not in there.files
    ]
    if not there.reply:
        errors.append(FieldError("/reply_to_id", "There is no message with this id in the conversation."))
    if errors:
        raise BadRequest("The input is not valid.", errors=errors)
    text = plain_text(content, names)
    if len(text.encode()) > MAX_BYTES:
        raise BadRequest.at("/content", "Larger than 64 KB with the names of those who are mentioned.")
    return text


def _locked_own(session: Session, caller: Principal, message_id: UUID) -> Message:
    message = locked_message(session, caller, message_id)
    if message.sender_id != caller.user_id:
        raise Forbidden("This is for who sent the message.")
    return message


def _record(session: Session, type: EventType, message_id: UUID, conversation_id: UUID, **data: Any) -> None:
    scope = scope_of("conversation", conversation_id)
    record(session, type, subject=message_id, scope=scope, data={"conversation_id": str(conversation_id), **data})


def _strings(ids: Any) -> list[str]:
    return [str(id) for id in ids]
