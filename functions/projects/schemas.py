"""Bodies of projects and members."""

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from quintet.db.models.projects import MemberRole, ProductType, ProjectStatus
from quintet.http.schemas import Input, JsonObject, Output, Timestamp, Update, text

Title = Annotated[str, text(200, min_length=1)]
Description = Annotated[str, text(20_000)]

_ALIASES = {"title": ("name", "project_name")}


class ProjectCreate(Input):
    """A new project; its creator owns it."""

    aliases: ClassVar = _ALIASES

    title: Title
    description: Description = ""
    status: Literal["draft", "active", "completed"] = "draft"
    product_type: ProductType | None = None
    settings: JsonObject = Field(default={}, description="Free-form, 16 KB at most.")


class ProjectUpdate(Update):
    """The fields to change. A `status` other than archived brings an archived project back."""

    aliases: ClassVar = _ALIASES

    title: Title = ""
    description: Description = ""
    status: ProjectStatus = "draft"
    product_type: ProductType | None = None
    settings: JsonObject = Field(default={}, description="Replaces the settings as a whole.")


class ProjectRead(Output):
    """A project."""

    id: UUID
    title: str
    description: str
    owner_id: UUID
    status: ProjectStatus
    product_type: ProductType | None
    settings: dict[str, object]
    archived_at: Timestamp | None
    created_at: Timestamp
    updated_at: Timestamp
    version: int


class MemberSet(Input):
    """What the member may do: a viewer reads, an editor changes, an owner also shares and archives."""

    role: MemberRole


class MemberRead(Output):
    """A member of a project; `id` is the account's."""

    id: UUID
    full_name: str
    role: MemberRole
    created_at: Timestamp
