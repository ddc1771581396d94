"""One message to one browser through its push service: encrypted (RFC 8291), and signed for the service (RFC 8292)."""

from dataclasses import dataclass, field
from email.utils import parseaddr
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from quintet.config import settings
from quintet.notifications.push import is_push_service, private_key
from quintet.observability import logger

TTL = 24 * 3600
"""Seconds a push service keeps a message for a browser that is off."""

_TIMEOUT = 10  # seconds
_GONE = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
_LATER = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


class NotPushed(Exception):  # noqa: N818  (it is an outcome)
    """It never will be; the message says why and is kept on the delivery."""


class Unsubscribed(NotPushed):
    """The browser takes no more messages of ours."""


class PushFailedError(Exception):
    """Not this time. Says the status alone: an endpoint is as good as a password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Browser:
    """Where to, and by which keys. Its repr tells nothing."""

    endpoint: str = field(repr=False)
    p256dh: str = field(repr=False)
    auth: str = field(repr=False)


def push(browser: Browser, payload: str, *, urgent: bool) -> None:
    """Hand `payload` to the push service.

    Raises Unsubscribed when the service knows the browser no more, NotPushed when it will never take the message,
    PushFailedError when it may later.
    """
    from pywebpush import WebPushException, webpush  # type: ignore[import-untyped]
    from requests import RequestException, Session, TooManyRedirects

    if not is_push_service(browser.endpoint):
        raise NotPushed("Its push service is none that we send to any more.")
    _, contact = parseaddr(settings().email_from)
    keys = {"p256dh": browser.p256dh, "auth": browser.auth}
    try:
        with Session() as session:
            session.max_redirects = 0  # only where we know it goes
            webpush(
                {"endpoint": browser.endpoint, "keys": keys},
                payload,
                vapid_private_key=_vapid(),
                vapid_claims={"sub": f"mailto:{contact}"},
                ttl=TTL,
                timeout=_TIMEOUT,
                headers={"urgency": "high" if urgent else "normal"},
                requests_session=session,
            )
        return
    except WebPushException as error:
        status = error.status_code
    except TooManyRedirects as error:
        status = error.response.status_code if error.response is not None else HTTPStatus.FOUND
    except RequestException as error:
        status, name = None, type(error).__name__
    # Outside of `except`, so that no traceback leads to a message that quotes the endpoint.
    if status is None:
        raise PushFailedError(name)
    if status in _GONE:
        raise Unsubscribed(f"The push service answers {status}.")
    if status in _LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise PushFailedError(str(status))
    logger.error("A push service refuses a message for good.", status=status)
    raise NotPushed(f"The push service answers {status}.")


@lru_cache(maxsize=1)
def _vapid() -> Any:
    from py_vapid import Vapid02  # type: ignore[import-untyped]

    return Vapid02(private_key())
