"""Why an email does not go out."""


class NotSent(Exception):  # noqa: N818  (it is an outcome)
    """It never will; the message says why, without personal data, and is kept on the delivery."""


class SendingFailedError(Exception):
    """Not this time. Names the provider's error code alone: its message quotes addresses."""
