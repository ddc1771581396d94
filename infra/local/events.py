"""The events AWS would send to the functions, and what API Gateway makes of an answer."""

import base64
import json
import time
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl, quote_plus

from functions.manifest import CATCH_ALL, PREFIXES, ROUTES

REGION = "us-east-1"
ACCOUNT = "000000000000"

Headers = Mapping[str, str] | Iterable[tuple[str, str]]

_REMAPPED = frozenset({
    "authorization", "connection", "content-length", "date", "expect", "host", "max-forwards",
    "proxy-authenticate", "server", "trailer", "transfer-encoding", "upgrade", "user-agent", "via",
    "www-authenticate", "x-amzn-requestid",
})  # fmt: skip
"""Response headers that a REST API hands out only as `x-amzn-Remapped-<name>`, or sets itself."""


_SET_BY_GATEWAY = frozenset({
    "connection", "content-length", "transfer-encoding", "x-amzn-trace-id", "x-forwarded-for",
    "x-forwarded-port", "x-forwarded-proto",
})  # fmt: skip
"""Request headers that API Gateway drops or writes itself."""

_IDENTITY = (
    "cognitoIdentityPoolId", "accountId", "cognitoIdentityId", "caller", "principalOrgId", "accessKey",
    "cognitoAuthenticationType", "cognitoAuthenticationProvider", "userArn", "user",
)  # fmt: skip


class Response(NamedTuple):
    """What the client of a REST API sees."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of this name, in whatever case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


class MalformedAnswerError(ValueError):
    """The handler's answer is not one API Gateway takes; its client sees a 502."""


def route(path: str) -> tuple[str, str, str]:
    """For a path as sent: its function, the REST API's resource, and what `{proxy+}` stands for."""
    for prefix in PREFIXES:
        if path.startswith(prefix + "/"):
            segment, _, rest = path.removeprefix(prefix + "/").partition("/")
            if segment in ROUTES:
                resource = f"{prefix}/{segment}"
                return ROUTES[segment], f"{resource}/{{proxy+}}" if rest else resource, rest
    rest = path.lstrip("/")
    return CATCH_ALL, "/{proxy+}" if rest else "/", rest


def function_for(path: str) -> str:
    """The name of the function that answers this path."""
    return route(path)[0]


def rest_event(
    method: str,
    path: str,
    *,
    query: str | Iterable[tuple[str, str]] = "",
    headers: Headers = (),
    body: bytes = b"",
    source_ip: str = "127.0.0.1",
    stage: str = "local",
    domain: str = "localhost",
    scheme: str = "https",
) -> dict[str, Any]:
    """The proxy event of an API Gateway REST API whose binary media types are `*/*`.

    `path` is as sent, percent-encoded; `query` the raw string, or decoded pairs; `domain` may have a port. Under
    an execute-api domain the path in the request's context begins with the stage; under a custom one it does not.
    """
    name, resource, rest = route(path)
    request_id = str(uuid.uuid4())
    pairs = parse_qsl(query, keep_blank_values=True) if isinstance(query, str) else list(query)
    sent = list(headers.items() if isinstance(headers, Mapping) else headers)
    known = {key.lower() for key, _ in sent}
    forwarded = next((value + ", " for key, value in sent if key.lower() == "x-forwarded-for"), "")
    sent = [(key, value) for key, value in sent if key.lower() not in _SET_BY_GATEWAY]
    sent += [
        *([] if "host" in known else [("Host", domain)]),
        ("X-Amzn-Trace-Id", f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}"),
        ("X-Forwarded-For", forwarded + source_ip),
        ("X-Forwarded-Port", domain.partition(":")[2] or ("443" if scheme == "https" else "80")),
        ("X-Forwarded-Proto", scheme),
    ]
    many = _grouped(sent)
    many_query = _grouped(pairs)
    user_agent = next((value for key, value in sent if key.lower() == "user-agent"), None)
    now = datetime.now(UTC)
    host = domain.partition(":")[0]
    return {
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "headers": {key: values[-1] for key, values in many.items()},
        "multiValueHeaders": many,
        "queryStringParameters": {key: values[-1] for key, values in many_query.items()} or None,
        "multiValueQueryStringParameters": many_query or None,
        "pathParameters": {"proxy": rest} if rest else None,
        "stageVariables": None,
        "requestContext": {
            "resourceId": uuid.uuid5(uuid.NAMESPACE_URL, resource).hex[:6],
            "resourcePath": resource,
            "operationName": name,
            "httpMethod": method,
            "extendedRequestId": base64.urlsafe_b64encode(uuid.uuid4().bytes[:11]).decode(),
            "requestTime": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "path": f"/{stage}{path}" if host.endswith(".amazonaws.com") else path,
            "accountId": ACCOUNT,
            "protocol": "HTTP/1.1",
            "stage": stage,
            "domainPrefix": host.partition(".")[0],
            "requestTimeEpoch": int(now.timestamp() * 1000),
            "requestId": request_id,
            "identity": {
                **dict.fromkeys(_IDENTITY),
                "sourceIp": source_ip,
                "userAgent": user_agent,
            },
            "domainName": host,
            "deploymentId": "local",
            "apiId": "local",
        },
        "body": base64.b64encode(body).decode() if body else None,
        "isBase64Encoded": bool(body),
    }


