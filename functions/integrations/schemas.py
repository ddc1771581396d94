"""Bodies of integrations, of what was fetched from them, and of what is asked of them."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from quintet.db.models.integrations import IntegrationStatus, RequestStatus, ServiceName, SyncStatus
from quintet.http.oauth import ReturnTo
from quintet.http.problems import NextStep
from quintet.http.schemas import Input, Output, Timestamp

ApiKey = Annotated[str, Field(min_length=8, max_length=512, pattern=r"^[\x21-\x7e]+$")]


class IntegrationConnect(Input):
    """A service to connect, or to connect again."""

    aliases = {"service": ("service_name",), "api_key": ("apiKey",)}  # noqa: RUF012

    service: ServiceName
    return_to: ReturnTo | None = None
    api_key: ApiKey | None = Field(
        None, description="For meshy.ai and video generation. It is kept encrypted, and is never shown again."
    )


class IntegrationRead(Output):
    """A connected service."""

    id: UUID
    service: ServiceName
    status: IntegrationStatus = Field(
        description="`pending` until its owner has come back from the provider; `needs_reauth` when the provider takes "
        "its token or key no more: connect it again, as `next` says."
    )
    scopes: list[str] = Field(description="What the provider lets us do.")
    connected_at: Timestamp | None
    expires_at: Timestamp | None = Field(description="When its token is renewed at the latest.")
    sync_status: SyncStatus = Field(description="Of the services that are fetched from: GitHub and Google Docs.")
    last_synced_at: Timestamp | None
    next_sync_at: Timestamp | None
    error: str | None = Field(description="Why it does not work at the moment.")
    stale_since: Timestamp | None = Field(description="Since when nothing new could be fetched.")
    next: NextStep | None = Field(description="The request that makes it work again.")
    created_at: Timestamp
    updated_at: Timestamp
    version: int


class IntegrationConnected(IntegrationRead):
    """A service that is connected, or is once its owner has been to the provider."""

    authorization_url: str | None = Field(
        description="Where to send its owner, in the same browser, within ten minutes; null for one with a key."
    )


class RecordRead(Output):
    """Something of a service, as it was when it was last fetched."""

    id: UUID
    kind: str = Field(description="`repository`, `issue`, `document` or `document_text`.")
    external_id: str = Field(description="The service's own id of it.")
    data: dict[str, Any]
    fetched_at: Timestamp
    stale_since: Timestamp | None = Field(
        description="Since when the service does not list it any more, or nothing new could be fetched."
    )


class RequestRead(Output):
    """Something asked of a service."""

    id: UUID
    integration_id: UUID
    operation: str
    input: dict[str, Any]
    status: RequestStatus
    progress: int | None = Field(description="Percent, if the service tells.")
    result: dict[str, Any] | None = Field(description="What was read. What was made is a file.")
    stale_since: Timestamp | None = Field(
        description="The service is out of reach: `result` is the last good answer, which is of this time."
    )
    file_id: UUID | None = Field(description="The file that the result is: `GET /files/{file_id}`.")
    error: str | None = Field(description="Why it failed; while it is under way, why it takes longer.")
    finished_at: Timestamp | None
    created_at: Timestamp
    updated_at: Timestamp
    version: int
