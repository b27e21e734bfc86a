"""Brokers as they come and go, on a real ZooKeeper."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import trio
from kazoo.client import KazooClient

from kafka_persist import ConnectError, ZookeeperConfig
from kafka_persist._zookeeper.discovery import BROKERS, discover_brokers


@pytest.fixture
def hand(kafka_server):
    """ZooKeeper by hand, below a path of the test's own."""
    client = KazooClient(hosts=kafka_server.zookeeper_connect)
    client.start(timeout=10)
    yield client
    client.stop()
    client.close()


@pytest.fixture
def chroot(hand, kafka_prefix):
    path = f"/{kafka_prefix}root"
    hand.ensure_path(path + BROKERS)
    yield path
    hand.delete(path, recursive=True)


@pytest.fixture
def config(kafka_server, chroot):
    return ZookeeperConfig(connect=kafka_server.zookeeper_connect + chroot, sync_time=0.1)


def registered(host: str) -> bytes:
    return json.dumps({"version": 5, "endpoints": [f"PLAINTEXT://{host}:9092"]}).encode()


async def test_the_real_broker_is_found(kafka_server):
    config = ZookeeperConfig(connect=kafka_server.zookeeper_connect)
    async with discover_brokers(config) as discovery:
        assert ",".join(discovery.servers) == kafka_server.bootstrap_servers


async def test_brokers_below_a_chroot_come_and_go(hand, chroot, config):
    hand.create(f"{chroot}{BROKERS}/1", registered("one"))
    with trio.fail_after(20):
        async with discover_brokers(config) as discovery:
            assert discovery.servers == ("one:9092",)
            hand.create(f"{chroot}{BROKERS}/2", registered("two"))
            assert await discovery.wait_changed(("one:9092",)) == ("one:9092", "two:9092")
            hand.delete(f"{chroot}{BROKERS}/1")
            assert await discovery.wait_changed(discovery.servers) == ("two:9092",)
            hand.set(f"{chroot}{BROKERS}/2", registered("moved"))
            assert await discovery.wait_changed(discovery.servers) == ("moved:9092",)


async def test_the_last_good_list_stays_while_none_is_usable(hand, chroot, config, caplog):
    hand.create(f"{chroot}{BROKERS}/1", registered("one"))
    with trio.fail_after(20):
        async with discover_brokers(config) as discovery:
            hand.set(f"{chroot}{BROKERS}/1", b"garbage")
            while "keeping one:9092" not in caplog.text:  # noqa: ASYNC110 - the condition is another thread's
                await trio.lowlevel.checkpoint()
            assert discovery.servers == ("one:9092",)
            assert "'1'" in caplog.text
            hand.set(f"{chroot}{BROKERS}/1", registered("back"))
            assert await discovery.wait_changed(("one:9092",)) == ("back:9092",)


async def test_a_lost_session_is_made_again_and_the_watch_with_it(hand, chroot, config):
    from kazoo.client import KazooState
    from kazoo.protocol.connection import _SESSION_EXPIRED  # how kazoo's own tests end a session

    hand.create(f"{chroot}{BROKERS}/1", registered("one"))
    with trio.fail_after(30):
        async with discover_brokers(config) as discovery:
            client, states = discovery._client, []
            client.add_listener(states.append)
            client._call(_SESSION_EXPIRED, client.handler.async_result())
            while KazooState.LOST not in states or not client.connected:  # noqa: ASYNC110 - the condition is another thread's
                await trio.lowlevel.checkpoint()
            hand.create(f"{chroot}{BROKERS}/2", registered("two"))
            assert await discovery.wait_changed(("one:9092",)) == ("one:9092", "two:9092")


async def test_without_zookeeper_opening_fails_in_time_and_names_the_address():
    config = ZookeeperConfig(connect="127.0.0.1:1", connection_timeout=0.5)
    with trio.fail_after(10), pytest.raises(ConnectError, match=r"127\.0\.0\.1:1.*0\.5 s"):
        async with discover_brokers(config):
            pytest.fail("there is no ZooKeeper")


NOBODY_THERE = """
import trio
from kafka_persist import ConnectError, ZookeeperConfig
from kafka_persist._zookeeper.discovery import discover_brokers

async def main():
    try:
        async with discover_brokers(ZookeeperConfig(connect="127.0.0.1:1", connection_timeout=0.5)):
            pass
    except ConnectError:
        print("told")

trio.run(main)
"""


def test_what_the_zookeeper_client_complains_about_does_not_reach_stderr():
    """In a program that has not set up logging; the error says what matters."""
    done = subprocess.run([sys.executable, "-c", NOBODY_THERE], check=False, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("told\n", "")


async def test_without_a_usable_broker_opening_says_why(hand, chroot, config):
    hand.create(f"{chroot}{BROKERS}/1", registered("one"))
    with pytest.raises(ConnectError, match="no listener for SSL"):
        async with discover_brokers(config, "ssl"):
            pytest.fail("there is no TLS")
