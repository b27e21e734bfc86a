"""Which settings of an existing topic are refused."""

from __future__ import annotations

import pytest

from kafka_persist import JournalConfig, SnapshotStoreConfig, TopicsConfig
from kafka_persist._kafka.checks import problems_of
from kafka_persist._snapshots.interface import spec_of
from kafka_persist.driver import TopicSpec

SNAPSHOT = {"cleanup.policy": "compact", "delete.retention.ms": "86400000", "unclean.leader.election.enable": "false"}


def problems(found, **configured):
    """What is said about a snapshot topic with these settings; `configured` is what the user's configuration asks for."""
    unsafe = configured.get("unclean.leader.election.enable") == "true"
    config = SnapshotStoreConfig(topics=TopicsConfig(settings=configured), allow_unsafe=unsafe)
    return list(problems_of(spec_of(config, "snapshot-id", 1), SNAPSHOT | found))


def test_a_sound_snapshot_topic_has_no_problem():
    assert problems({}) == problems({"delete.retention.ms": "3600000"}) == []


def test_tombstones_that_go_before_a_load_has_ended_are_a_problem():
    """A load that began before the deletion would find the deleted snapshot."""
    (problem,) = problems({"delete.retention.ms": "1000"})
    assert "delete.retention.ms is 1000 ms" in problem


def test_a_short_time_that_the_configuration_asks_for_is_the_users():
    assert problems({"delete.retention.ms": "100"}, **{"delete.retention.ms": "100"}) == []
    assert problems({"delete.retention.ms": "99"}, **{"delete.retention.ms": "100"}) != []


@pytest.mark.parametrize("role", ["journal", "snapshot", "events"])
def test_unclean_election_is_a_problem_unless_the_configuration_allows_it(role):
    unclean = {"unclean.leader.election.enable": "true"}
    allowed = TopicSpec("t", 1, unclean, role=role)
    assert "unclean" in "".join(problems_of(TopicSpec("t", 1, {}, role=role), unclean))
    assert list(problems_of(allowed, unclean)) == []


def test_the_topics_of_the_configuration_pass_their_own_check():
    """Whatever is created is accepted when it is met again."""
    for config, role in ((JournalConfig(), "journal"), (SnapshotStoreConfig(), "snapshot")):
        settings = config.topic_settings()
        assert list(problems_of(TopicSpec("t", 1, settings, role=role), settings)) == []
