"""Webhooks as their owners make, change and watch them."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from functions.event_dispatcher.service import dispatch
from functions.maintenance.expiry import remove_expired_rows
from functions.webhooks import queries
from functions.webhooks.service import MAX_WEBHOOKS
from infra.local.events import schedule_event
from infra.local.invocation import invoke
from quintet.config import settings
from quintet.db.engine import owner_engine
from quintet.db.models.accounts import User
from quintet.db.session import writing
from quintet.events.record import Happening, record_all, scope_of
from quintet.events.types import WEBHOOK_TYPES, EventType
from quintet.identity.sessions import end_sessions
from tests.support.api import Api, events_about
from tests.support.expect import pointers, problem
from tests.support.people import person
from tests.support.receiving import deliveries, remove_all
from tests.support.statements import counted, execute
from tests.support.uploading import project_of, received

URL = "https://example.com/hook"
NOTHING = ["division.removed"]
"""Types that do not come up here."""


@pytest.fixture(autouse=True)
def quiet(own_queues: None) -> Iterator[None]:
    """Nobody subscribes to anything, before and after, and nothing is queued."""
    remove_all()
    yield
    remove_all()


@pytest.fixture
def webhook(user: Api) -> dict[str, Any]:
    """A webhook of the user's, as it was answered."""
    made = user.post("/webhooks", {"url": URL, "types": NOTHING})
    assert made.status == 201, made
    answer: dict[str, Any] = made.json()
    return answer


def path_of(webhook: dict[str, Any]) -> str:
    """Its path."""
    return f"/webhooks/{webhook['id']}"


def deliver(webhook: dict[str, Any], n: int, status: str = "delivered", age: str = "0 days") -> None:
    """As if that many events had been sent there."""
    execute(
        "INSERT INTO webhook_deliveries (id, webhook_id, event_id, type, status, attempts, next_attempt_at, done_at) "
        "SELECT uuidv7(-%(age)s::interval), %(id)s, uuidv7(), 'project.created', %(status)s, 1, "
        "CASE WHEN %(status)s = 'pending' THEN now() END, CASE WHEN %(status)s <> 'pending' THEN now() END "
        "FROM generate_series(1, %(n)s)",
        id=webhook["id"],
        n=n,
        status=status,
        age=age,
    )


def test_given_a_new_webhook_then_it_is_as_it_was_asked_for_and_the_secret_is_answered_once(user: Api) -> None:
    made = user.post(
        "/webhooks", {"url": URL, "types": ["project.updated", "file.ready", "file.ready"], "description": " The shop "}
    )
    assert made.status == 201
    webhook = made.json()
    assert made.header("location") == f"/api/v1{path_of(webhook)}"
    assert made.header("etag") == '"1"'
    secret = webhook.pop("secret")
    assert len(secret) == len("whsec_") + 44
    assert (webhook["types"], webhook["description"]) == (["file.ready", "project.updated"], "The shop")
    assert (webhook["status"], webhook["paused_reason"], webhook["url"]) == ("active", None, URL)
    assert user.get(path_of(webhook)).json() == webhook
    assert user.get("/webhooks").json() == {"items": [webhook], "next_cursor": None}
    assert events_about(webhook["id"]) == [("webhook.created", {"types": ["file.ready", "project.updated"]})]


def test_given_the_same_key_then_it_is_made_once_and_the_secret_is_not_lost_with_the_first_answer(user: Api) -> None:
    key = {"idempotency-key": "once"}
    first, second = (user.post("/webhooks", {"url": URL, "types": NOTHING}, headers=key) for _ in range(2))
    assert first.json() == second.json()
    assert len(user.get("/webhooks").json()["items"]) == 1
    path = f"{path_of(first.json())}/rotate-secret"
    rotated = [user.post(path, headers=key).json() for _ in range(2)]
    assert rotated[0] == rotated[1]


