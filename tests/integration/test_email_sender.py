"""Emails: what is sent, and what is not. SES is moto's."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID, uuid4

import pytest

from infra.local.events import sqs_event
from infra.local.invocation import invoke
from infra.local.postgres import Postgres
from quintet.aws import sesv2, sqs
from quintet.config import settings
from quintet.db.models.files import File
from quintet.db.session import writing
from quintet.events.record import SYSTEM, record
from quintet.events.types import EventType
from tests.support.api import Api
from tests.support.campaigning import created, upload
from tests.support.mailroom import (
    Ses,
    address_of,
    as_owner,
    deliver,
    delivery,
    happened,
    happened_already,
    link_in,
    listening,
)
from tests.support.statements import execute

NEW_PASSWORD = "another good phrase 42 indeed"


@pytest.fixture
def ses(stack: Postgres) -> Iterator[Ses]:
    """What moto's SES hears."""
    with listening() as seen:
        yield seen


@pytest.fixture
def refusing(ses: Ses) -> Iterator[list[tuple[int, str]]]:
    """Answers SES gives before its own: (status, error code), the first to the next request."""
    from botocore.awsrequest import AWSResponse
    from botocore.compat import HTTPHeaders
    from moto.core.botocore_stubber import MockRawResponse

    answers: list[tuple[int, str]] = []

    def answer(request: Any, **_: Any) -> Any:
        if not answers:
            return None
        status, code = answers.pop(0)
        body = json.dumps({"message": "somebody@example.com is refused"}).encode()
        headers = HTTPHeaders.from_dict({"x-amzn-ErrorType": code})
        return AWSResponse(request.url, status, headers, MockRawResponse(body))

    sesv2().meta.events.register_first("before-send.sesv2.SendEmail", answer)
    yield answers
    sesv2().meta.events.unregister("before-send.sesv2.SendEmail", answer)


def set_user(user: Api, assignment: str) -> None:
    """Change an account behind the API's back."""
    as_owner(f"UPDATE users SET {assignment} WHERE id = %(id)s RETURNING 1", id=user.id)


def opened(link: str) -> tuple[str, str]:
    """Follow a link as a browser does: its page is there. Its path, and its token."""
    parts = urlsplit(link)
    page = Api().get(parts.path, query=parse_qsl(parts.query))
    assert page.status == 200, page
    assert (page.header("content-type") or "").startswith("text/html")
    return parts.path, dict(parse_qsl(parts.query))["token"]


def submit(path: str, **form: str) -> int:
    """Press the page's button; the answer's status."""
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return Api().post(path, body=urlencode(form).encode(), headers=headers).status


def rejected_file(owner: Api, file_name: str, reason: str) -> UUID:
    """A file as the processor leaves it."""
    with writing() as session:
        file = File(
            owner_id=owner.id,
            file_name=file_name,
            bucket="b",
            key=str(uuid4()),
            content_type="application/pdf",
            size=1,
            status="rejected",
            reason=reason,
        )
        session.add(file)
        session.flush()
        return file.id


def test_given_a_registration_when_its_email_arrives_then_the_link_verifies_and_a_welcome_follows(
    api: Api, ses: Ses
) -> None:
    # GIVEN somebody who has registered under a name that is a message to whoever reads it
    user = api.register(full_name="Win money at evil.example")
    registered = happened_already(EventType.ACCOUNT_REGISTERED, user.id)

    # WHEN the queue delivers
    assert deliver(registered) == []

    # THEN one email asks to verify the address, and does not repeat what a stranger may have typed
    (request,) = ses.to(address_of(user))
    content = ses.only(address_of(user))
    assert request["FromEmailAddress"] == "Quintet <no-reply@quintet.example>"
    assert "ConfigurationSetName" not in request
    assert content["Subject"] == {"Data": "Confirm your email address", "Charset": "UTF-8"}
    assert content["Headers"] == [{"Name": "Auto-Submitted", "Value": "auto-generated"}]
    assert "evil.example" not in json.dumps(content)
    assert delivery(registered)["error"] is None

    # AND its link works once
    path, token = opened(link_in(content))
    assert submit(path, token=token) == 200
    assert submit(path, token=token) == 400
    assert Api(token=user.token).get("/users/me").json()["email_verified"] is True

    # AND the welcome knows the name
    assert deliver(happened_already(EventType.ACCOUNT_EMAIL_VERIFIED, user.id)) == []
    welcome = ses.to(address_of(user))[1]["Content"]["Simple"]
    assert welcome["Subject"]["Data"] == "Welcome to Quintet"
    assert "Hello Win money at evil.example," in welcome["Body"]["Text"]["Data"]


