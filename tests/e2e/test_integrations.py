"""Integrations through the running stand: connected at somebody else's OAuth server, and killed in the middle."""

import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from tests.e2e.stand import PASSWORD, Stand, eventually
from tests.support import oauth_server
from tests.support.services import MP4, Services, listening


@pytest.fixture
def services() -> Iterator[Services]:
    """The services' APIs, which take any token."""
    with listening() as made:
        made.open = True
        yield made


def read(client: httpx2.Client, path: str) -> dict[str, Any]:
    """What is there."""
    answer = client.get(path)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize(("service", "record"), [("github", "repository"), ("google_docs", "document")])
def test_given_a_real_oauth_server_when_connected_then_it_is_fetched_from_and_can_be_disconnected(
    new_stand: Callable[..., Stand], services: Services, service: str, record: str
) -> None:
    services.repository("engine")
    services.document("plans")
    with oauth_server.oauth_server() as url:
        clients = {name: {**client, "api": services.url} for name, client in oauth_server.clients(url).items()}
        stand = new_stand(environment={"OAUTH_CLIENTS": json.dumps(clients)})
        stand.start()
        with stand.sign_up(f"{secrets.token_hex(6)}@example.com") as client:
            begun = client.post("/api/v1/integrations", json={"service": service})
            assert begun.status_code == 201, begun.text
            person = json.dumps({"sub": "1", "email": "ada@example.com", "email_verified": True, "name": "Ada"})
            there = httpx2.URL(begun.json()["authorization_url"]).copy_merge_params({"as": person})
            agreed = httpx2.get(there, timeout=30)
            assert agreed.status_code == 302, agreed.text
            back = client.get(agreed.headers["location"])
            assert back.status_code == 200, back.text
            assert "is connected" in back.text
            at = f"/api/v1/integrations/{begun.json()['id']}"
            found = eventually(lambda: read(client, at), lambda now: now["sync_status"] == "success")
            assert found["status"] == "connected"
            [item] = read(client, f"{at}/records")["items"]
            assert item["kind"] == record
            assert client.delete(at).status_code == 204
            assert client.get(at).status_code == 404
        assert stand.stop() == 0


@pytest.mark.timeout(300)
def test_given_kills_while_something_is_made_then_it_is_made_all_the_same(
    new_stand: Callable[..., Stand], services: Services
) -> None:
    # A lease that is over when the stand is there again: its dispatcher, which looks at once, does not wait a minute.
    short = {"INTEGRATION_LEASE_SECONDS": "1", "INTEGRATION_LOOK_SECONDS": "1"}
    stand = new_stand(environment={"VIDEO_API_URL": services.url, **short})
    stand.start()
    email = f"{secrets.token_hex(6)}@example.com"
    with stand.sign_up(email) as client, dies_at(services, stand, "/video"):
        made = client.post("/api/v1/integrations", json={"service": "video", "api_key": "a-key-of-mine"}).json()
        at = f"/api/v1/integrations/{made['id']}/requests"
        asked = client.post(at, json={"operation": "video.generate", "prompt": "A train in the snow"}).json()
    # WHEN it was killed before it could note down that the job has begun, and again while it looks after the next
    eventually(lambda: services.jobs.keys() == {"job-0"})
    with dies_at(services, stand, "/job-1"):
        stand.restart()
    services.finish(MP4)
    stand.restart()
    # THEN it ends as if nothing had been
    with stand.client() as client:
        signed = client.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD}).json()
        client.headers["authorization"] = f"Bearer {signed['access_token']}"
        found = eventually(
            lambda: read(client, f"{at}/{asked['id']}"), lambda now: now["status"] in ("succeeded", "failed"), 90
        )
        assert (found["status"], found["error"]) == ("succeeded", None)
        assert read(client, f"/api/v1/files/{found['file_id']}")["status"] == "ready"
    # AND with the job that it was looking after
    assert services.jobs.keys() == {"job-0", "job-1"}
    assert services.paths().count("/results/result") == 1


@contextmanager
def dies_at(services: Services, stand: Stand, end: str) -> Iterator[None]:
    """What is begun inside goes on until something is asked for whose path ends so, and is killed before the answer."""
    held, killed = threading.Event(), threading.Event()

    def hold(path: str) -> None:
        if path.endswith(end):
            held.set()
            killed.wait(90)

    services.before = hold
    yield
    assert held.wait(90), services.paths()
    services.before = lambda _: None
    stand.kill()
    killed.set()
