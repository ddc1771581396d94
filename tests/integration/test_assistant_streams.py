"""Answers of a model, on a real server: as they come, resumed, stopped, broken off, and by two at once."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.ai import following, log, producing
from functions.ai.chunks import DONE, decoded, encoded
from infra.local.state import State
from quintet.config import settings as config
from quintet.identity.rate_limits import LIMITS
from tests.support import sockets
from tests.support.api import Api
from tests.support.assisting import ask, chunks_of, kinds, of, question, runs, said, until
from tests.support.expect import logged, problem
from tests.support.language_model import Model, endless, finish_events, model, saying, text_event, tool_events
from tests.support.people import person
from tests.support.statements import execute

pytestmark = pytest.mark.usefixtures("stack")

Event = dict[str, Any] | float | None


@pytest.fixture(scope="module")
def gateway(stack: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The local gateway on a port: streams stream there."""
    with sockets.gateway(State(tmp_path_factory.mktemp("streams"))) as url:
        yield url


def start(gateway: str, client: Api, chat: str, text: str = "Go on?") -> requests.Response:
    """A question whose answer is still coming."""
    headers = {"authorization": f"Bearer {client.token}"}
    answer = requests.post(
        f"{gateway}/api/v1/ai/chat", json=question(text, chat), headers=headers, stream=True, timeout=20
    )
    assert answer.status_code == 200, answer.text
    return answer


def resume(gateway: str, client: Api, chat: str) -> requests.Response:
    headers = {"authorization": f"Bearer {client.token}"}
    return requests.get(f"{gateway}/api/ai/chat/{chat}/stream", headers=headers, stream=True, timeout=20)


def test_given_a_slow_model_then_each_piece_arrives_as_it_is_said(gateway: str, user: Api) -> None:
    with model(saying("one ", "two ", "three", pause=0.3)):
        answer, times = start(gateway, user, uuid4().hex), {}
        for line in answer.iter_lines(chunk_size=1):
            for word in (b"one", b"two", b"three", b"DONE"):
                if word in line:
                    times[word] = time.monotonic()
    assert answer.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-request-id"]
    gaps = [times[b"two"] - times[b"one"], times[b"three"] - times[b"two"]]
    assert all(gap > 0.15 for gap in gaps), gaps


def test_given_any_cut_then_the_resumed_stream_equals_the_unbroken_one_byte_for_byte(gateway: str, user: Api) -> None:
    words = [f"word{n} é🎉\n" for n in range(40)]
    with model(saying(*words, pause=0.03)):
        for cut in (0, 1, 300, 900, 1500):
            chat = uuid4().hex
            whole: dict[str, bytes] = {}
            unbroken = start(gateway, user, chat)
            listener = threading.Thread(target=lambda a=unbroken, w=whole: w.update(all=a.content))
            # GIVEN somebody else of the same account who is cut off after some bytes, WHEN they resume
            listener.start()
            first = resume(gateway, user, chat)
            got = next(first.iter_content(cut)) if cut else b""
            first.close()
            again = resume(gateway, user, chat)
            assert again.status_code == 200
            resumed = again.content
            listener.join()
            # THEN they are told the same
            assert resumed == whole["all"]
            assert resumed.startswith(got)
            assert said(decoded(resumed.decode())) == "".join(words)
            assert resume(gateway, user, chat).status_code == 204


def test_given_a_client_that_drops_then_the_answer_goes_on(gateway: str, user: Api) -> None:
    chat = uuid4().hex
    with model(saying(*(f"w{n} " for n in range(20)), pause=0.05)) as played:
        answer = start(gateway, user, chat)
        next(answer.iter_content(10))
        answer.close()
        assert resume(gateway, user, chat).content.endswith(b"data: [DONE]\n\n")
        assert played.left == []
    [_, run] = runs(user, chat)
    assert run.status == "done"
    assert run.content[1]["text"] == "".join(f"w{n} " for n in range(20))
    assert (run.input_tokens, run.output_tokens) == (11, 7)


