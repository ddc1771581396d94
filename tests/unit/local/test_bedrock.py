"""Bedrock's ConverseStream, as the emulator has it: what is sent is taken, what comes back is understood."""

import socket
import threading
import time
from collections.abc import Iterator
from uuid import UUID

import pytest

from functions.ai.providers import (
    Call,
    Event,
    Finish,
    Prompt,
    ProviderError,
    Source,
    Text,
    Tool,
    ToolInput,
    ToolStart,
    Turn,
    Usage,
)
from functions.ai.providers.bedrock import Bedrock, _events
from quintet import aws

MODEL = "amazon.nova-lite-v1:0"
TOOL = Tool("create_task", "Create a task", {"type": "object", "properties": {"title": {"type": "string"}}})


def prompt(*turns: Turn) -> Prompt:
    source = Source("task", UUID(int=1), "A task", "Its text", path="/tasks/1")
    return Prompt(system="Be brief.", turns=turns, sources=[source], tools=[TOOL], boundary="b")


@pytest.mark.usefixtures("resources")
def test_given_a_question_then_the_emulator_answers_it_in_pieces() -> None:
    events = list(Bedrock(MODEL).answer(prompt(Turn("user", "Hello?"))))
    assert len([event for event in events if isinstance(event, Text)]) > 1
    [usage] = [event for event in events if isinstance(event, Usage)]
    assert usage.input_tokens > 0
    assert events[-1] == Finish("stop")


@pytest.mark.usefixtures("resources")
def test_given_a_conversation_with_tools_then_its_form_is_taken() -> None:
    turns = (
        Turn("user", "Create it"),
        Turn("assistant", "Shall I?", (Call("call_1", "create_task", {"title": "x"}, "Created."),)),
        Turn("user", "And now?"),
    )
    assert isinstance(list(Bedrock(MODEL).answer(prompt(*turns)))[-1], Finish)


@pytest.mark.usefixtures("resources")
def test_given_a_refusal_then_it_says_which_and_nothing_of_the_prompt() -> None:
    with pytest.raises(ProviderError) as refused:
        list(Bedrock("").answer(prompt(Turn("user", "xylophone"))))
    assert refused.value.kind == "ParamValidationError"
    assert "xylophone" not in str(refused.value)


def test_given_what_the_api_documents_then_each_event_is_understood() -> None:
    stream = [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "Shall I?"}}},
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {
            "contentBlockStart": {
                "contentBlockIndex": 1,
                "start": {"toolUse": {"toolUseId": "t", "name": "create_task"}},
            }
        },
        {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"title": "x"}'}}}},
        {"contentBlockStop": {"contentBlockIndex": 1}},
        {"messageStop": {"stopReason": "tool_use"}},
        {"metadata": {"usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}, "metrics": {"latencyMs": 1}}},
    ]
    found: list[Event] = [
        Text("Shall I?"),
        ToolStart("1", "create_task"),
        ToolInput("1", '{"title": "x"}'),
        Usage(3, 4),
        Finish("tool-calls"),
    ]
    assert list(_events(stream)) == found
    with pytest.raises(ProviderError):
        list(_events(stream[:4]))


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """A server that begins to answer and then says nothing; when its clients went."""
    left: list[float] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        client, _ = server.accept()
        head = client.recv(65536)
        while b"inferenceConfig" not in head:
            head += client.recv(65536)
        client.sendall(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        client.settimeout(10)
        while client.recv(4096):
            pass
        left.append(time.monotonic())

    threading.Thread(target=serve, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    aws.forget_clients()
    yield left
    monkeypatch.undo()
    aws.forget_clients()
    server.close()


def test_given_an_answer_under_way_when_closed_then_its_connection_ends_at_once(silent: list[float]) -> None:
    answer = Bedrock(MODEL).answer(prompt(Turn("user", "Hello?")))
    ended: list[object] = []

    def read() -> None:
        try:
            ended.append(list(answer))
        except ProviderError as error:
            ended.append(error)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    time.sleep(1.0)
    assert not ended
    closed_at = time.monotonic()
    answer.close()
    reader.join(2)
    assert isinstance(ended[0], ProviderError)
    deadline = time.monotonic() + 2
    while not silent and time.monotonic() < deadline:
        time.sleep(0.02)
    assert silent
    assert silent[0] - closed_at < 1