@pytest.mark.parametrize("type", ["session.started", "account.password_changed", "webhook.created", "nonsense", "*"])
def test_given_a_type_that_is_not_sent_then_it_is_refused(user: Api, type: str) -> None:
    answer = user.post("/webhooks", {"url": URL, "types": ["file.ready", type]})
    assert problem(answer, 400)
    assert pointers(answer) == ["/types/1"]


def test_given_the_types_then_none_is_about_accounts_and_most_are_there() -> None:
    assert len(WEBHOOK_TYPES) > len(EventType) / 2
    subjects = {type.partition(".")[0] for type in WEBHOOK_TYPES}
    assert not subjects & {"account", "session", "role", "signing_key", "address", "webhook"}


def test_given_twenty_then_no_more_even_by_two_at_once(user: Api) -> None:
    for _ in range(MAX_WEBHOOKS - 1):
        assert user.post("/webhooks", {"url": URL, "types": NOTHING}).status == 201
    together = threading.Barrier(4)

    def create(_: int) -> int:
        together.wait()
        return user.post("/webhooks", {"url": URL, "types": NOTHING}).status

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(create, range(4))) == [201, 409, 409, 409]
    assert len(user.get("/webhooks").json()["items"]) == MAX_WEBHOOKS
    assert person().post("/webhooks", {"url": URL, "types": NOTHING}).status == 201


def test_given_sessions_that_end_while_a_webhook_is_made_then_there_is_none() -> None:
    user = person()
    with ThreadPoolExecutor(1) as pool:
        with writing() as session:
            session.execute(select(User).where(User.id == user.id).with_for_update())
            end_sessions(session, user.id)
            making = pool.submit(user.post, "/webhooks", {"url": "https://example.com/", "types": ["project.created"]})
            while not execute("SELECT 1 FROM pg_locks WHERE NOT granted"):
                time.sleep(0.02)
        assert problem(making.result(), 401)
    assert execute("SELECT 1 FROM webhooks WHERE owner_id = %(id)s", id=user.id) == []


def test_given_a_change_then_what_is_sent_changes_and_the_rest_stays(user: Api, webhook: dict[str, Any]) -> None:
    path = path_of(webhook)
    changed = user.patch(path, {"url": "https://example.org/", "types": []}, headers={"if-match": '"1"'})
    assert changed.status == 200
    assert (changed.json()["url"], changed.json()["types"], changed.json()["version"]) == (
        "https://example.org/",
        [],
        2,
    )
    problem(user.patch(path, {"description": "x"}, headers={"if-match": '"1"'}), 412)
    assert events_about(webhook["id"])[-1] == ("webhook.updated", {"fields": ["types", "url"]})
    # WHEN nothing changes THEN nothing happens
    assert user.put(path, {"types": []}).json()["version"] == 2
    assert user.get(path, headers={"if-none-match": '"2"'}).status == 304


def test_given_pausing_and_resuming_then_the_reason_tells_whose_it_is(user: Api, webhook: dict[str, Any]) -> None:
    path = path_of(webhook)
    assert user.patch(path, {"status": "paused"}).json()["paused_reason"] == "owner"
    assert user.patch(path, {"status": "active"}).json()["paused_reason"] is None
    execute("UPDATE webhooks SET status = 'paused', paused_reason = 'gone' WHERE id = %(id)s", id=webhook["id"])
    assert user.patch(path, {"status": "paused", "description": "x"}).json()["paused_reason"] == "gone"
    problem(user.post(f"{path}/test"), 409)
    assert user.put(path, {"status": "active"}).json()["paused_reason"] is None


def test_given_deletion_then_webhook_and_deliveries_are_gone(user: Api, webhook: dict[str, Any]) -> None:
    deliver(webhook, 3)
    problem(user.delete(path_of(webhook), headers={"if-match": '"9"'}), 412)
    assert user.delete(path_of(webhook)).status == 204
    problem(user.get(path_of(webhook)), 404)
    problem(user.get(f"{path_of(webhook)}/deliveries"), 404)
    assert execute("SELECT FROM webhook_deliveries WHERE webhook_id = %(id)s", id=webhook["id"]) == []
    # AND with an account that is deleted for good go its webhooks
    gone = person()
    other = gone.post("/webhooks", {"url": URL, "types": NOTHING}).json()
    execute("DELETE FROM sessions WHERE user_id = %(id)s", id=gone.id)
    execute("DELETE FROM users WHERE id = %(id)s", id=gone.id)
    assert execute("SELECT FROM webhooks WHERE id = %(id)s", id=other["id"]) == []


