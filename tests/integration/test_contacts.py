"""Contacts and what agents do about them, through real API Gateway events."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.campaigns.contacts.schemas import ActivityRead, ContactRead
from quintet.db.engine import owner_engine
from quintet.http.schemas import Output, Page
from tests.support.api import Api, events_about
from tests.support.campaigning import agent, assign, contacts, created, events_of, ids, upload
from tests.support.expect import pointers
from tests.support.people import person
from tests.support.statements import counted, execute

NOBODY = "01900000-0000-7000-8000-000000000000"


@pytest.fixture
def worker(stack: object) -> Api:
    """Somebody who may create nothing."""
    return person("viewer")


@pytest.fixture
def campaign(owner: Api) -> str:
    """A campaign of the owner's."""
    return str(created(owner, default_country="GB")["id"])


@pytest.fixture
def mine(owner: Api, worker: Api, campaign: str) -> str:
    """The worker as an agent, who is assigned to the campaign."""
    one = agent(worker)
    assign(owner, campaign, one)
    return one


def version(contact: str) -> int:
    """The contact's version."""
    [row] = execute("SELECT version FROM contacts WHERE id = %(id)s", id=contact)
    found: int = row.version
    return found


def test_given_filters_then_only_what_matches_is_listed_newest_first(owner: Api, campaign: str, mine: str) -> None:
    imported = upload(owner, campaign)
    one, two = contacts(campaign, 2, upload_id=imported)
    [ada] = contacts(campaign, agent_id=mine, full_name="Ada Lovelace", external_id="K-7", status="contacted")
    contacts(created(owner)["id"], 2)
    path = f"/campaigns/{campaign}/contacts"

    def listed(**query: str) -> list[str]:
        return ids(owner.get(path, query=list(query.items())))

    assert listed() == [ada, two, one]
    assert listed(status="contacted") == listed(agent_id=mine) == [ada]
    assert listed(upload_id=str(imported)) == [two, one]
    assert listed(q="lovelace") == listed(q="k-7") == listed(q="ada -grace") == [ada]
    assert listed(q="lovelace", status="new") == []
    first = owner.get(path, query=[("limit", "2")]).json()
    assert [item["id"] for item in first["items"]] == [ada, two]
    assert listed(cursor=first["next_cursor"]) == [one]
    assert owner.get(f"/campaigns/{NOBODY}/contacts").status == 404
    assert owner.get(path, query=[("q", "' OR 1=1 --")]).json()["items"] == []


@pytest.mark.parametrize(
    "q",
    [
        "0171 6000012",
        "0171/6000012",
        "+49 171 6000012",
        "0049 (171) 600-0012",
        "+491716000012",
        "6000012",
        "x.de",
        "@X.de",
        "anna.oneil@x.de",
        "anna.on",
        "Mül",
        "anna mü",
        "müller ann",
        "K-7",
        "+4917",
    ],
)
def test_given_what_people_know_of_a_contact_then_the_search_finds_it(owner: Api, campaign: str, q: str) -> None:
    [anna] = contacts(
        campaign, full_name="Anna Müller", email="anna.oneil@x.de", phone="+491716000012", external_id="K-7"
    )
    contacts(campaign, full_name="Bert Xaver", email="bert@max.de", phone="+49306000013", external_id="K-8")
    contacts(campaign, full_name="Alma Ott", email="alma@max.de.example.com", phone=None)
    assert ids(owner.get(f"/campaigns/{campaign}/contacts", query=[("q", q)])) == [anna]


def test_given_a_search_then_what_it_excludes_or_quotes_is_no_beginning(owner: Api, campaign: str) -> None:
    [grace] = contacts(campaign, full_name="Ada Grace")
    [graceful] = contacts(campaign, full_name="Ada Graceful")

    def found(q: str) -> list[str]:
        return ids(owner.get(f"/campaigns/{campaign}/contacts", query=[("q", q)]))

    assert found("ada gr") == found("ada -g") == [graceful, grace]
    assert found("ada -grace") == [graceful]
    assert found('"ada grace"') == found('ada "grace"') == [grace]
    assert found("grace or xy") == [grace]
    assert found("gr ada") == found("12") == found(".") == found("' & !") == found("a' | b\\") == []


