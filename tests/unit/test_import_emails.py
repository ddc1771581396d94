"""The parser of addresses never disagrees with the type the API takes, nor with the library behind both."""

import re

import email_validator
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from quintet.http.schemas import Email
from quintet.imports.emails import parse_email

EMAIL = TypeAdapter[str](Email)
ATOM = "abcXYZ019_+-%'!#$&*/=?^`{|}~"
ODD = '"\\ @<>()[],:;\t\n\x00\x7f\N{KELVIN SIGN}\N{ARABIC-INDIC DIGIT ONE}\N{FULLWIDTH FULL STOP}é'
LABELS = [
    *email_validator.SPECIAL_USE_DOMAIN_NAMES,
    *("com", "co", "uk", "COM", "Local", "tests", "xtest", "123", "c0m", "com1", "1com", "museum"),
    *("xn--bcher-kva", "xn--", "ab--cd", "a--b", "a-b", "-a", "a-", "", "b" * 63, "b" * 64, "b\N{KELVIN SIGN}", "é"),
]


def answer(text: str) -> str | None:
    """The API's, in lower case, or None for what it refuses."""
    try:
        return EMAIL.validate_python(text.strip()).lower()
    except ValidationError:
        return None


def parsed(text: str) -> str | None:
    """Ours, in the same terms."""
    try:
        return parse_email(text)
    except ValueError:
        return None


locals_ = (
    st.lists(st.text(ATOM, min_size=1, max_size=8), min_size=1, max_size=3).map(".".join)
    | st.sampled_from(["Info", "POSTMASTER", "o'brien", "a" * 64, "a" * 65, "a" * 240, '"a b"', "a..b", ".a", "a.", ""])
    | st.text(ATOM + "." + ODD, max_size=6)
)
labels = st.text("abXYZ019-", min_size=1, max_size=8) | st.sampled_from(LABELS)
domains = st.lists(labels, min_size=1, max_size=5).map(".".join)
addresses = st.builds("{}@{}".format, locals_, domains)


@st.composite
def misspelt(draw: st.DrawFn) -> str:
    """An address with a character too many, too few, or another."""
    text = draw(addresses)
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(st.text(ATOM + "@." + ODD, max_size=2)) + text[at + draw(st.integers(0, 1)) :]


@given(addresses | misspelt() | st.text(max_size=20))
@example("someone@example.com")
@example("a@" + "b" * 63 + ".com")
@example("a@" + ".".join(["b" * 49] * 5) + ".co")  # 254 characters
@example("a@" + ".".join(["b" * 49] * 5) + ".com")
@example("\N{KELVIN SIGN}elvin@example.com")  # whose lower case is ASCII
@example("kelvin@\N{KELVIN SIGN}.com")
@example("a@b.com\n")
@example("a@b.LOCAL")
@example("a@b.localhos")
@settings(max_examples=3000, deadline=None)
def test_given_any_address_then_the_answer_is_the_apis(text: str) -> None:
    assert parsed(text) == answer(text)


@given(st.lists(st.text("abcXYZ019_+-", min_size=1, max_size=10), min_size=1, max_size=3).map(".".join))
@settings(max_examples=200, deadline=None)
def test_given_usual_addresses_then_the_library_is_not_asked(local: str) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.delattr(email_validator, "validate_email")
        for domain in ("example.com", "Mail.Example.CO.UK", "9-lives.example.museum"):
            assert parse_email(f"{local}@{domain}") == f"{local}@{domain}".lower()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (" Jane.Doe+News@Example.COM\t", "jane.doe+news@example.com"),
        ("user@Bücher.example.com", "user@xn--bcher-kva.example.com"),
        ("user@xn--bcher-kva.example.com", "user@xn--bcher-kva.example.com"),
        ("INFO@example.com", "info@example.com"),
    ],
)
def test_given_two_spellings_of_an_address_then_they_become_one(text: str, address: str) -> None:
    assert parse_email(text) == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not an email address: An email address must have an @-sign."),
        ("jane", "not an email address: An email address must have an @-sign."),
        ("jane@example", "not an email address: The part after the @-sign is not valid. It should have a period."),
        ("jane@example.com, joe@example.com", "not an email address: The part after the @-sign contains"),
        ("jané@example.com", "not an email address: Internationalized characters before the @-sign are not supported"),
        ("jane@office.local", "not an email address: The part after the @-sign is a special-use or reserved name"),
        ("x" * 10_000_000, "longer than 254 characters"),
    ],
)
def test_given_no_address_then_a_reason_people_understand(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}"):
        parse_email(text)