def test_given_a_test_then_that_webhook_alone_gets_it_whatever_it_wants(user: Api, webhook: dict[str, Any]) -> None:
    every = user.post("/webhooks", {"url": URL}).json()
    answer = user.post(f"{path_of(webhook)}/test")
    assert (answer.status, answer.json()["status"], answer.json()["type"]) == (202, "pending", "webhook.test")
    assert received("webhooks") == [{"delivery_id": answer.json()["id"]}]
    assert deliveries(user, webhook) == [answer.json()]
    assert deliveries(user, every) == []


def test_given_many_tests_then_a_receiver_is_spared(user: Api, webhook: dict[str, Any]) -> None:
    for _ in range(60):
        assert user.post(f"{path_of(webhook)}/test").status == 202
    refused = user.post(f"{path_of(webhook)}/test")
    assert problem(refused, 429)
    assert int(refused.header("retry-after") or 0) > 0


def test_given_deliveries_then_pages_are_newest_first_and_by_status(user: Api, webhook: dict[str, Any]) -> None:
    other = user.post("/webhooks", {"url": URL, "types": NOTHING}).json()
    deliver(other, 5)
    deliver(webhook, 4)
    deliver(webhook, 3, "failed")
    deliver(webhook, 2, "pending")
    path = f"{path_of(webhook)}/deliveries"
    first = user.get(path, query=[("limit", "5")]).json()
    second = user.get(path, query=[("limit", "5"), ("cursor", first["next_cursor"])]).json()
    every = [item["id"] for item in first["items"] + second["items"]]
    assert every == sorted(every, reverse=True)
    assert len(every) == 9
    assert second["next_cursor"] is None
    assert [item["status"] for item in first["items"]] == ["pending"] * 2 + ["failed"] * 3
    assert {item["status"] for item in deliveries(user, webhook, status="failed")} == {"failed"}
    assert len(deliveries(user, webhook, status="failed")) == 3
    problem(user.get(path, query=[("status", "lost")]), 400)
    assert deliveries(user, user.post("/webhooks", {"url": URL, "types": NOTHING}).json()) == []


def test_given_a_delivery_of_another_webhook_then_it_cannot_be_sent_to_this_one(
    user: Api, webhook: dict[str, Any]
) -> None:
    other = person()
    theirs = other.post("/webhooks", {"url": URL, "types": NOTHING}).json()
    deliver(theirs, 1)
    [delivery] = deliveries(other, theirs)
    problem(user.post(f"{path_of(webhook)}/deliveries/{delivery['id']}/redeliver"), 404)
    problem(user.post(f"{path_of(theirs)}/deliveries/{delivery['id']}/redeliver"), 404)
    # WHEN it is pending there, that is not told either
    execute("UPDATE webhook_deliveries SET status = 'pending' WHERE id = %(id)s", id=delivery["id"])
    problem(user.post(f"{path_of(webhook)}/deliveries/{delivery['id']}/redeliver"), 404)


def test_given_time_then_deliveries_are_kept_for_30_days(user: Api, webhook: dict[str, Any]) -> None:
    deliver(webhook, 2, age="29 days")
    deliver(webhook, 3, age="31 days")
    deliver(webhook, 1, "pending", age="31 days")
    assert remove_expired_rows(lambda: True)["webhook_deliveries"] == 3
    assert len(deliveries(user, webhook)) == 3


