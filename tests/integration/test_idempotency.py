"""`Idempotency-Key`: a POST that is repeated is done once, and answered alike."""

import json
import threading
import time
from typing import Any

import pytest

from infra.local.events import Response
from quintet.db.engine import engine, owner_engine
from quintet.http.idempotency import MAX_STORED_BODY
from tests.support import importing
from tests.support.api import Api
from tests.support.expect import pointers, problem
from tests.support.importing import campaign_of, table
from tests.support.people import person


def create(owner: Api, key: str, title: str = "Once", path: str = "/projects", **more: Any) -> Response:
    """A POST with a key."""
    return owner.post(path, {"title": title, **more}, headers={"idempotency-key": key})


def replayed(answer: Response) -> bool:
    """Whether the answer is an earlier one's."""
    return answer.header("idempotency-replayed") == "true"


def projects_of(owner: Api) -> int:
    """How many projects an account owns."""
    with owner_engine().connect() as connection:
        count = connection.exec_driver_sql("SELECT count(*) FROM projects WHERE owner_id = %(id)s", {"id": owner.id})
        return int(count.scalar_one())


def keys_of(owner: Api) -> list[dict[str, Any]]:
    """The keys an account has used, as stored."""
    with owner_engine().connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT key, route, status, body, headers FROM idempotency_keys WHERE user_id = %(id)s", {"id": owner.id}
        )
        return [dict(row) for row in rows.mappings()]


def in_threads(count: int, work: Any) -> list[Any]:
    """What `work(n)` returned in each of `count` threads that began together."""
    start, results = threading.Barrier(count), [None] * count

    def run(n: int) -> None:
        start.wait()
        results[n] = work(n)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_given_a_repeat_then_it_gets_the_first_answer_and_nothing_more_is_made(owner: Api) -> None:
    first = create(owner, "k1")
    assert first.status == 201
    assert not replayed(first)
    owner.patch(f"/projects/{first.json()['id']}", {"title": "Changed since"})
    # The three addresses of a route are one.
    for path in ("/projects", "/api/projects", "/api/v1/projects/"):
        again = create(owner, "k1", path=path)
        assert replayed(again)
        assert (again.status, again.body) == (201, first.body)
        for name in ("location", "etag", "content-type"):
            assert again.header(name) == first.header(name)
        assert again.header("x-request-id") != first.header("x-request-id")
    assert projects_of(owner) == 1


def test_given_the_same_key_with_another_body_then_422(owner: Api) -> None:
    create(owner, "k1", "One")
    problem(create(owner, "k1", "Two"), 422)
    assert projects_of(owner) == 1


def test_given_a_dry_run_then_the_import_with_its_key_is_no_repeat_of_it(owner: Api) -> None:
    campaign, people = campaign_of(owner), table(["Ann", "ann@example.com", "", ""])

    def ask(**options: Any) -> Response:
        return importing.send(owner, campaign, people, headers={"idempotency-key": "k1"}, **options)

    assert ask(dry_run=True).status == 202
    problem(ask(), 422)
    assert replayed(ask(dry_run=True))
    assert len(owner.get(f"/campaigns/{campaign}/data").json()["items"]) == 1


def test_given_the_same_key_of_another_account_or_route_then_they_do_not_meet(owner: Api) -> None:
    other, admin = person(), person("admin")
    assert create(owner, "k1").status == create(other, "k1").status == 201
    assert projects_of(owner) == projects_of(other) == 1
    assert create(admin, "k1").status == 201
    division = admin.post("/divisions", {"name": f"D {admin.id}"}, headers={"idempotency-key": "k1"})
    assert division.status == 201
    assert "title" not in division.json()


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "é", "a\x00b", "a\nb"])
def test_given_a_malformed_key_then_400_names_the_header(owner: Api, key: str) -> None:
    refused = create(owner, key)
    problem(refused, 400)
    assert pointers(refused) == ["header/idempotency-key"]
    assert projects_of(owner) == 0


def test_given_a_first_request_that_failed_then_nothing_is_stored_and_the_key_is_free(owner: Api) -> None:
    refused = create(owner, "k1", status="archived")
    assert refused.status == 400
    forbidden = person("viewer")
    assert create(forbidden, "k1").status == 403
    assert keys_of(owner) == keys_of(forbidden) == []
    # WHEN it is sent again, right this time, THEN it is done.
    assert create(owner, "k1").status == 201
    forbidden.with_roles("user")
    made = create(forbidden, "k1")
    assert made.status == 201
    assert not replayed(made)


def test_given_duplicates_that_race_then_one_is_made_and_all_get_its_answer(owner: Api) -> None:
    answers = in_threads(8, lambda _: create(owner, "k1"))
    assert [answer.status for answer in answers] == [201] * 8
    assert len({answer.body for answer in answers}) == 1
    assert [replayed(answer) for answer in answers].count(False) == 1
    assert projects_of(owner) == 1


