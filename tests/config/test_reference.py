"""The shipped reference configuration, and the manual's account of the original's."""

import inspect
import re
import tomllib
from pathlib import Path

import pytest

from kafka_persist._config.keys import OPEN_SECTIONS, places
from kafka_persist.config import Config, JournalConfig, load_config, reference_toml
from kafka_persist.errors import ConfigError
from kafka_persist_testkit import TestServerSettings

HERE = Path(__file__).parent
MANUAL = (HERE.parents[1] / "docs" / "configuration.md").read_text()


def flat(table, prefix=""):
    for name, value in table.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def original_keys():
    """Key and value (as TOML) of akka-persistence-kafka's reference configuration."""
    lines = (HERE / "original_keys.txt").read_text().splitlines()
    for line in lines:
        if not line.startswith("#"):
            key, _, value = line.partition(" = ")
            yield key, value if value.isdigit() or value.startswith('"') else f'"{value}"'


@pytest.fixture
def reference(tmp_path):
    path = tmp_path / "reference.toml"
    path.write_text(reference_toml())
    return path


def test_reference_is_the_default(reference):
    """Loading the reference configuration gives what loading nothing gives."""
    assert load_config(reference, environ={}) == load_config(environ={}) == Config()


def test_reference_has_every_key():
    """The reference configuration has every key that is a field."""
    assert places().keys() <= dict(flat(tomllib.loads(reference_toml()))).keys()


def test_reference_has_every_default_of_the_open_sections():
    """The reference configuration shows every property that has a default, and no other."""
    config = Config()
    holders = {
        "kafka-journal": config.journal,
        "kafka-journal.topics": config.journal.topics,
        "kafka-journal.event.producer": config.journal.event_producer,
        "kafka-snapshot-store": config.snapshot_store,
        "kafka-snapshot-store.topics": config.snapshot_store.topics,
        "test-server": config,
    }
    defaults = {
        f"{path}.{name}"
        for path, (section, field) in OPEN_SECTIONS.items()
        for name in getattr(holders[section], field)
    }
    assert set(dict(flat(tomllib.loads(reference_toml())))) == defaults | places().keys()


def test_reference_gives_reasons():
    """Every key, or the group that it stands in, has a comment above it."""
    for group in re.split(r"\n\n+", reference_toml()):
        lines = [line for line in group.splitlines() if line]
        keys = [line for line in lines if not line.startswith(("#", "["))]
        if keys and not lines[0].startswith("["):
            assert lines[0].startswith("#"), group


def test_test_server_agrees():
    """The defaults of the section test-server are those of the test server itself."""
    assert TestServerSettings.from_mapping(Config().test_server) == TestServerSettings()


@pytest.mark.parametrize(("key", "value"), list(original_keys()))
def test_every_original_key_has_a_row(key, value):
    """The manual says of each of the original's keys where it is here, or why it is not."""
    assert re.search(rf"^\| `{re.escape(key)}` \| \S.* \| (Same|Follows|Refused)\b.*\. \|$", MANUAL, re.MULTILINE)


@pytest.mark.parametrize(("key", "value"), list(original_keys()))
def test_the_row_is_true(key, value, tmp_path):
    """What the manual calls the same is accepted, and what it calls refused is refused, by name and with a reason."""
    path = tmp_path / "config.toml"
    row = next(line for line in MANUAL.splitlines() if line.startswith(f"| `{key}` |"))
    here = row.split("|")[3].strip()
    if "acks" in key:
        value = '"all"'  # the original's values are another matter: see test_unsafe.py
    if key.endswith("mapper.class"):
        value = '"kafka_persist.publishing:DefaultEventTopicMapper"'
    path.write_text(f"{key} = {value}")
    if here.startswith("Refused"):
        with pytest.raises(ConfigError, match=rf"^{re.escape(str(path))}: .*has no meaning here: "):
            load_config(path, environ={})
    else:
        load_config(path, environ={})


def test_the_manual_shows_the_reference():
    """The manual contains the reference configuration itself, not a copy of it."""
    assert "```{literalinclude} ../kafka_persist/reference.toml" in MANUAL


def test_every_field_is_documented():
    """The class says of every field what it is."""
    # Cleaned, because from Python 3.13 on the compiler takes the indentation of docstrings away.
    texts = [inspect.cleandoc(str(each.__doc__)) for each in (JournalConfig, JournalConfig.__base__)]
    documented = re.findall(r"^    (\w+): ", "\n".join(texts), re.MULTILINE)
    assert {field.name for field in JournalConfig.__attrs_attrs__} == set(documented)
