"""Making a task, and finding the place of one."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from quintet.db.models.tasks import MAX_POSITION, Task
from quintet.errors import BadRequest, Conflict
from quintet.events.record import record_all
from quintet.events.tasks import task_created
from quintet.identity.principal import Principal
from quintet.tasks.access import locked_project, require_members
from quintet.tasks.positions import between


def create_task(
    session: Session,
    caller: Principal,
    *,
    project_id: UUID,
    place: Mapping[str, UUID | None] | None = None,
    **fields: Any,
) -> Task:
    """A task in a project that the caller may edit: at `place`, as `position_at` has it, or at the end."""
    locked_project(session, caller, project_id)
    if fields.get("assignee_id"):
        require_members(session, {project_id}, fields["assignee_id"], pointer="/assignee_id")
    position = position_at(session, project_id, place or {"before": None}, moved=None)
    task = Task(**fields, project_id=project_id, position=position, created_by=caller.user_id)
    session.add(task)
    session.flush()
    record_all(session, task_created(task))
    return task


def position_at(session: Session, project_id: UUID, place: Mapping[str, UUID | None], *, moved: Task | None) -> str:
    """Where `{"before": id}` or `{"after": id}` is; None as id: the end, or the beginning.

    The project is to be locked. A task that is there already keeps its position.
    """
    [(side, beside)] = place.items()
    if moved is not None and beside == moved.id:
        return moved.position
    mine = Task.position
    nearest = select(mine).where(Task.project_id == project_id)
    nearest = nearest.order_by(mine.desc() if side == "before" else mine)
    if moved is not None:
        nearest = nearest.where(Task.id != moved.id)
    if beside is None:
        near: list[str | None] = [None, *session.scalars(nearest.limit(1))]
    else:
        its = select(mine).where(Task.project_id == project_id, Task.id == beside).scalar_subquery()
        near = list(session.scalars(nearest.where(mine <= its if side == "before" else mine >= its).limit(2)))
        if not near:
            raise BadRequest.at(f"/{side}", "There is no task with this id in the project.")
    this, beyond = (*near, None)[:2]
    low, high = (beyond, this) if side == "before" else (this, beyond)
    if moved is not None and (low or "") < moved.position and (high is None or moved.position < high):
        return moved.position
    position = between(low, high)
    if len(position) > MAX_POSITION:
        raise Conflict("There is no room left in this place. Move one of the tasks beside it away and back first.")
    return position
