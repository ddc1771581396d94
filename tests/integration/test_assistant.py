"""The assistant without a model: asking, reading what was said, and what front ends send."""

from uuid import uuid4

import pytest

from functions.ai.providers.offline import NOTICE
from functions.ai.schemas import ChatMessageRead, ChatRead, ChatWithMessages
from tests.support.api import Api, events_about
from tests.support.assisting import ask, chunks_of, kinds, message, question, said
from tests.support.expect import pointers, problem
from tests.support.people import person
from tests.support.statements import counted, execute

pytestmark = pytest.mark.usefixtures("stack")


def chat_id() -> str:
    return uuid4().hex[:16]


def test_given_a_question_then_the_answer_is_a_stream_as_the_ai_sdk_has_it(user: Api) -> None:
    chat = chat_id()
    chunks = ask(user, "What is there to do?", chat)
    assert kinds(chunks) == [
        *("start", "start-step", "text-start", "text-delta", "text-end", "finish-step", "finish"),
    ]
    assert said(chunks).startswith(NOTICE)
    assert chunks[-1]["finishReason"] == "stop"
    # AND what was said is kept, as front ends take it
    read = user.get(f"/ai/chat/{chat}")
    body = ChatWithMessages.model_validate_json(read.body)
    assert [part.role for part in body.messages] == ["user", "assistant"]
    assert body.messages[1].id == chunks[0]["messageId"]
    assert [part["type"] for part in body.messages[1].parts] == ["step-start", "text"]
    assert body.messages[1].parts[1]["text"] == said(chunks)
    assert (body.title, body.running) == ("What is there to do?", False)
    # AND recorded, without what was said
    [(type, data)] = events_about(body.id)
    assert (type, data) == ("ai_chat.asked", {"provider": "offline"})


def test_given_another_question_then_it_joins_the_conversation(user: Api) -> None:
    chat = chat_id()
    ask(user, "One?", chat)
    ask(user, "Two?", chat)
    messages = user.get(f"/ai/chat/{chat}").json()["messages"]
    assert [part["parts"][0].get("text") for part in messages if part["role"] == "user"] == ["One?", "Two?"]
    assert len(messages) == 4


def test_given_what_front_ends_send_besides_then_it_is_let_be(user: Api) -> None:
    odd = [{"id": 7, "role": "robot", "parts": None}, "nothing", message("Well?", metadata={"a": 1}, extra=[1])]
    body = {**question(""), "messages": odd, "webSearch": True, "model": "gpt-4o"}
    assert said(chunks_of(user.post("/ai/chat", body))).startswith(NOTICE)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"messages": []}, "/messages"),
        ({"messages": "hello"}, "/messages"),
        ({"messages": [{"id": "1", "role": "user", "parts": []}]}, "/messages"),
        ({"messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": " \n"}]}]}, "/messages"),
        ({"messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "a\x00b"}]}]}, "/messages"),
        ({"messages": [message("x" * 20_001)]}, "/messages"),
        (
            {
                "messages": [
                    {
                        "id": "1",
                        "role": "user",
                        "parts": [{"type": "text", "text": "see"}, {"type": "file", "url": "data:,x"}],
                    }
                ]
            },
            "/messages",
        ),
        ({"id": ""}, "/id"),
        ({"id": "x" * 201}, "/id"),
        ({"id": "a/b"}, "/id"),
        ({"trigger": "shout"}, "/trigger"),
        ({"messageId": "unknown"}, "/messageId"),
        ({"trigger": "regenerate-message", "messageId": "unknown"}, "/messageId"),
        ({"trigger": "regenerate-message", "messages": [message("Hello?", id="")]}, "/messageId"),
        ({"messages": [message("Hello?", role="system")]}, "/messages"),
        ({"project_id": "x"}, "/project_id"),
        ({"projectId": str(uuid4())}, "/project_id"),
        ({"conversationId": "x"}, "/conversation_id"),
        ({"project_id": str(uuid4())}, "/project_id"),
        ({"conversation_id": str(uuid4())}, "/conversation_id"),
    ],
)
def test_given_what_is_used_and_wrong_then_400_names_it_and_nothing_is_kept(
    user: Api, change: dict[str, object], pointer: str
) -> None:
    refused = user.post("/ai/chat", {**question("Hello?"), **change})
    assert refused.status == 400, refused
    assert [found.partition("/0")[0] for found in pointers(refused)] == [pointer]
    assert user.get("/ai/chat").json()["items"] == []


