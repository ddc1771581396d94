"""Campaigns and the agents assigned to them, through real API Gateway events."""

import json
from typing import Any

import pytest

from functions.campaigns.assignments.schemas import AssignedAgentRead
from functions.campaigns.campaigns.schemas import CampaignRead
from quintet.http.schemas import Output, Page
from tests.support.api import Api, events_about
from tests.support.campaigning import agent, assign, contacts, created, events_of, ids
from tests.support.expect import pointers, problem
from tests.support.importing import send, table
from tests.support.people import person
from tests.support.statements import counted, execute
from tests.support.uploading import upload

NOBODY = "01900000-0000-7000-8000-000000000000"


@pytest.fixture
def worker(stack: object) -> Api:
    """Somebody who may create nothing."""
    return person("viewer")


def test_given_a_name_when_creating_then_201_says_where_it_is_and_in_which_version(owner: Api) -> None:
    new = {"name": " Spring ", "start_date": "2026-03-01", "end_date": "2026-03-01", "default_country": "DE"}
    answer = owner.post("/api/campaigns", new)
    made = answer.json()
    assert answer.status == 201, answer
    assert (made["name"], made["start_date"], made["end_date"]) == ("Spring", "2026-03-01", "2026-03-01")
    assert (made["status"], made["description"], made["default_country"]) == ("draft", "", "DE")
    assert (made["created_by"], made["distributed"], made["version"]) == (str(owner.id), False, 1)
    assert answer.header("location") == f"/api/v1/campaigns/{made['id']}"
    assert answer.header("etag") == '"1"'
    assert owner.get(answer.header("location") or "").json() == made
    assert events_of(made["id"]) == ["campaign.created"]


def test_given_another_name_of_the_name_then_it_is_the_same(owner: Api) -> None:
    made = owner.post("/campaigns", {"title": "One"}).json()
    assert made["name"] == "One"
    assert owner.put(f"/campaigns/{made['id']}", {"title": "Two"}).json()["name"] == "Two"


def test_given_an_idempotency_key_when_repeated_then_one_campaign_is_made(owner: Api) -> None:
    key = {"idempotency-key": "campaign"}
    first, second = (owner.post("/campaigns", {"name": "Once"}, headers=key) for _ in range(2))
    assert first.json() == second.json()
    assert ids(owner.get("/campaigns")) == [first.json()["id"]]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": " "}, "/name"),
        ({"name": "x", "status": "archived"}, "/status"),
        ({"name": "x", "start_date": "2026-02-30"}, "/start_date"),
        ({"name": "x", "start_date": "2026-02-01T00:00:00"}, "/start_date"),
        ({"name": "x", "start_date": 1}, "/start_date"),
        ({"name": "x", "start_date": "2026-02-02", "end_date": "2026-02-01"}, "/end_date"),
        ({"name": "x", "default_country": "de"}, "/default_country"),
        ({"name": "x", "default_country": "XX"}, "/default_country"),
        ({"name": "x", "created_by": NOBODY}, "/created_by"),
    ],
)
def test_given_a_wrong_field_when_creating_then_400_points_at_it(owner: Api, body: object, pointer: str) -> None:
    refused = owner.post("/campaigns", body)
    assert refused.status == 400
    assert pointers(refused) == [pointer]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [({"end_date": "2026-01-31"}, "/end_date"), ({"start_date": "2026-03-02"}, "/start_date")],
)
def test_given_one_of_two_dates_when_changed_to_the_wrong_side_then_400_names_it(
    owner: Api, change: object, pointer: str
) -> None:
    campaign = created(owner, start_date="2026-02-01", end_date="2026-03-01")
    path = f"/campaigns/{campaign['id']}"
    refused = owner.patch(path, change)
    assert refused.status == 400
    assert pointers(refused) == [pointer]
    assert owner.get(path).json() == campaign
    assert owner.patch(path, {"start_date": "2026-05-01", "end_date": None}).status == 200


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_given_some_fields_when_changing_then_the_others_stay_and_an_old_tag_is_412(owner: Api, method: str) -> None:
    campaign = created(owner, description="kept", start_date="2026-02-01")
    path = f"/campaigns/{campaign['id']}"
    changed = owner.request(method, path, json_body={"name": "New", "status": "active"}, headers={"if-match": '"1"'})
    assert (changed.status, changed.header("etag")) == (200, '"2"')
    assert {**changed.json(), "updated_at": ""} == {
        **campaign, "name": "New", "status": "active", "version": 2, "updated_at": ""
    }  # fmt: skip
    assert owner.request(method, path, json_body={"name": "Old"}, headers={"if-match": '"1"'}).status == 412
    assert owner.get(path, headers={"if-none-match": '"2"'}).status == 304
    assert owner.request(method, path, json_body={"name": "New"}).json()["version"] == 2
    assert events_about(campaign["id"]) == [
        ("campaign.created", {}),
        ("campaign.updated", {"fields": ["name", "status"]}),
    ]


