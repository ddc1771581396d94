"""Who may do what with files and folders: owner, members by their role, strangers, and those with permissions."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from infra.local.events import Response
from quintet.db.engine import owner_engine
from tests.support.api import Api
from tests.support.people import person
from tests.support.uploading import PDF, direct, presign, process, project_of, upload, work_off

WHO = ("owner", "editor", "viewer", "stranger", "reader", "manager")


@dataclass(frozen=True)
class World:
    """People, and what they have to do with each other."""

    people: dict[str, Api]
    project: str
    folder: str

    def file(self, by: str = "owner") -> str:
        """A ready file in the project."""
        return str(upload(self.people[by], PDF, folder_id=self.folder)["id"])


@pytest.fixture(scope="module")
def world(stack: object) -> World:
    """A project with members, and others."""
    people = {who: person() for who in WHO}
    people["reader"] = person("developer")
    people["manager"] = person("project_admin")
    project = project_of(people["owner"], editor=people["editor"], viewer=people["viewer"])
    folder = people["owner"].post("/folders", {"project_id": project, "name": "shared"}).json()["id"]
    return World(people, project, folder)


READS = {"owner": 200, "editor": 200, "viewer": 200, "stranger": 404, "reader": 200, "manager": 200}
CHANGES = {"owner": 200, "editor": 200, "viewer": 403, "stranger": 404, "reader": 403, "manager": 200}


@pytest.mark.parametrize("who", WHO)
def test_given_a_file_of_a_project_when_reading_then_its_readers_may(world: World, who: str) -> None:
    client, file_id = world.people[who], world.file()
    assert client.get(f"/files/{file_id}").status == READS[who]
    assert client.get("/files/presign-download", query=[("file_id", file_id)]).status == READS[who]
    content = client.get(f"/files/{file_id}/content").status
    assert content == (303 if READS[who] == 200 else 404)
    assert client.get(f"/folders/{world.folder}").status == READS[who]
    listed = client.get("/files", query=[("limit", "100")]).json()["items"]
    assert (file_id in {item["id"] for item in listed}) == (READS[who] == 200)
    for path, id in (("/files", file_id), ("/folders", world.folder)):
        answer = client.get(path, query=[("project_id", world.project)])
        assert answer.status == READS[who]
        assert who == "stranger" or id in {item["id"] for item in answer.json()["items"]}


@pytest.mark.parametrize("who", WHO)
def test_given_a_file_of_a_project_when_changing_then_its_editors_may(world: World, who: str) -> None:
    client, file_id = world.people[who], world.file()
    assert client.patch(f"/files/{file_id}", {"file_name": "b.pdf"}).status == CHANGES[who]
    assert client.patch(f"/folders/{world.folder}", {"name": "shared"}).status == CHANGES[who]
    removed = client.delete(f"/files/{file_id}").status
    assert removed == (204 if CHANGES[who] == 200 else CHANGES[who])


@pytest.mark.parametrize("who", WHO)
def test_given_a_project_when_putting_something_in_then_its_editors_may(world: World, who: str) -> None:
    client = world.people[who]
    # What the caller may not know exists is a wrong reference; 403 is for those who see it.
    refused = {403: 403, 404: 400}
    expected = refused.get(CHANGES[who])
    place: dict[str, Any] = {"project_id": world.project}
    assert presign(client, 7, **place).status == (expected or 200)
    assert presign(client, 7, folder_id=world.folder).status == (expected or 200)
    assert direct(client, b"hello", **place).status == (expected or 201)
    new = {"file_name": "x", "size": 7, **place}
    assert client.post("/files/multipart", new).status == (expected or 201)
    assert client.post("/folders", {**place, "name": f"by {who}"}).status == (expected or 201)
    own = presign(client, 7).json()["file_id"]
    assert client.patch(f"/files/{own}", place).status == (expected or 200)


@pytest.mark.parametrize("who", WHO)
def test_given_a_multipart_upload_of_a_project_then_its_editors_may_go_on_with_it(world: World, who: str) -> None:
    client = world.people[who]
    new = {"file_name": "x", "size": 7, "project_id": world.project}
    file_id = world.people["owner"].post("/files/multipart", new).json()["file_id"]
    path = f"/files/{file_id}"
    assert client.get(f"{path}/parts").status == CHANGES[who]
    assert client.post(f"{path}/parts", {"first": 1, "last": 1}).status == CHANGES[who]
    if CHANGES[who] != 200:
        parts = [{"part_number": 1, "etag": "x"}]
        assert client.post(f"{path}/complete", {"parts": parts}).status == CHANGES[who]
    aborted = client.post(f"{path}/abort").status
    assert aborted == (204 if CHANGES[who] == 200 else CHANGES[who])


def test_given_a_file_without_a_project_then_it_is_its_owners_alone(world: World) -> None:
    file_id = upload(world.people["owner"], PDF)["id"]
    admin = person("admin")
    for client in (*(world.people[who] for who in WHO if who != "owner"), admin):
        assert client.get(f"/files/{file_id}").status == 404
        assert client.get(f"/files/{file_id}/content").status == 404
        assert client.patch(f"/files/{file_id}", {"file_name": "b"}).status == 404
        assert client.delete(f"/files/{file_id}").status == 404
        assert file_id not in {item["id"] for item in client.get("/files").json()["items"]}
    assert world.people["owner"].delete(f"/files/{file_id}").status == 204


def test_given_an_uploader_who_became_a_viewer_then_they_may_still_delete_their_file_but_not_change_it(
    world: World,
) -> None:
    uploader = person()
    project = project_of(world.people["owner"], editor=uploader)
    file_id = upload(uploader, PDF, project_id=project)["id"]
    members = f"/projects/{project}/members/{uploader.id}"
    assert world.people["owner"].put(members, {"role": "viewer"}).status == 204
    assert uploader.patch(f"/files/{file_id}", {"file_name": "b"}).status == 403
    assert uploader.delete(f"/files/{file_id}").status == 204


def test_given_an_editor_when_taking_anothers_file_out_of_the_project_then_403(world: World) -> None:
    file_id = world.file(by="owner")
    assert world.people["editor"].patch(f"/files/{file_id}", {"project_id": None}).status == 403
    assert world.people["owner"].patch(f"/files/{file_id}", {"project_id": None}).status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/files"),
        ("POST", "/files"),
        ("GET", "/files/presign-upload"),
        ("GET", "/files/presign-download"),
        ("POST", "/files/multipart"),
        ("GET", "/files/{id}"),
        ("PATCH", "/files/{id}"),
        ("DELETE", "/files/{id}"),
        ("GET", "/files/{id}/content"),
        ("GET", "/files/{id}/parts"),
        ("POST", "/files/{id}/parts"),
        ("POST", "/files/{id}/complete"),
        ("POST", "/files/{id}/abort"),
        ("GET", "/folders"),
        ("POST", "/folders"),
        ("GET", "/folders/{id}"),
        ("PUT", "/folders/{id}"),
        ("DELETE", "/folders/{id}"),
    ],
)
def test_given_nobody_signed_in_then_401(world: World, method: str, path: str) -> None:
    assert Api().request(method, path.format(id=world.folder)).status == 401


def test_given_a_project_with_files_when_purging_then_it_waits_until_they_are_gone(world: World) -> None:
    owner, admin = world.people["owner"], person("admin")
    project = project_of(owner)
    file_id = upload(owner, PDF, project_id=project)["id"]
    purge = [("purge", "true")]
    assert admin.delete(f"/projects/{project}", query=purge).status == 409
    owner.delete(f"/files/{file_id}")
    assert admin.delete(f"/projects/{project}", query=purge).status == 204
    work_off()
    assert process({"Service": "Amazon S3", "Event": "s3:TestEvent"}) == []


@pytest.mark.parametrize(
    ("meanwhile", "statuses"),
    [
        ("DELETE FROM project_members", [404, 400, 400]),
        ("UPDATE project_members SET role = 'viewer'", [403, 403, 403]),
    ],
)
def test_given_an_editor_who_is_just_being_removed_or_demoted_then_a_change_of_theirs_waits_and_is_refused(
    meanwhile: str, statuses: list[int]
) -> None:
    owner, leaving = person(), person()
    project = project_of(owner, editor=leaving)
    folder = owner.post("/folders", {"project_id": project, "name": "shared"}).json()["id"]
    file = upload(owner, PDF, folder_id=folder)["id"]
    attempts: list[Callable[[], Response]] = [
        lambda: leaving.patch(f"/files/{file}", {"file_name": "mine.pdf"}),
        lambda: leaving.post("/folders", {"project_id": project, "name": "mine"}),
        lambda: presign(leaving, PDF, folder_id=folder),
    ]
    with ThreadPoolExecutor(3) as pool:
        with owner_engine().begin() as connection:
            them = {"project": project, "user": leaving.id}
            connection.exec_driver_sql(f"{meanwhile} WHERE project_id = %(project)s AND user_id = %(user)s", them)
            answers = [pool.submit(attempt) for attempt in attempts]
            time.sleep(0.5)
            assert not any(answer.done() for answer in answers)
        assert [answer.result().status for answer in answers] == statuses
