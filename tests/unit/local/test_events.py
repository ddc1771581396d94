"""The events are those of AWS: what a client sends arrives at the app, what the app answers arrives at the client."""

import asyncio
import json
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mangum import Mangum

from functions.manifest import CATCH_ALL, PREFIXES, ROUTES
from infra.local.events import (
    MalformedAnswerError,
    function_for,
    rest_event,
    rest_response,
    route,
    s3_notification,
    sqs_event,
)
from infra.local.invocation import MAX_EVENT, Context, TooLargeError, call, invoke

texts = st.text(st.characters(exclude_categories=["Cs"]))
tokens = st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True)
values = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)


def through_mangum(event: dict[str, Any], answer: dict[str, Any] | None = None) -> tuple[dict[str, Any], Any]:
    """What an ASGI app behind Mangum receives of `event`, and Mangum's answer."""
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        seen.update(scope=scope, body=message["body"])
        reply = answer or {"status": 200, "headers": [], "body": b""}
        await send({"type": "http.response.start", "status": reply["status"], "headers": reply["headers"]})
        await send({"type": "http.response.body", "body": reply["body"]})

    asyncio.set_event_loop(loop := asyncio.new_event_loop())
    try:
        context = Context("system", 128, 29)
        # Mangum takes them as JSON gives them.
        result = Mangum(app, lifespan="off")(json.loads(json.dumps(event)), context)  # type: ignore[arg-type]
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return seen, json.loads(json.dumps(result))


@given(path=texts, pairs=st.lists(st.tuples(texts, texts), max_size=5), body=st.binary(max_size=200))
def test_given_any_path_query_and_body_when_sent_then_the_app_receives_them(
    path: str, pairs: list[tuple[str, str]], body: bytes
) -> None:
    # GIVEN anything a client can write, encoded as it must be
    event = rest_event("POST", "/" + quote(path), query=urlencode(pairs), body=body)
    # WHEN it goes through the event
    seen, _ = through_mangum(event)
    # THEN the app sees the same; parameters of one name in their order
    assert seen["scope"]["path"] == "/" + path
    received = parse_qsl(seen["scope"]["query_string"].decode(), keep_blank_values=True)
    assert sorted(received) == sorted(pairs)
    for name in {name for name, _ in pairs}:
        assert [v for n, v in received if n == name] == [v for n, v in pairs if n == name]
    assert seen["body"] == body


@given(st.lists(st.tuples(tokens.map("x-a-{}".format), values), max_size=6))
def test_given_any_headers_when_sent_then_the_app_receives_them_all(headers: list[tuple[str, str]]) -> None:
    event = rest_event("GET", "/", headers=headers)
    seen, _ = through_mangum(event)
    received = {name.decode(): value.decode() for name, value in seen["scope"]["headers"]}
    for name in {name for name, _ in headers}:
        assert received[name] == ", ".join(value for n, value in headers if n == name)


@given(
    status=st.sampled_from([200, 201, 204, 303, 404, 412, 500]),
    body=st.binary(max_size=200),
    cookies=st.lists(values, max_size=3),
)
def test_given_any_answer_when_returned_then_the_client_sees_it_with_every_cookie(
    status: int, body: bytes, cookies: list[str]
) -> None:
    headers = [(b"content-type", b"application/octet-stream")]
    headers += [(b"set-cookie", cookie.encode()) for cookie in cookies]
    _, result = through_mangum(rest_event("GET", "/"), {"status": status, "headers": headers, "body": body})
    response = rest_response(result)
    assert (response.status, response.body) == (status, body)
    assert [value for name, value in response.headers if name.lower() == "set-cookie"] == cookies


@given(name=st.sampled_from(sorted(ROUTES)), prefix=st.sampled_from(PREFIXES), rest=texts)
def test_given_a_route_of_the_manifest_when_asked_under_any_prefix_then_its_function_answers(
    name: str, prefix: str, rest: str
) -> None:
    path = f"{prefix}/{name}/{quote(rest)}"
    assert function_for(path) == ROUTES[name]
    _, resource, proxy = route(path)
    assert resource == (f"{prefix}/{name}/{{proxy+}}" if rest else f"{prefix}/{name}")
    assert proxy == quote(rest)


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/v1", "/api/v1/", "//users", "/api/v1users", "/Users", "/unknown/x"]
)
def test_given_a_path_nobody_serves_when_asked_then_the_catch_all_answers(path: str) -> None:
    assert function_for(path) == CATCH_ALL


def test_given_an_execute_api_domain_when_sent_then_the_context_path_has_the_stage_and_the_path_has_not() -> None:
    event = rest_event("GET", "/api/v1/users", stage="prod", domain="x.execute-api.eu-west-1.amazonaws.com")
    assert event["path"] == "/api/v1/users"
    assert event["requestContext"]["path"] == "/prod/api/v1/users"
    assert rest_event("GET", "/api/v1/users")["requestContext"]["path"] == "/api/v1/users"


