"""Projects and their members through real API Gateway events."""

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.projects.schemas import MemberRead, ProjectRead
from quintet.db.engine import owner_engine
from quintet.http.schemas import Output, Page
from tests.support.api import Api, events_about
from tests.support.people import person
from tests.support.projects import created, events_of, ids
from tests.support.statements import counted

NOBODY = "01900000-0000-7000-8000-000000000000"


def test_given_a_title_when_creating_then_201_says_where_it_is_and_in_which_version(owner: Api) -> None:
    answer = owner.post("/api/projects", {"title": "  Ærø  "})
    made = answer.json()
    assert answer.status == 201
    assert made["title"] == "Ærø"
    assert (made["status"], made["owner_id"], made["version"]) == ("draft", str(owner.id), 1)
    assert answer.header("location") == f"/api/v1/projects/{made['id']}"
    assert answer.header("etag") == '"1"'
    assert owner.get(answer.header("location") or "").json() == made
    assert events_of(made["id"]) == ["project.created"]


@pytest.mark.parametrize("name", ["title", "name", "project_name"])
def test_given_any_of_its_names_when_creating_or_changing_then_the_title_is_set(owner: Api, name: str) -> None:
    made = owner.post("/projects", {name: "One"}).json()
    assert made["title"] == "One"
    changed = owner.put(f"/projects/{made['id']}", {name: "Two"}).json()
    assert changed["title"] == "Two"
    assert not {"name", "project_name"} & changed.keys()


def test_given_two_names_of_one_field_then_the_same_value_is_taken_and_a_contradiction_is_400(owner: Api) -> None:
    assert owner.post("/projects", {"title": "One", "name": "One"}).status == 201
    refused = owner.post("/projects", {"title": "One", "project_name": "Two"})
    assert refused.status == 400
    assert "title and project_name" in refused.json()["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/title"),
        ({"title": "   "}, "/title"),
        ({"title": "x" * 201}, "/title"),
        ({"title": "x", "description": "x" * 20_001}, "/description"),
        ({"title": "x", "status": "archived"}, "/status"),
        ({"title": "x", "product_type": "hardware"}, "/product_type"),
        ({"title": "x", "settings": []}, "/settings"),
        ({"title": "x", "settings": {"a": "x" * 17_000}}, "/settings"),
        ({"title": "x", "owner_id": NOBODY}, "/owner_id"),
    ],
)
def test_given_a_wrong_field_when_creating_then_400_points_at_it(owner: Api, body: object, pointer: str) -> None:
    refused = owner.post("/projects", body)
    assert refused.status == 400
    assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from('abé\n"\\'), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(free=st.dictionaries(st.sampled_from('abé\n"\\'), _json, max_size=3))
def test_given_any_settings_when_written_then_pydantic_and_postgresql_give_the_same_project(
    owner: Api, free: dict[str, Any]
) -> None:
    # Numbers as JavaScript reads them: 2.5e16 and 25000000000000000 are the same.
    def parsed(body: bytes | str) -> Any:
        return json.loads(body, parse_int=float)

    written = owner.post("/projects", {"title": "A project", "settings": free})
    read = owner.get(f"/projects/{written.json()['id']}")
    assert parsed(written.body) == parsed(read.body)
    assert parsed(read.body)["settings"] == parsed(json.dumps(free))


def test_given_the_largest_integers_when_written_then_no_digit_is_lost(owner: Api) -> None:
    free = {"n": [2**63, -(2**63), 2**53 + 1]}
    assert owner.get(f"/projects/{created(owner, settings=free)['id']}").json()["settings"] == free


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/projects", Page[ProjectRead]),
        ("/projects/{id}", ProjectRead),
        ("/projects/{id}/members", Page[MemberRead]),
    ],
)
def test_given_json_built_by_postgresql_then_it_is_what_the_response_model_would_write(
    owner: Api, path: str, model: type[Output]
) -> None:
    project = created(owner, description='línea\n"two"', product_type="software", settings={"a": [1, None]})
    owner.delete(f"/projects/{created(owner)['id']}")
    body = owner.get(path.format(id=project["id"])).body
    assert json.loads(model.model_validate_json(body).model_dump_json()) == json.loads(body)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_given_some_fields_when_changing_then_the_others_stay(owner: Api, method: str) -> None:
    project = created(owner, description="kept", product_type="software", settings={"a": 1})
    path = f"/projects/{project['id']}"
    changed = owner.request(method, path, json_body={"title": "New", "product_type": None})
    assert changed.status == 200
    assert changed.header("etag") == '"2"'
    after = changed.json()
    assert after == owner.get(path).json()
    assert after.pop("updated_at") > project.pop("updated_at")
    assert after == {**project, "title": "New", "product_type": None, "version": 2}
    assert events_of(project["id"]) == ["project.created", "project.updated"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [({}, ""), ({"title": None}, "/title"), ({"status": None}, "/status"), ({"version": 7}, "/version")],
)
def test_given_a_change_that_says_nothing_or_wrong_then_400_and_nothing_changed(
    owner: Api, body: object, pointer: str
) -> None:
    project = created(owner)
    refused = owner.patch(f"/projects/{project['id']}", body)
    assert refused.status == 400
    assert refused.json()["errors"][0]["pointer"] == pointer
    assert owner.get(f"/projects/{project['id']}").json() == project


