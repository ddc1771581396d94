"""Addresses as files have them, in the form in which they are compared, a million at a time.

The library `email-validator` decides what an address is, as it does for the API (`quintet.http.schemas.Email`); it
takes 20 to 50 µs for one. Nearly every cell is decided by one regular expression instead: it matches only where the
library's answer is known, and everything else is handed to the library. The two never disagree
(tests/unit/test_import_emails.py).
"""

import re
from collections.abc import Callable
from functools import lru_cache

_MAX_LENGTH = 254
"""Of an address (RFC 5321, erratum 1690)."""

_MAX_LABEL = 63
"""Of what stands between two dots of a domain (RFC 1035). In a text no longer than this no part is too long."""


def parse_email(text: str) -> str:
    """The address in lower case, an international domain in its ASCII form; or ValueError with a reason for people.

    White space around it does not count.
    """
    if len(text) <= _MAX_LABEL and _usual()(text):
        return text.lower()
    return _ask(text.strip())


def _ask(text: str) -> str:
    """The library's answer, and its reason."""
    from email_validator import EmailNotValidError, validate_email

    if len(text) > _MAX_LENGTH:  # the library would read all of it, character by character
        raise ValueError(f"longer than {_MAX_LENGTH} characters")
    try:
        address = validate_email(text, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError as error:
        raise ValueError(f"not an email address: {error}") from None
    return str(address.ascii_email).lower()


@lru_cache(maxsize=1)
def _usual() -> Callable[[str], re.Match[str] | None]:
    """Whether an address is one without quotes, without two hyphens in a row in its domain, and ASCII.

    RFC 5322's dot-atom, then labels of letters, digits and hyphens (RFC 1123) that do not end in a special-use
    domain name (RFC 6761); the last one ends with a letter.
    """
    from email_validator import SPECIAL_USE_DOMAIN_NAMES

    atom = r"[A-Za-z0-9_!#$%&'*+\-/=?^`{|}~]++"
    reserved = rf"(?!(?i:{'|'.join(map(re.escape, SPECIAL_USE_DOMAIN_NAMES))})\Z)"
    label = rf"{reserved}[A-Za-z0-9]++(?:-[A-Za-z0-9]++)*+"
    return re.compile(rf"{atom}(?:\.{atom})*+@{label}(?:\.{label})++(?<=[A-Za-z])", re.ASCII).fullmatch
