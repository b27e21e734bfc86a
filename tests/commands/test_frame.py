"""``kafka-persist`` itself: versions, settings, completion, and errors of one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from kafka_persist import load_config
from kafka_persist.__main__ import main
from kafka_persist._commands.main import COMMANDS

INSTALLED = str(Path(sysconfig.get_path("scripts")) / "kafka-persist")

SETTINGS = """
[kafka-journal]
bootstrap.servers = "kafka-1:9092,kafka-2:9092"
layout = "shared"
event.producer.topic.mapper.class = "kafka_persist.publishing:EmptyEventTopicMapper"
client.security.protocol = "sasl_ssl"
client.sasl.password = "canary"
zookeeper.session.timeout.ms = 1500
topics.settings.min.insync.replicas = 2

[kafka-snapshot-store]
keep = 7
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(SETTINGS)
    return path


def printed(capsys, *arguments, code=0):
    assert main(arguments) == code
    return capsys.readouterr()


def test_the_version_is_that_of_the_distribution(capsys):
    out = printed(capsys, "--version").out
    assert out.startswith("kafka-persist ")
    assert "confluent-kafka" in out


@pytest.mark.parametrize("name", [each.name for each in COMMANDS])
def test_every_command_has_help_and_says_what_it_is_for(capsys, name):
    out = printed(capsys, name, "--help").out
    assert out.startswith(f"Usage: kafka-persist {name} ")


def test_settings_are_the_files_over_the_defaults_without_secrets(capsys, file):
    found = json.loads(printed(capsys, "config", "--config", str(file), "--json").out)
    assert found["kafka-journal.layout"] == "shared"
    assert found["kafka-journal.client.sasl.password"] == "***"
    assert found["kafka-journal.zookeeper.session.timeout.ms"] == 1500
    assert found["kafka-snapshot-store.bootstrap.servers"] == "kafka-1:9092,kafka-2:9092"
    assert found["kafka-snapshot-store.partition"] == 0


def test_only_what_differs_from_the_defaults(capsys, file):
    found = json.loads(printed(capsys, "config", "--config", str(file), "--json", "--changed").out)
    assert found["kafka-snapshot-store.keep"] == 7
    assert "kafka-snapshot-store.partition" not in found
    assert json.loads(printed(capsys, "config", "--json", "--changed").out) == {}


def test_what_is_printed_is_a_configuration_file(capsys, file, tmp_path):
    """All that it says comes back: no key is missing, and none is spelled differently."""
    file.write_text(file.read_text().replace('client.sasl.password = "canary"', ""))
    copy = tmp_path / "copy.toml"
    copy.write_text(printed(capsys, "config", "--config", str(file)).out)
    assert load_config(copy, environ={}) == load_config(file, environ={})


def test_the_environment_and_the_option_win_over_the_file(capsys, file, monkeypatch):
    monkeypatch.setenv("KAFKA_PERSIST__KAFKA_SNAPSHOT_STORE__KEEP", "9")
    out = printed(capsys, "config", "--config", str(file), "--bootstrap-servers", "other:1", "--json").out
    found = json.loads(out)
    assert found["kafka-snapshot-store.keep"] == 9
    assert found["kafka-journal.bootstrap.servers"] == "other:1"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_names_the_command(capsys, shell):
    assert "_KAFKA_PERSIST_COMPLETE" in printed(capsys, "completion", shell).out


def test_a_shell_gets_the_names_of_commands_and_options():
    """What a shell calls when the tab key is pressed."""
    env = {
        **os.environ,
        "_KAFKA_PERSIST_COMPLETE": "bash_complete",
        "COMP_WORDS": "kafka-persist publish-p",
        "COMP_CWORD": "1",
    }
    run = subprocess.run([INSTALLED], env=env, capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["plain,publish-pending"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no-such-command"], "No such command"),
        (["config", "--no-such-option"], "No such option"),
        (["config", "--config", "no-such-file.toml"], "kafka-persist config: cannot read the configuration file"),
    ],
)
def test_wrong_words_are_answered_on_standard_error_with_code_two(capsys, arguments, said):
    found = printed(capsys, *arguments, code=2)
    assert said in found.err
    assert found.out == ""


def test_a_wrong_key_is_one_line(capsys, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("kafka-journal.layuot = 'shared'")
    found = printed(capsys, "config", "--config", str(path), code=2)
    assert found.err.count("\n") == 1
    assert "kafka-journal.layuot" in found.err


def test_without_the_extra_one_line_says_what_to_install():
    program = "import sys; sys.modules['click'] = None; from kafka_persist.__main__ import main; sys.exit(main([]))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr == "kafka-persist: the command line needs an extra: pip install 'kafka-persist[cli]'\n"


def test_a_reader_that_goes_away_is_no_error():
    """``| head``: neither a traceback nor a message."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        run = subprocess.run([INSTALLED, "config"], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert (run.returncode, run.stderr) == (141, "")