def test_given_an_agent_then_they_see_and_change_their_own_contacts_and_no_others(
    owner: Api, worker: Api, campaign: str, mine: str
) -> None:
    other = agent()
    assign(owner, campaign, other)
    [own], [theirs], [nobodys] = (contacts(campaign, agent_id=whose) for whose in (mine, other, None))
    assert ids(worker.get(f"/campaigns/{campaign}/contacts")) == [own]
    assert ids(worker.get(f"/campaigns/{campaign}/contacts", query=[("agent_id", other)])) == []
    assert worker.get(f"/contacts/{own}").json() == owner.get(f"/contacts/{own}").json()
    assert worker.patch(f"/contacts/{own}", {"full_name": "Known"}).status == 200
    assert worker.patch(f"/contacts/{own}", {"agent_id": other}).status == 403
    unknown = worker.get(f"/contacts/{NOBODY}").json()["detail"]
    for contact in (theirs, nobodys):
        answers = [
            worker.get(f"/contacts/{contact}"),
            worker.patch(f"/contacts/{contact}", {"full_name": "Known"}),
            worker.get(f"/contacts/{contact}/activities"),
            worker.post(f"/contacts/{contact}/activities", {"outcome": "contacted"}),
        ]
        assert [answer.status for answer in answers] == [404] * 4
        assert {answer.json()["detail"] for answer in answers} == {unknown}
    # WHEN they are unassigned, THEN even their own is gone for them
    owner.delete(f"/campaigns/{campaign}/agents/{mine}")
    assert worker.get(f"/contacts/{own}").status == worker.patch(f"/contacts/{own}", {"full_name": "x"}).status == 404
    assert worker.get(f"/campaigns/{campaign}/contacts").status == 404


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_given_some_fields_when_changing_then_they_are_stored_as_an_import_would(
    owner: Api, campaign: str, mine: str, method: str
) -> None:
    [contact] = contacts(campaign, full_name="Kept")
    path = f"/contacts/{contact}"
    before = owner.get(path)
    change = {
        "email": "Ada.Lovelace@EXAMPLE.com",
        "phone": "020 7946 0958",
        "external_id": "K-7",
        "attributes": {"a": [1, None]},
        "status": "unreachable",
        "agent_id": mine,
    }
    changed = owner.request(method, path, json_body=change, headers={"if-match": before.header("etag") or ""})
    assert changed.status == 200, changed
    after = {
        **change,
        "email": "ada.lovelace@example.com",
        "phone": "+442079460958",
        "version": 2,
        "updated_at": changed.json()["updated_at"],
    }
    assert changed.json() == {**before.json(), **after} == owner.get(path).json()
    assert owner.request(method, path, json_body=change, headers={"if-match": '"1"'}).status == 412
    assert owner.request(method, path, json_body=change).json()["version"] == 2
    assert events_about(contact) == [("contact.updated", {"fields": sorted(change)})]
    assert events_of(campaign)[-1] == "contact.updated"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({}, ""),
        ({"email": "nobody"}, "/email"),
        ({"phone": "12"}, "/phone"),
        ({"phone": "+999 123"}, "/phone"),
        ({"email": None}, "/email"),
        ({"email": None, "phone": None}, "/email"),
        ({"full_name": " "}, "/full_name"),
        ({"attributes": None}, "/attributes"),
        ({"status": "archived"}, "/status"),
        ({"agent_id": NOBODY}, "/agent_id"),
        ({"campaign_id": NOBODY}, "/campaign_id"),
    ],
)
def test_given_a_wrong_change_then_400_points_at_it_and_nothing_changed(
    owner: Api, campaign: str, change: object, pointer: str
) -> None:
    [contact] = contacts(campaign)
    before = owner.get(f"/contacts/{contact}").json()
    refused = owner.patch(f"/contacts/{contact}", change)
    assert refused.status == 400
    assert pointers(refused) == [pointer]
    assert owner.get(f"/contacts/{contact}").json() == before


