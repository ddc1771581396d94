"""Webhooks in full: real writes, the real queue and sender, a real receiver that behaves well or badly."""

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from functions.webhook_sender import posting, queries
from functions.webhook_sender.queries import AT_ONCE
from functions.webhook_sender.schedule import SCHEDULE
from infra.local.events import sqs_event
from infra.local.invocation import invoke
from quintet.config import settings
from tests.support.api import Api, events_about
from tests.support.conversing import direct, group
from tests.support.expect import logged, problem
from tests.support.mailroom import listening
from tests.support.people import person
from tests.support.receiving import (
    Receiver,
    answering,
    deliveries,
    dripping,
    encrypted,
    hanging,
    let_time_pass,
    receiving,
    remove_all,
    saying,
    send,
    subscribe,
    wait_until,
    work_off,
)
from tests.support.statements import execute
from tests.support.uploading import project_of, received


@pytest.fixture(autouse=True)
def quiet(own_queues: None) -> Iterator[None]:
    """Nobody subscribes to anything, before and after, and nothing is queued."""
    remove_all()
    yield
    remove_all()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that answers 204."""
    with receiving() as found:
        yield found


@pytest.fixture
def other() -> Iterator[Receiver]:
    """Another one."""
    with receiving() as found:
        yield found


def rename(owner: Api, project: str, title: str = "Changed") -> None:
    """Something that happens in a project."""
    assert owner.patch(f"/projects/{project}", {"title": title}).status == 200


# --- what is sent -----------------------------------------------------------------------------------------


def test_given_a_subscription_when_something_happens_then_the_event_arrives_signed(
    owner: Api, receiver: Receiver
) -> None:
    webhook = subscribe(owner, receiver)
    project = project_of(owner)
    assert work_off() == 2  # the event, and its delivery
    [request] = receiver.requests
    # THEN it is as Standard Webhooks has it, which an implementation that is not ours agrees with
    message = Webhook(webhook["secret"]).verify(request.body, request.headers)
    [event] = owner.get("/events", query=[("type", "project.created")]).json()["items"]
    assert message == {
        "type": "project.created",
        "timestamp": event["at"],
        "data": {name: value for name, value in event.items() if name not in ("ip", "request_id")},
    }
    assert event["subject_id"] == project
    assert request.path == "/hook?key=1"
    assert request.headers["webhook-id"] == event["id"]
    assert request.headers["content-type"] == "application/json"
    assert request.headers["host"] == receiver.url.split("/")[2]
    assert request.headers.keys() == {
        *("host", "accept-encoding", "content-length", "content-type", "user-agent", "connection"),
        *("webhook-id", "webhook-timestamp", "webhook-signature"),
    }
    [delivery] = deliveries(owner, webhook)
    assert (delivery["status"], delivery["attempts"], delivery["status_code"]) == ("delivered", 1, 204)
    assert (delivery["event_id"], delivery["type"], delivery["error"]) == (event["id"], "project.created", None)
    assert delivery["latency_ms"] >= 0
    assert delivery["done_at"]
    assert delivery["next_attempt_at"] is None


def test_given_a_test_then_it_arrives_signed_like_others(owner: Api, receiver: Receiver) -> None:
    webhook = subscribe(owner, receiver, "division.removed")
    assert owner.post(f"/webhooks/{webhook['id']}/test").status == 202
    work_off()
    [request] = receiver.requests
    message = Webhook(webhook["secret"]).verify(request.body, request.headers)
    assert (message["type"], message["data"]["subject_id"]) == ("webhook.test", webhook["id"])
    assert deliveries(owner, webhook)[0]["status"] == "delivered"


def test_given_types_then_only_events_of_those_are_sent_and_without_subscribers_nothing_is_queued(
    owner: Api, receiver: Receiver, other: Receiver
) -> None:
    project = project_of(owner)
    assert received("webhooks") == []
    some = subscribe(owner, receiver, "project.updated", "project.archived")
    rename(owner, project)
    owner.post(f"/projects/{project}/members", {})
    work_off()
    every = subscribe(owner, other)
    assert owner.post("/folders", {"project_id": project, "name": "F"}).status == 201
    assert owner.delete(f"/projects/{project}").status == 204
    work_off()
    assert receiver.types == ["project.updated", "project.archived"]
    assert other.types == ["folder.created", "project.archived"]
    # WHEN one is paused and the other deleted THEN nobody is asked to send anything
    assert owner.patch(f"/webhooks/{some['id']}", {"status": "paused"}).status == 200
    assert owner.delete(f"/webhooks/{every['id']}").status == 204
    project_of(owner)
    assert received("webhooks") == []


def test_given_what_protects_accounts_then_it_is_never_sent(api: Api, receiver: Receiver) -> None:
    user = api.register()
    webhook = subscribe(user.with_permissions("*"), receiver)
    assert user.patch("/users/me", {"full_name": "Another"}).status == 200
    user.sign_in(user.user["email"])
    assert user.post("/roles", {"name": f"r{webhook['id'][-12:]}"}).status == 201
    assert user.post(f"/webhooks/{webhook['id']}/rotate-secret").status == 200
    assert user.post("/divisions", {"name": f"D {webhook['id']}"}).status == 201
    work_off()
    assert receiver.types == ["division.created"]


def test_given_people_and_scopes_then_each_gets_what_they_may_read_when_it_is_sent(receiver: Receiver) -> None:
    owner, member, stranger, auditor = person(), person(), person(), person().with_permissions("events:read_all")
    project = project_of(owner, viewer=member)
    people = {"owner": owner, "member": member, "stranger": stranger, "auditor": auditor}
    hooks = {name: subscribe(who, receiver) for name, who in people.items()}
    rename(owner, project)
    direct(owner, member)
    work_off()
    got = {name: {found["type"] for found in deliveries(who, hooks[name])} for name, who in people.items()}
    both = {"project.updated", "conversation.created"}
    assert got == {"owner": both, "member": both, "stranger": set(), "auditor": {"project.updated"}}


def test_given_what_members_of_conversations_are_told_for_themselves_then_it_is_sent_to_them_alone(
    receiver: Receiver,
) -> None:
    owner, member, auditor = person(), person(), person().with_permissions("events:read_all")
    conversation = group(owner, member)
    people = (owner, member, auditor)
    webhooks = [subscribe(who, receiver, "conversation.removed") for who in people]
    assert owner.delete(f"/conversations/{conversation}").status == 204
    work_off()
    assert [len(deliveries(who, made)) for who, made in zip((owner, member, auditor), webhooks, strict=True)] == [
        1,
        1,
        0,
    ]


def test_given_a_member_who_is_removed_then_not_even_what_happened_before_is_sent_to_them(
    owner: Api, receiver: Receiver
) -> None:
    member = person()
    project = project_of(owner, viewer=member)
    webhook = subscribe(member, receiver, "project.updated")
    # GIVEN one event that is waiting to be planned, and one that has failed once and waits for its next attempt
    receiver.behaviour = answering(500)
    rename(owner, project, "One")
    work_off()
    rename(owner, project, "Two")
    assert owner.delete(f"/projects/{project}/members/{member.id}").status == 204
    receiver.requests.clear()
    receiver.behaviour = answering(204)
    # WHEN they are worked on THEN nothing arrives
    work_off()
    let_time_pass(webhook)
    work_off()
    assert receiver.requests == []
    [delivery] = deliveries(member, webhook)
    assert delivery["status"] == "failed"
    assert "no longer read" in delivery["error"]


def test_given_an_owner_who_is_disabled_then_nothing_is_sent(owner: Api, receiver: Receiver) -> None:
    subscribe(owner, receiver)
    project_of(owner)
    execute("UPDATE users SET status = 'disabled' WHERE id = %(id)s", id=owner.id)
    work_off()
    assert receiver.requests == []


# --- once, and again --------------------------------------------------------------------------------------


def test_given_a_message_that_comes_again_or_two_consumers_at_once_then_it_is_sent_once(
    owner: Api, receiver: Receiver
) -> None:
    webhook = subscribe(owner, receiver)
    project_of(owner)
    [planned] = received("webhooks")
    together = threading.Barrier(6)

    def at_once(message: dict[str, Any]) -> None:
        together.wait()
        assert send(message) == []

    # WHEN six consumers plan, and six send
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(at_once, [planned] * 6))
    [message] = received("webhooks")
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(at_once, [message] * 6))
    assert send(message, planned, message) == []
    assert len(receiver.requests) == 1
    [delivery] = deliveries(owner, webhook)
    assert delivery["attempts"] == 1
    # THEN planning again, as after a crash, makes nothing new
    execute("UPDATE deliveries SET done_at = NULL, lease_until = NULL WHERE event_id = %(id)s", id=planned["event_id"])
    assert send(planned) == []
    assert received("webhooks") == []


def test_given_a_sender_killed_before_its_commit_then_it_is_sent_again_under_the_same_id(
    owner: Api, receiver: Receiver, repository: Path
) -> None:
    webhook = subscribe(owner, receiver)
    project_of(owner)
    send(*received("webhooks"))
    [message] = received("webhooks")
    code = (
        "import json, sys; from infra.local.events import sqs_event; from infra.local.invocation import invoke;"
        "invoke('webhook_sender', sqs_event('webhooks', [json.loads(sys.argv[1])]))"
    )
    process: subprocess.Popen[bytes]

    def kill(_: Any) -> None:
        process.kill()
        process.wait(10)

    receiver.behaviour = kill
    # GIVEN a process that is killed when its request has arrived
    process = subprocess.Popen([sys.executable, "-c", code, json.dumps(message)], cwd=repository, env=_own(repository))
    assert process.wait(60) == -9
    [first] = receiver.requests
    # THEN while the dead one's lease lasts nobody sends, and afterwards it is sent again
    receiver.behaviour = answering(204)
    assert send(message) == []
    assert len(receiver.requests) == 1
    let_time_pass(webhook)
    assert work_off() == 1
    second = receiver.requests[1]
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    [delivery] = deliveries(owner, webhook)
    assert (delivery["status"], delivery["attempts"]) == ("delivered", 2)


def _own(repository: Path) -> dict[str, str]:
    """The environment of a process of its own."""
    return os.environ | {"PYTHONPATH": f"{repository}:{repository / 'layers' / 'shared' / 'python'}"}


def test_given_a_lost_message_then_the_dispatcher_sends_it(owner: Api, receiver: Receiver) -> None:
    webhook = subscribe(owner, receiver)
    project_of(owner)
    send(*received("webhooks"))
    assert len(received("webhooks")) == 1  # and is lost
    let_time_pass(webhook)
    assert work_off() == 1
    assert len(receiver.requests) == 1


def test_given_a_receiver_that_fails_for_a_day_then_it_is_tried_as_scheduled_and_paused_and_its_owner_told(
    owner: Api, receiver: Receiver
) -> None:
    receiver.behaviour = answering(500)
    webhook = subscribe(owner, receiver, "project.created")
    project_of(owner)
    work_off()
    for attempt, wait in enumerate(SCHEDULE, 1):
        [row] = execute(
            "SELECT attempts, status, error, extract(epoch FROM next_attempt_at - now()) AS wait, "
            "next_attempt_at = lease_until AS both FROM webhook_deliveries WHERE webhook_id = %(id)s",
            id=webhook["id"],
        )
        assert (row.attempts, row.status, row.error, row.both) == (attempt, "pending", "It answered 500.", True)
        assert wait - 10 < row.wait <= wait
        # THEN a message that comes too early does nothing
        [found] = deliveries(owner, webhook)
        assert send({"delivery_id": found["id"]}) == []
        assert len(receiver.requests) == attempt
        let_time_pass(webhook)
        assert work_off() == 1
    assert len(receiver.requests) == len(SCHEDULE) + 1
    assert {request.headers["webhook-id"] for request in receiver.requests} == {found["event_id"]}
    [found] = deliveries(owner, webhook, status="failed")
    assert found["next_attempt_at"] is None
    read = owner.get(f"/webhooks/{webhook['id']}").json()
    assert (read["status"], read["paused_reason"], read["version"]) == ("paused", "failing", 2)
    assert events_about(webhook["id"])[-1] == ("webhook.paused", {"reason": "failing"})
    # AND its owner gets an email, without the query, which may hold a token
    with listening() as ses:
        invoke("email_sender", sqs_event("email", received("email")))
    content = ses.only(owner.user["email"])
    text = content["Body"]["Text"]["Data"]
    assert content["Subject"]["Data"] == "Your webhook was paused"
    assert receiver.url.partition("?")[0] in text
    assert "key=1" not in text
    # AND nothing that happens while it is paused is sent, once it is resumed neither
    project_of(owner)
    assert received("webhooks") == []
    assert owner.patch(f"/webhooks/{webhook['id']}", {"status": "active"}).json()["paused_reason"] is None
    receiver.behaviour = answering(204)
    receiver.requests.clear()
    work_off()
    assert receiver.requests == []
    # but what failed can be sent again, with all attempts anew
    again = owner.post(f"/webhooks/{webhook['id']}/deliveries/{found['id']}/redeliver")
    assert (again.status, again.json()["status"], again.json()["attempts"]) == (202, "pending", 0)
    assert work_off() == 1
    assert [request.headers["webhook-id"] for request in receiver.requests] == [found["event_id"]]
    assert deliveries(owner, webhook, status="delivered")[0]["id"] == found["id"]


def test_given_consumers_that_die_at_work_then_a_delivery_is_still_tried_for_a_day(
    owner: Api, receiver: Receiver
) -> None:
    receiver.behaviour = answering(500)
    webhook = subscribe(owner, receiver, "project.created")
    project_of(owner)
    send(*received("webhooks"))
    [message] = received("webhooks")
    # GIVEN as many attempts lost within minutes as the schedule has
    execute("UPDATE webhook_deliveries SET attempts = %(n)s, first_tried_at = now() - interval '9 minutes'",
            n=len(SCHEDULE))  # fmt: skip
    assert send(message) == []
    [found] = deliveries(owner, webhook)
    assert (found["status"], found["attempts"]) == ("pending", len(SCHEDULE) + 1)
    assert owner.get(f"/webhooks/{webhook['id']}").json()["status"] == "active"
    # WHEN few were made because others had to wait for them, but a day is over THEN it is given up
    let_time_pass(webhook)
    execute("UPDATE webhook_deliveries SET attempts = 2, first_tried_at = now() - interval '24 hours'")
    work_off()
    assert deliveries(owner, webhook)[0]["status"] == "failed"
    assert owner.get(f"/webhooks/{webhook['id']}").json()["paused_reason"] == "failing"


def test_given_one_event_that_never_arrives_where_others_do_then_the_webhook_goes_on(
    owner: Api, receiver: Receiver
) -> None:
    webhook = subscribe(owner, receiver, "project.created")
    project_of(owner)
    work_off()
    receiver.behaviour = answering(400)
    project_of(owner)
    work_off()
    for _ in SCHEDULE:
        let_time_pass(webhook)
        work_off()
    assert [found["status"] for found in deliveries(owner, webhook)] == ["failed", "delivered"]
    assert owner.get(f"/webhooks/{webhook['id']}").json()["status"] == "active"


def test_given_410_then_the_webhook_is_paused_at_once_and_told_once(owner: Api, receiver: Receiver) -> None:
    receiver.behaviour = answering(410)
    webhook = subscribe(owner, receiver, "project.created")
    project_of(owner)
    project_of(owner)
    work_off()
    assert len(receiver.requests) == 1
    assert [found["status"] for found in deliveries(owner, webhook)] == ["failed", "failed"]
    assert owner.get(f"/webhooks/{webhook['id']}").json()["paused_reason"] == "gone"
    assert [type for type, _ in events_about(webhook["id"])].count("webhook.paused") == 1


def test_given_410_of_the_address_before_then_the_new_one_goes_on(
    owner: Api, receiver: Receiver, other: Receiver
) -> None:
    webhook = subscribe(owner, receiver, "project.created")

    def moved(handler: Any) -> None:
        assert owner.patch(f"/webhooks/{webhook['id']}", {"url": other.url}).status == 200
        answering(410)(handler)

    receiver.behaviour = moved
    project_of(owner)
    work_off()
    assert owner.get(f"/webhooks/{webhook['id']}").json()["status"] == "active"
    project_of(owner)
    work_off()
    assert (len(receiver.requests), len(other.requests)) == (1, 1)


@pytest.mark.parametrize("status", [429, 503])
def test_given_a_receiver_that_asks_for_time_then_it_gets_it(owner: Api, receiver: Receiver, status: int) -> None:
    receiver.behaviour = answering(status, {"retry-after": "7200"})
    webhook = subscribe(owner, receiver, "project.created")
    project_of(owner)
    work_off()
    [row] = execute(
        "SELECT extract(epoch FROM next_attempt_at - now()) AS wait FROM webhook_deliveries WHERE webhook_id = %(id)s",
        id=webhook["id"],
    )
    assert 7190 < row.wait <= 7200


# --- receivers that behave badly ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", "ConnectionAborted"),
        (b"HTTP/1.1 200", "ConnectionAborted"),
        (b"HTTP/1.1 200 OK\r\nserv", "ConnectionAborted"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "BadStatusLine"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * 70_000 + b"\r\n\r\n", "LineTooLong"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: a\r\n" * 200 + b"\r\n", "HTTPException"),
        (b"HTTP/1.1 999999999999 What\r\n\r\n", "BadStatusLine"),
    ],
    ids=["nothing", "status", "header", "no HTTP", "long line", "many lines", "no status"],
)
def test_given_an_answer_that_is_none_or_ends_in_the_middle_then_that_is_noted_and_tried_again(
    owner: Api, receiver: Receiver, raw: bytes, error: str
) -> None:
    receiver.behaviour = saying(raw)
    webhook = subscribe(owner, receiver, "project.created")
    project_of(owner)
    work_off()
    [found] = deliveries(owner, webhook)
    assert (found["status"], found["status_code"]) == ("pending", None)
    assert error in found["error"]


def test_given_an_answer_whose_body_never_ends_then_its_status_counts(owner: Api, receiver: Receiver) -> None:
    receiver.behaviour = saying(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nabc")
    webhook = subscribe(owner, receiver, "project.created")
    project_of(owner)
    work_off()
    assert [found["status"] for found in deliveries(owner, webhook)] == ["delivered"]


def test_given_a_receiver_that_hangs_or_drips_then_an_attempt_ends_in_time_with_no_session_held(
    owner: Api, receiver: Receiver, other: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "WHOLE_SECONDS", 1)
    receiver.behaviour, other.behaviour = hanging(receiver), dripping(other)
    hooks = [subscribe(owner, receiver, "project.created"), subscribe(owner, other, "project.created")]
    project_of(owner)
    send(*received("webhooks"))
    messages = received("webhooks")
    with ThreadPoolExecutor(2) as pool:
        at_work = pool.map(send, messages)
        wait_until(lambda: len(receiver.requests) + len(other.requests) == 2)
        [[open_transactions]] = execute(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'quintet_app' AND xact_start IS NOT NULL"
        )
        assert open_transactions == 0
        assert list(at_work) == [[], []]
    for hook in hooks:
        [found] = deliveries(owner, hook)
        assert (found["status"], found["error"]) == ("pending", "It did not answer within 1 seconds.")
        assert 900 <= found["latency_ms"] < 3000


def test_given_a_receiver_that_lets_us_wait_then_it_gets_few_at_a_time_and_others_are_served(
    owner: Api, receiver: Receiver, other: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = (subscribe(owner, found, "project.created") for found in (receiver, other))
    for _ in range(4):
        project_of(owner)
    send(*received("webhooks"))
    rows = execute("SELECT id, webhook_id::text FROM webhook_deliveries ORDER BY id")
    first, second, third, fourth = ({"delivery_id": str(row.id)} for row in rows if row.webhook_id == slow["id"])
    # GIVEN one attempt that has failed slowly and waits, and two that are being made
    monkeypatch.setattr(queries, "SLOW_MS", 0)
    receiver.behaviour = answering(500)
    assert send(first) == []
    receiver.requests.clear()
    receiver.behaviour = lambda handler: receiver.ended.wait(20) and answering(204)(handler)
    with ThreadPoolExecutor(2) as pool:
        at_work = [pool.submit(send, message) for message in (second, third)]
        wait_until(lambda: len(receiver.requests) == 2)
        # WHEN another one comes THEN it waits for its turn, which costs it no attempt, and other webhooks do not wait
        assert send(fourth) == []
        assert len(receiver.requests) == 2
        assert send(*({"delivery_id": str(row.id)} for row in rows if row.webhook_id == quick["id"])) == []
        assert len(other.requests) == 4
        receiver.ended.set()
        assert [done.result() for done in at_work] == [[], []]
    assert send(fourth) == []
    assert len(receiver.requests) == 3
    assert deliveries(owner, slow)[0]["attempts"] == 1


def test_given_a_receiver_that_answers_again_then_it_gets_many_at_a_time_whatever_still_waits(
    owner: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook = subscribe(owner, receiver, "project.created")
    for _ in range(6):
        project_of(owner)
    send(*received("webhooks"))
    first, second, *others = received("webhooks")
    # GIVEN an attempt that failed slowly, whose next one is far away, and a delivery that arrived since
    with monkeypatch.context() as patch:
        patch.setattr(queries, "SLOW_MS", 0)
        receiver.behaviour = answering(500)
        assert send(first) == []
    execute("UPDATE webhook_deliveries SET latency_ms = 15000 WHERE id = %(id)s", id=first["delivery_id"])
    receiver.behaviour = answering(204)
    assert send(second) == []
    # WHEN four are sent at once THEN none has to wait
    together = threading.Barrier(4)

    def behave(handler: Any) -> None:
        together.wait(10)
        answering(204)(handler)

    receiver.behaviour = behave
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(send, others)) == [[]] * 4
    assert len(receiver.requests) == 6
    assert sorted(found["status"] for found in deliveries(owner, webhook)) == ["delivered"] * 5 + ["pending"]


def test_given_many_that_wait_then_a_claim_looks_at_those_alone_that_are_being_tried(
    owner: Api, receiver: Receiver
) -> None:
    webhook = subscribe(owner, receiver, "division.removed")
    execute(
        "INSERT INTO webhook_deliveries (webhook_id, event_id, type, attempts, latency_ms) "
        "SELECT %(id)s, uuidv7(), 'project.created', n %% 2, n %% 2 FROM generate_series(1, 6000) n",
        id=webhook["id"],
    )
    execute("UPDATE webhook_deliveries SET latency_ms = NULL WHERE attempts = 0")
    execute("ANALYZE webhook_deliveries")
    [waiting, *_] = execute("SELECT id FROM webhook_deliveries LIMIT 1")
    params = {"id": waiting.id, "owner_id": owner.id, "lease": 60}
    [[[plan]]] = execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {queries.CLAIM}", **params)
    nodes = [plan["Plan"]]
    for node in nodes:
        nodes += node.get("Plans", [])
    of_deliveries = [node for node in nodes if node.get("Relation Name") == "webhook_deliveries"]
    assert sum(node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in of_deliveries) <= 2


def test_given_one_owner_whose_receivers_all_hang_then_half_of_the_consumers_are_left_to_others(
    owner: Api, receiver: Receiver, other: Receiver
) -> None:
    for _ in range(AT_ONCE + 4):
        subscribe(owner, receiver, "project.created")
    project_of(owner)
    send(*received("webhooks"))
    messages = received("webhooks")
    assert len(messages) == AT_ONCE + 4
    someone = person()
    subscribe(someone, other, "project.created")
    project_of(someone)
    receiver.behaviour = lambda handler: receiver.ended.wait(20) and answering(500)(handler)
    together = threading.Barrier(len(messages))

    def at_once(message: dict[str, Any]) -> list[str]:
        together.wait()
        return send(message)

    with ThreadPoolExecutor(len(messages)) as pool:
        # WHEN all are asked for at once THEN so many are tried, and the others cost no attempt
        at_work = [pool.submit(at_once, message) for message in messages]
        wait_until(lambda: sum(done.done() for done in at_work) == 4)
        wait_until(lambda: len(receiver.requests) == AT_ONCE)
        assert work_off() == 2
        assert len(other.requests) == 1
        receiver.ended.set()
        assert [done.result() for done in at_work] == [[]] * len(messages)
    assert len(receiver.requests) == AT_ONCE
    # WHEN they are known to let us wait THEN they get few at a time, all together
    execute("UPDATE webhooks SET slow = true WHERE owner_id = %(id)s", id=owner.id)
    execute("UPDATE webhook_deliveries SET lease_until = NULL, latency_ms = 1")
    receiver.ended.clear()
    together = threading.Barrier(len(messages))
    with ThreadPoolExecutor(len(messages)) as pool:
        at_work = [pool.submit(at_once, message) for message in messages]
        wait_until(lambda: sum(done.done() for done in at_work) == len(messages) - queries.SLOWLY)
        receiver.ended.set()
    assert len(receiver.requests) == AT_ONCE + queries.SLOWLY


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_given_a_redirect_then_it_is_not_followed(owner: Api, receiver: Receiver, other: Receiver, status: int) -> None:
    receiver.behaviour = answering(status, {"location": other.url})
    webhook = subscribe(owner, receiver, "project.created")
    project_of(owner)
    work_off()
    assert len(receiver.requests) == 1
    assert other.requests == []
    [found] = deliveries(owner, webhook)
    assert (found["status"], found["status_code"]) == ("pending", status)
    assert "not followed" in found["error"]


def test_given_a_receiver_that_takes_no_connection_then_the_error_says_how_long_that_was_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(posting, "CONNECT_SECONDS", 0.2)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        # GIVEN one whose queue is full, so that the system answers nobody else
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        answer = posting.post(f"http://127.0.0.1:{address[1]}/", b"{}", id=person().id, secrets=[b"s"])
        for one in waiting:
            one.close()
    assert answer == posting.Answer(error="No connection could be made within 0.2 seconds.")


def test_given_nobody_who_listens_then_it_is_tried_again(owner: Api, receiver: Receiver) -> None:
    with receiving() as gone:
        webhook = subscribe(owner, gone, "project.created")
    project_of(owner)
    work_off()
    [found] = deliveries(owner, webhook)
    assert (found["status"], found["error"]) == ("pending", "The connection failed: ConnectionRefusedError.")


# --- never inside -----------------------------------------------------------------------------------------


@pytest.fixture
def closed() -> Iterator[None]:
    """Private addresses are not allowed, as where it is deployed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEBHOOKS_ALLOW_PRIVATE", "false")
        settings.cache_clear()
        yield
    settings.cache_clear()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "2130706433", "169.254.169.254"])
