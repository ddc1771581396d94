"""HTTP of contacts and activities."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query, Request
from starlette.responses import Response

from functions.campaigns.contacts import queries, service
from functions.campaigns.contacts.schemas import ActivityCreate, ActivityRead, ContactRead, ContactUpdate
from quintet.db.models.campaigns import ContactStatus
from quintet.http.answers import changed, listed
from quintet.http.conditional import IfMatch, fresh
from quintet.http.dependencies import Caller, Paging, SessionDep
from quintet.http.idempotency import Idempotent
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page, text

router = Router(tags=["contacts"])

Search = Annotated[
    str,
    text(200, min_length=1),
    Query(
        description="Words of name, address, number and external id, of which the last may be a beginning; or a number"
        " as it is dialled, or its end; or an address from the @ on."
    ),
]


@router.get("/campaigns/{campaign_id}/contacts", response_model=Page[ContactRead])
async def list_contacts(
    session: SessionDep,
    caller: Caller,
    campaign_id: UUID,
    paging: Paging,
    status: ContactStatus | None = None,
    agent_id: Annotated[UUID | Literal["none"] | None, Query(description="Whose contacts; `none`: nobody's.")] = None,
    upload_id: Annotated[UUID | None, Query(description="Contacts that this import made.")] = None,
    q: Search | None = None,
) -> Response:
    """List the contacts of a campaign, newest first; an agent sees their own."""
    return listed(
        queries.list_contacts(
            session, caller, campaign_id, paging, status=status, agent_id=agent_id, upload_id=upload_id, q=q
        )
    )


@router.get("/contacts/{contact_id}", response_model=ContactRead)
async def read_contact(request: Request, session: SessionDep, caller: Caller, contact_id: UUID) -> Response:
    """Read one contact."""
    found = queries.read_contact(session, caller, contact_id)
    return fresh(request, found.json, variant=found.agent_id.hex if found.agent_id else "")


@router.change("/contacts/{contact_id}", response_model=ContactRead, responses=responses(403, 409))
async def update_contact(
    session: SessionDep, caller: Caller, contact_id: UUID, change: ContactUpdate, expected: IfMatch
) -> Response:
    """Change the fields sent; for whoever created the campaign, and for the contact's agent."""
    contact = service.update_contact(session, caller, contact_id=contact_id, change=change, expected=expected)
    return changed(ContactRead.model_validate(contact))


@router.post(
    "/contacts/{contact_id}/activities",
    status_code=201,
    response_model=ActivityRead,
    dependencies=[Idempotent],
    responses=responses(409),
)
async def record_activity(session: SessionDep, caller: Caller, contact_id: UUID, new: ActivityCreate) -> Response:
    """Record what was done about a contact; its status becomes the outcome, unless there is a later activity."""
    activity = service.record_activity(session, caller, contact_id=contact_id, new=new)
    response = changed(ActivityRead.model_validate(activity))
    response.status_code = 201
    return response


@router.get("/contacts/{contact_id}/activities", response_model=Page[ActivityRead])
async def list_activities(session: SessionDep, caller: Caller, contact_id: UUID, paging: Paging) -> Response:
    """List what was done about a contact, last recorded first."""
    return listed(queries.list_activities(session, caller, contact_id, paging))
