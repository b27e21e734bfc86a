"""What happens to one record between a process and the broker."""

from __future__ import annotations

import random

import attrs

from kafka_persist.driver import Ack, Log


@attrs.frozen
class Delivery:
    """The way of one record.

    Attributes:
        landings: seconds until each copy of it lands; none: it never does.
        answer: seconds until the answer about the last copy that landed by then; None: the answer is lost.
        with_offset: whether the answer names the offset.
        refused: the answer instead, if the broker refuses it; then nothing lands.
    """

    landings: tuple[float, ...] = (0.001,)
    answer: float | None = 0.002
    with_offset: bool = True
    refused: Ack | None = None


class Network:
    """Delivers everything once, at once."""

    def delivery(self, log: Log, value: bytes | None) -> Delivery:
        """The way that this record goes."""
        return Delivery()


class SeededNetwork(Network):
    """Loses, repeats and delays records and answers, at random from a seed.

    Args:
        seed: Where all chances come from.
        timeout: The delivery timeout of the processes: what is late is later than that.
        trouble: How many of all records do not simply arrive, from 0 to 1.
    """

    def __init__(self, seed: int, *, timeout: float, trouble: float = 0.3) -> None:
        self._random = random.Random(seed)  # noqa: S311 - chances, not secrets
        self._timeout = timeout
        self.trouble = trouble
        self.calm = False

    def delivery(self, log: Log, value: bytes | None) -> Delivery:
        """The way that this record goes."""
        chance, usual = self._random, 0.001 + self._random.random() * 0.01
        if self.calm or chance.random() > self.trouble:
            return Delivery((usual,), usual * 2)
        late = self._timeout * (1 + chance.random() * 2)
        return chance.choice(
            (
                Delivery((usual, usual * 2), usual * 3),
                Delivery((usual, late), usual * 2),
                Delivery((usual,), usual * 2, with_offset=False),
                Delivery((usual, usual * 1.5, late), usual * 2, with_offset=False),
                Delivery((usual,), None),
                Delivery((late,), None),
                Delivery((usual, late), None),
                Delivery((), None),
                Delivery((usual * 20,), usual * 40),
            )
        )
