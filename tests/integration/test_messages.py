"""Messages, what goes with them, and ways through them, through real API Gateway events."""

import json
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest

from functions.conversations.messages.queries import OLDER
from functions.conversations.messages.schemas import MessagePage, MessageRead
from functions.conversations.messages.service import MAX_REACTIONS
from quintet.identity.rate_limits import LIMITS
from quintet.pagination import encode_cursor
from tests.support.api import Api
from tests.support.conversing import direct, events_in, group, said_often, say, texts, unread
from tests.support.expect import pointers
from tests.support.people import person
from tests.support.statements import execute
from tests.support.uploading import PNG, project_of, upload

NOBODY = "01900000-0000-7000-8000-000000000000"
DUCK = "%F0%9F%A6%86"


@pytest.fixture
def friend(stack: object) -> Api:
    """Somebody to talk to."""
    return person(full_name="A Friend")


@pytest.fixture
def conversation(user: Api, friend: Api) -> str:
    """A group of both."""
    return group(user, friend)


def paragraph(*nodes: dict[str, Any]) -> dict[str, Any]:
    """A document of one paragraph."""
    return {"type": "doc", "content": [{"type": "paragraph", "content": list(nodes)}]}


def mention(client: Api) -> dict[str, Any]:
    """A node that names somebody."""
    return {"type": "mention", "attrs": {"id": str(client.id)}}


def attachment(client: Api, **more: Any) -> str:
    """A file of theirs that can be sent."""
    file = upload(client, PNG, **{"purpose": "attachment", "file_name": "a.png", **more})
    assert file["status"] == "ready", file
    return str(file["id"])


def page(client: Api, conversation: str, **query: Any) -> dict[str, Any]:
    """A page of messages."""
    answer = client.get(f"/conversations/{conversation}/messages", query=[(k, str(v)) for k, v in query.items()])
    assert answer.status == 200, answer
    body: dict[str, Any] = answer.json()
    return body


def test_given_rich_text_when_sent_then_201_has_it_and_what_it_says(user: Api, friend: Api, conversation: str) -> None:
    content = paragraph(
        {"type": "text", "text": "Hello ", "marks": [{"type": "bold"}]}, mention(friend), {"type": "hard_break"},
        {"type": "text", "text": "there", "marks": [{"type": "link", "attrs": {"href": "https://example.com/a?b#c"}}]},
    )  # fmt: skip
    answer = user.post(f"/api/conversations/{conversation}/messages", {"content": content})
    said = answer.json()
    assert answer.status == 201, answer
    assert (said["content"], said["text"]) == (content, "Hello @A Friend\nthere")
    assert (said["sender_id"], said["sender_name"]) == (str(user.id), "Test Person")
    assert (said["mentions"], said["version"], said["edited_at"]) == ([str(friend.id)], 1, None)
    assert answer.header("location") == f"/api/v1/messages/{said['id']}"
    assert friend.get(answer.header("location") or "").json() == said
    assert events_in(conversation)[1:] == [
        (
            "message.created",
            said["id"],
            {"conversation_id": conversation, "mentions": [str(friend.id)], "attachments": []},
        )
    ]


def test_given_plain_text_when_sent_then_it_is_one_paragraph(user: Api, conversation: str) -> None:
    said = say(user, conversation, " one\r\n\ntwo ")
    one, two, line = {"type": "text", "text": "one"}, {"type": "text", "text": "two"}, {"type": "hard_break"}
    assert said["content"] == paragraph(one, line, line, two)
    assert said["text"] == "one\n\ntwo"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"text": " "}, "/text"),
        ({"text": "x" * 16_001}, "/text"),
        ({"text": "x\n" * 7_000}, "/text"),
        ({"text": "x", "content": paragraph({"type": "text", "text": "y"})}, ""),
        ({"content": paragraph(), "attachments": [NOBODY]}, "/content"),
        ({"text": "x", "reply_to_id": NOBODY}, "/reply_to_id"),
        ({"text": "x", "attachments": [NOBODY]}, "/attachments/0"),
        ({"text": "x", "attachments": [NOBODY] * 21}, "/attachments"),
        ({"content": paragraph({"type": "mention", "attrs": {"id": NOBODY}})}, "/content/content/0/content/0/attrs/id"),
        ({"content": paragraph({"type": "image"})}, "/content/content/0/content/0"),
        ({"content": {"type": "paragraph"}}, "/content/type"),
    ],
)
def test_given_a_wrong_message_then_400_points_at_it_and_nothing_is_said(
    user: Api, conversation: str, body: dict[str, Any], pointer: str
) -> None:
    refused = user.post(f"/conversations/{conversation}/messages", body)
    assert refused.status == 400, refused
    assert pointers(refused)[0] == pointer
    assert texts(user, conversation) == []


