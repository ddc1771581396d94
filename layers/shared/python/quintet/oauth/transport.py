"""How requests, which is what Authlib asks by, gets answers: as a whole, in time, and none without end."""

import time
from typing import Any

from requests import ConnectionError as NoConnection
from requests import PreparedRequest, Response, Timeout
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from quintet.punctual import punctual

BODY_SECONDS, MAX_BODY = 10, 1024**2


class Adapter(HTTPAdapter):
    """To be mounted in a session of requests; raises what requests does."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """As HTTPAdapter's."""
        super().init_poolmanager(*args, **options)
        punctual(self.poolmanager)

    def send(self, request: PreparedRequest, stream: bool = False, **options: Any) -> Response:  # type: ignore[override]
        """As HTTPAdapter's, with the whole content."""
        answer = super().send(request, stream=True, **options)
        until, content = time.monotonic() + BODY_SECONDS, bytearray()
        try:
            while chunk := answer.raw.read1(64 * 1024, decode_content=True):
                content += chunk
                if len(content) > MAX_BODY or time.monotonic() > until:
                    raise Timeout("The answer is too long, or comes too slowly.")
        except HTTPError:
            raise NoConnection("The connection broke off.") from None
        finally:
            answer.raw.close()
        answer._content, answer._content_consumed = bytes(content), True
        return answer
