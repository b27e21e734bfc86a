"""Brokers found through ZooKeeper move to another port while a journal is writing: nothing is lost, nothing fails."""

from __future__ import annotations

import socket

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
    config = JournalConfig(
        zookeeper=ZookeeperConfig(connect=f"127.0.0.1:{zookeeper_port}", sync_time=0.2),
        delivery_timeout=60.0,
    )
    acknowledged: list[int] = []
    with server_on(zookeeper_port, tmp_path) as server:
        first_address = server.bootstrap_servers
        async with open_journal(config) as journal, trio.open_nursery() as nursery:
            await journal.claim(writer.persistence_id, writer.uuid)

            async def write() -> None:
                for number in range(1, 201):
                    await journal.write([writer.write(number, number)])
                    acknowledged.append(number)
                    if number == 100:
                        await trio.to_thread.run_sync(server.stop)
                        again = server_on(zookeeper_port, tmp_path)
                        await trio.to_thread.run_sync(again.start)
                        servers.append(again)

            servers: list[TestServer] = []
            try:
                with trio.fail_after(90):
                    await write()
                    assert servers[0].bootstrap_servers != first_address
                    assert await read_numbers(journal, writer.persistence_id) == acknowledged == list(range(1, 201))
            finally:
                nursery.cancel_scope.cancel(reason="the test ends")
                for each in servers:
                    each.stop()


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
