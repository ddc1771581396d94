"""Tokens are sealed, each for its own row, renewed in time and by one at a time; a refusal asks the owner back."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from cryptography.exceptions import InvalidTag

from functions.integration_syncer import credentials
from functions.integration_syncer.troubles import Lost, NeedsReauth, Outage
from quintet.db.engine import engine
from quintet.integrations import sealing
from quintet.integrations.sealing import Sealed, seal, unseal
from quintet.oauth import tokens as oauth_tokens
from tests.support.api import Api, events_about
from tests.support.expect import logged, problem
from tests.support.receiving import answering
from tests.support.services import (
    GLB,
    Services,
    ask,
    connected,
    dripping,
    outcome,
    read,
    records,
    send,
    slowly,
    step,
    sync,
    work_off,
)
from tests.support.statements import execute


def test_given_what_is_sealed_then_it_opens_for_its_own_row_alone(stack: object) -> None:
    one, other, owner = uuid4(), uuid4(), uuid4()
    sealed = seal({"api_key": "a secret"}, integration_id=one, user_id=owner)
    assert b"a secret" not in sealed.sealed + sealed.data_key
    assert unseal(sealed, integration_id=one, user_id=owner) == {"api_key": "a secret"}
    for whose in ({"integration_id": other, "user_id": owner}, {"integration_id": one, "user_id": other}):
        with pytest.raises(ClientError):  # KMS does not give the data key away
            unseal(sealed, **whose)
    # AND with another row's data key, which KMS does give, the content does not open either
    another = seal({"api_key": "theirs"}, integration_id=other, user_id=owner)
    with pytest.raises(InvalidTag):
        unseal(Sealed(sealed.sealed, another.data_key, another.key_id), integration_id=other, user_id=owner)


def test_given_the_same_secret_twice_then_nothing_of_it_is_the_same(stack: object) -> None:
    id, owner = uuid4(), uuid4()
    first, second = (seal({"api_key": "a secret"}, integration_id=id, user_id=owner) for _ in range(2))
    assert first.sealed != second.sealed
    assert first.data_key != second.data_key


def test_given_a_token_about_to_expire_then_it_is_renewed_before_it_is_used(user: Api, services: Services) -> None:
    services.repository("one")
    id = connected(user, services, "github", expires_in=60)
    [old] = services.tokens
    assert sync(id) == []
    assert services.paths() == ["/token", "/user/repos", "/issues"]
    assert services.tokens != {old}
    found = read(user, id)
    assert found["sync_status"] == "success"
    assert datetime.fromisoformat(found["expires_at"]) > datetime.now(UTC) + timedelta(minutes=50)
    # AND the refresh token that came with it is the one of the next time
    execute("UPDATE integrations SET expires_at = now() WHERE id = %(id)s", id=id)
    assert sync(id) == []
    assert read(user, id)["sync_status"] == "success"


def test_given_a_token_that_expires_in_the_middle_then_the_next_page_has_a_new_one(
    user: Api, services: Services
) -> None:
    for n in range(6):
        services.repository(f"r{n}")
    id = connected(user, services, "github", expires_in=None)

    def expire(path: str) -> None:
        if services.requests[-1].query.get("page") == "2":
            services.tokens = set()
            services.before = lambda _: None

    services.before = expire
    assert sync(id) == []
    assert services.paths() == ["/user/repos", "/user/repos", "/token", *["/user/repos"] * 2, "/issues"]
    assert len(records(user, id)) == 6
    assert read(user, id)["sync_status"] == "success"


def test_given_a_refused_refresh_then_its_owner_is_asked_back(user: Api, services: Services) -> None:
    services.repository("one")
    id = connected(user, services, "github")
    sync(id)
    services.tokens, services.refresh_tokens = set(), set()
    before = read(user, id)["version"]
    assert sync(id) == []
    found = read(user, id)
    assert (found["status"], found["sync_status"]) == ("needs_reauth", "error")
    assert found["version"] > before
    assert found["next"] == {"rel": "connect", "href": "/api/v1/integrations"}
    assert found["error"] == "GitHub does not let us in any more. Connect it again."
    assert found["next_sync_at"] is None
    assert [record["stale_since"] for record in records(user, id)] == [found["stale_since"]]
    assert [type for type, _ in events_about(id)].count("integration.needs_reauth") == 1
    # AND nothing more is asked of GitHub, or for it
    services.requests.clear()
    sync(id)
    assert services.requests == []
    refused = problem(user.post(f"/integrations/{id}/sync"), 409)
    assert refused["next"] == {"rel": "connect", "href": "/api/v1/integrations"}
    problem(
        user.post(f"/integrations/{id}/requests", {"operation": "github.repository", "owner": "o", "repository": "r"}),
        409,
    )


def test_given_a_token_without_a_refresh_token_that_is_refused_then_its_owner_is_asked_back(
    user: Api, services: Services
) -> None:
    id = connected(user, services, "meshy")
    services.tokens.clear()
    request = ask(user, id, "meshy.text_to_3d", prompt="A chair")
    assert send({"request_id": request["id"]}) == []
    assert outcome(user, request)["status"] == "failed"
    assert "meshy.ai has to be connected again" in outcome(user, request)["error"]
    assert read(user, id)["status"] == "needs_reauth"
    # AND with another key it works again: the same integration
    services.tokens.add("another-key-of-mine")
    again = user.post("/integrations", {"service": "meshy", "api_key": "another-key-of-mine"})
    assert (again.status, again.json()["id"], again.json()["status"]) == (200, id, "connected")
    assert (again.json()["error"], again.json()["stale_since"]) == (None, None)
    request = ask(user, id, "meshy.text_to_3d", prompt="A chair")
    assert send({"request_id": request["id"]}) == []
    assert outcome(user, request)["status"] == "running"


def test_given_many_who_need_a_new_token_then_one_gets_it_for_all(user: Api, services: Services) -> None:
    id = UUID(connected(user, services, "github", expires_in=30))
    services.behaviours["/token"] = []
    refreshed = services._refreshed
    services._refreshed = lambda form: slowly(0.5, refreshed(form))  # type: ignore[method-assign]
    with ThreadPoolExecutor(6) as pool:
        tokens = list(pool.map(lambda _: credentials.current(id), range(6)))
    assert services.paths() == ["/token"]
    assert {token.value for token in tokens} == services.tokens
    assert len({token.version for token in tokens}) == 1


def test_given_many_whose_token_is_refused_then_one_renews_it(user: Api, services: Services) -> None:
    id = UUID(connected(user, services, "github"))
    refused = credentials.current(id)
    with ThreadPoolExecutor(6) as pool:
        tokens = list(pool.map(lambda _: credentials.after_refusal(id, refused), range(6)))
    assert services.paths() == ["/token"]
    assert {token.value for token in tokens} == services.tokens


def test_given_a_provider_that_does_not_renew_then_nobody_waits_for_who_asked_it(user: Api, services: Services) -> None:
    id = UUID(connected(user, services, "github", expires_in=-1))
    services.behaviours["/token"] = [slowly(0.7, answering(503))] * 6
    asked_in_vain = []

    def ask_for_it(_: int) -> None:
        with pytest.raises(Outage):
            credentials.current(id)
        asked_in_vain.append(1)

    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask_for_it, range(4)))
    assert len(asked_in_vain) == 4
    assert time.monotonic() - began < 5


def test_given_kms_and_the_database_away_once_the_provider_has_answered_then_the_token_is_not_lost(
    user: Api, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = UUID(connected(user, services, "github", expires_in=-1))

    def away(path: str) -> None:
        def gone() -> Any:
            raise EndpointConnectionError(endpoint_url="https://kms.example")

        monkeypatch.setattr(sealing, "kms", gone)
        execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )

    services.before = away
    assert credentials.current(id).value in services.tokens
    monkeypatch.undo()
    assert credentials.current(id).value in services.tokens
    assert services.paths() == ["/token"]


def test_given_a_token_that_is_none_then_it_is_not_used_and_not_logged(user: Api, services: Services) -> None:
    id = connected(user, services, "github", expires_in=-1)
    services.behaviours["/token"] = [answering(200, body=b'{"access_token": "not\\na-token", "token_type": "bearer"}')]
    with logged() as lines:
        assert sync(id) == []
    assert services.paths() == ["/token"]
    assert read(user, id)["error"] == "GitHub does not renew its token at the moment."
    assert "a-token" not in str(lines)


@pytest.mark.parametrize("said", [b"HTTP/1.1 200 OK\r\nx: ", b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n"])
def test_given_a_provider_that_answers_in_drops_then_it_is_not_waited_for(
    user: Api, services: Services, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(oauth_tokens, "TIMEOUT", (0.5, 0.5))
    monkeypatch.setattr(oauth_tokens, "WHOLE_SECONDS", 0.5)
    id = UUID(connected(user, services, "github", expires_in=-1))
    services.behaviours["/token"] = [dripping(said)]
    began = time.monotonic()
    with pytest.raises(Outage):
        credentials.current(id)
    assert time.monotonic() - began < 3


def test_given_a_refresher_that_died_then_another_takes_over_when_its_lease_is_over(
    user: Api, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = UUID(connected(user, services, "github", expires_in=-1))
    monkeypatch.setattr(credentials, "WAIT_SECONDS", 0.5)
    execute("UPDATE integrations SET token_lease_until = now() + interval '1 hour' WHERE id = %(id)s", id=id)
    with pytest.raises(Outage):  # somebody is at it, and takes long
        credentials.current(id)
    assert services.requests == []
    execute("UPDATE integrations SET token_lease_until = now() - interval '1 s' WHERE id = %(id)s", id=id)
    assert credentials.current(id).value in services.tokens


def test_given_a_provider_that_is_not_well_then_the_present_token_is_used_while_it_is_good(
    user: Api, services: Services
) -> None:
    id = UUID(connected(user, services, "github", expires_in=60))
    services.behaviours["/token"] = [answering(503)] * 2
    assert credentials.current(id).value in services.tokens
    execute("UPDATE integrations SET expires_at = now() WHERE id = %(id)s", id=id)
    with pytest.raises(Outage):
        credentials.current(id)
    assert read(user, str(id))["status"] == "connected"
    assert credentials.current(id).value in services.tokens


def test_given_another_connection_meanwhile_then_the_older_token_does_not_come_back(
    user: Api, services: Services
) -> None:
    id = UUID(connected(user, services, "github", expires_in=0))

    def connect_again(path: str) -> None:
        execute("UPDATE integrations SET token_version = token_version + 1 WHERE id = %(id)s", id=id)

    services.before = connect_again
    before = _sealed(id)
    with pytest.raises(Lost):
        credentials.current(id)
    assert _sealed(id) == before


def test_given_a_service_that_asks_for_authority_again_and_again_then_it_ends(user: Api, services: Services) -> None:
    id = UUID(connected(user, services, "github"))
    services.behaviours["/user/repos"] = [answering(401, body=b"{}")] * 5
    assert sync(str(id)) == []
    assert services.paths() == ["/user/repos", "/token", "/user/repos"]
    with pytest.raises(NeedsReauth):
        credentials.current(id)


def test_given_whatever_is_asked_of_a_service_then_nobody_holds_a_connection_meanwhile(
    user: Api, services: Services
) -> None:
    held: dict[str, int] = {}

    def look(path: str) -> None:
        held[path.split("/")[1]] = held.get(path.split("/")[1], 0) + engine().pool.checkedout()  # type: ignore[attr-defined]

    services.before = look
    services.repository("one")
    id = connected(user, services, "github", expires_in=30)
    sync(id)
    request = ask(user, id, "github.repository", owner="octo", repository="one")
    send({"request_id": request["id"]})
    job = ask(user, connected(user, services, "meshy"), "meshy.text_to_3d", prompt="A chair")
    send({"request_id": job["id"]})
    services.finish(GLB)
    step(job["id"])
    user.delete(f"/integrations/{id}")
    work_off()
    assert held.keys() == {"token", "user", "issues", "repos", "openapi", "results", "applications"}
    assert not any(held.values()), held


def _sealed(id: UUID) -> Any:
    return execute("SELECT sealed FROM integrations WHERE id = %(id)s", id=id)