def test_given_conversations_then_each_has_their_own_newest_first(user: Api) -> None:
    shared = chat_id()
    for chat in (shared, chat_id(), chat_id()):
        ask(user, f"About {chat}?", chat)
    other = person()
    ask(other, "Mine?", shared)
    page = user.get("/ai/chat", query=[("limit", "2")]).json()
    rest = user.get("/ai/chat", query=[("cursor", page["next_cursor"])]).json()
    items = [ChatRead.model_validate(item) for item in page["items"] + rest["items"]]
    assert [item.title[6:22] for item in reversed(items)] == [item.chat_id for item in reversed(items)]
    assert (items[-1].chat_id, rest["next_cursor"]) == (shared, None)
    # AND of the same id somebody else has another conversation
    theirs = other.get(f"/ai/chat/{shared}").json()
    assert (theirs["title"], len(theirs["messages"])) == ("Mine?", 2)
    for part in theirs["messages"]:
        ChatMessageRead.model_validate(part)
    problem(person("admin").get(f"/ai/chat/{shared}"), 404)


@pytest.mark.parametrize("id", ["%00", "a%2Fb", "%F0%9F%A6%86", "x" * 201, "a%20b"])
def test_given_an_id_that_is_none_then_400(user: Api, id: str) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/stream"), ("POST", "/stop")):
        assert user.request(method, f"/ai/chat/{id}{path}").status in (400, 404)


def test_given_reads_then_they_are_one_statement_besides_that_of_the_caller(user: Api) -> None:
    chat = chat_id()
    ask(user, "Hello?", chat)
    for path in ("/ai/chat", f"/ai/chat/{chat}", f"/ai/chat/{chat}/stream"):
        user.get(path)
        with counted() as statements:
            assert user.get(path).status in (200, 204)
        assert len(statements) == 2, statements


def test_given_requests_that_change_something_then_their_statements_are_few(user: Api) -> None:
    chat = chat_id()
    ask(user, "One?", chat)
    task = {"task": "suggest", "text": "engine"}
    for path, body, most in (
        ("/ai/chat", question("Which engine?", chat), 16),
        (f"/ai/chat/{chat}/stop", None, 6),
        ("/ai", task, 4),
    ):
        with counted(here=True) as statements:
            assert user.post(path, body).status in (200, 204)
        assert len(statements) <= most, statements


def test_given_an_answer_when_asked_for_anew_then_it_is_replaced(user: Api) -> None:
    chat = chat_id()
    ask(user, "One?", chat)
    first = ask(user, "Two?", chat)
    body = {**question("", chat), "messages": [message("Two?")], "trigger": "regenerate-message"}
    again = chunks_of(user.post("/ai/chat", {**body, "messageId": first[0]["messageId"]}))
    messages = user.get(f"/ai/chat/{chat}").json()["messages"]
    assert len(messages) == 4
    assert messages[-1]["id"] == again[0]["messageId"] != first[0]["messageId"]
    # AND without an id it is the last one
    last = chunks_of(user.post("/ai/chat", body))
    assert user.get(f"/ai/chat/{chat}").json()["messages"][-1]["id"] == last[0]["messageId"]


