"""The audit trail, and who may read what, through real API Gateway events."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from functions.events.schemas import EventRead, Feed
from quintet.db.engine import owner_engine
from quintet.events.types import EventType
from quintet.http.schemas import Page
from tests.support.api import Api
from tests.support.campaigning import agent, assign, created
from tests.support.people import person
from tests.support.statements import counted

NOBODY = "01900000-0000-7000-8000-000000000000"


@pytest.fixture
def owner(stack: object) -> Api:
    """Somebody with a project to make."""
    return person(full_name="Owner")


def project_of(owner: Api) -> str:
    """The id of a new project."""
    answer = owner.post("/projects", {"title": "A project"})
    assert answer.status == 201, answer
    return str(answer.json()["id"])


def types(answer: Any) -> list[str]:
    """The types of the events answered."""
    assert answer.status == 200, answer
    return [item["type"] for item in answer.json()["items"]]


def test_given_changes_when_reading_then_they_are_there_newest_first_as_documented(owner: Api) -> None:
    # GIVEN a project that was created and changed
    project = project_of(owner)
    owner.patch(f"/projects/{project}", {"title": "Another"})
    # WHEN its owner reads the audit trail
    answer = owner.get("/api/v1/events")
    # THEN both are there, and the bytes are what the schema says
    read = Page[EventRead].model_validate_json(answer.body, strict=True).items
    assert [event.type for event in read] == ["project.updated", "project.created"]
    assert read[0].scope == f"project:{project}"
    assert (read[0].subject_type, read[0].subject_id) == ("project", UUID(project))
    assert read[0].actor_id == owner.id
    assert read[0].ip == owner.source_ip
    assert read[0].data == {"fields": ["title"]}
    assert read[0].request_id
    assert set(answer.json()["items"][0]) == set(EventRead.model_fields)


def test_given_a_type_of_event_then_code_and_clients_call_it_the_same() -> None:
    assert all(type.name == type.value.replace(".", "_").upper() for type in EventType)


def test_given_more_events_than_a_page_when_following_the_cursor_then_each_comes_once(owner: Api) -> None:
    projects = [project_of(owner) for _ in range(7)]
    seen, query = [], [("limit", "3")]
    while True:
        page = owner.get("/events", query=query).json()
        seen += [item["subject_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query = [("limit", "3"), ("cursor", page["next_cursor"])]
    assert seen == projects[::-1]


def test_given_filters_then_only_what_matches_is_answered(owner: Api) -> None:
    first, second = project_of(owner), project_of(owner)
    friend = person()
    owner.put(f"/projects/{first}/members/{friend.id}", {"role": "editor"})
    friend.patch(f"/projects/{first}", {"title": "Mine now"})

    def found(**query: str) -> list[str]:
        return types(owner.get("/events", query=list(query.items())))

    assert found(type="project.created") == ["project.created"] * 2
    assert found(subject_id=second) == ["project.created"]
    assert found(subject_type="project", scope=f"project:{first}")[0] == "project.updated"
    assert found(subject_type="file") == []
    assert found(actor_id=str(friend.id)) == ["project.updated"]
    assert found(scope=f"project:{second}") == ["project.created"]
    now = datetime.now(UTC)
    hour_ago, hour_ahead = ((now + timedelta(hours=by)).isoformat() for by in (-1, 1))
    assert len(found(**{"from": hour_ago, "to": hour_ahead})) == 4
    assert found(to=hour_ago) == []
    assert found(**{"from": hour_ahead}) == []
    # The bounds are about `at`: exactly from is in, exactly to is out.
    newest = owner.get("/events").json()["items"][0]
    assert found(**{"from": newest["at"]}) == ["project.updated"]
    assert newest["type"] not in found(to=newest["at"], actor_id=str(friend.id))


def test_given_a_stranger_then_anothers_project_and_account_do_not_exist(owner: Api) -> None:
    project, stranger = project_of(owner), person()
    assert types(stranger.get("/events")) == []
    assert types(stranger.get("/events", query={"after": "start"}.items())) == []
    unknown = stranger.get("/events", query=[("scope", f"project:{NOBODY}")])
    assert unknown.status == 404
    for scope in (f"project:{project}", f"user:{owner.id}", f"course:{project}", "system"):
        for mode in ([], [("after", "start")], [("after", "latest")]):
            refused = stranger.get("/events", query=[("scope", scope), *mode])
            # The same answer as for what is nowhere.
            assert (refused.status, refused.json()["detail"]) == (404, unknown.json()["detail"])


def test_given_a_removed_member_then_neither_old_nor_new_events_of_the_project_are_theirs(owner: Api) -> None:
    project, member = project_of(owner), person()
    owner.put(f"/projects/{project}/members/{member.id}", {"role": "viewer"})
    cursor = member.get("/events", query=[("after", "start"), ("limit", "1")]).json()["next_cursor"]
    assert types(member.get("/events", query=[("scope", f"project:{project}")])) == [
        "project.member_set",
        "project.created",
    ]
    # WHEN the member is removed and the project goes on
    assert owner.delete(f"/projects/{project}/members/{member.id}").status == 204
    owner.patch(f"/projects/{project}", {"title": "Without you"})
    # THEN nothing of it is left for them, by trail or by feed
    assert types(member.get("/events")) == []
    assert types(member.get("/events", query=[("after", cursor)])) == []
    assert member.get("/events", query=[("scope", f"project:{project}"), ("after", cursor)]).status == 404


def test_given_a_campaign_then_its_creator_and_its_agents_read_its_events_each_once(owner: Api) -> None:
    # GIVEN a campaign whose creator is one of its agents
    campaign, colleague, stranger = created(owner)["id"], person("viewer"), person()
    scope = ("scope", f"campaign:{campaign}")
    theirs = agent(colleague)
    assign(owner, campaign, theirs, agent(owner))
    expected = ["campaign.agents_assigned", "campaign.created"]
    # THEN they read each event once, by trail and by feed, named or not; others read nothing of it
    for reader in (owner, colleague):
        for query in ([], [scope]):
            assert types(reader.get("/events", query=query)) == expected
            assert types(reader.get("/events", query=[*query, ("after", "start")])) == expected[::-1]
    manager = person("project_admin")
    assert types(manager.get("/events", query=[scope])) == expected
    assert types(manager.get("/events")) == types(stranger.get("/events")) == []
    assert stranger.get("/events", query=[scope]).status == 404
    assert manager.get("/events", query=[("scope", f"campaign:{NOBODY}")]).status == 404
    # WHEN an agent is unassigned, THEN nothing is left for them
    owner.delete(f"/campaigns/{campaign}/agents/{theirs}")
    assert types(colleague.get("/events")) == []
    assert colleague.get("/events", query=[scope]).status == 404
    for query in ([], [scope]):
        with counted() as statements:
            assert owner.get("/events", query=query).status == 200
        assert len(statements) == 2, statements


def test_given_events_read_all_then_everything_is_readable_and_addresses_are_shown(owner: Api) -> None:
    project, admin = project_of(owner), person("admin")
    member = person()
    owner.put(f"/projects/{project}/members/{member.id}", {"role": "viewer"})
    assert "project.created" in types(admin.get("/events"))
    (shown,) = admin.get("/events", query=[("subject_id", project), ("type", "project.created")]).json()["items"]
    assert shown["ip"] == owner.source_ip
    assert types(admin.get("/events", query=[("scope", f"project:{NOBODY}")])) == []
    assert admin.get("/events", query=[("scope", "system")]).status == 200
    # A member sees what somebody else did, but not from where.
    assert {item["ip"] for item in member.get("/events").json()["items"]} == {None}


def test_given_a_reader_of_every_project_then_a_named_project_is_readable_and_accounts_are_not(owner: Api) -> None:
    project, developer = project_of(owner), person("developer")
    assert types(developer.get("/events", query=[("scope", f"project:{project}")])) == ["project.created"]
    assert types(developer.get("/events")) == []
    assert developer.get("/events", query=[("scope", f"project:{NOBODY}")]).status == 404
    assert developer.get("/events", query=[("scope", f"user:{owner.id}")]).status == 404


def test_given_an_account_then_its_owner_reads_what_happened_to_it(api: Api) -> None:
    user = api.register()
    assert {"account.registered", "session.started"} <= set(types(user.get("/events")))
    assert types(user.get("/events", query=[("scope", f"user:{user.id}"), ("type", "account.registered")]))


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"cursor": "nonsense"}, "query/cursor"),
        ({"cursor": "A" * 300}, "query/cursor"),
        ({"after": ""}, "query/after"),
        ({"after": "nonsense"}, "query/after"),
        ({"after": "é\x00"}, "query/after"),
        ({"after": "A" * 300}, "query/after"),
        ({"after": "/" * 32}, "query/after"),
        ({"after": "_" * 32}, "query/after"),
        ({"after": "start", "cursor": "AAAAAAAAAAAAAAAAAAAAAA"}, "query/cursor"),
        ({"type": "project.exploded"}, "query/type"),
        ({"subject_type": "Pro ject\x00"}, "query/subject_type"),
        ({"subject_id": "1"}, "query/subject_id"),
        ({"actor_id": "x"}, "query/actor_id"),
        ({"scope": "project:1"}, "query/scope"),
        ({"scope": "everything"}, "query/scope"),
        ({"scope": f"system:{NOBODY}"}, "query/scope"),
        ({"from": "yesterday"}, "query/from"),
        ({"from": "0"}, "query/from"),
        ({"to": "2026-11-20"}, "query/to"),
        ({"to": "2026-11-20T10:00:00"}, "query/to"),
        ({"to": "2026-13-20T10:00:00Z"}, "query/to"),
        ({"limit": "0"}, "query/limit"),
        ({"limit": "101", "after": "start"}, "query/limit"),
    ],
)
def test_given_bad_input_then_400_names_the_parameter(owner: Api, query: dict[str, str], pointer: str) -> None:
    answer = owner.get("/events", query=list(query.items()))
    assert answer.status == 400, answer
    assert answer.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    "at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00", "1969-12-31T00:00:00Z"]
)
def test_given_a_time_at_the_end_of_the_calendar_then_it_is_understood(owner: Api, at: str) -> None:
    for name in ("from", "to"):
        for mode in ([], [("after", "start")]):
            assert owner.get("/events", query=[(name, at), *mode]).status == 200


def test_given_nobody_signed_in_then_401(api: Api) -> None:
    assert api.get("/events").status == 401
    assert api.get("/events", query=[("after", "start")]).status == 401


def test_given_a_page_or_a_feed_then_it_costs_two_round_trips(owner: Api) -> None:
    project_of(owner)
    cursor = owner.get("/events", query=[("after", "latest")]).json()["next_cursor"]
    for query in ([], [("after", cursor)], [("after", "latest")], [("scope", f"user:{owner.id}")]):
        owner.get("/events", query=query)
        with counted() as statements:
            assert owner.get("/events", query=query).status == 200
        assert len(statements) == 2, statements


def test_given_the_feed_then_its_bytes_are_what_the_schema_says(owner: Api) -> None:
    project_of(owner)
    for query in ([("after", "start")], [("after", "latest")]):
        Feed.model_validate_json(owner.get("/events", query=query).body, strict=True)


def test_given_the_application_then_it_cannot_rewrite_the_log(stack: Any) -> None:
    import psycopg

    with owner_engine().connect() as connection:
        tables = connection.exec_driver_sql(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'events'::regclass"
        )
        names = ["events", *tables.scalars()]
    with psycopg.connect(stack.app_url, autocommit=True) as application:
        for name in names:
            for statement in (f"UPDATE {name} SET type = 'x'", f"DELETE FROM {name}", f"TRUNCATE {name}"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    application.execute(statement)
