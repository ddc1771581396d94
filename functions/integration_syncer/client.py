"""The one way services are called: with timeouts, retries, patience when they ask for it, and a circuit breaker.

Nobody who calls holds a database session meanwhile.
"""

import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from functions.integration_syncer import breaker
from functions.integration_syncer.troubles import Outage, Refused, Throttled, Unauthorized
from quintet import retry_after
from quintet.integrations.services import Service

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

CONNECT_SECONDS, READ_SECONDS, WHOLE_SECONDS = 3, 10, 25
"""To connect, for a sign of life, and of one attempt."""
ATTEMPTS, RETRY_SECONDS = 3, 40
"""How often it is tried, and for how long anything is tried again."""
PATIENCE = 5
"""Seconds that we wait here when asked to. Who wants more is asked again from the queue."""
MAX_BODY = 8 * 1024**2
"""Bytes of an answer."""

_WAIT = 60
"""Seconds, for those who ask us to wait and do not say how long."""
_REDIRECTS, _MAX_REDIRECTS = (301, 302, 307, 308), 3
_CHUNK = 64 * 1024
_QUOTA = {"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"}
"""Google's reasons for a 403 that means 429 (https://developers.google.com/workspace/drive/api/guides/handle-errors)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered: 2xx, or 304."""

    status: int
    headers: Mapping[str, str]
    """By names in lower case."""
    body: bytes

    def json(self) -> Any:
        """Its content; Outage when that is no JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise Outage("It answered something that makes no sense.") from None


def call(
    service: Service,
    method: str,
    url: str,
    *,
    token: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Call a service with somebody's token or key. `url` is a path of its API, or an address that it gave itself.

    Raises Trouble when it cannot be asked now, Unauthorized and Refused when it says no. What may have been done is
    not done again here, unless it is a GET.
    """
    import stamina

    url = _within(service, url)
    sent = {
        "authorization": f"Bearer {token}",
        "accept": "application/json",
        "user-agent": "Quintet",  # GitHub answers nobody without a name
        **(headers or {}),
    }
    content = None if body is None else json.dumps(body).encode()
    if content is not None:
        sent["content-type"] = "application/json"

    def again(error: Exception) -> bool | float:
        if isinstance(error, Throttled):
            # As asked, and not all at the same moment.
            return error.again_in + random.uniform(0, 0.5) if error.again_in <= PATIENCE else False  # noqa: S311
        return isinstance(error, Outage) and (method == "GET" or not error.begun)

    attempts = stamina.retry_context(
        on=again, attempts=ATTEMPTS, timeout=RETRY_SECONDS, wait_initial=0.2, wait_max=3, wait_jitter=0.3
    )
    for attempt in attempts:
        with attempt:
            ailing = breaker.admit(service.name, service.title)
            try:
                answer = _exchange(service, method, url, content, sent)
            except Outage:
                breaker.failed(service.name)
                raise
            except Refused:  # what it answered goes too far, but it has answered
                if ailing:
                    breaker.succeeded(service.name)
                raise
            if ailing:
                breaker.succeeded(service.name)
            return _judged(service, answer, token)
    raise AssertionError


def _within(service: Service, url: str) -> str:
    """The whole address. A token goes to its own service alone, whatever address an answer named."""
    base = service.address
    whole = url if "://" in url else base + url
    if not whole.startswith(base + "/") or urlsplit(whole)[:2] != urlsplit(base)[:2]:
        raise Refused(f"{service.title} named an address that is not its own.", status=502)
    return whole


