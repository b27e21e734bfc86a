"""Topics: created with the right settings, in batches; dangerous settings of existing ones are refused by name."""

from __future__ import annotations

import logging

import pytest

from kafka_persist import ConnectError, JournalConfig, TopicMissing, TopicsConfig, TopicSettingsRefused, open_journal


async def test_a_journal_topic_keeps_its_events_for_ever_and_has_small_index_files(kafka, journal, writer):
    await journal.claim(writer.persistence_id, writer.uuid)
    settings = kafka.settings(writer.persistence_id)
    assert settings["cleanup.policy"] == "delete"
    assert settings["retention.ms"] == "-1"
    assert int(settings["segment.index.bytes"]) < 1_000_000


@pytest.mark.parametrize(
    ("setting", "value"), [("cleanup_policy", "compact"), ("retention_ms", "1000"), ("retention_bytes", "1000")]
)
async def test_settings_that_lose_events_are_refused_by_name(kafka, journal, writer, setting, value):
    kafka.create(writer.persistence_id, **{"retention_ms": "-1", setting: value})
    with pytest.raises(TopicSettingsRefused, match=setting.replace("_", ".")):
        await journal.claim(writer.persistence_id, writer.uuid)


async def test_the_policy_warn_reports_them_and_goes_on(kafka, writer, caplog):
    kafka.create(writer.persistence_id, cleanup_policy="compact", retention_ms="-1")
    async with kafka.open(settings_policy="warn") as journal:
        with caplog.at_level(logging.WARNING):
            assert await journal.claim(writer.persistence_id, writer.uuid) == 0
    assert "compact" in caplog.text


async def test_missing_topics_are_an_error_where_creation_is_forbidden(kafka, writer):
    async with kafka.open(topics=TopicsConfig(create=False)) as journal:
        with pytest.raises(TopicMissing, match=writer.persistence_id):
            await journal.claim(writer.persistence_id, writer.uuid)


async def test_reading_an_unknown_id_creates_no_topic(kafka, journal, writer, read_numbers):
    assert await journal.highest_sequence_nr(writer.persistence_id) == 0
    assert await read_numbers(journal, writer.persistence_id) == []
    assert writer.persistence_id not in kafka.admin.list_topics(timeout=10).topics


async def test_many_ids_are_prepared_at_once(kafka, journal, kafka_prefix):
    names = [f"{kafka_prefix}{number}" for number in range(60)]
    await journal.prepare(names)
    assert set(names) <= set(kafka.admin.list_topics(timeout=10).topics)


async def test_without_a_broker_opening_fails_within_the_configured_time(capfd):
    config = JournalConfig(bootstrap_servers="127.0.0.1:1", connect_timeout=1.0)
    with pytest.raises(ConnectError, match=r"127\.0\.0\.1:1"):
        async with open_journal(config):
            pytest.fail("there is no broker")
    assert capfd.readouterr().err == ""
