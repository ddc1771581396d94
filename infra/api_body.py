"""The REST API as one OpenAPI body, generated from the manifest. No AWS here: a function from names to a dict."""

import json
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from functions.manifest import CATCH_ALL, FUNCTIONS, PREFIXES, ROUTES
from quintet.errors import title_of
from quintet.http.envelope import SECURITY_HEADERS
from quintet.http.problems import MEDIA_TYPE

_GATEWAY_RESPONSES: dict[str, tuple[HTTPStatus, str]] = {
    "DEFAULT_4XX": (HTTPStatus.BAD_REQUEST, "The gateway could not read the request."),
    "DEFAULT_5XX": (HTTPStatus.INTERNAL_SERVER_ERROR, "The gateway failed. Try again in a moment."),
    "ACCESS_DENIED": (HTTPStatus.FORBIDDEN, "The gateway refused the request."),
    "API_CONFIGURATION_ERROR": (
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "The gateway failed. Try again in a moment.",
    ),
    "EXPIRED_TOKEN": (HTTPStatus.FORBIDDEN, "The request is signed for AWS; send a Bearer token instead."),
    "INTEGRATION_FAILURE": (HTTPStatus.BAD_GATEWAY, "The service did not answer. Try again in a moment."),
    "INTEGRATION_TIMEOUT": (HTTPStatus.GATEWAY_TIMEOUT, "The service did not answer in time."),
    "INVALID_SIGNATURE": (
        HTTPStatus.FORBIDDEN,
        "The request is signed for AWS; send a Bearer token instead.",
    ),
    "MISSING_AUTHENTICATION_TOKEN": (HTTPStatus.NOT_FOUND, "There is nothing here."),
    "QUOTA_EXCEEDED": (HTTPStatus.TOO_MANY_REQUESTS, "Too many requests. Slow down."),
    "REQUEST_TOO_LARGE": (
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The request is larger than the gateway passes on. Upload large files by a presigned link,"
        " with purpose=campaign_data if they are contacts to be imported.",
    ),
    "RESOURCE_NOT_FOUND": (HTTPStatus.NOT_FOUND, "There is nothing here."),
    "THROTTLED": (HTTPStatus.TOO_MANY_REQUESTS, "Too many requests. Slow down."),
    "UNSUPPORTED_MEDIA_TYPE": (
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "The gateway cannot read this content type.",
    ),
    "WAF_FILTERED": (HTTPStatus.FORBIDDEN, "The firewall refused the request."),
}
"""What the gateway says itself, when a request never reaches us. It runs no template language there: fixed texts."""

_NEXT = {"REQUEST_TOO_LARGE": {"rel": "presign-upload", "href": f"{PREFIXES[0]}/files/presign-upload"}}
"""The step that helps; the address is without the stage."""

STREAM_MILLISECONDS = 900_000
"""How long an answer may be streamed: all that API Gateway allows."""

_RETRY = {"THROTTLED": "1", "QUOTA_EXCEEDED": "60"}


def api_paths() -> dict[str, str]:
    """Path template -> the function that answers it, under every prefix; what is left goes to the catch-all.

    Each prefix has a catch-all of its own: nobody promises that the gateway looks for one above a path it began.
    """
    paths: dict[str, str] = {}
    for prefix in PREFIXES:
        paths |= {prefix or "/": CATCH_ALL, f"{prefix}/{{proxy+}}": CATCH_ALL}
        for route, name in ROUTES.items():
            paths |= {f"{prefix}/{route}": name, f"{prefix}/{route}/{{proxy+}}": name}
    return paths


def api_body(
    *, title: str, integration_uri: Callable[[str], str], cors_origins: Sequence[str], stage_path: str
) -> dict[str, Any]:
    """OpenAPI 3 with API Gateway's extensions. `integration_uri` says where a function is invoked.

    `stage_path` is `/dev` where the stage is part of the API's address, else nothing.
    """
    return {
        "openapi": "3.0.1",
        "info": {"title": title, "version": "1"},
        "paths": {path: _any_method(path, name, integration_uri(name)) for path, name in api_paths().items()},
        "x-amazon-apigateway-gateway-responses": {
            kind: _gateway_response(kind, cors_origins, stage_path) for kind in _GATEWAY_RESPONSES
        },
    }


def _any_method(path: str, name: str, uri: str) -> dict[str, Any]:
    proxy = {"name": "proxy", "in": "path", "required": True, "schema": {"type": "string"}}
    streamed = {"responseTransferMode": "STREAM", "timeoutInMillis": STREAM_MILLISECONDS}
    return {
        "x-amazon-apigateway-any-method": {
            **({"parameters": [proxy]} if "{proxy+}" in path else {}),
            "responses": {},
            "x-amazon-apigateway-integration": {
                "type": "aws_proxy",
                "httpMethod": "POST",
                "uri": uri,
                **(streamed if FUNCTIONS[name].streams else {}),
            },
        }
    }


def gateway_problem(kind: str, request_id: str, stage_path: str = "") -> tuple[HTTPStatus, dict[str, str], str]:
    """What the gateway answers itself when this happens: status, headers (but for CORS), body."""
    status, detail = _GATEWAY_RESPONSES[kind]
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": title_of(status),
        "status": status.value,
        "detail": detail,
        "instance": request_id,
    }
    if step := _NEXT.get(kind):
        problem["next"] = {**step, "href": stage_path + step["href"]}
    retry = {"Retry-After": _RETRY[kind]} if kind in _RETRY else {}
    return status, {"Content-Type": MEDIA_TYPE, **SECURITY_HEADERS, **retry}, json.dumps(problem)


def _gateway_response(kind: str, cors_origins: Sequence[str], stage_path: str) -> dict[str, Any]:
    status, headers, problem = gateway_problem(kind, "$context.requestId", stage_path)
    return {
        "statusCode": str(status.value),
        # A fixed text is between quotes; without them it would be the name of something in the request.
        "responseParameters": {
            f"gatewayresponse.header.{name}": f"'{value}'" for name, value in (headers | _cors(cors_origins)).items()
        },
        "responseTemplates": {"application/json": problem},
    }


def _cors(origins: Sequence[str]) -> dict[str, str]:
    """Let a front end read the answer. The gateway cannot look an origin up in a list: of several, it lets any
    read, but without credentials; the texts are the same for everybody."""
    if len(origins) == 1:
        return {"Access-Control-Allow-Origin": origins[0], "Access-Control-Allow-Credentials": "true"}
    return {"Access-Control-Allow-Origin": "*"}
