"""What services are to make: begun, looked after and stored by queue, whoever dies meanwhile."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from functions.integration_syncer import asking, storing
from infra.local.events import schedule_event
from infra.local.invocation import invoke
from quintet import aws
from quintet.config import settings
from tests.support.api import Api, events_about
from tests.support.receiving import Behaviour, answering, saying
from tests.support.services import (
    GLB,
    MP4,
    Services,
    ask,
    connected,
    outcome,
    send,
    step,
    work_off,
)
from tests.support.statements import execute
from tests.support.uploading import announced, process, received
from tests.support.uploading import read as read_file

VIDEO = {"operation": "video.generate", "prompt": "A train in the snow"}
CHAIR = {"operation": "meshy.text_to_3d", "prompt": "A chair"}


def started(user: Api, services: Services, service: str = "video") -> dict[str, Any]:
    """A job that the service works on."""
    id = connected(user, services, service)
    asked = {"video": VIDEO, "meshy": CHAIR}[service]
    request = ask(user, id, **asked)
    assert received("integrations")  # which is what `step` does
    assert step(request["id"]) == []
    return request


def check_file(file_id: str) -> None:
    """Its object is announced, and checked."""
    assert process(announced(file_id)) == []


@pytest.mark.parametrize(
    ("service", "content", "name", "media_type"),
    [("video", MP4, "video.mp4", "video/mp4"), ("meshy", GLB, "model.glb", "model/gltf-binary")],
)
def test_given_a_job_then_its_result_becomes_a_checked_file_of_the_person(
    user: Api, services: Services, service: str, content: bytes, name: str, media_type: str
) -> None:
    request = started(user, services, service)
    found = outcome(user, request)
    assert (found["status"], found["progress"], found["file_id"]) == ("running", 0, None)
    [job] = services.jobs.values()
    assert job["prompt"] == found["input"]["prompt"]
    # WHEN it is looked after, it goes on; and the queue is told when to look again
    job["progress"] = 40
    step(request["id"])
    assert outcome(user, request)["progress"] == (40 if service == "meshy" else 0)
    # WHEN it is done
    services.finish(content)
    step(request["id"])
    found = outcome(user, request)
    assert (found["status"], found["progress"]) == ("running", 100)
    file = read_file(user, found["file_id"])
    assert (file["status"], file["file_name"], file["size"]) == ("pending", name, len(content))
    step(request["id"])
    assert outcome(user, request)["status"] == "running"  # not before it is checked
    check_file(found["file_id"])
    step(request["id"])
    found = outcome(user, request)
    assert (found["status"], found["error"]) == ("succeeded", None)
    assert found["finished_at"]
    file = read_file(user, found["file_id"])
    assert (file["status"], file["detected_type"]) == ("ready", media_type)
    stored = aws.s3().get_object(Bucket=settings().files_bucket, Key=f"uploads/{found['file_id']}")
    assert stored["Body"].read() == content
    assert [type for type, _ in events_about(request["id"])] == [
        "integration_request.created",
        "integration_request.succeeded",
    ]


def test_given_a_job_that_fails_then_it_says_why(user: Api, services: Services) -> None:
    request = started(user, services)
    services.fail("The prompt is not allowed")
    step(request["id"])
    found = outcome(user, request)
    assert (found["status"], found["error"]) == ("failed", "The prompt is not allowed")
    assert [type for type, _ in events_about(request["id"])][-1] == "integration_request.failed"
    assert step(request["id"]) == []
    assert outcome(user, request) == found


def test_given_a_job_that_the_service_refuses_then_it_says_why(user: Api, services: Services) -> None:
    id = connected(user, services, "meshy")
    services.behaviours["/openapi/v2/text-to-3d"] = [answering(402, body=b'{"message": "Insufficient funds"}')]
    request = ask(user, id, **CHAIR)
    assert work_off() == 1
    assert outcome(user, request)["error"] == "meshy.ai answered 402: Insufficient funds"


def test_given_a_result_that_is_not_what_was_asked_for_then_it_is_rejected(user: Api, services: Services) -> None:
    request = started(user, services)
    services.finish(b"<!doctype html><title>Log in</title>")
    step(request["id"])
    check_file(outcome(user, request)["file_id"])
    step(request["id"])
    found = outcome(user, request)
    assert found["status"] == "failed"
    assert "it is an HTML page" in found["error"]


def test_given_a_result_that_is_too_large_then_it_is_not_kept(
    user: Api, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = started(user, services)
    monkeypatch.setattr(storing, "MAX_SIZE", 1000)
    services.finish(MP4 + b"x" * 1000)
    step(request["id"])
    found = outcome(user, request)
    assert (found["status"], found["file_id"]) == ("failed", None)
    assert "more than" in found["error"]


def test_given_a_result_at_a_private_address_then_nobody_goes_there(
    user: Api, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = started(user, services)
    services.finish(MP4)
    services.requests.clear()
    monkeypatch.setenv("WEBHOOKS_ALLOW_PRIVATE", "false")
    settings.cache_clear()
    step(request["id"])
    assert outcome(user, request)["status"] == "failed"
    assert not any(path.startswith("/results/") for path in services.paths())


def test_given_a_result_that_cannot_be_had_now_then_it_is_fetched_later(user: Api, services: Services) -> None:
    request = started(user, services)
    services.finish(MP4)
    services.behaviours["/results/result"] = [
        answering(503),
        answering(302, {"location": f"{services.url}/results/result"}),
    ]
    step(request["id"])
    found = outcome(user, request)
    assert (found["status"], found["file_id"], found["error"]) == (
        "running",
        None,
        "The result could not be downloaded.",
    )
    step(request["id"])
    assert outcome(user, request)["file_id"]


@pytest.mark.parametrize(
    "behaviour",
    [
        answering(500),
        saying(b""),
        answering(202, body=b"<html>"),
        answering(202, body=b'{"id": null}'),
        answering(202, body=b'{"id": "../../x?y"}'),
        answering(202, body=b"[" * 100_000),
    ],
)
def test_given_a_job_that_may_have_begun_then_it_is_not_begun_again_and_its_owner_is_told(
    user: Api, services: Services, behaviour: Behaviour
) -> None:
    id = connected(user, services, "video")
    services.behaviours["/dream-machine/v1/generations/video"] = [behaviour]
    request = ask(user, id, **VIDEO)
    assert work_off() == 1
    found = outcome(user, request)
    assert found["status"] == "failed"
    assert found["error"].endswith(". It may have begun all the same: look there before you ask again.")
    assert step(request["id"]) == []
    assert len(services.requests) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_given_a_service_that_says_that_nothing_has_begun_then_it_is_asked_again(
    user: Api, services: Services, status: int
) -> None:
    id = connected(user, services, "video")
    services.behaviours["/dream-machine/v1/generations/video"] = [answering(status, {"retry-after": "99"})] * 3
    request = ask(user, id, **VIDEO)
    received("integrations")
    assert step(request["id"]) == []
    assert outcome(user, request)["status"] == "running"
    [(seconds,)] = execute(
        "SELECT extract(epoch FROM next_attempt_at - now())::int FROM integration_requests WHERE id = %(id)s",
        id=request["id"],
    )
    assert 90 < seconds < 100
    services.behaviours.clear()
    execute("DELETE FROM circuit_breakers")
    step(request["id"])
    assert len(services.jobs) == 1


def test_given_what_is_tried_for_twice_as_long_as_makes_sense_then_it_ends_whatever_happens(
    user: Api, services: Services
) -> None:
    request = started(user, services)
    services.finish(MP4)
    step(request["id"])
    services.requests.clear()
    # GIVEN a file that nobody checks: it is looked at less and less often
    execute(
        "UPDATE integration_requests SET created_at = now() - interval '47 hours',"
        " stored_at = now() - interval '20 minutes' WHERE id = %(id)s",
        id=request["id"],
    )
    step(request["id"])
    assert outcome(user, request)["status"] == "running"
    [(seconds,)] = execute(
        "SELECT extract(epoch FROM next_attempt_at - now())::int FROM integration_requests WHERE id = %(id)s",
        id=request["id"],
    )
    assert 230 < seconds < 250
    execute(
        "UPDATE integration_requests SET created_at = now() - interval '49 hours' WHERE id = %(id)s", id=request["id"]
    )
    step(request["id"])
    found = outcome(user, request)
    assert (found["status"], found["error"]) == ("failed", "It has been tried for too long.")
    assert services.requests == []


def test_given_a_wait_that_is_longer_than_our_patience_then_it_ends_now(user: Api, services: Services) -> None:
    id = connected(user, services, "github")
    services.behaviours["/repos/octo/engine"] = [answering(429, {"retry-after": "7200"})]
    request = ask(user, id, "github.repository", owner="octo", repository="engine")
    send({"request_id": request["id"]})
    found = outcome(user, request)
    assert (found["status"], found["error"]) == ("failed", "GitHub asks us to wait.")


def test_given_a_key_that_is_taken_back_while_something_is_made_then_a_new_one_brings_it(
    user: Api, services: Services
) -> None:
    request = started(user, services)
    services.tokens.clear()
    for _ in range(2):  # what is refused, and what is not asked any more
        step(request["id"])
        found = outcome(user, request)
        assert (found["status"], found["error"]) == ("running", "Video generation has to be connected again.")
    services.tokens.add("another-key-of-mine")
    assert user.post("/integrations", {"service": "video", "api_key": "another-key-of-mine"}).status == 200
    services.finish(MP4)
    step(request["id"])
    check_file(outcome(user, request)["file_id"])
    step(request["id"])
    assert outcome(user, request)["status"] == "succeeded"
    assert len(services.jobs) == 1


def test_given_a_result_that_was_checked_before_it_is_noted_down_then_it_is_not_fetched_again(
    user: Api, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = started(user, services)
    services.finish(MP4)

    def dying(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(asking, "_step", dying)
        with pytest.raises(KeyboardInterrupt):
            step(request["id"])
    check_file(outcome(user, request)["file_id"])
    services.requests.clear()
    execute("UPDATE integration_requests SET lease_until = NULL WHERE id = %(id)s", id=request["id"])
    step(request["id"])
    assert outcome(user, request)["status"] == "succeeded"
    assert services.requests == []


STEPS = ("begun", "asked", "declared", "put", "stored")


@pytest.mark.parametrize("dies_when", STEPS)
def test_given_a_process_that_dies_at_any_step_then_the_job_ends_all_the_same(
    user: Api, services: Services, monkeypatch: pytest.MonkeyPatch, dies_when: str
) -> None:
    class Killed(BaseException):
        """As SIGKILL: no `except Exception` sees it."""

    id = connected(user, services, "video")
    request = ask(user, id, **VIDEO)
    received("integrations")

    def dying(*_: Any, **__: Any) -> Any:
        raise Killed

    if dies_when == "begun":
        monkeypatch.setattr(asking, "_begin", dying)
    elif dies_when == "asked":  # the service has accepted it, and nobody has noted that down
        monkeypatch.setattr(asking, "_step", dying)
    else:
        step(request["id"])
        services.finish(MP4)
        if dies_when == "declared":
            monkeypatch.setattr(storing, "s3", dying)
        elif dies_when == "put":
            monkeypatch.setattr(asking, "_step", dying)
        else:
            step(request["id"])
            monkeypatch.setattr(asking, "_end", dying)
            check_file(outcome(user, request)["file_id"])
    with pytest.raises(Killed):
        step(request["id"])
    monkeypatch.undo()
    settings.cache_clear()
    # THEN it is left alone while the lease lasts
    assert step(request["id"]) == []
    # AND the dispatcher has it done afterwards
    execute(
        "UPDATE integration_requests SET lease_until = now() - interval '1 s', sent_at = now() - interval '2 s',"
        " next_attempt_at = now() - interval '1 s' WHERE id = %(id)s",
        id=request["id"],
    )
    received("integrations")
    invoke("event_dispatcher", schedule_event("event_dispatcher"))
    assert {"request_id": request["id"]} in received("integrations")
    for _ in range(4):
        step(request["id"])
        services.finish(MP4)
        if (file_id := outcome(user, request)["file_id"]) and read_file(user, file_id)["status"] == "pending":
            check_file(file_id)
    found = outcome(user, request)
    assert (found["status"], found["error"]) == ("succeeded", None)
    assert read_file(user, found["file_id"])["status"] == "ready"
    # AND there is one file, and one job but where nobody could know that it had begun
    assert len(user.get("/files").json()["items"]) == 1
    assert len(services.jobs) == (2 if dies_when == "asked" else 1)


def test_given_two_at_the_same_request_then_one_begins_it(user: Api, services: Services) -> None:
    id = connected(user, services, "meshy")
    request = ask(user, id, **CHAIR)
    held = threading.Event()
    services.before = lambda _: held.wait(1)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: send({"request_id": request["id"]}), range(4))) == [[]] * 4
    assert len(services.jobs) == 1
    assert outcome(user, request)["status"] == "running"


def test_given_somebody_slow_whose_lease_is_over_then_what_they_do_counts_no_more(
    user: Api, services: Services
) -> None:
    request = started(user, services)
    services.finish(MP4)

    def taken_over(path: str) -> None:
        if path.startswith("/results/"):
            execute("UPDATE integration_requests SET run = run + 1 WHERE id = %(id)s", id=request["id"])

    services.before = taken_over
    assert step(request["id"]) == []
    found = outcome(user, request)
    assert (found["status"], found["file_id"]) == ("running", None)
    assert user.get("/files").json()["items"] == []


def test_given_a_file_that_is_deleted_before_it_is_checked_then_the_job_says_so(user: Api, services: Services) -> None:
    request = started(user, services)
    services.finish(MP4)
    step(request["id"])
    assert user.delete(f"/files/{outcome(user, request)['file_id']}").status == 204
    step(request["id"])
    assert outcome(user, request)["error"] == "The file was deleted."


def test_given_a_job_that_never_ends_then_it_is_given_up_after_a_day(user: Api, services: Services) -> None:
    request = started(user, services)
    step(request["id"])
    assert outcome(user, request)["status"] == "running"
    execute(
        "UPDATE integration_requests SET created_at = now() - interval '25 hours' WHERE id = %(id)s", id=request["id"]
    )
    step(request["id"])
    found = outcome(user, request)
    assert (found["status"], found["error"]) == ("failed", "Video generation has not finished it within a day.")


def test_given_a_disconnected_service_then_its_jobs_are_gone_and_its_files_stay(user: Api, services: Services) -> None:
    request = started(user, services)
    services.finish(MP4)
    step(request["id"])
    check_file(outcome(user, request)["file_id"])
    assert user.delete(f"/integrations/{request['integration_id']}").status == 204
    assert step(request["id"]) == []
    work_off()
    assert execute("SELECT FROM integration_requests WHERE id = %(id)s", id=request["id"]) == []
    [file] = user.get("/files").json()["items"]
    assert file["status"] == "ready"


def test_given_text_of_a_document_then_it_is_the_result_and_a_record(user: Api, services: Services) -> None:
    services.document("doc1", name="Plans")
    id = connected(user, services, "google_docs")
    request = ask(user, id, "google_docs.document", document="doc1")
    received("integrations")
    step(request["id"])
    found = outcome(user, request)
    assert found["result"] == {"document_id": "doc1", "text": "The text of Plans"}
    issue = ask(user, id, "google_docs.document", document="nothing")
    step(issue["id"])
    assert outcome(user, issue)["error"] == "Google Docs answered 404: File not found."
