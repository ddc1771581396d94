"""What can come of a call other than an answer. Each message is a sentence for the integration's owner, and names no
token."""


class Trouble(Exception):  # noqa: N818  (it is an outcome)
    """The service cannot be asked now: it may be again in `again_in` seconds."""

    def __init__(self, detail: str, *, again_in: float) -> None:
        super().__init__(detail)
        self.again_in = again_in


class Outage(Trouble):
    """It does not answer, or says that it is not well. `begun`: it may have done what it was asked all the same."""

    def __init__(self, detail: str, *, again_in: float = 60, begun: bool = True) -> None:
        super().__init__(detail, again_in=again_in)
        self.begun = begun


class Throttled(Trouble):
    """It asks us to wait."""


class Shut(Trouble):
    """Its circuit breaker is open: nobody calls it."""


class Refused(Exception):  # noqa: N818
    """It says no, and will again."""

    def __init__(self, detail: str, *, status: int) -> None:
        super().__init__(detail)
        self.status = status


class Unauthorized(Refused):
    """It does not take the token or key."""


class NeedsReauth(Exception):  # noqa: N818
    """Somebody has to connect it again; that is noted down already."""


class Lost(Exception):  # noqa: N818
    """Somebody else works on it now, or it was disconnected."""