def test_given_a_webhook_that_points_inside_when_that_is_not_allowed_then_nobody_connects(
    owner: Api, receiver: Receiver, closed: None, host: str
) -> None:
    port = receiver.url.split(":")[2].split("/")[0]
    webhook = subscribe(owner, Receiver("https://example.com/"), "project.created")
    # GIVEN it got there, as by a name whose address has changed since
    execute("UPDATE webhooks SET url = %(url)s", url=f"https://{host}:{port}/hook")
    project_of(owner)
    work_off()
    assert receiver.requests == []
    [found] = deliveries(owner, webhook)
    assert (found["status"], found["status_code"]) == ("pending", None)
    assert "public" in found["error"]


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["169.254.169.254"], ["93.184.215.14", "127.0.0.1"], ["::ffff:127.0.0.1"]]
)
def test_given_a_name_that_resolves_to_an_address_inside_then_no_connection_is_made(
    receiver: Receiver, closed: None, addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket, "create_connection", refuse)
    answer = posting.post(
        "https://hooks.example/",
        b"{}",
        id=person().id,
        secrets=[b"s"],
        resolver=lambda *_, **__: [(2, 1, 6, "", (address, 443)) for address in addresses],
    )
    assert answer == posting.Answer(error="The URL's host cannot be found, or has an address that is not public.")


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.com/", "https://127.0.0.1/", "https://169.254.169.254/latest", "https://[::1]/"),
        *("https://u:p@example.com/", "https://example.com:22/", "nonsense", "", f"https://example.com/{'x' * 2048}"),
    ],
)
def test_given_a_url_that_may_not_be_called_then_it_is_refused_where_it_is_given(
    owner: Api, closed: None, url: str
) -> None:
    errors = problem(owner.post("/webhooks", {"url": url}), 400)["errors"]
    assert [error["pointer"] for error in errors] == ["/url"]
    made = owner.post("/webhooks", {"url": "https://example.com/", "types": ["division.removed"]}).json()
    problem(owner.patch(f"/webhooks/{made['id']}", {"url": url}), 400)


