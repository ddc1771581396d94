"""Files whose text nobody has looked at, as those from before there was an assistant, go to `upload_processor`."""

from quintet.db.reads import rows
from quintet.db.session import reading
from quintet.events.outbox import send_messages

AT_ONCE = 1_000
"""Of one day."""

# What has become ready since has a delivery of its own.
_UNREAD = """
    SELECT f.id FROM files f
    WHERE f.status = 'ready' AND f.updated_at < now() - interval '2 days'
      AND NOT EXISTS (SELECT FROM file_texts x WHERE x.file_id = f.id)
    ORDER BY f.id DESC LIMIT %(limit)s"""


def ask_for_texts() -> int:
    """Ask for the texts of some, the newest first; returns how many. Lost messages are sent again another day."""
    with reading(owner=True) as session:
        unread = [row.id for row in rows(session, _UNREAD, {"limit": AT_ONCE})]
    send_messages("uploads", [{"unread_file_id": str(id)} for id in unread])
    return len(unread)