def test_given_a_stranger_then_they_cannot_be_mentioned(user: Api, conversation: str) -> None:
    content = paragraph(mention(person()))
    refused = user.post(f"/conversations/{conversation}/messages", {"content": content})
    assert pointers(refused) == ["/content/content/0/content/0/attrs/id"]


def test_given_an_idempotency_key_when_a_send_is_repeated_then_one_message_is_sent(
    user: Api, conversation: str
) -> None:
    path, key = f"/conversations/{conversation}/messages", {"idempotency-key": "send"}
    first, second = (user.post(path, {"text": "Once"}, headers=key) for _ in range(2))
    assert (first.status, second.status) == (201, 201)
    assert first.json() == second.json()
    assert user.post(path, {"text": "Twice"}, headers=key).status == 422
    assert texts(user, conversation) == ["Once"]


def test_given_too_many_messages_in_a_minute_then_429(user: Api, conversation: str) -> None:
    [account] = [limit for limit in LIMITS["message"] if limit.by == "account"]
    say(user, conversation)
    execute("UPDATE rate_counters SET hits = %(hits)s WHERE key LIKE 'message:account:%%'", hits=account.hits)
    path, key = f"/conversations/{conversation}/messages", {"idempotency-key": "send"}
    refused = user.post(path, {"text": "x"}, headers=key)
    assert refused.status == 429
    assert refused.header("retry-after")
    execute("UPDATE rate_counters SET hits = 0 WHERE key LIKE 'message:account:%%'")
    assert len(texts(user, conversation)) == 1
    # AND what was sent can be repeated, since that sends nothing
    sent = user.post(path, {"text": "x"}, headers=key)
    execute("UPDATE rate_counters SET hits = %(hits)s WHERE key LIKE 'message:account:%%'", hits=account.hits)
    repeated = user.post(path, {"text": "x"}, headers=key)
    assert (sent.status, repeated.status, repeated.json()) == (201, 201, sent.json())
    assert len(texts(user, conversation)) == 2
    execute("DELETE FROM rate_counters WHERE key LIKE 'message:account:%%'")


def test_given_too_many_edits_or_reactions_in_a_minute_then_429(user: Api, friend: Api, conversation: str) -> None:
    path = f"/messages/{say(user, conversation)['id']}"
    user.patch(path, {"text": "x"}), user.put(f"{path}/reactions/{DUCK}")
    execute(
        "UPDATE rate_counters SET hits = 1000 WHERE key LIKE 'message:account:%%' OR key LIKE 'reaction:account:%%'"
    )
    assert user.patch(path, {"text": "y"}).status == user.put(path, {"text": "y"}).status == 429
    assert user.put(f"{path}/reactions/{DUCK}").status == user.delete(f"{path}/reactions/{DUCK}").status == 429
    assert (friend.put(f"{path}/reactions/{DUCK}").status, user.get(path).json()["text"]) == (204, "x")


def test_given_files_when_attached_then_members_download_them_until_they_are_removed(
    user: Api, friend: Api, conversation: str
) -> None:
    files, stranger, admin = [attachment(user) for _ in range(2)], person(), person("admin")
    assert friend.get(f"/files/{files[0]}").status == 404
    answer = user.post(f"/conversations/{conversation}/messages", {"attachments": [files[1], files[0], files[1]]})
    assert answer.status == 201, answer
    said = answer.json()
    assert [file["id"] for file in said["attachments"]] == [files[1], files[0]]
    assert said["attachments"][0] == {
        "id": files[1],
        "file_name": "a.png",
        "content_type": "image/png",
        "size": len(PNG),
    }
    for client in (user, friend):
        assert client.get(f"/files/{files[0]}").status == 200
        assert client.get(f"/files/{files[0]}/content").status == 303
        assert client.get("/files/presign-download", query=[("file_id", files[0])]).status == 200
    for client in (stranger, admin):
        assert client.get(f"/files/{files[0]}").status == client.get(f"/files/{files[0]}/content").status == 404
    # It is the sender's alone to change.
    assert (
        friend.delete(f"/files/{files[0]}").status
        == friend.patch(f"/files/{files[0]}", {"file_name": "b"}).status
        == 404
    )
    assert files[0] not in {item["id"] for item in friend.get("/files").json()["items"]}
    user.delete(f"/conversations/{conversation}/members/{friend.id}")
    assert friend.get(f"/files/{files[0]}").status == friend.get(f"/files/{files[0]}/content").status == 404
    # WHEN the message is deleted THEN nobody has it from there
    user.post(f"/conversations/{conversation}/members", {"user_id": str(friend.id)})
    user.delete(f"/messages/{said['id']}")
    assert friend.get(f"/files/{files[0]}").status == 404
    assert user.get(f"/files/{files[0]}").status == 200


