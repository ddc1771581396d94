"""The parser of telephone numbers never disagrees with the library whose work it saves."""

import re
from collections.abc import Iterator

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneMetadata, PhoneNumber, PhoneNumberFormat, PhoneNumberType

from quintet.imports.phones import phone_parser

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
GROUPING = " .-/()[]\N{NO-BREAK SPACE}\N{NON-BREAKING HYPHEN}\N{EN DASH}"
ODD = "+x#~*,;:'\"=a\t\n\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH DIGIT ONE}\N{ARABIC-INDIC DIGIT ONE}\N{ZERO WIDTH SPACE}"


def examples() -> Iterator[tuple[str, PhoneNumber]]:
    """A valid number of every region and type, and of every code that is no country's; and where it is dialled."""
    for region in REGIONS:
        for kind in PhoneNumberType.values():
            if number := phonenumbers.example_number_for_type(region, kind):
                yield region, number
    for code in CODES:
        if number := phonenumbers.example_number_for_non_geo_entity(code):
            yield "US", number


EXAMPLES = [(region, number) for region, number in examples() if phonenumbers.is_valid_number(number)]


def answer(text: str, country: str | None) -> str | None:
    """The library's: E.164, or None for what is no valid number."""
    try:
        number = phonenumbers.parse(text.removeprefix("'"), country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def parsed(text: str, country: str | None) -> str | None:
    """Ours, in the same terms."""
    try:
        return phone_parser(country)(text)
    except ValueError:
        return None


countries = st.none() | st.sampled_from(REGIONS) | st.sampled_from(["AQ", "ZZ", "gb"])
digits = st.text("0123456789", max_size=16)


@st.composite
def cells(draw: st.DrawFn) -> tuple[str, str | None]:
    """An example as people write it or misspell it, and a default country: mostly the one it is dialled in."""
    region, number = draw(st.sampled_from(EXAMPLES))
    country = draw(st.just(region) | countries)
    home = PhoneMetadata.metadata_for_region(region)
    assert home
    national = phonenumbers.national_significant_number(number)
    kept = draw(st.integers(0, len(national)))
    match draw(st.sampled_from(["as it is", "other digits at the end", "one changed", "one more", "one less"])):
        case "other digits at the end":
            some = st.text("0123456789", min_size=len(national) - kept, max_size=len(national) - kept)
            national = national[:kept] + draw(some)
        case "one changed":
            national = national[:kept] + draw(st.sampled_from("0123456789")) + national[kept + 1 :]
        case "one more":
            national = national[:kept] + draw(st.sampled_from("0123456789")) + national[kept:]
        case "one less":
            national = national[:kept] + national[kept + 1 :]
    codes = ["+{}", "+{}", "", "", "{}", "00{}", "011{}", f"{home.preferred_international_prefix or '00'}{{}}", "++{}"]
    prefixes = ["", "", "", home.national_prefix or "", "0", "1", "8", "06", "(0)", "180020", "015"]
    before = draw(st.sampled_from(codes)).format(number.country_code) + draw(st.sampled_from(prefixes))
    separators = st.sampled_from([""] * 80 + list(GROUPING))
    text = "".join(draw(separators) + digit for digit in before + national)
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(ODD)) + text[at:]
    return draw(st.sampled_from(["", "", "", "'", " ", "("])) + text, country


@given(cells())
@settings(max_examples=1500, deadline=None)
def test_given_a_number_as_people_write_it_then_the_answer_is_the_librarys(cell: tuple[str, str | None]) -> None:
    assert parsed(*cell) == answer(*cell)


@given(st.sampled_from(["", "+", "00", "011", "'+"]), st.sampled_from(["", *map(str, CODES)]), digits, countries)
@example("", "", "", None)
@example("", "44", "7400123456", "GB")
@example("", "39", "1234567", "IT")  # begins as an Italian calling code does, and is an Italian mobile number
@example("+", "7", "8005553535", "RU")  # begins as a Russian national prefix does
@example("+", "39", "0612345678", None)  # keeps its zero
@example("", "", "91123456789", "AR")
@settings(max_examples=1500, deadline=None)
def test_given_any_digits_then_the_answer_is_the_librarys(
    before: str, code: str, digits: str, country: str | None
) -> None:
    assert parsed(before + code + digits, country) == answer(before + code + digits, country)


