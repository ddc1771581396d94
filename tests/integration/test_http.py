"""What every route has in common: addresses, headers, conditional requests, errors."""

import json
from collections.abc import Callable, Iterator

import pytest

from infra.local.events import Response, rest_event, rest_response
from infra.local.invocation import invoke
from quintet.http.app import MAX_BODY
from quintet.http.envelope import SECURITY_HEADERS
from tests.support.api import Api
from tests.support.expect import logged, problem

PREFIXES = ["/api/v1", "/api", ""]
OURS, FOREIGN = "https://app.example.com", "https://evil.example"


def varying(answer: Response) -> Response:
    """The answer without what differs from request to request."""
    headers = [pair for pair in answer.headers if pair[0].lower() not in ("x-request-id", "x-amzn-requestid")]
    body = json.loads(answer.body or b"null")
    if isinstance(body, dict):
        body.pop("instance", None)
    return Response(answer.status, headers, json.dumps(body).encode())


# --- addresses -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/projects", "{project}", "/users/me", "/health", "/projects/none", "/nowhere", "/"])
def test_given_each_prefix_and_a_closing_slash_then_the_answer_is_the_same(owner: Api, project: str, path: str) -> None:
    path = path.format(project=project)
    answers = [varying(owner.get(prefix + path + slash)) for prefix in PREFIXES for slash in ("", "/")]
    assert len(answers[0].body) > 2
    assert all(answer == answers[0] for answer in answers[1:])


def test_given_a_prefix_twice_or_part_of_a_word_then_404(owner: Api) -> None:
    for path in ("/api/api/v1/projects", "/api/v1/api/projects", "/apiprojects", "/api/v2/projects", "//projects"):
        problem(owner.get(path), 404)


def test_given_head_then_the_headers_of_get_without_its_body(owner: Api, project: str) -> None:
    for path in (project, "/projects", "/health", f"{project}x"):
        got, head = owner.get(path), owner.request("HEAD", path)
        assert (head.status, head.body) == (got.status, b"")
        assert varying(head).headers == varying(Response(got.status, got.headers, b"")).headers


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/projects", "GET, HEAD, POST"),
        ("OPTIONS", "/projects", "GET, HEAD, POST"),
        ("POST", "/projects/x", "DELETE, GET, HEAD, PATCH, PUT"),
        ("GET", "/projects/x/members/y", "DELETE, PUT"),
        ("HEAD", "/auth/login", "POST"),
        ("GET", "/api/v1/auth/register/", "POST"),
        ("BREW", "/health", "GET, HEAD"),
        ("OPTIONS", "/users/me", "DELETE, GET, HEAD, PATCH, PUT"),
    ],
)
def test_given_a_method_the_address_has_not_then_405_lists_every_one_it_has(
    api: Api, method: str, path: str, allow: str
) -> None:
    refused = api.request(method, path)
    assert refused.header("allow") == allow
    if method != "HEAD":
        problem(refused, 405)


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/files/presign-upload"), ("PUT", "/files/multipart")])
def test_given_an_address_of_its_own_then_it_is_not_taken_for_the_id_of_something(
    owner: Api, method: str, path: str
) -> None:
    problem(owner.request(method, path, json_body={"full_name": "x"}), 405)


# --- headers ---------------------------------------------------------------------------------------------


def each_kind_of_answer(owner: Api, project: str, failing: Callable[..., Response]) -> Iterator[Response]:
    """Answers of every class of status."""
    yield owner.get("/health")
    yield owner.get("/projects")
    yield owner.post("/projects", {"title": "x"})
    yield owner.delete(f"{project}/members/{owner.id}")
    yield owner.get(project, headers={"if-none-match": '"1"'})
    yield owner.post("/projects", {})
    yield Api().get("/projects")
    yield owner.get("/nowhere")
    yield owner.request("BREW", "/projects")
    yield owner.post("/projects", {"title": "x" * MAX_BODY})
    yield owner.request("OPTIONS", "/projects", headers={"origin": OURS, "access-control-request-method": "PUT"})
    yield owner.get("/auth/password-reset/page", query=[("token", "x")])
    yield failing()