def test_given_a_file_that_is_not_ones_own_to_send_then_400_names_it(user: Api, friend: Api, conversation: str) -> None:
    shared = project_of(user)
    pending = user.get(
        "/files/presign-upload", query=[("file_name", "a.png"), ("size", "9"), ("purpose", "attachment")]
    ).json()["file_id"]
    wrong = [attachment(friend), attachment(user, project_id=shared), attachment(user, purpose="asset"), pending]
    refused = user.post(
        f"/conversations/{conversation}/messages", {"text": "x", "file_ids": [attachment(user), *wrong]}
    )
    assert refused.status == 400
    assert pointers(refused) == [f"/attachments/{n}" for n in range(1, 5)]


def test_given_a_file_that_is_deleted_then_the_message_stays_without_it(user: Api, conversation: str) -> None:
    file_id = attachment(user)
    said = say(user, conversation, attachments=[file_id])
    before = user.get(f"/messages/{said['id']}").header("etag")
    assert user.delete(f"/files/{file_id}").status == 204
    now = user.get(f"/messages/{said['id']}")
    assert (now.json()["attachments"], now.header("etag") == before) == ([], False)


def test_given_a_reply_then_it_names_a_message_of_the_same_conversation(
    user: Api, friend: Api, conversation: str
) -> None:
    first = say(user, conversation)
    assert say(friend, conversation, replyToId=first["id"])["reply_to_id"] == first["id"]
    elsewhere = say(user, direct(user, friend))
    refused = user.post(f"/conversations/{conversation}/messages", {"text": "x", "reply_to": elsewhere["id"]})
    assert pointers(refused) == ["/reply_to_id"]


def test_given_somebody_who_left_then_a_message_that_mentions_them_can_still_be_edited(
    user: Api, friend: Api, conversation: str
) -> None:
    path = f"/conversations/{conversation}"
    said = user.post(f"{path}/messages", {"content": paragraph(mention(friend))}).json()
    other = say(user, conversation)
    user.delete(f"{path}/members/{friend.id}")
    content = paragraph({"type": "text", "text": "Ask "}, mention(friend))
    edited = user.patch(f"/messages/{said['id']}", {"content": content})
    assert (edited.status, edited.json()["text"], edited.json()["mentions"]) == (200, "Ask @A Friend", [str(friend.id)])
    # AND no other message begins to mention them, nor this one again
    for message_id in (other["id"], said["id"]):
        assert user.patch(f"/messages/{message_id}", {"text": "nobody"}).status == 200
        assert pointers(user.patch(f"/messages/{message_id}", {"content": content})) == [
            "/content/content/0/content/1/attrs/id"
        ]


def test_given_mentions_that_come_and_go_then_each_is_new_once(user: Api, friend: Api, conversation: str) -> None:
    third = person()
    user.post(f"/conversations/{conversation}/members", {"user_id": str(third.id)})
    path = f"/messages/{say(user, conversation)['id']}"
    for named in ([friend], [], [friend], [third, friend], [third], [third, friend]):
        content = paragraph({"type": "text", "text": f"{len(named)} "}, *map(mention, named))
        assert user.patch(path, {"content": content}).status == 200
        assert set(user.get(path).json()["mentions"]) == {str(client.id) for client in named}
    new = [data["mentions"] for type, _, data in events_in(conversation) if type == "message.updated"]
    assert new == [[str(friend.id)], [], [], [str(third.id)], [], []]


