"""The steps, in order. None waits for another's success."""

from collections.abc import Callable
from typing import Any

from functions.maintenance.archive import archive_old_partitions
from functions.maintenance.erasure import erase_accounts
from functions.maintenance.expiry import (
    expire_exports,
    forget_former_secrets,
    remove_abandoned_uploads,
    remove_expired_rows,
)
from functions.maintenance.rotation import revoke_all, rotate_if_due, settle_public_keys
from functions.maintenance.texts import ask_for_texts
from quintet.db.partitions import ensure_partitions, months_ahead
from quintet.db.session import reading, writing
from quintet.observability import count_metric, logger

TimeLeft = Callable[[], bool]


def maintain(*, rotate_now: bool, revoke: bool, time_left: TimeLeft) -> dict[str, Any]:
    """Do every step; returns what each did. Raises at the end when one failed."""
    steps: dict[str, Callable[[], Any]] = {
        "partitions_ahead": _partitions_ahead,
        **({"sessions_revoked": revoke_all} if revoke else {}),
        "keys_rotated": lambda: rotate_if_due(rotate_now=rotate_now),
        "keys_removed": settle_public_keys,
        "exports_expired": lambda: expire_exports(time_left),
        "accounts_erased": lambda: erase_accounts(time_left),
        "expired": lambda: remove_expired_rows(time_left),
        "former_secrets": forget_former_secrets,
        "abandoned_uploads": lambda: remove_abandoned_uploads(time_left),
        "texts_asked_for": ask_for_texts,
        "archived": lambda: archive_old_partitions(time_left),
    }
    done, failed = {}, []
    for name, step in steps.items():
        try:
            done[name] = step()
        except Exception:
            logger.exception("The step %s failed; the others go on.", name)
            failed.append(name)
    logger.info("Maintained.", done=done)
    if failed:
        raise RuntimeError(f"These steps failed: {', '.join(failed)}")
    return done


def _partitions_ahead() -> int:
    try:
        with writing(owner=True) as session:
            connection = session.connection()
            # Whoever holds the table for so long must not have everybody queue up behind us; tomorrow is soon enough.
            connection.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
            ensure_partitions(connection)
    finally:
        with reading(owner=True) as session:
            ahead = months_ahead(session.connection())
        count_metric("PartitionsAhead", ahead, function="maintenance")
    return ahead