@pytest.mark.usefixtures("nothing_due")
def test_given_due_deliveries_then_each_is_sent_once_by_two_dispatchers_at_once(
    user: Api, webhook: dict[str, Any]
) -> None:
    deliver(webhook, 150, "pending")
    deliver(webhook, 5)
    together = threading.Barrier(2)

    def dispatch(_: int) -> int:
        together.wait()
        done: dict[str, int] = invoke("event_dispatcher", schedule_event("event_dispatcher"))
        return done["webhooks"]

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(dispatch, range(2))) == 150
    sent = [message["delivery_id"] for message in received("webhooks")]
    assert len(sent) == len(set(sent)) == 150


@pytest.mark.usefixtures("nothing_due")
def test_given_a_backlog_then_what_is_due_longer_is_sent_less_often(user: Api, webhook: dict[str, Any]) -> None:
    deliver(webhook, 1, "pending")

    def minutes(**due: str) -> int:
        """From a dispatcher's run to when it looks again, for a delivery that is due since then."""
        assignments = ", ".join(f"{column} = {value}" for column, value in due.items())
        execute(f"UPDATE webhook_deliveries SET next_attempt_at = now(), {assignments}")
        assert invoke("event_dispatcher", schedule_event("event_dispatcher"))["webhooks"] == 1
        [[wait]] = execute("SELECT round(extract(epoch FROM next_attempt_at - now()) / 60) FROM webhook_deliveries")
        return int(wait)

    # GIVEN one that waits for its first attempt THEN that counts since it was made
    assert minutes(created_at="now() - interval '1 minute'") == 5
    assert minutes(created_at="now() - interval '2 hours'") == 120
    # WHEN it waits for another THEN it counts since that is due
    assert minutes(lease_until="now() - interval '1 minute'") == 5
    assert minutes(lease_until="now() - interval '50 minutes'") == 50
    assert minutes(lease_until="now() - interval '3 days'") == 360
    # WHEN it is to be sent again THEN it begins anew
    execute("UPDATE webhook_deliveries SET status = 'failed'")
    [found] = deliveries(user, webhook)
    assert user.post(f"{path_of(webhook)}/deliveries/{found['id']}/redeliver").status == 202
    assert minutes(attempts="0") == 5


@pytest.mark.usefixtures("nothing_due")
def test_given_a_backlog_that_takes_all_the_time_then_tallies_are_merged_all_the_same(
    user: Api, webhook: dict[str, Any]
) -> None:
    campaign = user.with_permissions("*").post("/campaigns", {"name": "Spring"}).json()["id"]
    execute(
        "INSERT INTO contact_tallies (campaign_id, status, n) VALUES (%(id)s, 'new', 1), (%(id)s, 'new', 2)",
        id=campaign,
    )
    deliver(webhook, 300, "pending")
    done = dispatch(lambda: execute("SELECT FROM contact_tallies WHERE NOT merged") != [])
    assert (done["tallies"], done["webhooks"]) == (2, 0)


