"""Conversations and who takes part in them, through real API Gateway events."""

import json
from typing import Any

import pytest

from functions.conversations.conversations.schemas import MAX_MEMBERS, ConversationRead, Unread
from functions.conversations.members.schemas import ConversationMemberRead
from functions.maintenance.expiry import remove_expired_rows
from quintet.http.schemas import Output, Page
from tests.support.api import Api
from tests.support.conversing import (
    conversation_of,
    direct,
    events_in,
    group,
    may_send_on,
    said_often,
    say,
    texts,
    unread,
)
from tests.support.expect import pointers
from tests.support.people import person
from tests.support.projects import ids
from tests.support.statements import counted, execute
from tests.support.uploading import project_of

NOBODY = "01900000-0000-7000-8000-000000000000"


@pytest.fixture
def friend(stack: object) -> Api:
    """Somebody to talk to."""
    return person(full_name="A Friend")


def test_given_two_people_when_either_starts_then_there_is_one_direct_conversation(user: Api, friend: Api) -> None:
    made = user.post("/api/conversations", {"user_id": str(friend.id)})
    assert made.status == 201, made
    body = made.json()
    assert (body["is_group"], body["title"], body["member_count"], body["unread_count"]) == (False, None, 2, 0)
    assert {member["id"] for member in body["members"]} == {str(user.id), str(friend.id)}
    assert {member["role"] for member in body["members"]} == {"member"}
    assert made.header("location") == f"/api/v1/conversations/{body['id']}"
    again = [
        user.post("/conversations", {"userId": str(friend.id)}),
        friend.post("/conversations", {"user_id": str(user.id)}),
    ]
    assert [(answer.status, answer.json()["id"]) for answer in again] == [(200, body["id"])] * 2
    assert [type for type, _, _ in events_in(body["id"])] == ["conversation.created"]


def test_given_a_title_and_members_when_creating_then_a_group_that_the_caller_owns(user: Api, friend: Api) -> None:
    made = user.post(
        "/conversations", {"name": " Plans ", "memberIds": [str(friend.id), str(user.id), str(friend.id)]}
    ).json()
    assert (made["title"], made["is_group"], made["member_count"], made["version"]) == ("Plans", True, 2, 1)
    assert {member["id"]: member["role"] for member in made["members"]} == {
        str(user.id): "owner",
        str(friend.id): "member",
    }
    [(type, _, data)] = events_in(made["id"])
    assert (type, data) == (
        "conversation.created",
        {"is_group": True, "member_ids": [str(user.id), str(friend.id)]},
    )


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"title": " "}, "/title"),
        ({"user_id": NOBODY}, "/user_id"),
        ({"user_id": "me"}, "/user_id"),
        ({"user_id": NOBODY, "title": "x"}, ""),
        ({"user_id": NOBODY, "member_ids": [NOBODY]}, ""),
        ({"title": "x", "member_ids": [NOBODY]}, "/member_ids/0"),
        ({"title": "x", "member_ids": [NOBODY] * MAX_MEMBERS}, "/member_ids"),
        ({"title": "x", "project_id": NOBODY}, "/project_id"),
        ({"title": "x", "is_group": True}, "/is_group"),
    ],
)
def test_given_a_wrong_field_when_creating_then_400_points_at_it(user: Api, body: dict[str, Any], pointer: str) -> None:
    if body.get("user_id") == "me":
        body = {"user_id": str(user.id)}
    refused = user.post("/conversations", body)
    assert refused.status == 400
    assert pointers(refused) == [pointer]
    assert ids(user.get("/conversations")) == []


def test_given_a_disabled_account_then_nobody_can_start_to_talk_to_it(user: Api, friend: Api) -> None:
    execute("UPDATE users SET status = 'disabled' WHERE id = %(id)s", id=friend.id)
    assert pointers(user.post("/conversations", {"user_id": str(friend.id)})) == ["/user_id"]


