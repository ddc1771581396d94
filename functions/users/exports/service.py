"""The rules of exports: one at a time."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from quintet.config import settings
from quintet.db.models.accounts import User
from quintet.db.models.exports import Export
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.exports import UNDER_WAY, give_up, key_of
from quintet.identity.principal import Principal


def request_export(session: Session, caller: Principal) -> UUID:
    """Have the caller's data put together, unless that is under way; the id of the export."""
    # Who asks twice at once waits here.
    session.execute(select(User.id).where(User.id == caller.user_id).with_for_update(key_share=True))
    theirs = Export.user_id == caller.user_id
    give_up(session, theirs)
    if running := session.scalar(select(Export.id).where(theirs, Export.status.in_(UNDER_WAY))):
        return running
    new_id: UUID = session.execute(select(func.uuidv7())).scalar_one()
    session.add(Export(id=new_id, user_id=caller.user_id, bucket=settings().files_bucket, key=key_of(new_id)))
    record(session, EventType.EXPORT_REQUESTED, subject=new_id, scope=scope_of("user", caller.user_id))
    return new_id
