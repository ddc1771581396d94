"""The AsyncAPI document says what the code does."""

import json
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from functions.realtime.frames import CLIENT_FRAME
from functions.realtime.queries import MOST
from infra import asyncapi
from quintet.realtime.sockets import MAX_FRAME


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """What the code says now."""
    return asyncapi.build()


def test_given_the_document_then_it_is_up_to_date() -> None:
    assert asyncapi.DOCUMENT.read_text() == asyncapi.rendered(), "docs/asyncapi.json has drifted: run `make openapi`"


def test_given_the_document_then_everything_it_refers_to_is_there(document: dict[str, Any]) -> None:
    def walk(part: Any) -> None:
        match part:
            case {"$ref": str(reference)}:
                found: Any = document
                for step in reference.removeprefix("#/").split("/"):
                    found = found[step]
            case dict():
                for member in part.values():
                    walk(member)
            case list():
                for member in part:
                    walk(member)

    walk(document)
    assert document["asyncapi"] == "3.0.0"
    messages = document["components"]["messages"]
    assert {"Typing", "Presence", "Replay", "Ping", "Events", "Replayed", "Error"} <= messages.keys()
    assert all(message["summary"].endswith(".") for message in messages.values())


def test_given_the_document_then_it_says_the_client_rule_and_the_limits(document: dict[str, Any]) -> None:
    text = " ".join(document["info"]["description"].split())
    assert "Drop events whose `id` you have seen; order events by `position`; only `replayed` moves the cursor." in text
    assert f"{MAX_FRAME // 1024} KB" in text
    assert "Send `ping` every five minutes." in text
    assert f"One person has {MOST} connections" in text
    answers = ("Replayed", "People", "Pong", "Error")
    assert all("id" in document["components"]["schemas"][name]["properties"] for name in answers)
    gateways = document["components"]["schemas"]["GatewayError"]["properties"]
    assert gateways.keys() == {"message", "connectionId", "requestId"}
    assert {"account.registered", "contact.updated"}.isdisjoint(
        document["components"]["schemas"]["EventInFrame"]["properties"]["type"]["examples"]
    )


@pytest.mark.parametrize(
    ("frame", "valid"),
    [
        ({"action": "ping"}, True),
        ({"action": "replay", "after": "start"}, True),
        ({"action": "presence"}, True),
        ({"action": "presence", "status": "away"}, True),
        ({"action": "typing", "conversation_id": "01900000-0000-7000-8000-000000000000"}, True),
        ({"action": "typing"}, False),
        ({"action": "presence", "status": "dead"}, False),
        ({"action": "ping", "more": 1}, False),
        ({"action": "ping", "id": "a-1_B"}, True),
        ({"action": "ping", "id": "a b"}, False),
        ({"action": "ping", "id": "x" * 65}, False),
        ({"action": "shout"}, False),
    ],
)
def test_given_a_frame_then_the_document_allows_it_when_the_code_does(
    document: dict[str, Any], frame: dict[str, Any], valid: bool
) -> None:
    references = [m["$ref"].rpartition("/")[2] for m in document["operations"]["receive"]["messages"]]
    choices = [document["components"]["messages"][name]["payload"] for name in references]
    schema = {"components": document["components"], "anyOf": choices}
    assert OAS31Validator(schema).is_valid(frame) == valid
    try:
        CLIENT_FRAME.validate_json(json.dumps(frame))
        taken = True
    except ValueError:
        taken = False
    assert taken == valid
