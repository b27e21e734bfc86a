"""One broker that asks for TLS and a password or token, and allows only what it was told to allow."""

from __future__ import annotations

import pytest

from kafka_persist import Config, JournalConfig, SnapshotStoreConfig, open_persistence
from kafka_persist.publishing import EmptyEventTopicMapper
from kafka_persist_testkit import Security, TestServer

MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN", "OAUTHBEARER")
EVERYTHING = ("describe", "read", "write", "create", "describe_configs", "delete")
PATIENCE = 60.0
"""Seconds; half of what the journal waits for a connection, so that what comes in time was not waited for."""


@pytest.fixture(scope="session")
def secured():
    security = Security(tls=True, sasl=MECHANISMS, users=["alice", "bob", "reader"], acls=True)
    with TestServer(security=security, startup_timeout=180.0) as server:
        yield server


@pytest.fixture
def allow(secured):
    """A function that gives a right until the end of the test."""
    given = []

    def give(user, *operations, **resource):
        secured.allow(user, *operations, **resource)
        given.append(((user, *operations), resource))

    yield give
    for words, resource in given:
        secured.disallow(*words, **resource)


@pytest.fixture
def config(secured, kafka_prefix):
    """A function that makes the configuration of a user's journal; what is named replaces properties of the client."""

    def make(user="alice", mechanism=None, *, journal=None, **client):
        properties = secured.client_config(user, mechanism=mechanism)
        servers = properties.pop("bootstrap.servers")
        changed = {name.replace("_", "."): value for name, value in client.items()}
        return Config(
            journal=JournalConfig(
                bootstrap_servers=servers,
                client=properties | changed,
                prefix=kafka_prefix,
                **({"connect_timeout": 2 * PATIENCE, "recovery_stall_timeout": 2 * PATIENCE} | (journal or {})),
            ),
            snapshot_store=SnapshotStoreConfig(prefix=f"{kafka_prefix}snapshot-"),
        )

    return make


def add(state, event):
    return [*state, event]


async def persist(config, *events, persistence_id="a", mapper=None):
    """Open everything, write events one by one with a snapshot after each two, and return the state."""
    async with open_persistence(config, event_topic_mapper=mapper or EmptyEventTopicMapper()) as persistence:
        entity = persistence.entity(persistence_id, initial=[], evolve=add, snapshot_every=2)
        async with entity as opened:
            for event in events:
                await opened.persist(event)
            return opened.state
