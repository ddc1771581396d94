"""The SQL of imports. They are there for whoever may change the campaign."""

from uuid import UUID

from sqlalchemy.orm import Session

from functions.campaigns.data.schemas import ImportStatus, UploadRead
from quintet.db.json import Versioned, columns_of, one, page
from quintet.db.reads import rows
from quintet.errors import NotFound
from quintet.files.links import Stored
from quintet.identity.campaigns import for_owners, owned, rights, there_is
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest

_PERCENT = {"percent": "floor(u.progress * 100)::int"}
_SECONDS = "extract(epoch FROM coalesce(u.processed_at, now()) - u.started_at)::float8"
_STATUS = columns_of(
    ImportStatus,
    "u",
    **_PERCENT,
    rows_per_second=f"round((u.rows_total / nullif({_SECONDS}, 0))::numeric, 1)::float8",
    seconds_left=f"""CASE WHEN u.status = 'processing'
        THEN round(({_SECONDS} * (1 - u.progress) / nullif(u.progress, 0))::numeric, 1)::float8 END""",
    errors="""(SELECT coalesce(json_agg(e ORDER BY e.line), '[]') FROM (
        SELECT line, reason FROM upload_failures WHERE upload_id = u.id ORDER BY line LIMIT 20) e)""",
)
_UPLOAD = columns_of(UploadRead, "u", **_PERCENT)
_OWNED = there_is("%(campaign_id)s", owned("c"))


@for_owners
def list_uploads(session: Session, caller: Principal, campaign_id: UUID, paging: PageRequest) -> bytes:
    """A page of a campaign's imports, newest first; 404 for a campaign that is not the caller's."""
    statement = f"SELECT {_UPLOAD} FROM campaign_uploads u WHERE u.campaign_id = %(campaign_id)s AND u.id < %(before)s"
    return page(session, statement, {"campaign_id": campaign_id, **rights(caller)}, paging, visible=_OWNED)


@for_owners
def read_status(session: Session, caller: Principal, campaign_id: UUID, upload_id: UUID | None) -> Versioned:
    """One import, or the latest; 404 when there is none."""
    statement = f"""
        SELECT {_STATUS} FROM campaign_uploads u
        WHERE u.campaign_id = %(campaign_id)s AND (%(id)s::uuid IS NULL OR u.id = %(id)s) AND {_OWNED}
        ORDER BY u.id DESC LIMIT 1"""
    return one(session, statement, {"campaign_id": campaign_id, "id": upload_id, **rights(caller)})


@for_owners
def failed_rows(
    session: Session, caller: Principal, campaign_id: UUID, upload_id: UUID
) -> tuple[str, int, Stored | None]:
    """An import's status, how many rows failed, and the file of them if it has one; 404 without such an import."""
    found = rows(
        session,
        f"""SELECT u.status AS upload_status, u.rows_invalid, {", ".join(f"f.{name}" for name in Stored._fields)}
        FROM campaign_uploads u LEFT JOIN files f ON f.id = u.failed_rows_file
        WHERE u.campaign_id = %(campaign_id)s AND u.id = %(id)s AND {_OWNED}""",
        {"campaign_id": campaign_id, "id": upload_id, **rights(caller)},
    )
    if not found:
        raise NotFound
    status, failed, *stored = found[0]
    return status, failed, Stored(*stored) if stored[0] else None


@for_owners
def table_file(
    session: Session, caller: Principal, campaign_id: UUID, file_id: UUID | None
) -> tuple[UUID, Stored, int]:
    """The caller's own file with this id, or the one of the campaign's latest import, and its size."""
    found = rows(
        session,
        f"""SELECT f.id, f.size, {", ".join(f"f.{name}" for name in Stored._fields)}
        FROM files f LEFT JOIN campaign_uploads u ON u.file_id = f.id AND u.campaign_id = %(campaign_id)s
        WHERE f.purpose = 'campaign_data' AND {_OWNED}
          AND CASE WHEN %(id)s::uuid IS NULL THEN u.id IS NOT NULL
                   ELSE f.id = %(id)s AND (f.owner_id = %(caller)s OR u.id IS NOT NULL) END
        ORDER BY u.id DESC NULLS LAST LIMIT 1""",
        {"campaign_id": campaign_id, "id": file_id, **rights(caller)},
    )
    if not found:
        raise NotFound
    id, size, *stored = found[0]
    return id, Stored(*stored), size
