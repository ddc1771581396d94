"""Mornings: tasks due tomorrow, and digests. Times are what the schedule's event says; SES is moto's."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta

import pytest

from functions.reminders import service
from infra.local.events import schedule_event
from infra.local.invocation import invoke
from quintet.db.engine import owner_engine
from tests.support.api import Api, events_about
from tests.support.conversing import direct, has_read, say
from tests.support.mailroom import Ses, address_of, listening
from tests.support.notifying import notified, prefers, told
from tests.support.people import person
from tests.support.statements import execute
from tests.support.tasks import member, task

TOMORROW = date(2027, 3, 11)


@pytest.fixture
def ses(stack: object) -> Iterator[Ses]:
    """What moto's SES hears."""
    with listening() as seen:
        yield seen


def at(time: str) -> dict[str, int]:
    """The scheduled function, at this time (UTC)."""
    moment = datetime.fromisoformat(f"{time}:00+00:00")
    done: dict[str, int] = invoke("reminders", schedule_event("reminders") | {"time": moment.isoformat()})
    return done


def lives_in(user: Api, zone: str) -> None:
    """Move."""
    answer = user.patch("/users/me", {"time_zone": zone})
    assert answer.status == 200, answer


def reminders(user: Api) -> list[str]:
    """The days that the account has been reminded of, oldest first."""
    notified()
    return [item["data"]["due_date"] for item in reversed(told(user)) if item["kind"] == "task_due"]


def made_at(user: Api, time: str) -> None:
    """As if what the account is told of had been so at this time (UTC)."""
    execute(
        "UPDATE notifications SET created_at = %(at)s::timestamptz WHERE user_id = %(id)s AND created_at > %(now)s",
        at=f"{time}:00+00:00",
        id=user.id,
        now=datetime.now().astimezone() - timedelta(hours=1),
    )


def test_given_a_task_due_tomorrow_then_its_assignee_is_reminded_once_in_their_morning(
    owner: Api, project: str, ses: Ses
) -> None:
    near, far = member(owner, project), member(owner, project)
    lives_in(near, "Europe/Copenhagen")  # an hour ahead of UTC in March
    lives_in(far, "America/Los_Angeles")  # eight hours behind before the 14th
    for assignee in (near, far):
        task(owner, project, title="Oil it", assignee_id=str(assignee.id), due_date=TOMORROW.isoformat())

    # GIVEN that it is not their morning yet
    at("2027-03-09T20:00")
    at("2027-03-10T06:45")
    assert (reminders(near), reminders(far)) == ([], [])
    # WHEN it is, for one after the other, and the function runs often
    at("2027-03-10T07:00")
    at("2027-03-10T07:15")
    assert (reminders(near), reminders(far)) == (["2027-03-11"], [])
    at("2027-03-10T15:45")
    assert reminders(far) == []
    at("2027-03-10T16:00")
    at("2027-03-11T07:00")
    at("2027-03-11T16:00")
    assert (reminders(near), reminders(far)) == (["2027-03-11"], ["2027-03-11"])

    # AND they are told by email
    notified("email", times=2)
    subjects = [request["Content"]["Simple"]["Subject"]["Data"] for request in ses.to(address_of(near))]
    assert sorted(subjects) == ["Due tomorrow: Oil it", "Test Person gave you a task: Oil it"]


def test_given_a_date_or_an_assignee_that_changes_then_there_is_a_reminder_for_each(owner: Api, project: str) -> None:
    one, two = member(owner, project), member(owner, project)
    path = f"/tasks/{task(owner, project, assignee_id=str(one.id), due_date='2027-03-11')['id']}"
    at("2027-03-10T08:00")
    assert owner.patch(path, {"due_date": "2027-03-13"}).status == 200
    at("2027-03-11T08:00")
    at("2027-03-12T08:00")
    assert reminders(one) == ["2027-03-11", "2027-03-13"]
    # WHEN somebody else gets it on the same day
    assert owner.patch(path, {"assignee_id": str(two.id)}).status == 200
    at("2027-03-12T08:15")
    # AND the date moves away and back
    assert owner.patch(path, {"due_date": "2027-03-20"}).status == 200
    at("2027-03-12T08:30")
    assert owner.patch(path, {"due_date": "2027-03-13"}).status == 200
    at("2027-03-12T08:45")
    assert (reminders(one), reminders(two)) == (["2027-03-11", "2027-03-13"], ["2027-03-13"])


def test_given_an_assignee_who_moves_then_their_morning_moves_too_and_they_are_reminded_once(
    owner: Api, project: str
) -> None:
    assignee = member(owner, project)
    lives_in(assignee, "Asia/Tokyo")  # 08:00 there is 23:00 UTC of the day before
    task(owner, project, assignee_id=str(assignee.id), due_date="2027-03-11")
    at("2027-03-09T22:45")
    lives_in(assignee, "Europe/London")
    at("2027-03-09T23:00")
    assert reminders(assignee) == []
    at("2027-03-10T08:00")
    lives_in(assignee, "America/New_York")
    at("2027-03-10T13:00")
    assert reminders(assignee) == ["2027-03-11"]