def test_given_a_project_when_archived_then_it_can_be_brought_back(owner: Api) -> None:
    project = created(owner)
    path = f"/projects/{project['id']}"
    assert owner.delete(path).status == 204
    archived = owner.get(path).json()
    assert archived["status"] == "archived"
    assert archived["archived_at"] is not None
    # WHEN it is archived once more, THEN nothing happens.
    assert owner.delete(path).status == 204
    assert owner.get(path).json() == archived
    assert events_of(project["id"]) == ["project.created", "project.archived"]
    # WHEN its status is set, THEN it is back.
    back = owner.patch(path, {"status": "active"}).json()
    assert (back["status"], back["archived_at"]) == ("active", None)
    assert ids(owner.get("/projects")) == [project["id"]]


def test_given_a_change_of_status_to_archived_then_only_its_owners_may_and_the_time_stays(owner: Api) -> None:
    project = created(owner)
    path = f"/projects/{project['id']}"
    editor = person()
    owner.put(f"{path}/members/{editor.id}", {"role": "editor"})
    assert editor.patch(path, {"status": "completed"}).status == 200
    assert editor.patch(path, {"status": "archived"}).status == 403
    archived = owner.patch(path, {"status": "archived"}).json()
    assert archived["archived_at"] is not None
    again = owner.patch(path, {"status": "archived", "title": "Renamed"}).json()
    assert again["archived_at"] == archived["archived_at"]
    # AND what is recorded is what DELETE records; bringing it back is a change like others.
    assert owner.patch(path, {"status": "active"}).status == 200
    assert events_about(project["id"])[2:] == [
        ("project.updated", {"fields": ["status"]}),
        ("project.archived", {}),
        ("project.updated", {"fields": ["title"]}),
        ("project.updated", {"fields": ["status"]}),
    ]


@pytest.mark.parametrize("change", [{"title": "Same"}, {"settings": {"a": [1, True]}, "status": "draft"}])
def test_given_a_change_that_changes_nothing_then_neither_version_nor_log_say_it_did(owner: Api, change: Any) -> None:
    project = created(owner, title="Same", settings={"a": [1, True]})
    path = f"/projects/{project['id']}"
    assert owner.patch(path, change).json() == project
    assert owner.get(path).json() == project
    member = person()
    for _ in range(2):
        assert owner.put(f"{path}/members/{member.id}", {"role": "viewer"}).status == 204
    assert events_of(project["id"]) == ["project.created", "project.member_set"]


def test_given_one_and_true_when_one_becomes_the_other_then_that_is_a_change(owner: Api) -> None:
    project = created(owner, settings={"a": 1})
    changed = owner.patch(f"/projects/{project['id']}", {"settings": {"a": True}}).json()
    assert changed["settings"]["a"] is True
    assert changed["version"] == 2


def test_given_a_purge_then_only_an_administrator_may_and_it_is_gone_with_its_members(owner: Api) -> None:
    project = created(owner)
    path = f"/projects/{project['id']}"
    query = [("purge", "true")]
    assert owner.delete(path, query=query).status == 403
    assert person().delete(path, query=query).status == 404
    admin = person("admin")
    assert admin.delete(path, query=query).status == 204
    for caller in (owner, admin):
        assert caller.get(path).status == caller.get(f"{path}/members").status == 404
    assert events_of(project["id"]) == ["project.created", "project.purged"]


def test_given_a_project_with_files_when_purged_then_409_says_where_they_are(owner: Api) -> None:
    project = created(owner)
    with owner_engine().begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO files (owner_id, project_id, file_name, bucket, key, content_type, size)"
            " VALUES (%(owner)s, %(project)s, 'a.txt', 'b', uuidv7()::text, 'text/plain', 1)",
            {"owner": owner.id, "project": project["id"]},
        )
    refused = person("admin").delete(f"/projects/{project['id']}", query=[("purge", "true")])
    assert refused.status == 409
    assert refused.json()["next"]["href"] == f"/api/v1/files?project_id={project['id']}"
    assert owner.get(f"/projects/{project['id']}").status == 200


def test_given_each_kind_of_request_then_its_round_trips_to_the_database_are_few(owner: Api) -> None:
    path = f"/projects/{created(owner)['id']}"
    UUID(path.rpartition("/")[2])

    def round_trips(method: str, path: str, expected: int, body: object = None, **headers: str) -> int:
        with counted() as statements:
            answer = owner.request(method, path, json_body=body, headers=headers)
        assert answer.status == expected, answer
        return len(statements)

    new = {"title": "New"}
    assert round_trips("GET", "/projects", 200) == 2
    assert round_trips("GET", path, 200) == 2
    assert round_trips("GET", f"{path}/members", 200) == 2
    assert round_trips("POST", "/projects", 201, new) == 6
    assert round_trips("POST", "/projects", 201, new, **{"idempotency-key": "counted"}) == 8
    assert round_trips("POST", "/projects", 201, new, **{"idempotency-key": "counted"}) == 5
    assert round_trips("PATCH", path, 200, new) == 6
    assert round_trips("DELETE", path, 204) == 6