def test_given_an_endless_answer_when_stopped_then_it_ends_within_a_second_at_the_model_too(
    gateway: str, user: Api
) -> None:
    chat = uuid4().hex
    with model(endless()) as played:
        answer = start(gateway, user, chat)
        lines = answer.iter_lines(chunk_size=1)
        while b"text-delta" not in next(lines):
            pass
        assert user.get(f"/ai/chat/{chat}").json()["running"] is True
        assert [part["role"] for part in user.get(f"/ai/chat/{chat}").json()["messages"]] == ["user"]
        stopped_at = time.monotonic()
        assert user.post(f"/ai/chat/{chat}/stop").status == 204
        rest = list(lines)
        assert time.monotonic() - stopped_at < 1
        until(lambda: played.left, seconds=1)
        assert played.left[0] - stopped_at < 1
    assert b"data: [DONE]" in rest[-2:]
    [_, run] = runs(user, chat)
    assert run.status == "stopped"
    assert run.content[1]["text"].startswith("and on and on")
    stream = "".join(row.data for row in chunks(run.id))
    assert kinds(decoded(stream))[-2:] == ["text-end", "abort"]
    assert user.post(f"/ai/chat/{chat}/stop").status == 204  # again


def chunks(id: object) -> list[Any]:
    return list(execute("SELECT * FROM ai_chunks WHERE message_id = %(id)s ORDER BY position", id=id))


def test_given_a_model_that_says_nothing_when_stopped_then_it_ends_too(gateway: str, user: Api) -> None:
    def silent(_: Model, __: dict[str, Any]) -> Iterator[Event]:
        yield text_event("Hm")
        for _n in range(100):
            yield 0.1
            if _.ended.is_set():
                return
        yield from finish_events()

    chat = uuid4().hex
    with model(silent):
        answer = start(gateway, user, chat)
        lines = answer.iter_lines(chunk_size=1)
        while b"Hm" not in next(lines):
            pass
        stopped_at = time.monotonic()
        user.post(f"/ai/chat/{chat}/stop")
        list(lines)
        assert time.monotonic() - stopped_at < 1
    assert runs(user, chat)[-1].status == "stopped"


@pytest.mark.parametrize(("status", "told"), [(500, "did not answer"), (401, "did not answer"), (429, "is busy")])
def test_given_a_model_that_fails_then_the_stream_says_so_and_the_next_question_is_answered(
    user: Api, status: int, told: str
) -> None:
    chat = uuid4().hex
    with model(saying("fine"), status=status) as played:
        failed = ask(user, "Well?", chat)
        assert kinds(failed) == ["start", "start-step", "error"]
        assert told in failed[-1]["errorText"]
        assert runs(user, chat)[-1].status == "failed"
        played.status = 200
        assert said(ask(user, "And now?", chat)) == "fine"
    # AND the failed answer is nothing that was said
    assert [turn["role"] for turn in played.requests[-1]["messages"]] == ["system", "user", "user"]


def test_given_a_model_that_breaks_off_then_what_was_said_is_kept(user: Api) -> None:
    def drops(_: Model, __: dict[str, Any]) -> Iterator[Event]:
        yield text_event("So far")
        yield 0.1
        yield None

    chat = uuid4().hex
    with model(drops):
        chunks = ask(user, "Well?", chat)
    assert kinds(chunks) == ["start", "start-step", "text-start", "text-delta", "text-end", "error"]
    [_, run] = runs(user, chat)
    assert (run.status, run.content[1]["text"]) == ("failed", "So far")


