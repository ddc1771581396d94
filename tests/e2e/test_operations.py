"""The operator's page: what it says is rehearsed is run as it stands there, entry by entry, and answers as it says."""

import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import httpx2
import psycopg
import pytest

from infra.local.events import sqs_event
from infra.local.state import ROOT, without_proxies
from tests.e2e.stand import Stand, eventually
from tests.e2e.uploading import checked, presign, send

PAGE = (ROOT / "docs/operations.md").read_text()
REHEARSED = "<!-- rehearsed -->"
NOT_REHEARSED = re.compile(r"<!-- not rehearsed: \S.{9,} -->")
EVERYWHERE = "Names"
"""The entry whose blocks all others begin with."""

# What version 2 does by itself, and what the rehearsal has made under bootstrap's own names already.
AS_VERSION_2 = """
aws() {
    local given=()
    while (($#)); do
        case $1 in --cli-binary-format) shift 2 ;; *) given+=("$1"); shift ;; esac
    done
    command aws --endpoint-url "$AWS_ENDPOINT_URL" "${given[@]}"
}
npx() { command npx "$@" --qualifier rehearsed --toolkit-stack-name CDKToolkit-rehearsed; }
"""


def _entries() -> dict[str, list[tuple[str, str]]]:
    """Heading -> the mark and the text of each of its blocks."""
    entries: dict[str, list[tuple[str, str]]] = {}
    heading = mark = ""
    block: list[str] | None = None
    for line in PAGE.splitlines():
        if block is not None:
            if line == "```":
                entries[heading].append((mark, "\n".join(block)))
                block, mark = None, ""
            else:
                block.append(line)
        elif line == "```sh":
            block = []
        elif line.startswith("#"):
            heading = line.lstrip("# ").strip("`")
            assert heading not in entries, f"two entries are called {heading}"
            entries[heading] = []
        else:
            mark = line
    return entries


ENTRIES = _entries()
SCRIPTS = {
    heading: "\n".join(text for mark, text in blocks if mark == REHEARSED)
    for heading, blocks in ENTRIES.items()
    if any(mark == REHEARSED for mark, _ in blocks)
}


def test_given_the_page_then_each_of_its_blocks_says_whether_it_is_rehearsed_or_why_not() -> None:
    marks = [(heading, mark) for heading, blocks in ENTRIES.items() for mark, _ in blocks]
    unmarked = [(heading, mark) for heading, mark in marks if mark != REHEARSED and not NOT_REHEARSED.fullmatch(mark)]
    assert not unmarked, "each ```sh follows `<!-- rehearsed -->` or `<!-- not rehearsed: the reason -->`"
    assert len(marks) == PAGE.count("```sh"), "a block was not found"
    assert {*SCRIPTS} == {EVERYWHERE, *STORIES}, "each entry with something rehearsed has its story here"


def test_given_the_page_then_the_tools_it_names_are_those_of_the_makefile(repository: Path) -> None:
    makefile = (repository / "Makefile").read_text()
    [version] = re.findall(r"^CDK_CLI := (\S+)", makefile, re.MULTILINE)
    assert set(re.findall(r"aws-cdk@(\S+)", PAGE)) == {version}
    used = {name for blocks in ENTRIES.values() for _, text in blocks for name in re.findall(r"\bmake ([a-z]+)", text)}
    assert used <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


