"""What people are told of: whom, once each, and what they do with it."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest

from functions.notifications import queries
from functions.notifier.service import EMAILS, NOTIFICATIONS
from functions.notifier.told import TOLD
from infra.local.events import sqs_event
from infra.local.invocation import invoke
from quintet.db.session import writing
from quintet.events.record import record, scope_of
from quintet.events.types import DELIVERED_TO, EventType
from quintet.notifications.kinds import KINDS
from tests.support.api import Api, events_about
from tests.support.browsers import subscription
from tests.support.conversing import direct, group, has_read, say
from tests.support.notifying import kinds, last_event, notified, prefers, told, told_often, unread
from tests.support.people import person
from tests.support.statements import counted, execute
from tests.support.tasks import id_of, member, task
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("stack")


def mentioning(*whom: Api) -> dict[str, object]:
    """A document that mentions people."""
    mentions = [{"type": "mention", "attrs": {"id": str(someone.id)}} for someone in whom]
    return {"type": "doc", "content": [{"type": "paragraph", "content": mentions}]}


def mention(conversation: str, sender: Api, *whom: Api) -> str:
    """The id of a message that mentions people."""
    said = sender.post(f"/conversations/{conversation}/messages", {"content": mentioning(*whom)})
    assert said.status == 201, said
    return str(said.json()["id"])


def test_given_a_task_assigned_when_the_queue_delivers_often_then_the_assignee_is_told_once_and_nobody_else(
    owner: Api, project: str
) -> None:
    assignee = member(owner, project)
    made = task(owner, project, assignee_id=str(assignee.id))

    notified(times=3)

    given, added = told(assignee)
    assert (given["kind"], added["kind"]) == ("task_assigned", "project_added")
    assert given["actor_id"] == str(owner.id)
    assert given["data"] == {"task_id": made["id"], "project_id": id_of(project)}
    assert given["event_id"] == str(last_event(EventType.TASK_ASSIGNED, made["id"]))
    assert given["read_at"] is None
    assert added["data"] == {"project_id": id_of(project), "role": "editor"}
    assert told(owner) == []

    # AND it is an event of theirs, for whoever listens
    [(type, data)] = events_about(given["id"])
    assert (type, data["kind"], data["task_id"]) == ("notification.created", "task_assigned", made["id"])
    [event] = assignee.get("/events", query=[("type", "notification.created"), ("limit", "1")]).json()["items"]
    assert event["scope"] == f"user:{assignee.id}"


def test_given_somebody_who_assigns_to_themselves_then_they_are_not_told(owner: Api, project: str) -> None:
    task(owner, project, assignee_id=str(owner.id))
    notified()
    assert told(owner) == []


def test_given_two_notifiers_at_once_and_expired_leases_then_there_is_one_notification(
    owner: Api, project: str
) -> None:
    assignee = member(owner, project)
    made = task(owner, project, assignee_id=str(assignee.id))
    event = last_event(EventType.TASK_ASSIGNED, made["id"])
    message = sqs_event("notifications", [{"event_id": str(event), "destination": "notifications"}])

    def run(_: int) -> object:
        # as if whoever held it before had been lost
        execute(
            "UPDATE deliveries SET lease_until = NULL, done_at = NULL WHERE event_id = %(id)s"
            " AND destination = 'notifications'",
            id=event,
        )
        return invoke("notifier", message)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(8))) == [{"batchItemFailures": []}] * 8

    [given] = [item for item in told(assignee) if item["kind"] == "task_assigned"]
    assert len(events_about(given["id"])) == 1
    [row] = execute("SELECT count(*) AS n FROM deliveries WHERE destination = 'email' AND event_id = ("
                    "SELECT id FROM events WHERE subject_id = %(id)s)", id=given["id"])  # fmt: skip
    assert row.n == 1


def test_given_a_role_that_changes_then_nobody_is_told_that_they_were_added_again(owner: Api, project: str) -> None:
    newcomer = member(owner, project, "viewer")
    assert owner.put(f"{project}/members/{newcomer.id}", {"role": "editor"}).status == 204
    notified()
    assert kinds(newcomer) == ["project_added"]

    # WHEN they are taken off and added again
    assert owner.delete(f"{project}/members/{newcomer.id}").status == 204
    assert owner.put(f"{project}/members/{newcomer.id}", {"role": "viewer"}).status == 204
    notified()
    assert kinds(newcomer) == ["project_added", "project_added"]


def test_given_a_group_then_members_hear_that_they_were_added_and_are_mentioned_and_of_nothing_else() -> None:
    one, two, three = person(), person(), person()
    conversation = group(one, two)
    assert one.post(f"/conversations/{conversation}/members", {"user_ids": [str(three.id)]}).status == 200
    say(one, conversation, "Good morning")
    message = mention(conversation, one, one, two)
    notified()

    assert kinds(one) == []
    assert kinds(two) == ["mention", "conversation_added"]
    assert kinds(three) == ["conversation_added"]
    assert told(two)[0]["data"] == {"message_id": message, "conversation_id": conversation}

    # WHEN the message is changed so that it mentions one more
    content = mentioning(two, three)
    assert one.patch(f"/messages/{message}", {"content": content}).status == 200
    notified()
    assert kinds(two) == ["mention", "conversation_added"]
    assert kinds(three) == ["mention", "conversation_added"]


def test_given_a_direct_conversation_then_the_other_one_is_told_of_each_message_once_mentioned_or_not() -> None:
    one, two = person(), person()
    conversation = direct(one, two)
    say(one, conversation)
    mention(conversation, one, two)
    notified(times=2)
    assert kinds(two) == ["mention", "direct_message"]
    assert kinds(one) == []


def test_given_a_message_read_or_deleted_before_the_queue_delivers_then_nobody_is_told_of_it() -> None:
    one, two = person(), person()
    for conversation in (direct(one, two), group(one, two)):
        notified()
        before = kinds(two)
        mention(conversation, one, two)
        read = mention(conversation, one, two)
        has_read(two, conversation, read)
        deleted = mention(conversation, one, two)
        assert one.delete(f"/messages/{deleted}").status == 204
        notified()
        assert kinds(two) == before
        # WHEN one that was read is changed so that it mentions them anew THEN they are told
        plain = say(one, conversation, "Hello")["id"]
        has_read(two, conversation, plain)
        assert one.patch(f"/messages/{plain}", {"content": mentioning(two)}).status == 200
        notified()
        assert kinds(two) == ["mention", *before]
    # unless it is deleted meanwhile
    other = say(one, conversation, "Hello")["id"]
    has_read(two, conversation, other)
    assert one.patch(f"/messages/{other}", {"content": mentioning(two)}).status == 200
    assert one.delete(f"/messages/{other}").status == 204
    notified()
    assert kinds(two) == ["mention", *before]


def sent_at_once(reader: Api) -> tuple[int, int]:
    """How many emails, and pushes, there were about one notification of the reader each; they go no further."""
    execute("UPDATE deliveries SET done_at = now() WHERE done_at IS NULL AND destination LIKE 'push:%%'")
    [row] = execute(
        "SELECT count(*) FILTER (WHERE destination = 'email') AS emails,"
        " count(*) FILTER (WHERE destination LIKE 'push:%%') AS pushes"
        " FROM deliveries d JOIN events e ON e.id = d.event_id"
        " WHERE e.scope = %(scope)s AND e.type = 'notification.created'",
        scope=f"user:{reader.id}",
    )
    return row.emails, row.pushes


def test_given_many_notifications_in_an_hour_then_the_later_ones_wait_for_the_digest(owner: Api, project: str) -> None:
    assignee = member(owner, project)
    assert assignee.post("/notifications/push-subscriptions", subscription()).status == 201
    made = [task(owner, project, assignee_id=str(assignee.id)) for _ in range(EMAILS + 5)]
    # WHEN all come in one batch
    notified()
    assert len(told(assignee)) == len(made) + 1
    assert sent_at_once(assignee) == (EMAILS, EMAILS)
    rows = execute("SELECT email FROM notifications WHERE user_id = %(id)s ORDER BY event_id", id=assignee.id)
    assert [row.email for row in rows] == ["off", *["immediate"] * EMAILS, *["digest"] * 5]
    # AND others have an hour of their own
    other = member(owner, project)
    task(owner, project, assignee_id=str(other.id))
    notified()
    assert sent_at_once(other) == (1, 0)
    # WHEN the hour is over THEN they are told at once again
    execute("UPDATE notifications SET event_id = uuidv7(interval '-61 minutes') WHERE user_id = %(id)s", id=assignee.id)
    task(owner, project, assignee_id=str(assignee.id))
    notified()
    assert sent_at_once(assignee) == (EMAILS + 1, EMAILS + 1)


def test_given_many_direct_messages_in_an_hour_then_the_later_ones_are_not_pushed() -> None:
    one, two = person(), person()
    assert two.post("/notifications/push-subscriptions", subscription()).status == 201
    conversation = direct(one, two)
    told_often(two, NOTIFICATIONS - 1)
    say(one, conversation)
    say(one, conversation)
    notified()
    assert len(execute("SELECT FROM notifications WHERE user_id = %(id)s", id=two.id)) == NOTIFICATIONS + 1
    assert sent_at_once(two) == (0, 1)


def test_given_a_member_who_is_removed_before_the_queue_delivers_then_they_are_not_told() -> None:
    one, two = person(), person()
    conversation = group(one, two)
    notified()
    mention(conversation, one, two)
    assert one.delete(f"/conversations/{conversation}/members/{two.id}").status == 204
    notified()
    assert kinds(two) == ["conversation_added"]


def test_given_a_member_taken_off_a_project_before_the_queue_delivers_then_their_task_tells_them_nothing(
    owner: Api, project: str
) -> None:
    assignee = member(owner, project)
    notified()
    task(owner, project, assignee_id=str(assignee.id))
    assert owner.delete(f"{project}/members/{assignee.id}").status == 204
    notified()
    assert kinds(assignee) == ["project_added"]


def test_given_a_disabled_account_then_it_is_not_told(owner: Api, project: str) -> None:
    assignee = member(owner, project)
    execute("UPDATE users SET status = 'disabled' WHERE id = %(id)s", id=assignee.id)
    notified()
    assert execute("SELECT FROM notifications WHERE user_id = %(id)s", id=assignee.id) == []


def test_given_an_import_that_is_over_then_who_made_it_is_told() -> None:
    world = World()
    upload = world.done_import_id
    for n, type in enumerate((EventType.CAMPAIGN_UPLOAD_FINISHED, EventType.CAMPAIGN_UPLOAD_FAILED)):
        with writing() as session:
            record(session, type, subject=upload, scope=scope_of("campaign", world.campaign_id))
        notified()
        assert len(told(world.owner)) == n + 1
    assert kinds(world.owner) == ["import_failed", "import_finished"]
    assert kinds(world.member) == []


def test_given_kinds_that_are_not_wanted_then_there_is_no_notification_and_nothing_is_sent(
    owner: Api, project: str
) -> None:
    assignee = member(owner, project)
    prefers(assignee, "task_assigned", in_app=False, email="off", push=False)
    prefers(assignee, "project_added", in_app=False)
    task(owner, project, assignee_id=str(assignee.id))
    notified()
    assert execute("SELECT FROM notifications WHERE user_id = %(id)s", id=assignee.id) == []

    # WHEN it is wanted by email alone
    prefers(assignee, "task_assigned", email="immediate")
    task(owner, project, assignee_id=str(assignee.id))
    notified()
    # THEN it is not in the list, nor counted
    assert (told(assignee), unread(assignee)) == ([], 0)
    [row] = execute("SELECT id, email, in_app FROM notifications WHERE user_id = %(id)s", id=assignee.id)
    assert (row.email, row.in_app) == ("immediate", False)
    assert assignee.post(f"/notifications/{row.id}/read").status == 404


def test_given_preferences_when_some_change_then_the_others_stay_and_an_event_says_which() -> None:
    user = person()
    before = user.get("/notifications/preferences").json()
    assert before.keys() == KINDS.keys()
    assert before["mention"] == {"in_app": True, "push": True, "email": "immediate"}
    assert before["import_failed"] == {"in_app": True, "push": False}

    wanted = {"mention": {"email": "digest"}, "import_failed": {"push": True}, "task_due": {"email": "immediate"}}
    after = user.patch("/notifications/preferences", wanted)
    assert after.status == 200
    expected = before | {
        "mention": {"in_app": True, "push": True, "email": "digest"},
        "import_failed": {"in_app": True, "push": True},
    }
    assert after.json() == user.get("/notifications/preferences").json() == expected
    # AND a change that changes nothing is none
    assert user.put("/notifications/preferences", wanted).json() == expected
    changes = [data for type, data in events_about(user.id) if type == "account.notifications_changed"]
    assert changes == [{"kinds": ["import_failed", "mention"]}]
    # AND nobody else's change
    assert person().get("/notifications/preferences").json() == before


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"mention": {}},
        {"mention": None},
        {"mention": {"email": "weekly"}},
        {"nothing": {"email": "off"}},
        {"import_finished": {"email": "off"}},  # a mail of its own comes anyway
        {"mention": {"in_app": None}},
    ],
)
def test_given_preferences_that_make_no_sense_then_they_are_refused(body: dict[str, object]) -> None:
    assert person().patch("/notifications/preferences", body).status == 400


def test_given_notifications_when_they_are_read_then_they_count_no_more() -> None:
    user, other = person(), person()
    ids = told_often(user, 5)
    assert unread(user) == 5
    assert user.post(f"/notifications/{ids[0]}/read").status == 204
    assert user.post(f"/notifications/{ids[0]}/read").status == 204
    assert other.post(f"/notifications/{ids[1]}/read").status == 404
    assert user.post(f"/notifications/{uuid4()}/read").status == 404
    assert unread(user) == 4
    assert [item["id"] for item in told(user, unread="true")] == [str(id) for id in reversed(ids[1:])]

    # WHEN those up to one are
    assert user.post("/notifications/read", {"up_to": str(ids[2])}).status == 204
    assert unread(user) == 2
    assert user.post("/notifications/read", {}).status == 204
    assert user.post("/notifications/read", {}).status == 204
    assert unread(user) == 0
    assert len(told(user)) == 5
    assert [events_about(id) for id in ids] == [
        [("notification.read", {})],
        [],
        [("notification.read", {"up_to": str(ids[2])})],
        [],
        [("notification.read", {"up_to": str(ids[4])})],
    ]


def test_given_more_than_are_marked_at_once_then_all_are_by_transactions_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queries, "READ_AT_ONCE", 40)
    user = person()
    ids = told_often(user, 100)
    assert user.post("/notifications/read", {"up_to": str(ids[89])}).status == 204
    assert unread(user) == 10
    assert [events_about(id) for id in ids if events_about(id)] == [
        [("notification.read", {"up_to": str(id)})] for id in (ids[39], ids[79], ids[89])
    ]
    [row] = execute(
        "SELECT count(DISTINCT read_at) AS n FROM notifications WHERE user_id = %(id)s AND read_at IS NOT NULL",
        id=user.id,
    )
    assert row.n == 3


def test_given_many_who_mark_all_as_read_while_more_come_in_then_each_is_marked_once_and_none_too_many() -> None:
    user = person()
    told_often(user, 300)

    def run(n: int) -> int:
        if n % 3 == 0:
            told_often(user, 20)
            return 204
        return user.post("/notifications/read", {}).status

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(run, range(18))) == {204}
    # THEN every change is told of once, and nothing that came after the last one is read
    ends = execute(
        "SELECT data ->> 'up_to' AS up_to FROM events WHERE scope = %(scope)s AND type = 'notification.read'",
        scope=f"user:{user.id}",
    )
    assert len({row.up_to for row in ends}) == len(ends) > 0
    [last] = execute(
        "SELECT id::text FROM notifications WHERE user_id = %(id)s AND read_at IS NOT NULL ORDER BY id DESC LIMIT 1",
        id=user.id,
    )
    assert last.id == max(row.up_to for row in ends)
    assert user.post("/notifications/read", {}).status == 204
    assert unread(user) == 0


def test_given_many_notifications_then_pages_follow_each_other_and_each_read_is_one_statement() -> None:
    user = person()
    ids = told_often(user, 120)
    seen, cursor = [], ""
    while cursor is not None:
        query = [("limit", "50"), *([("cursor", cursor)] if cursor else [])]
        with counted() as statements:
            page = user.get("/notifications", query=query).json()
        assert len(statements) == 2  # identity, and the data
        seen += [UUID(item["id"]) for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == ids[::-1]
    for path in ("/notifications/unread-count", "/notifications/preferences"):
        with counted() as statements:
            assert user.get(path).status == 200
        assert len(statements) == 2
    assert unread(user) == 100  # or more


def test_given_somebody_who_has_most_of_the_notifications_but_no_new_one_then_nobody_elses_are_passed_by() -> None:
    user, other = person(), person()
    told_often(user, 3000)
    told_often(other, 1000)
    execute("ANALYZE notifications")
    params = {"caller": user.id, "before": UUID(int=2**128 - 1), "limit": 50}
    for sql in (queries.ALL, queries.UNREAD, queries.COUNT):
        plan = "\n".join(row[0] for row in execute(f"EXPLAIN (ANALYZE) {sql}", **params))
        assert "Rows Removed" not in plan
        assert "Seq Scan" not in plan


def test_given_changes_of_preferences_at_once_then_none_undoes_another() -> None:
    user = person()
    changes = [
        {"mention": {"push": False}},
        {"mention": {"email": "digest"}},
        {"mention": {"in_app": False}},
        {"task_due": {"email": "off"}},
    ]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda change: user.patch("/notifications/preferences", change), changes))
    assert [answer.status for answer in answers] == [200] * 4
    after = user.get("/notifications/preferences").json()
    assert after["mention"] == {"in_app": False, "push": False, "email": "digest"}
    assert after["task_due"]["email"] == "off"


def test_given_the_tables_then_every_event_that_is_delivered_tells_somebody_and_every_kind_is_told() -> None:
    assert {type for type, to in DELIVERED_TO.items() if "notifications" in to} == TOLD.keys()
    assert {told.kind for some in TOLD.values() for told in some} == KINDS.keys()
