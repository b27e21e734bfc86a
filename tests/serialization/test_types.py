"""Registered types: attrs classes, dataclasses, enums, and whatever comes with its own encoder."""

import datetime as dt
import fractions
from collections import deque
from decimal import Decimal
from uuid import UUID

import attrs
import cattrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_persist._core import cbor
from kafka_persist.errors import PayloadUnreadable, SerializationError, UnknownManifest, UsageError
from kafka_persist.serialization import Encoded, Serializer

from .shapes import Colour, Line, Order, Paid, Place, Refunded, Renamed
from .test_plain_data import anything, decimals, moments

BUYER = UUID("00000000-0000-4000-8000-000000000007")


def shop():
    serializer = Serializer()
    for each in (Order, Renamed, Colour):
        serializer.register(each)
    return serializer


SHOP = shop()


def stored(value, serializer=SHOP):
    """Send a value through bytes and back."""
    encoded = serializer.dump(value)
    return serializer.load(encoded.name, encoded.version, cbor.decode(cbor.encode(encoded.data)))


def full_order():
    line = Line("a-1", 2, Decimal("1.50"))
    return Order(
        number=7,
        identity=BUYER,
        lines=(line, line),
        at=dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC),
        day=dt.date(2024, 2, 29),
        wait=dt.timedelta(days=2, microseconds=3),
        opens=dt.time(8, 30),
        note="ü",
        weight=1.5,
        gift=True,
        picture=b"\0\xff",
        colour=Colour.BLUE,
        size="s",
        labels=frozenset({"x", "y"}),
        buyers={BUYER},
        counts={"a": 1},
        by_number={5: line},
        by_day={dt.date(2024, 1, 1): ["x"]},
        by_colour={Colour.RED: 1},
        place=Place(3, "b"),
        pair=(2, "b"),
        mixed=b"m",
        history=[Paid(Decimal(5)), Refunded(Decimal(3), "late")],
        recent=deque([1, 2]),
        names=("n", "m"),
        extra={"k": [1, None]},
        parent=Order(number=1, identity=BUYER),
    )


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
    assert repr(stored(value)) == repr(value)


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


def test_a_type_brings_its_own_encoder():
    """`encode` and `decode` make any type storable, as plain data or bytes."""
    serializer = Serializer()
    serializer.register(
        fractions.Fraction,
        name="fraction",
        encode=lambda value: [value.numerator, value.denominator],
        decode=lambda data: fractions.Fraction(*data),
    )
    value = fractions.Fraction(1, 3)
    assert serializer.dump(value) == Encoded("fraction", 1, [1, 3])
    assert stored(value, serializer) == value


def test_an_encoder_may_give_bytes():
    """A type whose format is somebody else's is stored as these bytes."""
    serializer = Serializer()
    serializer.register(
        Renamed, encode=lambda it: f"{it.old}|{it.new}".encode(), decode=lambda b: Renamed(*b.decode().split("|"))
    )
    assert stored(Renamed("a", "b"), serializer) == Renamed("a", "b")


def test_a_decoder_may_take_its_data_apart():
    """A decoder that changes the data it gets does not change what is stored."""
    serializer = Serializer()
    serializer.register(
        Renamed,
        encode=lambda it: {"old": it.old, "new": it.new},
        decode=lambda data: Renamed(data.pop("old"), data.pop("new")),
    )
    assert serializer.dump(Renamed("a", "b")).data == {"old": "a", "new": "b"}


@pytest.mark.parametrize(
    ("encode", "decode", "reason"),
    [
        (lambda _: object(), lambda data: data, "Renamed: object has no stored form"),
        (lambda _: 1 / 0, lambda data: data, "Renamed: cannot be encoded: ZeroDivisionError"),
        (lambda _: 1, lambda _: 1 / 0, "Renamed: could not be read back: ZeroDivisionError"),
        (lambda _: 1, lambda data: data, r"Renamed \(Renamed, comes back as int\)"),
        (lambda _: 1, lambda _: Renamed("x", "y"), r"Renamed\.old would not come back equal"),
    ],
    ids=["object", "failing encoder", "failing decoder", "another type", "another value"],
)
def test_a_wrong_encoder_is_found_at_once(encode, decode, reason):
    """An encoder and decoder that do not fit together are found by the first event."""
    serializer = Serializer()
    serializer.register(Renamed, encode=encode, decode=decode)
    with pytest.raises(SerializationError, match=reason):
        serializer.dump(Renamed("a", "b"))


def test_a_converter_of_ones_own():
    """Who has a cattrs converter with hooks gives it to the serializer."""
    converter = cattrs.Converter()
    converter.register_unstructure_hook(fractions.Fraction, str)
    converter.register_structure_hook(fractions.Fraction, lambda text, _: fractions.Fraction(text))

    @attrs.frozen
    class Share:
        part: fractions.Fraction

    serializer = Serializer(converter=converter)
    serializer.register(Share)
    assert serializer.dump(Share(fractions.Fraction(1, 3))).data == {"part": "1/3"}
    assert stored(Share(fractions.Fraction(1, 3)), serializer) == Share(fractions.Fraction(1, 3))


def test_hooks_may_be_added_to_the_strict_converter():
    """The serializer's own converter takes further hooks."""
    serializer = Serializer()
    serializer.converter.register_unstructure_hook(fractions.Fraction, str)
    serializer.converter.register_structure_hook(fractions.Fraction, lambda text, _: fractions.Fraction(text))

    @attrs.frozen
    class Share:
        part: fractions.Fraction

    serializer.register(Share)
    assert stored(Share(fractions.Fraction(1, 3)), serializer) == Share(fractions.Fraction(1, 3))


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
