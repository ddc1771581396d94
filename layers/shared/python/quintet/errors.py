"""What a service raises; `quintet.http` answers each as RFC 9457 problem+json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


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
    title: str = "Internal Server Error"
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
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = tuple(errors)
        self.next = next
        self.headers = dict(headers or {})


class BadRequest(Problem):
    """400: the input is wrong; `errors` says which field and what to do."""

    status, title = 400, "Bad Request"

    @classmethod
    def at(cls, pointer: str, detail: str) -> "BadRequest":
        """One field is wrong."""
        return cls("The input is not valid.", errors=[FieldError(pointer, detail)])


class Unauthorized(Problem):
    """401: no valid access token."""

    status, title = 401, "Unauthorized"

    def __init__(self, detail: str = "Sign in and send the access token as a Bearer token.") -> None:
        super().__init__(
            detail,
            headers={"WWW-Authenticate": 'Bearer realm="quintet"'},
            next={"rel": "sign-in", "href": "/auth/login"},
        )


class Forbidden(Problem):
    """403: signed in, and may know it exists, but may not do this."""

    status, title = 403, "Forbidden"


class NotFound(Problem):
    """404: does not exist, or the caller may not know that it does."""

    status, title = 404, "Not Found"


class Conflict(Problem):
    """409: the state of the thing does not allow it."""

    status, title = 409, "Conflict"


class Gone(Problem):
    """410: it was there, and will not come back."""

    status, title = 410, "Gone"


class PreconditionFailed(Problem):
    """412: `If-Match` named an old version."""

    status, title = 412, "Precondition Failed"


class ContentTooLarge(Problem):
    """413: over the size limit."""

    status, title = 413, "Content Too Large"


class UnsupportedMediaType(Problem):
    """415: the body's content type is not one the route reads."""

    status, title = 415, "Unsupported Media Type"


class IdempotencyMismatch(Problem):
    """422: the Idempotency-Key was used with another request."""

    status, title = 422, "Unprocessable Content"


class TooManyRequests(Problem):
    """429: over a rate limit; `Retry-After` says for how many seconds."""

    status, title = 429, "Too Many Requests"


class ServiceUnavailable(Problem):
    """503: something we depend on does not answer."""

    status, title = 503, "Service Unavailable"
