"""Mistakes in a registration are found when the program starts."""

from decimal import Decimal

import attrs
import pytest

from kafka_persist.errors import UsageError
from kafka_persist.serialization import Serializer

from .shapes import Line, Paid, Renamed


@attrs.frozen
class Impossible:
    either: Paid | Line | complex


@pytest.mark.parametrize(
    ("register", "reason"),
    [
        (lambda it: it.register(Renamed), "Renamed is already registered as 'Renamed'"),
        (lambda it: it.register(Renamed, name="other"), "Renamed is already registered as 'Renamed'"),
        (lambda it: it.register(Line, name="Renamed"), "the name 'Renamed' is already that of Renamed"),
        (lambda it: it.register(dict), "dict is plain data"),
        (lambda it: it.register(Line("a", 1, Decimal(1))), "only a class"),
        (lambda it: it.register(list[int]), "only a class"),
        (lambda it: it.register(Line, name=""), "1 to 200 characters"),
        (lambda it: it.register(Line, name="x" * 201), "1 to 200 characters"),
        (lambda it: it.register(Line, name="a\nb"), "printable"),
        (lambda it: it.register(Line, name=5), "printable"),
        (lambda it: it.register(Line, version=0), "from 1 on"),
        (lambda it: it.register(Line, version=True), "from 1 on"),
        (lambda it: it.register(Line, version="2"), "from 1 on"),
        (lambda it: it.register(Line, version=3, upcasters={2: str}), r"missing \[1\], surplus \[\]"),
        (lambda it: it.register(Line, version=2), r"missing \[1\]"),
        (lambda it: it.register(Line, upcasters={1: str}), r"missing \[\], surplus \[1\]"),
        (lambda it: it.register(Line, encode=str), "belong together"),
        (lambda it: it.register(Line, decode=str), "belong together"),
        (
            lambda it: it.register(Impossible),
            r"'Impossible': the converter cannot handle Impossible.*encode= and decode=",
        ),
    ],
)
def test_a_wrong_registration_is_refused(register, reason):
    """A mistake in a registration is found when the program starts, and changes nothing."""
    serializer = Serializer()
    serializer.register(Renamed)
    with pytest.raises(UsageError, match=reason):
        register(serializer)
    assert repr(serializer) == "<Serializer: 1 types>"
