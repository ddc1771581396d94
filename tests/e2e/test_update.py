"""A release deployed over the one before it: who keeps calling meanwhile notices nothing, and nothing is lost."""

import secrets
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from infra.local.deployment import Release, deploy
from infra.local.rehearsal import NEXT_RELEASE
from infra.local.templates import Place
from tests.e2e.stand import Stand
from tests.e2e.uploading import checked, presign, send

READ = (
    "/users/me", "/projects", "/tasks", "/conversations", "/files", "/campaigns", "/agents", "/courses", "/webhooks",
    "/notifications", "/integrations", "/events", "/sessions", "/search?q=engine", "/health/ready",
)  # fmt: skip
"""What there is to read of each function behind the API, where that takes no id."""


@pytest.mark.timeout(400)
def test_given_a_client_that_keeps_calling_when_a_release_is_deployed_over_another_then_nothing_fails_or_is_lost(
    stand: Stand, deployed: dict[str, str], repository: Path
) -> None:
    release = Release.read(deployed[NEXT_RELEASE])
    place = Place(deployed["AWS_ENDPOINT_URL"], deployed["DATABASE_URL"], deployed["DATABASE_OWNER_URL"])
    with ExitStack() as stack:
        # GIVEN what somebody has written, and now and then writes more
        person = stack.enter_context(stand.sign_up(f"{secrets.token_hex(6)}@example.com"))
        written = write(person)
        before = {path: person.get(path).json() for path in written}
        caller = Caller(person, project=written[0])
        # WHEN
        with caller:
            deploy(release, place)
        # THEN
        assert not caller.failed
        assert caller.calls > len(READ), "it was over before every function was called"
        after = {path: person.get(path).json() for path in written}
        assert {path: known(after[path], before[path]) for path in written} == before
        listed = person.get("/tasks", params={"project_id": before[written[0]]["id"], "limit": 100}).json()["items"]
        assert {task["id"] for task in listed} >= set(caller.made)
    newest = max(file.name for file in (repository / "functions/db_migrator/versions").glob("[0-9]*.py"))
    with psycopg.connect(deployed["DATABASE_OWNER_URL"]) as connection:
        [[revision]] = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    assert revision == newest.partition("_")[0]


def write(person: httpx2.Client) -> list[str]:
    """One of many things; answers where each is to be read."""

    def made(path: str, **content: Any) -> str:
        answer = person.post(path, json=content)
        assert answer.status_code == 201, answer.text
        return f"{path}/{answer.json()['id']}"

    project = made("/projects", title="The engine")
    upload = presign(person, file_name="notes.txt", content_type="text/plain", size=5)
    assert send(upload, b"notes").is_success
    assert checked(person, upload["file_id"])["status"] == "ready"
    return [
        project,
        made("/tasks", project_id=project.rpartition("/")[2], title="Draw the engine"),
        made("/conversations", title="About the engine"),
        made("/campaigns", name="Spring"),
        f"/files/{upload['file_id']}",
    ]


def known(after: Any, before: Any) -> Any:
    """`after` without what a newer release adds to answers, and without links, which are signed anew."""
    if isinstance(before, dict) and isinstance(after, dict):
        return {
            name: value if str(name).endswith("_url") else known(after.get(name), value)
            for name, value in before.items()
        }
    return after


class Caller:
    """Calls every route of `READ` and makes tasks, one after the other, until its context ends."""

    def __init__(self, person: httpx2.Client, *, project: str) -> None:
        self._person = person
        self._project = project.rpartition("/")[2]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._call)
        self.calls = 0
        self.made: list[str] = []
        self.failed: list[str] = []

    def __enter__(self) -> "Caller":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(1)
        self._stopping.set()
        self._thread.join()

    def _call(self) -> None:
        # To the end of a round: whatever was deployed last has been called, too.
        while not self._stopping.is_set():
            for path in READ:
                self._one("GET", path)
            if task := self._one("POST", "/tasks", json={"project_id": self._project, "title": f"Task {self.calls}"}):
                self.made.append(task["id"])

    def _one(self, method: str, path: str, **content: Any) -> Any:
        began = time.monotonic()
        self.calls += 1
        try:
            answer = self._person.request(method, path, **content)
        except httpx2.HTTPError as error:
            self.failed.append(f"{method} {path}: {error!r}")
            return None
        if answer.is_success:
            return answer.json()
        self.failed.append(
            f"{method} {path}: {answer.status_code} after {time.monotonic() - began:.1f} s: {answer.text}"
        )
        return None
