"""What every table shares."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, Computed, ForeignKey, MetaData, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, Mapped, deferred, mapped_column

from quintet.errors import PreconditionFailed

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Declarative base. What the database fills in comes back with the statement that wrote the row."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: TIMESTAMP(timezone=True),
        UUID: Uuid(),
        str: Text(),
        dict[str, Any]: JSONB(none_as_null=True),
    }
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012


Id = Annotated[UUID, mapped_column(primary_key=True, server_default=text("uuidv7()"))]
CreatedAt = Annotated[datetime, mapped_column(server_default=func.now())]
UpdatedAt = Annotated[datetime, mapped_column(server_default=func.now(), onupdate=func.now())]
Version = Annotated[int, mapped_column(server_default=text("1"))]
"""What the ETag is made of; `touch` counts it up."""


def references(column: InstrumentedAttribute[UUID] | str, *, ondelete: str, index: bool = True, **options: Any) -> Any:
    """A foreign key to `column` (by name within the same class), indexed unless an index begins with it already."""
    return mapped_column(ForeignKey(column, ondelete=ondelete), index=index, **options)


def searched(vector: str) -> Any:
    """A column, made by the database, that finds a row by its words: `search @@ words_sought(%(q)s)`.

    `vector` is SQL of the function `words_of`: between words may stand anything, and takes no time to read over.
    """
    return deferred(mapped_column(TSVECTOR, Computed(vector, persisted=True)))


def one_of(column: str, *values: str) -> CheckConstraint:
    """CHECK that an enumerated text column holds one of `values`."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


class Changing:
    """Mixin of everything that changes: when, and how often."""

    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]
    version: Mapped[Version]

    def require_version(self, expected: frozenset[int] | None) -> None:
        """412 unless this is one of the versions the change is meant for; None is any. The row is to be locked."""
        if expected is not None and self.version not in expected:
            raise PreconditionFailed("Somebody changed it in between. Read it again and repeat your change.")

    def apply(self, changes: Mapping[str, Any]) -> list[str]:
        """Set the fields that differ, and count the version up if there are any; returns their names."""
        changed = sorted(name for name, value in changes.items() if _differ(getattr(self, name), value))
        for name in changed:
            setattr(self, name, changes[name])
        if changed:
            self.touch()
        return changed

    def touch(self) -> None:
        """Count the version up. The row is to be locked (`with_for_update`), so none is lost."""
        self.version += 1


def _differ(one: Any, other: Any) -> bool:
    """Whether these are two values in JSON too, where 1 and true are not the same as they are in Python."""
    return json.dumps(one, sort_keys=True, default=str) != json.dumps(other, sort_keys=True, default=str)
