"""Types that come with an encoder of their own, or with hooks for the converter."""

import fractions

import attrs
import cattrs
import pytest

from kafka_persist.errors import PayloadUnreadable, SerializationError
from kafka_persist.serialization import Encoded, Serializer

from .shapes import Renamed, stored


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


def test_nan_comes_back_from_an_encoder():
    """NaN counts as equal to NaN, wherever it stands."""
    serializer = Serializer()
    serializer.register(
        Renamed,
        encode=lambda it: [[str(each) for each in part] for part in (it.old, it.new)],
        decode=lambda data: Renamed(*([float(each) for each in part] for part in data)),
    )
    value = Renamed([float("nan"), 1.0], [])
    assert repr(stored(value, serializer)) == repr(value)


def test_a_hook_that_fails_now_and_then_is_reported():
    """An error that does not happen again when it is looked into is reported as it was."""
    failures = [ValueError("not now")]

    def structure(data, _type):
        if failures:
            raise failures.pop()
        return fractions.Fraction(data)

    serializer = Serializer()
    serializer.converter.register_structure_hook(fractions.Fraction, structure)
    serializer.register(fractions.Fraction)
    with pytest.raises(PayloadUnreadable, match="ValueError: not now"):
        serializer.load("Fraction", 1, "1/3")