def test_given_a_campaign_when_archived_then_lists_leave_it_out_and_it_can_be_brought_back(owner: Api) -> None:
    campaign, other = created(owner), created(owner)
    path = f"/campaigns/{campaign['id']}"
    assert owner.delete(path).status == 204
    archived = owner.get(path).json()
    assert archived["archived_at"] is not None
    assert owner.delete(path).status == 204
    assert owner.get(path).json() == archived
    assert ids(owner.get("/campaigns")) == [other["id"]]
    assert ids(owner.get("/campaigns", query=[("archived", "true")])) == [other["id"], campaign["id"]]
    back = owner.patch(path, {"archived": False, "name": "Back"}).json()
    assert (back["archived_at"], back["version"]) == (None, 3)
    assert ids(owner.get("/campaigns")) == [other["id"], campaign["id"]]
    assert events_about(campaign["id"]) == [
        ("campaign.created", {}),
        ("campaign.archived", {}),
        ("campaign.updated", {"fields": ["name", "archived"]}),
    ]


def test_given_filters_then_only_what_matches_is_listed(owner: Api) -> None:
    one = created(owner, name="Wind turbines", status="active")["id"]
    two = created(owner, name="Solar", description="rather than wind")["id"]
    other = person()
    assign(owner, one, agent(other))
    theirs = created(other)["id"]

    def listed(**query: str) -> list[str]:
        return ids(owner.get("/campaigns", query=list(query.items())))

    assert listed() == [two, one]
    assert listed(status="active") == [one]
    assert listed(q="wind") == [two, one]
    assert listed(q="wind -solar") == [one]
    assert listed(created_by=str(other.id)) == []
    assert ids(other.get("/campaigns", query=[("created_by", str(other.id))])) == [theirs]
    assert ids(other.get("/campaigns")) == [theirs, one]
    assert ids(other.get("/campaigns", query=[("q", "wind")])) == [one]


def test_given_campaigns_of_their_own_and_assigned_ones_when_paging_then_each_is_listed_once(owner: Api) -> None:
    # GIVEN somebody who creates campaigns, works on others', and is assigned to one of their own
    me = person()
    mine = agent(me)
    made = []
    for n in range(7):
        creator = (owner, me)[n % 2]
        made.append(created(creator)["id"])
        if n != 3:
            assign(creator, made[-1], mine)
    # WHEN they read page by page
    seen: list[str] = []
    query = [("limit", "2")]
    while True:
        page = me.get("/campaigns", query=query)
        seen += ids(page)
        if not page.json()["next_cursor"]:
            break
        query = [("limit", "2"), ("cursor", page.json()["next_cursor"])]
    # THEN each is there once, newest first
    assert seen == made[::-1]


def test_given_an_agent_then_they_read_the_campaign_they_are_assigned_to_and_nobody_else_knows_of_it(
    owner: Api, worker: Api
) -> None:
    campaign, mine, stranger = created(owner), agent(worker), person()
    path = f"/campaigns/{campaign['id']}"
    unknown = worker.get(f"/campaigns/{NOBODY}").json()["detail"]
    for nobody in (worker, stranger):
        assert (nobody.get(path).status, nobody.get(path).json()["detail"]) == (404, unknown)
        assert ids(nobody.get("/campaigns")) == []
    assign(owner, campaign["id"], mine)
    assert worker.get(path).json() == owner.get(path).json()
    assert ids(worker.get("/campaigns")) == [campaign["id"]]
    assert worker.patch(path, {"name": "Mine"}).status == worker.delete(path).status == 403
    # WHEN they are unassigned, THEN it is gone for them
    assert owner.delete(f"{path}/agents/{mine}").status == 204
    assert worker.get(path).status == worker.patch(path, {"name": "Mine"}).status == 404
    manager = person("project_admin")
    assert manager.patch(path, {"name": "Managed"}).status == 200
    assert campaign["id"] in ids(manager.get("/campaigns", query=[("limit", "100")]))