def test_given_a_commit_when_its_message_comes_through_the_queue_then_the_email_is_sent(api: Api, ses: Ses) -> None:
    user = api.register()
    queue = settings().queue_urls["email"]

    # WHEN whatever is in the queue is handed to the function
    while messages := sqs().receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        assert invoke("email_sender", sqs_event("email", messages)) == {"batchItemFailures": []}
        for message in messages:
            sqs().delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])

    # THEN the registration's email is among what was sent
    assert ses.only(address_of(user))["Subject"]["Data"] == "Confirm your email address"


def test_given_a_reset_request_then_the_link_sets_a_password_for_half_an_hour_and_a_notice_follows(
    api: Api, ses: Ses
) -> None:
    user = api.register()
    assert Api().post("/auth/password-reset", {"email": address_of(user)}).status == 202
    assert deliver(happened_already(EventType.ACCOUNT_PASSWORD_RESET_REQUESTED, user.id)) == []

    content = ses.only(address_of(user))
    assert content["Subject"]["Data"] == "Reset your password"
    assert "for 30 minutes" in content["Body"]["Text"]["Data"]
    (row,) = as_owner(
        "SELECT expires_at - created_at = interval '30 minutes' AS half_an_hour FROM one_time_tokens"
        " WHERE user_id = %(id)s AND purpose = 'password_reset'",
        id=user.id,
    )
    assert row["half_an_hour"]
    path, token = opened(link_in(content))
    assert submit(path, token=token, password=NEW_PASSWORD) == 200
    Api().sign_in(address_of(user), NEW_PASSWORD)

    assert deliver(happened_already(EventType.ACCOUNT_PASSWORD_CHANGED, user.id)) == []
    notice = ses.to(address_of(user))[1]["Content"]["Simple"]
    assert notice["Subject"]["Data"] == "Your password was changed"
    assert re.search(r"changed on \d+ \w+ \d{4} at\s\d\d:\d\d UTC", notice["Body"]["Text"]["Data"])
    assert "http" not in notice["Body"]["Text"]["Data"]


def test_given_an_account_made_by_an_administrator_then_an_invitation_lets_them_choose_a_password(
    api: Api, ses: Ses
) -> None:
    user = api.register(full_name="Grace Hopper")
    assert deliver(happened(EventType.ACCOUNT_CREATED, user.id)) == []

    content = ses.only(address_of(user))
    assert content["Subject"]["Data"] == "Your Quintet account is ready"
    assert "Hello Grace Hopper," in content["Body"]["Text"]["Data"]
    assert "for 3 days" in content["Body"]["Text"]["Data"]
    path, token = opened(link_in(content))
    assert submit(path, token=token, password=NEW_PASSWORD) == 200
    Api().sign_in(address_of(user), NEW_PASSWORD)


def test_given_an_address_that_moves_twice_at_once_then_each_former_one_is_told_and_the_events_name_none(
    api: Api, ses: Ses
) -> None:
    user = api.register(full_name="A message to whoever reads it")
    first, second, third = address_of(user), "moved.to@example.com", "moved.on@example.com"
    # WHEN it has moved on before the first email goes out
    moves = []
    for address in (second, third):
        assert user.patch("/users/me", {"email": address}).status == 200
        moves.append(happened_already(EventType.ACCOUNT_EMAIL_CHANGED, user.id))
    assert deliver(*moves) == []
    # THEN both know, without a word that who moved it could have chosen
    for former in (first, second):
        content = ses.only(former)
        assert content["Subject"]["Data"] == "The address of your account was changed"
        for part in ("Text", "Html"):
            assert "tell an administrator" in " ".join(content["Body"][part]["Data"].split())
            assert not re.search(rf"A message|{third}", content["Body"][part]["Data"])
    assert ses.to(third) == []
    # THEN it is not in the log
    recorded = as_owner("SELECT data FROM events WHERE subject_id = %(id)s", id=user.id)
    assert not re.search("@example", json.dumps(recorded))


