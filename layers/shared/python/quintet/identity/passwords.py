"""Passwords: argon2id as OWASP advises (19 MiB, two passes, one lane), 8 to 128 characters, none that is guessable."""

from functools import lru_cache
from typing import TYPE_CHECKING

from quintet.errors import BadRequest

if TYPE_CHECKING:
    from pwdlib import PasswordHash

MIN_LENGTH, MAX_LENGTH = 8, 128
_TOO_GUESSABLE = 2
"""zxcvbn's score (0-4) below which a password falls to a million guesses or fewer."""

_NOBODYS_HASH = "$argon2id$v=19$m=19456,t=2,p=1$nW3XUcdbwP8oLgcHlX6r4g$L19x8cdIQ82sxdegdSCOJDc7gBVS5FexoSv2kg7ZB6Y"
"""Of a random password: what is verified when there is no account, or none with a password."""


class PasswordRefused(BadRequest):
    """The wrong present password; that somebody tried stays recorded."""

    keeps_changes = True


@lru_cache(maxsize=1)
def _hasher() -> "PasswordHash":
    from pwdlib import PasswordHash
    from pwdlib.hashers.argon2 import Argon2Hasher

    return PasswordHash([Argon2Hasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)])


def hash_password(password: str) -> str:
    """The hash to store."""
    return _hasher().hash(password)


def verify_password(password: str, stored: str | None) -> tuple[bool, str | None]:
    """Whether `password` is the one behind `stored`, and the hash to store instead if ours has become stronger.

    Without a stored hash the answer is no and takes the same time, so that it does not tell whether there
    is an account.
    """
    valid, stronger = _hasher().verify_and_update(password, stored or _NOBODYS_HASH)
    return (valid, stronger) if stored else (False, None)


def check_strength(password: str, *personal: str, pointer: str = "/password") -> None:
    """Refuse (400) a password that is easily guessed, `personal` being words of its owner (name, address)."""
    from zxcvbn import zxcvbn

    # A longer one is no easier to guess than its beginning, and could be made to take seconds.
    verdict = zxcvbn(password[:32], user_inputs=[word for word in personal if word])
    if verdict["score"] < _TOO_GUESSABLE:
        advice = " ".join(verdict["feedback"]["suggestions"])
        raise BadRequest.at(pointer, f"This password is easily guessed. {advice}".strip())
