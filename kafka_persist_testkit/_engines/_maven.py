"""Maven Central through jgo's Python resolver. The only module that imports jgo."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from jgo.maven import MavenContext, PythonResolver
from jgo.parse import Coordinate

REPOSITORY_VARIABLE = "KAFKA_PERSIST_TEST_MAVEN"
_TIMEOUT = 60


def download(coordinate: str, into: Path) -> Path:
    """Fetch one artifact and return its path below `into`.

    Args:
        coordinate: `group:artifact:version`.
        into: A directory of the caller's own, laid out as a Maven repository.
    """
    group, artifact, version = coordinate.split(":")
    path: Path = _context(into).project(group, artifact).at_version(version).artifact().resolve()
    return path


def with_dependencies(coordinates: Sequence[str], into: Path) -> list[str]:
    """Name the artifacts and everything that they need at run time, sorted.

    Args:
        coordinates: `group:artifact:version`, each.
        into: Where the descriptions (POMs) are kept.
    """
    context = _context(into)
    # "!": its own wishes for the versions of others do not count (log4j wishes for an old kafka-clients).
    roots = [context.create_dependency(Coordinate.parse(f"{coordinate}!")) for coordinate in coordinates]
    given, needed = context.resolver.resolve(roots)
    return sorted(f"{item.groupId}:{item.artifactId}:{item.version}" for item in [*given, *needed])


def _context(into: Path) -> MavenContext:
    mirror = os.environ.get(REPOSITORY_VARIABLE)
    return MavenContext(
        resolver=PythonResolver(),
        repo_cache=into,
        local_repos=[],
        remote_repos={"mirror": mirror} if mirror else None,
        timeout=_TIMEOUT,
    )
