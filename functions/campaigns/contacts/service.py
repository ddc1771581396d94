"""The rules of contacts and activities.

Whoever changes a contact locks it, and no other: so imports, which lock many, and agents never wait in a circle.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import CompoundSelect, exists, select, union_all
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from functions.campaigns.contacts.schemas import ActivityCreate, ContactUpdate
from quintet.db.models.campaigns import (
    Agent,
    Campaign,
    CampaignAssignment,
    CampaignUpload,
    Contact,
    ContactActivity,
    UploadChange,
)
from quintet.errors import BadRequest, Conflict, FieldError, Forbidden, NotFound
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.identity.campaigns import require_open
from quintet.identity.permissions import Permission
from quintet.identity.principal import Principal

_CLOCKS_DIFFER = timedelta(minutes=1)
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


class Locked(NamedTuple):
    """A contact the caller may change; whether its campaign is theirs, and which agent they are, if one."""

    contact: Contact
    default_country: str | None
    owner: bool
    own_agent_id: UUID | None


def update_contact(
    session: Session, caller: Principal, *, contact_id: UUID, change: ContactUpdate, expected: frozenset[int] | None
) -> Contact:
    """Change the fields sent; for whoever created the campaign, and for the contact's agent."""
    locked = _locked(session, caller, contact_id)
    contact = locked.contact
    contact.require_version(expected)
    changes = change.changes()
    if "agent_id" in changes:
        if not locked.owner:
            raise Forbidden("Whose contact it is, whoever created the campaign decides.")
        _check_assigned(session, contact.campaign_id, changes["agent_id"])
    if changes.get("phone"):
        changes["phone"] = _e164(changes["phone"], locked.default_country)
    if not (changes.get("email", contact.email) or changes.get("phone", contact.phone)):
        raise BadRequest.at(
            "/email" if "email" in changes else "/phone", "A contact keeps an email address or a telephone number."
        )
    if fields := contact.apply(changes):
        contact.worked_version = contact.version
        _flush(session, contact)
        _record(session, EventType.CONTACT_UPDATED, contact, fields=fields)
    return contact


def record_activity(session: Session, caller: Principal, *, contact_id: UUID, new: ActivityCreate) -> ContactActivity:
    """Record what was done about a contact, by the caller's agent or else its own.

    Its status becomes the outcome, unless something was done about it later than that.
    """
    if new.at and not _EARLIEST <= new.at <= datetime.now(UTC) + _CLOCKS_DIFFER:
        raise BadRequest.at("/at", "An activity is not in the future, and not before 1970.")
    contact, _, _, own_agent_id = _locked(session, caller, contact_id)
    if new.at is None or not _something_after(session, contact_id, new.at):
        contact.status = new.outcome
    contact.touch()
    contact.worked_version = contact.version
    activity = ContactActivity(
        **new.model_dump(exclude_none=True),
        campaign_id=contact.campaign_id,
        contact_id=contact_id,
        agent_id=own_agent_id or contact.agent_id,
        user_id=caller.user_id,
    )
    session.add(activity)
    session.flush()
    agent_id = activity.agent_id and str(activity.agent_id)
    data = {"activity_id": str(activity.id), "agent_id": agent_id, "outcome": new.outcome}
    _record(session, EventType.CONTACT_ACTIVITY_RECORDED, contact, **data)
    return activity


def _something_after(session: Session, contact_id: UUID, at: datetime) -> bool:
    later = exists().where(ContactActivity.contact_id == contact_id, ContactActivity.at > at)
    return bool(session.scalar(select(later)))


def _locked(session: Session, caller: Principal, contact_id: UUID) -> Locked:
    """The contact, locked; 404 when the caller may not even see it.

    409 when its campaign is archived, and while an import that wrote it is undone.

    An import that begins to be undone locks its row: it and whoever works on one of its contacts take turns.
    """
    wrote: CompoundSelect[Any] = union_all(
        select(Contact.upload_id).where(Contact.id == contact_id),
        select(UploadChange.upload_id).where(UploadChange.contact_id == contact_id),
    )
    imports = (
        select(CampaignUpload.status)
        .where(CampaignUpload.id.in_(wrote))
        .with_for_update(read=True, key_share=True)
        .cte("imports")
    )
    row = session.execute(
        select(
            Contact,
            Campaign.default_country,
            Campaign.created_by,
            Campaign.archived_at,
            Agent.id.label("own_agent_id"),
            CampaignAssignment.agent_id.label("assigned_id"),
            exists().where(imports.c.status == "reverting").label("undone"),
        )
        .join(Campaign, Campaign.id == Contact.campaign_id)
        .outerjoin(Agent, Agent.user_id == caller.user_id)
        .outerjoin(
            CampaignAssignment,
            (CampaignAssignment.campaign_id == Campaign.id) & (CampaignAssignment.agent_id == Agent.id),
        )
        .where(Contact.id == contact_id)
        .with_for_update(of=Contact)
    ).one_or_none()
    if row is None:
        raise NotFound
    contact: Contact = row.Contact
    owner = row.created_by == caller.user_id or caller.can(Permission.CAMPAIGNS_MANAGE_ALL)
    if not owner and (row.assigned_id is None or row.assigned_id != contact.agent_id):
        raise NotFound
    require_open(contact.campaign_id, row.archived_at)
    if row.undone:
        raise Conflict("An import that made or changed this contact is being undone.")
    return Locked(contact, row.default_country, owner, row.own_agent_id)


def _check_assigned(session: Session, campaign_id: UUID, agent_id: UUID | None) -> None:
    """400 unless the agent is assigned, which they stay until the transaction ends."""
    if agent_id is None:
        return
    assigned = select(CampaignAssignment.agent_id).where(
        CampaignAssignment.campaign_id == campaign_id, CampaignAssignment.agent_id == agent_id
    )
    if session.scalar(assigned.with_for_update(read=True, key_share=True)) is None:
        raise BadRequest.at("/agent_id", "There is no agent with this id who is assigned to the campaign.")


def _e164(phone: str, default_country: str | None) -> str:
    from quintet.imports.phones import phone_parser

    try:
        return phone_parser(default_country)(phone)
    except ValueError as error:
        raise BadRequest.at("/phone", f"Not a telephone number that can be used: {error}.") from None


def _flush(session: Session, contact: Contact) -> None:
    """Write; 409 when the campaign has another contact with this address, or with this number and no address."""
    field, kind = ("email", "address") if contact.email else ("phone", "telephone number")
    try:
        session.flush()
    except IntegrityError as error:
        if getattr(error.orig, "diag", None) and error.orig.diag.constraint_name == _ONCE:  # type: ignore[union-attr]
            taken = FieldError(f"/{field}", f"There is another contact with this {kind} in the campaign.")
            raise Conflict(taken.detail, errors=[taken]) from None
        raise


_ONCE = "uq_contacts_campaign_id_match_key"


def _record(session: Session, type: EventType, contact: Contact, **data: Any) -> None:
    record(session, type, subject=contact.id, scope=scope_of("campaign", contact.campaign_id), data=data)