@given(st.text("0123456789+" + GROUPING + ODD, max_size=20) | st.text(max_size=20), countries)
@settings(max_examples=500, deadline=None)
def test_given_any_text_then_the_answer_is_the_librarys(text: str, country: str | None) -> None:
    assert parsed(text, country) == answer(text, country)


@pytest.mark.parametrize("form", ["E.164", "international", "national", "digits", "without the plus", "dialled abroad"])
def test_given_valid_numbers_in_a_usual_form_then_the_library_is_hardly_asked(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN an example of every region and type, written in this form, that the library takes for that number
    cells = []
    for region, number in EXAMPLES:
        e164, abroad, national = (
            phonenumbers.format_number(number, form)
            for form in (PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.NATIONAL)
        )
        text = {
            "E.164": e164,
            "international": abroad,
            "national": national,
            "digits": phonenumbers.national_significant_number(number),
            "without the plus": e164[1:],
            "dialled abroad": "00" + e164[1:],
        }[form]
        if answer(text, region) == e164:
            cells.append((text, region, e164))
    assert len(cells) > 900
    # WHEN they are parsed, and the calls of the library are counted
    asked = []
    parse = phonenumbers.parse

    def counted(text: str, country: str | None) -> PhoneNumber:
        asked.append(text)
        return parse(text, country)

    monkeypatch.setattr(phonenumbers, "parse", counted)
    numbers = [phone_parser(region)(text) for text, region, _ in cells]
    # THEN each is that number, and the library had little to do
    assert numbers == [e164 for _, _, e164 in cells]
    assert len(asked) <= 0.01 * len(cells)


@pytest.mark.parametrize("region", REGIONS)
def test_given_any_country_then_its_own_numbers_need_no_country_code(region: str) -> None:
    number = phonenumbers.example_number(region)
    assert number
    national = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    assert phone_parser(region)(national) == phone_parser(None)(e164) == e164


@pytest.mark.parametrize(
    ("text", "country", "number"),
    [
        ("(415) 555-2671", "US", "+14155552671"),
        ("(415) 555-2671 ext. 12", "US", "+14155552671"),
        ("1-800-FLOWERS", "US", "+18003569377"),
        ("011 44 20 7946 0958", "US", "+442079460958"),
        ("'+442079460958", "US", "+442079460958"),
        ("+44 (0)20 7946 0958", None, "+442079460958"),
        ("\N{FULLWIDTH PLUS SIGN}44 20 7946 0958", None, "+442079460958"),
        ("06 1234 5678", "IT", "+390612345678"),
        ("011 15-2345-6789", "AR", "+5491123456789"),
        ("tel:+1-415-555-2671", None, "+14155552671"),
    ],
)
def test_given_a_wild_form_then_it_is_understood(text: str, country: str | None, number: str) -> None:
    assert phone_parser(country)(text) == number


@pytest.mark.parametrize(
    ("text", "country", "reason"),
    [
        ("", "US", "not a telephone number"),
        ("n/a", "US", "not a telephone number"),
        ("ask Jane", None, "not a telephone number"),
        ("415 555 2671", None, "has no country code, and the campaign has no default country"),
        ("415 555 2671", "AQ", "has no country code, and none is known for AQ"),
        ("+999 415 555 2671", "US", "has a country code that does not exist"),
        ("555-2671", "US", "has no area code (country code +1)"),
        ("+1 415 555", None, "too short (country code +1)"),
        ("415 555 2671 1234", "US", "too long (country code +1)"),
        ("415 155 2671", "US", "not a valid number (country code +1)"),
        ("1" * 30, "US", "too long for a telephone number"),
        (" " * 300 + "415 555 2671", "US", "too long for a telephone number"),
        ("0044", "GB", "too short for a telephone number"),
        ("\ud800", "GB", "not a telephone number"),
        ("'" * 10_000, "GB", "too long for a telephone number"),
    ],
)
def test_given_no_number_then_a_reason_people_understand(text: str, country: str | None, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        phone_parser(country)(text)
