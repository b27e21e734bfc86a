"""Environment variables."""

from collections import Counter

import pytest

from kafka_persist._config.environment import known_paths, path_of_variable
from kafka_persist.config import Config, load_config
from kafka_persist.errors import ConfigError

JOURNAL = "KAFKA_PERSIST__KAFKA_JOURNAL__"


def variable(path):
    return "KAFKA_PERSIST__" + path.upper().replace(".", "_").replace("-", "_")


def test_every_path_has_one_variable():
    """All key paths, written as variables, are different, and each leads back to its key."""
    paths = list(known_paths())
    assert [name for name, count in Counter(map(variable, paths)).items() if count > 1] == []
    assert [path for path in paths if path_of_variable(variable(path)) != path] == []


def test_the_environment_overrides_the_file(tmp_path):
    """A variable wins over the file, the file over the default; other keys of the same section stay."""
    path = tmp_path / "bank.toml"
    path.write_text("[kafka-journal]\nreaders = 3\nwrite-concurrency = 4\nproducer = { linger.ms = 1, batch.size = 9 }")
    environ = {f"{JOURNAL}READERS": "5", f"{JOURNAL}PRODUCER__LINGER_MS": "2"}
    journal = load_config(path, environ=environ).journal
    assert (journal.readers, journal.write_concurrency) == (5, 4)
    assert (journal.producer["linger.ms"], journal.producer["batch.size"]) == ("2", 9)


def test_an_override_may_use_another_name_of_the_property(tmp_path):
    """A variable replaces the file's property also under librdkafka's other name for it."""
    path = tmp_path / "bank.toml"
    path.write_text("kafka-journal.producer.linger.ms = 1")
    producer = load_config(path, environ={f"{JOURNAL}PRODUCER_QUEUE_BUFFERING_MAX_MS": "3"}).journal.producer
    assert producer["queue.buffering.max.ms"] == "3"
    assert "linger.ms" not in producer


@pytest.mark.parametrize("text", ["true", "TRUE", "True"])
def test_flags(text):
    """true and false may be written in capitals."""
    assert load_config(environ={f"{JOURNAL}ALLOW_UNSAFE": text}).journal.allow_unsafe is True


def test_kinds():
    """Texts become numbers where the key is a number; milliseconds become seconds."""
    config = load_config(
        environ={
            f"{JOURNAL}CONNECT_TIMEOUT": "2.5",
            f"{JOURNAL}MAX_WAITING_WRITES": "12",
            f"{JOURNAL}ZOOKEEPER_SESSION_TIMEOUT_MS": "1500",
            f"{JOURNAL}ZOOKEEPER_CONNECT": "zk:2181",
            "KAFKA_PERSIST__KAFKA_SNAPSHOT_STORE_PREFIX": "123",
        }
    )
    assert config.journal.connect_timeout == 2.5
    assert config.journal.max_waiting_writes == 12
    assert config.journal.zookeeper.session_timeout == 1.5
    assert config.journal.zookeeper.connect == "zk:2181"
    assert config.snapshot_store.prefix == "123"


def test_names_that_are_not_ours():
    """Settings of topics and properties of the test broker are formed by taking _ for a dot."""
    config = load_config(
        environ={
            f"{JOURNAL}TOPICS__SETTINGS__MIN_INSYNC_REPLICAS": "2",
            "KAFKA_PERSIST__TEST_SERVER__KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
            "KAFKA_PERSIST__TEST_SERVER__KAFKA__LOG_DIRS": "/data",
        }
    )
    assert config.journal.topics.settings["min.insync.replicas"] == "2"
    assert config.test_server["kafka.auto.create.topics.enable"] == "false"
    assert config.test_server["kafka.log.dirs"] == "/data"


def test_the_process_environment_is_the_default(monkeypatch):
    """Without an argument the environment of the process counts."""
    monkeypatch.setenv(f"{JOURNAL}READERS", "7")
    assert load_config().journal.readers == 7


def test_other_variables_are_not_ours():
    """Variables without the prefix, such as those of test tools, change nothing."""
    environ = {"KAFKA_PERSIST_TEST_BOOTSTRAP": "x", "KAFKA_JOURNAL_READERS": "7", "PATH": "/bin"}
    assert load_config(environ=environ) == Config()


WRONG = {
    "READRS": ("1", "names no key; did you mean KAFKA_PERSIST__KAFKA_JOURNAL_READERS?"),
    "READERS": ("many", "KAFKA_JOURNAL__READERS: kafka-journal.readers must be a whole number, not 'many'"),
    "ALLOW_UNSAFE": ("yes", "kafka-journal.allow-unsafe must be true or false, not 'yes'"),
    "PRODUCER_ENABLE_IDEMPOTENCE": ("true", "kafka-journal.producer.enable.idempotence is false: "),
    "PRODUCER_KEY_SERIALIZER_CLASS": ("x", "kafka-journal.producer.key.serializer.class has no meaning here"),
}


@pytest.mark.parametrize(("name", "value", "message"), [(name, *rest) for name, rest in WRONG.items()])
def test_errors_name_the_variable(name, value, message):
    """What is wrong in the environment is one error with the variable's name."""
    with pytest.raises(ConfigError) as caught:
        load_config(environ={JOURNAL + name: value})
    assert str(caught.value).startswith("environment variable ")
    assert message in str(caught.value)


def test_two_variables_for_one_key():
    """Two spellings of one variable are refused: nobody could say which wins."""
    environ = {f"{JOURNAL}READERS": "1", "KAFKA_PERSIST__KAFKA_JOURNAL_READERS": "2"}
    with pytest.raises(ConfigError, match=r"both set kafka-journal\.readers; keep one"):
        load_config(environ=environ)