def test_given_an_agent_who_is_not_assigned_then_a_contact_cannot_be_theirs(owner: Api, campaign: str) -> None:
    [contact] = contacts(campaign)
    refused = owner.patch(f"/contacts/{contact}", {"agent_id": agent()})
    assert (refused.status, pointers(refused)) == (400, ["/agent_id"])


def test_given_no_default_country_then_a_number_needs_its_country_code(owner: Api) -> None:
    [contact] = contacts(created(owner)["id"])
    assert pointers(owner.patch(f"/contacts/{contact}", {"phone": "020 7946 0958"})) == ["/phone"]
    assert owner.patch(f"/contacts/{contact}", {"phone": "+44 20 7946 0958"}).json()["phone"] == "+442079460958"


def test_given_another_contact_with_the_same_key_then_409_names_the_field(owner: Api, campaign: str) -> None:
    contacts(campaign, email="a@example.com")
    [by_phone] = contacts(campaign)
    execute("UPDATE contacts SET email = NULL, phone = '+442079460958' WHERE id = %(id)s", id=by_phone)
    [contact] = contacts(campaign)
    path = f"/contacts/{contact}"
    taken = owner.patch(path, {"email": "A@example.com"})
    assert (taken.status, pointers(taken)) == (409, ["/email"])
    taken = owner.patch(path, {"email": None, "phone": "+442079460958"})
    assert (taken.status, pointers(taken)) == (409, ["/phone"])
    assert version(contact) == 1
    # A number alone is no key where there is an address; nor is an address in another campaign.
    assert owner.patch(path, {"phone": "+442079460958"}).status == 200
    [elsewhere] = contacts(created(owner)["id"])
    assert owner.patch(f"/contacts/{elsewhere}", {"email": "a@example.com"}).status == 200


def test_given_a_contact_when_it_is_given_to_somebody_then_its_tag_changes_though_its_version_stays(
    owner: Api, campaign: str, mine: str
) -> None:
    [contact] = contacts(campaign)
    tag = owner.get(f"/contacts/{contact}").header("etag") or ""
    assert owner.get(f"/contacts/{contact}", headers={"if-none-match": tag}).status == 304
    execute(
        "UPDATE contacts SET agent_id = %(agent)s WHERE id = %(id)s", agent=mine, id=contact
    )  # as distributing does
    assert owner.get(f"/contacts/{contact}", headers={"if-none-match": tag}).status == 200
    assert owner.patch(f"/contacts/{contact}", {"full_name": "x"}, headers={"if-match": tag}).status == 200


def test_given_an_activity_then_its_outcome_is_the_contacts_status_and_its_version_is_raised(
    owner: Api, worker: Api, campaign: str, mine: str
) -> None:
    [contact] = contacts(campaign, agent_id=mine)
    path = f"/contacts/{contact}/activities"
    answer = worker.post(path, {"outcome": "converted", "note": " Yes! ", "duration": 90})
    made = answer.json()
    assert answer.status == 201, answer
    assert (made["outcome"], made["note"], made["duration"]) == ("converted", "Yes!", 90)
    assert (made["agent_id"], made["user_id"], made["campaign_id"]) == (mine, str(worker.id), campaign)
    assert datetime.now(UTC) - datetime.fromisoformat(made["at"]) < timedelta(minutes=1)
    after = owner.get(f"/contacts/{contact}").json()
    assert (after["status"], after["version"]) == ("converted", 2)
    # WHEN the owner, who is no agent, records one, THEN it is the contact's agent's
    at = "2026-01-02T03:04:05+01:00"
    theirs = owner.post(path, {"outcome": "converted", "at": at}).json()
    assert (theirs["agent_id"], theirs["user_id"], theirs["at"]) == (mine, str(owner.id), "2026-01-02T02:04:05.000000Z")
    assert version(contact) == 3
    assert ids(worker.get(path)) == [theirs["id"], made["id"]]
    assert owner.get(path, query=[("limit", "1")]).json()["items"] == [theirs]
    assert events_about(contact) == [
        (
            "contact.activity_recorded",
            {"activity_id": activity["id"], "agent_id": mine, "outcome": "converted"},
        )
        for activity in (made, theirs)
    ]
    [tally] = execute(
        "SELECT sum(n) AS n, sum(seconds) AS seconds FROM activity_tallies WHERE campaign_id = %(id)s", id=campaign
    )
    assert (tally.n, tally.seconds) == (2, 90)


