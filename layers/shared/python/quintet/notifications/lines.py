"""What notifications say: read when it is said, for neither events nor notifications hold what people wrote.

Who may not read any more what one is about is told nothing of it, nor is anybody of what is gone, or who has read the
message meanwhile.
"""

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from quintet.db.reads import Params, rows
from quintet.events.types import EventType
from quintet.identity.scopes import MINE
from quintet.notifications.kinds import KINDS

EXCERPT = 200
"""Characters of a message."""

_LINES = f"""
    SELECT n.id, n.kind, n.data, coalesce(a.full_name, 'Somebody') AS actor, t.title AS task, p.title AS project,
           CASE WHEN length(m.text) > {EXCERPT} THEN left(m.text, {EXCERPT} - 1) || '…' ELSE m.text END AS message,
           c.title AS conversation, g.name AS campaign
    FROM notifications n
    LEFT JOIN users a ON a.id = n.actor_id
    LEFT JOIN tasks t ON t.id = (n.data ->> 'task_id')::uuid
    LEFT JOIN projects p ON p.id = (n.data ->> 'project_id')::uuid
    LEFT JOIN messages m ON m.id = (n.data ->> 'message_id')::uuid AND m.deleted_at IS NULL
    LEFT JOIN conversations c ON c.id = (n.data ->> 'conversation_id')::uuid
    LEFT JOIN campaigns g ON g.id = (n.data ->> 'campaign_id')::uuid
    WHERE n.user_id = %(caller)s AND n.read_at IS NULL AND {{condition}}
      AND (t.id IS NOT NULL OR NOT n.data ? 'task_id') AND (m.id IS NOT NULL OR NOT n.data ? 'message_id')
      AND n.scope IN ({MINE}) AND NOT EXISTS (
          SELECT FROM conversation_members r JOIN events e ON e.id = n.event_id
          WHERE r.conversation_id = m.conversation_id AND r.user_id = n.user_id
            AND r.last_read_message_id >= m.id AND e.type = '{EventType.MESSAGE_CREATED}')
    ORDER BY n.id"""


class Line(NamedTuple):
    """A notification in words."""

    id: UUID
    kind: str
    headline: str
    detail: str
    data: dict[str, Any]


def unread_lines(session: Session, user_id: UUID, condition: str, params: Params) -> list[Line]:
    """What somebody's notifications `n` that meet the SQL `condition` say, oldest first, but those read already."""
    found = rows(session, _LINES.format(condition=condition), {**params, "caller": user_id})
    return [_line(row._asdict()) for row in found]


def _line(row: dict[str, Any]) -> Line:
    kind = KINDS[row["kind"]]
    detail = row[kind.detail] if kind.detail else ""
    return Line(row["id"], row["kind"], kind.headline.format_map(row), detail or "", row["data"])
