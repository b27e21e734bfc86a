"""What is a store's own code: not Python's, not Trio's, not this suite's."""

from __future__ import annotations

import importlib.util
import os
import sysconfig
from typing import Final


def _homes(*packages: str) -> tuple[str, ...]:
    """Return the folders of packages: a part of a path would also match a store's own folder of that name."""
    found = filter(None, map(importlib.util.find_spec, packages))
    return tuple(f"{folder}{os.sep}" for spec in found for folder in spec.submodule_search_locations or ())


FOREIGN: Final = ("<", *_homes("trio", "outcome", "attr", "attrs", "compat_suite", "sortedcontainers", "sniffio"))
STDLIB: Final = sysconfig.get_paths()["stdlib"]


def is_own(filename: str) -> bool:
    """Whether a file is the store's."""
    in_stdlib = filename.startswith(STDLIB) and "site-packages" not in filename and "dist-packages" not in filename
    return not in_stdlib and not filename.startswith(FOREIGN)