def test_given_a_project_then_only_who_sees_it_starts_a_group_about_it(
    user: Api, friend: Api, project: str, owner: Api
) -> None:
    project_id = project.rpartition("/")[2]
    assert pointers(user.post("/conversations", {"title": "x", "project_id": project_id})) == ["/project_id"]
    about, other = group(owner, friend, projectId=project_id), group(owner, friend)
    assert ids(friend.get("/conversations", query=[("project_id", project_id)])) == [about]
    assert ids(friend.get("/conversations")) == [other, about]


def test_given_an_idempotency_key_when_repeated_then_one_group_is_made(user: Api) -> None:
    key = {"idempotency-key": "group"}
    first, second = (user.post("/conversations", {"title": "Once"}, headers=key) for _ in range(2))
    assert first.json() == second.json()
    assert ids(user.get("/conversations")) == [first.json()["id"]]


def test_given_no_more_conversations_in_an_hour_then_those_there_are_can_be_found_and_repeats_are_answered(
    user: Api, friend: Api
) -> None:
    talk, key = direct(user, friend), {"idempotency-key": "start"}
    may_send_on(user)
    made = user.post("/conversations", {"title": "Once"}, headers=key)
    [row] = execute("SELECT hits FROM rate_counters WHERE key LIKE 'conversation:account:%%'")
    again = user.post("/conversations", {"user_id": str(friend.id)})
    assert (again.status, again.json()["id"]) == (200, talk)
    assert execute("SELECT hits FROM rate_counters WHERE key LIKE 'conversation:account:%%'") == [row]
    execute("UPDATE rate_counters SET hits = 1000000 WHERE key LIKE 'conversation:%%'")
    assert friend.post("/conversations", {"user_id": str(user.id)}).status == 200
    repeated = user.post("/conversations", {"title": "Once"}, headers=key)
    assert (repeated.status, repeated.json(), repeated.header("idempotency-replayed")) == (201, made.json(), "true")
    assert user.post("/conversations", {"title": "Twice"}, headers=key).status == 422
    assert user.post("/conversations", {"title": "Twice"}, headers={"idempotency-key": "new"}).status == 429
    assert execute("SELECT FROM idempotency_keys WHERE key = 'new'") == []
    may_send_on(user)


def test_given_conversations_then_that_with_the_latest_message_is_first_and_pages_go_on(user: Api, friend: Api) -> None:
    made = [group(user, friend) for _ in range(5)]
    with_friend = direct(friend, user)
    say(friend, made[1], "second")
    say(user, made[3], "latest")
    expected = [made[3], made[1], with_friend, made[4], made[2], made[0]]
    assert ids(user.get("/conversations")) == expected
    assert ids(user.get("/conversations", query=[("is_group", "false")])) == [with_friend]
    seen: list[str] = []
    cursor = ""
    while True:
        page = user.get("/conversations", query=[("limit", "2"), *([("cursor", cursor)] if cursor else [])])
        seen += ids(page)
        if not (cursor := page.json()["next_cursor"]):
            break
    assert seen == expected


def test_given_messages_then_the_list_has_the_last_one_and_how_many_are_unread(user: Api, friend: Api) -> None:
    conversation = direct(user, friend)
    say(user, conversation, "one")
    last = say(user, conversation, "x" * 1000)
    [listed] = friend.get("/conversations").json()["items"]
    preview = listed["last_message"]
    assert (preview["id"], preview["text"], preview["sender_name"]) == (last["id"], "x" * 200, "Test Person")
    assert listed["unread_count"] == 2
    assert conversation_of(user, conversation)["unread_count"] == 0
    assert user.delete(f"/messages/{last['id']}").status == 204
    [listed] = friend.get("/conversations").json()["items"]
    assert (listed["last_message"]["text"], listed["unread_count"]) == ("", 1)
    assert listed["last_message"]["deleted_at"]


def test_given_many_unread_messages_then_they_are_counted_up_to_a_hundred(user: Api, friend: Api) -> None:
    one, two = group(user, friend), group(user, friend)
    said_often(user, one, 250)
    said_often(user, two, 3)
    group(user, friend)
    assert (unread(friend, one), unread(friend, two), unread(user, one)) == (100, 3, 0)
    answer = friend.get("/conversations/unread")
    assert answer.json() == {"conversations": 2, "messages": 103}
    Unread.model_validate_json(answer.body, strict=True)


