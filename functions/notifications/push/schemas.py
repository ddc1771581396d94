"""Bodies of push subscriptions, as browsers make them (W3C Push API)."""

from base64 import urlsafe_b64decode
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from quintet.http.schemas import Input, Number, Output, Timestamp
from quintet.notifications.push import is_push_service


def _known(endpoint: str) -> str:
    if not is_push_service(endpoint):
        raise ValueError("not an https address of a push service we know")
    return endpoint


def _on_curve(key: str) -> str:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey  # 20 ms

    try:
        EllipticCurvePublicKey.from_encoded_point(SECP256R1(), urlsafe_b64decode(key + "="))
    except ValueError:
        raise ValueError("not a public key of P-256, uncompressed, in base64url") from None
    return key


class PushKeys(Input):
    """What messages to a browser are encrypted by (RFC 8291)."""

    p256dh: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{87}$"), AfterValidator(_on_curve)]
    auth: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{22}$")]


class PushSubscriptionCreate(Input):
    """What `PushSubscription.toJSON()` gives in a browser."""

    endpoint: Annotated[str, StringConstraints(max_length=2048, pattern="^https://"), AfterValidator(_known)]
    keys: PushKeys
    expiration_time: Annotated[float, Number, Field(allow_inf_nan=False)] | None = Field(
        None, alias="expirationTime", description="Of no use to us: the push service tells when it is over."
    )


class PushSubscriptionRead(Output):
    """A browser that is pushed to."""

    id: UUID
    endpoint: str
    created_at: Timestamp


class PushKey(Output):
    """What a browser subscribes to."""

    public_key: str = Field(description="For `applicationServerKey` (VAPID, RFC 8292).")
