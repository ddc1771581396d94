"""Connecting services, reading and disconnecting them; what is secret is seen by nobody."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from infra.local.events import Response
from quintet.db.engine import owner_engine
from quintet.integrations.sealing import unseal
from tests.support.api import Api, events_about
from tests.support.expect import logged, pointers, problem
from tests.support.people import person
from tests.support.receiving import answering
from tests.support.services import (
    KEY,
    Services,
    ask,
    configured,
    connected,
    outcome,
    read,
    send,
    sync,
    work_off,
)
from tests.support.statements import counted, execute
from tests.support.uploading import received

MESHY = {"service": "meshy", "api_key": KEY}


def begin(user: Api, service: str, **more: Any) -> Response:
    """Ask to connect a service."""
    return user.post("/integrations", {"service": service}, **more)


def come_back(
    answer: Response, services: Services, *, browser: Api | None = None, cookie: str | None = None, **instead: str
) -> Response:
    """The provider sends the browser back that the answer came to."""
    asked = asked_of(answer)
    access, refresh = services.give_token()
    body = '{"access_token": "%s", "refresh_token": "%s", "token_type": "bearer", "expires_in": 3600, "scope": "repo"}'
    services.behaviours["/token"] = [
        answering(200, {"content-type": "application/json"}, (body % (access, refresh)).encode())
    ]
    sent = (answer.header("set-cookie") or "").partition(";")[0] if cookie is None else cookie
    query = {"code": "a code", "state": asked["state"]} | instead
    path = urlsplit(asked["redirect_uri"]).path
    return (browser or Api()).get(path, query=list(query.items()), headers={"cookie": sent})


def text_of(answer: Response) -> str:
    """The body of an answer."""
    return answer.body.decode()


def asked_of(answer: Response) -> dict[str, str]:
    """What an authorization request asks for."""
    return {name: value for name, [value] in parse_qs(urlsplit(answer.json()["authorization_url"]).query).items()}


def test_given_a_key_when_connected_then_it_is_sealed_and_shown_to_nobody(user: Api, services: Services) -> None:
    made = user.post("/integrations", MESHY)
    assert made.status == 201
    new = made.json()
    assert made.header("location") == f"/api/v1/integrations/{new['id']}"
    assert (new["service"], new["status"], new["sync_status"]) == ("meshy", "connected", "idle")
    assert new["authorization_url"] is None
    assert new["next"] is None
    assert KEY not in text_of(made)
    [row] = execute("SELECT * FROM integrations WHERE id = %(id)s", id=new["id"])
    assert unseal(row, integration_id=row.id, user_id=row.user_id) == {"api_key": KEY}
    assert [type for type, _ in events_about(new["id"])] == ["integration.connected"]


def test_given_a_service_that_is_connected_when_connected_again_then_it_is_the_same(
    user: Api, services: Services
) -> None:
    id = user.post("/integrations", MESHY).json()["id"]
    again = user.post("/integrations", {"service_name": "meshy", "apiKey": "another-key"})
    assert (again.status, again.json()["id"], again.json()["version"]) == (200, id, 3)
    assert len(user.get("/integrations").json()["items"]) == 1
    other = person()
    assert other.post("/integrations", MESHY).status == 201
    assert other.get(f"/integrations/{id}").status == 404


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"service": "meshy"}, "/api_key"),
        ({"service": "github", "api_key": KEY}, "/api_key"),
        ({"service": "myspace"}, "/service"),
        ({"service": "meshy", "api_key": "short"}, "/api_key"),
        ({"service": "meshy", "api_key": "with a space in it"}, "/api_key"),
        ({"service": "meshy", "api_key": KEY, "status": "connected"}, "/status"),
        ({}, "/service"),
    ],
)
def test_given_what_cannot_be_connected_then_400_names_it(
    user: Api, services: Services, body: dict[str, Any], pointer: str
) -> None:
    answer = user.post("/integrations", body)
    problem(answer, 400)
    assert pointers(answer) == [pointer]
    assert KEY not in text_of(answer)


def test_given_a_key_and_an_idempotency_key_then_a_repeat_is_answered_alike(user: Api, services: Services) -> None:
    headers = {"idempotency-key": "one"}
    first, repeat = (user.post("/integrations", MESHY, headers=headers) for _ in range(2))
    assert (first.status, repeat.status) == (201, 201)
    assert first.json() == repeat.json()
    assert read(user, first.json()["id"])["version"] == first.json()["version"]


def test_given_a_provider_and_an_idempotency_key_then_a_repeat_begins_anew_and_can_be_finished(
    user: Api, services: Services
) -> None:
    headers = {"idempotency-key": "one"}
    first, repeat = (begin(user, "github", headers=headers) for _ in range(2))  # the first answer was lost
    assert (first.status, repeat.status) == (201, 200)
    assert repeat.json()["id"] == first.json()["id"]
    assert come_back(repeat, services).status == 200
    assert read(user, first.json()["id"])["status"] == "connected"


@pytest.mark.parametrize(
    ("service", "scope"), [("github", "repo"), ("google_docs", "https://www.googleapis.com/auth/drive.readonly")]
)
def test_given_a_provider_then_its_owner_goes_there_and_comes_back_connected(
    user: Api, services: Services, service: str, scope: str
) -> None:
    begun = begin(user, service)
    assert begun.status == 201
    id = begun.json()["id"]
    assert begun.json()["status"] == "pending"
    assert begun.json()["next"] == {"rel": "connect", "href": "/api/v1/integrations"}
    asked = asked_of(begun)
    assert asked["scope"] == scope
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"].endswith(f"/api/v1/integrations/callback/{service}")
    assert (asked.get("access_type"), asked.get("prompt")) == (
        ("offline", "consent") if service == "google_docs" else (None, None)
    )
    problem(user.post(f"/integrations/{id}/sync"), 409)
    back = come_back(begun, services)
    assert back.status == 200, back
    assert (back.header("content-type") or "").startswith("text/html")
    assert "is connected" in text_of(back)
    found = read(user, id)
    assert (found["status"], found["scopes"], found["error"]) == ("connected", ["repo"], None)
    assert found["expires_at"]
    services.repository("one")
    services.document("doc")
    assert work_off() == 1  # it is fetched from at once
    assert read(user, id)["sync_status"] == "success"


def test_given_a_front_end_then_the_browser_ends_there(user: Api, services: Services) -> None:
    where = "https://app.example.com/settings?tab=services"
    begun = user.post("/integrations", {"service": "github", "return_to": where})
    back = come_back(begun, services)
    assert (back.status, back.header("location")) == (303, where)
    assert read(user, begun.json()["id"])["status"] == "connected"
    for body in ({"service": "github", "return_to": "https://evil.example.com/"}, {**MESHY, "return_to": where}):
        assert pointers(user.post("/integrations", body)) == ["/return_to"]


def test_given_a_browser_that_was_not_sent_or_a_state_that_was_used_then_nothing_is_connected(
    user: Api, services: Services
) -> None:
    begun = begin(user, "github")
    id = begun.json()["id"]
    for parts in ({"cookie": ""}, {"cookie": f"__Host-oauth={'x' * 43}"}, {"state": "made up"}):
        back = come_back(begun, services, **parts)  # type: ignore[arg-type]
        assert back.status == 400, back
        assert "Begin again" in text_of(back)
    assert read(user, id)["status"] == "pending"
    assert come_back(begun, services).status == 200
    assert come_back(begun, services).status == 400


@pytest.mark.parametrize(
    ("parts", "token", "status", "text"),
    [
        ({"error": "access_denied"}, None, 403, "You did not allow it at GitHub"),
        ({"error": "server_error"}, None, 502, "GitHub could not do it"),
        ({}, answering(400, {"content-type": "application/json"}, b'{"error": "invalid_grant"}'), 400, "Begin again"),
        ({}, answering(503), 502, "Try again soon"),
    ],
)
def test_given_what_goes_wrong_at_the_provider_then_a_page_says_so(
    user: Api, services: Services, parts: dict[str, str], token: Any, status: int, text: str
) -> None:
    begun = begin(user, "github")
    asked = asked_of(begun)
    services.behaviours["/token"] = [token] if token else []
    query = {"state": asked["state"], **({"code": "x"} if not parts else {}), **parts}
    cookie = (begun.header("set-cookie") or "").partition(";")[0]
    back = Api().get("/integrations/callback/github", query=list(query.items()), headers={"cookie": cookie})
    assert back.status == status, back
    assert text in text_of(back)
    assert read(user, begun.json()["id"])["status"] == "pending"


def test_given_somebody_who_signed_out_or_disconnected_meanwhile_then_nothing_is_connected(services: Services) -> None:
    user = person()
    begun = begin(user, "github")
    assert user.delete(f"/integrations/{begun.json()['id']}").status == 204
    assert come_back(begun, services).status == 409
    begun = begin(user, "github")
    assert user.post("/auth/logout").status in (200, 204)
    assert come_back(begun, services).status == 409
    assert execute("SELECT sealed FROM integrations WHERE id = %(id)s", id=begun.json()["id"]) == [(None,)]


def test_given_providers_nobody_has_set_up_then_404_says_so(user: Api, stack: object) -> None:
    with configured({}):
        assert "is not set up here" in problem(begin(user, "github"), 404)["detail"]
    assert user.get("/integrations").json()["items"] == []


@pytest.mark.parametrize(("service", "token"), [("github", "access_token"), ("google_docs", "refresh")])
def test_given_a_disconnected_service_then_its_provider_is_told_and_everything_goes(
    user: Api, services: Services, service: str, token: str
) -> None:
    services.repository("one")
    services.document("doc")
    id = connected(user, services, service)
    sync(id)
    received("integrations")
    stale = user.delete(f"/integrations/{id}", headers={"if-match": '"1"'})
    assert stale.status == 412
    assert user.delete(f"/integrations/{id}").status == 204
    assert user.get(f"/integrations/{id}").status == 404
    assert user.get("/integrations").json()["items"] == []
    assert user.get(f"/integrations/{id}/records").status == 404
    assert work_off() == 1
    [told] = services.revoked
    assert token in told
    assert execute("SELECT FROM integrations WHERE id = %(id)s", id=id) == []
    assert execute("SELECT FROM integration_records WHERE integration_id = %(id)s", id=id) == []
    assert events_about(id)[-1] == ("integration.revoked", {"service": service, "revoked": True})


@pytest.mark.parametrize("behaviour", [answering(500), answering(400, body=b"{}"), None])
def test_given_a_provider_that_cannot_be_told_then_everything_goes_all_the_same(
    user: Api, services: Services, behaviour: Any
) -> None:
    id = connected(user, services, "github" if behaviour else "meshy")
    services.behaviours["/applications/quintet-client/token"] = [behaviour] * 3
    assert user.delete(f"/integrations/{id}").status == 204
    assert work_off() >= 1
    assert execute("SELECT FROM integrations WHERE id = %(id)s", id=id) == []
    assert events_about(id)[-1][1]["revoked"] is False


def test_given_a_disconnected_service_when_connected_again_at_once_then_it_is_another(
    user: Api, services: Services
) -> None:
    id = connected(user, services, "meshy")
    user.delete(f"/integrations/{id}")
    again = user.post("/integrations", MESHY)
    assert again.status == 201
    assert again.json()["id"] != id
    work_off()
    assert read(user, again.json()["id"])["status"] == "connected"


def test_given_a_service_that_holds_nothing_then_it_is_not_fetched_from(user: Api, services: Services) -> None:
    id = connected(user, services, "meshy")
    problem(user.post(f"/integrations/{id}/sync"), 409)


def test_given_a_sync_on_demand_then_the_queue_is_told(user: Api, services: Services) -> None:
    id = connected(user, services, "github")
    sync(id)
    answer = user.post(f"/integrations/{id}/sync")
    assert answer.status == 202
    assert answer.json()["id"] == id
    assert received("integrations") == [{"integration_id": id}]
    assert [type for type, _ in events_about(id)][-1] == "integration.sync_requested"


def test_given_an_operation_of_another_service_then_400_names_those_there_are(user: Api, services: Services) -> None:
    id = connected(user, services, "meshy")
    for sent, pointer in (
        ({"operation": "video.generate", "prompt": "A train"}, "/operation"),
        ({"operation": "meshy.cook", "prompt": "A train"}, "/operation"),
        ({"operation": "meshy.text_to_3d"}, "/prompt"),
        ({"operation": "meshy.text_to_3d", "prompt": "x" * 601}, "/prompt"),
        ({"operation": "meshy.text_to_3d", "prompt": "x", "seed": 1}, "/seed"),
        ({"operation": "meshy.text_to_3d", "prompt": "x", "target_polycount": "9"}, "/target_polycount"),
        ({"prompt": "x"}, "/operation"),
        ({"operation": "github.repository", "owner": "..", "repository": "r"}, "/owner"),
    ):
        answer = user.post(f"/integrations/{id}/requests", sent)
        problem(answer, 400)
        assert pointer in pointers(answer), (sent, answer)
    for body in (b"[]", b'"x"', b""):
        answer = user.request(
            "POST", f"/integrations/{id}/requests", body=body, headers={"content-type": "application/json"}
        )
        assert pointers(answer) == [""], answer


def test_given_a_request_and_an_idempotency_key_then_it_is_asked_once(user: Api, services: Services) -> None:
    id = connected(user, services, "meshy")
    body = {"operation": "meshy.text_to_3d", "prompt": "A chair"}
    answers = [user.post(f"/integrations/{id}/requests", body, headers={"idempotency-key": "k"}) for _ in range(3)]
    assert len({answer.json()["id"] for answer in answers}) == 1
    work_off()
    assert len(services.jobs) == 1
    assert len(user.get(f"/integrations/{id}/requests").json()["items"]) == 1


def test_given_too_many_requests_under_way_then_409(user: Api, services: Services) -> None:
    id = connected(user, services, "meshy")
    execute(
        "INSERT INTO integration_requests (integration_id, operation, input)"
        " SELECT %(id)s, 'meshy.text_to_3d', '{}' FROM generate_series(1, 20)",
        id=id,
    )
    problem(user.post(f"/integrations/{id}/requests", {"operation": "meshy.text_to_3d", "prompt": "A chair"}), 409)


def test_given_reads_then_they_cost_two_statements(user: Api, services: Services) -> None:
    id = connected(user, services, "github")
    services.repository("one")
    sync(id)
    request = ask(user, id, "github.repository", owner="octo", repository="one")
    for path in ("", f"/{id}", f"/{id}/records", f"/{id}/requests", f"/{id}/requests/{request['id']}"):
        with counted() as statements:
            assert user.get(f"/integrations{path}").status == 200
        assert len(statements) == 2, path
    etag = user.get(f"/integrations/{id}").header("etag") or ""
    assert user.get(f"/integrations/{id}", headers={"if-none-match": etag}).status == 304


def test_given_records_then_they_come_in_pages(user: Api, services: Services) -> None:
    for n in range(5):
        services.repository(f"r{n}")
    id = connected(user, services, "github")
    sync(id)
    seen, cursor = [], ""
    while cursor is not None:
        page = user.get(
            f"/integrations/{id}/records", query=[("limit", "2"), *([("cursor", cursor)] if cursor else [])]
        )
        seen += [item["data"]["full_name"] for item in page.json()["items"]]
        cursor = page.json()["next_cursor"]
    assert sorted(seen) == [f"octo/r{n}" for n in range(5)]


@pytest.mark.parametrize("of", ["records", "requests"])
def test_given_long_texts_then_a_page_ends_before_a_function_can_answer_no_more(
    user: Api, services: Services, of: str
) -> None:
    id = connected(user, services, "google_docs")
    columns, values = {
        "records": ("kind, external_id, data", "'document_text', n::text, text.data"),
        "requests": ("operation, input, result", "'google_docs.document', '{}', text.data"),
    }[of]
    execute(
        f"INSERT INTO integration_{of} (integration_id, {columns}) SELECT %(id)s, {values}"
        " FROM generate_series(1, 9) n, (SELECT jsonb_build_object('text', repeat('x', 900_000)) AS data) text"
        " RETURNING id",
        id=id,
    )
    seen, cursor, pages = [], "", 0
    while cursor is not None:
        page = user.get(f"/integrations/{id}/{of}", query=[("limit", "7"), *([("cursor", cursor)] if cursor else [])])
        assert len(page.body) < 4_000_000
        seen += [item["id"] for item in page.json()["items"]]
        cursor, pages = page.json()["next_cursor"], pages + 1
    assert len(set(seen)) == len(seen) == 9
    assert pages == 3


def test_given_everything_that_can_happen_then_no_token_and_no_key_is_anywhere(user: Api, services: Services) -> None:
    """Not in what is answered, logged, recorded, queued or stored."""
    answers: list[str] = []

    def ask_for(method: str, path: str, body: Any = None) -> Response:
        answer = user.request(method, path, json_body=body)
        answers.append(f"{answer.headers} {text_of(answer)}")
        return answer

    with logged() as lines:
        begun = begin(user, "github")
        answers.append(text_of(come_back(begun, services)))
        id = begun.json()["id"]
        services.repository("one", description="A description")
        assert work_off() == 1
        video = ask_for("POST", "/integrations", {"service": "video", "api_key": KEY}).json()["id"]
        asked = {"operation": "video.generate", "prompt": "A train"}
        # a service that fails, refuses and quotes the key
        quoting = answering(400, body=f'{{"detail": "The key {KEY} may not do that"}}'.encode())
        services.behaviours["/dream-machine/v1/generations/video"] = [answering(500), quoting, answering(401)]
        for _ in range(3):
            request = ask_for("POST", f"/integrations/{video}/requests", asked).json()
            send({"request_id": request["id"]})
            ask_for("GET", f"/integrations/{video}/requests/{request['id']}")
            answers.append(str(outcome(user, request)))
        services.behaviours["/user/repos"] = [answering(429, {"retry-after": "900"}), answering(500)]
        for _ in range(2):
            sync(id)
        execute("UPDATE integrations SET expires_at = now() WHERE id = %(id)s", id=id)
        services.behaviours["/token"] = [answering(500, body=" ".join(services.given).encode())]
        sync(id)
        services.refresh_tokens = set()
        sync(id)
        assert read(user, id)["status"] == "needs_reauth"
        for path in ("/integrations", f"/integrations/{id}", f"/integrations/{id}/records", "/events"):
            ask_for("GET", path)
        queued = received("integrations") + received("realtime") + received("webhooks")
        ask_for("DELETE", f"/integrations/{id}")
        ask_for("DELETE", f"/integrations/{video}")
        work_off()
    secret = [KEY, *services.given]
    assert len(secret) == 3
    everything = {"answers": str(answers), "logs": str(lines), "queues": str(queued), "database": _dump()}
    for where, text in everything.items():
        assert len(text) > 1, where
        for value in secret:
            assert value not in text, where
            assert value.encode().hex() not in text, where  # as PostgreSQL writes bytes


def _dump() -> str:
    """Every row of every table, as text."""
    with owner_engine().connect() as connection:
        tables = connection.exec_driver_sql(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        ).scalars()
        return "\n".join(
            str(connection.exec_driver_sql(f"SELECT t::text FROM {table} t").scalars().all()) for table in list(tables)
        )


def test_given_another_account_of_a_service_then_all_is_fetched_anew_and_what_is_not_seen_is_stale(
    user: Api, services: Services
) -> None:
    services.repository("mine")
    services.issue(1)
    id = connected(user, services, "github")
    sync(id)
    sync(id)
    services.repositories, services.issues = [], []
    services.repository("another")
    begun = begin(user, "github")
    assert (begun.status, begun.json()["id"], begun.json()["status"]) == (200, id, "connected")
    assert come_back(begun, services).status == 200
    assert all(record["stale_since"] for record in user.get(f"/integrations/{id}/records").json()["items"])
    assert work_off() == 1
    stale = {
        record["data"].get("full_name", "issue"): record["stale_since"] is not None
        for record in user.get(f"/integrations/{id}/records").json()["items"]
    }
    assert stale == {"octo/mine": True, "issue": True, "octo/another": False}
