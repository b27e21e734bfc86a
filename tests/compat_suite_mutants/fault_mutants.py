"""Journals that are right as long as nothing goes wrong: defects that only the fault cases find."""

from contextlib import asynccontextmanager

import trio

from compat_suite.capabilities import JOURNAL
from compat_suite.memory_faults import FaultyJournal, MemoryFaults, Network
from kafka_persist.errors import (
    BrokerError,
    ConnectError,
    WriteOutcomeUnknown,
)
from kafka_persist.memory import MemoryBackend, open_memory_journal
from kafka_persist.model import Rejection

from .registry import mutant


class FaultsMutant(MemoryFaults):
    """An adapter whose journal is defective."""

    declared = JOURNAL
    journal = FaultyJournal
    network_class = Network

    def __init__(self):
        super().__init__()
        self.network = self.network_class(self.delivery_time)

    def wrap(self, inner):
        return self.journal(inner, self.network)

    @classmethod
    @asynccontextmanager
    async def opened(cls):
        yield cls()

    @classmethod
    def plain(cls):
        return open_memory_journal(MemoryBackend())


def faults_mutant(defect, *killed_by):
    return mutant(defect, *killed_by, kind="faults")


class _UnknownIs(FaultyJournal):
    async def _write(self, write):
        try:
            return await super()._write(write)
        except WriteOutcomeUnknown as error:
            return await self.answer(write, error)


@faults_mutant("a lost answer counts as stored", "test_acknowledged_events_survive_any_mix_of_faults")
class LostIsStored(FaultsMutant):
    class journal(_UnknownIs):  # noqa: N801 - takes the place of the adapter's attribute
        async def answer(self, write, error):
            self._finished.clear()


@faults_mutant("a lost answer is a rejection", "test_a_lost_acknowledgement_is_unknown")
class LostIsRejected(FaultsMutant):
    class journal(_UnknownIs):  # noqa: N801 - takes the place of the adapter's attribute
        async def answer(self, write, error):
            return Rejection(str(error))


@faults_mutant("an unknown outcome has no results", "test_an_unknown_outcome_tells_the_result_of_each_write")
class NoResultsInError(FaultsMutant):
    class journal(_UnknownIs):  # noqa: N801 - takes the place of the adapter's attribute
        async def answer(self, write, error):
            raise WriteOutcomeUnknown(str(error))


class _DownNetwork(Network):
    def check_up(self):
        pass


@faults_mutant(
    "a backend that is down looks empty",
    "test_a_backend_that_is_down_at_start_is_an_error",
    "test_reads_of_a_backend_that_is_down_are_errors",
    "test_a_delete_on_a_backend_that_is_down_is_an_error",
)
class DownLooksEmpty(FaultsMutant):
    network_class = _DownNetwork


@faults_mutant("with the backend down a write is rejected", "test_a_write_to_a_backend_that_is_down_is_no_rejection")
class DownIsRejected(FaultsMutant):
    class journal(FaultyJournal):  # noqa: N801 - takes the place of the adapter's attribute
        async def _write(self, write):
            try:
                return await super()._write(write)
            except BrokerError as error:
                return Rejection(str(error))


@faults_mutant("a replay that breaks off just ends", "test_a_replay_that_breaks_off_is_an_error")
class BreaksOffSilently(FaultsMutant):
    class network_class(Network):  # noqa: N801 - takes the place of the adapter's attribute
        async def ask(self, persistence_id, request):
            try:
                return await super().ask(persistence_id, request)
            except ConnectError:
                if request.__name__ == "receive":
                    raise trio.EndOfChannel from None
                raise


@faults_mutant("reads ignore their caller's deadline", "test_a_read_ends_when_its_caller_gives_up")
class ReadsIgnoreDeadline(FaultsMutant):
    class network_class(Network):  # noqa: N801 - takes the place of the adapter's attribute
        async def ask(self, persistence_id, request):
            with trio.CancelScope(shield=True):
                if self.hold_of(persistence_id) is not None:
                    await trio.sleep(5)
                return await super().ask(persistence_id, request)


@faults_mutant("one slow id stops all", "test_a_slow_write_delays_no_other_id")
class SlowStopsAll(FaultsMutant):
    class network_class(Network):  # noqa: N801 - takes the place of the adapter's attribute
        def hold_of(self, persistence_id):
            return next(iter(self.held.values()), None)


@faults_mutant("highest answers during a slow write", "test_highest_waits_for_a_slow_write")
class HighestDoesNotWait(FaultsMutant):
    class journal(FaultyJournal):  # noqa: N801 - takes the place of the adapter's attribute
        async def highest_sequence_nr(self, persistence_id):
            return await self._inner.highest_sequence_nr(persistence_id)


@faults_mutant("a cancelled slow write stores a part later", "test_a_cancelled_slow_write_is_whole_or_absent")
class CancelledSlowPart(FaultsMutant):
    class network_class(Network):  # noqa: N801 - takes the place of the adapter's attribute
        async def store(self, persistence_id, request):
            if self.hold_of(persistence_id) is not None:
                with trio.CancelScope(shield=True):
                    await trio.sleep(60)
            return await super().store(persistence_id, request)
