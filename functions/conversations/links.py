"""Where a link in a message may lead."""

from typing import Annotated, Any

from pydantic import BeforeValidator, StringConstraints, TypeAdapter, WithJsonSchema

_NEVER = r"\s\x00-\x20\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069<>\"\\^`{|}"
_HREF = rf"^([hH][tT][tT][pP][sS]?://[^/{_NEVER}][^{_NEVER}]*|[mM][aA][iI][lL][tT][oO]:[^{_NEVER}]+)$"
"""An address of http, https or mailto without what RFC 3986 keeps out, spaces and controls among it, and without what
turns the direction of writing round and so makes an address look like another."""
_address = TypeAdapter(Annotated[str, StringConstraints(max_length=2048, pattern=_HREF)])


def _href(value: Any) -> str:
    try:
        return _address.validate_python(value)
    except ValueError:
        raise ValueError(
            "send an address that begins with https://, http:// or mailto:, 2,048 characters at most;"
            " spaces and other signs that addresses do not have are percent-encoded"
        ) from None


Href = Annotated[str, BeforeValidator(_href), WithJsonSchema({"type": "string", "maxLength": 2048, "pattern": _HREF})]