def test_given_a_pinned_address_then_the_certificate_is_still_that_of_the_name(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = encrypted(receiver, tmp_path, name="hooks.example")
    asked: list[str] = []

    def post(host: str) -> posting.Answer:
        def resolver(name: str, port: int, **_: object) -> list[tuple[Any, ...]]:
            asked.append(name)
            return [(2, 1, 6, "", ("127.0.0.1", port))]

        return posting.post(f"https://{host}:{port}/x", b"{}", id=person().id, secrets=[b"s"], resolver=resolver)

    # GIVEN nobody we trust has signed it THEN nothing is sent
    assert "certificate is not accepted" in str(post("hooks.example").error)
    # WHEN it is trusted THEN it counts for its own name alone, whatever the address
    monkeypatch.setattr(posting, "_tls", lambda: ssl.create_default_context(cafile=tmp_path / "certificate.pem"))
    assert post("hooks.example") == posting.Answer(204)
    assert "certificate is not accepted" in str(post("other.example").error)
    assert "certificate is not accepted" in str(post("127.0.0.1").error)
    assert asked == ["hooks.example", "hooks.example", "other.example", "127.0.0.1"]
    [request] = receiver.requests
    assert request.headers["host"] == f"hooks.example:{port}"


# --- secrets ----------------------------------------------------------------------------------------------


def test_given_a_rotation_then_both_secrets_sign_for_a_day_and_a_second_one_ends_the_first(
    owner: Api, receiver: Receiver
) -> None:
    webhook = subscribe(owner, receiver, "project.created")
    path = f"/webhooks/{webhook['id']}/rotate-secret"
    second = owner.post(path).json()["secret"]
    project_of(owner)
    work_off()
    [request] = receiver.requests
    for secret in (webhook["secret"], second):
        Webhook(secret).verify(request.body, request.headers)
    assert len(request.headers["webhook-signature"].split()) == 2
    # WHEN the day is over THEN the new one signs alone
    execute("UPDATE webhooks SET former_secret_until = now() - interval '1 s' WHERE id = %(id)s", id=webhook["id"])
    project_of(owner)
    work_off()
    assert len(receiver.requests[-1].headers["webhook-signature"].split()) == 1
    Webhook(second).verify(receiver.requests[-1].body, receiver.requests[-1].headers)
    # WHEN it is rotated twice THEN the first, which may have leaked, signs no more
    third, fourth = (owner.post(path).json()["secret"] for _ in range(2))
    project_of(owner)
    work_off()
    last = receiver.requests[-1]
    for secret in (third, fourth):
        Webhook(secret).verify(last.body, last.headers)
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(second).verify(last.body, last.headers)


def test_given_a_secret_then_no_log_no_event_and_no_later_answer_has_it(owner: Api, receiver: Receiver) -> None:
    with logged() as records:
        webhook = subscribe(owner, receiver)
        rotated = owner.post(f"/webhooks/{webhook['id']}/rotate-secret").json()
        project_of(owner)
        receiver.behaviour = answering(500, body=webhook["secret"].encode())
        work_off()
        later = [
            owner.get("/webhooks"),
            owner.get(f"/webhooks/{webhook['id']}"),
            owner.patch(f"/webhooks/{webhook['id']}", {"description": "x"}),
            owner.get(f"/webhooks/{webhook['id']}/deliveries"),
            owner.get("/events"),
        ]
    said = json.dumps([answer.json() for answer in later]) + json.dumps(records)
    events = json.dumps([[row.data, row.type] for row in execute("SELECT data, type FROM events")])
    for secret in (webhook["secret"], rotated["secret"]):
        assert secret.startswith("whsec_")
        assert secret.removeprefix("whsec_") not in said + events
    assert "key=1" not in json.dumps(records) + events


# --- races ------------------------------------------------------------------------------------------------


def test_given_a_webhook_that_is_deleted_while_it_is_sent_to_then_nothing_is_left_and_nothing_fails(
    owner: Api, receiver: Receiver
) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def wait(handler: Any) -> None:
        asked.set()
        go_on.wait(10)
        answering(410)(handler)  # after which it would be paused

    receiver.behaviour = wait
    webhook = subscribe(owner, receiver, "project.created")
    project_of(owner)
    send(*received("webhooks"))
    [message] = received("webhooks")
    with ThreadPoolExecutor(1) as pool:
        at_work = pool.submit(send, message)
        assert asked.wait(10)
        assert owner.delete(f"/webhooks/{webhook['id']}").status == 204
        go_on.set()
        assert at_work.result() == []
    assert execute("SELECT FROM webhook_deliveries WHERE webhook_id = %(id)s", id=webhook["id"]) == []
    assert [type for type, _ in events_about(webhook["id"])] == ["webhook.created", "webhook.removed"]
    assert send(message) == []


def test_given_a_webhook_that_its_owner_pauses_for_a_while_then_what_waits_is_sent_afterwards(
    owner: Api, receiver: Receiver
) -> None:
    receiver.behaviour = answering(500)
    webhook = subscribe(owner, receiver, "project.created", "project.updated")
    project = project_of(owner)
    work_off()
    rename(owner, project)
    send(*received("webhooks"))
    execute("UPDATE webhook_deliveries SET first_tried_at = now() - interval '23 hours' WHERE attempts = 1")
    # GIVEN one that waits for its second attempt and one for its first, and a pause of two days
    assert owner.patch(f"/webhooks/{webhook['id']}", {"status": "paused"}).status == 200
    for _ in range(3):
        let_time_pass(webhook)
        assert work_off() > 0
    assert len(receiver.requests) == 1
    assert [(found["status"], found["attempts"]) for found in deliveries(owner, webhook)] == [
        ("pending", 0),
        ("pending", 1),
    ]
    execute("UPDATE webhook_deliveries SET first_tried_at = first_tried_at - interval '2 days'")
    # WHEN it is resumed THEN both are sent, and have a day for it
    assert owner.patch(f"/webhooks/{webhook['id']}", {"status": "active"}).status == 200
    let_time_pass(webhook)
    assert work_off() == 2
    assert [(found["status"], found["attempts"]) for found in deliveries(owner, webhook)] == [
        ("pending", 1),
        ("pending", 2),
    ]
    receiver.behaviour = answering(204)
    let_time_pass(webhook)
    work_off()
    assert {found["status"] for found in deliveries(owner, webhook)} == {"delivered"}


def test_given_a_webhook_that_we_paused_then_what_waits_is_not_sent_and_can_be_later(
    owner: Api, receiver: Receiver
) -> None:
    webhook = subscribe(owner, receiver, "project.created")
    project_of(owner)
    send(*received("webhooks"))
    execute("UPDATE webhooks SET status = 'paused', paused_reason = 'failing' WHERE id = %(id)s", id=webhook["id"])
    work_off()
    assert receiver.requests == []
    [found] = deliveries(owner, webhook, status="failed")
    assert found["error"] == "Not sent: the webhook is paused."
    path = f"/webhooks/{webhook['id']}/deliveries/{found['id']}/redeliver"
    problem(owner.post(path), 409)
    assert owner.patch(f"/webhooks/{webhook['id']}", {"status": "active"}).status == 200
    assert owner.post(path).status == 202
    problem(owner.post(path), 409)  # it is on its way
    work_off()
    assert receiver.types == ["project.created"]
