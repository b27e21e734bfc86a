"""Stored data outlives the code: upcasters bring what old releases wrote up to date."""

import attrs
import pytest

from kafka_persist.errors import PayloadUnreadable, UnknownManifest
from kafka_persist.serialization import Serializer


@attrs.frozen
class Deposited:
    cents: int
    currency: str
    note: str = ""


def to_cents(data):
    return {"cents": data["amount"] * 100}


def with_currency(data):
    return data | {"currency": "EUR"}


def bank():
    serializer = Serializer()
    serializer.register(Deposited, name="deposited", version=3, upcasters={1: to_cents, 2: with_currency})
    return serializer


@pytest.mark.parametrize(
    ("version", "data"),
    [(1, {"amount": 5}), (2, {"cents": 500}), (3, {"cents": 500, "currency": "EUR"})],
)
def test_every_stored_version_is_read(version, data):
    """Each upcaster brings the data one version on, up to the registered one."""
    assert bank().load("deposited", version, data) == Deposited(500, "EUR")


def test_the_newest_version_is_written():
    """Events are written in the registered version."""
    assert bank().dump(Deposited(500, "EUR")).version == 3


def test_a_field_with_a_default_needs_no_version():
    """A field that was added with a default is absent in old data, and has its default."""
    assert bank().load("deposited", 3, {"cents": 1, "currency": "EUR"}).note == ""


def test_a_later_version_is_unknown():
    """What a newer release wrote is not guessed at; the message says to upgrade."""
    with pytest.raises(UnknownManifest, match=r"up to version 3, but version 4 is stored.*upgrade"):
        bank().load("deposited", 4, {})


@pytest.mark.parametrize("version", [0, -1])
def test_a_version_before_the_first_is_unknown(version):
    """Versions begin at 1."""
    with pytest.raises(UnknownManifest, match="no such version"):
        bank().load("deposited", version, {})


def test_a_failing_upcaster_is_reported():
    """An upcaster that cannot handle what is stored is an unreadable payload, with the version that was stored."""
    with pytest.raises(PayloadUnreadable, match="type 'deposited' version 1: ") as failed:
        bank().load("deposited", 1, {"amuont": 5})
    assert isinstance(failed.value.__cause__, KeyError)


def test_a_renamed_class_keeps_its_name():
    """A class may be renamed or moved, if it is registered under the name that is stored."""
    serializer = Serializer()
    serializer.register(attrs.make_class("PaidIn", {"amount": attrs.field(type=int)}), name="Deposited")
    assert serializer.load("Deposited", 1, {"amount": 5}).amount == 5


def test_upcasters_also_serve_own_decoders():
    """Upcasters run before a decoder of one's own."""
    serializer = Serializer()
    serializer.register(
        Deposited,
        version=2,
        upcasters={1: lambda text: text + ";EUR"},
        encode=lambda it: f"{it.cents};{it.currency}",
        decode=lambda text: Deposited(int(text.split(";")[0]), text.split(";")[1]),
    )
    assert serializer.load("Deposited", 1, "500") == Deposited(500, "EUR")
