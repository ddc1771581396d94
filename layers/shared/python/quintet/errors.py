"""What a service raises; `quintet.http` answers each as RFC 9457 problem+json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self

_TITLES = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
"""As RFC 9110 has them; so does Python, but only from 3.13 on."""


def title_of(status: int) -> str:
    """The name of an HTTP status: `Not Found`."""
    return _TITLES.get(status) or HTTPStatus(status).phrase


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with the input: where (an RFC 6901 pointer, or `query/limit`), and what to do."""

    pointer: str
    detail: str


class Problem(Exception):  # noqa: N818  (RFC 9457 calls it a problem)
    """Base of every error the API answers on purpose.

    `next` is the step that helps, as {"rel": ..., "href": ...} (a path of this API, without prefix, or a whole URL);
    `headers` go onto the response.
    """

    status: int = 500
    type: str = "about:blank"
    keeps_changes: bool = False
    """True when what was written before raising is to stay: a refused attempt is counted and recorded."""

    def __init__(
        self,
        detail: str = "",
        *,
        errors: Sequence[FieldError] = (),
        next: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.detail = detail or title_of(self.status)
        super().__init__(self.detail)
        self.errors = tuple(errors)
        self.next = next
        self.headers = dict(headers or {})


class BadRequest(Problem):
    """400: the input is wrong; `errors` says which field and what to do."""

    status = 400

    @classmethod
    def at(cls, pointer: str, detail: str) -> Self:
        """One field is wrong."""
        return cls("The input is not valid.", errors=[FieldError(pointer, detail)])


class Unauthorized(Problem):
    """401: no valid access token."""

    status = 401

    def __init__(self, detail: str = "Sign in and send the access token as a Bearer token.") -> None:
        super().__init__(
            detail,
            headers={"WWW-Authenticate": 'Bearer realm="quintet"'},
            next={"rel": "sign-in", "href": "/auth/login"},
        )


class Forbidden(Problem):
    """403: signed in, and may know it exists, but may not do this."""

    status = 403


class NotFound(Problem):
    """404: does not exist, or the caller may not know that it does."""

    status = 404


class NotAcceptable(Problem):
    """406: `Accept` wants none of the forms there are."""

    status = 406


class Conflict(Problem):
    """409: the state of the thing does not allow it."""

    status = 409


class Gone(Problem):
    """410: it was there, and will not come back."""

    status = 410


class PreconditionFailed(Problem):
    """412: `If-Match` named an old version."""

    status = 412


class ContentTooLarge(Problem):
    """413: over the size limit."""

    status = 413


class IdempotencyMismatch(Problem):
    """422: the Idempotency-Key was used with another request."""

    status = 422


class TooManyRequests(Problem):
    """429: over a rate limit; `Retry-After` says for how many seconds."""

    status = 429


class ServiceUnavailable(Problem):
    """503: something we depend on does not answer."""

    status = 503
