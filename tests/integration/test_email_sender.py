"""Emails: what is sent, what is not, and how often. SES is moto's, or a server that dies at the worst moment."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID, uuid4

import pytest

from infra.local.events import invoke, sqs_event
from infra.local.postgres import Postgres
from quintet.aws import sesv2, sqs
from quintet.config import settings
from quintet.db.engine import owner_engine
from quintet.db.models import File
from quintet.db.session import writing
from quintet.events.record import SYSTEM, record
from quintet.events.types import EventType
from tests.api import PASSWORD, Api

NEW_PASSWORD = "another good phrase 42 indeed"


@dataclass
class Ses:
    """What SES was asked to send and took, in order."""

    requests: list[dict[str, Any]] = field(default_factory=list)

    def to(self, address: str) -> list[dict[str, Any]]:
        """The requests for one recipient."""
        return [request for request in self.requests if request["Destination"]["ToAddresses"] == [address]]

    def only(self, address: str) -> dict[str, Any]:
        """The one email to a recipient: its `Simple` content."""
        (request,) = self.to(address)
        content: dict[str, Any] = request["Content"]["Simple"]
        return content


@pytest.fixture
def ses(stack: Postgres) -> Iterator[Ses]:
    """Listens at the door of moto's SES, which keeps only half of an email."""
    seen = Ses()

    def listen(params: dict[str, Any], **_: Any) -> None:
        seen.requests.append(params)

    sesv2().meta.events.register("provide-client-params.sesv2.SendEmail", listen)
    yield seen
    sesv2().meta.events.unregister("provide-client-params.sesv2.SendEmail", listen)


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


def happened(type: EventType, subject: UUID | None) -> UUID:
    """Record an event as some function would; its id."""
    with writing() as session:
        return record(session, type, subject=subject, scope=SYSTEM)


def happened_already(type: EventType, subject: UUID) -> UUID:
    """The id of the last event of that type about `subject`."""
    return UUID(
        str(
            _owner(
                "SELECT id FROM events WHERE type = %(type)s AND subject_id = %(subject)s ORDER BY id DESC LIMIT 1",
                type=type.value,
                subject=subject,
            )[0]["id"]
        )
    )


def deliver(*event_ids: UUID) -> list[str]:
    """One batch of queue messages to the real handler; the messages that are to come again."""
    messages = [{"event_id": str(event_id), "destination": "email"} for event_id in event_ids]
    answer = invoke("email_sender", sqs_event("email", messages))
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def delivery(event_id: UUID) -> dict[str, Any]:
    """The delivery's row."""
    (row,) = _owner(
        "SELECT done_at, attempts, error, lease_until > now() AS leased FROM deliveries WHERE event_id = %(id)s",
        id=event_id,
    )
    return row


def let_lease_run_out(event_id: UUID) -> None:
    """As if whoever holds the delivery had died a while ago."""
    _owner(
        "UPDATE deliveries SET lease_until = now() - interval '1 s' WHERE event_id = %(id)s RETURNING 1", id=event_id
    )


def _owner(sql: str, **params: Any) -> list[dict[str, Any]]:
    with owner_engine().begin() as connection:
        return [dict(row) for row in connection.exec_driver_sql(sql, params).mappings()]


def set_user(user: Api, assignment: str) -> None:
    """Change an account behind the API's back."""
    _owner(f"UPDATE users SET {assignment} WHERE id = %(id)s RETURNING 1", id=user.id)


def link_in(content: dict[str, Any]) -> str:
    """The link of an email, which both parts hold."""
    text, html = content["Body"]["Text"]["Data"], content["Body"]["Html"]["Data"]
    (link,) = re.findall(r"^http\S+$", text, re.MULTILINE)
    assert f'href="{link}"' in html
    return str(link)


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


def address_of(user: Api) -> str:
    return str(user.user["email"])


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
    assert deliver(happened_already(EventType.EMAIL_VERIFIED, user.id)) == []
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
    assert deliver(happened_already(EventType.PASSWORD_RESET_REQUESTED, user.id)) == []

    content = ses.only(address_of(user))
    assert content["Subject"]["Data"] == "Reset your password"
    assert "for 30 minutes" in content["Body"]["Text"]["Data"]
    (row,) = _owner(
        "SELECT expires_at - created_at = interval '30 minutes' AS half_an_hour FROM one_time_tokens"
        " WHERE user_id = %(id)s AND purpose = 'password_reset'",
        id=user.id,
    )
    assert row["half_an_hour"]
    path, token = opened(link_in(content))
    assert submit(path, token=token, password=NEW_PASSWORD) == 200
    Api().sign_in(address_of(user), NEW_PASSWORD)

    assert deliver(happened_already(EventType.PASSWORD_CHANGED, user.id)) == []
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


