"""`kill -9` of the whole stand at any moment of the first walk: no accepted write is lost, nothing stays undone."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import httpx2

from tests.e2e.recovery import minutes_pass
from tests.e2e.stand import PASSWORD, Stand, eventually

ROUNDS = 5


@dataclass
class Walk:
    """One person's way through the product, and what the API has accepted of it so far."""

    stand: Stand
    email: str
    projects: list[str] = field(default_factory=list)
    registered: bool = False
    uploaded: list[str] = field(default_factory=list)

    def go(self) -> None:
        """Go on until the stand is gone."""
        with self.stand.client() as client:
            try:
                self._register(client)
                headers = sign_in(client, self.email)
                while True:
                    self._create_and_upload(client, headers)
            except httpx2.TransportError:
                return

    def _register(self, client: httpx2.Client) -> None:
        new = {"email": self.email, "password": PASSWORD, "full_name": "Walker"}
        client.post("/api/v1/auth/register", json=new).raise_for_status()
        self.registered = True

    def _create_and_upload(self, client: httpx2.Client, headers: dict[str, str]) -> None:
        made = client.post("/api/v1/projects", json={"title": "Walk"}, headers=headers)
        made.raise_for_status()
        project = made.json()["id"]
        self.projects.append(project)
        query = {"project_id": project, "file_name": "notes.txt", "content_type": "text/plain", "size": "6"}
        signed = client.get("/api/v1/files/presign-upload", params=query, headers=headers)
        signed.raise_for_status()
        upload = signed.json()
        stored = httpx2.post(upload["url"], data=upload["fields"], files={"file": ("notes.txt", b"a walk")})
        if stored.is_success:
            self.uploaded.append(upload["file_id"])


def sign_in(client: httpx2.Client, email: str) -> dict[str, str]:
    """The headers of a signed-in caller."""
    answer = client.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD})
    answer.raise_for_status()
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


def status_of(client: httpx2.Client, file_id: str, headers: dict[str, str]) -> str:
    """Where the file is on its way."""
    return str(client.get(f"/api/v1/files/{file_id}", headers=headers).json()["status"])


def test_given_kills_at_random_moments_of_the_walk_then_no_accepted_write_is_lost(
    new_stand: Callable[..., Stand],
) -> None:
    stand = new_stand()
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    walks = [Walk(stand, f"walker-{n}@example.com") for n in range(ROUNDS)]
    stand.start()
    for walk in walks:
        walker = threading.Thread(target=walk.go)
        walker.start()
        walker.join(moments.uniform(0.05, 2.5))
        stand.kill()
        walker.join()
        stand.restart()
    minutes_pass(stand)
    print(f"seed {seed}: {[(w.registered, len(w.projects), len(w.uploaded)) for w in walks]}")

    with stand.client() as client:
        for walk in walks:
            if not walk.registered:
                continue
            headers = sign_in(client, walk.email)
            for project in walk.projects:
                assert client.get(f"/api/v1/projects/{project}", headers=headers).is_success
            for file_id in walk.uploaded:
                read = partial(status_of, client, file_id, headers)
                assert eventually(read, lambda status: status in ("ready", "rejected"), seconds=60) == "ready"
            stand.wait_for_mail(walk.email, seconds=60)
    assert any(walk.uploaded for walk in walks), "the kills came too early to show anything"
