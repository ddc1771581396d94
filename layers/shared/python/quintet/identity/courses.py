"""Who may read what of courses, in SQL. Parameters are `rights`.

A published course is everybody's to see; another one is that of whoever created it, and of those who are enrolled.
"""

from quintet.identity.permissions import Permission
from quintet.identity.principal import Principal


def rights(caller: Principal) -> dict[str, object]:
    """Parameters of the conditions: who asks, and whether they may do everything with every course."""
    return {"caller": caller.user_id, "manages_courses": caller.can(Permission.COURSES_MANAGE_ALL)}


def enrolled(course_id: str, status: str = "true") -> str:
    """SQL: the caller has an enrollment `e` in the course with this id of which the condition `status` holds."""
    return f"""EXISTS (
        SELECT FROM enrollments e WHERE e.course_id = {course_id} AND e.user_id = %(caller)s AND {status})"""


def takes_part(course: str) -> str:
    """SQL: the caller created the course of this alias, or is enrolled in it."""
    return f"({course}.created_by = %(caller)s OR {enrolled(f'{course}.id')})"


def owned(course: str) -> str:
    """SQL: the caller may do everything with the course of this alias."""
    return f"(%(manages_courses)s OR {course}.created_by = %(caller)s)"


def visible(course: str) -> str:
    """SQL: the caller may see the course of this alias."""
    return f"({course}.status = 'published' OR {owned(course)} OR {enrolled(f'{course}.id')})"


def studied(course: str) -> str:
    """SQL: the caller may read the lessons of the course of this alias: those on the waitlist may not yet."""
    seated = enrolled(f"{course}.id", "e.status <> 'waitlisted'")
    return f"({owned(course)} OR {seated})"


def in_lesson(file: str) -> str:
    """SQL: this file belongs to a lesson that the caller may read, and was not moved into a project since."""
    return f"""({file}.project_id IS NULL AND EXISTS (
        SELECT FROM lessons l JOIN courses c ON c.id = l.course_id WHERE l.file_id = {file}.id AND {studied("c")}))"""
