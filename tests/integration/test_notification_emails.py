"""Emails of notifications: one each, to whom they are for, and how they end. SES is moto's."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.support.api import Api
from tests.support.conversing import direct, group, say
from tests.support.mailroom import Ses, address_of, listening
from tests.support.notifying import notified, prefers, told
from tests.support.people import person
from tests.support.statements import execute
from tests.support.tasks import member, task

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def ses(stack: object) -> Iterator[Ses]:
    """What moto's SES hears."""
    with listening() as seen:
        yield seen


def delivered() -> None:
    """Everything that waits is delivered, more often than needed."""
    notified(times=2)
    notified("email", times=2)


def unsubscribe_link(content: dict[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    """Path and query of the email's unsubscribe link, which header, text and HTML hold."""
    headers = {header["Name"]: header["Value"] for header in content["Headers"]}
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    [link] = re.fullmatch(r"<(http\S+)>", headers["List-Unsubscribe"]).groups()  # type: ignore[union-attr]
    assert link in content["Body"]["Text"]["Data"].splitlines()
    assert f'href="{link}"' in content["Body"]["Html"]["Data"]
    parts = urlsplit(link)
    return parts.path, parse_qsl(parts.query)


def error_of(user: Api) -> list[str]:
    """Why the emails of the account's notifications did not go out."""
    return [
        row.error
        for row in execute(
            "SELECT d.error FROM deliveries d JOIN events e ON e.id = d.event_id"
            " WHERE e.scope = %(scope)s AND d.destination = 'email' ORDER BY e.id",
            scope=f"user:{user.id}",
        )
    ]


def test_given_a_task_assigned_then_one_email_says_so_and_can_be_unsubscribed_from(
    owner: Api, project: str, ses: Ses
) -> None:
    assignee = member(owner, project)
    task(owner, project, title="Oil the <wheels>", assignee_id=str(assignee.id))
    delivered()

    content = ses.only(address_of(assignee))
    assert content["Subject"]["Data"] == "Test Person gave you a task: Oil the <wheels>"
    assert "A project" in content["Body"]["Text"]["Data"]
    assert "Oil the &lt;wheels&gt;" in content["Body"]["Html"]["Data"]
    assert ses.to(address_of(owner)) == []

    # WHEN a link scanner follows the link
    path, query = unsubscribe_link(content)
    page = Api().get(path, query=query)
    assert page.status == 200
    assert '<form method="post"' in page.body.decode()
    # THEN nothing has changed
    assert assignee.get("/notifications/preferences").json()["task_assigned"]["email"] == "immediate"

    # WHEN the mail program asks for it as RFC 8058 has it, more than once, signed in as nobody
    for _ in range(2):
        assert Api().post(path, query=query, body=b"List-Unsubscribe=One-Click", headers=FORM).status == 200
    # THEN no more of these come, and everything else is as it was
    preferences = assignee.get("/notifications/preferences").json()
    assert preferences["task_assigned"] == {"in_app": True, "push": True, "email": "off"}
    assert preferences["mention"]["email"] == "immediate"
    task(owner, project, assignee_id=str(assignee.id))
    delivered()
    assert len(ses.to(address_of(assignee))) == 1
    assert len(told(assignee)) == 3


def test_given_an_unsubscription_as_multipart_then_it_counts_too(owner: Api, project: str, ses: Ses) -> None:
    assignee = member(owner, project)
    task(owner, project, assignee_id=str(assignee.id))
    delivered()
    path, query = unsubscribe_link(ses.only(address_of(assignee)))
    body = b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n'
    headers = {"content-type": "multipart/form-data; boundary=b"}
    assert Api().post(path, query=query, body=body, headers=headers).status == 200
    assert assignee.get("/notifications/preferences").json()["task_assigned"]["email"] == "off"


@pytest.mark.parametrize("body", [b"", b"List-Unsubscribe=Two-Clicks", b"token=x"])
def test_given_a_post_that_is_no_one_click_then_it_is_refused(owner: Api, project: str, ses: Ses, body: bytes) -> None:
    assignee = member(owner, project)
    task(owner, project, assignee_id=str(assignee.id))
    delivered()
    path, query = unsubscribe_link(ses.only(address_of(assignee)))
    assert Api().post(path, query=query, body=body, headers=FORM).status == 400
    assert assignee.get("/notifications/preferences").json()["task_assigned"]["email"] == "immediate"


def test_given_an_unknown_token_then_a_page_says_that_it_did_not_work(api: Api) -> None:
    answer = api.post(
        "/notifications/unsubscribe", query=[("token", "x")], body=b"List-Unsubscribe=One-Click", headers=FORM
    )
    assert answer.status == 400
    assert "did not work" in answer.body.decode()


def test_given_what_others_wrote_then_an_email_holds_an_excerpt_and_no_event_does(ses: Ses) -> None:
    one, two = person(full_name="Ada Lovelace"), person()
    prefers(two, "direct_message", email="immediate")
    conversation = direct(one, two)
    say(one, conversation, "Meet me at the analytical engine. " + "W" * 300)
    delivered()
    content = ses.only(address_of(two))
    assert content["Subject"]["Data"] == "Ada Lovelace wrote to you"
    assert "Meet me at the analytical engine. WWW" in content["Body"]["Text"]["Data"]
    assert "W" * 200 not in content["Body"]["Text"]["Data"]
    rows = execute("SELECT data FROM events WHERE scope = %(s)s", s=f"user:{two.id}")
    rows += execute("SELECT data FROM notifications WHERE user_id = %(id)s", id=two.id)
    assert "analytical" not in json.dumps([row.data for row in rows])


def test_given_a_message_read_deleted_or_out_of_reach_before_the_email_then_none_is_sent(ses: Ses) -> None:
    one, two = person(), person()
    prefers(two, "direct_message", email="immediate")
    conversation = direct(one, two)
    say(one, conversation)
    deleted = say(one, conversation)["id"]
    notified()
    assert two.post("/notifications/read", {"up_to": told(two)[1]["id"]}).status == 204
    assert one.delete(f"/messages/{deleted}").status == 204

    other = group(one, two)
    mentioned = {"type": "doc", "content": [{"type": "paragraph", "content": [
        {"type": "mention", "attrs": {"id": str(two.id)}}]}]}  # fmt: skip
    assert one.post(f"/conversations/{other}/messages", {"content": mentioned}).status == 201
    notified()
    assert one.delete(f"/conversations/{other}/members/{two.id}").status == 204

    notified("email")
    assert ses.to(address_of(two)) == []
    assert error_of(two) == ["It has been read, is gone, or is not for them any more."] * 3


def test_given_an_address_that_is_not_verified_then_what_others_wrote_does_not_go_there(
    owner: Api, project: str, ses: Ses
) -> None:
    assignee = member(owner, project)
    execute("UPDATE users SET email_verified_at = NULL WHERE id = %(id)s", id=assignee.id)
    task(owner, project, assignee_id=str(assignee.id))
    delivered()
    assert ses.to(address_of(assignee)) == []
    assert error_of(assignee) == ["The address is not verified."]


def test_given_a_name_full_of_tricks_then_the_subject_is_one_line(owner: Api, project: str, ses: Ses) -> None:
    assignee = member(owner, project)
    title = "Plan\u202e\u2028x"
    task(owner, project, title=title, assignee_id=str(assignee.id))
    delivered()
    assert ses.only(address_of(assignee))["Subject"]["Data"].endswith("gave you a task: Plan x")
