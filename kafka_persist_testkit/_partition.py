"""What a cluster has decided about one partition."""

from __future__ import annotations

import attrs


@attrs.frozen
class PartitionState:
    """One partition.

    Attributes:
        topic: Whose partition.
        number: Which.
        leader: The id of its leader; -1: it has none.
        replicas: The ids of the brokers that keep it, the preferred leader first.
        in_sync: Those of them that have all that was acknowledged.
    """

    topic: str
    number: int
    leader: int
    replicas: tuple[int, ...]
    in_sync: frozenset[int]
