"""HTTP of notifications and preferences."""

from typing import Annotated
from uuid import UUID

from fastapi import Query
from starlette.responses import Response

from functions.notifications import queries, service
from functions.notifications.schemas import MarkRead, NotificationRead, Preferences, PreferencesUpdate, UnreadCount
from quintet.db.session import commit
from quintet.http.answers import changed, listed
from quintet.http.dependencies import Caller, Paging, SessionDep
from quintet.http.routing import Router
from quintet.http.schemas import Page

router = Router(prefix="/notifications", tags=["notifications"])


@router.get("", response_model=Page[NotificationRead])
async def list_notifications(
    session: SessionDep,
    caller: Caller,
    paging: Paging,
    unread: Annotated[bool, Query(description="Only those not read yet.")] = False,
) -> Response:
    """List what the caller is told of, newest first."""
    return listed(queries.list_notifications(session, caller, paging, unread=unread))


@router.get("/unread-count", response_model=UnreadCount)
async def count_unread_notifications(session: SessionDep, caller: Caller) -> Response:
    """Count what the caller has not read."""
    return changed(queries.count_unread(session, caller))


@router.post("/read", status_code=204)
async def mark_all_notifications_read(session: SessionDep, caller: Caller, which: MarkRead) -> Response:
    """Mark all as read, or all up to one; what comes later stays unread. May be repeated."""
    while not service.mark_all_read(session, caller, up_to=which.up_to):
        commit(session)  # or a hundred thousand would be one long transaction
    return Response(status_code=204)


@router.get("/preferences", response_model=Preferences)
async def read_notification_preferences(session: SessionDep, caller: Caller) -> Response:
    """Read where the caller is told of what: in the app, by email (at once or once a day), on browsers."""
    return changed(Preferences(**queries.preferences(session, caller.user_id)))


@router.change("/preferences", response_model=Preferences)
async def update_notification_preferences(
    session: SessionDep,
    caller: Caller,
    change: PreferencesUpdate,
) -> Response:
    """Change where the caller is told of what."""
    return changed(Preferences(**service.update_preferences(session, caller, change=change)))


@router.post("/{notification_id}/read", status_code=204)
async def mark_notification_read(session: SessionDep, caller: Caller, notification_id: UUID) -> Response:
    """Mark one as read. May be repeated."""
    service.mark_read(session, caller, notification_id=notification_id)
    return Response(status_code=204)
