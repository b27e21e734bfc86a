"""`TestServerSettings`: the keys of the original, and a suggestion for what is nearly one."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from kafka_persist_testkit import InvalidSettings, TestServerSettings

ORIGINAL = {
    "zookeeper": {"port": 2181, "dir": "data/zookeeper"},
    "kafka": {
        "broker.id": 7,
        "port": 6667,
        "num.partitions": 3,
        "log.cleanup.policy": "compact",
        "log.dirs": "data/kafka",
        "log.index.size.max.bytes": 1024,
    },
}


def test_every_key_of_the_original_has_a_field():
    settings = TestServerSettings.from_mapping(ORIGINAL)

    assert attrs.asdict(settings) == {
        "zookeeper_port": 2181,
        "zookeeper_dir": Path("data/zookeeper").absolute(),
        "broker_id": 7,
        "port": 6667,
        "num_partitions": 3,
        "log_cleanup_policy": "compact",
        "log_dirs": Path("data/kafka").absolute(),
        "log_index_size_max_bytes": 1024,
        "properties": {},
    }


def test_nested_and_dotted_keys_mean_the_same():
    deeply = {"kafka": {"num": {"partitions": 3}, "log": {"cleanup": {"policy": "compact"}}}}
    dotted = {"kafka.num.partitions": 3, "kafka.log.cleanup.policy": "compact"}

    assert TestServerSettings.from_mapping(deeply) == TestServerSettings.from_mapping(dotted)


def test_any_other_broker_property_is_passed_on_as_text():
    settings = TestServerSettings.from_mapping({"kafka": {"message.max.bytes": 10, "auto.create.topics.enable": True}})

    assert settings.properties == {"message.max.bytes": "10", "auto.create.topics.enable": "true"}


@pytest.mark.parametrize("port", [None, 0, "0"])
def test_no_port_means_a_free_one(port):
    assert TestServerSettings(port=port).port is None


def test_an_unknown_key_is_refused_with_a_suggestion():
    with pytest.raises(
        InvalidSettings, match=r"unknown setting test-server\.zookeper\.port; did you mean .*zookeeper\.port"
    ):
        TestServerSettings.from_mapping({"zookeper": {"port": 1}})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("kafka.port", 70000, "port must be at least 1 and at most 65535, got 70000"),
        ("kafka.port", "http", "port: expected a whole number, got 'http'"),
        ("kafka.num.partitions", 0, "num_partitions must be at least 1, got 0"),
        ("kafka.num.partitions", True, "num_partitions: expected a whole number, got True"),
        ("kafka.broker.id", -1, "broker_id must be at least 0, got -1"),
        ("kafka.log.cleanup.policy", "shred", "log_cleanup_policy must be delete, compact or both"),
        ("kafka.log.index.size.max.bytes", 3, "log_index_size_max_bytes must be at least 4, got 3"),
    ],
)
def test_an_impossible_value_is_refused_with_the_name_and_the_bound(key, value, message):
    with pytest.raises(InvalidSettings, match=message):
        TestServerSettings.from_mapping({key: value})


def test_a_property_that_has_a_field_sets_the_field():
    settings = TestServerSettings(num_partitions=1).with_properties({"num.partitions": "5", "message.max.bytes": 9})

    assert (settings.num_partitions, settings.properties) == (5, {"message.max.bytes": "9"})


def test_settings_are_frozen():
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        TestServerSettings().port = 1
