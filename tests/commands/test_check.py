"""``python -m kafka_persist check``: the original's configuration hints as checks, on a real broker."""

from __future__ import annotations

import json

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from kafka_persist import Config, EventProducerConfig, JournalConfig
from kafka_persist.__main__ import main
from kafka_persist._commands.hints import BROKER_HINTS, TRANSACTION_HINTS, Verdict, judge

GOOD = {
    "num.partitions": "1",
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "unclean.leader.election.enable": "false",
    "message.max.bytes": "1048588",
    "replica.fetch.max.bytes": "1048576",
    "auto.create.topics.enable": "false",
    "log.cleanup.policy": "delete",
}


def verdicts(**changes: str) -> dict[str, Verdict]:
    settings = GOOD | {name.replace("_", "."): value for name, value in changes.items()}
    return {each.setting: each.verdict for each in judge(BROKER_HINTS, "broker 1", settings, Config(), 3)}


def test_good_settings_are_all_fine():
    assert set(verdicts().values()) == {Verdict.OK}


@pytest.mark.parametrize(
    ("setting", "value", "verdict"),
    [
        ("num.partitions", "8", Verdict.ADVICE),
        ("default.replication.factor", "1", Verdict.DANGER),
        ("min.insync.replicas", "1", Verdict.DANGER),
        ("unclean.leader.election.enable", "true", Verdict.DANGER),
        ("message.max.bytes", "1000", Verdict.DANGER),
        ("replica.fetch.max.bytes", "1000", Verdict.ADVICE),
        ("auto.create.topics.enable", "true", Verdict.ADVICE),
        ("log.cleanup.policy", "compact", Verdict.ADVICE),
    ],
)
def test_each_bad_setting_is_found(setting, value, verdict):
    found = {each.setting: each for each in judge(BROKER_HINTS, "b", GOOD | {setting: value}, Config(), 3)}
    assert found[setting].verdict is verdict
    assert found[setting].fix
    assert all(each.verdict is Verdict.OK for name, each in found.items() if name != setting)


@pytest.mark.parametrize(
    ("setting", "value", "verdict"),
    [
        ("offsets.retention.minutes", "10080", Verdict.OK),
        ("offsets.retention.minutes", "1440", Verdict.ADVICE),
        ("transaction.state.log.replication.factor", "3", Verdict.OK),
        ("transaction.state.log.replication.factor", "4", Verdict.DANGER),
        ("transaction.max.timeout.ms", "900000", Verdict.OK),
        ("transaction.max.timeout.ms", "9000", Verdict.DANGER),
    ],
)
def test_what_transactions_need(setting, value, verdict):
    config = Config(journal=JournalConfig(event_producer=EventProducerConfig(mode="exactly-once")))
    found = {each.setting: each for each in judge(TRANSACTION_HINTS, "b", {setting: value}, config, 3)}
    assert found[setting].verdict is verdict


@pytest.mark.parametrize(("mode", "rows"), [("exactly-once", 1), ("at-least-once", 0)])
def test_transactions_are_looked_at_where_they_are_used(kafka_server, monkeypatch, capsys, mode, rows):
    monkeypatch.setenv("KAFKA_PERSIST__KAFKA_JOURNAL__EVENT_PRODUCER__MODE", mode)
    main(["check", "--bootstrap-servers", kafka_server.bootstrap_servers, "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert sum(each["setting"] == "offsets.retention.minutes" for each in printed) == rows


def test_a_cluster_of_one_is_in_danger_and_the_table_says_why(kafka_server, capsys):
    assert main(["check", "--bootstrap-servers", kafka_server.bootstrap_servers]) == 1
    printed = capsys.readouterr().out
    assert "DANGER" in printed
    assert "default.replication.factor" in printed
    assert "loses every event" in printed


def test_the_findings_are_there_as_json(kafka_server, capsys):
    main(["check", "--json", "--bootstrap-servers", kafka_server.bootstrap_servers])
    rows = json.loads(capsys.readouterr().out)
    assert {row["setting"] for row in rows} >= set(GOOD)
    assert all(row["why"] for row in rows)


def found_about(server, topic, capsys, replication=1, **settings):
    """Create a topic and return what is said about it: pairs of setting and verdict."""
    given = {name.replace("_", "."): value for name, value in settings.items()}
    with AdminClient({"bootstrap.servers": server.bootstrap_servers}) as admin:
        for answer in admin.create_topics([NewTopic(topic, 1, replication, config=given)]).values():
            answer.result()
    main(["check", "--json", "--bootstrap-servers", server.bootstrap_servers])
    rows = [row for row in json.loads(capsys.readouterr().out) if row["where"] == f"topic {topic}"]
    return [(row["setting"], row["verdict"]) for row in rows]


SOUND = {"cleanup_policy": "compact", "message_timestamp_type": "LogAppendTime"}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"cleanup_policy": "delete"}, [("cleanup.policy", "danger")]),
        ({"delete_retention_ms": "1000"}, [("delete.retention.ms", "danger")]),
        ({"unclean_leader_election_enable": "true"}, [("unclean.leader.election.enable", "danger")]),
        ({"message_timestamp_type": "CreateTime"}, [("message.timestamp.type", "advice")]),
    ],
)
def test_each_bad_setting_of_a_snapshot_topic_is_found(kafka_server, kafka_prefix, capsys, changes, found):
    assert found_about(kafka_server, f"snapshot-{kafka_prefix}x", capsys, **(SOUND | changes)) == found


@pytest.fixture(scope="module")
def three_brokers(kafka_server_factory):
    return kafka_server_factory("zookeeper", brokers=3, java_options=["-Xmx256m"])


@pytest.mark.parametrize(
    ("replication", "in_sync", "found"),
    [
        (3, "2", []),
        (1, "2", [("replication factor", "danger")]),
        (2, "1", [("replication factor", "danger"), ("min.insync.replicas", "danger")]),
    ],
)
def test_copies_of_topics_are_looked_at_not_only_the_brokers_defaults(
    three_brokers, kafka_prefix, capsys, replication, in_sync, found
):
    """Topics keep what they were created with, whatever the brokers' defaults are today."""
    topic = f"snapshot-{kafka_prefix}x"
    settings = SOUND | {"min_insync_replicas": in_sync}
    assert found_about(three_brokers, topic, capsys, replication, **settings) == found


def test_without_a_broker_the_exit_code_is_two(capsys):
    import os

    os.environ["KAFKA_PERSIST__KAFKA_JOURNAL__CONNECT_TIMEOUT"] = "0.5"
    try:
        assert main(["check", "--bootstrap-servers", "127.0.0.1:1"]) == 2
    finally:
        del os.environ["KAFKA_PERSIST__KAFKA_JOURNAL__CONNECT_TIMEOUT"]
    assert "127.0.0.1:1" in capsys.readouterr().out
