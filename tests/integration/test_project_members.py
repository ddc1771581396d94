"""Members of projects, and who may do what with them."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from quintet.db.engine import owner_engine
from tests.support.api import Api
from tests.support.people import person
from tests.support.projects import created, ids

NOBODY = "01900000-0000-7000-8000-000000000000"


def test_given_members_then_each_role_may_what_it_says_and_a_stranger_sees_nothing(owner: Api) -> None:
    project = created(owner)
    path = f"/projects/{project['id']}"
    editor, viewer, stranger = person(), person("viewer"), person()
    for member, role in ((editor, "viewer"), (editor, "editor"), (viewer, "viewer")):
        assert owner.put(f"{path}/members/{member.id}", {"role": role}).status == 204
    listed = {member["id"]: member["role"] for member in viewer.get(f"{path}/members").json()["items"]}
    assert listed == {str(owner.id): "owner", str(editor.id): "editor", str(viewer.id): "viewer"}

    for caller, read, change, archive in ((viewer, 200, 403, 403), (editor, 200, 200, 403), (stranger, 404, 404, 404)):
        assert caller.get(path).status == read
        assert caller.get(f"{path}/members").status == read
        assert caller.patch(path, {"description": "x"}).status == change
        assert caller.delete(path).status == archive
        assert caller.put(f"{path}/members/{stranger.id}", {"role": "viewer"}).status == archive
    assert ids(stranger.get("/projects")) == []


def test_given_members_then_an_owner_removes_them_and_everybody_may_leave_but_the_owner(owner: Api) -> None:
    path = f"/projects/{created(owner)['id']}/members"
    one, two = person(), person()
    for member in (one, two):
        owner.put(f"{path}/{member.id}", {"role": "viewer"})
    assert one.delete(f"{path}/{two.id}").status == 403
    assert one.delete(f"{path}/{one.id}").status == 204
    assert one.get(path).status == 404
    assert owner.delete(f"{path}/{two.id}").status == 204
    assert owner.delete(f"{path}/{two.id}").status == 404
    assert owner.delete(f"{path}/{owner.id}").status == 409
    assert owner.put(f"{path}/{owner.id}", {"role": "viewer"}).status == 409
    assert ids(owner.get(path)) == [str(owner.id)]


def test_given_an_account_that_is_not_there_or_disabled_when_added_then_400_points_at_it(owner: Api) -> None:
    path = f"/projects/{created(owner)['id']}/members"
    disabled = person()
    with owner_engine().begin() as connection:
        connection.exec_driver_sql("UPDATE users SET status = 'disabled' WHERE id = %(id)s", {"id": disabled.id})
    for user_id in (NOBODY, disabled.id):
        refused = owner.put(f"{path}/{user_id}", {"role": "viewer"})
        assert refused.status == 400
        assert refused.json()["errors"][0]["pointer"] == "path/user_id"


@pytest.mark.parametrize(
    ("role", "creates", "reads", "changes", "archives"),
    [
        ("admin", 201, 200, 200, 204),
        ("project_admin", 201, 200, 200, 204),
        ("developer", 201, 200, 403, 403),
        ("user", 201, 404, 404, 404),
        ("viewer", 403, 404, 404, 404),
    ],
)
def test_given_a_role_then_it_may_with_anybodys_projects_what_its_permissions_say(
    owner: Api, role: str, creates: int, reads: int, changes: int, archives: int
) -> None:
    path = f"/projects/{created(owner)['id']}"
    caller = person(role)
    assert caller.post("/projects", {"title": "Mine"}).status == creates
    assert caller.get(path).status == reads
    assert caller.get(f"{path}/members").status == reads
    assert (path.rpartition("/")[2] in ids(caller.get("/projects", query=[("limit", "100")]))) is (reads == 200)
    assert caller.patch(path, {"title": "Theirs"}).status == changes
    assert caller.delete(path).status == archives


def test_given_an_unknown_project_then_every_route_answers_404(owner: Api) -> None:
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"title": "x"}),
        ("DELETE", "", None),
        ("GET", "/members", None),
        ("PUT", f"/members/{owner.id}", {"role": "viewer"}),
        ("DELETE", f"/members/{owner.id}", None),
    ):
        assert owner.request(method, f"/projects/{NOBODY}{path}", json_body=body).status == 404


@pytest.mark.parametrize(
    ("meanwhile", "status"),
    [
        ("DELETE FROM project_members WHERE project_id = %(project)s AND user_id = %(user)s", 404),
        ("UPDATE project_members SET role = 'viewer' WHERE project_id = %(project)s AND user_id = %(user)s", 403),
    ],
)
@pytest.mark.parametrize("kind", ["change", "archive", "invite"])
def test_given_an_owner_who_is_just_being_removed_or_demoted_then_a_change_of_theirs_waits_and_is_refused(
    owner: Api, kind: str, meanwhile: str, status: int
) -> None:
    project, leaving, friend = created(owner), person(), person()
    path = f"/projects/{project['id']}"
    assert owner.put(f"{path}/members/{leaving.id}", {"role": "owner"}).status == 204
    attempts = {
        "change": lambda: leaving.patch(path, {"title": "Mine"}),
        "archive": lambda: leaving.delete(path),
        "invite": lambda: leaving.put(f"{path}/members/{friend.id}", {"role": "owner"}),
    }
    with ThreadPoolExecutor(1) as pool:
        with owner_engine().begin() as connection:
            them = {"project": project["id"], "user": leaving.id}
            connection.exec_driver_sql("SELECT FROM projects WHERE id = %(project)s FOR UPDATE", them)
            connection.exec_driver_sql(meanwhile, them)
            attempt = pool.submit(attempts[kind])
            time.sleep(0.3)
            assert not attempt.done()
        assert attempt.result().status == status
    assert owner.get(path).json() == project
    assert friend.get(path).status == 404