def test_given_a_former_address_that_bounced_then_nothing_is_sent_there_nor_to_the_new_one(api: Api, ses: Ses) -> None:
    user = api.register()
    as_owner("INSERT INTO suppressed_addresses VALUES (%(email)s, 'bounce') RETURNING 1", email=address_of(user))
    assert user.patch("/users/me", {"email": "away.from.it@example.com"}).status == 200
    event_id = happened_already(EventType.ACCOUNT_EMAIL_CHANGED, user.id)
    assert deliver(event_id) == []
    assert ses.requests == []
    assert delivery(event_id)["error"] == "The address bounced or complained before."


def test_given_a_rejected_file_then_its_owner_reads_which_and_why(api: Api, ses: Ses) -> None:
    user = api.register()
    set_user(user, "email_verified_at = now()")
    file_id = rejected_file(user, "見積書 <b>+\r\nBcc: all@example.com.pdf", "It is <larger> than 25 MB.")
    assert deliver(happened(EventType.FILE_REJECTED, file_id)) == []

    content = ses.only(address_of(user))
    assert content["Subject"]["Data"] == "File not accepted: 見積書 <b>+ Bcc: all@example.com.pdf"
    assert "File: 見積書 <b>+ Bcc: all@example.com.pdf\n" in content["Body"]["Text"]["Data"]
    assert "Reason: It is <larger> than 25 MB.\n" in content["Body"]["Text"]["Data"]
    assert "<bdi>It is &lt;larger&gt; than 25 MB.</bdi>" in content["Body"]["Html"]["Data"]


def test_given_an_import_then_its_email_names_the_route_to_the_list_of_failed_rows(api: Api, ses: Ses) -> None:
    user = api.register()
    set_user(user, "email_verified_at = now()")
    campaign = created(user, name="Spring")["id"]
    id = upload(user, campaign)
    execute("UPDATE campaign_uploads SET rows_total = 3, rows_invalid = 3 WHERE id = %(id)s", id=id)
    assert deliver(happened(EventType.CAMPAIGN_UPLOAD_FINISHED, id)) == []
    path = f"{settings().api_url}/campaigns/{campaign}/data/{id}/failed-rows"
    assert f"The list: GET {path}\n" in ses.only(address_of(user))["Body"]["Text"]["Data"]


def test_given_an_address_that_is_not_proven_then_nothing_that_its_owner_wrote_goes_there(api: Api, ses: Ses) -> None:
    # GIVEN somebody who registered with a stranger's address
    user = api.register()
    file_id = rejected_file(user, "You have won, see evil.example.pdf", "It is larger than 25 MB.")
    upload_id = upload(user, created(user, name="You have won, see evil.example")["id"])
    new = {"url": "https://evil.example/", "description": "You have won", "types": ["division.removed"]}
    webhook_id = UUID(user.post("/webhooks", new).json()["id"])
    with writing() as session:
        paused = record(session, EventType.WEBHOOK_PAUSED, subject=webhook_id, scope=SYSTEM, data={"reason": "failing"})
    happenings = [
        happened(EventType.FILE_REJECTED, file_id),
        happened(EventType.CAMPAIGN_UPLOAD_FINISHED, upload_id),
        happened(EventType.CAMPAIGN_UPLOAD_FAILED, upload_id),
        paused,
    ]
    assert deliver(*happenings) == []
    assert ses.requests == []
    assert [delivery(id)["error"] for id in happenings] == ["The address is not verified."] * 4
    assert user.delete(f"/webhooks/{webhook_id}").status == 204


