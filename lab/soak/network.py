"""Faults of the network, made by the proxies before each broker: one before its clients, one before the other brokers.

A proxy knows where a connection leads, not where it comes from. So a broker can be cut off from all others that call it, while it still
reaches them (a one-sided cut), or all three from each other; two against one cannot be made.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

import attrs

from kafka_persist_testkit.proxy import TcpProxy
from kafka_persist_testkit.server import TestServer


@attrs.define
class Network:
    """Makes and heals one fault per call.

    Attributes:
        server: three brokers with proxies.
        chances: decides where, how and for how long.
    """

    server: TestServer
    chances: random.Random

    def cut_off_clients(self) -> str:
        """Row 20: no client reaches one of the brokers; the other brokers do."""
        broker = self.chances.choice(list(self.server.brokers))
        return f"clients from {broker.name}: {self._cut([broker.proxy], 1, 15)}"

    def cut_off_brokers(self) -> str:
        """Row 23: one, two or all of the brokers are not reached by the other brokers; by clients they are."""
        chosen = self.chances.sample(list(self.server.brokers), self.chances.choice([1, 1, 2, 3]))
        names = ", ".join(broker.name for broker in chosen)
        return f"brokers from {names}: {self._cut([broker.peers_proxy for broker in chosen], 2, 15)}"

    def swizzle(self) -> str:
        """Row 25: links are cut one by one, and heal in another order."""
        links = [link for broker in self.server.brokers for link in (broker.proxy, broker.peers_proxy)]
        chosen = self.chances.sample(links, self.chances.randint(2, len(links)))
        for link in chosen:
            self._way()(link)
            time.sleep(self.chances.uniform(0, 1.5))  # how long faults last is for the seed to say, here and below
        for link in self.chances.sample(chosen, len(chosen)):
            link.heal()
            time.sleep(self.chances.uniform(0, 1.5))
        return f"{len(chosen)} of {len(links)} links cut and healed"

    def slow_down(self) -> str:
        """Row 7: one broker answers its clients late."""
        broker = self.chances.choice(list(self.server.brokers))
        broker.proxy.latency = self.chances.uniform(0.05, 1.5)
        broker.proxy.jitter = broker.proxy.latency / 2
        seconds, told = self.chances.uniform(2, 12), f"{broker.proxy.latency:.2f} s each way"
        time.sleep(seconds)
        broker.proxy.heal()
        return f"{broker.name}: {told} for {seconds:.1f} s"

    def heal(self) -> None:
        """End all faults."""
        for broker in self.server.brokers:
            broker.proxy.heal()
            broker.peers_proxy.heal()

    def _cut(self, links: Sequence[TcpProxy], low: float, high: float) -> str:
        way, seconds = self._way(), self.chances.uniform(low, high)
        for link in links:
            way(link)
        time.sleep(seconds)
        for link in links:
            link.heal()
        return f"{way.__name__} for {seconds:.1f} s"

    def _way(self) -> Callable[[TcpProxy], None]:
        return self.chances.choice([lost, reset, deaf])


def lost(link: TcpProxy) -> None:
    """Everything is lost, connections stay."""
    link.black_hole = True


def reset(link: TcpProxy) -> None:
    """Connections are reset, those of now and new ones."""
    link.refuse = True
    link.reset()


def deaf(link: TcpProxy) -> None:
    """Requests arrive, answers are lost."""
    link.deaf = True
