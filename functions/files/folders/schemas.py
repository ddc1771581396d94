"""Bodies of folders."""

from typing import ClassVar
from uuid import UUID

from functions.files.fields import Name
from quintet.http.schemas import Input, Output, Timestamp, Update


class FolderCreate(Input):
    """A new folder, at the top of its project or in another folder."""

    aliases: ClassVar = {"project_id": ("projectId",), "parent_id": ("parentId",)}

    project_id: UUID
    parent_id: UUID | None = None
    name: Name


class FolderUpdate(Update):
    """The fields to change; a `parent_id` of null moves the folder to the top of its project."""

    aliases: ClassVar = {"parent_id": ("parentId",)}

    name: Name = ""
    parent_id: UUID | None = None


class FolderRead(Output):
    """A folder of a project."""

    id: UUID
    project_id: UUID
    parent_id: UUID | None
    name: str
    created_at: Timestamp
    updated_at: Timestamp
    version: int
