"""The SQL of webhooks."""

from uuid import UUID

from sqlalchemy.orm import Session

from functions.webhooks.schemas import DeliveryRead, WebhookRead
from quintet.db.json import Versioned, columns_of, one, page
from quintet.db.models.webhooks import DeliveryStatus
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest

_MINE = f"SELECT {columns_of(WebhookRead, 'w')} FROM webhooks w WHERE w.owner_id = %(caller)s"
_IS_MINE = "EXISTS (SELECT FROM webhooks w WHERE w.id = %(webhook_id)s AND w.owner_id = %(caller)s)"
# Compared as one value and in its order, so that an index is walked no further than the page.
_PAGE = f"""
    SELECT {columns_of(DeliveryRead, "d")} FROM webhook_deliveries d
    WHERE ({{of}}, d.id) < ({{this}}, %(before)s)
      AND ({{of}}, d.id) >= ({{this}}, '00000000-0000-0000-0000-000000000000')
    ORDER BY {{order}}, d.id DESC LIMIT %(limit)s + 1"""
ALL = _PAGE.format(of="d.webhook_id", this="%(webhook_id)s", order="d.webhook_id DESC")
OF_STATUS = _PAGE.format(
    of="d.webhook_id, d.status", this="%(webhook_id)s, %(status)s", order="d.webhook_id DESC, d.status DESC"
)


def list_webhooks(session: Session, caller: Principal, paging: PageRequest) -> bytes:
    """A page of the caller's webhooks."""
    return page(session, f"{_MINE} AND w.id < %(before)s", {"caller": caller.user_id}, paging)


def read_webhook(session: Session, caller: Principal, webhook_id: UUID) -> Versioned:
    """One webhook; 404 when the caller has none with this id."""
    return one(session, f"{_MINE} AND w.id = %(id)s", {"caller": caller.user_id, "id": webhook_id})


def list_deliveries(
    session: Session, caller: Principal, webhook_id: UUID, paging: PageRequest, *, status: DeliveryStatus | None
) -> bytes:
    """A page of what was sent to a webhook, newest first; 404 when the caller has none with this id."""
    params = {"caller": caller.user_id, "webhook_id": webhook_id, "status": status}
    return page(session, OF_STATUS if status else ALL, params, paging, visible=_IS_MINE)
