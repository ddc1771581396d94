"""HTTP of tasks."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Query, Request
from starlette.responses import Response

from functions.tasks import queries, service
from functions.tasks.queries import Sort
from functions.tasks.schemas import TaskCreate, TaskRead, TasksUpdate, TasksUpdated, TaskUpdate
from quintet.db.models.tasks import TaskStatus
from quintet.errors import BadRequest
from quintet.http.answers import changed, created, listed
from quintet.http.conditional import IfMatch, fresh
from quintet.http.dependencies import Caller, Limit, SessionDep
from quintet.http.idempotency import Idempotent
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Day, Page, text
from quintet.pagination import PageRequest

router = Router(prefix="/tasks", tags=["tasks"])

Search = Annotated[str, text(200, min_length=1), Query(description="Words in title and description.")]
Cursor = Annotated[
    str,
    Query(
        max_length=1000,
        description="The `next_cursor` of the page before.",
        json_schema_extra={"pattern": "^[A-Za-z0-9_-]*$"},
    ),
]


async def _paging(limit: Limit = 50, cursor: Cursor | None = None) -> PageRequest:
    return PageRequest(limit, cursor)


async def _project_id(
    project_id: Annotated[UUID | None, Query(description="Tasks of this project.")] = None,
    camel: Annotated[UUID | None, Query(alias="projectId", description="Another name of `project_id`.")] = None,
) -> UUID | None:
    if project_id and camel and project_id != camel:
        raise BadRequest.at("query/projectId", "This is another name of `project_id`; send one, or the same value.")
    return project_id or camel


@router.get("", response_model=Page[TaskRead], responses=responses(404))
async def list_tasks(
    session: SessionDep,
    caller: Caller,
    paging: Annotated[PageRequest, Depends(_paging)],
    project_id: Annotated[UUID | None, Depends(_project_id)],
    assignee_id: Annotated[UUID | Literal["me"] | None, Query(description="Whose tasks; `me` is the caller.")] = None,
    status: TaskStatus | None = None,
    due_before: Annotated[Day | None, Query(description="Tasks due before this day.")] = None,
    q: Search | None = None,
    sort: Annotated[
        Sort | None,
        Query(
            description="By default `position` within a project, else `newest`. By `due_date` those without are last."
        ),
    ] = None,
) -> Response:
    """List the tasks of a project, or of all projects the caller may see."""
    return listed(
        queries.list_tasks(
            session,
            caller,
            paging,
            sort=sort,
            project_id=project_id,
            assignee_id=caller.user_id if assignee_id == "me" else assignee_id,
            status=status,
            due_before=due_before,
            q=q,
        )
    )


@router.post("", status_code=201, response_model=TaskRead, dependencies=[Idempotent], responses=responses(403, 409))
async def create_task(request: Request, session: SessionDep, caller: Caller, new: TaskCreate) -> Response:
    """Create a task; for the project's editors."""
    task = service.create_task(session, caller, new=new)
    return created(request, TaskRead.model_validate(task), f"/tasks/{task.id}")


@router.patch("", response_model=TasksUpdated, responses=responses(403, 404, 409))
async def update_tasks(session: SessionDep, caller: Caller, bulk: TasksUpdate) -> Response:
    """Change the same fields of several tasks: all of them, or none."""
    return changed(TasksUpdated.model_validate(service.update_tasks(session, caller, bulk=bulk)))


@router.get("/{task_id}", response_model=TaskRead)
async def read_task(request: Request, session: SessionDep, caller: Caller, task_id: UUID) -> Response:
    """Read one task."""
    return fresh(request, queries.read_task(session, caller, task_id))


@router.change("/{task_id}", response_model=TaskRead, responses=responses(403, 409))
async def update_task(
    session: SessionDep, caller: Caller, task_id: UUID, change: TaskUpdate, expected: IfMatch
) -> Response:
    """Change the fields sent; for the project's editors, and the status for the task's assignee."""
    task = service.update_task(session, caller, task_id=task_id, change=change, expected=expected)
    return changed(TaskRead.model_validate(task))


@router.delete("/{task_id}", status_code=204, responses=responses(403, 409))
async def delete_task(session: SessionDep, caller: Caller, task_id: UUID, expected: IfMatch) -> Response:
    """Remove a task for good; for the project's editors."""
    service.remove_task(session, caller, task_id=task_id, expected=expected)
    return Response(status_code=204)
