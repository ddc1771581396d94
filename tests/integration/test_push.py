"""Web push: to each browser once, encrypted and signed, and to nobody's servers but push services'."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from infra.local.events import sqs_event
from infra.local.invocation import invoke
from quintet.config import settings
from quintet.notifications import push
from tests.support.api import Api, events_about
from tests.support.browsers import Browser, PushService, base64url, from_base64url, push_service, subscription
from tests.support.conversing import direct, say
from tests.support.notifying import notified, prefers, told
from tests.support.people import person, signed_in
from tests.support.statements import execute

pytestmark = pytest.mark.usefixtures("stack")


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PushService]:
    """A push service that we know."""
    with push_service(tmp_path) as there:
        monkeypatch.setenv("PUSH_SERVICES", "fcm.googleapis.com,localhost:*")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        monkeypatch.setenv("NO_PROXY", "localhost")
        settings.cache_clear()
        yield there
    monkeypatch.undo()
    settings.cache_clear()


def subscribed(client: Api, service: PushService) -> tuple[Browser, str]:
    """A browser of the client's, and its subscription's id."""
    browser = Browser(service.url)
    made = client.post("/notifications/push-subscriptions", browser.subscription())
    assert made.status == 201, made
    return browser, str(made.json()["id"])


def notes(reader: Api) -> list[str | None]:
    """What became of the pushes to the account, in order."""
    rows = execute(
        "SELECT d.error FROM deliveries d JOIN events e ON e.id = d.event_id"
        " WHERE e.scope = %(scope)s AND d.destination LIKE 'push:%%' ORDER BY d.event_id, d.destination",
        scope=f"user:{reader.id}",
    )
    return [row.error for row in rows]


def say_to(reader: Api, text: str = "Hello") -> Api:
    """Somebody writes to the reader, who is to be told of it."""
    sender = person(full_name="Ada Lovelace")
    say(sender, direct(sender, reader), text)
    notified()
    return sender


def test_given_two_browsers_then_each_gets_a_message_once_that_it_alone_can_read(service: PushService) -> None:
    reader, other = person(), person()
    browsers = [subscribed(reader, service)[0] for _ in range(2)]
    others, _ = subscribed(other, service)
    key = reader.get("/notifications/push-key").json()["public_key"]

    say_to(reader, "The engine is ready 🦆")
    notified("push", times=3)

    [notification] = told(reader)
    for browser in browsers:
        [(headers, body)] = service.to(browser)
        assert browser.read(body) == {
            "notification_id": notification["id"],
            "kind": "direct_message",
            "title": "Ada Lovelace wrote to you",
            "body": "The engine is ready 🦆",
            "data": notification["data"],
        }
        assert b"engine" not in body
        assert (headers["ttl"], headers["urgency"]) == ("86400", "high")
        assert headers["content-encoding"] == "aes128gcm"
        # AND the service is told who pushes (RFC 8292)
        scheme, _, rest = headers["authorization"].partition(" ")
        parts = dict(part.split("=", 1) for part in rest.split(","))
        assert (scheme, parts["k"]) == ("vapid", key)
        point = from_base64url(key)
        jwk: dict[str, str | list[str]] = {
            "kty": "EC",
            "crv": "P-256",
            "x": base64url(point[1:33]),
            "y": base64url(point[33:]),
        }
        token = jwt.decode(parts["t"], ECKey.import_key(jwk), algorithms=["ES256"])
        assert token.claims["aud"] == service.url
        assert token.claims["sub"] == "mailto:no-reply@quintet.example"
        assert time.time() < token.claims["exp"] <= time.time() + 24 * 3600
    assert service.to(others) == []
    assert notes(reader) == [None, None]


@pytest.mark.parametrize("status", [404, 410])
def test_given_a_browser_that_its_service_knows_no_more_then_its_subscription_goes(
    service: PushService, status: int
) -> None:
    reader = person()
    browser, id = subscribed(reader, service)
    service.answers.append(status)
    say_to(reader)
    notified("push", times=2)
    assert reader.get("/notifications/push-subscriptions").json()["items"] == []
    assert notes(reader) == [f"The push service answers {status}."]
    assert [data for type, data in events_about(id) if type == "push_subscription.removed"] == [{"gone": True}]

    say_to(reader)
    notified("push")
    assert len(service.to(browser)) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_given_a_service_that_is_busy_then_the_message_comes_later_and_once(service: PushService, status: int) -> None:
    reader = person()
    browser, id = subscribed(reader, service)
    service.answers.append(status)
    say_to(reader)
    [row] = execute("SELECT event_id::text, destination FROM deliveries WHERE destination = %(to)s", to=f"push:{id}")
    event = sqs_event("push", [row._asdict()])
    assert len(invoke("push_sender", event)["batchItemFailures"]) == 1
    assert notes(reader) == ["PushFailedError"]
    notified("push", times=2)
    assert len(service.to(browser)) == 2
    assert notes(reader) == [None]


@pytest.mark.parametrize("status", [302, 307, 400, 403, 413])
def test_given_a_service_that_refuses_or_redirects_then_nothing_follows(service: PushService, status: int) -> None:
    reader = person()
    browser, _ = subscribed(reader, service)
    service.answers.append(status)
    say_to(reader)
    notified("push", times=2)
    assert [path for path, _, _ in service.requests] == [browser.path]
    assert notes(reader) == [f"The push service answers {status}."]
    assert len(reader.get("/notifications/push-subscriptions").json()["items"]) == 1


def test_given_a_service_that_cannot_be_reached_then_it_is_tried_again_and_no_log_holds_the_endpoint(
    service: PushService, caplog: pytest.LogCaptureFixture
) -> None:
    reader = person()
    browser, _ = subscribed(reader, service)
    execute("UPDATE push_subscriptions SET endpoint = %(e)s WHERE user_id = %(id)s",
            e=f"https://localhost:1{browser.path}", id=reader.id)  # fmt: skip
    say_to(reader)
    [row] = execute(
        "SELECT event_id::text, destination FROM deliveries WHERE destination LIKE 'push:%%' AND done_at IS NULL"
        " ORDER BY event_id DESC LIMIT 1"
    )
    assert len(invoke("push_sender", sqs_event("push", [row._asdict()]))["batchItemFailures"]) == 1
    assert notes(reader) == ["PushFailedError"]
    assert browser.path not in caplog.text
    execute("UPDATE deliveries SET done_at = now() WHERE destination = %(d)s", d=row.destination)


def test_given_a_sign_out_before_or_after_then_nothing_is_pushed_to_that_browser(service: PushService) -> None:
    reader = person()
    browser, _ = subscribed(reader, service)
    say_to(reader)
    assert reader.post("/auth/logout").status == 204
    notified("push")
    assert service.to(browser) == []
    assert notes(reader) == ["The browser is not subscribed any more, or signed out."]
    say_to(reader)
    assert len(notes(reader)) == 1


def test_given_a_browser_that_somebody_else_uses_now_then_the_first_one_gets_nothing_there(
    service: PushService,
) -> None:
    first, second = person(), person()
    browser, _ = subscribed(first, service)
    say_to(first, "For the first alone")
    assert second.post("/notifications/push-subscriptions", browser.subscription()).status == 201
    notified("push")
    assert service.to(browser) == []
    say_to(second, "For the second")
    notified("push")
    [(_, body)] = service.to(browser)
    assert browser.read(body)["body"] == "For the second"
    assert first.get("/notifications/push-subscriptions").json()["items"] == []


def test_given_what_is_read_or_not_wanted_then_it_is_not_pushed(service: PushService) -> None:
    reader = person()
    browser, _ = subscribed(reader, service)
    say_to(reader)
    assert reader.post("/notifications/read", {}).status == 204
    say_to(reader)
    prefers(reader, "direct_message", push=False)
    notified("push")
    say_to(reader)
    notified("push")
    assert service.to(browser) == []
    assert notes(reader) == ["It has been read, is gone, or is not for them any more."] * 2


def test_given_a_service_that_is_no_longer_on_the_list_then_nothing_is_sent_there(
    service: PushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = person()
    browser, _ = subscribed(reader, service)
    say_to(reader)
    monkeypatch.setenv("PUSH_SERVICES", "fcm.googleapis.com")
    settings.cache_clear()
    notified("push")
    assert service.to(browser) == []
    assert notes(reader) == ["Its push service is none that we send to any more."]


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://fcm.googleapis.com/x",
        "https://example.com/x",
        "https://169.254.169.254/latest/meta-data",
        "https://127.0.0.1/x",
        "https://localhost/x",
        "https://fcm.googleapis.com.example.com/x",
        "https://fcm.googleapis.com@example.com/x",
        "https://example.com#fcm.googleapis.com/x",
        "https://example.com/.push.apple.com/x",
        "https://evil.com\\.push.apple.com/x",
        "https://user@web.push.apple.com/x",
        "https://fcm.googleapis.com:8443/x",
        "https://fcm.googleapis.com/x\r\nHost: example.com",
        "https://fcm.googleapis.com/ä",
        "https://push.apple.com",
    ],
)
def test_given_an_address_of_no_push_service_then_it_is_refused(endpoint: str) -> None:
    answer = person().post("/notifications/push-subscriptions", subscription() | {"endpoint": endpoint})
    assert answer.status == 400
    assert answer.json()["errors"][0]["pointer"] == "/endpoint"


@pytest.mark.parametrize(
    "host",
    ["fcm.googleapis.com", "updates.push.services.mozilla.com", "web.push.apple.com", "wns2-am3p.notify.windows.com"],
)
def test_given_an_address_of_a_push_service_then_it_is_taken(host: str) -> None:
    assert push.is_push_service(f"https://{host}/some/path?token=x%2Fy")


@pytest.mark.parametrize(
    "keys",
    [
        {"p256dh": base64url(b"\x04" + bytes(64)), "auth": base64url(bytes(16))},  # no point of the curve
        {"p256dh": base64url(bytes(65)), "auth": base64url(bytes(16))},
        {"p256dh": "x", "auth": base64url(bytes(16))},
        {"auth": base64url(bytes(16))},
        {**subscription()["keys"], "auth": "short"},
        {**subscription()["keys"], "more": 1},
    ],
)
def test_given_keys_that_are_none_then_they_are_refused(keys: dict[str, Any]) -> None:
    assert person().post("/notifications/push-subscriptions", subscription() | {"keys": keys}).status == 400


def test_given_subscriptions_then_they_are_listed_removed_and_bounded() -> None:
    user, stranger = person(), person()
    ids = [user.post("/notifications/push-subscriptions", subscription()).json()["id"] for _ in range(22)]
    listed = user.get("/notifications/push-subscriptions").json()["items"]
    assert [item["id"] for item in listed] == ids[:1:-1]
    path = f"/notifications/push-subscriptions/{ids[-1]}"
    assert stranger.delete(path).status == 404
    assert user.delete(path).status == 204
    assert user.delete(path).status == 404
    # AND what is sent again is the same one
    again = subscription()
    both = [user.post("/notifications/push-subscriptions", again).json()["id"] for _ in range(2)]
    assert both[0] == both[1]


def test_given_an_account_with_as_many_browsers_as_it_may_have_then_the_one_that_subscribes_stays() -> None:
    first, second = person(), person()
    # GIVEN a browser that was the first one's, older than all of the second one's
    shared = subscription()
    id = first.post("/notifications/push-subscriptions", shared).json()["id"]
    ids = [second.post("/notifications/push-subscriptions", subscription()).json()["id"] for _ in range(20)]
    # WHEN the second one signs in there
    answer = second.post("/notifications/push-subscriptions", shared)
    assert (answer.status, answer.json()["id"]) == (201, id)
    listed = [item["id"] for item in second.get("/notifications/push-subscriptions").json()["items"]]
    assert listed == [*ids[:0:-1], id]
    assert [type for type, _ in events_about(ids[0])] == ["push_subscription.created", "push_subscription.removed"]


def test_given_the_secret_then_the_key_is_always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    before = push.public_key()
    push.private_key.cache_clear()
    push.public_key.cache_clear()
    assert push.public_key() == before == person().get("/notifications/push-key").json()["public_key"]
    assert len(from_base64url(before)) == 65


def test_given_another_session_of_the_same_account_that_ends_then_this_browser_is_pushed_to(
    service: PushService,
) -> None:
    reader = person()
    [row] = execute(
        "INSERT INTO sessions (user_id, expires_at) VALUES (%(id)s, now() + interval '1 day') RETURNING id",
        id=reader.id,
    )
    elsewhere = signed_in(reader.id, row.id, reader.user["email"])
    here, _ = subscribed(reader, service)
    there, _ = subscribed(elsewhere, service)
    assert elsewhere.post("/auth/logout").status == 204
    say_to(reader)
    notified("push")
    assert (len(service.to(here)), len(service.to(there))) == (1, 0)
