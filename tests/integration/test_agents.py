"""Agents through real API Gateway events."""

import json

import pytest

from functions.agents.schemas import AgentRead
from quintet.http.schemas import Output, Page
from tests.support.api import Api, events_about
from tests.support.campaigning import agent, assign, contacts, created, ids
from tests.support.expect import pointers, problem
from tests.support.people import person
from tests.support.statements import counted, execute

NOBODY = "01900000-0000-7000-8000-000000000000"


@pytest.fixture
def boss(stack: object) -> Api:
    """Somebody who may change agents."""
    return person("project_admin")


@pytest.fixture
def worker(stack: object) -> Api:
    """Somebody who may create nothing."""
    return person("viewer")


def test_given_an_agent_when_created_then_201_says_where_they_are(boss: Api, worker: Api) -> None:
    new = {"name": " Ana ", "email": f"Ana.{boss.id}@Example.com", "user_id": str(worker.id)}
    answer = boss.post("/api/agents", new)
    made = answer.json()
    assert answer.status == 201, answer
    assert (made["name"], made["email"]) == ("Ana", f"Ana.{boss.id}@example.com")
    assert (made["user_id"], made["available"], made["load"], made["campaigns"]) == (str(worker.id), True, 0, 0)
    assert (answer.header("etag"), answer.header("location")) == ('"1"', f"/api/v1/agents/{made['id']}")
    assert boss.get(answer.header("location") or "").json() == made
    assert events_about(made["id"]) == [("agent.created", {})]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"email": "a@example.com"}, "/name"),
        ({"name": "A"}, "/email"),
        ({"name": "A", "email": "a"}, "/email"),
        ({"name": "A", "email": "a@example.com", "user_id": NOBODY}, "/user_id"),
        ({"name": "A", "email": "a@example.com", "available": "yes"}, "/available"),
        ({"name": "A", "email": "a@example.com", "load": 1}, "/load"),
    ],
)
def test_given_a_wrong_field_when_creating_then_400_points_at_it(boss: Api, body: object, pointer: str) -> None:
    refused = boss.post("/agents", body)
    assert refused.status == 400
    assert pointers(refused) == [pointer]


def test_given_an_address_or_account_that_is_taken_then_409_names_the_field(boss: Api, worker: Api) -> None:
    first, second = (boss.post("/agents", {"name": "A", "email": f"{n}{boss.id}@example.com"}).json() for n in "xy")
    again = boss.post("/agents", {"name": "B", "email": first["email"].upper()})
    assert (again.status, pointers(again)) == (409, ["/email"])
    boss.patch(f"/agents/{first['id']}", {"user_id": str(worker.id)})
    taken = boss.patch(f"/agents/{second['id']}", {"user_id": str(worker.id)})
    assert (taken.status, pointers(taken)) == (409, ["/user_id"])


def test_given_agents_then_they_are_listed_with_their_load_and_those_away_only_on_request(
    owner: Api, boss: Api
) -> None:
    one, away = agent(name="Zoë Busy"), agent(name="zoë away", available=False)
    campaign, second, archived = (created(owner)["id"] for _ in range(3))
    for place in (campaign, second, archived):
        assign(owner, place, one)
    contacts(campaign, 3, agent_id=one)
    contacts(second, 2, agent_id=one, status="contacted")
    contacts(second, 4, agent_id=one, status="converted")
    contacts(archived, 5, agent_id=one)
    owner.delete(f"/campaigns/{archived}")

    def listed(**query: str) -> list[str]:
        return ids(owner.get("/agents", query=[("limit", "100"), *query.items()]))

    assert one in listed()
    assert away not in listed()
    assert listed(q="ZOË") == [one]
    assert listed(q="zoë", available="any") == [away, one]
    assert listed(q="Zoë", available="false") == [away]
    assert listed(q="busy", available="any") == []
    assert listed(q="%", available="any") == []
    [found] = boss.get("/agents", query=[("q", "Zoë B")]).json()["items"]
    assert (found["load"], found["campaigns"]) == (5, 2)
    assert owner.get(f"/agents/{one}").json() == found
    by_address = ids(owner.get("/agents", query=[("q", found["email"][:12].upper())]))
    assert by_address == [one]


def test_given_a_parameter_of_none_of_its_forms_then_one_error_names_them(owner: Api) -> None:
    [error] = problem(owner.get("/agents", query="available=maybe"), 400)["errors"]
    assert error["pointer"] == "query/available"
    assert "valid boolean" in error["detail"]
    assert "'any'" in error["detail"]
    contacts_of = f"/campaigns/{created(owner)['id']}/contacts"
    assert pointers(owner.get(contacts_of, query="agent_id=nobody&upload_id=x")) == [
        "query/agent_id",
        "query/upload_id",
    ]