def test_given_done_tasks_archived_projects_and_who_has_left_then_nobody_is_reminded(owner: Api) -> None:
    path = f"/projects/{owner.post('/projects', {'title': 'Over'}).json()['id']}"
    staying, leaving, off = member(owner, path), member(owner, path), member(owner, path)
    due = {"due_date": "2027-04-02"}
    task(owner, path, assignee_id=str(staying.id), status="done", **due)
    task(owner, path, assignee_id=str(leaving.id), **due)
    task(owner, path, assignee_id=str(off.id), **due)
    task(owner, path, **due)
    assert owner.delete(f"{path}/members/{leaving.id}").status == 204
    execute("UPDATE users SET status = 'disabled' WHERE id = %(id)s", id=off.id)
    at("2027-04-01T09:00")
    assert reminders(staying) == reminders(leaving) == []

    task(owner, path, assignee_id=str(staying.id), **due)
    assert owner.delete(path).status == 204
    at("2027-04-01T09:15")
    assert reminders(staying) == []
    # WHEN the project comes back
    assert owner.patch(path, {"status": "active"}).status == 200
    at("2027-04-01T09:30")
    assert reminders(staying) == ["2027-04-02"]


def test_given_many_tasks_and_several_runs_at_once_then_each_is_reminded_of_once(owner: Api, project: str) -> None:
    assignee = member(owner, project)
    execute(
        "INSERT INTO tasks (project_id, title, assignee_id, due_date, position, created_by)"
        " SELECT %(p)s::uuid, 'T', %(a)s::uuid, '2027-05-02', to_char(n, 'FM00000') || 'x', %(a)s::uuid"
        " FROM generate_series(1, 250) n",
        p=project.rpartition("/")[2],
        a=assignee.id,
    )
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: at("2027-05-01T08:00"), range(4)))
    at("2027-05-01T08:15")
    [row] = execute(
        "SELECT count(*) AS n, count(DISTINCT subject_id) AS tasks FROM events"
        " WHERE type = 'task.due' AND scope = %(s)s",
        s=f"project:{project.rpartition('/')[2]}",
    )
    assert (row.n, row.tasks) == (250, 250)


@pytest.mark.usefixtures("nothing_due")  # the many reminders of another test
def test_given_a_task_that_somebody_is_changing_then_the_run_waits_for_nobody(owner: Api, project: str) -> None:
    assignee = member(owner, project)
    made = task(owner, project, assignee_id=str(assignee.id), due_date="2027-06-02")
    with owner_engine().begin() as connection:
        connection.exec_driver_sql("SELECT FROM tasks WHERE id = %(id)s FOR UPDATE", {"id": made["id"]})
        at("2027-06-01T08:00")
        assert [type for type, _ in events_about(made["id"])] == ["task.created", "task.assigned"]
    at("2027-06-01T08:15")
    assert reminders(assignee) == ["2027-06-02"]


def test_given_digests_then_each_comes_once_a_day_in_its_readers_morning_with_all_there_is(ses: Ses) -> None:
    sender, near, far = person(full_name="Ada"), person(), person()
    lives_in(near, "Europe/Copenhagen")
    lives_in(far, "America/Los_Angeles")
    for reader in (near, far):
        prefers(reader, "mention", email="off")
        say(sender, direct(sender, reader), "First")
        say(sender, direct(sender, reader), "Second")
    notified()
    for reader in (near, far):
        made_at(reader, "2027-03-09T12:00")

    def received(reader: Api) -> int:
        notified("email", times=2)
        return len(ses.to(address_of(reader)))

    assert (received(near), received(far)) == (0, 0)
    at("2027-03-10T06:45")
    assert (received(near), received(far)) == (0, 1)  # whose morning of the 9th has come since
    at("2027-03-10T07:00")
    at("2027-03-10T07:15")
    assert (received(near), received(far)) == (1, 1)
    text = ses.only(address_of(near))["Body"]["Text"]["Data"]
    assert ses.only(address_of(near))["Subject"]["Data"] == "Your day at Quintet: 2 notifications"
    assert text.index("First") < text.index("Second")

    # WHEN something comes in after that
    say(sender, direct(sender, near), "Third")
    notified()
    made_at(near, "2027-03-10T07:30")
    at("2027-03-10T07:45")
    at("2027-03-10T22:45")
    # THEN it waits for the next morning
    assert received(near) == 1
    at("2027-03-11T07:00")
    at("2027-03-11T07:15")
    assert received(near) == 2
    last = ses.to(address_of(near))[1]["Content"]["Simple"]["Body"]["Text"]["Data"]
    assert "Third" in last
    assert "Second" not in last


