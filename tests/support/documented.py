"""The OpenAPI document as the tests see it: what operations there are, and whether an answer is one of theirs."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from openapi_schema_validator import OAS31Validator, oas31_format_checker

from infra.local.events import Response
from infra.openapi import build
from quintet.http.envelope import normalise

_FREE = (405,)
"""Answers that belong to no operation."""


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    spec: dict[str, Any]

    @property
    def key(self) -> str:
        """`GET /projects/{project_id}`."""
        return f"{self.method} {self.path}"

    def parameters(self, place: str) -> list[dict[str, Any]]:
        """Those in `path`, `query` or `header`."""
        return [parameter for parameter in self.spec.get("parameters", []) if parameter["in"] == place]

    def body_schema(self, media_type: str = "application/json") -> dict[str, Any]:
        """The schema of its body, references resolved one level; of several the first; empty when it takes none."""
        schema = self.spec.get("requestBody", {}).get("content", {}).get(media_type, {}).get("schema", {})
        for choice in (schema, *schema.get("anyOf", []), *schema.get("oneOf", [])):
            if name := choice.get("$ref", "").rpartition("/")[2]:
                found: dict[str, Any] = document()["components"]["schemas"][name]
                return found
        return dict(schema)


@cache
def document() -> dict[str, Any]:
    """What the code says now."""
    return build()


@cache
def operations() -> dict[str, Operation]:
    """Every operation, by its key."""
    found = [
        Operation(method.upper(), path, {**spec, "responses": _resolved(spec["responses"])})
        for path, methods in document()["paths"].items()
        for method, spec in methods.items()
    ]
    return {operation.key: operation for operation in found}


def _resolved(answers: dict[str, Any]) -> dict[str, Any]:
    shared = document()["components"]["responses"]
    return {
        status: shared[answer["$ref"].rpartition("/")[2]] if "$ref" in answer else answer
        for status, answer in answers.items()
    }


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    # A path without parameters is meant before one with them, as in the routers.
    paths = sorted(document()["paths"], key=lambda path: path.count("{"))
    return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), path) for path in paths]


def operation_of(method: str, path: str) -> Operation | None:
    """The operation a request is about, whatever its prefix; None when there is none."""
    path = normalise(path)
    template = next((template for pattern, template in _patterns() if pattern.fullmatch(path)), None)
    return operations().get(f"{'GET' if method == 'HEAD' else method} {template}")


def check(method: str, path: str, answer: Response) -> None:
    """Fail unless the document allows this answer: its status, its media type, its body."""
    operation = operation_of(method, path)
    if operation is None or answer.status in _FREE:
        return
    documented = operation.spec["responses"].get(str(answer.status))
    assert documented, f"{operation.key} answered {answer.status}, which the document does not know: {answer.body!r}"
    if method == "HEAD" or answer.body == b"":
        assert method == "HEAD" or "content" not in documented or answer.header("idempotency-replayed"), operation.key
        return
    media_type = (answer.header("content-type") or "").partition(";")[0]
    content = documented.get("content", {})
    assert media_type in content, f"{operation.key} answered {answer.status} with {media_type}, not {list(content)}"
    if media_type.endswith("json"):
        errors = sorted(_validator(operation.key, str(answer.status), media_type).iter_errors(answer.json()), key=str)
        assert not errors, f"{operation.key} {answer.status}: {errors[0].json_path} {errors[0].message}"


@cache
def _validator(key: str, status: str, media_type: str) -> OAS31Validator:
    schema = operations()[key].spec["responses"][status]["content"][media_type].get("schema", {})
    closed = {**schema, "components": document()["components"]}
    return OAS31Validator(closed, format_checker=oas31_format_checker)
