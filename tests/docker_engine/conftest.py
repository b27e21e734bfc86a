"""A Docker engine of the tests' own, and the image in it: started, used and stopped here, and nothing else is touched."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import docker
import pytest

from tests.docker_engine.image import CHANGES, NAME, make_archive

PATIENCE = 120.0


@contextlib.contextmanager
def running_engine(place):
    """Run `dockerd` with everything that is its own below a directory; gives its address."""
    program = shutil.which("dockerd")
    if program is None or os.getuid() != 0:
        pytest.fail("needs dockerd (Debian: apt-get install docker.io) and root: nox -s docker")
    address = f"unix://{place / 'engine.sock'}"
    command = [
        program,
        "--iptables=false",
        "--bridge=none",
        "--data-root",
        place / "data",
        "--exec-root",
        place / "exec",
    ]
    with (place / "engine.log").open("wb") as log:
        engine = subprocess.Popen(
            [*command, "--pidfile", place / "engine.pid", "--host", address],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for_engine(engine, place / "engine.log")
        yield address
    finally:
        engine.terminate()  # it ends its containers, and its containerd
        engine.wait()
        release_mounts(place)


def wait_for_engine(engine, log):
    limit = time.monotonic() + PATIENCE
    while "API listen on" not in log.read_text("utf-8"):
        assert engine.poll() is None, log.read_text("utf-8")
        assert time.monotonic() < limit, log.read_text("utf-8")
        time.sleep(0.1)  # nothing tells


def release_mounts(place):
    """Undo what the engine has mounted and left, such as its name spaces of the network."""
    for line in Path("/proc/mounts").read_text().splitlines():
        if Path(line.split()[1]).is_relative_to(place):
            subprocess.run(["umount", "--lazy", line.split()[1]], check=True)


@pytest.fixture(scope="session", autouse=True)
def engine():
    """A client of an engine that has the image; `TestServer` finds both by their variables."""
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="docker-")))
        change = stack.enter_context(pytest.MonkeyPatch.context())
        if "DOCKER_HOST" not in os.environ:  # else it is somebody's own engine, podman for example
            change.setenv("DOCKER_HOST", stack.enter_context(running_engine(place)))
        change.setenv("KAFKA_PERSIST_TEST_DOCKER_IMAGE", NAME)
        change.setenv("KAFKA_PERSIST_TEST_STARTUP_TIMEOUT", str(3 * PATIENCE))
        client = stack.enter_context(contextlib.closing(docker.from_env()))
        if not client.images.list(NAME):
            make_archive(place / "image.tar")
            repository, _, tag = NAME.partition(":")
            client.api.import_image_from_file(str(place / "image.tar"), repository, tag, changes=list(CHANGES))
        yield client


@pytest.fixture
def containers(engine):
    """A function that lists the test servers' containers, ended ones included."""
    return lambda: {one.id for one in engine.containers.list(all=True, filters={"label": "kafka-persist-testkit"})}


@pytest.fixture
def wait_until_gone():
    """A function that waits until containers are gone: those of processes that were killed go a moment later."""

    def wait(containers, before):
        limit = time.monotonic() + PATIENCE
        while containers() > before:
            assert time.monotonic() < limit
            time.sleep(0.05)  # nothing tells

    return wait
