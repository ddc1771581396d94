"""The one document of the whole API: valid, up to date, and complete. That answers keep to it is checked in `Api`."""

import importlib
import json
import re

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from openapi_spec_validator import OpenAPIV31SpecValidator

from functions.manifest import FUNCTIONS, PREFIXES
from infra import openapi
from tests.support.api import Api
from tests.support.documented import document, operation_of, operations
from tests.support.people import person

ID = "01900000-0000-7000-8000-000000000000"

DOCUMENTED = {
    "livo-dev": """
        POST /auth/register
        POST /auth/login
        POST /auth/logout
        GET /users
        GET /users/{id}
        PUT /users/{id}
        DELETE /users/{id}
        GET /projects
        GET /projects/{id}
        POST /projects
        PUT /projects/{id}
        DELETE /projects/{id}""",
    "The MVP development platform": """
        POST /login
        POST /logout
        GET /projects
        POST /projects
        GET /projects/{id}
        PUT /projects/{id}
        DELETE /projects/{id}
        POST /files
        GET /files
        GET /files/{id}
        PUT /files/{id}
        DELETE /files/{id}
        GET /integrations
        POST /integrations
        GET /integrations/{id}
        DELETE /integrations/{id}
        POST /integrations/{id}/sync
        POST /integrations/{id}/requests""",
    "EPOP": """
        POST /api/auth/login
        POST /api/auth/refresh
        POST /api/auth/logout
        POST /api/auth/password-reset
        POST /api/auth/password-reset/confirm
        GET /api/projects
        POST /api/projects
        GET /api/projects/{id}
        PUT /api/projects/{id}
        DELETE /api/projects/{id}
        GET /api/tasks
        POST /api/tasks
        PUT /api/tasks/{id}
        GET /api/conversations
        POST /api/conversations
        GET /api/conversations/{id}/messages
        POST /api/conversations/{id}/messages
        GET /api/files/presign-upload
        GET /api/files/presign-download
        GET /api/admin/users
        POST /api/admin/users
        PUT /api/admin/users/{id}
        DELETE /api/admin/users/{id}""",
    "Welcomedly": """
        POST /api/auth/register
        POST /api/auth/login
        POST /api/auth/logout
        GET /api/users/{id}
        PATCH /api/users/{id}
        GET /api/campaigns
        POST /api/campaigns
        GET /api/campaigns/{id}
        PATCH /api/campaigns/{id}
        DELETE /api/campaigns/{id}
        POST /api/campaigns/{id}/assign
        GET /api/agents
        GET /api/reports/campaigns/{id}
        GET /api/reports/agents/{id}""",
    "opencourse": """
        POST /api/v1/auth/register
        POST /api/v1/auth/login
        GET /api/v1/users/me
        PUT /api/v1/users/me""",
}
"""What the products' own documents promise of accounts, administration, projects, files, campaigns, integrations."""

ROWS = [
    pytest.param(*row.split(), id=f"{product}: {row.strip()}")
    for product, rows in DOCUMENTED.items()
    for row in rows.strip().splitlines()
]


def test_given_the_document_then_another_library_finds_it_valid() -> None:
    OpenAPIV31SpecValidator(document()).validate()


def test_given_the_code_then_the_kept_document_says_the_same() -> None:
    assert openapi.DOCUMENT.is_file(), "run `make openapi`"
    assert openapi.DOCUMENT.read_text() == openapi.rendered(), "docs/openapi.json has drifted: run `make openapi`"


def test_given_the_kept_document_then_the_api_serves_it_and_links_have_the_stage(api: Api) -> None:
    answer = api.get("/openapi.json")
    assert answer.json() == json.loads(openapi.DOCUMENT.read_text())
    assert "public" in (answer.header("cache-control") or "")


@pytest.mark.parametrize(("method", "path"), ROWS)
def test_given_a_promise_of_a_product_then_the_document_has_it_and_every_prefix_answers(
    stack: object, method: str, path: str
) -> None:
    operation = operation_of(method, path.format(id=ID))
    assert operation is not None
    caller = person("admin")
    bare = re.sub(r"^/api(/v1)?", "", path).format(id=ID)
    for prefix in PREFIXES:
        answer = caller.request(method, prefix + bare)
        assert answer.status not in (405, 501), answer
        # A 404 may say that this project is not there, but not that nothing is at the address.
        assert b"nothing at this address" not in answer.body, answer
        assert answer.status < 500, answer


