"""What every route has in common: addresses, headers, conditional requests, errors."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from sqlalchemy import event

from infra.local.events import Response, rest_event, rest_response
from infra.local.invocation import Context, call, invoke
from quintet.db.engine import engine, owner_engine
from quintet.http.app import MAX_BODY, create_app, lambda_handler
from quintet.http.dependencies import SessionDep
from quintet.http.envelope import SECURITY_HEADERS
from quintet.http.routing import Router
from tests.api import PASSWORD, Api
from tests.expect import logged, pointers, problem
from tests.people import person

PREFIXES = ["/api/v1", "/api", ""]
OURS, FOREIGN = "https://app.example.com", "https://evil.example"
STAGED = {"domain": "abc123.execute-api.eu-west-1.amazonaws.com", "stage": "prod"}


@pytest.fixture
def owner(stack: object) -> Api:
    """Somebody who may create projects."""
    return person()


@pytest.fixture
def project(owner: Api) -> str:
    """The path of a project of theirs, in its first version."""
    return f"/projects/{owner.post('/projects', {'title': 'A project'}).json()['id']}"


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
        ("OPTIONS", "/users/me", "GET, HEAD, PATCH, PUT"),
    ],
)
def test_given_a_method_the_address_has_not_then_405_lists_every_one_it_has(
    api: Api, method: str, path: str, allow: str
) -> None:
    refused = api.request(method, path)
    assert refused.header("allow") == allow
    if method != "HEAD":
        problem(refused, 405)


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/users/me"), ("PUT", "/files/multipart")])
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


def test_given_a_request_then_its_id_is_in_the_log_and_nothing_of_its_query(owner: Api) -> None:
    with logged() as records:
        answer = owner.get("/projects", query=[("q", "secret-words")])
    (line,) = [record for record in records if record["message"] == "request"]
    assert line["request_id"] == answer.header("x-request-id")
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


# --- conditional requests --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "status"),
    [
        ('"1"', 304),
        ('W/"1"', 304),
        ("*", 304),
        ('"7", "1"', 304),
        ('"7" , W/"1"', 304),
        ('"2"', 200),
        ("1", 200),
        ('"', 200),
        ("", 200),
    ],
)
def test_given_if_none_match_then_304_when_the_version_is_known(
    owner: Api, project: str, known: str, status: int
) -> None:
    answer = owner.get(project, headers={"if-none-match": known})
    assert answer.status == status
    assert answer.header("etag") == '"1"'
    assert answer.header("cache-control") == "private, no-cache"
    assert (answer.body == b"") is (status == 304)


@pytest.mark.parametrize(
    ("named", "status"),
    [
        ('"1"', 200),
        ("*", 200),
        ('"7", "1"', 200),
        ('"2"', 412),
        ('W/"1"', 412),  # If-Match compares strongly (RFC 9110, 13.1.1)
        ("1", 400),
        ('"1', 400),
        ('"', 400),
        ("", 400),
        ('"1", ', 400),
    ],
)
def test_given_if_match_then_the_change_is_made_only_to_that_version(
    owner: Api, project: str, named: str, status: int
) -> None:
    answer = owner.patch(project, {"title": "Changed"}, headers={"if-match": named})
    assert answer.status == status
    if status == 400:
        assert pointers(answer) == ["header/if-match"]
    if status != 200:
        problem(answer, status)
    assert owner.get(project).json()["title"] == ("Changed" if status == 200 else "A project")
    if status == 412:
        assert owner.delete(project, headers={"if-match": named}).status == 412
        assert owner.get(project).json()["archived_at"] is None


def test_given_two_changes_of_one_version_when_they_race_then_one_of_them_is_412(owner: Api, project: str) -> None:
    start, statuses = threading.Barrier(4), []

    def change(n: int) -> None:
        start.wait()
        statuses.append(owner.patch(project, {"title": f"T{n}"}, headers={"if-match": '"1"'}).status)

    _in_threads(change, 4)
    assert sorted(statuses) == [200, 412, 412, 412]
    assert owner.get(project).json()["version"] == 2


# --- errors ----------------------------------------------------------------------------------------------


def test_given_a_stage_in_the_address_then_links_have_it_too(owner: Api, project: str) -> None:
    bearer = {"authorization": f"Bearer {owner.token}"}
    unsigned = call("GET", "/api/v1/projects", **STAGED)
    assert problem(unsigned, 401)["next"]["href"] == "/prod/api/v1/auth/login"
    body = json.dumps({"title": "x"}).encode()
    made = call("POST", "/projects", headers={**bearer, "content-type": "application/json"}, body=body, **STAGED)
    location = made.header("location") or ""
    assert location.startswith("/prod/api/v1/projects/")
    assert call("GET", location.removeprefix("/prod"), headers=bearer, **STAGED).status == 200
    # Without one (a custom domain) they begin at the root.
    assert problem(Api().get(project), 401)["next"]["href"] == "/api/v1/auth/login"


def test_given_a_body_over_the_limit_then_413_and_at_the_limit_it_is_read(owner: Api) -> None:
    def padded(size: int) -> bytes:
        return b'{"title": "x"' + b" " * (size - 14) + b"}"

    json_type = {"content-type": "application/json"}
    assert owner.post("/projects", body=padded(MAX_BODY), headers=json_type).status == 201
    problem(owner.post("/projects", body=padded(MAX_BODY + 1), headers=json_type), 413)
    # WHEN the declared length lies, THEN what came is what counts.
    lying = {**json_type, "content-length": "5"}
    assert owner.post("/projects", body=padded(20), headers=lying).status == 201
    problem(owner.post("/projects", body=padded(MAX_BODY + 1), headers=lying), 413)


@pytest.mark.parametrize("password", [["S3cret"], {"S3cret": "S3cret"}, 530001, True, "S3cret", "S3cret" * 300])
def test_given_a_password_of_a_wrong_form_then_neither_answer_nor_log_repeats_it(api: Api, password: object) -> None:
    sent = {"email": "somebody@example.com", "password": password, "full_name": "Some Body"}
    with logged() as records:
        refused = api.post("/auth/register", sent)
        signed = api.post("/auth/login", {"email": "somebody@example.com", "password": password})
        broken = api.post("/auth/login", body=b'{"password": "S3cret"', headers={"content-type": "application/json"})
        form = api.post("/auth/login", body=b"password=S3cret", headers={"content-type": "text/plain"})
    assert pointers(refused)[0].startswith("/password")
    assert signed.status in (400, 401)
    assert pointers(broken) == pointers(form) == [""]
    told = json.dumps(records) + str([refused, signed, broken, form])
    assert "S3cret" not in told
    assert "530001" not in told


def test_given_an_unexpected_exception_then_a_500_problem_and_the_reason_in_the_log(
    failing: Callable[..., Response],
) -> None:
    with logged() as records:
        answer = failing()
    content = problem(answer, 500)
    assert "exploded" not in answer.body.decode()
    assert "Traceback" not in answer.body.decode()
    errors = [record for record in records if record["level"] == "ERROR"]
    assert [record["message"] for record in errors] == ["Unhandled error"]
    assert errors[0]["request_id"] == content["instance"]
    assert "RuntimeError: it exploded" in errors[0]["exception"]


# --- a scratch function, and a database that misbehaves --------------------------------------------------

scratch = Router(prefix="/scratch", tags=["scratch"])


@scratch.get("/failing")
async def fails() -> None:
    """Fails."""
    raise RuntimeError("it exploded")


@scratch.post("/deferred", status_code=201)
async def deferred(session: SessionDep) -> dict[str, str]:
    """Write what only the commit refuses."""
    session.connection().exec_driver_sql("INSERT INTO scratch_children VALUES (1)")
    return {"status": "made"}


@scratch.post("/killed", status_code=201)
async def killed(session: SessionDep) -> dict[str, str]:
    """Write, and lose the connection before the commit."""
    session.connection().exec_driver_sql("INSERT INTO scratch_parents VALUES (7)")
    _terminate(session.connection().exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
    return {"status": "made"}


def _lambda(*routers: APIRouter) -> Callable[..., Response]:
    app: FastAPI = create_app(*routers)
    handler = lambda_handler(app)

    def request(method: str, path: str, **parts: Any) -> Response:
        sent = rest_event(method, path, **parts)
        answer = handler(json.loads(json.dumps(sent)), Context("scratch", 1024, 29))
        return rest_response(answer, request_id=sent["requestContext"]["requestId"])

    return request


@pytest.fixture(scope="module")
def scratch_function(stack: object) -> Iterator[Callable[..., Response]]:
    """A function of the test's own, and its tables."""
    with owner_engine().begin() as connection:
        connection.exec_driver_sql("CREATE TABLE scratch_parents (id int PRIMARY KEY)")
        connection.exec_driver_sql(
            "CREATE TABLE scratch_children (parent int REFERENCES scratch_parents DEFERRABLE INITIALLY DEFERRED)"
        )
    yield _lambda(scratch)
    with owner_engine().begin() as connection:
        connection.exec_driver_sql("DROP TABLE scratch_children, scratch_parents")


