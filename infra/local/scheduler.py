"""EventBridge's part: invokes the scheduled functions of the manifest when they are due."""

import json
import threading
import time
from datetime import UTC, datetime, timedelta

from functions.manifest import FUNCTIONS, Need
from infra.local import terminal
from infra.local.events import schedule_event
from infra.local.invocation import Context, invoke
from infra.local.resources import keep_secret
from infra.local.schedules import following, rate
from infra.local.state import State
from infra.local.threads import Threads

_FILE = "schedules.json"
_OFTEN = timedelta(minutes=5)
_FIRST_DELAY = timedelta(seconds=15)


class Scheduler(Threads):
    """One thread per scheduled function, so none runs twice at once.

    What runs often runs at once after the start: a killed run may have left something to do. What runs seldom
    runs when its last time, which the state folder remembers, is long enough ago: laptops are not always on.
    """

    def __init__(self, state: State) -> None:
        super().__init__()
        self._state = state
        self._writing = threading.Lock()
        for name, function in FUNCTIONS.items():
            if function.schedule:
                self._add(self._keep, name, name=name)

    def _keep(self, name: str) -> None:
        expression = FUNCTIONS[name].schedule
        due = self._first(name, expression)
        while not self._stopping.wait(max(0.0, (due - datetime.now(UTC)).total_seconds())):
            self._run(name)
            due = following(expression, datetime.now(UTC))

    def _first(self, name: str, expression: str) -> datetime:
        now = datetime.now(UTC)
        period = rate(expression)
        if period is None:
            return following(expression, now)
        if period <= _OFTEN:
            return now
        last = json.loads(self._state.read(_FILE) or "{}").get(name)
        return max(now + _FIRST_DELAY, datetime.fromisoformat(last) + period if last else now)

    def _run(self, name: str) -> None:
        function = FUNCTIONS[name]
        context = Context(name, function.memory, function.timeout)
        started = time.perf_counter()
        try:
            invoke(name, schedule_event(name), context=context)
            failed = False
        except Exception as error:
            terminal.error(f"{name} failed", error)
            failed = True
        if Need.TOKEN_SECRET_ROTATE in function.needs:
            keep_secret(self._state)
        with self._writing:
            lasts = json.loads(self._state.read(_FILE) or "{}")
            self._state.write(_FILE, json.dumps({**lasts, name: datetime.now(UTC).isoformat()}))
        terminal.emit(
            "schedule",
            function=name,
            failed=failed,
            ms=round((time.perf_counter() - started) * 1000),
            request_id=context.aws_request_id,
        )
