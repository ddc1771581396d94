"""The manifest on one machine: `python -m infra.local`. No Docker, no account, nothing to start before."""

import sys
from pathlib import Path

# What the layer brings to a function on AWS; here it lies in the checkout.
_SHARED = str(Path(__file__).parents[2] / "layers" / "shared" / "python")
if _SHARED not in sys.path:
    sys.path.insert(0, _SHARED)