@pytest.mark.usefixtures("nothing_due")
def test_given_a_queue_that_does_not_answer_then_the_dispatcher_says_so_and_comes_back(
    user: Api, webhook: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(webhook, 1, "pending")
    url = settings().queue_urls["webhooks"]
    monkeypatch.setitem(settings().queue_urls, "webhooks", url + "-nowhere")
    with pytest.raises(RuntimeError, match="webhooks"):
        invoke("event_dispatcher", schedule_event("event_dispatcher"))
    # A change that somebody wants to hear of stands all the same.
    assert user.post(f"{path_of(webhook)}/test").status == 202
    monkeypatch.setitem(settings().queue_urls, "webhooks", url)
    execute("UPDATE webhook_deliveries SET next_attempt_at = now() WHERE status = 'pending'")
    assert invoke("event_dispatcher", schedule_event("event_dispatcher"))["webhooks"] == 2


# --- what it costs ----------------------------------------------------------------------------------------


def test_given_reads_then_each_takes_one_statement_besides_identity(user: Api, webhook: dict[str, Any]) -> None:
    deliver(webhook, 3)
    for path in ("/webhooks", path_of(webhook), f"{path_of(webhook)}/deliveries"):
        with counted() as statements:
            assert user.get(path).status == 200
        assert len(statements) == 2, (path, statements)


def test_given_many_deliveries_then_a_page_reads_no_more_than_itself(user: Api, webhook: dict[str, Any]) -> None:
    deliver(webhook, 3000)
    deliver(webhook, 100, "failed")
    deliver(webhook, 3000)
    execute("ANALYZE webhook_deliveries")
    params = {"webhook_id": webhook["id"], "before": UUID(int=2**128 - 1), "limit": 50, "status": "failed"}
    for sql in (queries.ALL, queries.OF_STATUS):
        [[[plan]]] = execute(f"EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM ({sql}) r", **params)
        nodes = [plan["Plan"]]
        for node in nodes:
            nodes += node.get("Plans", [])
        assert max(node["Actual Rows"] for node in nodes) == 51
        assert sum(node.get("Rows Removed by Filter", 0) for node in nodes) == 0


def test_given_a_subscriber_then_a_write_takes_no_statement_more(owner: Api) -> None:
    project = f"/projects/{project_of(owner)}"

    def round_trips(title: str) -> int:
        with counted() as statements:
            assert owner.patch(project, {"title": title}).status == 200
        return len(statements)

    without = round_trips("one")
    assert received("webhooks") == []
    assert owner.post("/webhooks", {"url": URL}).status == 201
    assert round_trips("two") == without
    assert len(received("webhooks")) == 1


def test_given_many_events_recorded_at_once_then_each_that_is_wanted_is_sent_with_what_else_waits_for_it(
    user: Api,
) -> None:
    assert user.post("/webhooks", {"url": URL, "types": ["file.ready", "file.rejected"]}).status == 201
    kinds = [EventType.FILE_READY, EventType.PROJECT_UPDATED, EventType.FILE_REJECTED, EventType.SESSION_ENDED] * 2
    received("email")
    with counted() as statements, writing() as session:
        record_all(session, [Happening(kind, user.id, scope_of("user", user.id)) for kind in kinds])
    assert len(statements) == 3  # BEGIN and COMMIT among them
    wanted, mailed = (
        {message["event_id"]: message["destination"] for message in received(queue)} for queue in ("webhooks", "email")
    )
    rows = execute("SELECT id::text, type FROM events WHERE subject_id = %(id)s AND type = ANY(%(types)s)",
                   id=user.id, types=[kind.value for kind in kinds])  # fmt: skip
    assert wanted == {row.id: "webhooks" for row in rows if row.type.startswith("file.")}
    assert mailed == {row.id: "email" for row in rows if row.type == "file.rejected"}
    assert len(rows) == 8


def test_given_many_webhooks_that_want_something_else_then_an_index_tells_that_nobody_wants_it(user: Api) -> None:
    execute(
        "INSERT INTO webhooks (owner_id, url, types, secret) "
        "SELECT %(id)s, %(url)s, '{file.ready,division.removed}', 's' FROM generate_series(1, 20000)",
        id=user.id,
        url=URL,
    )
    execute("ANALYZE webhooks")
    scanned = "SELECT seq_scan, idx_scan FROM pg_stat_xact_user_tables WHERE relname = 'webhooks'"
    with owner_engine().connect() as connection:
        before = connection.exec_driver_sql(scanned).one()
        for _ in range(8):  # after five the plan is made for every type alike
            wanted = connection.exec_driver_sql("SELECT sent_to_webhooks(uuidv7(), 'project.created')").scalar_one()
            assert not wanted
        after = connection.exec_driver_sql(scanned).one()
        assert connection.exec_driver_sql("SELECT sent_to_webhooks(uuidv7(), 'file.ready')").scalar_one()
    assert after.seq_scan == before.seq_scan
    assert after.idx_scan > before.idx_scan
    execute("DELETE FROM webhooks")
    execute("ANALYZE webhooks")
