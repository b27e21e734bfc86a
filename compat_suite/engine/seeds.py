"""The seed of a run."""

from __future__ import annotations

import os
import secrets


def new_seed() -> int:
    """Return a seed: from the environment (``COMPAT_SEED``), or a new one."""
    return int(os.environ.get("COMPAT_SEED") or secrets.randbelow(10**9))
