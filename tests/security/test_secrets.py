"""No secret and no payload is shown: in logs at their loudest, errors, tracebacks with locals, reprs, or what commands print."""

from __future__ import annotations

import json
import logging
import traceback
from pathlib import Path

import attrs
import pytest
import trio

from kafka_persist.__main__ import main
from kafka_persist.errors import PersistenceError

from .conftest import EVERYTHING, persist

pytestmark = pytest.mark.broker

PAYLOAD = "canary-in-a-payload"
CANARIES = {
    "sasl.username": "canary-user-name",
    "sasl.password": "canary-password",
    "ssl.key.password": "canary-key-password",
    "sasl.oauthbearer.client.secret": "canary-client-secret",
}
FOR_EACH_MECHANISM = {
    "SCRAM-SHA-512": ["sasl.username", "sasl.password", "ssl.key.password"],
    "PLAIN": ["sasl.username", "sasl.password", "ssl.key.password"],
    "OAUTHBEARER": ["sasl.oauthbearer.client.secret"],
}


@pytest.fixture
def everything_logged(caplog):
    """A function that gives all that was logged, by anybody, at the lowest level."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("kafka_persist").setLevel(logging.DEBUG)
    yield lambda: "\n".join([caplog.text, *(repr(record.__dict__) for record in caplog.records)])
    logging.getLogger("kafka_persist").setLevel(logging.NOTSET)


def told_by(error):
    """What Sentry, rich or `pytest --showlocals` would print of an error, less the frames of these tests, which know the secrets."""
    told, causes = [repr(error), str(error)], [error]
    while causes:
        each = causes.pop()
        frames = traceback.StackSummary.extract(traceback.walk_tb(each.__traceback__), capture_locals=True)
        ours = [frame for frame in frames if Path(frame.filename).parent != Path(__file__).parent]
        told += [repr(each), *traceback.StackSummary.from_list(ours).format(), *(repr(frame.locals) for frame in ours)]
        causes += [cause for cause in (each.__cause__, each.__context__) if cause is not None]
    assert any("open_journal" in text for text in told), "the frames of the library are there"
    return "\n".join(told)


def hits(text, secrets):
    return [secret for secret in secrets if secret in text]


@pytest.mark.parametrize("mechanism", FOR_EACH_MECHANISM)
async def test_a_refused_client_tells_no_secret(config, everything_logged, mechanism):
    planted = {name: CANARIES[name] for name in FOR_EACH_MECHANISM[mechanism]}
    refused = config("alice", mechanism, **planted, debug="security,broker,conf")

    with pytest.raises(PersistenceError) as caught:
        await persist(refused)

    shown = [told_by(caught.value), everything_logged(), repr(refused), repr(attrs.asdict(refused))]
    assert "SASL" in shown[1], "the client logged what it did"
    assert [hits(text, planted.values()) for text in shown] == [[]] * len(shown)


async def test_a_client_that_works_tells_neither_its_password_nor_what_it_writes(
    secured, config, allow, kafka_prefix, everything_logged
):
    allow("alice", *EVERYTHING, topic=kafka_prefix, prefix=True)
    secret = secured.client_config("alice")["sasl.password"]

    assert await persist(config(debug="security,broker,topic,msg"), PAYLOAD, PAYLOAD) == [PAYLOAD] * 2

    shown = everything_logged()
    assert "SASL" in shown
    assert hits(shown, [secret, PAYLOAD]) == []


async def test_the_command_that_checks_a_cluster_tells_no_secret(secured, tmp_path, capsys):
    """With the right password (the super user's), and with a wrong one."""
    properties = secured.client_config()
    secret = properties["sasl.password"]
    codes = []
    for password in (secret, CANARIES["sasl.password"]):
        file = tmp_path / "kafka-persist.toml"
        client = properties | {"sasl.password": password}
        servers = client.pop("bootstrap.servers")
        lines = [f"{json.dumps(name)} = {json.dumps(value)}" for name, value in client.items()]
        file.write_text(
            f'[kafka-journal]\nbootstrap.servers = "{servers}"\n[kafka-journal.client]\n' + "\n".join(lines)
        )
        codes.append(await trio.to_thread.run_sync(main, ["check", "--config", str(file)]))

    out, err = capsys.readouterr()
    assert codes[1] == 2, err
    assert codes[0] in (0, 1), err
    assert "_AUTHENTICATION" in out + err
    assert hits(out + err, [secret, CANARIES["sasl.password"]]) == []
