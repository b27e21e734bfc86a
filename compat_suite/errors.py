"""What a case can end with, besides passing."""

from __future__ import annotations


class SpecError(TypeError):
    """A spec subclass or a command line is wrong: an unknown capability, or a weakened case. Raised at collection."""


class BrokenPromise(AssertionError):  # noqa: N818 - named as the verdict that people read
    """The store broke a promise of the contract; the message is the whole story."""


class FactoryError(Exception):
    """The store could not be opened or closed, or the factory is not one; says nothing about the promises."""


class NotApplicable(Exception):  # noqa: N818 - not an error: the case does not apply, and why
    """The case needs something that this subject does not have."""


class NotShown(NotApplicable):
    """The case applies, but could not show its promise: the levels that it belongs to are not shown."""


class NotGiven(NotShown):
    """The case needs an adapter that the subject does not give.

    Args:
        adapter: which one.
    """

    START = "not shown: no adapter "

    def __init__(self, adapter: str) -> None:
        super().__init__(f"{self.START}`{adapter}` was given")


class NotDeclared(NotApplicable):
    """The case needs a capability that the subject does not declare, or the other way round."""


def single(error: BaseException) -> BaseException:
    """Return the only leaf of nested exception groups; the error itself if there are several leaves or no group."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
