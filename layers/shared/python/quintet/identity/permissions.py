"""The permissions a role can hold. `*` is all of them, also those that come later."""

from enum import StrEnum

EVERYTHING = "*"

ADMIN = "admin"
"""The role that may do everything and stays as it is; some active account always holds it."""

NEWCOMER = "user"
"""The role of an account for which nobody chose another."""


class Permission(StrEnum):
    """What an account may do besides working on its own things and those shared with it."""

    USERS_READ = "users:read"
    USERS_WRITE = "users:write"
    ROLES_WRITE = "roles:write"
    DIVISIONS_WRITE = "divisions:write"
    PROJECTS_CREATE = "projects:create"
    PROJECTS_READ_ALL = "projects:read_all"
    PROJECTS_MANAGE_ALL = "projects:manage_all"
    PROJECTS_PURGE = "projects:purge"
    CAMPAIGNS_CREATE = "campaigns:create"
    CAMPAIGNS_MANAGE_ALL = "campaigns:manage_all"
    AGENTS_WRITE = "agents:write"
    EVENTS_READ_ALL = "events:read_all"
    COURSES_CREATE = "courses:create"
    COURSES_MANAGE_ALL = "courses:manage_all"
    COURSES_PURGE = "courses:purge"
