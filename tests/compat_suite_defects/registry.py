"""The list of defects: what is wrong with a store, of which class it is, and the case that finds it."""

import importlib

import attrs

CLASSES = (
    "numbers",
    "ids",
    "fidelity",
    "aliasing",
    "two stores",
    "races",
    "crashes",
    "cancellation",
    "resources",
)
DEFECTS = {}
NEVER_ENDS = "did not end"
MODULES = (
    *(f"{store}_{kind}" for store in ("pool", "file", "key_value") for kind in ("values", "processes")),
    "second_look",
)


@attrs.frozen
class Defect:
    """One defective store.

    Attributes:
        name: of its class.
        about: the class of defects it belongs to.
        what: what it does wrong.
        kind: "journal" or "snapshots".
        found_by: the case that finds it.
        clue: what the message must say, so that it leads to the defect.
        store: the class.
    """

    name: str
    about: str
    what: str
    kind: str
    found_by: str
    clue: str
    store: type

    @property
    def scale(self):
        """Factor on the deadlines: what never ends is waited for shortly, everything else gets time on a busy machine."""
        return 0.2 if self.clue == NEVER_ENDS else 3.0

    @property
    def varies(self):
        """Whether chance has a part in it: generated values, or what happens at the same moment."""
        return self.about in {"races", "cancellation", "aliasing"} or "nested" in self.found_by


def defect(about, what, found_by, clue, kind="journal"):
    """Register a store as defective."""
    assert about in CLASSES

    def add(store):
        assert store.__name__ not in DEFECTS
        DEFECTS[store.__name__] = Defect(store.__name__, about, what, kind, f"test_{found_by}", clue, store)
        return store

    return add


def all_defects():
    for name in MODULES:
        importlib.import_module(f"{__package__}.{name}")
    return DEFECTS