def test_given_nobody_at_the_address_then_it_fails_at_once(user: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    with model(saying("x")) as played:
        pass
    monkeypatch.setenv("AI_PROVIDER", "openai")
    monkeypatch.setenv("AI_BASE_URL", played.url)
    config.cache_clear()
    try:
        assert kinds(ask(user, "Well?"))[-1] == "error"
    finally:
        monkeypatch.undo()
        config.cache_clear()


def test_given_an_address_that_is_none_then_the_answer_ends_and_the_next_question_need_not_wait(
    user: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = uuid4().hex
    with model(saying("x")):
        monkeypatch.setenv("AI_BASE_URL", "http://127.0.0.1:99999/v1")
        config.cache_clear()
        assert kinds(ask(user, "Well?", chat))[-1] == "error"
    assert runs(user, chat)[-1].status == "interrupted"
    monkeypatch.undo()
    config.cache_clear()
    assert kinds(ask(user, "And now?", chat))[-1] == "finish"


def test_given_a_model_that_calls_without_end_then_it_is_cut(user: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producing, "MAX_CHARACTERS", 500)

    def calls(_: Model, __: dict[str, Any]) -> Iterator[Event]:
        for n in range(100_000):
            yield from tool_events("x", "", index=n)

    with model(calls):
        chunks = ask(user, "Go on?")
    assert chunks[-1]["type"] == "finish"
    assert len(chunks) < 2_000


def test_given_an_answer_over_the_limit_then_it_is_cut(user: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producing, "MAX_CHARACTERS", 500)
    with model(endless("x" * 50, pause=0.0)):
        chunks = ask(user, "Go on?")
    assert chunks[-1] == {"type": "finish", "finishReason": "length"}
    assert 500 < len(said(chunks)) < 700
    monkeypatch.undo()
    monkeypatch.setattr(producing, "MAX_SECONDS", 0.5)
    with model(endless()):
        assert ask(user, "Go on?")[-1]["finishReason"] == "length"


def test_given_what_no_database_holds_then_it_is_left_out(user: Api) -> None:
    with model(saying("a\x00b", "\ud83d", "c")):
        assert said(ask(user, "Well?")) == "ab?c"


def test_given_an_answer_under_way_then_a_second_question_waits_its_turn(gateway: str, user: Api) -> None:
    chat = uuid4().hex
    with model(saying("slow ", "answer", pause=0.4)):
        first = start(gateway, user, chat)
        refused = problem(user.post("/ai/chat", question("And?", chat)), 409)
        assert refused["next"] == {"rel": "stop", "href": f"/api/v1/ai/chat/{chat}/stop"}
        assert b"answer" in first.content
        assert said(ask(user, "And?", chat)) == "slow answer"


def test_given_questions_at_the_same_time_then_one_is_answered(user: Api) -> None:
    chat = uuid4().hex
    ask(user, "First?", chat)
    with model(saying("slow ", "answer", pause=0.4)), ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda n: user.post("/ai/chat", question(f"{n}?", chat)), range(4)))
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409]


def test_given_several_who_resume_then_all_are_told_the_same(gateway: str, user: Api) -> None:
    chat = uuid4().hex
    with model(saying(*(f"w{n} " for n in range(20)), pause=0.04)), ThreadPoolExecutor(4) as threads:
        first = start(gateway, user, chat)
        others = [threads.submit(lambda: resume(gateway, user, chat).content) for _ in range(3)]
        whole = first.content
        assert [other.result() for other in others] == [whole] * 3


def test_given_one_who_resumes_again_and_again_then_429_before_they_take_every_function(
    gateway: str, user: Api
) -> None:
    chat, [limit] = uuid4().hex, LIMITS["assistant_resume"]
    assert [resume(gateway, user, chat).status_code for _ in range(limit.hits + 1)] == [204] * (limit.hits + 1)
    with model(endless()):
        answer = start(gateway, user, chat)
        for _n in range(limit.hits):
            with resume(gateway, user, chat) as followed:
                assert followed.status_code == 200
        refused = resume(gateway, user, chat)
        assert refused.status_code == 429
        assert refused.headers["retry-after"]
        assert user.post(f"/ai/chat/{chat}/stop").status == 204
        answer.close()


