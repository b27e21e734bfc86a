"""Who somebody is: every way to show it, and the error of each that fails. None of them is waited for."""

from __future__ import annotations

import attrs
import pytest
import trio

from kafka_persist import Config
from kafka_persist.errors import AuthenticationError, ConnectError
from kafka_persist_testkit import Security, open_test_server

from .conftest import EVERYTHING, MECHANISMS, PATIENCE, persist

pytestmark = pytest.mark.broker


async def refused(config):
    """The error of a journal that cannot be opened; it comes long before the time to connect has passed."""
    with trio.fail_after(PATIENCE), pytest.raises(AuthenticationError) as caught:
        await persist(config)
    assert not caught.value.retriable
    return str(caught.value)


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_a_user_writes_and_reads_with_each_mechanism(config, allow, kafka_prefix, mechanism):
    allow("alice", *EVERYTHING, topic=kafka_prefix, prefix=True)

    assert await persist(config("alice", mechanism), 1, 2, 3) == [1, 2, 3]
    assert await persist(config("alice", mechanism)) == [1, 2, 3]


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"])
async def test_a_wrong_password_is_refused_at_once(config, mechanism):
    assert "_AUTHENTICATION" in await refused(config("alice", mechanism, sasl_password="wrong"))
    assert "_AUTHENTICATION" in await refused(config("alice", mechanism, sasl_username="nobody"))


async def test_a_password_that_was_changed_is_refused_and_the_new_one_is_not(secured, config, allow, kafka_prefix):
    """What was written before is there for whoever has the new one."""
    allow("bob", *EVERYTHING, topic=kafka_prefix, prefix=True)
    old = config("bob")
    await persist(old, 1)

    await trio.to_thread.run_sync(secured.change_password, "bob")

    await refused(old)
    assert await persist(config("bob"), 2) == [1, 2]


async def test_a_revoked_token_is_refused_until_it_is_given_again(secured, config, allow, kafka_prefix):
    allow("alice", *EVERYTHING, topic=kafka_prefix, prefix=True)
    await persist(config("alice", "OAUTHBEARER"), 1)

    secured.issuer.revoke("alice")
    assert "OAUTHBEARER" in await refused(config("alice", "OAUTHBEARER"))

    secured.issuer.restore("alice")
    assert await persist(config("alice", "OAUTHBEARER"), 2) == [1, 2]


async def test_a_wrong_secret_gives_no_token(config):
    wrong = {"sasl.oauthbearer.client.secret": "wrong"}
    assert "OAUTHBEARER" in await refused(config("alice", "OAUTHBEARER", **wrong))


async def test_brokers_of_an_unknown_authority_are_not_talked_to(secured, config):
    stranger = {"ssl.ca.location": str(secured.certificates.wrong_authority)}
    assert "certificate verify failed" in await refused(config(**stranger))


@pytest.mark.parametrize("certificate", ["expired", "wrong-host"])
async def test_brokers_with_a_bad_certificate_are_not_talked_to(secured, config, allow, kafka_prefix, certificate):
    allow("alice", *EVERYTHING, topic=kafka_prefix, prefix=True)
    await persist(config(), 1)
    await trio.to_thread.run_sync(secured.present_certificate, certificate)
    try:
        assert "certificate verify failed" in await refused(config())
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(secured.present_certificate, "good")
    assert await persist(config(), 2) == [1, 2]


async def test_who_does_not_talk_tls_gets_no_connection(config):
    """Here librdkafka knows no more than that brokers hang up, so it is waited for; the message names what to look at."""
    plain = config(journal={"connect_timeout": 1.0}, **{"security.protocol": "sasl_plaintext"})
    with pytest.raises(ConnectError, match=r"security\.protocol") as caught:
        await persist(plain)
    assert caught.value.retriable


async def test_a_client_without_a_certificate_that_brokers_know_is_refused(config):
    """Brokers say so after the handshake (TLS 1.3), and hang up: that looked like a broker that is down, worth waiting for."""
    security = Security(mutual_tls=True, users=["alice"])
    async with open_test_server(security=security, startup_timeout=180.0) as server:
        stranger = str(server.certificates.key_and_chain("stranger"))
        known = server.client_config("alice")

        def at(**client):
            made = config().journal
            return Config(journal=attrs.evolve(made, bootstrap_servers=server.bootstrap_servers, client=client))

        known.pop("bootstrap.servers")
        none = {name: value for name, value in known.items() if name in ("security.protocol", "ssl.ca.location")}
        assert "certificate required" in await refused(at(**none))
        await refused(at(**known | {"ssl.key.location": stranger, "ssl.certificate.location": stranger}))
        assert await persist(at(**known), 1) == [1]
