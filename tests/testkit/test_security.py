"""What a test server with security asks for: its settings, its issuer of tokens, its certificates; and mTLS on KRaft."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import stat
import time
import urllib.error
import urllib.request

import pytest
from confluent_kafka import KafkaError, Producer

from kafka_persist_testkit import InvalidSettings, Security, ServerStateError, TestServer
from kafka_persist_testkit._certificates import Certificates
from kafka_persist_testkit._issuer import Issuer

QUIET = logging.getLogger("kafka-clients")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "say what is asked for"),
        ({"sasl": "GSSAPI"}, "sasl must be of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, got 'GSSAPI'"),
        ({"tls": True, "users": ["alice"]}, "users and acls need sasl or mutual_tls"),
        ({"sasl": "PLAIN", "users": ["a b"]}, "'a b' must be letters, digits and _"),
    ],
)
def test_security_that_cannot_be_is_refused(settings, message):
    with pytest.raises(InvalidSettings, match=message):
        Security(**settings)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"controllers": 1}, "controllers need mode='kraft'"),
        ({"mode": "kraft", "controllers": -1}, "controllers must be at least 0, got -1"),
    ],
)
def test_controllers_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(InvalidSettings, match=message):
        TestServer(**arguments)


@pytest.mark.broker
def test_a_server_without_security_has_no_users_and_says_how_to_get_them(zookeeper_server):
    assert zookeeper_server.controller() == 1
    for ask in (
        lambda: zookeeper_server.client_config("alice"),
        lambda: zookeeper_server.issuer,
        lambda: zookeeper_server.certificates,
    ):
        with pytest.raises(ServerStateError, match=r"TestServer\(security=Security\(...\)\) does"):
            ask()
    with pytest.raises(InvalidSettings, match=r"name one resource: topic, group, transactional_id, cluster; got none"):
        zookeeper_server.allow("alice", "read")
    with pytest.raises(InvalidSettings, match=r"no operation 'reed'; there are all, read"):
        zookeeper_server.allow("alice", "reed", topic="t")


@pytest.fixture
def issuer():
    one = Issuer({"alice": "secret"})
    yield one
    one.close()


def token_for(issuer, secret):
    login = base64.b64encode(f"alice:{secret}".encode()).decode()
    request = urllib.request.Request(f"{issuer.url}/token", b"", {"Authorization": f"Basic {login}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["access_token"]


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_a_token_is_signed_with_the_key_that_brokers_are_given(issuer):
    head, claims, signature = token_for(issuer, "secret").split(".")
    with urllib.request.urlopen(f"{issuer.url}/keys", timeout=10) as answer:
        (key,) = json.load(answer)["keys"]

    assert hmac.digest(decoded(key["k"]), f"{head}.{claims}".encode(), hashlib.sha256) == decoded(signature)
    assert (json.loads(decoded(claims))["sub"], json.loads(decoded(head))["kid"]) == ("alice", key["kid"])
    assert json.loads(decoded(claims))["exp"] > time.time()


def test_a_token_that_has_ended_can_be_had_too(issuer):
    claims = json.loads(decoded(issuer.token("alice", lifetime=-60).split(".")[1]))
    assert claims["iat"] < claims["exp"] < time.time()


def test_no_token_for_a_wrong_secret_or_a_revoked_user(issuer):
    def is_refused(secret):
        with pytest.raises(urllib.error.HTTPError) as caught:
            token_for(issuer, secret)
        caught.value.close()
        return caught.value.code == 401

    assert is_refused("wrong")
    issuer.revoke("alice")
    assert is_refused("secret")
    issuer.restore("alice")
    assert token_for(issuer, "secret")


def test_private_keys_are_readable_by_this_user_only(tmp_path):
    certificates = Certificates(tmp_path / "certificates", ["alice"])
    keys = [certificates.key_and_chain(name) for name in ("alice", "stranger", "broker-good", "broker-expired")]
    assert [stat.S_IMODE(key.stat().st_mode) for key in keys] == [0o600] * 4


@pytest.mark.broker
@pytest.mark.testkit
def test_with_mutual_tls_the_certificate_says_who_somebody_is():
    """On KRaft, whose authorizer is another one than ZooKeeper's."""
    security = Security(mutual_tls=True, users=["alice", "bob"], acls=True)
    with TestServer("kraft", security=security, topics=["t"], startup_timeout=180.0) as server:
        server.allow("alice", "write", topic="t")
        stranger = str(server.certificates.key_and_chain("stranger"))
        unknown = {"ssl.key.location": stranger, "ssl.certificate.location": stranger}

        assert write(server.client_config("alice")) == [None]
        assert write(server.client_config()) == [None], "the super user"
        assert write(server.client_config("bob")) == [KafkaError.TOPIC_AUTHORIZATION_FAILED]
        assert write(server.client_config("alice") | unknown) == [KafkaError._MSG_TIMED_OUT]
        server.disallow("alice", "write", topic="t")
        assert write(server.client_config("alice")) == [KafkaError.TOPIC_AUTHORIZATION_FAILED]


def write(config):
    """Write one record; the error codes in the delivery reports."""
    reports = []
    with Producer({**config, "delivery.timeout.ms": 5_000, "linger.ms": 0}, logger=QUIET) as producer:
        producer.produce("t", b"value", on_delivery=lambda error, _: reports.append(error and error.code()))
        producer.flush(60)
    return reports