@pytest.fixture
def failing(scratch_function: Callable[..., Response]) -> Callable[..., Response]:
    """A request that ends in an exception nobody expected."""

    def request(**parts: Any) -> Response:
        return scratch_function("GET", "/scratch/failing", **parts)

    return request


def _terminate(*pids: int) -> None:
    with owner_engine().begin() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM unnest(%(pids)s) pid", {"pids": list(pids)}
        )


def _terminate_all() -> int:
    """Cut every connection of the application; how many there were."""
    with owner_engine().begin() as connection:
        cut = connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'quintet_app'"
        )
        return len(cut.all())


def _count(table: str) -> int:
    with owner_engine().connect() as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


def test_given_a_commit_that_the_database_refuses_then_an_error_and_not_201(
    scratch_function: Callable[..., Response],
) -> None:
    problem(scratch_function("POST", "/scratch/deferred"), 409)
    assert _count("scratch_children") == 0


def test_given_a_connection_that_dies_before_the_commit_then_an_error_and_the_next_request_works(
    scratch_function: Callable[..., Response], owner: Api
) -> None:
    problem(scratch_function("POST", "/scratch/killed"), 503)
    assert _count("scratch_parents") == 0
    assert owner.get("/projects").status == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_given_pooled_connections_that_died_when_a_request_comes_then_it_does_not_notice(
    owner: Api, method: str
) -> None:
    assert owner.get("/projects").status == 200
    assert _terminate_all() >= 1
    answer = owner.request(method, "/projects", json_body={"title": "x"} if method == "POST" else None)
    assert answer.status == {"GET": 200, "POST": 201}[method], answer


