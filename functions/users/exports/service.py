"""The rules of exports: one at a time."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from quintet.config import settings
from quintet.db.models.accounts import User
from quintet.db.models.exports import Export
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.exports import key_of
from quintet.identity.principal import Principal

_GIVEN_UP = timedelta(days=1)
"""How long one that is not done keeps the next one waiting."""


def request_export(session: Session, caller: Principal) -> UUID:
    """Have the caller's data put together, unless that is under way; the id of the export."""
    # Who asks twice at once waits here.
    session.execute(select(User.id).where(User.id == caller.user_id).with_for_update(key_share=True))
    under_way = Export.user_id == caller.user_id, Export.status.in_(("queued", "running"))
    session.execute(
        update(Export)
        .where(*under_way, Export.created_at < func.now() - _GIVEN_UP)
        .values(status="failed", version=Export.version + 1),
        execution_options={"synchronize_session": False},
    )
    if running := session.scalar(select(Export.id).where(*under_way)):
        return running
    new_id: UUID = session.execute(select(func.uuidv7())).scalar_one()
    session.add(Export(id=new_id, user_id=caller.user_id, bucket=settings().files_bucket, key=key_of(new_id)))
    record(session, EventType.EXPORT_REQUESTED, subject=new_id, scope=scope_of("user", caller.user_id))
    return new_id
