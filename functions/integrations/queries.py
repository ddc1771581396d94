"""The SQL of integrations. One does not exist to others than its owner, nor to anybody when it is disconnected."""

from uuid import UUID

from sqlalchemy.orm import Session

from functions.integrations.schemas import IntegrationRead, RecordRead, RequestRead
from quintet.db.json import Versioned, columns_of, one, page, timestamp
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest

_NEXT = """
    CASE WHEN i.status IN ('pending', 'needs_reauth')
    THEN jsonb_build_object('rel', 'connect', 'href', %(connect)s::text) END"""

_MINE = f"""
    SELECT {columns_of(IntegrationRead, "i", next=_NEXT)} FROM integrations i
    WHERE i.user_id = %(caller)s AND i.status <> 'disconnected'"""

_IS_MINE = """EXISTS (
    SELECT FROM integrations i
    WHERE i.id = %(integration_id)s AND i.user_id = %(caller)s AND i.status <> 'disconnected')"""

_STALE = timestamp("least(r.stale_since, (SELECT i.stale_since FROM integrations i WHERE i.id = r.integration_id))")
_RECORDS = f"""
    SELECT {columns_of(RecordRead, "r", stale_since=_STALE)} FROM integration_records r
    WHERE r.integration_id = %(integration_id)s AND r.id < %(before)s"""

_REQUESTS = f"""
    SELECT {columns_of(RequestRead, "r")} FROM integration_requests r WHERE r.integration_id = %(integration_id)s"""


def list_integrations(session: Session, caller: Principal, paging: PageRequest, *, connect: str) -> bytes:
    """A page of the caller's integrations; `connect` is the address that connects one again."""
    return page(session, f"{_MINE} AND i.id < %(before)s", {"caller": caller.user_id, "connect": connect}, paging)


def read_integration(session: Session, caller: Principal, integration_id: UUID, *, connect: str) -> Versioned:
    """One integration; 404 when the caller has none with this id."""
    params = {"caller": caller.user_id, "id": integration_id, "connect": connect}
    return one(session, f"{_MINE} AND i.id = %(id)s", params)


def list_records(
    session: Session, caller: Principal, integration_id: UUID, paging: PageRequest, *, kind: str | None
) -> bytes:
    """A page of what was fetched; 404 when the caller has no such integration."""
    params = {"caller": caller.user_id, "integration_id": integration_id, "kind": kind}
    sql = f"{_RECORDS} AND r.kind = %(kind)s" if kind else _RECORDS
    return page(session, sql, params, paging, visible=_IS_MINE)


def list_requests(session: Session, caller: Principal, integration_id: UUID, paging: PageRequest) -> bytes:
    """A page of what was asked; 404 when the caller has no such integration."""
    params = {"caller": caller.user_id, "integration_id": integration_id}
    return page(session, f"{_REQUESTS} AND r.id < %(before)s", params, paging, visible=_IS_MINE)


def read_request(session: Session, caller: Principal, integration_id: UUID, request_id: UUID) -> Versioned:
    """One request; 404 when there is none that is the caller's."""
    params = {"caller": caller.user_id, "integration_id": integration_id, "id": request_id}
    return one(session, f"{_REQUESTS} AND r.id = %(id)s AND {_IS_MINE}", params)