def test_given_a_group_when_its_owner_names_it_anew_then_the_others_may_not_and_an_old_tag_is_412(
    user: Api, friend: Api
) -> None:
    conversation = group(user, friend)
    path = f"/conversations/{conversation}"
    assert friend.patch(path, {"title": "Mine"}).status == 403
    changed = user.put(path, {"name": "New"}, headers={"if-match": '"1"'})
    assert (changed.status, changed.json()["title"], changed.header("etag")) == (200, "New", '"2"')
    assert user.patch(path, {"title": "Old"}, headers={"if-match": '"1"'}).status == 412
    assert user.patch(path, {"title": "New"}).json()["version"] == 2
    assert events_in(conversation)[1:] == [("conversation.updated", conversation, {"fields": ["title"]})]


def test_given_an_etag_then_it_changes_with_whatever_the_representation_says(user: Api, friend: Api) -> None:
    project_id = project_of(user)
    conversation = group(user, friend, project_id=project_id)
    path = f"/conversations/{conversation}"
    tags = []

    def moved() -> bool:
        tags.append(friend.get(path).header("etag") or "")
        assert friend.get(path, headers={"if-none-match": tags[-1]}).status == 304
        return len(set(tags)) == len(tags)

    assert moved()
    message = say(user, conversation)
    assert moved()
    user.patch(f"/messages/{message['id']}", {"text": "Else"})
    assert moved()
    friend.put(f"{path}/read", {"message_id": message["id"]})
    assert moved()
    user.patch("/users/me", {"full_name": "Renamed"})
    assert moved()
    execute("UPDATE conversations SET project_id = NULL WHERE id = %(id)s", id=conversation)
    assert moved()
    # AND what is said in between keeps nobody from changing the title
    assert user.patch(path, {"title": "x"}, headers={"if-match": user.get(path).header("etag") or ""}).status == 200


def test_given_a_direct_conversation_then_it_stays_as_it_is(user: Api, friend: Api) -> None:
    path = f"/conversations/{direct(user, friend)}"
    newcomer = person()
    for refused in (
        user.patch(path, {"title": "x"}),
        user.delete(path),
        user.post(f"{path}/members", {"user_id": str(newcomer.id)}),
        user.delete(f"{path}/members/{user.id}"),
        user.delete(f"{path}/members/{friend.id}"),
    ):
        assert refused.status == 409
    assert conversation_of(friend, path.rpartition("/")[2])["member_count"] == 2


def test_given_a_group_when_removed_then_it_is_gone_for_all_and_maintenance_deletes_what_was_said(
    user: Api, friend: Api
) -> None:
    conversation, kept = group(user, friend), group(user, friend)
    say(user, conversation), say(user, kept)
    path = f"/conversations/{conversation}"
    assert friend.delete(path).status == 403
    assert user.delete(path, headers={"if-match": '"7"'}).status == 412
    assert user.delete(path).status == 204
    for client in (user, friend):
        assert client.get(path).status == client.get(f"{path}/messages").status == 404
        assert ids(client.get("/conversations")) == [kept]
        scope = [("scope", f"user:{client.id}"), ("type", "conversation.removed")]
        assert [item["subject_id"] for item in client.get("/events", query=scope).json()["items"]] == [conversation]
    remove_expired_rows(lambda: True)
    rows = execute(
        "SELECT conversation_id::text FROM messages WHERE conversation_id = ANY(%(ids)s::uuid[])",
        ids=[conversation, kept],
    )
    assert [row.conversation_id for row in rows] == [kept]
    assert execute("SELECT FROM conversations WHERE id = %(id)s", id=conversation) == []


