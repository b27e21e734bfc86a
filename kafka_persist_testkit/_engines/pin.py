"""Write the jar lists anew: `python -m kafka_persist_testkit._engines.pin`, after a change of the versions below.

Only for those who work on this package: it trusts Maven Central for what the jars are, so the change in the lists is to be read.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

from ._maven import download, with_dependencies

# The last Kafka with ZooKeeper, and a Kafka without; each with a logging back end, which the core jar leaves to the distribution.
_VERSIONS = {
    "3.9.1": ["org.apache.kafka:kafka_2.13:3.9.1", "org.slf4j:slf4j-reload4j:1.7.36"],
    "4.1.0": ["org.apache.kafka:kafka_2.13:4.1.0", "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3"],
}
_HEADER = "# The jars of Apache Kafka {}: SHA-256, size in bytes, Maven coordinate. Written by {}.\n"


def pin(kafka_version: str, repository: Path) -> str:
    """Return the text of one list.

    Args:
        kafka_version: One of the versions above.
        repository: Where to download to.
    """
    lines = []
    for coordinate in with_dependencies(_VERSIONS[kafka_version], repository):
        content = download(coordinate, repository).read_bytes()
        lines.append(f"{hashlib.sha256(content).hexdigest()} {len(content)} {coordinate}\n")
    return _HEADER.format(kafka_version, "kafka_persist_testkit._engines.pin") + "".join(lines)


def main() -> None:
    """Write all lists."""
    with tempfile.TemporaryDirectory() as directory:
        for version in _VERSIONS:
            target = Path(__file__).parent / "data" / f"kafka-{version}.jars"
            target.write_text(pin(version, Path(directory)), "utf-8")
            sys.stdout.write(f"{target}\n")


if __name__ == "__main__":
    main()