def test_given_a_producer_that_died_then_the_answer_ends_as_interrupted_for_all_who_follow(user: Api) -> None:
    chat, id = abandoned(user)
    # WHEN several come by at once
    with ThreadPoolExecutor(3) as threads:
        streams = list(threads.map(lambda _: "".join(following.follow(id)), range(3)))
    # THEN all are told the same: what was said, and that it ended
    assert streams[0] == streams[1] == streams[2]
    assert kinds(decoded(streams[0])) == ["start", "start-step", "text-start", "text-delta", "error"]
    [_, run] = runs(user, chat)
    assert (run.status, run.content[1]["text"]) == ("interrupted", "So far")
    assert user.get(f"/ai/chat/{chat}").json()["running"] is False
    # AND one who asks again is answered
    assert chunks_of(user.post("/ai/chat", question("Again?", chat)))[-1]["type"] == "finish"


def abandoned(user: Api) -> tuple[str, Any]:
    """A conversation whose answer nobody produces any more."""
    chat = uuid4().hex
    ask(user, "Well?", chat)
    [_, run] = runs(user, chat)
    execute("DELETE FROM ai_chunks WHERE message_id = %(id)s", id=run.id)
    execute(
        "UPDATE ai_messages SET status = 'running', content = '[]', lease_until = now() - interval '1 second'"
        " WHERE id = %(id)s",
        id=run.id,
    )
    for n, data in enumerate(
        (
            'data: {"type":"start","messageId":"m"}\n\ndata: {"type":"start-step"}\n\n',
            'data: {"type":"text-start","id":"text-1"}\n\n',
            'data: {"type":"text-delta","id":"text-1","delta":"So far"}\n\n',
        )
    ):
        execute("INSERT INTO ai_chunks VALUES (%(id)s, %(n)s, %(data)s)", id=run.id, n=n, data=data)
    return chat, run.id


@pytest.mark.parametrize("how", ["question", "stop"])
def test_given_a_producer_that_died_then_whoever_comes_by_ends_the_answer(user: Api, how: str) -> None:
    chat, _ = abandoned(user)
    if how == "question":
        assert chunks_of(user.post("/ai/chat", question("Again?", chat)))
    else:
        assert user.post(f"/ai/chat/{chat}/stop").status == 204
    assert runs(user, chat)[1].status == "interrupted"


def test_given_a_producer_that_lost_its_answer_then_it_says_no_more(gateway: str, user: Api) -> None:
    """A frozen sandbox that wakes up after its lease has run out."""
    chat = uuid4().hex
    with model(endless()) as played:
        answer = start(gateway, user, chat)
        lines = answer.iter_lines(chunk_size=1)
        while b"text-delta" not in next(lines):
            pass
        [_, run] = runs(user, chat)
        execute("UPDATE ai_messages SET status = 'interrupted', lease_until = NULL WHERE id = %(id)s", id=run.id)
        rest = b"\n".join(lines)
        until(lambda: played.left, seconds=2)
    assert b"interrupted" in rest
    assert rest.strip().endswith(b"data: [DONE]")
    written = len(chunks(run.id))
    time.sleep(3 * producing.BEAT_SECONDS)
    assert len(chunks(run.id)) == written


def test_given_a_deleted_conversation_then_its_answer_ends_at_the_model_too(gateway: str, user: Api) -> None:
    chat = uuid4().hex
    with model(endless()) as played:
        answer = start(gateway, user, chat)
        lines = answer.iter_lines(chunk_size=1)
        while b"text-delta" not in next(lines):
            pass
        assert user.delete(f"/ai/chat/{chat}").status == 204
        until(lambda: played.left, seconds=2)


