"""Bodies of accounts' own business: registering, signing in and out, proving things."""

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from quintet.http.schemas import Email, FullName, Input, KnownEmail, NewPassword, Output, Timestamp, Username, text
from quintet.identity.permissions import NEWCOMER

Password = Annotated[str, Field(min_length=1, max_length=1024)]
Token = Annotated[str, Field(min_length=1, max_length=200, description="From the email.")]
Delivery = Annotated[
    Literal["cookie", "body"],
    Field(description="Where the refresh token goes: an HTTP-only cookie, or the answer's body."),
]


class AccountCreate(Input):
    """A new account."""

    aliases: ClassVar = {"full_name": ("name",)}

    email: Email
    password: NewPassword
    full_name: FullName
    username: Username | None = None
    role: Annotated[str, text(50, min_length=1), Field(description="A role that newcomers may choose.")] = NEWCOMER


class AccountRead(Output):
    """The account just made."""

    id: UUID
    email: str
    username: str | None
    full_name: str
    email_verified: bool
    roles: list[str]
    created_at: Timestamp


class SignIn(Input):
    """Credentials."""

    email: KnownEmail
    password: Password
    token_delivery: Delivery = "cookie"


class Refresh(Input):
    """The refresh token, unless it comes in its cookie."""

    refresh_token: Annotated[str, Field(max_length=300)] | None = None


class TokenRead(Output):
    """Send `access_token` as `Authorization: Bearer …` (RFC 6750)."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int = Field(description="Seconds.")
    refresh_token: str | None = Field(None, description="Only with `token_delivery: body`.")


class SignOut(Input):
    """Which sessions end."""

    scope: Literal["current", "others", "all"] = "current"
    refresh_token: Annotated[str, Field(max_length=300)] | None = None


class SessionRead(Output):
    """One sign-in on one device."""

    id: UUID
    ip: str | None
    user_agent: str | None
    issued_at: Timestamp
    last_used_at: Timestamp
    expires_at: Timestamp
    current: bool


class PasswordChange(Input):
    """A new password for the signed-in account."""

    current_password: Password
    new_password: NewPassword


class PasswordResetRequest(Input):
    """Whose password is to be reset."""

    email: KnownEmail


class PasswordResetConfirm(Input):
    """The mailed token and the new password."""

    aliases: ClassVar = {"password": ("new_password",)}

    token: Token
    password: NewPassword


class EmailVerificationConfirm(Input):
    """The mailed token."""

    token: Token


class AccountRestore(Input):
    """The token that was mailed when the account was deleted."""

    token: Token


class KeySet(Output):
    """A JWK set (RFC 7517)."""

    keys: list[dict[str, str]]
