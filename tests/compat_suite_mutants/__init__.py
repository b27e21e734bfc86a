"""Defective stores: they show that each case of compat_suite finds what it is there for."""

import importlib

MODULES = (
    "fault_mutants",
    "journal_listed",
    "journal_writing",
    "journal_encoding",
    "journal_replay",
    "journal_deletes",
    "journal_ids",
    "journal_concurrency",
    "journal_cancellation",
    "journal_restart",
    "journal_properties",
    "journal_queries",
    "snapshot_listed",
    "snapshot_loads",
    "snapshot_changes",
    "snapshot_life",
)
"""Each registers its mutants, in the order in which the matrix shows them."""


def all_mutants():
    """Return all mutants by name."""
    from .registry import MUTANTS

    for name in MODULES:
        importlib.import_module(f"{__name__}.{name}")
    return MUTANTS
