"""Email addresses that are written to for once, or not at all."""

from uuid import UUID

from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.orm import Mapped, mapped_column

from quintet.db.models.accounts import User
from quintet.db.models.base import Base, CreatedAt, one_of, references


class FormerAddress(Base):
    """Where an account's address moved from, by the event that says so: that address is told, and then forgotten.

    A row for each move: whoever moves it twice at once does not keep the first from hearing of it.
    """

    __tablename__ = "former_addresses"

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = references(User.id, ondelete="CASCADE")
    email: Mapped[str] = mapped_column(CITEXT)


class SuppressedAddress(Base):
    """An address that bounced or complained: nothing more is sent there."""

    __tablename__ = "suppressed_addresses"
    __table_args__ = (one_of("reason", "bounce", "complaint"),)

    email: Mapped[str] = mapped_column(CITEXT, primary_key=True)
    reason: Mapped[str]
    created_at: Mapped[CreatedAt]
