"""Formatting: a KRaft broker refuses a directory that nobody has written a cluster id into."""

from __future__ import annotations

import re
import shutil
import uuid
from base64 import urlsafe_b64encode

from kafka_persist_testkit._broker_config import Member
from kafka_persist_testkit._supervisor import Supervisor
from kafka_persist_testkit.errors import ServerFailed
from kafka_persist_testkit.nodes import Launch

from .commands import format_launch
from .distribution import Distribution
from .plan import Plan

_CLUSTER_ID = re.compile(r"^cluster\.id=(\S+)$", re.MULTILINE)
_TIMEOUT = 60.0
_META = "meta.properties"
_OF_ONE = ("node.id=", "directory.id=")


def format_directories(plan: Plan, distribution: Distribution, supervisor: Supervisor) -> None:
    """Format the directories that have not been formatted before.

    Kafka's tool, a Java program that takes longer than a broker needs to start, formats one; the others get copies.

    Raises:
        ServerFailed: Kafka's own tool failed.
    """
    cluster_id = next(filter(None, map(_cluster_id, plan.members)), None) or new_id()
    fresh = [member for member in plan.members if _cluster_id(member) is None]
    if not fresh:
        return
    first, *others = fresh
    launch = format_launch(plan, distribution, first, cluster_id)
    supervisor.spawn(launch.name, launch.argv, cwd=launch.config_path.parent, env=launch.env, log=launch.log_path)
    if not supervisor.wait_exit(launch.name, _TIMEOUT) or supervisor.exit_code(launch.name) != 0:
        raise _failure(launch, supervisor.exit_code(launch.name))
    for member in others:
        copy_format(first, member)


def copy_format(source: Member, target: Member) -> None:
    """Give a directory what the tool gave another one: the same, but for the node's id and the directory's own."""
    for path in source.log_dirs.iterdir():
        if path.name == _META:
            lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith(_OF_ONE)]
            own = [f"node.id={target.broker_id}", f"directory.id={new_id()}"]
            (target.log_dirs / _META).write_text("\n".join([*lines, *own, ""]), "utf-8")
        elif path.is_file():
            shutil.copyfile(path, target.log_dirs / path.name)


def _failure(launch: Launch, exit_code: int | None) -> ServerFailed:
    tail = tuple(launch.log_path.read_text("utf-8", "replace").splitlines()[-10:])
    return ServerFailed(
        "\n    ".join(("formatting the directory of a KRaft broker failed:", *tail)),
        process=launch.name,
        exit_code=exit_code,
        log_tail=tail,
        config_path=launch.config_path,
    )


def _cluster_id(member: Member) -> str | None:
    """Return the cluster id that a directory was formatted with."""
    try:
        match = _CLUSTER_ID.search((member.log_dirs / _META).read_text("utf-8"))
    except OSError:
        return None
    return match[1] if match else None


def new_id() -> str:
    """Return a random id (of a cluster or a directory) in Kafka's form: 16 bytes, base64 for URLs, no padding, no leading dash."""
    while True:
        text = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text
