"""Running an asynchronous body on generated examples: Hypothesis in a worker thread, each example in this Trio run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from ..errors import NotShown

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from .subject import Subject

T = TypeVar("T")


async def for_all(
    subject: Subject[Any], make_strategy: Callable[[Any], SearchStrategy[T]], body: Callable[[T], Awaitable[None]]
) -> None:
    """Call `body` with generated values; a failure is shrunk and comes out with the smallest value as a note.

    Args:
        subject: gives the number of examples and the seed (the same seed gives the same examples).
        make_strategy: gets the module ``hypothesis.strategies``.
        body: checks one value.
    """
    try:
        import hypothesis
        from hypothesis import HealthCheck, Phase, strategies
    except ImportError:
        raise NotShown("not shown: property cases need hypothesis: pip install 'kafka-persist[compat]'") from None

    subject.generated = True

    @hypothesis.seed(subject.options.seed)
    @hypothesis.settings(
        max_examples=subject.options.examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @hypothesis.given(make_strategy(strategies))
    def example(value: T) -> None:
        trio.from_thread.run(body, value)

    await trio.to_thread.run_sync(example)
