"""Defective stores: they show that each case of compat_suite finds what it is there for."""


def all_mutants():
    """Return all mutants by name."""
    from . import fault_mutants, journal_listed, journal_more, snapshot_listed, snapshot_more
    from .registry import MUTANTS

    modules = (journal_listed, journal_more, snapshot_listed, snapshot_more, fault_mutants)
    assert len(modules) == len({module.__name__ for module in modules})
    return MUTANTS
