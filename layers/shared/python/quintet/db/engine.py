"""One lazy engine per process.

No pre-ping, which would cost a round trip per request: the socket itself tells of most connections that died, and
the identity statement is retried for the others. No server-side prepared statements, one of which would pin the
RDS Proxy connection.
"""

import select
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import DisconnectionError

from quintet.config import settings

if TYPE_CHECKING:
    import psycopg

_CONNECT_ARGS: dict[str, Any] = {"prepare_threshold": None}


@lru_cache(maxsize=1)
def engine() -> Engine:
    """The application's engine, connected as the role that may read and write rows but not change the schema."""
    config = settings()
    if config.database_url:
        return _create(config.database_url, connect_args=_CONNECT_ARGS)
    return _create_with_iam()


@lru_cache(maxsize=1)
def owner_engine() -> Engine:
    """The schema owner's engine, for migrations and partitions only."""
    config = settings()
    url = config.database_owner_url or _url_from_secret(config.database_secret_id)
    return _create(url, connect_args=_CONNECT_ARGS)


def _create(url: str, **options: Any) -> Engine:
    engine = create_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1),
        pool_size=settings().database_pool_size,
        max_overflow=0,
        pool_timeout=5,
        use_native_hstore=False,  # asking the server for hstore's type costs a round trip per connection
        hide_parameters=True,  # errors are logged, and parameters hold addresses and hashes
        **options,
    )
    event.listen(engine, "checkout", _refuse_dead)
    return engine


def _refuse_dead(connection: "psycopg.Connection[Any]", *_: object) -> None:
    """Have the pool replace a connection the server has closed: nothing but that makes an idle one readable."""
    socket = select.poll()
    socket.register(connection.fileno(), select.POLLIN)
    if socket.poll(0):
        raise DisconnectionError("The server closed this connection while it was idle.")


def _create_with_iam() -> Engine:
    def connect() -> "psycopg.Connection[Any]":
        import certifi
        import psycopg

        from quintet.db.iam import auth_token

        config = settings()
        return psycopg.connect(
            host=config.database_host,
            port=config.database_port,
            dbname=config.database_name,
            user=config.database_user,
            password=auth_token(config.database_host, config.database_port, config.database_user),
            sslmode="verify-full",
            # psycopg's own OpenSSL has no CA path on Lambda.
            sslrootcert=config.database_sslrootcert or certifi.where(),
            **_CONNECT_ARGS,
        )

    return _create("postgresql://", creator=connect)


def _url_from_secret(secret_id: str) -> str:
    import json
    from urllib.parse import quote

    from quintet.aws import secrets

    config = settings()
    secret = json.loads(secrets().get_secret_value(SecretId=secret_id)["SecretString"])
    user, password = (quote(secret[part], safe="") for part in ("username", "password"))
    host = secret.get("host", config.database_host)
    return (
        f"postgresql://{user}:{password}@{host}:{config.database_port}/{config.database_name}"
        f"?sslmode=verify-full&sslrootcert={quote(config.database_sslrootcert, safe='')}"
    )


def dispose_before_snapshot() -> None:
    """Have SnapStart freeze no open connection: restored copies would share it."""
    try:
        from snapshot_restore_py import register_before_snapshot  # type: ignore[import-not-found]
    except ImportError:  # only Lambda's runtime has it
        return
    register_before_snapshot(lambda: engine().dispose())
