"""What options name as ``package.module:NAME``: the program's own objects, or functions and classes that make them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from ..errors import ConfigError, printable


def see_current_directory() -> None:
    """Let imports find the modules here, as ``python -m`` does and an installed script does not."""
    here = str(Path.cwd())
    if not {"", here}.intersection(sys.path):
        sys.path.insert(0, here)


def load_named(option: str, name: str, kind: type[Any]) -> Any:
    """Return the object of `kind` that `name` is, or that it makes when it is called without arguments.

    Args:
        option: the option's name, for messages.
        name: as the user gave it.
        kind: what the object must be.

    Raises:
        ConfigError: there is none.
    """
    where = f"{option} {printable(name)}"
    module_name, _, path = name.partition(":")
    if not module_name or not path:
        raise ConfigError(f"{where}: write it as package.module:NAME")
    try:
        found = importlib.import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
        made = found if isinstance(found, kind) or not callable(found) else found()
    except Exception as error:
        raise ConfigError(f"{where}: {type(error).__name__}: {error}") from error
    if not isinstance(made, kind):
        raise ConfigError(
            f"{where}: must be a {kind.__module__.split('.')[0]}.{kind.__name__}, or a function or class that makes one, "
            f"not {type(made).__name__}"
        )
    return made
