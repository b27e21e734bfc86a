"""One incarnation of an entity."""

from __future__ import annotations

import uuid

import attrs

from kafka_persist import AtomicWrite, PersistentRepr


@attrs.define(eq=False)
class Writer:
    """Makes the atomic writes of an id, with a uuid of its own."""

    persistence_id: str
    uuid: uuid.UUID = attrs.field(factory=uuid.uuid4)

    def write(self, first, *payloads):
        """An atomic write with these payloads, numbered from `first` on."""
        return AtomicWrite(
            PersistentRepr(
                persistence_id=self.persistence_id, sequence_nr=first + place, payload=payload, writer=self.uuid
            )
            for place, payload in enumerate(payloads)
        )

    async def claim(self, journal):
        """Take the id over; its highest sequence number."""
        return await journal.claim(self.persistence_id, self.uuid)
