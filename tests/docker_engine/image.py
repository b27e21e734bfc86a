"""An image with the layout of `apache/kafka`, made from the pinned jars, because no image can be pulled where CI runs.

What the test server relies on is the official image's: `/etc/kafka/docker/run`, the translation of `KAFKA_...` variables (by the
class that does it there, `kafka.docker.KafkaDockerWrapper`), `/opt/kafka`, the volume `/var/lib/kafka/data`, an ordinary user.
What is not: Alpine (here: busybox, and the C library of this machine), and the start-up archive of classes.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from kafka_persist_testkit._engines.distribution import find_distribution
from kafka_persist_testkit._engines.plan import resources
from kafka_persist_testkit.modes import Mode

NAME = "apache/kafka:4.1.0"
USER = 1000
APPLETS = ("sh", "cat", "echo", "kill", "sleep", "id", "grep", "env")
CHANGES = ("USER appuser", 'VOLUME ["/var/lib/kafka/data"]', "EXPOSE 9092", 'CMD ["/etc/kafka/docker/run"]')
JAVA = "/opt/java/bin/java"
RUN = f"""#!/bin/sh
export CLUSTER_ID="${{CLUSTER_ID:-5L6g3nShT-eMCtK--X86sw}}"
options="$KAFKA_JVM_PERFORMANCE_OPTS -Dlog4j2.configurationFile=file:/etc/kafka/docker/log4j2.properties"
told=$({JAVA} $options -Xmx128m -cp '/opt/kafka/libs/*' kafka.docker.KafkaDockerWrapper setup \\
  --default-configs-dir /etc/kafka/docker --mounted-configs-dir /mnt/shared/config \\
  --final-configs-dir /opt/kafka/config 2>&1) || case "$told" in
  *"already formatted"*) ;;
  *) echo "$told"; exit 1 ;;
esac
exec {JAVA} $KAFKA_HEAP_OPTS $KAFKA_OPTS $options -cp '/opt/kafka/libs/*' kafka.Kafka /opt/kafka/config/server.properties
"""


def make_archive(path: Path) -> None:
    """Write the file system of the image as a tar archive."""
    kafka = find_distribution(Mode.KRAFT, None)
    runtime = kafka.java.parent.parent
    busybox = shutil.which("busybox")
    assert busybox is not None
    with tarfile.open(path, "w") as archive:
        for folder in (
            "tmp",
            "opt/kafka/config",
            "mnt/shared/config",
            "var/lib/kafka/data",
            "proc",
            "sys",
            "dev",
            "etc",
        ):
            _add(archive, folder, kind=tarfile.DIRTYPE, mode=0o1777 if folder == "tmp" else 0o755)
        _add(archive, "etc/passwd", b"root:x:0:0::/:/bin/sh\nappuser:x:1000:1000::/tmp:/bin/sh\n")
        _add(archive, "etc/kafka/docker/run", RUN.encode(), mode=0o755)
        data = resources.files("kafka_persist_testkit._engines") / "data" / "log4j2.properties"
        _add(archive, "etc/kafka/docker/log4j2.properties", data.read_bytes())
        for name in ("server.properties", "log4j2.yaml", "tools-log4j2.yaml"):
            _add(archive, f"etc/kafka/docker/{name}", b"Configuration:\n" if name.endswith("yaml") else b"")
        archive.add(Path(busybox).resolve(), "bin/busybox")
        for name in APPLETS:
            _add(archive, f"bin/{name}", kind=tarfile.SYMTYPE, target="busybox")
        for library in _libraries(
            Path(busybox), kafka.java, runtime / "lib" / "server" / "libjvm.so", runtime / "lib" / "libnio.so"
        ):
            archive.add(library.resolve(), str(library))
        archive.add(runtime, "opt/java")
        for jar in kafka.jars:
            archive.add(jar, f"opt/kafka/libs/{jar.name}")


def _add(
    archive: tarfile.TarFile,
    name: str,
    content: bytes = b"",
    *,
    kind: bytes = tarfile.REGTYPE,
    mode: int = 0o644,
    target: str = "",
) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size, info.linkname = kind, mode, len(content), target
    info.uid = info.gid = USER
    archive.addfile(info, io.BytesIO(content))


def _libraries(*programs: Path) -> set[Path]:
    """The shared libraries of this machine that some programs load."""
    found = set()
    for program in programs:
        told = subprocess.run(
            ["ldd", program], capture_output=True, text=True, check=False
        ).stdout  # busybox may be static
        found |= {Path(path) for path in re.findall(r"\s(/\S+) \(0x", told)}
    return {path for path in found if path.is_relative_to("/lib") or path.is_relative_to("/lib64")}
