"""Files that are there: listing, reading, renaming, moving, downloading, deleting."""

import json
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest
import requests

from functions.files.stored.schemas import FileDetail, FileRead, PresignedDownload
from infra.local.invocation import invoke
from quintet import aws
from quintet.config import settings
from quintet.db.engine import owner_engine
from quintet.files import links
from quintet.http.schemas import Page
from tests.support.api import Api
from tests.support.statements import counted
from tests.support.uploading import (
    PDF,
    announced,
    direct,
    key_of,
    presign,
    process,
    project_of,
    read,
    send,
    upload,
    versions,
    work_off,
)

JAPANESE = "報告書 2026年 + 最終版.pdf"


def ids(answer: Any) -> list[str]:
    """The ids of a list."""
    assert answer.status == 200, answer
    return [item["id"] for item in answer.json()["items"]]


# --- lists -----------------------------------------------------------------------------------------------


def test_given_files_when_listing_then_the_bytes_are_the_documented_model_in_two_statements(user: Api) -> None:
    mine = upload(user, PDF, file_name=JAPANESE)
    in_project = presign(user, 7, project_id=project_of(user)).json()["file_id"]
    with counted() as statements:
        answer = user.get("/files")
    assert len(statements) == 2, statements
    page = Page[FileRead].model_validate_json(answer.body, strict=True)
    assert [str(item.id) for item in page.items] == [in_project, mine["id"]]
    assert page.items[1].file_name == JAPANESE
    assert answer.json() == page.model_dump(mode="json")


def test_given_files_when_filtering_then_only_those_are_listed(user: Api) -> None:
    project, other = project_of(user), project_of(user)
    folder = user.post("/folders", {"project_id": project, "name": "Plans"}).json()["id"]
    ready = upload(user, PDF, project_id=project)["id"]
    in_folder = presign(user, 7, folder_id=folder).json()["file_id"]
    attached = presign(user, 7, project_id=other, purpose="attachment").json()["file_id"]
    own = presign(user, 7).json()["file_id"]
    assert ids(user.get("/files")) == [own, attached, in_folder, ready]
    assert ids(user.get("/files", query=[("project_id", project)])) == [in_folder, ready]
    assert ids(user.get("/files", query=[("folder_id", folder)])) == [in_folder]
    assert ids(user.get("/files", query=[("project_id", project), ("folder_id", "root")])) == [ready]
    assert ids(user.get("/files", query=[("status", "ready")])) == [ready]
    assert ids(user.get("/files", query=[("purpose", "attachment")])) == [attached]


def test_given_many_files_in_many_places_when_paging_then_each_comes_once_and_newest_first(user: Api) -> None:
    places: list[dict[str, str]] = [{}, {"project_id": project_of(user)}, {"project_id": project_of(user)}]
    made = [presign(user, 7, **places[n % 3]).json()["file_id"] for n in range(9)]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = user.get("/files", query=[("limit", "4"), *([("cursor", cursor)] if cursor else [])])
        seen += ids(answer)
        cursor = answer.json()["next_cursor"]
    assert seen == made[::-1]


@pytest.mark.parametrize(
    "query", [("project_id", "x"), ("folder_id", "top"), ("status", "new"), ("cursor", "~"), ("limit", "0")]
)
def test_given_a_bad_filter_when_listing_then_400_names_it(user: Api, query: tuple[str, str]) -> None:
    answer = user.get("/files", query=[query])
    assert (answer.status, answer.json()["errors"][0]["pointer"].split("/")[1]) == (400, query[0])


# --- one -------------------------------------------------------------------------------------------------


def test_given_a_ready_file_when_reading_then_it_has_a_link_that_downloads_it_under_its_name(user: Api) -> None:
    file_id = upload(user, PDF, file_name=JAPANESE, content_type="application/pdf")["id"]
    with counted() as statements:
        answer = user.get(f"/files/{file_id}")
    assert len(statements) == 2, statements
    detail = FileDetail.model_validate_json(answer.body, strict=True)
    assert answer.json() == detail.model_dump(mode="json")
    assert (detail.status, detail.detected_type, detail.size) == ("ready", "application/pdf", len(PDF))
    assert detail.download_url is not None
    assert detail.download_expires_at is not None
    signed = parse_qs(urlsplit(detail.download_url).query)
    assert signed["versionId"] == versions(file_id)
    assert links.GRACE < int(signed["X-Amz-Expires"][0]) <= links.GRACE + links.WINDOW
    content = requests.get(detail.download_url, timeout=10)
    assert content.content == PDF
    assert content.headers["content-type"] == "application/pdf"
    assert content.headers["content-disposition"] == (
        "attachment; filename=\"___ 2026_ + ___.pdf\"; filename*=UTF-8''"
        "%E5%A0%B1%E5%91%8A%E6%9B%B8%202026%E5%B9%B4%20+%20%E6%9C%80%E7%B5%82%E7%89%88.pdf"
    )