def test_given_a_sent_file_when_moved_into_a_project_then_it_is_the_projects(
    user: Api, friend: Api, conversation: str
) -> None:
    file_id = attachment(user)
    said = say(user, conversation, attachments=[file_id])
    assert friend.get(f"/files/{file_id}").status == 200
    execute("UPDATE files SET project_id = %(p)s WHERE id = %(f)s", p=project_of(user), f=file_id)
    for path in (f"/files/{file_id}", f"/files/{file_id}/content"):
        assert (friend.get(path).status, user.get(path).status < 400) == (404, True)
    assert friend.get(f"/messages/{said['id']}").json()["attachments"] == []


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_given_a_message_when_its_sender_edits_it_then_all_see_that_and_an_old_tag_is_412(
    user: Api, friend: Api, conversation: str, method: str
) -> None:
    said = say(user, conversation, "one")
    path = f"/messages/{said['id']}"
    assert friend.request(method, path, json_body={"text": "mine"}).status == 403
    edited = user.request(method, path, json_body={"content": paragraph(mention(friend))}, headers={"if-match": '"1"'})
    assert (edited.status, edited.json()["text"], edited.header("etag")) == (200, "@A Friend", '"2"')
    assert edited.json()["edited_at"]
    assert edited.json()["mentions"] == [str(friend.id)]
    assert user.request(method, path, json_body={"text": "x"}, headers={"if-match": '"1"'}).status == 412
    assert user.request(method, path, json_body={"content": paragraph(mention(friend))}).json()["version"] == 2
    assert user.request(method, path, json_body={"text": "none"}).json()["mentions"] == []
    assert [data["mentions"] for type, _, data in events_in(conversation) if type == "message.updated"] == [
        [str(friend.id)],
        [],
    ]


def test_given_a_message_when_deleted_then_a_place_without_content_stays(
    user: Api, friend: Api, conversation: str
) -> None:
    said = say(user, conversation, "secret", attachments=[attachment(user)])
    answered = say(friend, conversation, reply_to_id=said["id"])
    path = f"/messages/{said['id']}"
    friend.put(f"{path}/reactions/{DUCK}")
    assert friend.delete(path).status == 403
    assert user.delete(path, headers={"if-match": '"9"'}).status == 412
    assert user.delete(path).status == 204
    assert user.delete(path).status == 204
    gone = friend.get(path).json()
    assert (gone["content"], gone["text"], gone["attachments"], gone["reactions"]) == (None, "", [], [])
    assert (gone["deleted_at"] is not None, gone["version"]) == (True, 2)
    assert texts(friend, conversation) == ["Hello", ""]
    assert friend.get(f"/messages/{answered['id']}").json()["reply_to_id"] == said["id"]
    assert user.patch(path, {"text": "back"}).status == 409
    assert friend.put(f"{path}/reactions/{DUCK}").status == 409
    assert [type for type, subject, _ in events_in(conversation) if subject == said["id"]].count("message.removed") == 1
    assert (
        b"secret"
        not in json.dumps(
            execute("SELECT * FROM messages WHERE id = %(id)s", id=said["id"])[0]._asdict(), default=str
        ).encode()
    )