def test_given_a_load_that_changes_then_so_does_the_tag_but_not_what_a_change_depends_on(owner: Api, boss: Api) -> None:
    one, campaign = agent(), created(owner)["id"]
    assign(owner, campaign, one)
    before = boss.get(f"/agents/{one}").header("etag") or ""
    assert boss.get(f"/agents/{one}", headers={"if-none-match": before}).status == 304
    contacts(campaign, 1, agent_id=one)
    assert boss.get(f"/agents/{one}", headers={"if-none-match": before}).status == 200
    assert boss.patch(f"/agents/{one}", {"name": "New"}, headers={"if-match": before}).status == 200
    assert boss.patch(f"/agents/{one}", {"name": "Old"}, headers={"if-match": before}).status == 412


def test_given_an_agents_account_then_they_read_themselves_and_change_only_whether_they_are_available(
    owner: Api, worker: Api, boss: Api
) -> None:
    mine, other = agent(worker), agent()
    assert ids(worker.get("/agents")) == [mine]
    assert worker.get(f"/agents/{mine}").status == 200
    assert worker.get(f"/agents/{other}").status == worker.patch(f"/agents/{other}", {"available": False}).status == 404
    changed = worker.patch(f"/agents/{mine}", {"available": False})
    assert (changed.status, changed.json()["available"], changed.json()["version"]) == (200, False, 2)
    assert ids(worker.get("/agents")) == []
    for change in ({"name": "Me"}, {"available": True, "name": "Me"}, {"user_id": None}):
        assert worker.patch(f"/agents/{mine}", change).status == 403
    assert worker.delete(f"/agents/{mine}").status == 403
    # Who creates campaigns sees agents, and changes none.
    assert owner.get(f"/agents/{mine}").status == 200
    assert owner.patch(f"/agents/{mine}", {"available": True}).status == 403
    assert owner.post("/agents", {"name": "A", "email": "a@example.com"}).status == 403
    # WHEN the account is another's, THEN they see nothing any more
    assert boss.put(f"/agents/{mine}", {"user_id": None}).status == 200
    assert worker.get(f"/agents/{mine}").status == 404
    assert events_about(mine) == [
        ("agent.updated", {"fields": ["available"]}),
        ("agent.updated", {"fields": ["user_id"]}),
    ]


def test_given_an_agent_who_was_never_used_then_they_can_be_removed_and_others_are_409(owner: Api, boss: Api) -> None:
    unused, assigned, holder, active = (agent() for _ in range(4))
    campaign = created(owner)["id"]
    assign(owner, campaign, assigned)
    [contact] = contacts(campaign, agent_id=holder)
    execute(
        "INSERT INTO contact_activities (campaign_id, contact_id, agent_id, outcome)"
        " VALUES (%(campaign)s, %(contact)s, %(agent)s, 'contacted')",
        campaign=campaign,
        contact=contact,
        agent=active,
    )
    assert boss.delete(f"/agents/{unused}", headers={"if-match": '"2"'}).status == 412
    assert boss.delete(f"/agents/{unused}").status == 204
    assert boss.get(f"/agents/{unused}").status == boss.delete(f"/agents/{unused}").status == 404
    for used in (assigned, holder, active):
        refused = boss.delete(f"/agents/{used}")
        assert refused.status == 409
        assert "Set `available` to false" in refused.json()["detail"]
        assert boss.get(f"/agents/{used}").status == 200
    assert events_about(unused) == [("agent.removed", {})]


@pytest.mark.parametrize(("path", "model"), [("/agents?limit=1", Page[AgentRead]), ("/agents/{id}", AgentRead)])
def test_given_json_built_by_postgresql_then_it_is_what_the_response_model_would_write(
    boss: Api, worker: Api, path: str, model: type[Output]
) -> None:
    one = agent(worker, name='línea\n"two"')
    path, _, query = path.format(id=one).partition("?")
    body = boss.get(path, query=query).body
    assert json.loads(model.model_validate_json(body).model_dump_json()) == json.loads(body)


def test_given_each_kind_of_request_then_its_round_trips_to_the_database_are_few(boss: Api) -> None:
    one = agent()

    def round_trips(method: str, path: str, expected: int, body: object = None) -> int:
        with counted() as statements:
            answer = boss.request(method, path, json_body=body)
        assert answer.status == expected, answer
        return len(statements)

    assert round_trips("GET", "/agents", 200) == 2
    assert round_trips("GET", f"/agents/{one}", 200) == 2
    assert round_trips("POST", "/agents", 201, {"name": "A", "email": f"new{boss.id}@example.com"}) == 6
    assert round_trips("PATCH", f"/agents/{one}", 200, {"name": "New"}) == 7
    assert round_trips("PATCH", f"/agents/{one}", 200, {"available": False}) == 8
    assert round_trips("DELETE", f"/agents/{one}", 204) == 7
