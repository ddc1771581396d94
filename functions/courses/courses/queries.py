"""The SQL of courses."""

from uuid import UUID

from sqlalchemy.orm import Session

from functions.courses.courses.schemas import CourseRead
from functions.courses.enrollments.queries import ENROLLMENT
from quintet.db.json import Versioned, columns_of, page
from quintet.db.models.courses import CourseStatus
from quintet.db.reads import rows
from quintet.errors import NotFound
from quintet.identity.courses import enrolled, rights, visible
from quintet.identity.permissions import Permission
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest

_LESSONS = "(SELECT count(*) FROM lessons l WHERE l.course_id = c.id)"
_OWN = f"(SELECT row_to_json(own) FROM ({ENROLLMENT} AND e.course_id = c.id) own)"
_FOR_ANYBODY = columns_of(CourseRead, "c", lesson_count=_LESSONS, enrollment="NULL::json")
_FOR_CALLER = columns_of(CourseRead, "c", lesson_count=_LESSONS, enrollment=_OWN)

_PUBLISHED = "courses c WHERE c.status = 'published'"
_CREATED = "courses c WHERE c.created_by = %(caller)s AND c.status <> 'published'"
_TAKEN = "enrollments own JOIN courses c ON c.id = own.course_id WHERE own.user_id = %(caller)s"
_TAKEN_ONLY = f"{_TAKEN} AND c.created_by <> %(caller)s AND c.status <> 'published'"

_FILTERS = {
    "status": "c.status = %(status)s",
    "created_by": "c.created_by = %(created_by)s",
    "q": "c.search @@ words_sought(%(q)s)",
}


def list_courses(
    session: Session,
    caller: Principal | None,
    paging: PageRequest,
    *,
    status: CourseStatus | None,
    created_by: UUID | None,
    q: str | None,
    taken: bool | None,
) -> bytes:
    """A page of published courses, and of those besides that the caller created or takes; archived ones on request.

    `taken`: only those the caller takes, or only the others.
    """
    asked = {"status": status, "created_by": created_by, "q": q}
    given = {name: value for name, value in asked.items() if value is not None}
    conditions = ["", "c.id < %(before)s", *(_FILTERS[name] for name in given)]
    if caller is None:
        return page(session, f"SELECT {_FOR_ANYBODY} FROM {_PUBLISHED}{' AND '.join(conditions)}", given, paging)
    if status is None:
        conditions.append("c.status <> 'archived'")
    if taken is False:
        conditions.append(f"NOT {enrolled('c.id')}")
    if taken:
        sources = [_TAKEN]
    elif caller.can(Permission.COURSES_MANAGE_ALL):
        sources = ["courses c WHERE true"]
    else:
        sources = [_PUBLISHED, _CREATED, _TAKEN_ONLY]
    # Each walks an index from its newest row on and stops after a page; the rest is looked up for one page.
    newest = "ORDER BY id DESC LIMIT %(limit)s + 1"
    found = " UNION ALL ".join(f"(SELECT c.id FROM {each}{' AND '.join(conditions)} {newest})" for each in sources)
    sql = f"SELECT {_FOR_CALLER} FROM (SELECT id FROM ({found}) each {newest}) found JOIN courses c ON c.id = found.id"
    return page(session, sql, {**given, **rights(caller)}, paging)


def read_course(session: Session, caller: Principal | None, course_id: UUID) -> tuple[Versioned, str]:
    """One course, and a word that changes with what is not in its version; 404 when the caller may not see it."""
    columns, seen = (_FOR_CALLER, visible("c")) if caller else (_FOR_ANYBODY, "c.status = 'published'")
    statement = f"""
        SELECT row_to_json(r)::text, r.version, left(md5(concat_ws(
            ' ', r.enrolled_count, r.waitlist_count, r.lesson_count, r.enrollment)), 16)
        FROM (SELECT {columns} FROM courses c WHERE c.id = %(id)s AND {seen}) r"""
    found = rows(session, statement, {"id": course_id, **(rights(caller) if caller else {})})
    if not found:
        raise NotFound
    [(body, version, variant)] = found
    return Versioned(body.encode(), version), variant