def test_given_members_when_added_again_then_the_answer_says_who_was_one(user: Api, friend: Api) -> None:
    conversation = group(user)
    say(user, conversation, "before")
    path, other = f"/conversations/{conversation}/members", person()
    added = user.post(path, {"userIds": [str(friend.id), str(user.id)]})
    assert added.json() == {"added": [str(friend.id)], "already_members": [str(user.id)]}
    assert user.post(path, {"user_id": str(friend.id)}).json()["added"] == []
    assert friend.post(path, {"user_id": str(other.id)}).status == 403
    assert pointers(user.post(path, {"user_ids": [str(friend.id), NOBODY]})) == ["/user_ids/1"]
    # THEN they read what was said before, of which nothing is unread
    assert (texts(friend, conversation), unread(friend, conversation)) == (["before"], 0)
    assert [event for event in events_in(conversation) if event[0] == "conversation.member_added"] == [
        ("conversation.member_added", conversation, {"user_id": str(friend.id)})
    ]
    page = friend.get(path)
    Page[ConversationMemberRead].model_validate_json(page.body)
    assert {item["id"]: item["role"] for item in page.json()["items"]} == {
        str(user.id): "owner",
        str(friend.id): "member",
    }
    assert len(ids(friend.get(path, query=[("limit", "1")]))) == 1


def test_given_a_full_group_then_nobody_more_comes_in(user: Api, friend: Api) -> None:
    conversation = group(user)
    execute(
        "WITH u AS (INSERT INTO users (email, full_name) SELECT gen_random_uuid() || '@example.com', 'Many'"
        " FROM generate_series(2, %(n)s) RETURNING id)"
        " INSERT INTO conversation_members (conversation_id, user_id) SELECT %(c)s, id FROM u",
        n=MAX_MEMBERS,
        c=conversation,
    )
    assert user.post(f"/conversations/{conversation}/members", {"user_id": str(friend.id)}).status == 409
    shown = conversation_of(user, conversation)
    assert (shown["member_count"], len(shown["members"])) == (MAX_MEMBERS, 20)
    assert shown["members"][0]["id"] == str(user.id)


def test_given_members_then_they_leave_and_the_owner_removes_and_a_group_keeps_an_owner(user: Api, friend: Api) -> None:
    third, fourth = person(), person()
    conversation = group(user)
    path = f"/conversations/{conversation}/members"
    for newcomer in (friend, third, fourth):
        user.post(path, {"user_id": str(newcomer.id)})
    assert friend.delete(f"{path}/{third.id}").status == 403
    assert user.delete(f"{path}/{NOBODY}").status == 404
    assert user.delete(f"{path}/{fourth.id}").status == 204
    # WHEN the owner leaves THEN who joined first owns the group
    assert user.delete(f"{path}/{user.id}").status == 204
    assert {m["id"]: m["role"] for m in conversation_of(third, conversation)["members"]} == {
        str(friend.id): "owner",
        str(third.id): "member",
    }
    assert third.delete(f"{path}/{third.id}").status == 204
    # WHEN the last one leaves THEN it is removed
    assert friend.delete(f"{path}/{friend.id}").status == 204
    for gone in (user, friend, third, fourth):
        assert gone.get(f"/conversations/{conversation}").status == 404
        assert gone.post(f"/conversations/{conversation}/messages", {"text": "x"}).status == 404
    removed = [data for type, _, data in events_in(conversation) if type == "conversation.member_removed"]
    assert removed == [
        {"user_id": str(fourth.id)},
        {"user_id": str(user.id), "owner_id": str(friend.id)},
        {"user_id": str(third.id)},
        {"user_id": str(friend.id)},
    ]
    assert events_in(conversation)[-1][0] == "conversation.removed"


def test_given_an_owner_whose_account_is_disabled_then_who_joined_first_of_the_others_acts_and_inherits(
    user: Api, friend: Api
) -> None:
    gone, third, newcomer = person(), person(), person()
    conversation = group(user)
    path = f"/conversations/{conversation}"
    for joining in (gone, friend, third):
        user.post(f"{path}/members", {"user_id": str(joining.id)})
    execute("UPDATE users SET status = 'disabled' WHERE id = ANY(%(ids)s)", ids=[user.id, gone.id])
    # THEN one of them may do all, and the others may not
    assert third.patch(path, {"title": "Mine"}).status == third.delete(path).status == 403
    assert friend.patch(path, {"title": "Ours"}).status == 200
    assert friend.post(f"{path}/members", {"user_id": str(newcomer.id)}).status == 200
    # WHEN the owner is taken off THEN that one owns it, and not who joined before and is disabled too
    assert friend.delete(f"{path}/members/{user.id}").status == 204
    roles = {m["id"]: m["role"] for m in conversation_of(third, conversation)["members"]}
    assert [id for id, role in roles.items() if role == "owner"] == [str(friend.id)]
    # AND so when an owner leaves
    assert friend.delete(f"{path}/members/{friend.id}").status == 204
    assert third.patch(path, {"title": "Third's"}).status == 200


