"""What the worker does beside answering requests: threads that go on until they are told to stop."""

import threading
import time
from collections.abc import Callable
from typing import Any


class Threads:
    """The threads of one job. What they run looks at `_stopping`."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def _add(self, target: Callable[..., None], *arguments: Any, name: str) -> None:
        self._threads.append(threading.Thread(target=target, args=arguments, name=name, daemon=True))

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float) -> None:
        """Begin nothing more, and let what is under way finish for `timeout` seconds."""
        self._stopping.set()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
