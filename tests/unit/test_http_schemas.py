"""Names, bounds, cursors and addresses, without a database."""

import contextlib
import json
from datetime import UTC
from typing import Any, ClassVar
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from quintet.errors import BadRequest
from quintet.http.envelope import normalise
from quintet.http.schemas import Input, JsonObject, Timestamp, Update
from quintet.pagination import decode_cursor, encode_cursor


class Thing(Input):
    """Has aliases."""

    aliases: ClassVar = {"title": ("name", "project_name")}

    title: str
    size: int = 1


class ThingUpdate(Update):
    """Changes it."""

    aliases: ClassVar = {"title": ("name",)}

    title: str = ""
    size: int | None = None


@given(st.dictionaries(st.sampled_from(["title", "name", "project_name"]), st.sampled_from(["a", "b"]), min_size=1))
def test_given_any_spellings_then_one_value_is_taken_and_two_are_refused(sent: dict[str, str]) -> None:
    if len(set(sent.values())) > 1:
        with pytest.raises(ValidationError, match="the same field"):
            Thing.model_validate(sent)
    else:
        assert Thing.model_validate(sent).title in sent.values()


def test_given_aliases_then_the_schema_has_every_spelling_and_asks_for_one_of_them() -> None:
    schema = Thing.model_json_schema()
    assert {"title", "name", "project_name"} <= schema["properties"].keys()
    assert "required" not in schema
    assert schema["allOf"] == [{"anyOf": [{"required": [n]} for n in ("title", "name", "project_name")]}]
    assert schema["additionalProperties"] is False


def test_given_an_update_then_what_was_left_out_stays_and_null_is_a_value() -> None:
    assert ThingUpdate.model_validate({"name": "x"}).changes() == {"title": "x"}
    assert ThingUpdate.model_validate({"size": None}).changes() == {"size": None}
    with pytest.raises(ValidationError, match="at least one field"):
        ThingUpdate.model_validate({})
    assert all("default" not in member for member in ThingUpdate.model_json_schema()["properties"].values())


@given(st.uuids())
def test_given_any_id_then_its_cursor_leads_back_to_it(id: UUID) -> None:
    cursor = encode_cursor(id)
    assert decode_cursor(cursor) == id
    assert len(cursor) == 22
    assert cursor.isascii()


@given(st.text(max_size=40))
def test_given_any_text_as_a_cursor_then_it_is_an_id_or_400(text: str) -> None:
    with contextlib.suppress(BadRequest):
        assert isinstance(decode_cursor(text), UUID)


@pytest.mark.parametrize("cursor", ["", "x", "a" * 21, "a" * 23, "é" * 22, " " * 22, "a" * 20 + "=="])
def test_given_a_malformed_cursor_then_400_names_it(cursor: str) -> None:
    with pytest.raises(BadRequest) as refused:
        decode_cursor(cursor)
    assert refused.value.errors[0].pointer == "query/cursor"


@given(st.lists(st.sampled_from(["api", "v1", "x", "projects", ""]), max_size=5), st.booleans())
def test_given_any_path_then_one_prefix_at_most_is_taken_off(parts: list[str], slash: bool) -> None:
    path = "/" + "/".join(parts) + ("/" if slash else "")
    short = normalise(path)
    assert short.startswith("/")
    assert short == "/" or not short.endswith("/")
    rest = short.strip("/")
    assert path.strip("/").endswith(rest)
    taken = path.strip("/").removesuffix(rest).strip("/")
    assert taken in ("", "api", "api/v1")
    for prefix in ("", "/api", "/api/v1"):
        assert normalise(f"{prefix}/projects/{rest}") == f"/projects/{rest}".rstrip("/")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"a": "x" * 17_000}, "16 KB"),
        ({"a": "é" * 9_000}, "16 KB"),
        ({"a": "\x00"}, "NUL"),
        ({"\x00": 1}, "NUL"),
        ({"a": [{"b": ["\x00"]}]}, "NUL"),
        ({"a": "\ud800"}, "surrogate"),
        ({"\ud800": 1}, "surrogate"),
        ({"a": float("nan")}, "NaN"),
        ({"a": [float("-inf")]}, "NaN"),
        ({"a": 2**63 + 1}, "64 bits"),
        ({"a": -(2**64)}, "64 bits"),
    ],
)
def test_given_json_that_cannot_be_stored_then_it_is_refused_for_that_reason(value: object, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        TypeAdapter(JsonObject).validate_python(value)


def test_given_nesting_then_sixteen_levels_are_taken_and_one_more_is_not() -> None:
    def nested(levels: int) -> dict[str, Any]:
        value: Any = 1
        for _ in range(levels):
            value = {"a": value}
        return dict(value)

    TypeAdapter(JsonObject).validate_python(nested(16))
    for levels in (17, 900):
        with pytest.raises(ValidationError, match="nested too deeply"):
            TypeAdapter(JsonObject).validate_python(nested(levels))


@given(st.datetimes(timezones=st.timezones()))
def test_given_any_time_then_it_is_written_in_utc_with_microseconds(at: Any) -> None:
    try:
        written = json.loads(TypeAdapter(Timestamp).dump_json(at))
    except OverflowError:  # in UTC it would be before the year 1 or after 9999
        return
    assert len(written) >= 24
    assert written.endswith("Z")
    assert written[-8] == "."
    assert TypeAdapter(Timestamp).validate_python(written) == at.astimezone(UTC)
