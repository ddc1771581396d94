"""The rules of conversations."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from functions.conversations.access import locked_conversation, require_owned_group
from functions.conversations.conversations.schemas import ConversationCreate, ConversationUpdate
from quintet.db.models.accounts import User
from quintet.db.models.conversations import Conversation, ConversationMember
from quintet.db.models.projects import Project, ProjectMember
from quintet.errors import BadRequest, FieldError, NotFound
from quintet.events.conversations import mark_removed, tell_removed
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.identity.membership import require_role
from quintet.identity.principal import Principal


def find_direct(session: Session, caller: Principal, *, user_id: UUID) -> UUID | None:
    """The direct conversation of the caller and this account, if there is one."""
    return session.scalar(_direct(caller, user_id))


def start_direct(session: Session, caller: Principal, *, user_id: UUID) -> tuple[UUID, bool]:
    """The direct conversation of the caller and this account, and whether it is new.

    There is one for the pair: who comes second waits for the first by the unique key, and finds theirs.
    """
    if user_id == caller.user_id:
        raise BadRequest.at("/user_id", "A conversation takes somebody else.")
    require_accounts(session, {user_id: "/user_id"})
    made = session.scalar(
        insert(Conversation)
        .values(is_group=False, direct_key=_key(caller, user_id), created_by=caller.user_id)
        .on_conflict_do_nothing(index_elements=["direct_key"])
        .returning(Conversation.id)
    )
    if made is None:
        return session.scalars(_direct(caller, user_id)).one(), False
    both = (caller.user_id, user_id)
    session.execute(insert(ConversationMember).values([{"conversation_id": made, "user_id": id} for id in both]))
    record_of(session, EventType.CONVERSATION_CREATED, made, is_group=False, member_ids=[str(id) for id in both])
    return made, True


def create_group(session: Session, caller: Principal, *, new: ConversationCreate) -> UUID:
    """A group that the caller owns."""
    others = {id: f"/member_ids/{n}" for n, id in enumerate(new.member_ids) if id != caller.user_id}
    require_accounts(session, others)
    if new.project_id:
        _require_project(session, caller, new.project_id)
    group = Conversation(title=new.title, is_group=True, project_id=new.project_id, created_by=caller.user_id)
    session.add(group)
    session.flush()
    members = [(caller.user_id, "owner"), *((id, "member") for id in others)]
    session.execute(
        insert(ConversationMember).values(
            [{"conversation_id": group.id, "user_id": id, "role": role} for id, role in members]
        )
    )
    ids = [str(id) for id, _ in members]
    record_of(session, EventType.CONVERSATION_CREATED, group.id, is_group=True, member_ids=ids)
    return group.id


def update_conversation(
    session: Session,
    caller: Principal,
    *,
    conversation_id: UUID,
    change: ConversationUpdate,
    expected: frozenset[int] | None,
) -> None:
    """Change a group's title; for its owner."""
    conversation, role = locked_conversation(session, caller, conversation_id)
    require_owned_group(session, caller, conversation, role)
    conversation.require_version(expected)
    if fields := conversation.apply(change.changes()):
        record_of(session, EventType.CONVERSATION_UPDATED, conversation_id, fields=fields)


def remove_conversation(
    session: Session, caller: Principal, *, conversation_id: UUID, expected: frozenset[int] | None
) -> None:
    """Remove a group for everybody; for its owner."""
    conversation, role = locked_conversation(session, caller, conversation_id)
    require_owned_group(session, caller, conversation, role)
    conversation.require_version(expected)
    members = session.scalars(
        delete(ConversationMember)
        .where(ConversationMember.conversation_id == conversation_id)
        .returning(ConversationMember.user_id)
    ).all()
    mark_removed(session, conversation)
    tell_removed(session, conversation_id, members)


def require_accounts(session: Session, users: dict[UUID, str]) -> None:
    """400 unless these are active accounts; `users`: where in the request each is."""
    known = set(session.scalars(select(User.id).where(User.id.in_(users), User.status == "active")))
    if unknown := [pointer for user_id, pointer in users.items() if user_id not in known]:
        errors = [FieldError(pointer, "There is no active account with this id.") for pointer in unknown]
        raise BadRequest("The input is not valid.", errors=errors)


def record_of(session: Session, type: EventType, conversation_id: UUID, **data: Any) -> None:
    """Record what happened to a conversation, for its members."""
    record(session, type, subject=conversation_id, scope=scope_of("conversation", conversation_id), data=data)


def _key(caller: Principal, user_id: UUID) -> str:
    return ":".join(sorted((str(caller.user_id), str(user_id))))


def _direct(caller: Principal, user_id: UUID) -> Select[UUID]:
    return select(Conversation.id).where(Conversation.direct_key == _key(caller, user_id))


def _require_project(session: Session, caller: Principal, project_id: UUID) -> None:
    row = session.execute(
        select(ProjectMember.role)
        .select_from(Project)
        .outerjoin(ProjectMember, (ProjectMember.project_id == Project.id) & (ProjectMember.user_id == caller.user_id))
        .where(Project.id == project_id)
    ).one_or_none()
    try:
        if row is None:
            raise NotFound
        require_role(caller, row.role, at_least="viewer")
    except NotFound:
        raise BadRequest.at("/project_id", "There is no project with this id that you can see.") from None