def test_given_conversations_others_began_then_an_account_can_be_removed_for_good(user: Api, friend: Api) -> None:
    admin, victim = person("admin"), person()
    unanswered, begun, shared = direct(user, victim), direct(victim, friend), group(user, victim, friend)
    inherited = group(user, victim)
    user.delete(f"/conversations/{inherited}/members/{user.id}")
    say(user, unanswered, "Hello?")
    assert admin.delete(f"/users/{victim.id}", query=[("purge", "true")]).status == 204
    # THEN what it said nothing in is gone, and the group is told
    assert [user.get(f"/conversations/{id}").status for id in (unanswered, shared)] == [404, 200]
    assert friend.get(f"/conversations/{begun}").status == 404
    assert conversation_of(friend, shared)["member_count"] == 2
    left = ("conversation.member_removed", shared, {"user_id": str(victim.id)})
    assert events_in(shared)[1:] == [left]
    assert events_in(inherited)[-1][0] == "conversation.removed"
    own = user.get("/events", query=[("scope", f"user:{user.id}"), ("type", "conversation.removed")]).json()["items"]
    assert [item["subject_id"] for item in own] == [unanswered]
    # AND an account that said something is not removed, nor what it was in
    shared = group(user, friend)
    talk = direct(user, friend)
    say(friend, talk)
    refused = admin.delete(f"/users/{friend.id}", query=[("purge", "true")])
    assert (refused.status, "messages: 1" in refused.json()["detail"]) == (409, True)
    assert conversation_of(user, shared)["member_count"] == 2


def test_given_somebody_removed_then_they_read_nothing_any_more_and_all_of_it_when_they_are_back(
    user: Api, friend: Api
) -> None:
    conversation = group(user, friend)
    message = say(user, conversation, "secret plans")
    path = f"/conversations/{conversation}"
    user.delete(f"{path}/members/{friend.id}")
    for refused in (
        friend.get(path),
        friend.get(f"{path}/messages"),
        friend.get(f"{path}/members"),
        friend.get(f"/messages/{message['id']}"),
        friend.put(f"{path}/read", {"message_id": message["id"]}),
        friend.put(f"/messages/{message['id']}/reactions/%F0%9F%A6%86"),
        friend.get("/messages/search", query=[("q", "plans"), ("conversation_id", conversation)]),
        friend.get("/events", query=[("scope", f"conversation:{conversation}")]),
    ):
        assert refused.status == 404, refused
    assert ids(friend.get("/messages/search", query=[("q", "plans")])) == []
    user.post(f"{path}/members", {"user_id": str(friend.id)})
    assert texts(friend, conversation) == ["secret plans"]


def test_given_the_log_then_members_read_what_happens_and_nobody_else_not_even_administrators(
    user: Api, friend: Api
) -> None:
    admin = person("admin")
    _, cursor = (page := admin.get("/events", query=[("after", "latest")]).json())["items"], page["next_cursor"]
    conversation = group(user, friend)
    message = say(user, conversation)
    expected = ["conversation.created", "message.created"]
    scope = [("scope", f"conversation:{conversation}")]

    def about(client: Api, **query: str) -> list[str]:
        items = client.get("/events", query=list(query.items())).json()["items"]
        return [item["type"] for item in items if item["scope"] == f"conversation:{conversation}"]

    for client in (user, friend):
        assert about(client, after=cursor) == expected
        assert about(client, limit="10") == expected[::-1]
        assert [item["type"] for item in client.get("/events", query=scope).json()["items"]] == expected[::-1]
    for stranger in (admin, person()):
        assert about(stranger, after=cursor) == about(stranger, limit="10") == []
        assert about(stranger, subject_id=message["id"]) == about(stranger, actor_id=str(user.id)) == []
        assert stranger.get("/events", query=scope).status == 404
    # WHEN somebody is removed THEN the next event is not theirs, and what they may know is in their own scope
    user.delete(f"/conversations/{conversation}/members/{friend.id}")
    say(user, conversation, "behind their back")
    assert about(friend, after=cursor) == []
    own = friend.get("/events", query=[("scope", f"user:{friend.id}")]).json()["items"]
    assert [(item["type"], item["subject_id"]) for item in own] == [("conversation.member_removed", conversation)]
    # AND an administrator reads of the conversations they take part in, in order with everything else
    user.post(f"/conversations/{conversation}/members", {"user_id": str(admin.id)})
    assert about(admin, after=cursor)[:2] == expected
    types = [item["type"] for item in admin.get("/events", query=[("limit", "5")]).json()["items"]]
    assert types[0] == "conversation.member_added"


