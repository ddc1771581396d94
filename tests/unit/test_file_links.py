"""The name of a download, whatever the file is called (RFC 6266, RFC 8187)."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from functions.files.fields import Name
from functions.files.uploads.schemas import MediaType, Sha256
from quintet.files.links import content_disposition


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a b.txt", "attachment; filename=\"a b.txt\"; filename*=UTF-8''a%20b.txt"),
        ('"q".txt', "attachment; filename=\"_q_.txt\"; filename*=UTF-8''%22q%22.txt"),
        ("50%.txt", "attachment; filename=\"50_.txt\"; filename*=UTF-8''50%25.txt"),
        ("年 + 1.txt", "attachment; filename=\"_ + 1.txt\"; filename*=UTF-8''%E5%B9%B4%20+%201.txt"),
    ],
)
def test_given_a_name_then_old_and_new_clients_understand_it(name: str, header: str) -> None:
    assert content_disposition(name) == header


@given(st.text(min_size=1, max_size=100))
def test_given_any_name_we_store_then_the_header_is_ascii_and_the_name_comes_back(name: str) -> None:
    try:
        name = TypeAdapter(Name).validate_python(name)
    except ValidationError:
        return
    header = content_disposition(name)
    assert header.isascii()
    assert header.isprintable()
    plain, _, extended = header.partition("; filename*=UTF-8''")
    assert unquote(extended) == name
    assert plain.count('"') == 2
    assert not set(extended) & set("\"'()*,/:;<=>?@[\\]{} ")


@pytest.mark.parametrize("given", ["image/png", "text/csv; charset=utf-8", 'a/b;c="d e"', "application/vnd.x+json"])
def test_given_a_media_type_then_it_is_taken(given: str) -> None:
    assert TypeAdapter(MediaType).validate_python(given) == given


@pytest.mark.parametrize("given", ["png", "a/b c", "a/b;", "a/b; c", "a/é", "a/b\nc", "/", "a//b"])
def test_given_what_is_no_media_type_then_it_is_refused(given: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(MediaType).validate_python(given)


def test_given_a_checksum_in_hex_then_it_is_kept_in_base64() -> None:
    assert TypeAdapter(Sha256).validate_python("00" * 32) == "A" * 43 + "="
