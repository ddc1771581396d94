"""What services hold is fetched page by page, from where it was left, by one at a time."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from functions.integration_syncer import fetching, service
from infra.local.events import schedule_event
from infra.local.invocation import invoke
from quintet.db import session as sessions
from tests.support.api import Api, events_about
from tests.support.receiving import answering, wait_until
from tests.support.services import (
    Services,
    ask,
    connected,
    read,
    records,
    send,
    sync,
    work_off,
)
from tests.support.statements import execute
from tests.support.uploading import received


def names(user: Api, id: str, kind: str = "repository", field: str = "full_name") -> list[str]:
    """What was fetched of a kind."""
    return sorted(record["data"][field] for record in records(user, id, kind=kind))


def test_given_repositories_and_issues_when_fetched_then_all_pages_are_records(user: Api, services: Services) -> None:
    for n in range(5):
        services.repository(f"r{n}")
    for n in range(3):
        services.issue(n, title=f"Bug {n}\0")
    id = connected(user, services, "github")
    assert sync(id) == []
    assert names(user, id) == [f"octo/r{n}" for n in range(5)]
    assert names(user, id, "issue", "title") == ["Bug 0", "Bug 1", "Bug 2"]
    [issue] = [record for record in records(user, id, kind="issue") if record["data"]["number"] == 1]
    assert issue["external_id"] == "5001"
    assert issue["data"]["repository"] == "octo/engine"
    assert issue["data"]["text"] == "Why?"
    found = read(user, id)
    assert (found["sync_status"], found["error"], found["stale_since"]) == ("success", None, None)
    assert found["last_synced_at"]
    assert found["next_sync_at"] > found["last_synced_at"]
    assert [type for type, _ in events_about(id)] == ["integration.sync_started", "integration.synced"]


def test_given_nothing_new_when_fetched_again_then_304_and_nothing_is_listed(user: Api, services: Services) -> None:
    for n in range(3):
        services.repository(f"r{n}")
        services.issue(n)
    id = connected(user, services, "github")
    sync(id)
    sync(id)  # learns the tag of the issues' address, which has `since` in it now
    services.requests.clear()
    assert sync(id) == []
    assert services.paths() == ["/user/repos", "/issues"]
    assert all("if-none-match" in request.headers for request in services.requests)
    assert read(user, id)["sync_status"] == "success"


def test_given_a_change_when_fetched_again_then_only_what_changed_since_is_asked_for(
    user: Api, services: Services
) -> None:
    for n in range(5):
        services.issue(n)
    id = connected(user, services, "github")
    sync(id)
    services.requests.clear()
    services.issue(2, title="Changed", updated_at="2026-11-03T00:00:00Z")
    sync(id)
    asked = [request for request in services.requests if request.path == "/issues"]
    assert asked[0].query["since"].startswith("2026-11-02T")
    assert len(asked) == 1
    assert "Changed" in names(user, id, "issue", "title")
    assert len(records(user, id, kind="issue")) == 5


def test_given_a_repository_that_is_gone_then_it_is_kept_and_stale(user: Api, services: Services) -> None:
    services.repository("stays")
    services.repository("goes")
    id = connected(user, services, "github")
    sync(id)
    services.repositories.pop(0)
    sync(id)
    stale = {record["data"]["full_name"]: record["stale_since"] for record in records(user, id)}
    assert stale["octo/goes"]
    assert stale["octo/stays"] is None


def test_given_a_repository_that_was_only_asked_for_then_it_is_not_stale_for_not_being_listed(
    user: Api, services: Services
) -> None:
    services.repository("mine")
    id = connected(user, services, "github")
    sync(id)
    elsewhere = {"id": 7, "full_name": "torvalds/linux"}
    services.behaviours["/repos/torvalds/linux"] = [answering(200, body=json.dumps(elsewhere).encode())]
    request = ask(user, id, "github.repository", owner="torvalds", repository="linux")
    send({"request_id": request["id"]})
    services.repository("another")
    sync(id)
    stale = {record["data"]["full_name"]: record["stale_since"] for record in records(user, id)}
    assert stale == {"torvalds/linux": None, "octo/mine": None, "octo/another": None}


def test_given_documents_when_fetched_then_at_first_all_and_then_the_changes(user: Api, services: Services) -> None:
    for n in range(5):
        services.document(f"doc{n}", name=f"Document {n}")
    id = connected(user, services, "google_docs")
    assert sync(id) == []
    assert names(user, id, "document", "name") == [f"Document {n}" for n in range(5)]
    services.requests.clear()
    services.document("doc1", name="Renamed")
    services.remove_document("doc2")
    services.document("doc9", name="New")
    services.changes.append({"fileId": "sheet", "file": {"id": "sheet", "name": "S", "mimeType": "spreadsheet"}})
    sync(id)
    assert services.paths() == ["/drive/v3/changes"] * 2
    assert names(user, id, "document", "name") == ["Document 0", "Document 3", "Document 4", "New", "Renamed"]
    services.requests.clear()
    sync(id)
    assert services.paths() == ["/drive/v3/changes"]


def test_given_a_token_of_changes_that_is_too_old_then_all_is_listed_again(user: Api, services: Services) -> None:
    services.document("doc1")
    id = connected(user, services, "google_docs")
    sync(id)
    services.documents["doc2"] = {"id": "doc2", "name": "Two"}
    services.behaviours["/drive/v3/changes"] = [answering(410, body=b'{"error": {"message": "Gone"}}')]
    sync(id)
    assert names(user, id, "document", "name") == ["A document", "Two"]


def test_given_a_crash_between_pages_then_it_goes_on_from_the_page_that_was_stored(
    user: Api, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(6):
        services.repository(f"r{n}")
    id = connected(user, services, "github")
    # WHEN the second page's commit fails
    commit, pages = sessions.commit, []

    def dying(session: Any) -> None:
        if services.requests[-1:] and services.requests[-1].query.get("page") == "2":
            pages.append(1)
            raise RuntimeError("killed")
        commit(session)

    with monkeypatch.context() as patch:
        patch.setattr(sessions, "commit", dying)
        patch.setattr(fetching, "_failed", lambda *_, **__: None)  # nothing is noted down by who is dead
        assert len(send({"integration_id": id})) == 1
    assert pages
    # THEN what was stored is what the checkpoint says, and while the lease lasts nobody begins
    assert names(user, id) == ["octo/r4", "octo/r5"]
    assert read(user, id)["sync_status"] == "running"
    assert send({"integration_id": id}) == []
    assert len(records(user, id)) == 2
    # AND once it is over the dispatcher has it done, from the second page on
    execute(
        "UPDATE integrations SET sync_lease_until = now() - interval '1 s', sync_sent_at = now() - interval '2 s'"
        " WHERE id = %(id)s",
        id=id,
    )
    services.requests.clear()
    invoke("event_dispatcher", schedule_event("event_dispatcher"))
    assert work_off() == 1
    assert [request.query.get("page") for request in services.requests][:2] == ["2", "3"]
    assert names(user, id) == [f"octo/r{n}" for n in range(6)]
    assert read(user, id)["sync_status"] == "success"


def test_given_two_who_fetch_at_once_then_the_older_stores_nothing_more(user: Api, services: Services) -> None:
    for n in range(6):
        services.repository(f"r{n}")
    id = connected(user, services, "github")
    held, go_on = threading.Event(), threading.Event()

    def hold(path: str) -> None:
        if services.requests[-1].query.get("page") == "2" and not held.is_set():
            held.set()
            go_on.wait(10)

    services.before = hold
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(send, {"integration_id": id})
        assert held.wait(10)
        # WHEN it takes so long that its lease runs out, and another begins and ends
        execute("UPDATE integrations SET sync_lease_until = now() - interval '1 s' WHERE id = %(id)s", id=id)
        assert send({"integration_id": id}) == []
        before = records(user, id)
        checkpoint = execute("SELECT checkpoint, sync_run FROM integrations WHERE id = %(id)s", id=id)
        go_on.set()
        assert first.result(20) == []
    # THEN what the first still gets goes nowhere
    assert records(user, id) == before
    assert execute("SELECT checkpoint, sync_run FROM integrations WHERE id = %(id)s", id=id) == checkpoint
    assert len(before) == 6
    assert [type for type, _ in events_about(id)].count("integration.synced") == 1


def test_given_a_message_that_comes_twice_then_it_is_fetched_once(user: Api, services: Services) -> None:
    services.repository("one")
    id = connected(user, services, "github")
    assert send({"integration_id": id}, {"integration_id": id}) == []
    assert services.paths().count("/user/repos") == 1


def test_given_no_time_left_then_the_rest_is_left_to_another_message(
    user: Api, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(6):
        services.repository(f"r{n}")
    id = connected(user, services, "github")
    monkeypatch.setattr(service, "SLICE_SECONDS", 0)
    assert send({"integration_id": id}) == []
    assert len(records(user, id)) == 2
    assert work_off() == 3  # two pages of repositories, and one of issues
    assert len(records(user, id)) == 6
    assert read(user, id)["sync_status"] == "success"


def test_given_an_hour_later_then_the_dispatcher_sends_what_is_due_and_once(
    user: Api, services: Services, nothing_due: None
) -> None:
    id = connected(user, services, "github")
    sync(id)
    execute("UPDATE integrations SET next_sync_at = now() + interval '1 day' WHERE id <> %(id)s", id=id)
    dispatch = schedule_event("event_dispatcher")
    assert invoke("event_dispatcher", dispatch)["syncs"] == 0
    execute(
        "UPDATE integrations SET next_sync_at = now() - interval '1 s', sync_sent_at = now() - interval '1 hour'"
        " WHERE id = %(id)s",
        id=id,
    )
    assert invoke("event_dispatcher", dispatch)["syncs"] == 1
    assert invoke("event_dispatcher", dispatch)["syncs"] == 0
    assert received("integrations") == [{"integration_id": id}]


def test_given_a_limit_that_is_used_up_then_it_is_fetched_when_the_service_says(user: Api, services: Services) -> None:
    services.repository("one")
    id = connected(user, services, "github")
    services.behaviours["/user/repos"] = [
        answering(403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "99999999999"})
    ]
    services.behaviours["/issues"] = [answering(429, {"retry-after": "1800"}, b"{}")]
    assert sync(id) == []
    [(seconds,)] = execute(
        "SELECT extract(epoch FROM next_sync_at - now())::int FROM integrations WHERE id = %(id)s", id=id
    )
    assert 86_000 < seconds <= 86_400  # a day at most
    sync(id)
    [(seconds,)] = execute(
        "SELECT extract(epoch FROM next_sync_at - now())::int FROM integrations WHERE id = %(id)s", id=id
    )
    assert 1_700 < seconds <= 1_800
    found = read(user, id)
    assert (found["sync_status"], found["error"]) == ("error", "GitHub asks us to wait.")
    assert found["stale_since"]
    assert records(user, id)[0]["stale_since"] == found["stale_since"]
    # AND whoever asks for it now waits, too
    asked = user.post(f"/integrations/{id}/sync").json()
    assert asked["next_sync_at"] == found["next_sync_at"]
    assert work_off() == 1
    # AND nobody who waits sleeps: one request each
    assert services.paths() == ["/user/repos", "/user/repos", "/issues"]


def test_given_an_answer_that_makes_no_sense_then_it_is_tried_later(user: Api, services: Services) -> None:
    id = connected(user, services, "github")
    services.behaviours["/user/repos"] = [answering(200, body=b'{"not": "a list"}')]
    assert sync(id) == []
    assert read(user, id)["error"] == "GitHub answered something that makes no sense."
    services.repository("one")
    sync(id)
    assert names(user, id) == ["octo/one"]


def test_given_a_next_page_elsewhere_then_no_token_goes_there(user: Api, services: Services) -> None:
    services.repository("one")
    id = connected(user, services, "github")
    other = services.url.replace("127.0.0.1", "localhost")
    services.behaviours["/user/repos"] = [answering(200, {"link": f'<{other}/steal>; rel="next"'}, b"[]")]
    assert sync(id) == []
    assert services.paths() == ["/user/repos"]
    assert read(user, id)["error"] == "GitHub named an address that is not its own."


def test_given_a_page_that_is_refused_then_it_begins_anew_next_time(user: Api, services: Services) -> None:
    for n in range(5):
        services.repository(f"r{n}")
    id = connected(user, services, "github")

    def refuse(path: str) -> None:
        if services.requests[-1].query.get("page") == "2":
            services.behaviours[path] = [answering(422, body=b"{}")]

    services.before = refuse
    sync(id)
    found = read(user, id)
    assert (found["sync_status"], found["error"]) == ("error", "GitHub answered 422.")
    assert len(records(user, id)) == 2
    services.before = lambda _: None
    services.requests.clear()
    sync(id)
    assert [request.query.get("page") for request in services.requests] == [None, "2", "3", None]
    assert names(user, id) == [f"octo/r{n}" for n in range(5)]


def test_given_pages_in_a_circle_then_it_ends(user: Api, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "MAX_PAGES", 5)
    id = connected(user, services, "github")
    circle = answering(200, {"link": f'<{services.url}/user/repos?page=2>; rel="next"'}, b"[]")
    services.behaviours["/user/repos"] = [circle] * 20
    assert sync(id) == []
    assert len(services.requests) <= 6
    found = read(user, id)
    assert (found["sync_status"], found["error"]) == ("error", "GitHub has page after page without end.")
    # AND the next time it begins anew, with as many pages before it
    services.behaviours.clear()
    for n in range(6):
        services.repository(f"r{n}")
    for _ in range(2):
        sync(id)
        assert read(user, id)["sync_status"] == "success"
    assert len(records(user, id)) == 6


def test_given_a_retry_after_of_years_then_it_is_tried_after_a_day(user: Api, services: Services) -> None:
    id = connected(user, services, "github")
    services.behaviours["/user/repos"] = [answering(503, {"retry-after": "999999999"})] * 3
    assert sync(id) == []
    [(seconds,)] = execute(
        "SELECT extract(epoch FROM next_sync_at - now())::int FROM integrations WHERE id = %(id)s", id=id
    )
    assert 86_000 < seconds <= 86_400


def test_given_numbers_that_postgresql_has_not_then_they_are_left_out(user: Api, services: Services) -> None:
    services.repository("one", open_issues_count=float("inf"), description=[float("nan"), 1.5])
    id = connected(user, services, "github")
    assert sync(id) == []
    [record] = records(user, id)
    assert (record["data"]["open_issues_count"], record["data"]["description"]) == (None, [None, 1.5])


def test_given_a_redirect_then_it_is_followed_within_the_service_alone(user: Api, services: Services) -> None:
    services.repository("one")
    id = connected(user, services, "github")
    services.behaviours["/user/repos"] = [answering(301, {"location": "/user/repos?moved=1"})]
    sync(id)
    assert names(user, id) == ["octo/one"]
    other = services.url.replace("127.0.0.1", "localhost")
    services.requests.clear()
    services.behaviours["/user/repos"] = [answering(302, {"location": f"{other}/steal"})]
    sync(id)
    assert services.paths() == ["/user/repos"]
    assert read(user, id)["error"] == "GitHub named an address that is not its own."


def test_given_somebody_who_disconnects_meanwhile_then_nothing_is_stored(user: Api, services: Services) -> None:
    for n in range(6):
        services.repository(f"r{n}")
    id = connected(user, services, "github")

    def disconnect(path: str) -> None:
        if services.requests[-1].query.get("page") == "2":
            assert user.delete(f"/integrations/{id}").status == 204

    services.before = disconnect
    assert send({"integration_id": id}) == []
    assert execute("SELECT count(*) FROM integration_records WHERE integration_id = %(id)s", id=id)[0][0] == 2
    work_off()
    assert execute("SELECT count(*) FROM integration_records WHERE integration_id = %(id)s", id=id)[0][0] == 0
    wait_until(lambda: not execute("SELECT FROM integrations WHERE id = %(id)s", id=id))
