"""Calls of services: retries, patience, and circuit breakers that all sandboxes share; servers that fail for real."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from functions.integration_syncer import breaker, client
from functions.integration_syncer.client import call
from functions.integration_syncer.troubles import Outage, Refused, Shut, Throttled, Unauthorized
from quintet.integrations.services import SERVICES
from tests.support.api import Api
from tests.support.expect import logged
from tests.support.receiving import answering, saying
from tests.support.services import (
    KEY,
    Services,
    ask,
    connected,
    dripping,
    outcome,
    read,
    records,
    send,
    slowly,
    sync,
    told,
)
from tests.support.statements import counted, execute

MESHY, PATH = SERVICES["meshy"], "/openapi/v2/text-to-3d/job"


@pytest.fixture
def get(services: Services) -> Callable[[], int]:
    """A GET of meshy.ai, for its status."""
    services.tokens.add(KEY)
    services.jobs["job"] = {"status": "PENDING"}
    return lambda: call(MESHY, "GET", PATH, token=KEY).status


def state() -> tuple[str, int]:
    """Of the circuit breaker of meshy.ai: what it is, and failures in a row."""
    found = execute("SELECT state, failures FROM circuit_breakers WHERE service = 'meshy'")
    return tuple(found[0]) if found else ("none", 0)


def test_given_a_failure_or_two_then_it_is_tried_again(services: Services, get: Callable[[], int]) -> None:
    services.behaviours[PATH] = [answering(500), saying(b"")]
    assert get() == 200
    assert len(services.requests) == 3
    assert state() == ("closed", 0)


def test_given_a_call_that_goes_well_then_it_costs_one_statement(services: Services, get: Callable[[], int]) -> None:
    with counted() as statements:
        assert get() == 200
    assert len(statements) == 1


def test_given_a_burst_of_failures_then_nobody_calls_until_one_may_try_and_then_all(
    services: Services, get: Callable[[], int]
) -> None:
    # GIVEN five failures, three of one call and two of the next
    services.behaviours[PATH] = [answering(500)] * 100
    for _ in range(2):
        with pytest.raises((Outage, Shut)):
            get()
    assert state() == ("open", breaker.THRESHOLD)
    # THEN nobody calls
    services.requests.clear()
    with pytest.raises(Shut) as shut:
        get()
    assert 1 < shut.value.again_in <= breaker.COOLDOWN
    assert services.requests == []
    # WHEN the time is over, and it still fails: one request, and it is open for longer
    execute("UPDATE circuit_breakers SET open_until = now() - interval '1 s'")
    with pytest.raises((Outage, Shut)):
        get()
    assert len(services.requests) == 1
    with pytest.raises(Shut) as shut:
        get()
    assert breaker.COOLDOWN < shut.value.again_in <= 2 * breaker.COOLDOWN
    # WHEN the time is over, many come, and it works
    execute("UPDATE circuit_breakers SET open_until = now() - interval '1 s'")
    services.behaviours[PATH] = [slowly(1, answering(200, body=b"{}"))]
    services.requests.clear()

    def attempt(_: int) -> object:
        try:
            return get()
        except Shut as error:
            return type(error)

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(attempt, range(6)))
    # THEN one of them was let through, and afterwards everybody is
    assert sorted(map(str, results)) == sorted(["200", *[str(Shut)] * 5])
    assert len(services.requests) == 1
    assert state() == ("closed", 0)
    assert get() == 200


def test_given_one_who_tried_and_was_answered_whatever_it_was_then_everybody_may(services: Services) -> None:
    execute("INSERT INTO circuit_breakers (service, state, open_until) VALUES ('meshy', 'open', now())")
    services.behaviours[PATH] = [answering(302, {"location": "https://elsewhere.example/"})]
    with pytest.raises(Refused):
        call(MESHY, "GET", PATH, token=KEY)
    assert state() == ("closed", 0)


def test_given_one_who_tried_and_died_then_another_may(services: Services, get: Callable[[], int]) -> None:
    execute("INSERT INTO circuit_breakers (service, state, open_until) VALUES ('meshy', 'open', now())")
    assert breaker.admit("meshy", "meshy.ai")
    with pytest.raises(Shut):
        get()
    execute("UPDATE circuit_breakers SET open_until = now() - interval '1 s'")
    assert get() == 200


def test_given_failures_far_apart_then_they_are_not_in_a_row(services: Services) -> None:
    for _ in range(breaker.THRESHOLD + 2):
        breaker.failed("meshy")
        execute("UPDATE circuit_breakers SET failed_at = now() - interval '10 minutes'")
    assert state() == ("closed", 1)


def test_given_refusals_then_they_are_answers_and_the_breaker_stays_closed(
    services: Services, get: Callable[[], int]
) -> None:
    services.behaviours[PATH] = [answering(404, body=b'{"message": "No such job, ' + KEY.encode() + b'"}')] * 8
    for _ in range(8):
        with pytest.raises(Refused) as refused:
            get()
    assert len(services.requests) == 8
    assert str(refused.value) == "meshy.ai answered 404: No such job, …"
    assert state() == ("none", 0)
    cut_off = b'{"message": "' + b"x" * 290 + KEY.encode() + b'"}'
    services.behaviours[PATH] = [answering(404, body=cut_off)]
    with pytest.raises(Refused) as refused:
        get()
    assert KEY[:4] not in str(refused.value)
    with pytest.raises(Unauthorized):
        call(MESHY, "GET", PATH, token="no key of ours")


def test_given_a_short_retry_after_then_it_is_waited_for(services: Services, get: Callable[[], int]) -> None:
    services.behaviours[PATH] = [answering(429, {"retry-after": "1"})]
    began = time.monotonic()
    assert get() == 200
    assert 1 <= time.monotonic() - began < 3
    assert len(services.requests) == 2


@pytest.mark.parametrize("status", [429, 403])
def test_given_a_long_retry_after_then_nobody_sleeps(services: Services, get: Callable[[], int], status: int) -> None:
    services.behaviours[PATH] = [answering(status, {"retry-after": "600"})]
    began = time.monotonic()
    with pytest.raises(Throttled) as throttled:
        get()
    assert throttled.value.again_in == 600
    assert time.monotonic() - began < 1
    assert state() == ("none", 0)


def test_given_googles_word_for_too_many_then_it_is_one(services: Services) -> None:
    body = b'{"error": {"errors": [{"reason": "userRateLimitExceeded"}], "message": "Too much"}}'
    services.behaviours["/x"] = [answering(403, body=body), answering(403, body=b'{"error": {"message": "Not yours"}}')]
    with pytest.raises(Throttled):
        call(SERVICES["google_docs"], "GET", "/x", token="a token")
    with pytest.raises(Refused, match=r"Google Docs answered 403: Not yours"):
        call(SERVICES["google_docs"], "GET", "/x", token="a token")


def test_given_a_post_that_may_have_been_done_then_it_is_not_done_again(services: Services) -> None:
    services.tokens.add(KEY)
    path = "/openapi/v2/text-to-3d"
    services.behaviours[path] = [answering(500)]
    with pytest.raises(Outage):
        call(MESHY, "POST", path, token=KEY, body={})
    assert len(services.requests) == 1
    services.behaviours[path] = [answering(503), answering(429, {"retry-after": "0"})]  # these say that it was not
    assert call(MESHY, "POST", path, token=KEY, body={}).status == 202
    assert len(services.jobs) == 1


@pytest.fixture
def nowhere(services: Services) -> Iterator[str]:
    """An address at which nobody listens."""
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with told(url):
            yield url


def test_given_a_dead_host_then_the_breaker_opens_and_what_is_asked_waits(
    user: Api, services: Services, nowhere: str
) -> None:
    id = connected(user, services, "meshy")
    request = ask(user, id, "meshy.text_to_3d", prompt="A chair")
    assert send({"request_id": request["id"]}) == []
    found = outcome(user, request)
    assert (found["status"], found["error"]) == ("running", "meshy.ai cannot be reached.")
    assert state() == ("closed", 3)
    other = ask(user, id, "meshy.text_to_3d", prompt="A table")
    assert send({"request_id": other["id"]}) == []
    assert state() == ("open", 5)
    assert outcome(user, other)["error"] == "meshy.ai is out of order; it is tried again soon."


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nx: "])
def test_given_a_host_that_hangs_or_whose_header_comes_in_drops_then_a_call_ends(
    services: Services, get: Callable[[], int], said: bytes
) -> None:
    hung = threading.Event()
    services.behaviours[PATH] = [dripping(said) if said else lambda _: hung.wait(20)] * 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "READ_SECONDS", 0.3)
        client.http.cache_clear()
        began = time.monotonic()
        with pytest.raises(Outage, match=r"does not answer in time"):
            get()
        assert time.monotonic() - began < 6
    client.http.cache_clear()
    hung.set()


def test_given_an_answer_in_drops_or_without_end_then_a_call_ends(
    services: Services, get: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "WHOLE_SECONDS", 0.3)
    monkeypatch.setattr(client, "ATTEMPTS", 1)
    services.behaviours[PATH] = [dripping(b"HTTP/1.1 200 OK\r\n\r\n")]
    with pytest.raises(Outage, match=r"too slowly"):
        get()
    monkeypatch.setattr(client, "MAX_BODY", 1000)
    services.behaviours[PATH] = [answering(200, body=b" " * 2000)]
    with pytest.raises(Refused, match=r"more than"):
        get()


def test_given_a_service_that_is_down_then_what_is_read_is_the_last_good_answer(user: Api, services: Services) -> None:
    services.repository("engine", description="Brass")
    id = connected(user, services, "github")
    sync(id)
    [record] = records(user, id)
    asked = {"owner": "octo", "repository": "engine"}
    services.repositories[0]["description"] = "Steel"
    request = ask(user, id, "github.repository", **asked)
    send({"request_id": request["id"]})
    found = outcome(user, request)
    assert (found["status"], found["result"]["description"], found["stale_since"]) == ("succeeded", "Steel", None)
    # WHEN GitHub fails
    services.behaviours["/repos/octo/engine"] = [answering(502)] * 3
    [record] = records(user, id)
    again = ask(user, id, "github.repository", **asked)
    send({"request_id": again["id"]})
    found = outcome(user, again)
    assert (found["status"], found["result"]["description"]) == ("succeeded", "Steel")
    assert found["stale_since"] == record["fetched_at"]
    # AND of what is not known there is nothing yet, and it is tried again
    services.behaviours["/repos/octo/other"] = [answering(502)] * 3
    other = ask(user, id, "github.repository", owner="octo", repository="other")
    send({"request_id": other["id"]})
    assert outcome(user, other)["status"] == "running"


def test_given_a_burst_while_fetching_then_what_is_there_is_kept_and_stale_until_it_works(
    user: Api, services: Services
) -> None:
    services.repository("one")
    id = connected(user, services, "github")
    sync(id)
    services.behaviours["/user/repos"] = [answering(500)] * 3
    sync(id)
    found = read(user, id)
    assert (found["sync_status"], found["error"]) == ("error", "GitHub answered 500.")
    assert found["stale_since"]
    assert records(user, id)[0]["stale_since"] == found["stale_since"]
    sync(id)
    found = read(user, id)
    assert (found["sync_status"], found["error"], found["stale_since"]) == ("success", None, None)
    assert records(user, id)[0]["stale_since"] is None


def test_given_retries_then_what_is_logged_holds_no_key(services: Services, get: Callable[[], int]) -> None:
    services.behaviours[PATH] = [answering(500)] * 3
    with logged() as lines, pytest.raises(Outage):
        get()
    assert KEY not in str(lines)
