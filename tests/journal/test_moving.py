"""Brokers found through ZooKeeper move to another port while a journal is writing: nothing is lost, nothing fails."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest
import trio

from kafka_persist import JournalConfig, ZookeeperConfig, open_journal
from kafka_persist_testkit import TestServer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def zookeeper_port():
    return free_port()


def server_on(zookeeper_port: int, data_dir) -> TestServer:
    """The same data and the same ZooKeeper address each time, another port for the broker."""
    return TestServer(settings={"zookeeper.port": zookeeper_port}, data_dir=data_dir)


async def test_a_journal_follows_its_broker_to_another_port(zookeeper_port, tmp_path, writer, read_numbers):
    """Both of its producers do: that of the journal and that of the user-defined topics."""
    zookeeper = ZookeeperConfig(connect=f"127.0.0.1:{zookeeper_port}", sync_time=0.2)
    config = JournalConfig(zookeeper=zookeeper, delivery_timeout=60.0)
    name = writer.persistence_id
    with ExitStack() as servers, trio.fail_after(400):  # two brokers start meanwhile, on whatever machine
        first = servers.enter_context(server_on(zookeeper_port, tmp_path))
        address = first.bootstrap_servers
        async with open_journal(config) as journal:
            await journal.claim(name, writer.uuid)
            for number in range(1, 101):
                await journal.write([writer.write(number, number)])
            await trio.to_thread.run_sync(first.stop)
            second = await trio.to_thread.run_sync(servers.enter_context, server_on(zookeeper_port, tmp_path))
            assert second.bootstrap_servers != address
            for number in range(101, 201):
                await journal.write([writer.write(number, number)])
            assert await read_numbers(journal, name) == list(range(1, 201))
            await journal.publish_pending([name])
            assert journal.publishing_statistics().published >= 200


async def test_zookeeper_gone_does_not_disturb_writes(writer, read_numbers):
    with TestServer() as server:
        config = JournalConfig(zookeeper=ZookeeperConfig(connect=server.zookeeper_connect, sync_time=0.1))
        async with open_journal(config) as journal:
            await journal.claim(writer.persistence_id, writer.uuid)
            await journal.write([writer.write(1, "before")])
            server.zookeeper.pause()
            for number in range(2, 50):
                await journal.write([writer.write(number, "without ZooKeeper")])
            server.zookeeper.resume()
            assert await read_numbers(journal, writer.persistence_id) == list(range(1, 50))
            await journal.publish_pending([writer.persistence_id])
