"""The part of a stand that holds the functions: gateway, queue poller, scheduler.

The supervisor (`python -m infra.local`) starts it, again whenever code changes, and hands it the environment of
`infra.local.environment` and the socket it listens on.
"""

import asyncio
import importlib
import os
import socket
import sys
import threading
import time

import uvicorn

from functions.manifest import CATCH_ALL, FUNCTIONS
from infra.local import terminal
from infra.local.events import invoke
from infra.local.gateway import Gateway
from infra.local.pages import Pages
from infra.local.poller import RETRY_SECONDS, Poller
from infra.local.resources import prepare
from infra.local.scheduler import Scheduler
from infra.local.state import State
from quintet.config import settings

STOP_SECONDS = 8
"""How long requests and batches under way may take when the worker is to stop."""


def main() -> None:
    """Serve until SIGTERM."""
    state = State()
    threading.Thread(target=_import_handlers, name="imports", daemon=True).start()
    prepare(state)
    try:
        invoke("db_migrator", {})
    except Exception as error:
        terminal.error("The migrations failed; requests that need the database will too", error)
    poller = Poller(
        settings().queue_urls,
        retry_seconds=int(os.environ.get("QUINTET_RETRY_SECONDS", RETRY_SECONDS)),
    )
    scheduler = Scheduler(state)
    server = uvicorn.Server(
        uvicorn.Config(
            Gateway(Pages(state)),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
    )
    poller.start()
    scheduler.start()
    asyncio.run(server.serve(sockets=[socket.socket(fileno=int(os.environ["QUINTET_LISTEN_FD"]))]))
    deadline = time.monotonic() + STOP_SECONDS
    for part in (poller, scheduler):
        part.stop(deadline - time.monotonic())
    sys.stdout.flush()
    os._exit(0)  # an invocation that is stuck must not keep us


def _import_handlers() -> None:
    """Import what will be needed, while the emulator is busy, so that the first requests do not wait for it."""
    first = ("db_migrator", CATCH_ALL)
    for name in (*first, *(name for name in FUNCTIONS if name not in first)):
        try:
            importlib.import_module(f"functions.{name}.handler")
        except Exception as error:
            terminal.error(f"functions/{name} cannot be imported", error)


if __name__ == "__main__":
    main()