def test_given_a_database_that_fails_for_a_moment_then_nothing_is_lost(
    user: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.exc import OperationalError

    real, calls = log.append, []

    def failing(*args: Any) -> bool | None:
        calls.append(args)
        if len(calls) == 2:
            raise OperationalError("", None, Exception())
        answer = real(*args)
        if len(calls) in (4, 5):  # it was done, but nobody could tell us
            raise OperationalError("", None, Exception())
        return answer

    monkeypatch.setattr(log, "append", failing)
    chat = uuid4().hex
    with model(saying(*(f"w{n} " for n in range(15)), pause=0.1)):
        chunks_told = ask(user, "Well?", chat)
    assert len(calls) > 4
    [_, run] = runs(user, chat)
    assert run.content[1]["text"] == said(chunks_told) == "".join(f"w{n} " for n in range(15))
    assert decoded("".join(row.data for row in chunks(run.id))) == chunks_told


def test_given_a_short_answer_then_little_is_written(user: Api) -> None:
    chat = uuid4().hex
    with model(saying(*(f"w{n} " for n in range(200)))):
        ask(user, "Well?", chat)
    assert len(chunks(runs(user, chat)[-1].id)) <= 8


def test_given_somebody_elses_answer_then_nobody_follows_or_stops_it(gateway: str, user: Api) -> None:
    chat, other = uuid4().hex, person("admin")
    with model(saying("slow ", "answer", pause=0.3)):
        first = start(gateway, user, chat)
        assert resume(gateway, other, chat).status_code == 204
        problem(other.post(f"/ai/chat/{chat}/stop"), 404)
        assert b"slow answer" not in first.content
    assert runs(user, chat)[-1].status == "done"


def test_given_the_key_and_what_is_said_then_neither_is_in_a_log_event_or_error(user: Api) -> None:
    secrets = ("sk-the-key-nobody-may-see", "xylophone", "marimba")
    with logged() as records:
        for status in (200, 500):
            with model(saying("marimba"), status=status) as played:
                chat = uuid4().hex
                told = ask(user, "xylophone?", chat)
                assert played.headers[0]["authorization"] == f"Bearer {secrets[0]}"
                problem(user.post("/ai/chat", {**question("xylophone?", chat), "trigger": "marimba"}), 400)
                user.post("/ai", {"task": "suggest", "text": "xylophone"})
            events = execute("SELECT data::text || type AS said FROM events WHERE actor_id = %(id)s", id=user.id)
            for secret in secrets:
                assert secret not in str([row.said for row in events])
                assert secret not in str(of(told, "error"))
        with model(lambda _, __: iter([text_event("marimba"), None])):
            ask(user, "xylophone?")
    assert records
    for secret in (*secrets, user.token):
        assert secret not in str(records)
    [failed] = [record for record in records if record.get("error") == "500"][:1]
    assert failed["request_id"]
    assert failed["provider"] == "openai"


def test_given_a_tasks_stream_that_nobody_reads_any_more_then_it_ends_at_the_model_too(gateway: str, user: Api) -> None:
    headers = {"authorization": f"Bearer {user.token}", "accept": "text/event-stream"}
    with model(endless()) as played:
        answer = requests.post(
            f"{gateway}/ai", json={"task": "suggest", "text": "x"}, headers=headers, stream=True, timeout=20
        )
        pieces = answer.iter_content(10)  # who forgets these has left
        next(pieces)
        until(lambda: played.sent)
        answer.close()
        until(lambda: played.left, seconds=5)
    [used] = until(lambda: execute("SELECT output_tokens FROM ai_usage WHERE user_id = %(id)s", id=user.id))
    assert used.output_tokens >= 0


def test_given_a_model_that_thinks_then_no_connection_to_the_database_waits_with_it(gateway: str, user: Api) -> None:
    """On Lambda there are two for the whole function."""
    from quintet.db.engine import engine

    body = {"task": "suggest", "text": "x"}
    with model(saying("a", pause=1.0)), ThreadPoolExecutor(2) as threads:
        idle = engine().pool.checkedout()  # type: ignore[attr-defined]
        asked = threads.submit(lambda: user.post("/ai", body))
        chat = threads.submit(lambda: user.post("/ai/chat", question("Well?")))
        time.sleep(0.6)
        until(lambda: engine().pool.checkedout() <= idle, seconds=0.3)  # type: ignore[attr-defined]
        assert (asked.result().status, chat.result().status) == (200, 200)


def test_given_answers_that_end_while_they_are_stopped_then_nobody_waits_for_the_other_for_ever(user: Api) -> None:
    def ask_in(chat: str) -> list[Any]:
        return chunks_of(user.post("/ai/chat", question("Well?", chat)))

    def stop(chat: str) -> int:
        return user.post(f"/ai/chat/{chat}/stop").status

    with model(saying("a", pause=0.05)), ThreadPoolExecutor(8) as threads:
        for _ in range(4):
            chat = uuid4().hex
            asked = threads.submit(ask_in, chat)
            while user.get(f"/ai/chat/{chat}").status == 404:
                time.sleep(0.01)
            stops = [threads.submit(stop, chat) for _ in range(6)]
            assert [stopped.result() for stopped in stops] == [204] * 6
            assert asked.result()
            assert runs(user, chat)[-1].status in ("done", "stopped")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(alphabet="ab\n é🎉", min_size=1, max_size=30), min_size=1, max_size=6), st.data())
