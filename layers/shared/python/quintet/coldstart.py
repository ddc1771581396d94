"""The start of a process: every handler imports this first, and `observed` ends it."""

import gc
import os
import sys

# What is imported stays. Looking it over again and again, for what could be freed, takes a sixth of a cold start.
gc.disable()

# FastAPI imports these wherever they are found, for types we do not use: 110 ms. None says that there are none.
_UNUSED = {name for name in ("email_validator", "pydantic.v1") if name not in sys.modules}
sys.modules.update(dict.fromkeys(_UNUSED))  # type: ignore[arg-type]

# pydantic looks through every installed package for plugins.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def over() -> None:
    """Everything is loaded: the collector starts, and leaves alone what there is by now."""
    while _UNUSED:
        sys.modules.pop(_UNUSED.pop(), None)
    gc.freeze()
    gc.enable()
