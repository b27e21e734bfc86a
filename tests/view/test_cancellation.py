"""A cancellation at every step of an update: no event is skipped, none is taken in twice."""

from __future__ import annotations

import trio

MOST_STEPS = 200


class CancelAtStep(trio.abc.Instrument):
    """Cancels a scope before the n-th step of the task that made this."""

    def __init__(self, scope, step):
        self.scope, self.left = scope, step
        self.task = trio.lowlevel.current_task()

    def before_task_step(self, task):
        if task is self.task:
            self.left -= 1
            if self.left == 0:
                self.scope.cancel()


async def test_an_update_goes_on_where_it_was_cancelled(memory, entity, view):
    events = list(range(10))
    async with memory.open() as persistence:
        async with entity(persistence) as account:
            await account.persist(*events)
        await persistence.journal.delete_to("unknown", 1)
        for step in range(1, MOST_STEPS):
            async with view(persistence, "unwritten") as statement:
                statement._fold.persistence_id = "account"
                with trio.CancelScope() as scope:
                    instrument = CancelAtStep(scope, step)
                    trio.lowlevel.add_instrument(instrument)
                    await statement.update()
                trio.lowlevel.remove_instrument(instrument)
                assert statement.state == events[: statement.sequence_nr]
                await statement.update()
                assert (statement.state, statement.sequence_nr) == (events, 10)
            if instrument.left > 0:
                return
    raise AssertionError("never came to its end")