def _exchange(service: Service, method: str, url: str, content: bytes | None, headers: Mapping[str, str]) -> Answer:
    """One attempt; a GET follows redirects within the service."""
    from urllib3.exceptions import HTTPError, NewConnectionError, TimeoutError

    until = time.monotonic() + WHOLE_SECONDS
    try:
        for _ in range(_MAX_REDIRECTS + 1):
            response = http().request(
                method, url, body=content, headers=dict(headers), redirect=False, preload_content=False
            )
            if method != "GET" or response.status not in _REDIRECTS or "location" not in response.headers:
                break
            response.drain_conn()
            url = _within(service, urljoin(url, response.headers["location"]))
        else:
            raise Refused(f"{service.title} redirects again and again.", status=502)
        body = _read(response, until)
    except NewConnectionError:
        raise Outage(f"{service.title} cannot be reached.", begun=False) from None
    except TimeoutError as error:
        begun = type(error).__name__ != "ConnectTimeoutError"
        raise Outage(f"{service.title} does not answer in time.", begun=begun) from None
    except (HTTPError, OSError):
        raise Outage(f"The connection to {service.title} broke off.") from None
    headers = {name.lower(): value for name, value in response.headers.items()}
    if response.status >= 500:
        again_in = retry_after.seconds(headers.get("retry-after")) or _WAIT
        # 503 says that it was not done (RFC 9110, 15.6.4).
        raise Outage(f"{service.title} answered {response.status}.", again_in=again_in, begun=response.status != 503)
    return Answer(response.status, headers, body)


def _read(response: "BaseHTTPResponse", until: float) -> bytes:
    body = bytearray()
    try:
        while chunk := response.read1(_CHUNK):
            body += chunk
            if len(body) > MAX_BODY:
                raise Refused(f"The answer has more than {MAX_BODY // 1024**2} MB.", status=502)
            if time.monotonic() > until:
                raise Outage("The answer comes too slowly.")
    except BaseException:
        response.close()
        raise
    response.release_conn()
    return bytes(body)


def _judged(service: Service, answer: Answer, token: str) -> Answer:
    """The answer, if it is one that somebody can work with."""
    if answer.status < 300 or answer.status == 304:
        return answer
    if (wait := _throttled(answer)) is not None:
        raise Throttled(f"{service.title} asks us to wait.", again_in=wait)
    if answer.status == 401:
        raise Unauthorized(f"{service.title} does not take the token or key.", status=401)
    said = _said(answer, token)
    raise Refused(f"{service.title} answered {answer.status}{f': {said}' if said else '.'}", status=answer.status)


def _throttled(answer: Answer) -> float | None:
    """For how many seconds we are to wait; None when we are not.

    https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit
    """
    limited = answer.status == 429 or (
        answer.status == 403
        and (
            "retry-after" in answer.headers
            or answer.headers.get("x-ratelimit-remaining") == "0"
            or bool(_QUOTA & _reasons(answer))
        )
    )
    if not limited:
        return None
    wait = retry_after.seconds(answer.headers.get("retry-after"))
    if wait is None and answer.headers.get("x-ratelimit-remaining") == "0":
        reset = answer.headers.get("x-ratelimit-reset", "")
        wait = min(max(1.0, int(reset[:12]) - time.time()), retry_after.LONGEST) if reset.isdecimal() else None
    return _WAIT if wait is None else wait


def _reasons(answer: Answer) -> set[str]:
    try:
        return {str(error["reason"]) for error in json.loads(answer.body)["error"]["errors"]}
    except (ValueError, KeyError, TypeError, RecursionError):
        return set()


def _said(answer: Answer, token: str) -> str:
    """What the service says about it, for whoever asked; never the token."""
    try:
        told = json.loads(answer.body)
        for name in ("message", "detail", "error"):
            text = told.get(name) if isinstance(told, dict) else None
            if isinstance(text, dict):
                text = text.get("message")
            if isinstance(text, str):
                text = text.replace(token, "…")
                return "".join(character for character in text if character.isprintable())[:300]
    except (ValueError, RecursionError):
        pass
    return ""


@lru_cache(maxsize=1)
def http() -> "PoolManager":
    """Connections that are kept, certificates that are checked, and nothing done twice by itself."""
    import certifi
    from urllib3 import PoolManager, Timeout

    from quintet.punctual import punctual

    timeout = Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    return punctual(PoolManager(retries=False, timeout=timeout, ca_certs=certifi.where()))
