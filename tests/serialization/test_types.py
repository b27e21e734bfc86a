"""Registered types: attrs classes, dataclasses, enums, and whatever comes with its own encoder."""

import datetime as dt
import math

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_persist.errors import SerializationError
from kafka_persist.serialization import Encoded, Serializer

from .shapes import BUYER, SHOP, Colour, Line, Order, Paid, Refunded, Renamed, full_order, stored
from .test_plain_data import anything, decimals, moments


@pytest.mark.parametrize(
    "value",
    [full_order(), Order(number=1, identity=BUYER), Renamed("a", "b", [1]), Colour.RED, Colour.BLUE],
    ids=["all fields", "defaults", "dataclass", "enum of text", "enum of a number"],
)
def test_a_registered_type_comes_back(value):
    """An instance comes back equal and of its type, field by field."""
    found = stored(value)
    assert type(found) is type(value)
    assert found == value


def test_a_record_names_the_type_as_registered():
    """What is stored is the registered name and version and the fields, not the Python class."""
    serializer = Serializer()
    serializer.register(Renamed, name="customer-renamed")
    assert serializer.dump(Renamed("a", "b")) == Encoded("customer-renamed", 1, {"old": "a", "new": "b", "steps": []})


def test_the_name_is_the_class_by_default():
    """Without a name, a type is stored under its class's name, without module and outer classes."""
    assert SHOP.dump(Renamed("a", "b")).name == "Renamed"


def test_a_type_is_registered_by_decorator():
    """`register_type` registers the class below it and leaves it as it is."""
    serializer = Serializer()

    @serializer.register_type(name="opened", version=2, upcasters={1: lambda data: data | {"by": ""}})
    @attrs.frozen
    class Opened:
        by: str

    assert serializer.dump(Opened("x")) == Encoded("opened", 2, {"by": "x"})
    assert serializer.load("opened", 1, {}) == Opened("")


orders = st.builds(
    Order,
    number=st.integers(-(2**500), 2**500),
    identity=st.uuids(),
    lines=st.lists(st.builds(Line, sku=st.text(), count=st.integers(0, 9), price=decimals)).map(tuple),
    at=st.none() | moments,
    wait=st.timedeltas(),
    opens=st.times(),
    weight=st.floats(allow_nan=False),
    labels=st.frozensets(st.text()),
    buyers=st.sets(st.uuids()),
    by_number=st.dictionaries(st.integers(-9, 9), st.builds(Line, sku=st.text(), count=st.just(1), price=decimals)),
    mixed=st.none() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text() | st.binary(),
    history=st.lists(st.builds(Paid, decimals) | st.builds(Refunded, decimals, st.text())),
)


@given(orders)
def test_every_order_comes_back(order):
    """Whatever values the fields have, if they have the types that are annotated."""
    assert stored(order) == order


@attrs.frozen
class Loose:
    number: int
    text: str
    flag: bool
    ratio: float
    numbers: list[int]
    pairs: dict[int, str]
    either: int | str | None
    anything: object


loose = Serializer()
loose.register(Loose, encode=lambda value: attrs.asdict(value, recurse=False), decode=lambda data: Loose(**data))
strict = Serializer()
strict.register(attrs.make_class("Strict", {"number": attrs.field(type=int), "items": attrs.field(type=list[int])}))
Strict = next(iter(strict._by_type))


@given(anything, anything)
def test_wrong_fields_come_back_or_are_refused(number, items):
    """A field that holds something else than its annotation says is refused, or harmless: it comes back."""
    value = Strict(number, items)
    try:
        found = stored(value, strict)
    except SerializationError:
        return
    assert found == value


@given(st.builds(Loose, *[anything] * 8))
def test_fields_of_any_type_come_back_or_are_refused(value):
    """Also with an encoder of one's own, what is accepted comes back."""
    try:
        found = stored(value, loose)
    except SerializationError:
        return
    assert repr(found) == repr(value) or found == value


@attrs.frozen
class Base:
    x: int


@attrs.frozen
class Derived(Base):
    y: int = 0


@attrs.frozen
class Holder:
    base: Base


def test_a_subclass_is_not_stored_as_its_base():
    """An instance of a subclass would lose its fields: it is refused, alone and inside of another type."""
    serializer = Serializer()
    serializer.register(Base)
    serializer.register(Holder)
    with pytest.raises(SerializationError, match=r"Derived is not registered.*serializer\.register\(Derived\)"):
        serializer.dump(Derived(1, 2))
    with pytest.raises(SerializationError, match=r"Holder\.base \(Derived, comes back as Base\)"):
        serializer.dump(Holder(Derived(1, 2)))


WRONG = {
    "text for a number": (Renamed("a", "b", ["1"]), r"expected int, not .* @ \$\.steps\[0\]"),
    "number for text": (Renamed(1, "b"), r"expected str, not .* @ \$\.old"),
    "text for a list": (Renamed("a", "b", "12"), r"expected int, not str @ \$\.steps\[0\]"),
    "bytes for text": (Renamed(b"a", "b"), r"expected str, not .* @ \$\.old"),
    "object": (Renamed(object(), "b"), r"Renamed\.old: object has no stored form"),
    "tuple for a list": (Renamed("a", "b", (1, 2)), r"Renamed\.steps \(tuple, comes back as list\)"),
    "no enum": (attrs.evolve(full_order(), colour="red"), "Order"),
    "not of the literal": (attrs.evolve(full_order(), size="xl"), r"\$\.size"),
    "tuple in an untyped field": (attrs.evolve(full_order(), extra={"a": (1,)}), "Order.*extra"),
    "object deep inside": (attrs.evolve(full_order(), extra=[{"a": object()}]), r"Order\.extra\[0\]\.a: object"),
    "short tuple": (attrs.evolve(full_order(), pair=(1,)), "Order"),
    "naive time": (attrs.evolve(full_order(), at=dt.datetime(2024, 1, 1)), r"Order\.at: a datetime without"),  # noqa: DTZ001
    "time for a day": (
        attrs.evolve(full_order(), day=dt.datetime(2024, 1, 1, tzinfo=dt.UTC)),
        r"expected date|\$\.day",
    ),
    "large number": (attrs.evolve(full_order(), number=2**512), r"Order\.number: an integer of more"),
}


@pytest.mark.parametrize(("value", "reason"), WRONG.values(), ids=WRONG)
def test_a_wrong_field_is_refused_when_it_is_written(value, reason):
    """What could not be read again is found at once, with the path to the field, not in a recovery years later."""
    with pytest.raises(SerializationError, match=reason):
        SHOP.dump(value)


def test_verification_can_be_switched_off():
    """For types whose fields are known to be right, dump skips the comparison."""
    serializer = Serializer()
    serializer.register(Renamed, verify=False)
    assert serializer.dump(Renamed(1, "b")).data["old"] == 1


def test_nan_is_equal_to_itself():
    """A NaN in a field does not make a type unstorable."""
    value = attrs.evolve(full_order(), weight=float("nan"))
    found = stored(value)
    assert math.isnan(found.weight)
    assert attrs.evolve(found, weight=0.0) == attrs.evolve(value, weight=0.0)


def test_a_type_without_equality_is_stored():
    """Where instances have no equality their fields are compared."""
    serializer = Serializer()

    @attrs.define(eq=False)
    class Plain:
        x: int

    serializer.register(Plain)
    assert stored(Plain(5), serializer).x == 5
    with pytest.raises(SerializationError, match="expected int"):
        serializer.dump(Plain("5"))
