"""A new secret every 90 days, so a new signing key, without anybody being signed out; and, when a secret has leaked,
two new ones that sign everybody out.

The public half is known before anything signs with the key; the key before it stays, since `auth` may have it cached
and tokens signed with it live on; the one before that goes when nobody can hold a token of it any more.
"""

import secrets as random
from datetime import UTC, datetime, timedelta

from quintet.aws import secrets
from quintet.config import settings
from quintet.db.session import writing
from quintet.events.record import SYSTEM, record
from quintet.events.types import EventType
from quintet.identity.keys import TokenKeys, forget_keys, register_public_keys, secret_versions
from quintet.observability import logger

ROTATE_AFTER = timedelta(days=90)
KEEP_RETIRED = timedelta(days=1)
"""How long a public key stays after the last token was signed with it: far longer than a token lives."""

_TAKE_TURNS = "SELECT pg_advisory_xact_lock(hashtext('signing_key.rotated'))"


def rotate_if_due(*, rotate_now: bool = False) -> bool:
    """Replace the secret when it is 90 days old, or at once; returns whether it was replaced."""
    seen = secret_versions()[0]
    if not rotate_now and datetime.now(UTC) - seen.created_at < ROTATE_AFTER:
        return False
    secret = random.token_urlsafe(48)
    keys = TokenKeys.derive(secret)
    with writing(owner=True) as session:
        register_public_keys(session.connection(), keys)
    with writing(owner=True) as session:
        session.connection().exec_driver_sql(_TAKE_TURNS)
        if secret_versions()[0].id != seen.id:
            return False  # another run was quicker; twice at once would sign everybody out
        # Before the secret, so that what fails here leaves it as it was.
        record(session, EventType.SIGNING_KEY_ROTATED, subject=None, scope=SYSTEM, data={"kid": keys.kid})
        secrets().put_secret_value(SecretId=settings().token_secret_id, SecretString=secret)
    logger.info("The signing key is rotated.", kid=keys.kid)
    return True


def revoke_all() -> int:
    """For a secret that has leaked: nothing that was signed with it, or will be, is good; returns how many sessions
    ended. Repeatable.

    The secret is replaced twice, since the one before the present is accepted too, and every other public key goes.
    Every session ends, so what was signed before is refused at once, whatever is cached: each request looks at its
    session. Until what a process has cached is five minutes old (`CACHE_SECONDS`) it still takes what is signed with
    the old secret, if that names a session begun since; and a warm `auth` still signs with it, so that whoever signs
    in through that may have to do so again.
    """
    fresh = [random.token_urlsafe(48) for _ in range(2)]
    keys = [TokenKeys.derive(secret) for secret in fresh]
    with writing(owner=True) as session:
        register_public_keys(session.connection(), *keys)
    with writing(owner=True) as session:
        connection = session.connection()
        connection.exec_driver_sql(_TAKE_TURNS)
        for secret in fresh:
            secrets().put_secret_value(SecretId=settings().token_secret_id, SecretString=secret)
        kids = [key.kid for key in keys]
        connection.exec_driver_sql("DELETE FROM signing_keys WHERE kid <> ALL(%(kids)s)", {"kids": kids})
        ended = connection.exec_driver_sql("UPDATE sessions SET revoked_at = now() WHERE revoked_at IS NULL").rowcount
        record(
            session,
            EventType.SIGNING_KEY_REVOKED,
            subject=None,
            scope=SYSTEM,
            data={"kid": kids[-1], "sessions_ended": ended},
        )
    forget_keys()
    logger.warning("All signing keys are revoked, and all sessions are ended.", kid=kids[-1], sessions_ended=ended)
    return ended


def settle_public_keys() -> int:
    """Register the present keys should one be missing (the database may have been restored from a backup), and remove
    those whose last tokens have long expired, or that nothing ever signed with; returns how many were removed."""
    versions = secret_versions()
    long_ago = datetime.now(UTC) - KEEP_RETIRED
    with writing(owner=True) as session:
        connection = session.connection()
        register_public_keys(connection)
        if versions[0].created_at > long_ago:
            return 0  # just rotated: what was retired with that may still be in use
        return connection.exec_driver_sql(
            "DELETE FROM signing_keys WHERE kid <> ALL(%(kids)s) AND created_at < %(long_ago)s",
            {"kids": [TokenKeys.derive(version.secret).kid for version in versions], "long_ago": long_ago},
        ).rowcount