@pytest.mark.parametrize(
    ("day", "too_early", "morning"),
    [
        ("2027-03-28", "2027-03-28T05:45", "2027-03-28T06:00"),  # the clocks go forward: the day has 23 hours
        ("2027-10-31", "2027-10-31T06:45", "2027-10-31T07:00"),  # and back: 25
    ],
)
def test_given_a_day_on_which_the_clocks_change_then_the_morning_is_still_at_eight(
    ses: Ses, owner: Api, project: str, day: str, too_early: str, morning: str
) -> None:
    reader = member(owner, project)
    lives_in(reader, "Europe/Copenhagen")
    notified()
    due = (date.fromisoformat(day) + timedelta(days=1)).isoformat()
    task(owner, project, assignee_id=str(reader.id), due_date=due)
    before = (date.fromisoformat(day) - timedelta(days=1)).isoformat()
    execute("UPDATE notifications SET email = 'digest' WHERE user_id = %(id)s", id=reader.id)
    made_at(reader, f"{before}T12:00")
    at(f"{before}T06:00")  # of the day before: nothing was there yet
    at(too_early)
    digests = [data for type, data in events_about(reader.id) if type == "notification_digest.due"]
    assert (digests, reminders(reader)) == ([], [])
    at(morning)
    at(morning)
    digests = [data for type, data in events_about(reader.id) if type == "notification_digest.due"]
    assert (digests, reminders(reader)) == ([{"date": day}], [due])


def test_given_several_runs_at_once_then_there_is_one_digest_with_everything(ses: Ses) -> None:
    sender, readers = person(), [person() for _ in range(6)]
    for reader in readers:
        for _ in range(3):
            say(sender, direct(sender, reader))
    notified()
    for reader in readers:
        made_at(reader, "2027-07-01T03:00")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: at("2027-07-01T08:00"), range(4)))
    at("2027-07-01T08:15")
    notified("email", times=2)
    for reader in readers:
        assert ses.only(address_of(reader))["Subject"]["Data"] == "Your day at Quintet: 3 notifications"


def test_given_reminders_that_fail_then_digests_are_gathered_and_the_run_fails(
    ses: Ses, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, reader = person(), person()
    say(sender, direct(sender, reader))
    notified()
    made_at(reader, "2027-12-01T03:00")
    monkeypatch.setattr(service, "_REMIND", "SELECT 1 / 0")
    with pytest.raises(RuntimeError, match=r"These failed: tasks$"):
        at("2027-12-01T08:00")
    notified("email")
    assert ses.only(address_of(reader))["Subject"]["Data"] == "Your day at Quintet: 1 notification"


def test_given_messages_read_before_the_morning_then_the_digest_has_the_others_alone(ses: Ses) -> None:
    sender, reader = person(), person()
    conversation = direct(sender, reader)
    seen = say(sender, conversation, "Seen")["id"]
    notified()
    has_read(reader, conversation, seen)
    say(sender, conversation, "Not seen")
    notified()
    made_at(reader, "2027-12-11T03:00")
    at("2027-12-11T08:00")
    notified("email")
    text = ses.only(address_of(reader))["Body"]["Text"]["Data"]
    assert "Not seen" in text
    assert "Seen" not in text


def test_given_what_has_been_read_then_it_is_in_no_digest_and_alone_makes_none(ses: Ses) -> None:
    sender, reader = person(), person()
    say(sender, direct(sender, reader))
    notified()
    made_at(reader, "2027-08-01T03:00")
    assert reader.post("/notifications/read", {}).status == 204
    at("2027-08-01T08:00")
    notified("email")
    assert ses.to(address_of(reader)) == []
    assert [type for type, _ in events_about(reader.id) if type.startswith("notification")] == []


def test_given_a_digest_that_is_unsubscribed_from_then_what_came_once_a_day_comes_no_more(ses: Ses) -> None:
    sender, reader = person(), person()
    prefers(reader, "project_added", email="digest")
    say(sender, direct(sender, reader))
    notified()
    made_at(reader, "2027-09-01T03:00")
    at("2027-09-01T08:00")
    notified("email")
    headers = {header["Name"]: header["Value"] for header in ses.only(address_of(reader))["Headers"]}
    token = headers["List-Unsubscribe"].rpartition("token=")[2].rstrip(">")
    form = {"content-type": "application/x-www-form-urlencoded"}
    done = Api().post(
        "/notifications/unsubscribe", query=[("token", token)], body=b"List-Unsubscribe=One-Click", headers=form
    )
    assert done.status == 200
    preferences = reader.get("/notifications/preferences").json()
    assert {kind for kind, channels in preferences.items() if channels.get("email") == "digest"} == set()
    assert preferences["mention"]["email"] == "immediate"


def test_given_a_time_zone_that_the_database_does_not_know_then_it_is_utc_and_nobody_else_waits(
    owner: Api, project: str
) -> None:
    assignee, other = member(owner, project), member(owner, project)
    execute("UPDATE users SET time_zone = 'Mars/Olympus' WHERE id = %(id)s", id=assignee.id)
    for someone in (assignee, other):
        task(owner, project, assignee_id=str(someone.id), due_date="2027-11-02")
    at("2027-11-01T08:00")
    assert reminders(assignee) == reminders(other) == ["2027-11-02"]