def test_given_a_path_nobody_serves_then_404_says_so(api: Api) -> None:
    """The words the test before looks for."""
    assert "nothing at this address" in api.get("/projects-of-yesterday").json()["detail"]
    assert "nothing at this address" in api.get("/projects/a/b/c/d").json()["detail"]


def test_given_the_routes_then_the_document_has_each_and_no_other() -> None:
    routed = set()
    for name, function in FUNCTIONS.items():
        if function.routes:
            app: FastAPI = importlib.import_module(f"functions.{name}.handler").app
            for route in iter_route_contexts(app.routes):
                routed |= {f"{method} {route.path_format}" for method in route.methods or ()}
    assert routed == operations().keys()


@pytest.mark.parametrize("key", sorted(operations()))
def test_given_an_operation_then_it_is_described_and_so_is_each_of_its_answers(key: str) -> None:
    spec = operations()[key].spec
    first, *more = spec["description"].splitlines()
    assert re.fullmatch(r"[A-Z].{10,119}[.]", first), "one line that says what it does"
    assert not more or more[0] == ""
    assert spec["tags"]
    assert spec["operationId"]
    statuses = {int(status) for status in spec["responses"]}
    assert any(status < 400 for status in statuses)
    for status, answer in spec["responses"].items():
        assert answer["description"], status
        if int(status) >= 400 and (key, status) != ("GET /health/ready", "503"):
            schema = answer["content"]["application/problem+json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Problem"}, status
    assert ("security" in spec) <= (401 in statuses)
    assert ("requestBody" in spec) <= ({400, 413} <= statuses)
    headers = {parameter["name"].lower() for parameter in operations()[key].parameters("header")}
    assert (422 in statuses) is ("idempotency-key" in headers)


def test_given_every_operation_then_its_id_is_its_own() -> None:
    ids = [operation.spec["operationId"] for operation in operations().values()]
    assert len(ids) == len(set(ids))


def test_given_put_and_patch_then_they_are_one_operation() -> None:
    """RFC 7396 for both: where one is, the other is, alike but for the id. Of a membership, a reaction or a
    position there are no parts, and of several things at once there is no whole."""
    for key, operation in operations().items():
        if operation.method in ("PUT", "PATCH"):
            other = operations().get(f"{'PATCH' if operation.method == 'PUT' else 'PUT'} {operation.path}")
            if other is None:
                whole = ("/members/{user_id}", "/reactions/{emoji}", "/read")
                assert key == "PATCH /tasks" or (key.startswith("PUT ") and key.endswith(whole)), key
            else:
                assert {**operation.spec, "operationId": ""} == {**other.spec, "operationId": ""}, key


def test_given_a_list_then_it_is_paged_alike_everywhere() -> None:
    for key, operation in operations().items():
        names = {parameter["name"]: parameter for parameter in operation.parameters("query")}
        if "cursor" in names:
            limit = names["limit"]["schema"]
            assert (limit["minimum"], limit["maximum"], limit["default"]) == (1, 100, 50), key
        assert ("cursor" in names) == ("limit" in names), key


def test_given_every_schema_then_it_is_used_and_times_and_ids_have_their_format() -> None:
    schemas = document()["components"]["schemas"]
    text = json.dumps(document())
    for name, schema in schemas.items():
        assert f'"#/components/schemas/{name}"' in text, f"{name} is not used"
        for field, member in schema.get("properties", {}).items():
            kinds = [member, *member.get("anyOf", [])]
            if field.endswith("_at"):
                assert any(kind.get("format") == "date-time" for kind in kinds), f"{name}.{field}"
            if field == "id" or (field.endswith("_id") and field not in ("request_id", "upload_id", "external_id")):
                assert any(kind.get("format") == "uuid" for kind in kinds), f"{name}.{field}"
