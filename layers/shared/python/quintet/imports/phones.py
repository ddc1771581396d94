"""Telephone numbers as files have them, in E.164 (ITU-T), a million at a time.

The library `phonenumbers` decides what a number is; it takes 15 to 30 µs for one. Nearly every cell is decided by
one regular expression instead, in under 1 µs, made of the library's own metadata: it matches only where the library's
answer is known, and everything else is handed to the library. The two never disagree
(tests/unit/test_import_phones.py).

Throughout, a *calling code* is 1 or 44, a *national number* is what follows it in E.164, and a *national prefix* is
what is dialled before a national number at home (the 0 of 020 7946 0958), which is no part of it.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phonenumbers import PhoneMetadata, PhoneNumberDesc

_KEPT = "+0123456789"
_GROUPING = str.maketrans(_KEPT, _KEPT, " \N{NO-BREAK SPACE}.-/()[]\N{NON-BREAKING HYPHEN}\N{EN DASH}")
"""Removes what people group digits by; the library takes every one of these for punctuation, wherever it stands.

It names what stays too: `str.translate` is four times as fast with what it finds than with what it does not.
"""

_MAX_LENGTH = 250
"""The library reads no text longer than this, and neither do we."""

_Form = tuple[str, Callable[[str], re.Match[str] | None]]
"""What precedes the national number in E.164, and what finds it, as the group `number`, in a cell without grouping."""

_NO_FORM: _Form = "", re.compile("(?!)").fullmatch


def phone_parser(default_country: str | None) -> Callable[[str], str]:
    """What reads a cell: text to E.164 (`+14155550123`), or ValueError with a reason a person understands.

    A number without a country code is one of `default_country` (ISO 3166-1 alpha-2). An extension is dropped, since
    E.164 has no place for one. An apostrophe before the number, which keeps a spreadsheet from calculating with it,
    is passed over.
    """
    from phonenumbers import SUPPORTED_REGIONS

    national, abroad = _NO_FORM, "(?!)"
    if default_country in SUPPORTED_REGIONS:
        national = _national_form(default_country)
        abroad = _home(default_country).international_prefix or abroad
    dialled_abroad = re.compile(abroad, re.ASCII).match
    international = _international_forms

    def parse(text: str) -> str:
        digits = text.translate(_GROUPING)
        before, find = international[digits[:4]] if digits[:1] == "+" else national
        found = find(digits)
        if found is None and (dialled := dialled_abroad(digits)):  # 0044 is +44, and 01144 from the US
            digits = "+" + digits[dialled.end() :]
            before, find = international[digits[:4]]
            found = find(digits)
        if found is not None and len(text) <= _MAX_LENGTH:
            return before + found["number"]
        if text[:1] == "'" != text[1:2]:
            return parse(text[1:])
        return _ask(text, default_country)

    return parse


def _ask(text: str, default_country: str | None) -> str:
    """The library's answer, and its reason in words for people."""
    import phonenumbers
    from phonenumbers import NumberParseException, ValidationResult

    try:
        number = phonenumbers.parse(text, default_country)
    except NumberParseException as error:
        if error.error_type == NumberParseException.INVALID_COUNTRY_CODE:
            if "+" in text:
                reason = "has a country code that does not exist"
            elif default_country:
                reason = f"has no country code, and none is known for {default_country}"
            else:
                reason = "has no country code, and the campaign has no default country"
        elif error.error_type == NumberParseException.NOT_A_NUMBER:
            reason = "not a telephone number"
        elif error.error_type == NumberParseException.TOO_LONG:
            reason = "too long for a telephone number"
        else:
            reason = "too short for a telephone number"
        raise ValueError(reason) from None
    if phonenumbers.is_valid_number(number):
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    match phonenumbers.is_possible_number_with_reason(number):
        case ValidationResult.TOO_SHORT:
            reason = "too short"
        case ValidationResult.TOO_LONG:
            reason = "too long"
        case ValidationResult.IS_POSSIBLE_LOCAL_ONLY:
            reason = "has no area code"
        case ValidationResult.INVALID_LENGTH:
            reason = "too short or too long"
        case _:
            reason = "not a valid number"
    raise ValueError(f"{reason} (country code +{number.country_code})")


class _InternationalForms(dict[str, _Form]):
    """By a plus and three digits, which hold every calling code: the form of its numbers. At most a thousand."""

    def __missing__(self, start: str) -> _Form:
        from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

        if not re.fullmatch(r"\+[1-9][0-9]{2}", start):
            return _NO_FORM
        codes = (int(start[1:end]) for end in (2, 3, 4))
        code = next((code for code in codes if code in COUNTRY_CODE_TO_REGION_CODE), None)
        form = self[start] = _NO_FORM if code is None else _international_form(code)
        return form


_international_forms = _InternationalForms()


@cache
def _international_form(code: int) -> _Form:
    """+44 7911 123456, and +44 (0)7911 123456."""
    return _form(code, rf"\+{code}{_prefix(_main(code))}")


