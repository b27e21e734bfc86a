"""Secrets stay out of sight."""

import copy
import json
import logging
import pickle
import traceback

import attrs
import pytest

from kafka_persist.config import Config, EventProducerConfig, JournalConfig, Secret, SnapshotStoreConfig, load_config
from kafka_persist.errors import ConfigError

CANARY = "c4n4ry"
SECRETS = (
    "sasl.username",
    "sasl.password",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.assertion.private.key.pem",
    "sasl.oauthbearer.assertion.private.key.passphrase",
)


@pytest.fixture
def config():
    secrets = dict.fromkeys(SECRETS, CANARY)
    return Config(
        journal=JournalConfig(
            client=secrets, consumer=secrets, producer=secrets, event_producer=EventProducerConfig(properties=secrets)
        ),
        snapshot_store=SnapshotStoreConfig(client=secrets),
        test_server={"kafka.ssl.keystore.password": CANARY, "kafka.listener.name.x.sasl.jaas.config": CANARY},
    )


SHOWN = {
    "repr": repr,
    "str": str,
    "format": "{}".format,
    "old format": lambda config: "%s %r" % (config, config),  # noqa: UP031
    "asdict": lambda config: str(attrs.asdict(config)),
    "astuple": lambda config: str(attrs.astuple(config)),
    "copy": lambda config: repr(copy.deepcopy(config)),
    "shallow copy": lambda config: repr([copy.copy(config), copy.copy(config.journal.client["sasl.password"])]),
    "evolve": lambda config: repr(attrs.evolve(config, test_server={})),
    "plain dictionary": lambda config: str(dict(config.journal.client)) + f"{list(config.journal.client.values())}",
    "item": lambda config: f"{config.journal.client['sasl.password']}",
    "json": lambda config: json.dumps(dict(config.journal.client), default=str),
    "producer": lambda config: repr(config.journal.producer_properties()),
    "consumer": lambda config: repr(config.snapshot_store.consumer_properties()),
}


@pytest.mark.parametrize("show", SHOWN.values(), ids=SHOWN)
def test_no_secret_is_shown(config, show):
    """However a configuration is printed, secrets are ***."""
    shown = show(config)
    assert CANARY not in shown
    assert "***" in shown


def test_no_secret_is_logged(config, caplog):
    """A configuration in a log line, or in the locals of a traceback, shows no secret."""
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").debug("opened with %s, %r", config, config.journal)

    def fail(config):
        raise RuntimeError(str(config.journal))

    try:
        fail(config)
    except RuntimeError as error:
        report = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert CANARY not in caplog.text + report


def test_secrets_are_not_pickled(config):
    """A configuration with secrets cannot be pickled; one without can."""
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(config)
    assert pickle.loads(pickle.dumps(Config())) == Config()


def test_clients_get_the_secret(config):
    """What clients are opened with has the values in clear."""
    for properties in (
        config.journal.producer_properties(),
        config.journal.consumer_properties(),
        config.journal.event_producer_properties(),
        config.journal.client_properties(),
        config.snapshot_store.client_properties(),
    ):
        assert {str(properties[name]) for name in SECRETS} == {CANARY}  # librdkafka's binding calls str
        assert {type(str(properties[name])) for name in SECRETS} == {str}


def test_test_server_gets_its_secret(config):
    """The settings of the test server have the values in clear, and do not print them."""
    assert config.test_server["kafka.ssl.keystore.password"] == CANARY


def test_a_secret_is_given_on_request():
    """`Secret` reveals its value, and equals another of the same value."""
    client = JournalConfig(client={"sasl.password": CANARY}).client
    assert client["sasl.password"].reveal() == CANARY
    assert client["sasl.password"] == Secret(CANARY)
    assert client["sasl.password"] != CANARY
    assert JournalConfig(client={"sasl.password": Secret(CANARY)}).client == client
    assert len({Secret(CANARY), Secret(CANARY)}) == 1


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("value", [[CANARY], {"x": CANARY}])
def test_no_error_has_a_secret(name, value):
    """A secret of the wrong kind is refused without being shown."""
    with pytest.raises(ConfigError, match="must be text") as caught:
        JournalConfig(client={name: value})
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "text",
    [
        f"kafka-journal.client.sasl.password = ['{CANARY}']",
        f"kafka-journal.client.sasl.pasword = '{CANARY}'",
        f"kafka-journal.client.sasl.jaas.config = '{CANARY}'",
        f"kafka-journal.sasl.password = '{CANARY}'",
        f"kafka-journal.client.sasl.password = '{CANARY}' x",
        f"kafka-journal.client.sasl.password = '{CANARY}'\nkafka-journal.partition = -1",
        f"kafka-journal.client.sasl.password = '{CANARY}'\nkafka-journal.client.enable.ssl.certificate.verification = false",
    ],
)
def test_no_error_of_a_file_has_a_secret(tmp_path, text):
    """Whatever is wrong in a file, its secrets are in no message and no traceback."""
    path = tmp_path / "bank.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ={})
    error = caught.value
    report = "".join(traceback.TracebackException.from_exception(error).format())
    assert CANARY not in f"{error} {error!r} {report}"


def test_a_secret_from_the_environment():
    """A password given in the environment is a secret like any other."""
    config = load_config(environ={"KAFKA_PERSIST__KAFKA_JOURNAL__CLIENT__SASL_PASSWORD": CANARY})
    assert CANARY not in repr(config)
    assert config.journal.client_properties()["sasl.password"] == CANARY
