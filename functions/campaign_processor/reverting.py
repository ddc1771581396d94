"""Undoing an import, chunk by chunk: what it made goes, what it changed is as before.

While its status is `reverting`, nobody else changes its contacts, so that all of it can be undone or nothing.
"""

from collections.abc import Callable

from functions.campaign_processor.claims import ClaimedUpload, LostError, kept
from quintet.db.session import writing
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.imports.uploads import undone

_ROWS = 5_000
"""Of a transaction: it is open for less than two seconds."""

_LOCK = """
    SELECT 1 FROM campaign_uploads
    WHERE id = %(id)s AND run = %(run)s AND status = 'reverting' FOR NO KEY UPDATE"""

_REMOVE = """
    WITH gone AS (SELECT id FROM contacts WHERE upload_id = %(id)s LIMIT %(rows)s)
    DELETE FROM contacts c USING gone WHERE c.id = gone.id"""

_RESTORE = """
    WITH undone AS (
        DELETE FROM upload_changes WHERE (upload_id, contact_id) IN (
            SELECT upload_id, contact_id FROM upload_changes WHERE upload_id = %(id)s LIMIT %(rows)s)
        RETURNING contact_id, before)
    UPDATE contacts c SET
        external_id = before ->> 'external_id', full_name = before ->> 'full_name', phone = before ->> 'phone',
        attributes = before -> 'attributes', updated_at = now(), version = c.version + 1
    FROM undone WHERE c.id = undone.contact_id"""

_DONE = """
    UPDATE campaign_uploads SET status = 'reverted', lease_until = NULL, updated_at = now(), version = version + 1
    WHERE id = %(id)s"""


def revert(upload: ClaimedUpload, time_left: Callable[[], bool]) -> bool:
    """Undo what is left to be undone; whether that was all."""
    key = {"id": upload.id, "run": upload.run, "rows": _ROWS}
    with kept(upload):
        for statement in (_REMOVE, _RESTORE):
            while True:
                with writing() as session:
                    connection = session.connection()
                    if connection.exec_driver_sql(_LOCK, key).one_or_none() is None:
                        raise LostError
                    done = connection.exec_driver_sql(statement, key).rowcount
                if done == 0:
                    break
                if not time_left():
                    return False
        with writing() as session:
            connection = session.connection()
            if connection.exec_driver_sql(_LOCK, key).one_or_none() is None:
                raise LostError
            connection.exec_driver_sql(_DONE, key)
            data = {"campaign_id": str(upload.campaign_id)}
            scope = scope_of("campaign", upload.campaign_id)
            record(session, EventType.CAMPAIGN_UPLOAD_REVERTED, subject=upload.id, scope=scope, data=data)
            undone(session, upload.campaign_id)
    return True
