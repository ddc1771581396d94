"""THE list of who is told of which event."""

from collections.abc import Mapping
from dataclasses import dataclass

from quintet.events.types import EventType


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A kind of notification that an event makes."""

    kind: str
    whom: str
    """SQL: the `user_id` of those who are told. Parameters are the event's: `event_id`, `subject_id`, `data`,
    `scope_id`. Whoever did it is not told, nor is who takes no part in its scope."""
    about: str = ""
    """The kind of scope that the notification is of, if not the event's: one whose id is a fact of the event. Who takes
    no part in it any more when it is said is told nothing."""
    keeps: tuple[str, ...] = ()
    """Facts of the event that the notification has too."""


def _named(field: str) -> str:
    return f"SELECT (%(data)s ->> '{field}')::uuid AS user_id"


def _listed(field: str) -> str:
    return f"SELECT value::uuid AS user_id FROM jsonb_array_elements_text(%(data)s -> '{field}')"


_ASSIGNEE = f"""
    SELECT t.assignee_id AS user_id FROM tasks t
    WHERE t.id = %(subject_id)s AND t.assignee_id = ({_named("assignee_id")})"""
"""Who has the task, if it is still the one whom the event names."""

_SAID = "EXISTS (SELECT FROM messages WHERE id = %(subject_id)s AND deleted_at IS NULL)"
"""The message is still there."""

_NOT_READ = """
    SELECT m.user_id FROM conversation_members m
    WHERE m.conversation_id = %(scope_id)s
      AND (m.last_read_message_id IS NULL OR m.last_read_message_id < %(subject_id)s)"""
"""Members who have not read the message. Of one that is changed, which they may have read before, it tells nothing."""

_OTHER_ONE = f"""
    {_NOT_READ} AND {_SAID} AND EXISTS (SELECT FROM conversations WHERE id = %(scope_id)s AND NOT is_group)"""

_MENTIONED = f"SELECT user_id FROM ({_listed('mentions')}) named WHERE {_SAID}"

_NEW_MEMBER = f"""
    SELECT m.user_id FROM project_members m JOIN events e ON e.at = m.created_at
    WHERE e.id = %(event_id)s AND m.project_id = %(subject_id)s AND m.user_id = ({_named("user_id")})"""
"""Who became a member in the event's own transaction; of others it says that their role changed."""

_STUDENT = "SELECT user_id FROM enrollments WHERE id = %(subject_id)s"
"""Whose enrollment it is, unless they have left."""

_UPLOADER = "SELECT created_by AS user_id FROM campaign_uploads WHERE id = %(subject_id)s"

TOLD: Mapping[EventType, tuple[Told, ...]] = {
    EventType.TASK_ASSIGNED: (Told(kind="task_assigned", whom=_ASSIGNEE),),
    EventType.TASK_DUE: (Told(kind="task_due", whom=_ASSIGNEE, keeps=("due_date",)),),
    EventType.MESSAGE_CREATED: (
        Told(kind="mention", whom=f"{_MENTIONED} AND user_id IN ({_NOT_READ})"),
        Told(kind="direct_message", whom=_OTHER_ONE),
    ),
    EventType.MESSAGE_UPDATED: (Told(kind="mention", whom=_MENTIONED),),
    EventType.CONVERSATION_CREATED: (
        Told(kind="conversation_added", whom=f"{_listed('member_ids')} WHERE (%(data)s -> 'is_group')::bool"),
    ),
    EventType.CONVERSATION_MEMBER_ADDED: (Told(kind="conversation_added", whom=_named("user_id")),),
    EventType.PROJECT_MEMBER_SET: (Told(kind="project_added", whom=_NEW_MEMBER, keeps=("role",)),),
    EventType.ENROLLMENT_CREATED: (Told(kind="course_added", whom=_STUDENT, about="course", keeps=("status",)),),
    EventType.ENROLLMENT_MOVED_UP: (Told(kind="course_seat", whom=_STUDENT, about="course"),),
    EventType.CAMPAIGN_UPLOAD_FINISHED: (Told(kind="import_finished", whom=_UPLOADER),),
    EventType.CAMPAIGN_UPLOAD_FAILED: (Told(kind="import_failed", whom=_UPLOADER),),
}
"""Event type -> what it makes. One event tells nobody twice: what comes first counts."""