def test_given_an_activity_recorded_late_then_the_status_stays_that_of_the_latest(owner: Api, campaign: str) -> None:
    [contact] = contacts(campaign)
    path = f"/contacts/{contact}"
    statuses = []
    for outcome, at in (
        ("contacted", "2026-01-02T12:00:00Z"),
        ("unreachable", "2026-01-01T12:00:00Z"),  # earlier: the status stays
        ("rejected", "2026-01-02T12:00:00Z"),  # at the same time: the last recorded
        ("unreachable", "2026-01-03T12:00:00Z"),
        ("converted", None),
        ("contacted", "2026-01-03T12:00:00Z"),
    ):
        answer = owner.post(f"{path}/activities", {"outcome": outcome, **({"at": at} if at else {})})
        assert answer.status == 201, answer
        statuses.append(owner.get(path).json()["status"])
    assert statuses == ["contacted", "contacted", "rejected", "unreachable", "converted", "converted"]
    # THEN each counts as an activity all the same, and the contact under its status
    report = owner.get(f"/reports/campaigns/{campaign}").json()
    assert report["activity"]["total"] == version(contact) - 1 == len(statuses)
    assert report["contacts"]["converted"] == report["contacts"]["total"] == 1


def test_given_an_owner_who_is_an_agent_then_what_they_do_is_theirs(owner: Api, campaign: str, mine: str) -> None:
    [contact] = contacts(campaign, agent_id=mine)
    me = agent(owner)
    assert owner.post(f"/contacts/{contact}/activities", {"outcome": "rejected"}).json()["agent_id"] == me
    assert owner.get(f"/contacts/{contact}").json()["agent_id"] == mine


def test_given_an_idempotency_key_when_repeated_then_one_activity_is_recorded(owner: Api, campaign: str) -> None:
    [contact] = contacts(campaign)
    path, key = f"/contacts/{contact}/activities", {"idempotency-key": "call"}
    first, second = (owner.post(path, {"outcome": "contacted"}, headers=key) for _ in range(2))
    assert first.json() == second.json()
    assert ids(owner.get(path)) == [first.json()["id"]]
    assert version(contact) == 2


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/outcome"),
        ({"outcome": "new"}, "/outcome"),
        ({"outcome": "contacted", "note": "x" * 2001}, "/note"),
        ({"outcome": "contacted", "duration": -1}, "/duration"),
        ({"outcome": "contacted", "duration": 86_401}, "/duration"),
        ({"outcome": "contacted", "duration": "1"}, "/duration"),
        ({"outcome": "contacted", "at": "2026-01-02"}, "/at"),
        ({"outcome": "contacted", "at": "0001-01-01T00:00:00+14:00"}, "/at"),
        ({"outcome": "contacted", "at": "9999-12-31T23:59:59-12:00"}, "/at"),
        ({"outcome": "contacted", "at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}, "/at"),
    ],
)
def test_given_a_wrong_activity_then_400_points_at_it_and_nothing_is_recorded(
    owner: Api, campaign: str, body: object, pointer: str
) -> None:
    [contact] = contacts(campaign)
    refused = owner.post(f"/contacts/{contact}/activities", body)
    assert refused.status == 400
    assert pointers(refused) == [pointer]
    assert version(contact) == 1


