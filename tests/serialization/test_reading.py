"""What is stored is believed only if it is what the registered type would have written."""

from decimal import Decimal
from uuid import UUID

import pytest

from kafka_persist.errors import PayloadUnreadable, UnknownManifest

from .shapes import BUYER, SHOP

UNREADABLE = {
    "field missing": ("Renamed", {"old": "a"}, r"required field missing @ \$\.new"),
    "field unknown": ("Renamed", {"old": "a", "new": "b", "x": 1}, r"extra fields found \(x\)"),
    "wrong type": ("Renamed", {"old": 1, "new": "b"}, r"expected str, not .* @ \$\.old"),
    "text for a list": ("Renamed", {"old": "a", "new": "b", "steps": "12"}, r"@ \$\.steps"),
    "map for a list": ("Renamed", {"old": "a", "new": "b", "steps": {"1": 2}}, r"@ \$\.steps"),
    "list for a map": ("Renamed", ["a", "b"], "list"),
    "nothing": ("Renamed", None, "NoneType"),
    "text": ("Renamed", "x", "str"),
    "no member": ("Colour", "green", "invalid value"),
    "map as a member": ("Colour", {}, "invalid value"),
    "number as bytes": (
        "Order",
        {"number": 1, "identity": BUYER, "picture": 5},
        r"expected bytes, not .* @ \$\.picture",
    ),
    "text as a uuid": ("Order", {"number": 1, "identity": str(BUYER)}, r"expected UUID, not .* @ \$\.identity"),
    "text as a set": ("Order", {"number": 1, "identity": BUYER, "labels": "ab"}, r"@ \$\.labels"),
    "text as a pair": ("Order", {"number": 1, "identity": BUYER, "pair": "ab"}, r"@ \$\.pair"),
    "text as a place": ("Order", {"number": 1, "identity": BUYER, "place": "ab"}, r"@ \$\.place"),
    "map as pairs": ("Order", {"number": 1, "identity": BUYER, "by_number": {"1": {}}}, r"@ \$\.by_number"),
}


@pytest.mark.parametrize(("name", "data", "reason"), UNREADABLE.values(), ids=UNREADABLE)
def test_data_that_does_not_fit_is_unreadable(name, data, reason):
    """Nothing is converted on the way: other data than was written is an error that names type, version and field."""
    with pytest.raises(PayloadUnreadable, match=f"^type '{name}' version 1: .*{reason}"):
        SHOP.load(name, 1, data)


@pytest.mark.parametrize(
    "name", ["os.system", "builtins.eval", "subprocess.Popen", "Line", "dict", "__class__", "x" * 999]
)
def test_a_type_is_never_looked_up_elsewhere(name):
    """A name that was not registered is unknown, whatever it means to Python; the message says what to register."""
    with pytest.raises(UnknownManifest, match=r"is not registered: call serializer\.register\(YourClass, name="):
        SHOP.load(name, 1, "ls")


def colliding(make, count=200):
    return [make(number * (2**61 - 1)) for number in range(count)]


@pytest.mark.parametrize(
    "field",
    [
        {"buyers": colliding(lambda number: UUID(int=number))},
        {"by_number": [[number, {"sku": "a", "count": 1, "price": Decimal(1)}] for number in colliding(int)]},
    ],
    ids=["set", "mapping"],
)
def test_colliding_elements_are_refused(field):
    """Elements that were chosen to make a set or mapping slow are refused before it is made."""
    with pytest.raises(PayloadUnreadable, match="colliding hashes"):
        SHOP.load("Order", 1, {"number": 1, "identity": BUYER} | field)
