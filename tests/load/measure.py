"""Interleaved rounds."""

import statistics
from collections.abc import Callable


def interleaved(rounds: int, **actions: Callable[[], float]) -> dict[str, float]:
    """The median of what each action gives (seconds). They take turns, so that a busy machine slows them alike.

    Each is called once before for nothing: caches fill, code is compiled.
    """
    for action in actions.values():
        action()
    given: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(rounds):
        for name in list(actions)[:: 1 if number % 2 else -1]:
            given[name].append(actions[name]())
    return {name: statistics.median(values) for name, values in given.items()}
