"""Formatting: a KRaft broker refuses a directory that nobody has written a cluster id into."""

from __future__ import annotations

import re
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


def format_directories(plan: Plan, distribution: Distribution, supervisor: Supervisor) -> None:
    """Format the directories of the brokers that have not been formatted before.

    Raises:
        ServerFailed: Kafka's own tool failed.
    """
    cluster_id = next(filter(None, map(_cluster_id, plan.members)), None) or _new_cluster_id()
    fresh = [member for member in plan.members if _cluster_id(member) is None]
    launches = [format_launch(plan, distribution, member, cluster_id) for member in fresh]
    for one in launches:
        supervisor.spawn(one.name, one.argv, cwd=one.config_path.parent, env=one.env, log=one.log_path)
    for one in launches:
        if not supervisor.wait_exit(one.name, _TIMEOUT) or supervisor.exit_code(one.name) != 0:
            raise _failure(one, supervisor.exit_code(one.name))


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
        match = _CLUSTER_ID.search((member.log_dirs / "meta.properties").read_text("utf-8"))
    except OSError:
        return None
    return match[1] if match else None


def _new_cluster_id() -> str:
    """Return a random id in Kafka's form: 16 bytes, base64 for URLs, no padding, no leading dash."""
    while True:
        text = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text
