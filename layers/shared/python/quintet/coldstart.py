"""The start of a process: every handler imports this first, and `observed` ends it."""

import gc
import os
import sys

# What is imported stays. Looking it over again and again, for what could be freed, takes a sixth of a cold start.
gc.disable()

# FastAPI imports it wherever it is found, for a type we do not use: 60 ms of regular expressions.
_UNUSED = "email_validator"
if _UNUSED not in sys.modules:
    sys.modules[_UNUSED] = None  # type: ignore[assignment]  # "not found", says the reference of sys.modules

# pydantic looks through every installed package for plugins.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def over() -> None:
    """Everything is loaded: the collector starts, and leaves alone what there is by now."""
    if sys.modules.get(_UNUSED, sys) is None:
        del sys.modules[_UNUSED]
    gc.freeze()
    gc.enable()