def test_given_agents_when_assigned_again_then_the_answer_says_who_was_and_nothing_happens(owner: Api) -> None:
    campaign = created(owner)["id"]
    one, two, three = agent(), agent(), agent()
    path = f"/campaigns/{campaign}/assign"

    def assigned(**body: Any) -> tuple[list[str], list[str]]:
        answer = owner.post(path, body)
        assert answer.status == 200, answer
        return answer.json()["assigned"], answer.json()["already_assigned"]

    assert assigned(agent_ids=[two, one]) == ([two, one], [])
    assert assigned(agentIds=[one, three, one]) == ([three], [one])
    assert assigned(agent_id=one) == ([], [one])
    assert assigned(agentId=three) == ([], [three])
    assert events_about(campaign)[1:] == [
        ("campaign.agents_assigned", {"agent_ids": [two, one]}),
        ("campaign.agents_assigned", {"agent_ids": [three]}),
    ]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"agent_id": None}, ""),
        ({"agent_id": NOBODY, "agent_ids": [NOBODY]}, ""),
        ({"agent_ids": []}, "/agent_ids"),
        ({"agent_ids": [NOBODY] * 101}, "/agent_ids"),
        ({"agent_ids": ["x"]}, "/agent_ids/0"),
        ({"agent_id": NOBODY}, "/agent_id"),
        ({"agent_ids": ["there", NOBODY]}, "/agent_ids/1"),
    ],
)
def test_given_a_wrong_agent_when_assigning_then_400_points_at_it_and_nobody_is_assigned(
    owner: Api, body: dict[str, Any], pointer: str
) -> None:
    campaign, there = created(owner)["id"], agent()
    if "agent_ids" in body:
        body = {**body, "agent_ids": [there if id == "there" else id for id in body["agent_ids"]]}
    refused = owner.post(f"/campaigns/{campaign}/assign", body)
    assert refused.status == 400
    assert pointers(refused) == [pointer]
    assert ids(owner.get(f"/campaigns/{campaign}/agents")) == []


def test_given_an_archived_campaign_then_it_is_read_and_no_work_goes_on_there(owner: Api, worker: Api) -> None:
    campaign, one = created(owner)["id"], agent(worker)
    path = f"/campaigns/{campaign}"
    assign(owner, campaign, one)
    [contact] = contacts(campaign, agent_id=one)
    people = table(("Ann", "ann@example.com", "", ""))
    file_id = upload(owner, people, purpose="campaign_data", content_type="text/csv")["id"]
    asked: list[tuple[Api, str, dict[str, Any]]] = [
        (owner, f"{path}/assign", {"agent_id": agent()}),
        (owner, f"{path}/distribute", {}),
        (owner, f"{path}/data", {"file_id": file_id}),
        (worker, f"/contacts/{contact}/activities", {"outcome": "contacted"}),
    ]
    assert owner.delete(path).status == 204
    before = events_of(campaign)
    for caller, address, body in asked:
        refused = problem(caller.post(address, body), 409)
        assert refused["next"] == {"rel": "campaign", "href": f"/api/v1{path}"}
        assert "`archived` to false" in refused["detail"]
    problem(worker.patch(f"/contacts/{contact}", {"full_name": "New"}), 409)
    problem(send(owner, campaign, people), 409)
    assert events_of(campaign) == before
    for address in (path, f"{path}/agents", f"{path}/contacts", f"{path}/data", f"/contacts/{contact}"):
        assert owner.get(address).status == 200
    # THEN those who may not even see it learn nothing, and an agent that it is not for them
    assert person().post(f"{path}/assign", {"agent_id": one}).status == 404
    assert worker.post(f"{path}/assign", {"agent_id": one}).status == 403
    # WHEN it is brought back, THEN all of it works
    assert owner.patch(path, {"archived": False}).status == 200
    assert [caller.post(address, body).status for caller, address, body in asked] == [200, 202, 202, 201]


def test_given_assigned_agents_then_they_are_listed_with_their_contacts_by_status(owner: Api, worker: Api) -> None:
    campaign, other = created(owner)["id"], created(owner)["id"]
    one, two = agent(worker, name="One"), agent(name="Two", available=False)
    for place in (campaign, other):
        assign(owner, place, one, two)
        contacts(place, 3, agent_id=one)
    contacts(campaign, 2, agent_id=one, status="converted")
    contacts(campaign, 1)
    none = {"new": 0, "contacted": 0, "converted": 0, "rejected": 0, "unreachable": 0}
    page = owner.get(f"/campaigns/{campaign}/agents")
    Page[AssignedAgentRead].model_validate_json(page.body, strict=True)
    listed = {item["id"]: item for item in page.json()["items"]}
    assert listed[one]["contacts"] == {**none, "new": 3, "converted": 2}
    assert listed[two]["contacts"] == none
    assert (listed[two]["name"], listed[two]["available"]) == ("Two", False)
    # AND an agent sees themselves only
    assert worker.get(f"/campaigns/{campaign}/agents").json()["items"] == [listed[one]]