def test_given_different_bodies_that_race_for_a_key_then_one_wins_and_the_others_get_422(owner: Api) -> None:
    answers = in_threads(6, lambda n: create(owner, "k1", f"Title {n}"))
    assert sorted(answer.status for answer in answers) == [201] + [422] * 5
    assert projects_of(owner) == 1


def claimed(owner: Api, key: str, *, status: int | None = None, hours: int = 24) -> tuple[str, dict[str, Any]]:
    """SQL that claims a key as a request would."""
    sql = (
        "INSERT INTO idempotency_keys (user_id, key, route, body_hash, status, headers, body, expires_at)"
        " VALUES (%(id)s, %(key)s, 'POST /projects', 'x', %(status)s, '{}', '',"
        " now() + make_interval(hours => %(hours)s))"
    )
    return sql, {"id": owner.id, "key": key, "status": status, "hours": hours}


def test_given_the_first_request_still_runs_when_repeated_then_409_in_time_and_later_its_answer(owner: Api) -> None:
    with engine().connect() as running:
        running.exec_driver_sql(*claimed(owner, "k1"))
        started = time.monotonic()
        refused = create(owner, "k1")
        waited = time.monotonic() - started
        running.rollback()
    problem(refused, 409)
    assert 4 < waited < 8
    assert create(owner, "k1").status == 201


def test_given_the_first_request_fails_while_its_repeat_waits_then_the_repeat_does_the_work(owner: Api) -> None:
    with engine().connect() as running:
        running.exec_driver_sql(*claimed(owner, "k1"))
        answers: list[Response] = []
        repeat = threading.Thread(target=lambda: answers.append(create(owner, "k1")))
        repeat.start()
        time.sleep(0.5)
        assert not answers, "the repeat waits"
        running.rollback()
        repeat.join()
    assert [answer.status for answer in answers] == [201]
    assert not replayed(answers[0])


def test_given_an_expired_key_then_it_is_free_and_of_two_that_race_for_it_one_wins(owner: Api) -> None:
    with owner_engine().begin() as connection:
        connection.exec_driver_sql(*claimed(owner, "k1", status=201, hours=-1))
    answers = in_threads(6, lambda _: create(owner, "k1"))
    assert [answer.status for answer in answers] == [201] * 6
    assert [replayed(answer) for answer in answers].count(False) == 1
    assert len({answer.body for answer in answers}) == 1
    assert projects_of(owner) == 1


def test_given_a_claim_that_was_kept_without_an_answer_then_the_key_is_free(owner: Api) -> None:
    # What a request leaves that committed half way (a rate limit does) and then failed.
    with owner_engine().begin() as connection:
        connection.exec_driver_sql(*claimed(owner, "k1"))
    made = create(owner, "k1")
    assert made.status == 201
    assert not replayed(made)
    assert replayed(create(owner, "k1"))


def test_given_an_answer_too_large_to_keep_then_the_repeat_gets_status_and_location(owner: Api) -> None:
    body = json.dumps({"title": "Large", "description": "🦆" * 20_000}, ensure_ascii=False).encode()
    headers = {"idempotency-key": "k1", "content-type": "application/json"}
    first = owner.post("/projects", body=body, headers=headers)
    assert first.status == 201
    assert len(first.body) > MAX_STORED_BODY
    again = owner.post("/projects", body=body, headers=headers)
    assert (again.status, again.body) == (201, b"")
    assert replayed(again)
    assert again.header("location") == first.header("location")
    assert projects_of(owner) == 1
    assert [bytes(key["body"]) for key in keys_of(owner)] == [b""]


def form(boundary: str, content: str, name: str = "a.txt") -> bytes:
    """A multipart/form-data body with one file."""
    return (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: text/plain\r\n\r\n{content}\r\n--{boundary}--\r\n"
    ).encode()


@pytest.mark.parametrize("quote", ["", '"'])
def test_given_a_form_sent_again_with_another_boundary_then_it_is_the_same_request(owner: Api, quote: str) -> None:
    def send(boundary: str, content: str) -> Response:
        content_type = f"multipart/form-data; boundary={quote}{boundary}{quote}"
        headers = {"content-type": content_type, "idempotency-key": "k1"}
        return owner.post("/files", body=form(boundary, content), headers=headers)

    first = send("----one1", "hello")
    assert first.status == 201, first
    again = send("----two22", "hello")
    assert replayed(again)
    assert again.body == first.body
    problem(send("----three333", "other"), 422)


def test_given_no_key_or_a_route_without_keys_then_every_request_counts(owner: Api) -> None:
    for _ in range(2):
        assert owner.post("/projects", {"title": "Once"}).status == 201
    assert projects_of(owner) == 2
    signed = [
        owner.post("/auth/login", {"email": "x@example.com", "password": "x"}, headers={"idempotency-key": "k1"})
        for _ in range(2)
    ]
    assert not any(replayed(answer) for answer in signed)
    assert keys_of(owner) == []