def test_given_a_stream_written_in_any_pieces_then_whoever_follows_gets_all_of_it(
    user: Api, texts: list[str], data: st.DataObject
) -> None:
    whole = "".join(encoded({"type": "text-delta", "id": "t", "delta": text}) for text in texts) + DONE
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    pauses = data.draw(st.lists(st.sampled_from([0.0, 0.01]), min_size=len(pieces), max_size=len(pieces)))
    chat = uuid4().hex
    execute("DELETE FROM rate_counters")
    ask(user, "Well?", chat)
    [_, run] = runs(user, chat)
    execute("DELETE FROM ai_chunks WHERE message_id = %(id)s", id=run.id)
    execute(
        "UPDATE ai_messages SET status = 'running', lease_until = now() + interval '1 minute' WHERE id = %(id)s",
        id=run.id,
    )
    with ThreadPoolExecutor(2) as threads, pytest.MonkeyPatch.context() as patch:
        patch.setattr(following, "LOOK_SECONDS", 0.005)
        followers = [threads.submit(lambda: "".join(following.follow(run.id))) for _ in range(2)]
        for n, (piece, pause) in enumerate(zip(pieces[:-1], pauses, strict=False)):
            assert log.append(run.id, n, piece) is False
            time.sleep(pause)
        assert log.end(run.id, log.Ending("done", [], pieces[-1], 0, 0))
        assert [follower.result() for follower in followers] == [whole, whole]
    assert "".join(following.follow(run.id)) == whole


@pytest.mark.parametrize("there", [True, False])
def test_given_a_key_in_secrets_manager_then_it_is_sent_or_missed_without_a_trace(
    user: Api, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    from functions.ai.keys import _secret
    from quintet.aws import secrets

    name = f"quintet/ai-{uuid4().hex}"
    if there:
        secrets().create_secret(Name=name, SecretString="sk-of-secrets-manager\n")
    _secret.cache_clear()
    with model(saying("Yes.")) as played, logged() as records:
        monkeypatch.setenv("AI_SECRET_ID", name)
        config.cache_clear()
        chat = uuid4().hex
        told = ask(user, "Well?", chat)
        assert user.post("/ai", {"task": "suggest", "text": "x"}).status == (200 if there else 503)
    monkeypatch.undo()
    config.cache_clear()
    assert kinds(told)[-1] == ("finish" if there else "error")
    assert runs(user, chat)[-1].status == ("done" if there else "failed")
    if there:
        assert played.headers[0]["authorization"] == "Bearer sk-of-secrets-manager"
    assert "sk-of" not in str(records)
