"""Accounts whose owners deleted them are erased when the time to take that back is over.

What can be much goes first, in batches: addresses of networks in the log, files, projects without anybody else, the
name in messages. Then, in one transaction, what others work with is handed over, and every table loses what tells who
it was (`quintet.personal`). Broken off anywhere, the next run goes on: the account is due until that transaction is
done.
"""

from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Select, delete, exists, select, update
from sqlalchemy.orm import Session, aliased

from quintet.db.models.accounts import User
from quintet.db.models.addresses import FormerAddress, SuppressedAddress
from quintet.db.models.conversations import Attachment
from quintet.db.models.courses import Lesson
from quintet.db.models.files import File
from quintet.db.models.integrations import Integration
from quintet.db.models.projects import Project, ProjectMember
from quintet.db.models.tasks import Task
from quintet.db.reads import rows
from quintet.db.session import reading, writing
from quintet.documents import mentioned, plain_text
from quintet.events import conversations, courses
from quintet.events.record import Happening, record, record_all, scope_of
from quintet.events.tasks import task_changed
from quintet.events.types import EventType
from quintet.exports import remove_exports
from quintet.files.events import record_removed
from quintet.identity.one_time_tokens import GRACE
from quintet.observability import logger
from quintet.personal import DELETED, PERSONAL

_BATCH = 500
_PROJECTS = 50  # at once, each with its tasks
_FIRST = UUID(int=0)
_MARGIN = timedelta(days=1)
"""After the time of grace: no link that was mailed takes back what is being erased."""

_DUE = """
    SELECT id FROM users WHERE deletion_requested_at < now() - %(grace)s AND status = 'disabled' AND erased_at IS NULL
    ORDER BY deletion_requested_at"""

_FORGET_NETWORKS = """
    UPDATE events SET ip = NULL WHERE id = ANY (ARRAY(
        SELECT id FROM events
        WHERE (actor_id = %(user)s OR scope = 'user:' || %(user)s::text) AND ip IS NOT NULL AND id > %(after)s
        ORDER BY id LIMIT %(limit)s))
    RETURNING id"""

_NAMING = """
    SELECT m.id, m.content, m.text FROM messages m JOIN message_mentions n ON n.message_id = m.id
    WHERE n.user_id = %(user)s AND m.content IS NOT NULL AND m.id > %(after)s ORDER BY m.id LIMIT %(limit)s
    FOR NO KEY UPDATE OF m"""
_NAMES = "SELECT id, full_name FROM users WHERE id = ANY (%(ids)s) AND id <> %(user)s"
_RENAME = "UPDATE messages SET text = %(text)s WHERE id = %(id)s"


def erase_accounts(time_left: Callable[[], bool]) -> int:
    """Erase all accounts that are due, while there is time; returns how many. Raises at the end if one could not be."""
    with reading(owner=True) as session:
        due = [row.id for row in rows(session, _DUE, {"grace": GRACE + _MARGIN})]
    erased = failed = 0
    for user_id in due:
        if not time_left():
            break
        try:
            _forget_networks(user_id)
            _remove_files(user_id)
            _remove_projects(user_id)
            _forget_name(user_id)
            erased += _erase(user_id)
        except Exception:
            logger.exception("An account could not be erased; the others are.", user_id=str(user_id))
            failed += 1
    if failed:
        raise RuntimeError(f"{failed} accounts could not be erased; {erased} were.")
    return erased


def _forget_networks(user_id: UUID) -> None:
    after, batch = _FIRST, _BATCH
    while batch == _BATCH:
        with writing(owner=True) as session:
            params = {"user": user_id, "after": after, "limit": _BATCH}
            done = [row.id for row in rows(session, _FORGET_NETWORKS, params)]
        batch, after = len(done), max(done, default=after)


def _forget_name(user_id: UUID) -> None:
    after: UUID | None = _FIRST
    while after is not None:
        with writing(owner=True) as session:
            after = _unname(session, user_id, after)


def _remove_files(user_id: UUID) -> None:
    """Those that nobody else can read: sent to nobody and of no lesson, or in a project without other members."""
    batch = _BATCH
    while batch == _BATCH:
        with writing(owner=True) as session:
            sent = exists().where(Attachment.file_id == File.id)
            taught = exists().where(Lesson.file_id == File.id)
            alone = (File.owner_id == user_id) & File.project_id.is_(None) & ~sent & ~taught
            files = session.scalars(
                select(File)
                .where(alone | File.project_id.in_(_own_projects(user_id)))
                .order_by(File.id)
                .limit(_BATCH)
                .with_for_update()
            ).all()
            record_removed(session, *files)
            session.execute(delete(File).where(File.id.in_([file.id for file in files])))
        batch = len(files)


def _remove_projects(user_id: UUID) -> None:
    """Those that nobody else is a member of, whose files are gone."""
    batch = _PROJECTS
    while batch == _PROJECTS:
        with writing(owner=True) as session:
            ids = session.scalars(_own_projects(user_id).order_by(Project.id).limit(_PROJECTS).with_for_update()).all()
            session.execute(delete(Project).where(Project.id.in_(ids)))
            purged = EventType.PROJECT_PURGED
            record_all(session, [Happening(purged, id, scope_of("project", id)) for id in ids])
        batch = len(ids)