def test_given_a_configuration_set_and_a_sender_with_an_umlaut_then_ses_gets_both(
    api: Api, ses: Ses, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = api.register()
    monkeypatch.setenv("SES_CONFIGURATION_SET", "quintet-prod")
    monkeypatch.setenv("EMAIL_FROM", "Büro <no-reply@quintet.example>")
    settings.cache_clear()
    try:
        assert deliver(happened(EventType.ACCOUNT_PASSWORD_CHANGED, user.id)) == []
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    (request,) = ses.to(address_of(user))
    assert request["ConfigurationSetName"] == "quintet-prod"
    assert request["FromEmailAddress"] == "=?utf-8?b?QsO8cm8=?= <no-reply@quintet.example>"


@pytest.mark.parametrize(
    ("assignment", "type", "note"),
    [
        ("status = 'disabled'", EventType.ACCOUNT_PASSWORD_CHANGED, "The account is disabled."),
        ("email_verified_at = now()", EventType.ACCOUNT_REGISTERED, "The address is verified already."),
        (
            "email_verified_at = now()",
            EventType.ACCOUNT_EMAIL_VERIFICATION_REQUESTED,
            "The address is verified already.",
        ),
    ],
)
def test_given_an_account_that_is_not_to_be_written_to_then_nothing_is_sent_and_the_delivery_says_why(
    api: Api, ses: Ses, assignment: str, type: EventType, note: str
) -> None:
    user = api.register()
    set_user(user, assignment)
    event_id = happened(type, user.id)

    assert deliver(event_id) == []

    assert ses.requests == []
    assert delivery(event_id)["done_at"]
    assert delivery(event_id)["error"] == note
    assert as_owner("SELECT 1 FROM one_time_tokens WHERE user_id = %(id)s", id=user.id) == []


def test_given_a_suppressed_address_then_nothing_is_sent_whatever_its_case(api: Api, ses: Ses) -> None:
    user = api.register()
    as_owner(
        "INSERT INTO suppressed_addresses (email, reason) VALUES (%(email)s, 'bounce') RETURNING 1",
        email=address_of(user).upper(),
    )
    event_id = happened(EventType.ACCOUNT_PASSWORD_RESET_REQUESTED, user.id)
    assert deliver(event_id) == []
    assert ses.requests == []
    assert delivery(event_id)["error"] == "The address bounced or complained before."


@pytest.mark.parametrize(
    ("type", "subject", "note"),
    [
        (EventType.ACCOUNT_PASSWORD_RESET_REQUESTED, None, "Nobody has this address."),
        (EventType.ACCOUNT_PASSWORD_CHANGED, uuid4(), "The account is gone."),
        (EventType.FILE_REJECTED, uuid4(), "The file is gone."),
    ],
)
def test_given_an_event_without_a_recipient_then_nothing_is_sent_and_the_delivery_says_why(
    ses: Ses, type: EventType, subject: UUID | None, note: str
) -> None:
    event_id = happened(type, subject)
    assert deliver(event_id) == []
    assert ses.requests == []
    assert delivery(event_id)["done_at"]
    assert delivery(event_id)["error"] == note


@pytest.mark.parametrize("code", ["MessageRejected", "BadRequestException"])
def test_given_an_email_that_ses_refuses_for_good_then_it_is_done_with_a_note(
    api: Api, refusing: list[tuple[int, str]], ses: Ses, code: str
) -> None:
    event_id = happened(EventType.ACCOUNT_PASSWORD_CHANGED, api.register().id)
    refusing.append((400, code))

    assert deliver(event_id, event_id) == []

    assert len(ses.requests) == 1
    assert delivery(event_id)["error"] == f"SES refuses it: {code}"


@pytest.mark.parametrize(
    ("status", "code"),
    [(429, "TooManyRequestsException"), (400, "SendingPausedException"), (503, "ServiceUnavailable")],
)
def test_given_ses_has_no_time_then_only_that_message_comes_again_and_is_sent_then(
    api: Api, refusing: list[tuple[int, str]], ses: Ses, status: int, code: str
) -> None:
    late, prompt = api.register(), api.register()
    waiting, sent = (happened(EventType.ACCOUNT_PASSWORD_CHANGED, user.id) for user in (late, prompt))
    refusing.append((status, code))

    # WHEN a batch meets the error, THEN that message alone fails, asked for once
    assert len(deliver(waiting, sent)) == 1
    assert len(ses.to(address_of(late))) == 1
    assert delivery(waiting) == {"done_at": None, "attempts": 1, "error": "SendingFailedError", "leased": None}
    assert delivery(sent)["done_at"]

    # AND when it comes again, it goes out
    assert deliver(waiting, sent) == []
    assert len(ses.to(address_of(late))) == 2
    assert len(ses.to(address_of(prompt))) == 1
    assert delivery(waiting)["done_at"]
    assert delivery(waiting)["error"] is None


def test_given_a_sender_that_is_not_verified_then_no_email_is_lost(
    api: Api, ses: Ses, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_id = happened(EventType.ACCOUNT_PASSWORD_CHANGED, api.register().id)
    monkeypatch.setenv("EMAIL_FROM", "Quintet <no-reply@mistyped.example>")
    settings.cache_clear()
    try:
        assert len(deliver(event_id)) == 1  # moto answers MessageRejected
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    assert delivery(event_id)["done_at"] is None
    assert deliver(event_id) == []
    assert delivery(event_id)["done_at"]