def test_given_a_link_when_its_window_ends_then_the_etag_is_another_and_304_ends(
    user: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_id = upload(user, PDF)["id"]
    tag = user.get(f"/files/{file_id}").header("etag")
    assert user.get(f"/files/{file_id}", headers={"if-none-match": f'"0", W/{tag}'}).status == 304
    later = links.window() + 1
    monkeypatch.setattr(links, "window", lambda: later)
    again = user.get(f"/files/{file_id}", headers={"if-none-match": tag})
    assert (again.status, again.header("etag") == tag) == (200, False)
    # WHEN changing by the old tag, THEN the version counts, not the link
    changed = user.patch(f"/files/{file_id}", {"file_name": "b.pdf"}, headers={"if-match": tag})
    assert (changed.status, changed.header("etag")) == (200, '"3"')
    assert user.patch(f"/files/{file_id}", {"file_name": "c.pdf"}, headers={"if-match": tag}).status == 412


def test_given_a_pending_file_when_reading_then_it_has_no_link_and_304_by_version(user: Api) -> None:
    file_id = presign(user, 7).json()["file_id"]
    answer = user.get(f"/files/{file_id}")
    assert (answer.json()["status"], answer.json()["download_url"]) == ("pending", None)
    assert answer.header("etag") == '"1"'
    assert user.get(f"/files/{file_id}", headers={"if-none-match": '"1"'}).status == 304


def test_given_a_ready_file_when_asking_for_its_content_then_303_to_it(user: Api) -> None:
    file_id = upload(user, PDF)["id"]
    answer = user.get(f"/api/v1/files/{file_id}/content")
    assert (answer.status, answer.header("cache-control")) == (303, "no-store")
    assert requests.get(answer.header("location") or "", timeout=10).content == PDF


def test_given_a_ready_file_when_presigning_a_download_then_a_link_that_runs_out(user: Api) -> None:
    file_id = upload(user, PDF)["id"]
    answer = user.get("/api/files/presign-download", query=[("file_id", file_id)])
    link = PresignedDownload.model_validate_json(answer.body, strict=True)
    assert (str(link.file_id), link.method) == (file_id, "GET")
    assert links.GRACE < link.expires_at.timestamp() - time.time() <= links.GRACE + links.WINDOW
    assert requests.get(link.url, timeout=10).content == PDF


def test_given_a_file_that_is_not_ready_when_asking_for_its_content_then_409_says_why(user: Api) -> None:
    pending = presign(user, 7).json()["file_id"]
    rejected = upload(user, PDF, content_type="image/png")["id"]
    for file_id, word in ((pending, "not ready"), (rejected, "rejected")):
        for answer in (
            user.get(f"/files/{file_id}/content"),
            user.get("/files/presign-download", query=[("file_id", file_id)]),
        ):
            assert (answer.status, word in answer.json()["detail"]) == (409, True)


@pytest.mark.parametrize("file_id", ["x", "01900000-0000-7000-8000-000000000000", str(UUID(int=0)), "%00"])
def test_given_no_such_file_when_touching_it_then_400_or_404(user: Api, file_id: str) -> None:
    status = 404 if len(file_id) == 36 else 400
    assert user.get(f"/files/{file_id}").status == status
    assert user.get(f"/files/{file_id}/content").status == status
    assert user.patch(f"/files/{file_id}", {"file_name": "x"}).status == status
    assert user.delete(f"/files/{file_id}").status == status


# --- changes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["put", "patch"])
@pytest.mark.parametrize("field", ["file_name", "fileName", "name"])
def test_given_a_new_name_when_changing_then_only_the_name_changes(user: Api, method: str, field: str) -> None:
    before = upload(user, PDF)
    answer = getattr(user, method)(f"/files/{before['id']}", {field: f" {JAPANESE} "})
    assert answer.status == 200, answer
    changed = FileRead.model_validate_json(answer.body, strict=True).model_dump(mode="json")
    different = {name for name in changed if changed[name] != before[name]}
    assert different == {"file_name", "updated_at", "version"}
    assert changed["file_name"] == JAPANESE


@pytest.mark.parametrize(
    "name",
    [
        "",
        "  ",
        "a/b",
        "a\\b",
        "..",
        ".",
        "a\nb",
        "a\x00b",
        "a\x7f",
        "gpj\u202eexe",
        "a\u2028b",
        "x" * 256,
        "あ" * 86,
        7,
    ],
)
def test_given_a_name_no_file_has_when_changing_then_400_names_the_field(user: Api, name: object) -> None:
    file_id = presign(user, 7).json()["file_id"]
    answer = user.patch(f"/files/{file_id}", {"file_name": name})
    assert (answer.status, answer.json()["errors"][0]["pointer"]) == (400, "/file_name")
    assert read(user, file_id)["version"] == 1


def test_given_a_lone_surrogate_in_a_name_then_400(user: Api) -> None:
    file_id = presign(user, 7).json()["file_id"]
    body = b'{"file_name": "a\\ud800b"}'
    answer = user.request("PATCH", f"/files/{file_id}", body=body, headers={"content-type": "application/json"})
    assert answer.status == 400


def test_given_projects_and_folders_when_moving_then_the_file_is_there_and_its_folder_is_of_its_project(
    user: Api,
) -> None:
    project, other = project_of(user), project_of(user)
    folder = user.post("/folders", {"project_id": project, "name": "Plans"}).json()["id"]
    elsewhere = user.post("/folders", {"project_id": other, "name": "Plans"}).json()["id"]
    file_id = presign(user, 7).json()["file_id"]

    def moved(change: dict[str, Any]) -> tuple[Any, Any]:
        answer = user.patch(f"/files/{file_id}", change)
        assert answer.status == 200, answer
        return answer.json()["project_id"], answer.json()["folder_id"]

    assert moved({"projectId": project}) == (project, None)
    assert moved({"folder_id": folder}) == (project, folder)
    assert moved({"folder_id": None}) == (project, None)
    assert moved({"project_id": other, "folder_id": elsewhere}) == (other, elsewhere)
    # WHEN the folder is of another project, THEN nothing happens
    refused = user.patch(f"/files/{file_id}", {"folder_id": folder})
    assert (refused.status, refused.json()["errors"][0]["pointer"]) == (400, "/folder_id")
    unknown = user.patch(f"/files/{file_id}", {"project_id": str(uuid4())})
    assert (unknown.status, unknown.json()["errors"][0]["pointer"]) == (400, "/project_id")
    assert moved({"project_id": None}) == (None, None)
    assert moved({"folder_id": folder}) == (project, folder)  # a folder names its project


# --- deletion --------------------------------------------------------------------------------------------


def test_given_an_object_with_several_versions_when_deleting_then_all_of_them_go(user: Api) -> None:
    form = presign(user, PDF).json()
    first = send(form, PDF)
    process(announced(form["file_id"], first))
    send(form, PDF)
    aws.s3().delete_object(Bucket=settings().files_bucket, Key=key_of(form["file_id"]))  # a marker, too
    assert len(versions(form["file_id"])) == 2
    neighbour = upload(user, PDF)["id"]
    with counted() as statements:
        assert user.delete(f"/files/{form['file_id']}").status == 204
    assert len(statements) == 6, statements
    assert user.get(f"/files/{form['file_id']}").status == 404
    work_off()
    left = aws.s3().list_object_versions(Bucket=settings().files_bucket, Prefix=key_of(form["file_id"]))
    assert "Versions" not in left
    assert "DeleteMarkers" not in left
    assert read(user, neighbour)["status"] == "ready"


@pytest.mark.usefixtures("nothing_due")
def test_given_a_crash_after_the_commit_when_deleting_then_the_dispatcher_has_the_object_deleted(
    user: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_id = upload(user, PDF)["id"]
    with monkeypatch.context() as crash:
        crash.setattr("quintet.events.outbox.send_messages", lambda *_: 1 / 0)
        assert user.delete(f"/files/{file_id}").status == 204
    work_off()
    assert versions(file_id) != []
    with owner_engine().begin() as connection:
        connection.exec_driver_sql("UPDATE deliveries SET next_attempt_at = now() WHERE done_at IS NULL")
    invoke("event_dispatcher", {})
    work_off()
    assert versions(file_id) == []


def test_given_a_removal_announced_twice_then_the_second_does_nothing(user: Api) -> None:
    file_id = upload(user, PDF)["id"]
    user.delete(f"/files/{file_id}")
    *_, message = [m for m in work_off() if "event_id" in m]  # that it became ready came first
    assert process(message) == []


def test_given_an_old_version_when_deleting_by_it_then_412_and_it_stays(user: Api) -> None:
    file_id = upload(user, PDF)["id"]
    assert user.delete(f"/files/{file_id}", headers={"if-match": '"1"'}).status == 412
    assert read(user, file_id)["status"] == "ready"


def test_given_changes_then_each_is_an_event_for_those_who_may_see_the_file(user: Api) -> None:
    project = project_of(user)
    file_id = upload(user, PDF, file_name="secret-name.pdf")["id"]
    for _ in range(2):  # the second time nothing changes
        moved = user.patch(f"/files/{file_id}", {"project_id": project, "file_name": "secret-name.pdf"})
        assert (moved.status, moved.json()["version"]) == (200, 3)
    user.delete(f"/files/{file_id}")
    with owner_engine().begin() as connection:
        events = connection.exec_driver_sql(
            "SELECT type, scope, data FROM events WHERE subject_id = %(id)s ORDER BY id", {"id": UUID(file_id)}
        ).all()
    mine, shared = f"user:{user.id}", f"project:{project}"
    assert [(event.type, event.scope) for event in events] == [
        ("file.upload_requested", mine),
        ("file.ready", mine),
        ("file.updated", shared),
        ("file.updated", mine),
        ("file.removed", shared),
    ]
    assert "secret-name" not in json.dumps([event.data for event in events])


def test_given_a_small_file_when_uploading_direct_then_it_can_be_read_like_any_other(user: Api) -> None:
    file_id = direct(user, b"hello", name="hello.txt").json()["id"]
    process(announced(file_id))
    assert requests.get(read(user, file_id)["download_url"], timeout=10).content == b"hello"