def test_given_an_import_that_is_being_undone_then_its_contacts_are_409_and_others_are_not(
    owner: Api, campaign: str
) -> None:
    [undone] = contacts(campaign, upload_id=upload(owner, campaign, "reverting"))
    [other] = contacts(campaign, upload_id=upload(owner, campaign))
    [changed_by_it] = contacts(campaign, upload_id=upload(owner, campaign))
    execute(
        "INSERT INTO upload_changes (upload_id, contact_id, before, version)"
        " SELECT upload_id, %(contact)s, '{}', 1 FROM contacts WHERE id = %(undone)s",
        contact=changed_by_it,
        undone=undone,
    )
    for contact, changed, recorded in ((undone, 409, 409), (changed_by_it, 409, 409), (other, 200, 201)):
        assert owner.patch(f"/contacts/{contact}", {"full_name": "x"}).status == changed
        assert owner.post(f"/contacts/{contact}/activities", {"outcome": "contacted"}).status == recorded
    assert owner.get(f"/contacts/{undone}").json()["version"] == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("PATCH", "", {"full_name": "x"}), ("POST", "/activities", {"outcome": "contacted"})],
)
def test_given_an_import_that_begins_to_be_undone_then_who_works_on_its_contacts_waits_and_is_told(
    owner: Api, campaign: str, method: str, path: str, body: Any
) -> None:
    imported = upload(owner, campaign)
    [contact] = contacts(campaign, upload_id=imported)
    # GIVEN an import that is about to be undone, its row locked
    with owner_engine().begin() as connection, ThreadPoolExecutor(1) as pool:
        connection.exec_driver_sql("SELECT FROM campaign_uploads WHERE id = %(id)s FOR UPDATE", {"id": imported})
        # WHEN somebody works on one of its contacts
        working = pool.submit(owner.request, method, f"/contacts/{contact}{path}", json_body=body)
        threading.Event().wait(0.3)
        assert not working.done()
        # THEN the contact is still free for it, and who works on it is told
        connection.exec_driver_sql("SELECT FROM contacts WHERE id = %(id)s FOR UPDATE NOWAIT", {"id": contact})
        connection.exec_driver_sql(
            "UPDATE campaign_uploads SET status = 'reverting' WHERE id = %(id)s", {"id": imported}
        )
        connection.commit()
        assert working.result(timeout=10).status == 409
    assert version(contact) == 1


def test_given_an_import_under_way_then_its_contacts_can_be_worked_on_at_once(owner: Api, campaign: str) -> None:
    imported = upload(owner, campaign, "processing")
    [contact] = contacts(campaign, upload_id=imported)
    with owner_engine().begin() as connection:
        connection.exec_driver_sql("UPDATE campaign_uploads SET chunk = chunk + 1 WHERE id = %(id)s", {"id": imported})
        assert owner.post(f"/contacts/{contact}/activities", {"outcome": "contacted"}).status == 201


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/campaigns/{campaign}/contacts", Page[ContactRead]),
        ("/contacts/{contact}", ContactRead),
        ("/contacts/{contact}/activities", Page[ActivityRead]),
    ],
)
def test_given_json_built_by_postgresql_then_it_is_what_the_response_model_would_write(
    owner: Api, campaign: str, mine: str, path: str, model: type[Output]
) -> None:
    [contact] = contacts(campaign, agent_id=mine, full_name='línea\n"two"', attributes='{"a": [1, null]}')
    assert owner.post(f"/contacts/{contact}/activities", {"outcome": "contacted", "note": "ü\n"}).status == 201
    body = owner.get(path.format(campaign=campaign, contact=contact)).body
    assert json.loads(model.model_validate_json(body).model_dump_json()) == json.loads(body)


def test_given_each_kind_of_request_then_its_round_trips_to_the_database_are_few(
    owner: Api, worker: Api, campaign: str, mine: str
) -> None:
    [contact] = contacts(campaign, agent_id=mine)

    def round_trips(caller: Api, method: str, path: str, expected: int, body: object = None) -> int:
        with counted() as statements:
            answer = caller.request(method, path, json_body=body)
        assert answer.status == expected, answer
        return len(statements)

    for caller in (owner, worker):
        assert round_trips(caller, "GET", f"/campaigns/{campaign}/contacts", 200) == 2
        assert round_trips(caller, "GET", f"/contacts/{contact}", 200) == 2
        assert round_trips(caller, "GET", f"/contacts/{contact}/activities", 200) == 2
        assert round_trips(caller, "PATCH", f"/contacts/{contact}", 200, {"full_name": str(caller.id)}) == 6
        assert round_trips(caller, "POST", f"/contacts/{contact}/activities", 201, {"outcome": "contacted"}) == 7