def test_given_reactions_then_they_are_counted_once_each_and_taken_back(
    user: Api, friend: Api, conversation: str
) -> None:
    said = say(user, conversation)
    path = f"/messages/{said['id']}"
    for client in (user, friend, friend):
        assert client.put(f"{path}/reactions/{DUCK}").status == 204
    assert user.put(f"{path}/reactions/%F0%9F%91%8D%F0%9F%8F%BD").status == 204
    assert friend.get(path).json()["reactions"] == [
        {"emoji": "🦆", "count": 2, "mine": True},
        {"emoji": "👍🏽", "count": 1, "mine": False},
    ]
    for _ in range(2):
        assert friend.delete(f"{path}/reactions/{DUCK}").status == 204
    assert friend.get(path).json()["reactions"][0] == {"emoji": "🦆", "count": 1, "mine": False}
    assert friend.get(path).json()["version"] == 1
    facts = {"conversation_id": conversation, "emoji": "🦆"}
    assert [(type, data) for type, _, data in events_in(conversation)[2:]] == [
        ("message.reaction_added", facts),
        ("message.reaction_added", facts),
        ("message.reaction_added", {**facts, "emoji": "👍🏽"}),
        ("message.reaction_removed", facts),
    ]
    for emoji in ("x", "1", "%F0%9F%A6%86%F0%9F%A6%86", "%20", ":)"):
        assert pointers(user.put(f"{path}/reactions/{emoji}")) == ["path/emoji"]
    execute(
        "INSERT INTO message_reactions SELECT %(m)s, %(u)s, n::text FROM generate_series(1, %(n)s) n",
        m=said["id"],
        u=friend.id,
        n=MAX_REACTIONS,
    )
    assert friend.put(f"{path}/reactions/{DUCK}").status == 409


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (["❤", "❤️"], "❤️"),
        (["🏳‍🌈", "🏳️‍🌈"], "🏳️‍🌈"),
        (["1⃣", "1️⃣"], "1️⃣"),
        (["🏃‍♂", "🏃‍♂️"], "🏃‍♂️"),
        (["👍️", "👍"], "👍"),
        (["🕵🏽‍♂", "🕵🏽‍♂️"], "🕵🏽‍♂️"),
        (["🇩🇪"], "🇩🇪"),
    ],
)
def test_given_an_emoji_in_two_forms_then_it_is_one(user: Api, conversation: str, sent: list[str], kept: str) -> None:
    path = f"/messages/{say(user, conversation)['id']}"
    for emoji in sent:
        assert user.put(f"{path}/reactions/{quote(emoji)}").status == 204
    assert user.get(path).json()["reactions"] == [{"emoji": kept, "count": 1, "mine": True}]
    assert user.delete(f"{path}/reactions/{quote(sent[0])}").status == 204
    assert user.get(path).json()["reactions"] == []


def test_given_files_alone_then_the_list_says_how_many_were_sent(user: Api, conversation: str) -> None:
    user.post(f"/conversations/{conversation}/messages", {"attachments": [attachment(user), attachment(user)]})
    last = user.get(f"/conversations/{conversation}").json()["last_message"]
    assert (last["text"], last["attachment_count"]) == ("", 2)
    say(user, conversation)
    assert user.get(f"/conversations/{conversation}").json()["last_message"]["attachment_count"] == 0


def test_given_a_reading_position_then_it_only_moves_forwards(user: Api, friend: Api, conversation: str) -> None:
    first, second, third = (say(user, conversation, str(n)) for n in range(3))
    path = f"/conversations/{conversation}/read"
    assert unread(friend, conversation) == 3
    assert friend.put(path, {"messageId": second["id"]}).json() == {
        "last_read_message_id": second["id"],
        "unread_count": 1,
    }
    assert friend.put(path, {"message_id": first["id"]}).json()["last_read_message_id"] == second["id"]
    assert friend.put(path, {"message_id": second["id"]}).json()["unread_count"] == 1
    elsewhere = say(user, direct(user, friend))
    assert pointers(friend.put(path, {"message_id": elsewhere["id"]})) == ["/message_id"]
    assert unread(friend, conversation) == 1
    read = [(subject, data) for type, subject, data in events_in(conversation) if type == "message.read"]
    assert read == [(second["id"], {"conversation_id": conversation, "user_id": str(friend.id)})]
    # AND who says something has read what was said before
    say(friend, conversation)
    assert (unread(friend, conversation), unread(user, conversation)) == (0, 1)
    assert friend.put(path, {"message_id": third["id"]}).json()["unread_count"] == 0


def test_given_messages_then_pages_go_on_to_older_ones_and_back_to_newer_ones(user: Api, conversation: str) -> None:
    assert page(user, conversation) == {"items": [], "next_cursor": None, "previous_cursor": None}
    said_often(user, conversation, 7, "n")
    everything = [f"n {n}" for n in range(7, 0, -1)]
    first = page(user, conversation, limit=3)
    second = page(user, conversation, limit=3, cursor=first["next_cursor"])
    third = page(user, conversation, limit=3, cursor=second["next_cursor"])
    seen = [item["text"] for part in (first, second, third) for item in part["items"]]
    assert (seen, third["next_cursor"]) == (everything, None)
    # WHEN going back THEN the pages lie the same way
    back = page(user, conversation, limit=3, after=third["previous_cursor"])
    assert (back["items"], back["next_cursor"]) == (second["items"], second["next_cursor"])
    assert page(user, conversation, limit=3, after=back["previous_cursor"])["items"] == first["items"]
    # AND at the newest one waits there for more
    waiting = page(user, conversation, after=first["previous_cursor"])
    assert (waiting["items"], waiting["previous_cursor"]) == ([], first["previous_cursor"])
    said_often(user, conversation, 2, "later")
    assert [item["text"] for item in page(user, conversation, after=waiting["previous_cursor"])["items"]] == [
        "later 2",
        "later 1",
    ]