def test_given_forwarding_headers_of_a_client_when_sent_then_the_gateway_has_the_last_word() -> None:
    # GIVEN a client that claims to be somebody else
    claimed = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "gopher", "Content-Length": "5"}
    event = rest_event("POST", "/", headers=claimed, source_ip="10.0.0.7", body=b"hello")
    # THEN its address is appended, its protocol replaced, and nothing but the socket names its address
    assert event["headers"]["X-Forwarded-For"] == "6.6.6.6, 10.0.0.7"
    assert event["headers"]["X-Forwarded-Proto"] == "https"
    assert "Content-Length" not in event["headers"]
    assert event["requestContext"]["identity"]["sourceIp"] == "10.0.0.7"


def test_given_no_body_and_no_query_when_sent_then_they_are_null_as_in_the_real_event() -> None:
    event = rest_event("GET", "/health")
    assert event["body"] is None
    assert event["isBase64Encoded"] is False
    assert event["queryStringParameters"] is None
    assert event["multiValueQueryStringParameters"] is None


def test_given_headers_in_both_forms_when_answered_then_the_multi_value_form_wins() -> None:
    answer = {
        "statusCode": 401,
        "headers": {"x-a": "1", "WWW-Authenticate": "Bearer", "content-type": "text/plain"},
        "multiValueHeaders": {"X-A": ["2", "3"]},
        "body": "no",
    }
    response = rest_response(answer, request_id="r")
    assert [value for name, value in response.headers if name.lower() == "x-a"] == ["2", "3"]
    # A REST API hands this header out under another name.
    assert response.header("www-authenticate") is None
    assert response.header("x-amzn-Remapped-WWW-Authenticate") == "Bearer"
    assert response.header("x-amzn-RequestId") == "r"


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "text",
        {},
        {"statusCode": "abc"},
        {"statusCode": 99},
        {"statusCode": 200, "body": {"not": "text"}},
        {"statusCode": 200, "body": "?", "isBase64Encoded": True},
        {"statusCode": 200, "headers": ["a"]},
    ],
)
def test_given_an_answer_that_is_none_when_returned_then_it_is_malformed(answer: Any) -> None:
    with pytest.raises(MalformedAnswerError):
        rest_response(answer)


def test_given_an_event_over_six_megabytes_when_invoked_then_it_is_refused() -> None:
    with pytest.raises(TooLargeError):
        invoke("system", rest_event("POST", "/health", body=b"x" * MAX_EVENT))


def test_given_the_system_function_when_called_then_it_answers_as_deployed() -> None:
    response = call("GET", "/api/v1/health")
    assert response.status == 200
    assert response.json() == {"status": "ok"}
    assert response.header("x-amzn-RequestId") == response.header("x-request-id")


def test_given_messages_in_every_form_when_made_an_event_then_records_have_what_lambda_gives() -> None:
    received = {
        "MessageId": "m1",
        "ReceiptHandle": "r1",
        "Body": "text",
        "Attributes": {"ApproximateReceiveCount": "3"},
        "MessageAttributes": {"kind": {"StringValue": "x", "DataType": "String"}},
    }
    records = sqs_event("email", [received, "plain", {"event_id": 1}])["Records"]
    assert [record["body"] for record in records] == ["text", "plain", '{"event_id": 1}']
    assert records[0]["attributes"]["ApproximateReceiveCount"] == "3"
    assert records[0]["messageAttributes"]["kind"]["stringValue"] == "x"
    assert len({record["messageId"] for record in records}) == 3
    assert all(record["eventSourceARN"].endswith(":email") for record in records)


@given(texts.filter(bool))
def test_given_any_key_when_notified_then_it_is_encoded_as_s3_does(key: str) -> None:
    encoded = s3_notification("bucket", key, size=1)["Records"][0]["s3"]["object"]["key"]
    assert unquote_plus(encoded) == key
    assert encoded.isascii()
    assert " " not in encoded


def test_given_a_context_when_time_passes_then_less_remains() -> None:
    context = Context("system", 128, 0.5)
    first = context.get_remaining_time_in_millis()
    assert 0 < first <= 500
    assert Context("system", 128, -1).get_remaining_time_in_millis() == 0
    assert context.invoked_function_arn.endswith(":function:system")


def test_given_a_host_with_a_port_when_sent_then_the_event_names_both_apart() -> None:
    event = rest_event("GET", "/", domain="127.0.0.1:8123", scheme="http")
    assert event["requestContext"]["domainName"] == "127.0.0.1"
    assert event["headers"]["Host"] == "127.0.0.1:8123"
    assert event["headers"]["X-Forwarded-Port"] == "8123"
    assert event["headers"]["X-Forwarded-Proto"] == "http"
