"""The start of a process: every handler imports this first, and `observed` ends it."""

import gc
import os
import sys

# What is imported stays. Looking it over again and again, for what could be freed, takes a sixth of a cold start.
gc.disable()

# pydantic looks through every installed package for plugins.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

_hidden: set[str] = set()


def hide(*modules: str) -> None:
    """Let imports not find `modules`, unless they are there already, until the start is over."""
    _hidden.update(name for name in modules if name not in sys.modules)
    sys.modules.update(dict.fromkeys(_hidden))  # type: ignore[arg-type]  # None: there is no such module


def over() -> None:
    """Everything is loaded: the collector starts, and leaves alone what there is by now."""
    while _hidden:
        sys.modules.pop(_hidden.pop(), None)
    gc.freeze()
    gc.enable()