def _own_projects(user_id: UUID) -> Select[UUID]:
    """Projects that nobody else is a member of."""
    other = aliased(ProjectMember)
    others = exists().where(other.project_id == Project.id, other.user_id != user_id)
    return select(Project.id).where(Project.owner_id == user_id, ~others)


def _erase(user_id: UUID) -> bool:
    with writing(owner=True) as session:
        leaving = User.id == user_id, User.deletion_requested_at.is_not(None), User.erased_at.is_(None)
        user = session.scalar(select(User).where(*leaving).with_for_update())
        if user is None:
            return False  # taken back in the last moment
        told = _last_email(session, user)
        conversations.leave_groups(session, user_id)
        courses.leave_all(session, user_id)
        _leave_projects(session, user_id)
        _disconnect(session, user_id)
        remove_exports(session, user_id)
        for kind in PERSONAL.values():
            if kind.erased:
                session.connection().exec_driver_sql(kind.erased, {"user": user_id})
        after: UUID | None = _FIRST  # those of the last moments
        while after is not None:
            after = _unname(session, user_id, after)
        erased = record(session, EventType.ACCOUNT_ERASED, subject=user_id, scope=scope_of("user", user_id))
        if told:
            session.add(FormerAddress(event_id=erased, user_id=user_id, email=told))
    logger.info("An account is erased.", user_id=str(user_id))
    return True


def _last_email(session: Session, user: User) -> str | None:
    """The address to say goodbye to, if it may be written to; that it may not is forgotten, too."""
    at = SuppressedAddress.email == user.email
    suppressed = session.scalar(delete(SuppressedAddress).where(at).returning(SuppressedAddress.email))
    return user.email if suppressed is None else None


def _leave_projects(session: Session, user_id: UUID) -> None:
    """Those of theirs have the next in rank as their owner."""
    mine = (
        select(Project)
        .join(ProjectMember, ProjectMember.project_id == Project.id)
        .where(ProjectMember.user_id == user_id)
        .order_by(Project.id)
        .with_for_update(of=Project)
    )
    for project in session.scalars(mine).all():
        heir = session.scalar(
            select(ProjectMember)
            .join(User, User.id == ProjectMember.user_id)
            .where(ProjectMember.project_id == project.id, ProjectMember.user_id != user_id)
            .order_by(
                (User.status == "active").desc(),
                (ProjectMember.role == "owner").desc(),
                (ProjectMember.role == "editor").desc(),
                ProjectMember.created_at,
                ProjectMember.user_id,
            )
            .limit(1)
        )
        if project.owner_id == user_id:
            if heir is None:
                raise RuntimeError("Everybody else has just left a project; it is removed by the next run.")
            heir.role = "owner"
            _record(session, EventType.PROJECT_MEMBER_SET, project, user_id=str(heir.user_id), role="owner")
            fields = project.apply({"owner_id": heir.user_id})
            _record(session, EventType.PROJECT_UPDATED, project, fields=fields)
        _unassign_tasks(session, project.id, user_id)
        _record(session, EventType.PROJECT_MEMBER_REMOVED, project, user_id=str(user_id))


def _unassign_tasks(session: Session, project_id: UUID, user_id: UUID) -> None:
    unassigned = session.scalars(
        update(Task)
        .where(Task.project_id == project_id, Task.assignee_id == user_id)
        .values(assignee_id=None, version=Task.version + 1)
        .returning(Task.id),
        execution_options={"synchronize_session": False},
    )
    left = {"assignee_id": (user_id, None)}
    record_all(session, [event for task_id in unassigned for event in task_changed(task_id, project_id, None, left)])


def _unname(session: Session, user_id: UUID, after: UUID) -> UUID | None:
    """Write messages out anew that name them: a text has the names that people had when it was sent.

    Some of them, behind `after`; the last of those, None at the end.
    """
    found = rows(session, _NAMING, {"user": user_id, "after": after, "limit": _BATCH})
    ids = list({id for row in found for id in mentioned(row.content)})
    names = {row.id: row.full_name for row in rows(session, _NAMES, {"ids": ids, "user": user_id})}
    for row in found:
        text = plain_text(row.content, defaultdict(lambda: DELETED, names))
        if text != row.text:
            session.connection().exec_driver_sql(_RENAME, {"id": row.id, "text": text})
    return found[-1].id if len(found) == _BATCH else None


def _disconnect(session: Session, user_id: UUID) -> None:
    """Have providers told that they are not to let us in any more; that removes what is left of each integration."""
    connected = select(Integration).where(Integration.user_id == user_id, Integration.status != "disconnected")
    for integration in session.scalars(connected.order_by(Integration.id).with_for_update()).all():
        integration.apply({"status": "disconnected", "next_sync_at": None})
        scope = scope_of("user", user_id)
        data = {"service": integration.service}
        record(session, EventType.INTEGRATION_DISCONNECTED, subject=integration.id, scope=scope, data=data)


def _record(session: Session, type: EventType, project: Project, **data: object) -> None:
    record(session, type, subject=project.id, scope=scope_of("project", project.id), data=data)
