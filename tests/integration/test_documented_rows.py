"""The contract: every row of every product's documents, as written there and by each prefix.

A row is a method, an address and the status of a request that has everything right, which is the one that
`tests.support.access` has for the operation. A row that nobody serves any more, or that answers anything else, fails.
"""

import re
from urllib.parse import parse_qsl

import pytest

from functions.manifest import PREFIXES
from tests.support.access import ACCESS, ANONYMOUS, OWNER, Access
from tests.support.api import Api
from tests.support.documented import operation_of
from tests.support.people import person
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("stack")

DOCUMENTED = {
    "livo-dev": """
        POST /auth/register 201
        POST /auth/login 200
        POST /auth/logout 204
        GET /users 200
        GET /users/{user_id} 200
        PUT /users/{user_id} 200
        DELETE /users/{user_id} 204
        GET /projects 200
        GET /projects/{project_id} 200
        POST /projects 201
        PUT /projects/{project_id} 200
        DELETE /projects/{project_id} 204""",
    "The MVP development platform": """
        GET /login?provider=github 303
        GET /login?provider=google 303
        POST /login 200
        POST /logout 204
        GET /projects 200
        POST /projects 201
        GET /projects/{project_id} 200
        PUT /projects/{project_id} 200
        DELETE /projects/{project_id} 204
        POST /files 201
        GET /files 200
        GET /files/{file_id} 200
        PUT /files/{file_id} 200
        DELETE /files/{file_id} 204
        GET /integrations 200
        POST /integrations 201
        GET /integrations/{integration_id} 200
        DELETE /integrations/{integration_id} 204
        POST /integrations/{integration_id}/sync 202
        POST /integrations/{integration_id}/requests 202
        POST /ai 200""",
    "EPOP": """
        POST /api/auth/login 200
        POST /api/auth/refresh 200
        POST /api/auth/logout 204
        POST /api/auth/password-reset 202
        POST /api/auth/password-reset/confirm 204
        GET /api/projects 200
        POST /api/projects 201
        GET /api/projects/{project_id} 200
        PUT /api/projects/{project_id} 200
        DELETE /api/projects/{project_id} 204
        GET /api/tasks?projectId={project_id} 200
        POST /api/tasks 201
        PUT /api/tasks/{task_id} 200
        GET /api/conversations 200
        POST /api/conversations 201
        GET /api/conversations/{conversation_id}/messages 200
        POST /api/conversations/{conversation_id}/messages 201
        GET /api/files/presign-upload 200
        GET /api/files/presign-download 200
        POST /api/ai/chat 200
        GET /api/admin/users 200
        POST /api/admin/users 201
        PUT /api/admin/users/{user_id} 200
        DELETE /api/admin/users/{user_id} 204""",
    "Welcomedly": """
        POST /api/auth/register 201
        POST /api/auth/login 200
        POST /api/auth/logout 204
        GET /api/users/{user_id} 200
        PATCH /api/users/{user_id} 200
        GET /api/campaigns 200
        POST /api/campaigns 201
        GET /api/campaigns/{campaign_id} 200
        PATCH /api/campaigns/{campaign_id} 200
        DELETE /api/campaigns/{campaign_id} 204
        POST /api/campaigns/{campaign_id}/data 202
        GET /api/campaigns/{campaign_id}/data/status 200
        GET /api/agents 200
        POST /api/campaigns/{campaign_id}/assign 200
        GET /api/reports/campaigns/{campaign_id} 200
        GET /api/reports/agents/{agent_id} 200""",
    "opencourse": """
        POST /api/v1/auth/register 201
        POST /api/v1/auth/login 200
        GET /api/v1/users/me 200
        PUT /api/v1/users/me 200
        GET /api/v1/courses 200
        POST /api/v1/courses 201
        GET /api/v1/courses/{course_id} 200
        PUT /api/v1/courses/{course_id} 200
        DELETE /api/v1/courses/{course_id} 204
        POST /api/v1/courses/{course_id}/enroll 201
        DELETE /api/v1/courses/{course_id}/enroll 204""",
}
"""Product -> its rows. A path parameter is the name of the thing in `World`; a query is sent as it stands."""

ROWS = [
    pytest.param(*row.split(), id=f"{product}: {row.strip()}")
    for product, rows in DOCUMENTED.items()
    for row in rows.strip().splitlines()
]


def allowed(world: World, access: Access) -> Api:
    """Somebody who may: whom the thing belongs to, else an administrator; nobody in particular where anybody may."""
    if ANONYMOUS in access.ok:
        return Api()
    return world.owner if OWNER in access.ok else person("admin")


@pytest.mark.parametrize("prefix", PREFIXES, ids=lambda prefix: prefix or "/")
@pytest.mark.parametrize(("method", "address", "status"), ROWS)
def test_given_a_documented_row_when_asked_properly_then_it_answers_as_documented_by_every_prefix(
    method: str, address: str, status: str, prefix: str
) -> None:
    template, _, query = re.sub(r"^/api(/v1)?(?=/)", "", address).partition("?")
    operation = operation_of(method, template)
    assert operation is not None, "nothing serves this row"
    access, world = ACCESS[operation.key], World()
    named = {**{name: getattr(world, name) for name in re.findall(r"\{(\w+)\}", address)}, **access.path(world)}
    parts = access.sends(world)
    if query:
        parts = {**parts, "query": parse_qsl(query.format_map(named))}
    elif "query" in parts:
        parts = {**parts, "query": list(parts["query"].items())}
    answer = allowed(world, access).request(method, prefix + template.format_map(named), **parts)
    assert answer.status == int(status), answer