def test_given_a_question_when_edited_then_what_came_after_it_goes(user: Api) -> None:
    chat = chat_id()
    ask(user, "One?", chat)
    ask(user, "Two?", chat)
    first = user.get(f"/ai/chat/{chat}").json()["messages"][0]
    chunks_of(user.post("/ai/chat", {**question("Three?", chat), "messageId": first["id"]}))
    messages = user.get(f"/ai/chat/{chat}").json()["messages"]
    assert [part["parts"][0].get("text") for part in messages if part["role"] == "user"] == ["Three?"]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("trigger", ["regenerate-message", "submit-message"])
def test_given_a_question_that_was_lost_when_sent_again_then_it_is_asked_and_nothing_before_it_goes(
    user: Api, trigger: str, named: bool
) -> None:
    """`regenerate()` and `sendMessage()` of `useChat` after a request that was refused, or never arrived."""
    chat, lost = chat_id(), message("Two?")
    first = ask(user, "One?", chat)
    body = {"id": chat, "messages": [lost], "trigger": trigger, "messageId": lost["id"] if named else None}
    chunks_of(user.post("/ai/chat", body))
    # AND once more, when it is known, it is answered anew
    again = chunks_of(user.post("/ai/chat", {**body, "messageId": lost["id"]}))
    messages = user.get(f"/ai/chat/{chat}").json()["messages"]
    assert [part["parts"][0].get("text") for part in messages if part["role"] == "user"] == ["One?", "Two?"]
    assert [part["id"] for part in messages[1:]] == [first[0]["messageId"], lost["id"], again[0]["messageId"]]


def test_given_a_question_that_is_named_when_answered_anew_then_what_came_after_it_goes(user: Api) -> None:
    chat = chat_id()
    ask(user, "One?", chat)
    ask(user, "Two?", chat)
    first = user.get(f"/ai/chat/{chat}").json()["messages"][0]
    body = {"id": chat, "messages": [first], "trigger": "regenerate-message", "messageId": first["id"]}
    again = chunks_of(user.post("/ai/chat", body))
    messages = user.get(f"/ai/chat/{chat}").json()["messages"]
    assert [part["id"] for part in messages] == [first["id"], again[0]["messageId"]]


def test_given_a_client_that_calls_every_question_the_same_then_each_is_a_message(user: Api) -> None:
    chat = chat_id()
    for text in ("One?", "Two?"):
        body = {"id": chat, "messages": [message(text, id="1")]}
        chunks_of(user.post("/ai/chat", body))
    messages = user.get(f"/ai/chat/{chat}").json()["messages"]
    assert [part["role"] for part in messages] == ["user", "assistant", "user", "assistant"]
    assert [part["parts"][0].get("text") for part in messages if part["role"] == "user"] == ["One?", "Two?"]


def test_given_a_conversation_when_deleted_then_it_is_gone_with_all_that_was_said(user: Api) -> None:
    chat = chat_id()
    ask(user, "One?", chat)
    id = user.get(f"/ai/chat/{chat}").json()["id"]
    assert user.delete(f"/ai/chat/{chat}").status == 204
    problem(user.get(f"/ai/chat/{chat}"), 404)
    problem(user.delete(f"/ai/chat/{chat}"), 404)
    problem(user.post(f"/ai/chat/{chat}/stop"), 404)
    assert user.get(f"/ai/chat/{chat}/stream").status == 204
    assert execute("SELECT FROM ai_messages WHERE conversation_id = %(id)s", id=id) == []
    assert [type for type, _ in events_about(id)] == ["ai_chat.asked", "ai_chat.removed"]
    # AND what was used stays used
    [(used,)] = execute("SELECT count(*) FROM ai_usage WHERE user_id = %(id)s", id=user.id)
    assert used == 1


def test_given_no_model_then_every_answer_says_so(user: Api) -> None:
    for task in ("suggest", "validate"):
        assert NOTICE in user.post("/ai", {"task": task, "text": "Hello?"}).json()["text"]
    assert NOTICE in said(ask(user, "Hello?"))