def test_given_the_page_then_every_place_it_links_to_is_there(repository: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^#)]*)#([^)]+)\)", PAGE):
        text = (repository / "docs" / target).read_text() if target else PAGE
        headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@dataclass(frozen=True)
class There:
    """The deployed stand, and the folder an entry is followed in."""

    stand: Stand
    told: dict[str, str]
    folder: Path

    @property
    def prefix(self) -> str:
        """What names in the account begin with."""
        return f"quintet-{self.told['ENVIRONMENT']}"

    def aws(self, service: str) -> Any:
        """A client of the emulated account."""
        told = self.told
        session: Any = boto3.Session(told["AWS_ACCESS_KEY_ID"], told["AWS_SECRET_ACCESS_KEY"])
        return session.client(service, region_name=told["AWS_REGION"], endpoint_url=told["AWS_ENDPOINT_URL"])

    def queue(self, name: str) -> str:
        """The URL of a queue."""
        url: str = self.aws("sqs").get_queue_url(QueueName=f"{self.prefix}-{name}")["QueueUrl"]
        return url

    def somebody(self, address: str) -> httpx2.Client:
        """A client who is signed in with a new account; its making counts for none of the limits that tests share."""
        client = self.stand.sign_up(address)
        self.stand.forgive()
        return client

    def change(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows that a statement of the database's owner answers."""
        with psycopg.connect(self.told["DATABASE_OWNER_URL"]) as connection:
            return connection.execute(sql, values).fetchall()

    def follow(self, script: str, variables: dict[str, str]) -> str:
        """What bash writes that is given this; fails when it fails."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", AS_VERSION_2 + SCRIPTS[EVERYWHERE] + "\n" + script],
            cwd=self.folder,
            env=without_proxies(
                {
                    **os.environ,
                    **{name: value for name, value in self.told.items() if name.startswith("AWS_")},
                    "AWS_DEFAULT_REGION": self.told["AWS_REGION"],
                    "CDK_DISABLE_CLI_TELEMETRY": "true",
                    "ENV": self.told["ENVIRONMENT"],
                    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                    **variables,
                }
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n\nanswers:\n{done.stdout}"
        return done.stdout


@dataclass(frozen=True)
class Given:
    """What an entry is followed with: variables it leaves to its reader, and what they would write after it."""

    variables: dict[str, str] = field(default_factory=dict)
    then: str = ""


Story = Generator[Given, str, None]
"""Makes what is given, is told what the entry's blocks wrote, and looks at that and at what has become of things."""


@pytest.mark.timeout(200)
@pytest.mark.parametrize("heading", [heading for heading in SCRIPTS if heading != EVERYWHERE])
def test_given_a_deployed_stand_when_an_entry_is_followed_then_it_does_what_it_says(
    stand: Stand, deployed: dict[str, str], tmp_path: Path, heading: str
) -> None:
    there = There(stand, deployed, tmp_path)
    story = STORIES[heading](there)
    given = next(story)
    said = there.follow(SCRIPTS[heading] + "\n" + given.then, given.variables)
    with suppress(StopIteration):
        story.send(said)
        raise AssertionError("a story has one `yield`")


def answers(*expected: str) -> Callable[[There], Story]:
    """The story of an entry of which each of these patterns is found in what it writes."""

    def story(there: There) -> Story:
        said = yield Given()
        missing = [pattern for pattern in expected if not re.search(pattern, said)]
        assert not missing, said

    return story


def first_administrator(there: There) -> Story:
    with suppress(httpx2.HTTPStatusError):  # that of an earlier run on the same stand
        there.somebody("you@example.com").close()
        there.stand.prove("you@example.com")
    said = yield Given()
    assert re.search(r"you@example.com is an administrator (now|already)[.]", said)
    held = there.change(
        "SELECT r.name FROM roles r JOIN user_roles h ON h.role_id = r.id JOIN users u ON u.id = h.user_id "
        "WHERE u.email = 'you@example.com'"
    )
    assert ("admin",) in held


def email(there: There) -> Story:
    said = yield Given()
    there.aws("sesv2").delete_email_identity(EmailIdentity="you@example.com")
    assert said.count(" CNAME ") == 3
    assert "true" in said


def logs(there: There) -> Story:
    with there.somebody(f"{secrets.token_hex(6)}@example.com") as person:
        me = person.get("/users/me").json()["id"]
    _fail(there, "email_sender")
    said = yield Given({"WHAT": me})
    assert re.search(f'"request".*"user_id":"{me}".*"path":"/users/me"', said)
    assert re.search('"level":"ERROR".*it will come again', said)


def errors(there: There) -> Story:
    _fail(there, "email_sender")
    said = yield Given()
    assert re.search('"level":"ERROR".*it will come again', said)


def _fail(there: There, consumer: str) -> None:
    """Have a consumer log what it makes of a message that nobody can read."""
    event = sqs_event("email", ["poison"])
    there.aws("lambda").invoke(FunctionName=f"{there.prefix}-{consumer}", Payload=json.dumps(event))


def statements(there: There) -> Story:
    client, group = there.aws("logs"), f"/aws/rds/instance/{there.prefix}/postgresql"
    with suppress(client.exceptions.ResourceAlreadyExistsException):
        client.create_log_stream(logGroupName=group, logStreamName="rehearsed")
    slow = "LOG:  duration: 700.1 ms  statement: SELECT slowly()"
    line = {"timestamp": int(time.time() * 1000), "message": slow}
    client.put_log_events(logGroupName=group, logStreamName="rehearsed", logEvents=[line])
    said = yield Given()
    assert slow in said


def alarm(name: str) -> Callable[[There], Story]:
    """An alarm of the stack that is on."""

    def story(there: There) -> Story:
        client, full_name = there.aws("cloudwatch"), f"{there.prefix}-{name}"
        assert client.describe_alarms(AlarmNames=[full_name])["MetricAlarms"], full_name
        client.set_alarm_state(AlarmName=full_name, StateValue="ALARM", StateReason="a rehearsal")
        try:
            said = yield Given()
        finally:
            client.set_alarm_state(AlarmName=full_name, StateValue="OK", StateReason="the end of it")
        assert re.search(f"{full_name}.*a rehearsal" if "Late" in name else "to ALARM", said), said

    return story


def stuck(there: There) -> Story:
    # GIVEN a mail that failed so often that the dispatcher has given it up
    address, _ = _undone(there, "attempts = 20, next_attempt_at = now()")
    there.aws("lambda").invoke(FunctionName=f"{there.prefix}-event_dispatcher", Payload=b"{}")
    said = yield Given()
    assert "is given up" in said
    assert int(re.findall(r'"deliveries": ?(\d+)', said)[0]) >= 1
    there.stand.wait_for_mail(address, subject="Confirm", count=2)


def dead_letters(there: There) -> Story:
    # GIVEN a mail that was not sent, and its message among the dead letters
    address, event = _undone(there, "next_attempt_at = now() + interval '1 day'")
    message = json.dumps({"event_id": event, "destination": "email"})
    sqs = there.aws("sqs")
    sqs.purge_queue(QueueUrl=there.queue("email-dead-letters"))
    sqs.send_message(QueueUrl=there.queue("email-dead-letters"), MessageBody=message)
    said = yield Given()
    # THEN it is read, put back, and done
    assert event in said
    there.stand.wait_for_mail(address, subject="Confirm", count=2)
    eventually(lambda: there.change("SELECT 1 FROM deliveries WHERE event_id = %s AND done_at IS NOT NULL", event))


def _undone(there: There, state: str) -> tuple[str, str]:
    """The address of a mail whose delivery is as if it had never been sent, and the id of its event."""
    address = f"{secrets.token_hex(6)}@example.com"
    there.somebody(address).close()
    there.stand.wait_for_mail(address, subject="Confirm")
    of_theirs = "(SELECT e.id FROM events e JOIN users u ON u.id = e.subject_id WHERE u.email = %s)"
    mailed = f"event_id IN {of_theirs} AND destination = 'email' AND done_at IS NOT NULL"
    undo = f"UPDATE deliveries SET done_at = NULL, lease_until = NULL, {state} WHERE {mailed} RETURNING event_id"
    [(event,)] = eventually(lambda: there.change(undo, address))
    return address, str(event)


def schedules(there: There) -> Story:
    letter = f"letter {secrets.token_hex(6)}"
    sqs, url = there.aws("sqs"), there.queue("schedules-dead-letters")
    sqs.send_message(QueueUrl=url, MessageBody=letter)
    said = yield Given()
    sqs.purge_queue(QueueUrl=url)
    assert letter in said


def file(there: There) -> Story:
    with there.somebody(f"{secrets.token_hex(6)}@example.com") as person:
        upload = presign(person, file_name="notes.txt", content_type="text/plain", size=5)
        assert send(upload, b"notes").is_success
        assert checked(person, upload["file_id"])["status"] == "ready"
    # GIVEN that somebody writes over it in the bucket
    key = f"uploads/{upload['file_id']}"
    there.aws("s3").put_object(Bucket=there.told["FILES_BUCKET"], Key=key, Body=b"other")
    yield Given({"KEY": key})
    assert (there.folder / "restored").read_bytes() == b"notes"


def keys(there: There) -> Story:
    secret = next(iter(_resources(there, "AWS::SecretsManager::Secret", "PushSecret")))
    client = there.aws("secretsmanager")
    before = client.get_secret_value(SecretId=secret)["SecretString"]
    said = yield Given()
    after = client.get_secret_value(SecretId=secret)["SecretString"]
    client.put_secret_value(SecretId=secret, SecretString=before)
    assert re.search(r'"keys_rotated": ?true', said)
    assert len(after) == 64
    assert after != before


def _resources(there: There, kind: str, beginning: str) -> list[str]:
    found = there.aws("cloudformation").describe_stack_resources(StackName=f"{there.prefix}-data")["StackResources"]
    return [
        resource["PhysicalResourceId"]
        for resource in found
        if resource["ResourceType"] == kind and resource["LogicalResourceId"].startswith(beginning)
    ]


def tear_down(there: There) -> Story:
    s3, bucket = there.aws("s3"), f"rehearsed-{secrets.token_hex(6)}"
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for content in (b"one", b"two"):
        s3.put_object(Bucket=bucket, Key="a file", Body=content)
    s3.delete_object(Bucket=bucket, Key="a file")
    held = s3.list_object_versions(Bucket=bucket)
    assert len(held["Versions"] + held["DeleteMarkers"]) == 3
    yield Given(then=f"empty {bucket}")
    left = s3.list_object_versions(Bucket=bucket)
    assert not left.get("Versions", []) + left.get("DeleteMarkers", [])
    s3.delete_bucket(Bucket=bucket)


STORIES: dict[str, Callable[[There], Story]] = {
    "Before you begin": answers(r"0{12}\t", r"(?m)^\d+$"),
    "Bootstrap": answers("bootstrapped"),
    "Verify": answers(r'"database": ?"ok"'),
    "First administrator": first_administrator,
    "Custom domain": answers("arn:aws:acm:", "CNAME"),
    "Email": email,
    "Who is told": answers(r"email\tyou@example.com\t"),
    "Dashboard": answers("(?m)^quintet-[a-z]+$"),
    "Logs": logs,
    "Alarms": alarm("uploads-Queue-Message-Age-Max-Late"),
    "api-Fault-Rate-Release": alarm("api-Fault-Rate-Release"),
    "*-Fault-Rate-Errors": errors,
    "*-Latency-P99-Slow": statements,
    "database-CPU-Usage-Busy": answers(r"available\tdb[.]"),
    "database-Min-Usage-Count-Full": answers(r"(?m)^\d+\t\d+$"),
    "PartitionsAhead-Threshold": answers(r'"partitions_ahead": ?\d'),
    "DeliveriesStuck-Threshold": stuck,
    "*-Queue-Message-Age-Max-Late": answers('"ApproximateNumberOfMessages"', "Enabled"),
    "*-DLQ-Queue-Message-Count-Max-Dead": errors,
    "schedules-Queue-Message-Count-Max-Dead": schedules,
    "Dead letters": dead_letters,
    "Restore a file": file,
    "Keys and secrets": keys,
    "A migration that failed": answers(r'"revision": ?"\d{4}"', "(CREATE|UPDATE)_COMPLETE"),
    "Tear down": tear_down,
}
