"""The one OpenAPI 3.1 document of the whole API, gathered from every function's app.

`python -m infra.openapi` writes it; a test fails when that is not what the code says.
"""

import copy
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from functions.manifest import FUNCTIONS, OPENAPI_DOCUMENT, PREFIXES
from quintet.errors import title_of
from quintet.http.problems import ProblemDetails, responses

DOCUMENT = Path(__file__).parents[1] / OPENAPI_DOCUMENT

DESCRIPTION = """\
One serverless backend for accounts, projects, files and what grows on them.

- **Addresses.** `/api/v1/...` is canonical; `/api/...` and `/...` are the same routes.
- **Signing in.** `POST /auth/login`, then `Authorization: Bearer <access_token>`; `POST /auth/refresh` before its
  15 minutes are over. Or send the browser to `/login?provider=github` (or `google`), and refresh when it is back.
- **Errors** are `application/problem+json` (RFC 9457): `errors` says which field and what to do, `next` which request
  helps, `instance` is the request's id.
- **Changes.** `PUT` and `PATCH` mean the same: the fields sent are changed, the others stay (RFC 7396). `If-Match` with
  an `ETag` guards against overwriting somebody else's change (412).
- **Retries.** A POST that takes an `Idempotency-Key` may be repeated with it: it is done once, and answered alike.
- **Lists** are `{"items": [...], "next_cursor": ...}`, newest first where they say nothing else; send
  `next_cursor` as `?cursor=`.
- **Times** are UTC, RFC 3339 with microseconds. **Ids** are UUIDs that sort by age (version 7).
"""

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_VALIDATION_SCHEMAS = ("HTTPValidationError", "ValidationError")


def build() -> dict[str, Any]:
    """The document, deterministic: functions in the manifest's order, paths and schemas by name."""
    paths: dict[str, Any] = {}
    components: dict[str, dict[str, Any]] = {"schemas": {"Problem": _problem_schema()}, "responses": {}}
    for name, function in FUNCTIONS.items():
        if not function.routes:
            continue
        app: FastAPI = importlib.import_module(f"functions.{name}.handler").app
        part = copy.deepcopy(app.openapi())  # the app keeps its own, which is not ours to complete
        paths.update(part["paths"])
        for kind, members in part.get("components", {}).items():
            for member, content in members.items():
                known = components.setdefault(kind, {}).setdefault(member, content)
                if known != content:
                    raise ValueError(f"Two functions have different schemas named {member}; rename one")
    for schema in _VALIDATION_SCHEMAS:
        components["schemas"].pop(schema, None)
    for methods in paths.values():
        for method, operation in methods.items():
            _name_schemas(operation, components["schemas"])
            _complete(method, operation, components["schemas"])
            _share_errors(operation["responses"], components["responses"])
    return {
        "openapi": "3.1.0",
        "info": {"title": "Quintet", "version": "1", "description": DESCRIPTION},
        "servers": [{"url": PREFIXES[0]}],
        "paths": dict(sorted(paths.items())),
        "components": {kind: dict(sorted(members.items())) for kind, members in sorted(components.items())},
    }


def rendered() -> str:
    """The document as the file holds it."""
    return json.dumps(build(), indent=1, ensure_ascii=False) + "\n"


def _name_schemas(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Put a body's schema that a route writes down itself among the others."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        if "title" in content["schema"] and "properties" in content["schema"]:
            schema = content["schema"]
            schemas.update(schema.pop("$defs", {}))
            schemas[schema["title"]] = schema
            content["schema"] = {"$ref": f"#/components/schemas/{schema['title']}"}


def _complete(method: str, operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Add the errors and headers that follow from what the operation takes and gives."""
    answers: dict[str, Any] = operation["responses"]
    if "HTTPValidationError" in json.dumps(answers.get("422", {})):
        del answers["422"]
    parameters = operation.setdefault("parameters", [])
    for parameter in parameters:
        parameter["schema"] = _without_null(parameter["schema"])
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        if media_type in _FORMS:
            form = schemas[content["schema"]["$ref"].rpartition("/")[2]]
            form["properties"] = {name: _without_null(member) for name, member in form["properties"].items()}
    headers = {parameter["name"].lower() for parameter in parameters if parameter["in"] == "header"}
    errors = [400, 500, 503]  # 400: a query parameter that there is not, if nothing else
    if "security" in operation:
        errors.append(401)
    if any(parameter["in"] == "path" for parameter in parameters):
        errors.append(404)
    if "requestBody" in operation:
        errors.append(413)
    if "if-match" in headers:
        errors.append(412)
    if "idempotency-key" in headers:
        errors += [409, 422]
    if method == "get" and ("304" in answers or _has_version(answers.get("200", {}), schemas)):
        parameters.append(
            {
                "name": "If-None-Match",
                "in": "header",
                "required": False,
                "description": "The ETag of the version already there; 304 when it is still the newest.",
                "schema": {"type": "string"},
            }
        )
        answers["304"] = {"description": title_of(304)}
    for status, answer in responses(*errors).items():
        answers.setdefault(str(status), answer)
    operation["responses"] = dict(sorted(answers.items()))
    if not parameters:
        del operation["parameters"]


def _share_errors(answers: dict[str, Any], shared: dict[str, Any]) -> None:
    """Have an error that says nothing of its own be written once for all operations."""
    for status, answer in answers.items():
        if answer == responses(int(status))[int(status)]:
            name = title_of(int(status)).replace(" ", "")
            shared[name] = answer
            answers[status] = {"$ref": f"#/components/responses/{name}"}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter or a form's field that is left out is not null: there is no way to send that."""
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == len(schema.get("anyOf", [])):
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**choices[0], **rest} if len(choices) == 1 else {**rest, "anyOf": choices}


def _has_version(answer: dict[str, Any], schemas: dict[str, Any]) -> bool:
    """Whether the answer is a single resource with a version, hence an ETag."""
    reference = answer.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
    return "version" in schemas.get(reference.rpartition("/")[2], {}).get("properties", {})


def _problem_schema() -> dict[str, Any]:
    schema = ProblemDetails.model_json_schema(ref_template="#/components/schemas/Problem/$defs/{model}")
    return {**schema, "title": "Problem"}


if __name__ == "__main__":
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(rendered())
    sys.stdout.write(f"{DOCUMENT.name} is up to date.\n")