def test_given_a_rejected_file_then_its_owner_reads_which_and_why(api: Api, ses: Ses) -> None:
    user = api.register()
    file_id = rejected_file(user, "見積書 <b>+\r\nBcc: all@example.com.pdf", "It is <larger> than 25 MB.")
    assert deliver(happened(EventType.FILE_REJECTED, file_id)) == []

    content = ses.only(address_of(user))
    assert content["Subject"]["Data"] == "File not accepted: 見積書 <b>+ Bcc: all@example.com.pdf"
    assert "File: 見積書 <b>+ Bcc: all@example.com.pdf\n" in content["Body"]["Text"]["Data"]
    assert "Reason: It is <larger> than 25 MB.\n" in content["Body"]["Text"]["Data"]
    assert "<bdi>It is &lt;larger&gt; than 25 MB.</bdi>" in content["Body"]["Html"]["Data"]


def test_given_a_configuration_set_and_a_sender_with_an_umlaut_then_ses_gets_both(
    api: Api, ses: Ses, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = api.register()
    monkeypatch.setenv("SES_CONFIGURATION_SET", "quintet-prod")
    monkeypatch.setenv("EMAIL_FROM", "Büro <no-reply@quintet.example>")
    settings.cache_clear()
    try:
        assert deliver(happened(EventType.PASSWORD_CHANGED, user.id)) == []
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    (request,) = ses.to(address_of(user))
    assert request["ConfigurationSetName"] == "quintet-prod"
    assert request["FromEmailAddress"] == "=?utf-8?b?QsO8cm8=?= <no-reply@quintet.example>"


@pytest.mark.parametrize(
    ("assignment", "type", "note"),
    [
        ("status = 'disabled'", EventType.PASSWORD_CHANGED, "The account is disabled."),
        ("email_verified_at = now()", EventType.ACCOUNT_REGISTERED, "The address is verified already."),
        ("email_verified_at = now()", EventType.EMAIL_VERIFICATION_REQUESTED, "The address is verified already."),
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
    assert _owner("SELECT 1 FROM one_time_tokens WHERE user_id = %(id)s", id=user.id) == []


def test_given_a_suppressed_address_then_nothing_is_sent_whatever_its_case(api: Api, ses: Ses) -> None:
    user = api.register()
    _owner(
        "INSERT INTO suppressed_addresses (email, reason) VALUES (%(email)s, 'bounce') RETURNING 1",
        email=address_of(user).upper(),
    )
    event_id = happened(EventType.PASSWORD_RESET_REQUESTED, user.id)
    assert deliver(event_id) == []
    assert ses.requests == []
    assert delivery(event_id)["error"] == "The address bounced or complained before."


@pytest.mark.parametrize(
    ("type", "subject", "note"),
    [
        (EventType.PASSWORD_RESET_REQUESTED, None, "Nobody has this address."),
        (EventType.PASSWORD_CHANGED, uuid4(), "The account is gone."),
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
    event_id = happened(EventType.PASSWORD_CHANGED, api.register().id)
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
    waiting, sent = (happened(EventType.PASSWORD_CHANGED, user.id) for user in (late, prompt))
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
    event_id = happened(EventType.PASSWORD_CHANGED, api.register().id)
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


def test_given_many_deliveries_at_once_then_ses_is_asked_once(api: Api, ses: Ses) -> None:
    users = [api.register() for _ in range(3)]
    events = [happened(EventType.PASSWORD_CHANGED, user.id) for user in users]
    threads = 8
    together = threading.Barrier(threads)

    def all_of_them(number: int) -> list[str]:
        together.wait()
        return deliver(*(events if number % 2 else reversed(events)))

    # WHEN eight consumers get the same three messages at the same time, and once more afterwards
    with ThreadPoolExecutor(threads) as pool:
        assert list(pool.map(all_of_them, range(threads))) == [[]] * threads
    assert deliver(*events, *events) == []

    # THEN each email was sent once
    assert [len(ses.to(address_of(user))) for user in users] == [1, 1, 1]
    assert all(delivery(event_id)["attempts"] == 1 for event_id in events)


class DeadlySes:
    """SES over HTTP: it counts what it accepts, and ends its client before or after that, or refuses."""

    def __init__(self, behaviour: str) -> None:
        self.accepted: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.client: subprocess.Popen[str] | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.asked.append(request)
                if behaviour == "dies before":
                    outer.kill()
                    return
                if behaviour == "dies after":
                    outer.accepted.append(request)
                    outer.kill()
                    return
                address = request["Destination"]["ToAddresses"][0]
                body = json.dumps({"message": f"{address}: no"}).encode()
                self.send_response(int(behaviour))
                self.send_header("x-amzn-ErrorType", "MessageRejected" if behaviour == "400" else "Throttled")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: the test's own output is read."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def kill(self) -> None:
        assert self.client is not None
        self.client.kill()
        self.client.wait(10)

    def deliver_in_a_process_of_its_own(self, event_id: UUID, repository: Path) -> tuple[int, str]:
        """Run the real handler on one message; its exit code (-9: killed) and all it printed."""
        code = (
            "import sys; from infra.local.events import invoke, sqs_event;"
            "print(invoke('email_sender', sqs_event('email', [{'event_id': sys.argv[1], 'destination': 'email'}])))"
        )
        environment = os.environ | {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.server.server_port}",
            "PYTHONPATH": f"{repository}:{repository / 'layers' / 'shared' / 'python'}",
            "POWERTOOLS_LOG_LEVEL": "DEBUG",
            "NO_PROXY": "127.0.0.1",
        }
        self.client = subprocess.Popen(
            [sys.executable, "-c", code, str(event_id)],
            cwd=repository,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        output, _ = self.client.communicate(timeout=60)
        return self.client.returncode, output


@pytest.fixture
def deadly() -> Iterator[type[DeadlySes]]:
    """Makes servers, and stops them."""
    made: list[DeadlySes] = []

    class Kept(DeadlySes):
        def __init__(self, behaviour: str) -> None:
            super().__init__(behaviour)
            made.append(self)

    yield Kept
    for server in made:
        server.server.shutdown()
        server.server.server_close()


@pytest.mark.parametrize(("behaviour", "times"), [("dies before", 1), ("dies after", 2)])
def test_given_a_process_killed_at_ses_then_the_email_is_not_lost_and_twice_only_if_it_was_accepted(
    api: Api, ses: Ses, deadly: type[DeadlySes], repository: Path, behaviour: str, times: int
) -> None:
    user = api.register()
    event_id = happened(EventType.PASSWORD_CHANGED, user.id)
    server = deadly(behaviour)

    # GIVEN the process that sends it is killed (-9) around SES's acceptance
    exit_code, _ = server.deliver_in_a_process_of_its_own(event_id, repository)
    assert exit_code == -9
    assert len(server.asked) == 1
    assert delivery(event_id) == {"done_at": None, "attempts": 1, "error": None, "leased": True}

    # WHEN the message comes again while the dead process's lease lasts, THEN nobody sends
    assert deliver(event_id) == []
    assert ses.requests == []

    # AND once it has run out, it is sent and done, and never again
    let_lease_run_out(event_id)
    assert deliver(event_id) == []
    assert deliver(event_id) == []
    assert len(server.accepted) + len(ses.to(address_of(user))) == times
    assert delivery(event_id)["done_at"]
    assert delivery(event_id)["attempts"] == 2


@pytest.mark.parametrize("behaviour", ["400", "429"])
def test_given_an_error_that_quotes_the_email_then_no_log_does(
    api: Api, deadly: type[DeadlySes], repository: Path, behaviour: str
) -> None:
    user = api.register(full_name="Marguerite Unmistakable")
    event_id = happened(EventType.PASSWORD_RESET_REQUESTED, user.id)
    server = deadly(behaviour)

    exit_code, output = server.deliver_in_a_process_of_its_own(event_id, repository)

    assert exit_code == 0
    assert ("MessageRejected" if behaviour == "400" else "Throttled") in output
    (request,) = server.asked  # once: a retry might send twice
    token = link_in(request["Content"]["Simple"]).partition("token=")[2]
    assert len(token) == 43
    for secret in (token, address_of(user), "Unmistakable", PASSWORD):
        assert secret not in output
        assert secret not in json.dumps(_owner("SELECT error FROM deliveries WHERE event_id = %(id)s", id=event_id))
    # nor does the event log
    assert _owner("SELECT 1 FROM events WHERE data::text LIKE %(token)s", token=f"%{token}%") == []
