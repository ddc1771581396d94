"""HTTP of agents."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query, Request
from starlette.responses import Response

from functions.agents import queries, service
from functions.agents.schemas import AgentCreate, AgentRead, AgentUpdate
from quintet.http.answers import changed, created, listed
from quintet.http.conditional import IfMatch, fresh
from quintet.http.dependencies import Caller, Paging, SessionDep
from quintet.http.idempotency import Idempotent
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page, text

router = Router(prefix="/agents", tags=["agents"])

Search = Annotated[str, text(200, min_length=1), Query(description="How the name or the address begins.")]


@router.get("", response_model=Page[AgentRead])
async def list_agents(
    session: SessionDep,
    caller: Caller,
    paging: Paging,
    available: Annotated[bool | Literal["any"], Query(description="`any`: those who are not available too.")] = True,
    q: Search | None = None,
) -> Response:
    """List the available agents and how much they have to do; who makes no campaigns sees themselves, if an agent."""
    wanted = None if available == "any" else available
    return listed(queries.list_agents(session, caller, paging, available=wanted, q=q))


@router.post("", status_code=201, response_model=AgentRead, dependencies=[Idempotent], responses=responses(403, 409))
async def create_agent(request: Request, session: SessionDep, caller: Caller, new: AgentCreate) -> Response:
    """Create an agent; needs `agents:write`."""
    agent = service.create_agent(session, caller, new=new)
    return created(request, queries.read_agent(session, caller, agent.id).json, f"/agents/{agent.id}")


@router.get("/{agent_id}", response_model=AgentRead)
async def read_agent(request: Request, session: SessionDep, caller: Caller, agent_id: UUID) -> Response:
    """Read one agent and how much they have to do."""
    found = queries.read_agent(session, caller, agent_id)
    return fresh(request, found.json, variant=f"{found.load}.{found.campaigns}")


@router.change("/{agent_id}", response_model=AgentRead, responses=responses(403, 409))
async def update_agent(
    session: SessionDep, caller: Caller, agent_id: UUID, change: AgentUpdate, expected: IfMatch
) -> Response:
    """Change the fields sent; needs `agents:write`, but agents say themselves whether they are available."""
    service.update_agent(session, caller, agent_id=agent_id, change=change, expected=expected)
    return changed(queries.read_agent(session, caller, agent_id).json)


@router.delete("/{agent_id}", status_code=204, responses=responses(403, 409))
async def delete_agent(session: SessionDep, caller: Caller, agent_id: UUID, expected: IfMatch) -> Response:
    """Remove an agent who never was assigned and never worked; needs `agents:write`."""
    service.delete_agent(session, caller, agent_id=agent_id, expected=expected)
    return Response(status_code=204)