def test_given_what_members_are_told_for_themselves_then_administrators_read_only_their_own(
    user: Api, friend: Api
) -> None:
    admin = person("admin")
    cursor = admin.get("/events", query=[("after", "latest")]).json()["next_cursor"]
    removed, left = group(user, friend, admin), group(user, friend, admin)
    user.delete(f"/conversations/{left}/members/{friend.id}")
    user.delete(f"/conversations/{left}/members/{admin.id}")
    user.delete(f"/conversations/{removed}")

    def about(client: Api, **query: str) -> list[tuple[str, str]]:
        items = client.get("/events", query=[("limit", "50"), *query.items()]).json()["items"]
        return [(item["type"], item["subject_id"]) for item in items if item["subject_id"] in (left, removed)]

    told = [("conversation.member_removed", left), ("conversation.removed", removed)]
    for client in (friend, admin):
        assert about(client, scope=f"user:{client.id}") == told[::-1]
        assert about(client, after=cursor) == told
        assert about(client) == about(client, subject_type="conversation") == told[::-1]
    for query in ({"scope": f"user:{friend.id}"}, {"subject_id": left, "actor_id": str(friend.id)}):
        assert about(admin, **query) == about(admin, after=cursor, **query) == []
    other = person("admin")
    assert about(other, after=cursor) == about(other) == about(other, subject_type="conversation") == []
    # AND nothing is read twice
    own = [item["id"] for item in admin.get("/events", query=[("limit", "50")]).json()["items"]]
    assert len(own) == len(set(own))


@pytest.mark.parametrize(
    ("path", "model"), [("/conversations", Page[ConversationRead]), ("/conversations/{id}", ConversationRead)]
)
def test_given_json_built_by_postgresql_then_it_is_what_the_response_model_would_write(
    user: Api, friend: Api, path: str, model: type[Output]
) -> None:
    conversation = group(user, friend, title='línea "two"')
    say(friend, conversation)
    body = user.get(path.format(id=conversation)).body
    assert json.loads(model.model_validate_json(body).model_dump_json()) == json.loads(body)


def test_given_each_kind_of_request_then_its_round_trips_to_the_database_are_few(user: Api, friend: Api) -> None:
    conversation = group(user, friend)
    path = f"/conversations/{conversation}"
    message = say(friend, conversation)

    def round_trips(method: str, path: str, expected: int, body: object = None) -> int:
        with counted() as statements:
            answer = user.request(method, path, json_body=body)
        assert answer.status == expected, answer
        return len(statements)

    for read in ("/conversations", "/conversations/unread", path, f"{path}/members", f"{path}/messages",
                 f"/messages/{message['id']}", "/messages/search?q=hello"):  # fmt: skip
        method, _, query = read.partition("?")
        with counted() as statements:
            answer = user.get(method, query=[tuple(query.split("="))] if query else [])
        assert answer.status == 200, answer
        assert len(statements) == (3 if query else 2), (read, statements)  # a search is counted
    # BEGIN, identity, COMMIT; the count; BEGIN, lock, member, what it refers to, message, event, answer, COMMIT
    assert round_trips("POST", f"{path}/messages", 201, {"text": "x"}) == 12
    # BEGIN, identity, position, where it is, event, COMMIT
    assert round_trips("PUT", f"{path}/read", 200, {"message_id": message["id"]}) <= 6
