"""Errors: problem+json everywhere, limits, and nothing repeated that was sent."""

import json
from collections.abc import Callable

import pytest

from infra.local.events import Response
from infra.local.invocation import call
from quintet.http.app import MAX_BODY
from tests.support.api import Api
from tests.support.expect import logged, pointers, problem

STAGED = {"domain": "abc123.execute-api.eu-west-1.amazonaws.com", "stage": "prod"}


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