@cache
def _national_form(region: str) -> _Form:
    """07911 123456, 7911 123456, and 447911 123456, whose plus was lost in a spreadsheet; dialled in `region`."""
    home = _home(region)
    code, general = home.country_code, home.general_desc
    assert code
    assert general
    whole = _whole(general)
    # The library takes the calling code off a number that has one and is no number of the region as it stands, or
    # is longer than any.
    without = rf"(?:(?!{code})|{whole}(?=.{{1,{general.possible_length[-1]}}}\Z)){_prefix(home)}"
    # Both the region's national prefix and that of the calling code's main region would be stripped then.
    having = rf"(?!{whole}){code}{whole}{_no_prefix(home)}{_no_prefix(_main(code))}"
    abroad = f"(?!{home.international_prefix})" if home.international_prefix else ""
    return _form(code, f"{abroad}(?:{without}|{having})")


def _form(code: int, before: str) -> _Form:
    return f"+{code}", re.compile(f"{before}(?P<number>{_valid(code)})", re.ASCII).fullmatch


def _main(code: int) -> "PhoneMetadata":
    """The rules by which the library reads an international number."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    return _rules(code, COUNTRY_CODE_TO_REGION_CODE[code][0])


def _home(region: str) -> "PhoneMetadata":
    """The rules by which the library reads a number without a country code."""
    from phonenumbers import country_code_for_region

    return _rules(country_code_for_region(region), region)


def _rules(code: int, region: str) -> "PhoneMetadata":
    """The library's for a region, or for a calling code that is no region's ("001")."""
    from phonenumbers import PhoneMetadata

    metadata = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    assert metadata
    return metadata


def _prefix(metadata: "PhoneMetadata") -> str:
    """What stands before a national number where the library reads one: its national prefix, or nothing."""
    pattern = metadata.national_prefix_for_parsing
    if not pattern:
        return ""
    # The first way in which the pattern matches is the library's (an atomic group); its last group, if it took part,
    # would have the number rewritten (Argentina's 15). The prefix goes if what remains is possible and long enough.
    groups = list(re.finditer(r"\((?!\?)", pattern))
    transformed = ""
    if metadata.national_prefix_transform_rule and groups:
        last = groups[-1]
        pattern = f"{pattern[: last.start()]}(?P<transformed>{pattern[last.end() :]}"
        transformed = "(?(transformed)(?!))"
    stripped = f"(?>{pattern}){transformed}{_whole(metadata.general_desc)}{_lengths(metadata.general_desc)}"
    return f"(?:{stripped}|{_no_prefix(metadata)})"


def _no_prefix(metadata: "PhoneMetadata") -> str:
    """Looks ahead: the library will strip nothing here."""
    pattern = metadata.national_prefix_for_parsing
    if not pattern:
        return ""
    if metadata.national_prefix_transform_rule:
        return f"(?!{pattern})"
    # What looks like a prefix stays if the number is possible with it and is not without it (+7 800 in Russia).
    whole = _whole(metadata.general_desc)
    return f"(?:(?!{pattern})|{whole}(?!(?>{pattern}){whole}))"


def _valid(code: int) -> str:
    """Matches the national numbers of a calling code that are valid: those of its regions, in the library's order.

    A region that shares its calling code and has `leading_digits` owns every number that begins with them.
    """
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    regions = COUNTRY_CODE_TO_REGION_CODE[code]
    pattern = "(?!)"
    for region in reversed(regions):
        metadata = _rules(code, region)
        if metadata.leading_digits and len(regions) > 1:
            start = f"(?:{metadata.leading_digits})"
            pattern = f"(?:(?={start}){_valid_in(metadata)}|(?!{start}){pattern})"
        else:
            pattern = f"(?:{_valid_in(metadata)}|{pattern})"
    return pattern


def _valid_in(metadata: "PhoneMetadata") -> str:
    """Matches what is a number of the region's, and of some type."""
    types = (
        metadata.mobile,
        metadata.fixed_line,
        metadata.toll_free,
        metadata.premium_rate,
        metadata.shared_cost,
        metadata.voip,
        metadata.personal_number,
        metadata.pager,
        metadata.uan,
        metadata.voicemail,
    )
    general = metadata.general_desc
    assert general
    patterns = dict.fromkeys(
        f"{'' if kind.possible_length == general.possible_length else _lengths(kind)}(?:{kind.national_number_pattern})"
        for kind in types
        if kind and kind.national_number_pattern
    )
    return f"{_lengths(general)}{_whole(general)}(?:{'|'.join(patterns) or '(?!)'})"


def _whole(kind: "PhoneNumberDesc | None") -> str:
    """Looks ahead: all that remains matches."""
    pattern = kind.national_number_pattern if kind else None
    return rf"(?=(?:{pattern or '(?!)'})\Z)"


def _lengths(kind: "PhoneNumberDesc | None") -> str:
    """Looks ahead: as many digits remain as such a number has."""
    lengths = [f".{{{length}}}" for length in (kind.possible_length if kind else ()) if length > 0]
    return rf"(?=(?:{'|'.join(lengths) or '(?!)'})\Z)"
