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
from collections.abc import Callable
from types import FrameType

import uvicorn

from functions.manifest import CATCH_ALL, FUNCTIONS
from infra.local import terminal
from infra.local.gateway import Gateway
from infra.local.invocation import invoke
from infra.local.pages import Pages
from infra.local.poller import RETRY_SECONDS, Poller
from infra.local.resources import prepare
from infra.local.scheduler import Scheduler
from infra.local.sockets import MAX_MESSAGE
from infra.local.state import State
from quintet.config import settings

_REQUEST_SECONDS = 8
_BATCH_SECONDS = 5
"""How long requests, then batches, that are under way may take when the worker is to stop."""

_CLOSING_SECONDS = 0.5


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
    gateway = Gateway(Pages(state))
    server = _Server(
        uvicorn.Config(
            gateway,
            http="h11",
            ws="websockets-sansio",
            ws_max_size=MAX_MESSAGE,
            ws_ping_interval=None,  # as API Gateway, which sends none
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_REQUEST_SECONDS,
        )
    )

    def stopping() -> None:
        gateway.closing = True
        poller.stop(timeout=0)
        scheduler.stop(timeout=0)

    server.stopping = stopping
    poller.start()
    scheduler.start()
    asyncio.run(server.serve(sockets=[socket.socket(fileno=int(os.environ["QUINTET_LISTEN_FD"]))]))
    poller.stop(_BATCH_SECONDS)
    scheduler.stop(_BATCH_SECONDS)
    sys.stdout.flush()
    os._exit(0)  # an invocation that is stuck must not keep us


class _Server(uvicorn.Server):
    """Before it stops it tells clients not to use their connections again, so that none is cut with a request on it."""

    stopping: Callable[[], None]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not uvicorn's own way, which ends the process by the same signal afterwards: there is more to stop.
        self.stopping()
        threading.Timer(_CLOSING_SECONDS, setattr, (self, "should_exit", True)).start()


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
