"""The one document of the whole API: valid, up to date, and complete. That answers keep to it is checked in `Api`."""

import importlib
import json
import re

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from openapi_spec_validator import OpenAPIV31SpecValidator

from functions.manifest import FUNCTIONS
from infra import openapi
from tests.support.api import Api
from tests.support.documented import document, operations


def test_given_the_document_then_another_library_finds_it_valid() -> None:
    OpenAPIV31SpecValidator(document()).validate()


def test_given_the_code_then_the_kept_document_says_the_same() -> None:
    assert openapi.DOCUMENT.is_file(), "run `make openapi`"
    assert openapi.DOCUMENT.read_text() == openapi.rendered(), "docs/openapi.json has drifted: run `make openapi`"


def test_given_the_kept_document_then_the_api_serves_it_and_links_have_the_stage(api: Api) -> None:
    answer = api.get("/openapi.json")
    assert answer.json() == json.loads(openapi.DOCUMENT.read_text())
    assert "public" in (answer.header("cache-control") or "")


def test_given_a_path_nobody_serves_then_404_says_so(api: Api) -> None:
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
    """RFC 7396 for both: where one is, the other is, alike but for the id. Of a membership, a reaction, completion or a
    position there are no parts, and of several things at once there is no whole."""
    for key, operation in operations().items():
        if operation.method in ("PUT", "PATCH"):
            other = operations().get(f"{'PATCH' if operation.method == 'PUT' else 'PUT'} {operation.path}")
            if other is None:
                whole = ("/members/{user_id}", "/reactions/{emoji}", "/read", "/completion")
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
            theirs = ("request_id", "upload_id", "external_id", "chat_id")
            if name in ("ChatRequest", "ChatMessage", "ChatMessageRead", "ChatApproval"):
                continue  # the AI SDK's own form, in which clients make ids up
            if field == "id" or (field.endswith("_id") and field not in theirs):
                assert any(kind.get("format") == "uuid" for kind in kinds), f"{name}.{field}"