def test_given_very_long_messages_then_a_page_is_what_a_function_can_answer_and_the_next_goes_on(
    user: Api, friend: Api, conversation: str
) -> None:
    said_often(user, conversation, 30, '"' * 65_000)
    execute(
        "UPDATE messages SET content = %(content)s WHERE conversation_id = %(c)s",
        content=json.dumps(paragraph({"type": "text", "text": '"' * 32_000})),
        c=conversation,
    )
    # THEN Lambda's answer, where each quotation mark is escaped once more, stays below its 6 MB
    pages: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while not pages or pages[-1]["next_cursor"]:
        answer = friend.get(f"/conversations/{conversation}/messages", query=list(cursor.items()))
        assert len(json.dumps(answer.body.decode(), ensure_ascii=False).encode()) < 6_000_000
        pages.append(answer.json())
        cursor = {"cursor": pages[-1]["next_cursor"]}
    numbers = [int(item["text"].split()[1]) for part in pages for item in part["items"]]
    assert numbers == list(range(30, 0, -1))
    assert 1 < len(pages) < 6
    # AND on the way back as many, next to where it began
    back = page(friend, conversation, after=pages[-1]["previous_cursor"])
    assert len(back["items"]) == len(pages[0]["items"])
    assert back["items"][-1]["id"] == pages[-2]["items"][-1]["id"]
    # AND a message alone is always a page
    assert len(page(friend, conversation, limit=1)["items"]) == 1


def test_given_long_names_then_what_they_make_of_a_text_is_bounded(user: Api, conversation: str) -> None:
    execute("UPDATE users SET full_name = repeat('n', 100) WHERE id = %(id)s", id=user.id)
    refused = user.post(f"/conversations/{conversation}/messages", {"content": paragraph(*[mention(user)] * 700)})
    assert (refused.status, pointers(refused)) == (400, ["/content"])
    assert texts(user, conversation) == []


@pytest.mark.parametrize(
    ("query", "where"),
    [({"after": "x"}, "query/after"), ({"cursor": "x"}, "query/cursor"), ({"after": "", "cursor": ""}, "query/after")],
)
def test_given_a_malformed_cursor_then_400_names_it(
    user: Api, conversation: str, query: dict[str, str], where: str
) -> None:
    cursor = encode_cursor(user.id)
    sent = [(name, value or cursor) for name, value in query.items()]
    refused = user.get(f"/conversations/{conversation}/messages", query=sent)
    assert (refused.status, pointers(refused)) == (400, [where])


def test_given_a_long_conversation_then_a_page_of_it_reads_as_little_as_of_a_short_one(user: Api, friend: Api) -> None:
    short, long = group(user, friend), group(user, friend)
    said_often(user, short, 200)
    said_often(user, long, 50_000)
    execute("ANALYZE messages")

    def blocks(conversation: str) -> int:
        asked = {"conversation_id": conversation, "caller": friend.id, "from": UUID(int=2**128 - 1), "limit": 50}
        plan = execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {OLDER}", **asked)[0][0][0]["Plan"]
        return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])

    assert blocks(long) <= 1.2 * blocks(short)
    assert unread(friend, long) == 100


@pytest.mark.parametrize(
    ("path", "model"), [("/conversations/{c}/messages", MessagePage), ("/messages/{m}", MessageRead)]
)
def test_given_json_built_by_postgresql_then_it_is_what_the_response_model_would_write(
    user: Api, friend: Api, conversation: str, path: str, model: Any
) -> None:
    content = paragraph({"type": "text", "text": 'línea "two" \u2028'}, mention(friend))
    body = {"content": content, "attachments": [attachment(user)]}
    said = user.post(f"/conversations/{conversation}/messages", body).json()
    friend.put(f"/messages/{said['id']}/reactions/{DUCK}")
    answer = user.get(path.format(c=conversation, m=said["id"])).body
    written = model.model_validate_json(answer).model_dump(mode="json", exclude_unset=True)
    assert json.loads(json.dumps(written)) == {**json.loads(answer)}