def test_given_pooled_connections_that_died_when_somebody_signs_in_then_they_do_not_notice(owner: Api) -> None:
    credentials = {"email": owner.user["email"], "password": PASSWORD}
    assert owner.post("/auth/login", credentials).status == 200
    assert _terminate_all() >= 1
    assert owner.post("/auth/login", credentials).status == 200
    assert _terminate_all() >= 1
    assert owner.get("/.well-known/jwks.json").status == 200


def test_given_a_connection_that_dies_unnoticed_when_a_request_comes_then_its_first_statement_is_tried_again(
    owner: Api,
) -> None:
    cut: list[int] = []

    def terminate(connection: Any) -> None:
        cut.append(connection.info.backend_pid)
        _terminate(cut[-1])

    for method, status in (("GET", 200), ("POST", 201)):
        event.listen(engine(), "checkout", lambda connection, *_: terminate(connection), once=True)
        answer = owner.request(method, "/projects", json_body={"title": "x"} if method == "POST" else None)
        assert answer.status == status, answer
    assert len(set(cut)) == 2


def test_given_a_row_that_stays_locked_when_it_is_to_be_changed_then_an_error_in_time(owner: Api, project: str) -> None:
    with engine().begin() as connection:
        connection.exec_driver_sql("SELECT FROM projects WHERE id = %(id)s FOR UPDATE", {"id": project[10:]})
        answer = owner.patch(project, {"title": "x"})
    problem(answer, 503)
    assert int(answer.header("retry-after") or 0) > 0
    assert owner.patch(project, {"title": "x"}).status == 200


def _in_threads(work: Callable[[int], None], count: int) -> None:
    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_given_an_event_without_a_body_or_headers_then_the_handler_answers_all_the_same(stack: object) -> None:
    bare = {**rest_event("GET", "/health"), "headers": None, "multiValueHeaders": None, "body": None}
    assert rest_response(invoke("system", bare)).status == 200