def test_given_an_agent_when_unassigned_then_once_and_404_after_that(owner: Api) -> None:
    campaign, one = created(owner)["id"], agent()
    assign(owner, campaign, one)
    path = f"/campaigns/{campaign}/agents/{one}"
    assert owner.delete(path).status == 204
    assert owner.delete(path).status == 404
    assert owner.delete(f"/campaigns/{campaign}/agents/{NOBODY}").status == 404
    left = [("campaign.agent_unassigned", {"agent_id": one}), ("campaign.distribution_requested", {})]
    assert events_about(campaign)[2:] == left


def test_given_nobody_available_when_distributing_then_409_says_what_to_do(owner: Api) -> None:
    campaign = created(owner)["id"]
    assign(owner, campaign, agent(available=False))
    refused = owner.post(f"/campaigns/{campaign}/distribute")
    assert refused.status == 409
    assert refused.json()["next"] == {"rel": "assign", "href": f"/api/v1/campaigns/{campaign}/assign"}
    assert owner.get(f"/campaigns/{campaign}").json()["distributed"] is False


def test_given_a_distributed_campaign_when_agents_come_and_go_then_each_time_one_is_requested(owner: Api) -> None:
    campaign, boss = created(owner)["id"], person("project_admin")
    one, two = agent(), agent()

    def requests() -> int:
        return events_of(campaign).count("campaign.distribution_requested")

    assign(owner, campaign, one)
    boss.patch(f"/agents/{one}", {"available": False})
    boss.patch(f"/agents/{one}", {"available": True})
    assert requests() == 0
    assert owner.post(f"/campaigns/{campaign}/distribute").status == 202
    assert owner.get(f"/campaigns/{campaign}").json()["distributed"] is True
    assert requests() == 1
    assign(owner, campaign, two)
    assert requests() == 2
    assign(owner, campaign, two)
    boss.patch(f"/agents/{two}", {"name": "Renamed", "available": True})
    assert requests() == 2
    boss.patch(f"/agents/{two}", {"available": False})
    assert requests() == 3
    owner.delete(f"/campaigns/{campaign}/agents/{two}")
    assert requests() == 4
    boss.patch(f"/agents/{two}", {"available": True})
    assert requests() == 4
    # AND each goes to the queue
    [row] = execute(
        "SELECT count(*) AS n FROM deliveries d JOIN events e ON e.id = d.event_id"
        " WHERE d.destination = 'campaigns' AND e.subject_id = %(id)s",
        id=campaign,
    )
    assert row.n == 4


@pytest.mark.parametrize(("path", "model"), [("/campaigns", Page[CampaignRead]), ("/campaigns/{id}", CampaignRead)])
def test_given_json_built_by_postgresql_then_it_is_what_the_response_model_would_write(
    owner: Api, path: str, model: type[Output]
) -> None:
    campaign = created(owner, description='línea\n"two"', start_date="2026-01-01", default_country="GB")
    body = owner.get(path.format(id=campaign["id"])).body
    assert json.loads(model.model_validate_json(body).model_dump_json()) == json.loads(body)


def test_given_each_kind_of_request_then_its_round_trips_to_the_database_are_few(owner: Api) -> None:
    path = f"/campaigns/{created(owner)['id']}"
    one = agent()

    def round_trips(method: str, path: str, expected: int, body: object = None) -> int:
        with counted() as statements:
            answer = owner.request(method, path, json_body=body)
        assert answer.status == expected, answer
        return len(statements)

    assert round_trips("GET", "/campaigns", 200) == 2
    assert round_trips("GET", path, 200) == 2
    assert round_trips("GET", f"{path}/agents", 200) == 2
    assert round_trips("POST", "/campaigns", 201, {"name": "New"}) == 5
    assert round_trips("PATCH", path, 200, {"name": "New"}) == 6
    assert round_trips("POST", f"{path}/assign", 200, {"agent_id": one}) == 7
    assert round_trips("POST", f"{path}/distribute", 202) == 7
    assert round_trips("DELETE", f"{path}/agents/{one}", 204) == 7
    assert round_trips("DELETE", path, 204) == 6