def test_given_any_answer_then_it_has_the_security_headers_once_and_a_request_id(
    owner: Api, project: str, failing: Callable[..., Response]
) -> None:
    statuses = set()
    for answer in each_kind_of_answer(owner, project, failing):
        statuses.add(answer.status)
        names = [name.lower() for name, _ in answer.headers]
        for name, value in SECURITY_HEADERS.items():
            assert names.count(name) == 1, (name, answer)
            if name not in ("cache-control", "content-security-policy"):
                assert answer.header(name) == value
        policy = answer.header("content-security-policy") or ""
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert names.count("x-request-id") == 1
        assert answer.header("x-request-id") == answer.header("x-amzn-requestid")
        assert "server" not in names
    assert statuses == {200, 201, 304, 400, 401, 404, 405, 409, 413, 500}


def test_given_a_request_then_its_id_and_whose_it_is_are_in_the_log_and_nothing_of_its_query(owner: Api) -> None:
    with logged() as records:
        answer = owner.get("/projects", query=[("q", "secret-words")])
    (line,) = [record for record in records if record["message"] == "request"]
    assert line["request_id"] == answer.header("x-request-id")
    assert line["user_id"] == str(owner.id)
    assert (line["method"], line["path"], line["status"], line["function"]) == ("GET", "/projects", 200, "projects")
    assert "secret-words" not in json.dumps(records)


# --- CORS ------------------------------------------------------------------------------------------------


def test_given_a_preflight_of_our_origin_then_it_may_send_what_the_api_reads(api: Api) -> None:
    sent = "authorization, content-type, idempotency-key, if-match, if-none-match"
    for prefix in PREFIXES:
        answer = api.request(
            "OPTIONS",
            f"{prefix}/projects/x",
            headers={
                "origin": OURS,
                "access-control-request-method": "PATCH",
                "access-control-request-headers": sent,
            },
        )
        assert answer.status == 200
        assert answer.header("access-control-allow-origin") == OURS
        assert answer.header("access-control-allow-credentials") == "true"
        assert "PATCH" in (answer.header("access-control-allow-methods") or "")
        assert set(sent.split(", ")) <= set((answer.header("access-control-allow-headers") or "").lower().split(", "))
        assert "Origin" in (answer.header("vary") or "")


@pytest.mark.parametrize("origin", [FOREIGN, "null", f"{OURS}.evil.example", "http://app.example.com", f"{OURS}:444"])
def test_given_another_origin_then_no_browser_lets_it_read(api: Api, origin: str) -> None:
    preflight = api.request("OPTIONS", "/projects", headers={"origin": origin, "access-control-request-method": "GET"})
    assert preflight.status == 400
    for answer in (preflight, api.get("/health", headers={"origin": origin})):
        assert answer.header("access-control-allow-origin") is None


def test_given_our_origin_when_something_fails_then_its_page_can_read_the_problem(
    owner: Api, failing: Callable[..., Response]
) -> None:
    headers = {"origin": OURS}
    answers = [
        owner.post("/projects", {}, headers=headers),
        Api().get("/projects", headers=headers),
        owner.get("/nowhere", headers=headers),
        owner.request("BREW", "/projects", headers=headers),
        owner.post("/projects", {"title": "x" * MAX_BODY}, headers=headers),
        failing(headers=headers),
    ]
    assert [answer.status for answer in answers] == [400, 401, 404, 405, 413, 500]
    for answer in answers:
        assert answer.header("access-control-allow-origin") == OURS
        assert "x-request-id" in (answer.header("access-control-expose-headers") or "").lower()


def test_given_an_event_without_a_body_or_headers_then_the_handler_answers_all_the_same(stack: object) -> None:
    bare = {**rest_event("GET", "/health"), "headers": None, "multiValueHeaders": None, "body": None}
    assert rest_response(invoke("system", bare)).status == 200
