"""Ordinary load: tens of entities that write, are closed, opened elsewhere, snapshotted, cut and published, and what they were told.

Everybody keeps books: what was acknowledged, and the one batch whose outcome is unknown. Whatever is read anywhere is compared with
them, exactly. Each entity is worked at by one task at a time, so the books know the one right answer.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import attrs
import trio

from kafka_persist import Entity, Persistence
from kafka_persist.errors import BrokerError, PersistenceError, WriteOutcomeUnknown

from .times import GRACE, LIMITS, Lateness

NOTHING_COMES = 60.0
"""Without another event for so long, those that are missing will not come; a guard against hanging."""

ACCOUNTS = 16
NEWCOMERS = 6
LOADERS = 3
READERS = 2
PACE = 0.1
KEEP = 5
"""Events behind a snapshot that a deletion leaves."""


def append(state: list[int], event: int) -> list[int]:
    """The state is the list of all events: nothing can be lost, doubled or swapped without being seen."""
    return [*state, event]


@attrs.define(eq=False)
class Book:
    """What an entity was told.

    Attributes:
        known: the events that are certainly stored, in their order.
        doubt: those of the last write, if its outcome is unknown.
        saved: the number of the newest snapshot whose save was acknowledged.
        floor: up to where events may have been deleted.
        rounds: how many writes were acknowledged; begun: when the last of them was called.
        errors: how many errors its calls met.
    """

    pid: str
    known: list[int] = attrs.field(factory=list)
    doubt: list[int] = attrs.field(factory=list)
    saved: int = 0
    floor: int = 0
    rounds: int = 0
    begun: float = 0.0
    errors: int = 0

    def settle(self, state: list[int]) -> str | None:
        """An opening has decided; what is wrong with its state, if anything."""
        if state not in (self.known, self.known + self.doubt):
            return f"{self.pid} opened as {difference(self.known, state)}; in doubt was {self.doubt}"
        self.known, self.doubt = list(state), []
        return None

    def is_prefix(self, state: list[int]) -> bool:
        return state == (self.known + self.doubt)[: len(state)]


def difference(known: list[int], state: list[int]) -> str:
    same = next((place for place, pair in enumerate(zip(known, state, strict=False)) if len(set(pair)) == 2), None)
    place = min(len(known), len(state)) if same is None else same
    return f"{len(state)} events where {len(known)} are known; from {place}: {state[place : place + 5]}, {known[place : place + 5]}"


class Load:
    """Runs tasks on three persistences, as three processes would; `problems` is empty when every promise was kept."""

    def __init__(self, cluster, prefix: str, topic: str) -> None:
        self._cluster, self._prefix, self._topic = cluster, prefix, topic
        self.books: dict[str, Book] = {}
        self.problems: list[str] = []
        self.passing: Counter[str] = Counter()
        self.words: dict[str, str] = {}
        self.slowest: defaultdict[str, float] = defaultdict(float)
        self.consumed: defaultdict[str, list[int]] = defaultdict(list)
        self._calls: dict[int, tuple[str, str, float]] = {}
        self._count = itertools.count(1)
        self._stopping = False
        self._late = Lateness()

    @property
    def accounts(self) -> list[Book]:
        return [self.books[f"account-{number}"] for number in range(ACCOUNTS)]

    def report(self) -> str:
        """For the message of an assertion that fails."""
        slowest = {what: round(took, 1) for what, took in self.slowest.items()}
        words = "\n  ".join(f"{self.passing[name]} x {text}" for name, text in self.words.items())
        late = f"the process was late by {self._late.seconds:.1f} s in all"
        return "\n".join([*self.problems[:20], f"slowest: {slowest}, {late}", f"passing errors:\n  {words}"])

    # --- the frame ----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self):
        """Work in the background; at the end everybody finishes a round, and everything closes."""
        for number in range(ACCOUNTS):
            self._book(f"account-{number}")
        async with trio.open_nursery() as around, AsyncExitStack() as stack:
            around.start_soon(self._late.measure)
            stack.callback(around.cancel_scope.cancel)
            *homes, library = [await stack.enter_async_context(self._cluster.open(self._prefix)) for _ in range(3)]
            async with trio.open_nursery() as nursery:
                for book in self.accounts:
                    nursery.start_soon(self._account, homes, book)
                for number in range(NEWCOMERS):
                    nursery.start_soon(self._newcomers, homes[number % 2], number)
                for number in range(LOADERS):
                    nursery.start_soon(self._loader, homes[number % 2])
                for number in range(READERS):
                    nursery.start_soon(self._reader, library, number)
                nursery.start_soon(self._consumer, homes[0])
                yield self
                self._stopping = True
                nursery.start_soon(self._see_that_all_end, nursery)
            leaving = self.timed("close", "")
            leaving.__enter__()
            stack.push(leaving.__exit__)
        assert not self.problems, self.report()

    async def _see_that_all_end(self, nursery: trio.Nursery) -> None:
        """A call that does not end is a problem to report, not one to wait for."""
        with trio.move_on_after(sum(LIMITS.values())):
            while len(nursery.child_tasks) > 2:  # noqa: ASYNC110 - the consumer, which waits for ever, and this one
                await trio.sleep(0.1)
        for what, pid, began in self._calls.values():
            self.problems.append(f"{what} of {pid} has not ended after {trio.current_time() - began:.0f} s")
        nursery.cancel_scope.cancel()

    async def goes_on(self, *, new_ids: bool = True) -> None:
        """Wait until every account and every newcomer's task has stored something that was not even begun when this was called.

        Args:
            new_ids: whether there can be any. Kafka makes no topic with three copies while it has two brokers; only KRaft does.
        """
        before = {book.pid: book.rounds for book in self.accounts}
        new = [len(self._of(number)) for number in range(NEWCOMERS)] if new_ids else []
        with trio.move_on_after(2 * sum(LIMITS.values())) as patience:
            while not (
                all(book.saved and book.rounds >= before[book.pid] + 2 for book in self.accounts)
                and all(len(self._of(number)) >= count + 2 for number, count in enumerate(new))
            ):
                if self.problems:
                    return  # `running` tells them, when everything is closed
                await trio.sleep(0.05)
        if patience.cancelled_caught:
            stuck = [book.pid for book in self.accounts if book.rounds < before[book.pid] + 2]
            self.problems.append(f"no progress: {stuck}, calls {sorted(self._calls.values())}")

    async def everybody_meets_an_error(self) -> None:
        """Wait until a call of each account has failed."""
        before = {book.pid: book.errors for book in self.accounts}
        with trio.move_on_after(2 * sum(LIMITS.values())) as patience:
            while not self.problems and any(book.errors == before[book.pid] for book in self.accounts):  # noqa: ASYNC110
                await trio.sleep(0.05)
        if patience.cancelled_caught:
            self.problems.append(f"no error: {[book.pid for book in self.accounts if book.errors == before[book.pid]]}")

    def _book(self, pid: str) -> Book:
        return self.books.setdefault(pid, Book(pid))

    def _of(self, number: int) -> list[str]:
        return [pid for pid, book in self.books.items() if pid.startswith(f"new-{number}-") and book.rounds]

    @contextmanager
    def timed(self, what: str, pid: str):
        """A call: it ends in time, whatever comes of it."""
        call, began, late = next(self._count), trio.current_time(), self._late.seconds
        self._calls[call] = (what, pid, began)
        try:
            yield
        finally:
            late = self._late.seconds - late
            took = trio.current_time() - began - late
            del self._calls[call]
            self.slowest[what] = max(self.slowest[what], took)
            if took > LIMITS[what] + GRACE:
                self.problems.append(
                    f"{what} of {pid} took {took:.1f} s, beside {late:.1f} s in which this process did not run; "
                    f"{LIMITS[what]:g} s are configured"
                )

    def note(self, error: PersistenceError, book: Book | None = None) -> None:
        """While brokers are away errors may come; they say that they pass, or that an opening decides."""
        if book is not None:
            book.errors += 1
        name = type(error).__name__
        self.passing[name] += 1
        self.words.setdefault(name, f"{name}: {error}")
        if not (error.retriable or isinstance(error, WriteOutcomeUnknown)):
            self.problems.append(f"not retriable: {name}: {error}")

    # --- the tasks ----------------------------------------------------------------------------------------------

    async def _account(self, homes: list[Persistence], book: Book) -> None:
        """An id that lives long: opened here and there, snapshots, deletions."""
        for home in itertools.cycle(homes):
            await self._visit(home, book, rounds=5, snapshot=True)
            if self._stopping:
                return

    async def _newcomers(self, home: Persistence, number: int) -> None:
        """New ids all the time; some are visited again."""
        for count in itertools.count():
            await self._visit(home, self._book(f"new-{number}-{count}"), rounds=1)
            if count % 4 == 3:
                await self._visit(home, self._book(f"new-{number}-{count - 2}"), rounds=1)
            if self._stopping:
                return

    async def _visit(self, home: Persistence, book: Book, *, rounds: int, snapshot: bool = False) -> None:
        """Open, work, close; again if that failed: the plain retry loop of a program."""
        while True:
            try:
                async with self._opened(home, book) as entity:
                    for _ in range(rounds):
                        await self._persist(entity, book)
                        await trio.sleep(PACE)
                    if snapshot:
                        await self._save(entity, book)
            except PersistenceError as error:
                self.note(error, book)
                await trio.sleep(0.2)
                if self._stopping and self.problems:
                    return
            else:
                return

    @asynccontextmanager
    async def _opened(self, home: Persistence, book: Book):
        opening = home.entity(book.pid, initial=[], evolve=append, snapshot_every=20)
        with self.timed("open", book.pid):
            entity = await opening.__aenter__()
        async with AsyncExitStack() as stack:
            stack.push_async_exit(opening.__aexit__)
            if wrong := book.settle(entity.state):
                self.problems.append(wrong)
                book.known = list(entity.state)  # once is enough
            yield entity

    async def _persist(self, entity: Entity, book: Book) -> None:
        batch = [next(self._count) for _ in range(1 + len(book.known) % 3)]
        while True:
            began = trio.current_time()
            try:
                with self.timed("persist", book.pid):
                    await entity.persist(*batch)
            except WriteOutcomeUnknown:
                book.doubt = batch
                raise
            except BrokerError as error:  # certainly not stored; the entity goes on
                if not error.retriable:
                    raise
                self.note(error, book)
                await trio.sleep(0.2)
            else:
                book.known += batch
                book.rounds, book.begun = book.rounds + 1, began
                return

    async def _save(self, entity: Entity, book: Book) -> None:
        with self.timed("save", book.pid):
            metadata = await entity.save_snapshot()
        book.saved = metadata.sequence_nr
        book.floor = max(book.floor, book.saved - KEEP)
        with self.timed("delete", book.pid):
            await entity.delete_events_to(book.floor)

    async def _loader(self, home: Persistence) -> None:
        """Loads snapshots: one that was saved is there, and is what it was."""
        for book in itertools.cycle(self.accounts):
            if self._stopping:
                return
            await self.load(home, book)
            await trio.sleep(PACE)

    async def load(self, home: Persistence, book: Book) -> None:
        """Load an account's snapshot and compare it with its book."""
        saved = book.saved
        try:
            with self.timed("load", book.pid):
                found = await home.snapshot_store.load(book.pid)
        except PersistenceError as error:
            self.note(error)
            await trio.sleep(0.2)
            return
        if found is None:
            if saved:
                self.problems.append(f"{book.pid}: snapshot {saved} was saved, none was loaded")
        elif found.metadata.sequence_nr < saved or len(found.snapshot) != found.metadata.sequence_nr:
            self.problems.append(f"{book.pid}: snapshot {saved} was saved, {found.metadata} was loaded")
        elif not book.is_prefix(found.snapshot):
            self.problems.append(f"{book.pid}: snapshot {found.metadata.sequence_nr} is no state that there was")

    async def _reader(self, home: Persistence, number: int) -> None:
        """Replays what others write, in a process that has not seen it: what was acknowledged before is there."""
        for book in itertools.cycle(self.accounts[number::READERS]):
            if self._stopping:
                return
            known = list(book.known)
            try:
                with self.timed("replay", book.pid):
                    async with home.journal.replay(book.pid) as events:
                        found = {event.sequence_nr: event.payload async for event in events}
            except PersistenceError as error:
                self.note(error)
                await trio.sleep(0.2)
            else:
                missing = [
                    place for place in range(book.floor + 1, len(known) + 1) if found.get(place) != known[place - 1]
                ]
                if missing:
                    self.problems.append(f"{book.pid}: events {missing[:5]} of {len(known)} are missing in a replay")
            await trio.sleep(PACE)

    async def _consumer(self, home: Persistence) -> None:
        """A member of a group that reads what is published, as long as the load runs."""
        while True:
            try:
                async with home.events(self._topic, group=f"{self._prefix}group") as events:
                    async for event in events:
                        self.consumed[event.persistence_id].append(event.data)
            except PersistenceError as error:
                self.note(error)
                await trio.sleep(0.2)

    # --- the end ------------------------------------------------------------------------------------------------

    async def check_everything(self) -> None:
        """A process that knows nothing finds each entity as its book says, and each event where it was published."""
        async with self._cluster.open(self._prefix) as home:
            async with trio.open_nursery() as nursery:
                for book in self.books.values():
                    nursery.start_soon(self._check_entity, home, book)
            assert not self.problems, self.report()
            await self._check_published(home)
        assert not self.problems, self.report()

    async def _check_entity(self, home: Persistence, book: Book) -> None:
        await self._visit(home, book, rounds=0)
        async with home.journal.replay(book.pid) as events:
            found = {event.sequence_nr: event.payload async for event in events}
        wanted = dict(enumerate(book.known, 1))
        gone = [number for number in wanted if number > book.floor and number not in found]
        if gone or any(wanted.get(number) != payload for number, payload in found.items()):
            self.problems.append(f"{book.pid}: {len(found)} events, missing {gone[:5]}, {len(wanted)} were stored")

    async def _check_published(self, home: Persistence) -> None:
        """Every event is in the user-defined topic, those of an id in their order, and nothing else is."""
        missing = {pid: list(reversed(book.known)) for pid, book in self.books.items() if book.known}
        everything = {pid: set(book.known) for pid, book in self.books.items()}
        with trio.move_on_after(NOTHING_COMES) as patience:
            async with home.events(self._topic, group=f"{self._prefix}last") as events:
                while missing:
                    event = await events.receive()
                    patience.deadline = trio.current_time() + NOTHING_COMES
                    if event.data not in everything[event.persistence_id]:
                        self.problems.append(f"{event.persistence_id}: {event.data} is published, but not stored")
                    waiting = missing.get(event.persistence_id, [])
                    if waiting and waiting[-1] == event.data:
                        waiting.pop()
                        if not waiting:
                            del missing[event.persistence_id]
        if missing:
            shown = {pid: events[-1] for pid, events in list(missing.items())[:5]}
            self.problems.append(f"{len(missing)} ids have events that are not published, for example {shown}")
        for pid, seen in self.consumed.items():
            if strange := set(seen) - everything[pid]:
                self.problems.append(f"{pid}: {sorted(strange)[:5]} were consumed, but are not stored")
