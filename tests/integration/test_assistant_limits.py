"""How much one may ask for."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from quintet.config import settings
from quintet.identity.rate_limits import LIMITS
from tests.support.api import Api
from tests.support.assisting import ask, chunks_of, question, runs, until
from tests.support.expect import problem
from tests.support.language_model import endless, finish_events, model, saying, text_event
from tests.support.people import person
from tests.support.statements import execute

pytestmark = pytest.mark.usefixtures("stack")


def used(client: Api) -> tuple[int, int]:
    rows = execute("SELECT input_tokens, output_tokens FROM ai_usage WHERE user_id = %(id)s", id=client.id)
    return (rows[0].input_tokens, rows[0].output_tokens) if rows else (0, 0)


def test_given_answers_then_their_tokens_are_added_up_whatever_they_were_for(user: Api) -> None:
    with model(lambda _, __: iter([text_event("x"), *finish_events(asked=100, answered=20)])):
        ask(user, "One?")
        ask(user, "Two?")
        assert used(user) == (200, 40)
        user.post("/ai", {"task": "suggest", "text": "x"})
        answer = user.post("/ai", {"task": "suggest", "text": "x"}, headers={"accept": "text/event-stream"})
        chunks_of(answer)
        assert used(user) == (400, 80)


def test_given_a_model_that_does_not_say_then_tokens_are_estimated(user: Api) -> None:
    def silent(_: object, __: object) -> object:
        return iter([text_event("x" * 400), {"choices": [{"delta": {}, "finish_reason": "stop"}]}])

    with model(silent):  # type: ignore[arg-type]
        ask(user, "One?")
    asked, answered = used(user)
    assert answered == 100
    assert asked > 100


def test_given_the_days_tokens_are_used_up_then_429_says_until_when(user: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_TOKENS_PER_DAY", "100")
    with model(saying("x")) as played:
        settings.cache_clear()
        first = user.post("/ai/chat", question("One?"))
        assert first.header("ratelimit-policy") == '"assistant_tokens";q=100;w=86400'
        assert re.fullmatch(r'"assistant_tokens";r=100;t=\d+', first.header("ratelimit") or "")
        execute("UPDATE ai_usage SET input_tokens = 100 WHERE user_id = %(id)s", id=user.id)
        for refused in (user.post("/ai/chat", question("Two?")), user.post("/ai", {"task": "suggest", "text": "x"})):
            problem(refused, 429)
            assert 0 < int(refused.header("retry-after") or 0) <= 86_401
            assert '"assistant_tokens";r=0' in (refused.header("ratelimit") or "")
        assert len(played.requests) == 1
        # AND others have theirs, and so has the next day
        assert person().post("/ai/chat", question("Two?")).status == 200
        execute("UPDATE ai_usage SET day = day - 1 WHERE user_id = %(id)s", id=user.id)
        assert user.post("/ai/chat", question("Three?")).status == 200
        # AND reading, resuming and stopping cost nothing
        assert user.get("/ai/chat").header("ratelimit") is None
    monkeypatch.undo()
    settings.cache_clear()


def test_given_many_questions_at_once_then_they_use_no_more_than_one_after_the_other_would(
    user: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN tokens for one answer and a bit, since each may have 2,000
    monkeypatch.setenv("AI_TOKENS_PER_DAY", "2500")
    with model(saying("x", pause=1.0)) as played, ThreadPoolExecutor(6) as threads:
        settings.cache_clear()
        bodies = [("/ai/chat", question(f"{n}?")) for n in range(3)] + [("/ai", {"task": "suggest", "text": "x"})] * 3
        answers = list(threads.map(lambda body: user.post(*body), bodies))
        assert sorted(answer.status for answer in answers) == [200, 200, 429, 429, 429, 429]
        assert len(played.requests) == 2
        for refused in answers:
            if refused.status == 429:
                assert '"assistant_tokens";r=0' in (refused.header("ratelimit") or "")
        # AND when they have ended, what they have really used counts
        assert sum(used(user)) == 2 * 18
        assert user.post("/ai/chat", question("Another?")).status == 200
    monkeypatch.undo()
    settings.cache_clear()


def test_given_an_answer_whose_conversation_is_deleted_under_way_then_it_is_not_free(user: Api) -> None:
    with model(saying("x", pause=1.0)), ThreadPoolExecutor(1) as threads:
        asked = threads.submit(lambda: user.post("/ai/chat", question("Well?", "brief")))
        until(lambda: user.get("/ai/chat/brief").status == 200)
        assert user.delete("/ai/chat/brief").status == 204
        asked.result()
    assert sum(used(user)) > 2_000


def test_given_a_producer_that_died_then_what_was_expected_of_it_counts(user: Api) -> None:
    with model(endless()), ThreadPoolExecutor(1) as threads:
        asked = threads.submit(lambda: user.post("/ai/chat", question("Well?", "brief")))
        [run] = until(lambda: [run for run in runs(user, "brief") if run.status == "running"])
        execute("UPDATE ai_messages SET lease_until = now() - interval '1 s' WHERE id = %(id)s", id=run.id)
        assert user.post("/ai/chat/brief/stop").status == 204
        asked.result()
    [_, ended] = runs(user, "brief")
    assert ended.status in ("interrupted", "stopped")
    assert ended.input_tokens == run.input_tokens > 100
    assert used(user) == (ended.input_tokens, ended.output_tokens)


def test_given_too_many_questions_in_a_minute_then_429(user: Api) -> None:
    [account, _] = LIMITS["assistant"]
    for _n in range(account.hits):
        assert user.post("/ai", {"task": "format", "text": "x"}).status == 200
    refused = user.post("/ai/chat", question("Once more?"))
    problem(refused, 429)
    assert int(refused.header("retry-after") or 0) <= account.seconds
    assert user.get("/ai/chat").json()["items"] == []
