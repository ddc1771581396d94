"""Every table, one file per area. Importing this package registers them all: for Alembic and for tests."""

from quintet.db.models.base import Base
from quintet.db.models.events import Delivery, Event
from quintet.db.models.files import File, Folder
from quintet.db.models.identity import (
    Division,
    FormerAddress,
    OneTimeToken,
    Role,
    SigningKey,
    SuppressedAddress,
    User,
    UserDivision,
    UserRole,
    UserSession,
)
from quintet.db.models.machinery import IdempotencyKey, RateCounter
from quintet.db.models.projects import Project, ProjectMember

__all__ = [
    "Base",
    "Delivery",
    "Division",
    "Event",
    "File",
    "Folder",
    "FormerAddress",
    "IdempotencyKey",
    "OneTimeToken",
    "Project",
    "ProjectMember",
    "RateCounter",
    "Role",
    "SigningKey",
    "SuppressedAddress",
    "User",
    "UserDivision",
    "UserRole",
    "UserSession",
]
