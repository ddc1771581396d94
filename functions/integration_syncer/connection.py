"""Somebody's service, as those who fetch and ask see it: paths in, answers out."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from functions.integration_syncer import credentials
from functions.integration_syncer.client import Answer, call
from functions.integration_syncer.troubles import Unauthorized
from quintet.integrations.services import SERVICES


class Connection:
    """Calls one integration's service with the token it has, or with a new one when that is not taken."""

    def __init__(self, integration_id: UUID, service: str) -> None:
        self.service = SERVICES[service]
        self._integration_id = integration_id
        self._token: credentials.Token | None = None

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET a path, or an address that the service gave."""
        return self._request("GET", url, headers=headers)

    def post(self, url: str, body: Any) -> Answer:
        """POST JSON."""
        return self._request("POST", url, body=body)

    def _request(self, method: str, url: str, **parts: Any) -> Answer:
        token = self._token
        if token is None or not token.fresh:
            token = self._token = credentials.current(self._integration_id)
        try:
            return call(self.service, method, url, token=token.value, **parts)
        except Unauthorized:
            token = self._token = credentials.after_refusal(self._integration_id, token)
        try:
            return call(self.service, method, url, token=token.value, **parts)
        except Unauthorized:
            raise credentials.give_up(self._integration_id, token) from None
