"""How the manifest is stood up: on AWS by CDK, on one machine by `infra.local`."""

import sys
from pathlib import Path

# What the layer brings to a function on AWS; here it lies in the checkout.
_SHARED = str(Path(__file__).parents[1] / "layers" / "shared" / "python")
if _SHARED not in sys.path:
    sys.path.insert(0, _SHARED)