Kind = Literal["CONNECT", "MESSAGE", "DISCONNECT"]
_ROUTE_KEYS: dict[Kind, str] = {"CONNECT": "$connect", "MESSAGE": "$default", "DISCONNECT": "$disconnect"}


def websocket_event(
    kind: Kind,
    connection_id: str,
    *,
    query: str | Iterable[tuple[str, str]] = "",
    headers: Headers = (),
    body: str | None = None,
    code: int = 1000,
    reason: str = "",
    source_ip: str = "127.0.0.1",
    user_agent: str = "",
    domain: str = "localhost",
    stage: str = "realtime",
    connected_at: float | None = None,
) -> dict[str, Any]:
    """The event of a WebSocket API for a connection that is asked for, a frame of it (`body`), or its end (`code`).

    `connected_at` is in seconds since 1970, by default now.
    """
    now = datetime.now(UTC)
    context: dict[str, Any] = {
        "routeKey": _ROUTE_KEYS[kind],
        "eventType": kind,
        "extendedRequestId": base64.urlsafe_b64encode(uuid.uuid4().bytes[:11]).decode(),
        "requestTime": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "messageDirection": "IN",
        "stage": stage,
        "connectedAt": int((connected_at or now.timestamp()) * 1000),
        "requestTimeEpoch": int(now.timestamp() * 1000),
        "identity": {"userAgent": user_agent, "sourceIp": source_ip},
        "requestId": base64.urlsafe_b64encode(uuid.uuid4().bytes[:11]).decode(),
        "domainName": domain.partition(":")[0],
        "connectionId": connection_id,
        "apiId": "local",
    }
    event: dict[str, Any] = {"requestContext": context, "isBase64Encoded": False}
    if kind == "MESSAGE":
        context["messageId"] = base64.urlsafe_b64encode(uuid.uuid4().bytes[:11]).decode()
        return {**event, "body": body}
    if kind == "DISCONNECT":
        context |= {"disconnectStatusCode": code, "disconnectReason": reason}
        sent = [("Host", domain), ("x-api-key", ""), ("X-Forwarded-For", "")]
    else:
        sent = list(headers.items() if isinstance(headers, Mapping) else headers)
        pairs = parse_qsl(query, keep_blank_values=True) if isinstance(query, str) else list(query)
        if pairs:
            many = _grouped(pairs)
            event["queryStringParameters"] = {key: values[-1] for key, values in many.items()}
            event["multiValueQueryStringParameters"] = many
    grouped = _grouped(sent)
    return {
        **event,
        "headers": {key: values[-1] for key, values in grouped.items()},
        "multiValueHeaders": grouped,
    }


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Values by name, in the order they came; names that differ in case stay apart, as in the real event."""
    grouped: dict[str, list[str]] = {}
    for key, value in pairs:
        grouped.setdefault(key, []).append(value)
    return grouped


def rest_response(answer: Any, *, request_id: str = "") -> Response:
    """What the client sees of a handler's answer; raises MalformedAnswerError where it would see a 502."""
    try:
        status = int(answer["statusCode"])
        HTTPStatus(status)
        text = answer.get("body") or ""
        body = base64.b64decode(text, validate=True) if answer.get("isBase64Encoded") else text.encode()
        merged = {key.lower(): (key, [value]) for key, value in (answer.get("headers") or {}).items()}
        for key, values in (answer.get("multiValueHeaders") or {}).items():
            merged[key.lower()] = key, list(values)
        headers = [
            (f"x-amzn-Remapped-{key}" if key.lower() in _REMAPPED else key, str(value))
            for key, values in merged.values()
            for value in values
            if key.lower() != "content-length"
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedAnswerError(f"not an answer for API Gateway: {error!r}") from error
    if "content-type" not in merged:
        headers.append(("Content-Type", "application/json"))
    if request_id:
        headers.append(("x-amzn-RequestId", request_id))
    return Response(status, headers, body)


def queue_arn(queue: str) -> str:
    """The ARN of a queue of the manifest, by its name."""
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"


def sqs_event(queue: str, messages: Iterable[str | Mapping[str, Any]]) -> dict[str, Any]:
    """The event of an SQS event source mapping.

    A message is what ReceiveMessage answers (it has a `Body`), a body as text, or a body as an object.
    """
    return {"Records": [_sqs_record(queue, message) for message in messages]}


def _sqs_record(queue: str, message: str | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(message, str) or "Body" not in message:
        now = str(int(time.time() * 1000))
        message = {
            "Body": message if isinstance(message, str) else json.dumps(message),
            "Attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": now,
                "SenderId": ACCOUNT,
                "ApproximateFirstReceiveTimestamp": now,
            },
        }
    return {
        "messageId": message.get("MessageId") or str(uuid.uuid4()),
        "receiptHandle": message.get("ReceiptHandle") or uuid.uuid4().hex,
        "body": message["Body"],
        "attributes": dict(message.get("Attributes") or {}),
        "messageAttributes": {
            name: {
                "stringValue": value.get("StringValue"),
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": value["DataType"],
            }
            for name, value in (message.get("MessageAttributes") or {}).items()
        },
        "md5OfBody": message.get("MD5OfBody", ""),
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn(queue),
        "awsRegion": REGION,
    }


def s3_notification(
    bucket: str,
    key: str,
    *,
    size: int = 0,
    etag: str = "",
    version_id: str | None = None,
    sequencer: str = "",
    event_name: str = "ObjectCreated:Post",
) -> dict[str, Any]:
    """The body of the message S3 puts into a queue when an object arrives; `key` is the plain one."""
    item: dict[str, Any] = {
        "key": quote_plus(key, safe="/"),
        "size": size,
        "eTag": etag,
        "sequencer": sequencer or f"{time.time_ns():018X}",
    }
    if version_id is not None:
        item["versionId"] = version_id
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": REGION,
                "eventTime": _iso_now(),
                "eventName": event_name,
                "userIdentity": {"principalId": "AWS:local"},
                "requestParameters": {"sourceIPAddress": "127.0.0.1"},
                "responseElements": {"x-amz-request-id": uuid.uuid4().hex[:16].upper(), "x-amz-id-2": ""},
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": "uploads",
                    "bucket": {
                        "name": bucket,
                        "ownerIdentity": {"principalId": "local"},
                        "arn": f"arn:aws:s3:::{bucket}",
                    },
                    "object": item,
                },
            }
        ]
    }


def s3_test_event(bucket: str) -> dict[str, Any]:
    """The body of the message S3 sends when a notification is configured."""
    return {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": _iso_now(),
        "Bucket": bucket,
        "RequestId": uuid.uuid4().hex[:16].upper(),
        "HostId": "",
    }


def schedule_event(name: str) -> dict[str, Any]:
    """What EventBridge sends to the scheduled function of this name."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{name}"],
        "detail": {},
    }


def _iso_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
