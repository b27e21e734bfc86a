"""What brokers register is untrusted: bad entries are ignored by name, a listener is never downgraded."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_persist._zookeeper.registrations import usable_brokers


def registration(*endpoints: str, **more: object) -> bytes:
    return json.dumps({"version": 5, "endpoints": list(endpoints), "host": None, "port": -1, **more}).encode()


def test_each_brokers_listener_is_listed_in_the_order_of_the_ids():
    found = usable_brokers(
        {
            "10": registration("PLAINTEXT://c:3"),
            "2": registration("PLAINTEXT://b:2"),
            "1": registration("PLAINTEXT://a:1"),
        },
        "PLAINTEXT",
    )
    assert found.servers == ("a:1", "b:2", "c:3")
    assert found.ignored == ()


def test_the_listener_is_chosen_by_protocol_through_the_brokers_own_map():
    entry = registration(
        "INTERNAL://inside:1",
        "CLIENT://outside:2",
        listener_security_protocol_map={"INTERNAL": "PLAINTEXT", "CLIENT": "SASL_SSL"},
    )
    assert usable_brokers({"1": entry}, "SASL_SSL").servers == ("outside:2",)
    assert usable_brokers({"1": entry}, "PLAINTEXT").servers == ("inside:1",)


@pytest.mark.parametrize("wanted", ["SSL", "SASL_SSL"])
def test_a_client_with_tls_is_never_given_a_listener_without(wanted):
    found = usable_brokers({"1": registration("PLAINTEXT://a:1")}, wanted)
    assert found.servers == ()
    assert wanted in found.ignored[0]


def test_a_registration_of_the_first_versions_has_one_plain_listener():
    entry = json.dumps({"version": 1, "host": "old", "port": 9092}).encode()
    assert usable_brokers({"0": entry}, "PLAINTEXT").servers == ("old:9092",)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b"null",
        b'{"endpoints": "PLAINTEXT://a:1"}',
        b'{"endpoints": [1]}',
        registration(),
        registration("PLAINTEXT://:1"),
        registration("PLAINTEXT://a:0"),
        registration("PLAINTEXT://a:99999"),
        registration("PLAINTEXT://a b:1"),
        registration("PLAINTEXT://a\n:1"),
        registration("PLAINTEXT://a,evil:2:1"),
        registration("SSL://a:1"),
        registration("PLAINTEXT://" + "a" * 5000 + ":1"),
        b"[" * 4000,
    ],
)
def test_a_bad_registration_is_named_and_the_others_are_used(bad):
    found = usable_brokers({"1": bad, "2": registration("PLAINTEXT://good:1")}, "PLAINTEXT")
    assert found.servers == ("good:1",)
    assert len(found.ignored) == 1
    assert "'1'" in found.ignored[0]
    assert "\n" not in found.ignored[0]


def test_an_id_that_is_no_number_is_named():
    found = usable_brokers({"x\n1": registration("PLAINTEXT://a:1")}, "PLAINTEXT")
    assert found.servers == ()
    assert "not a number" in found.ignored[0]


@given(st.dictionaries(st.text(max_size=10), st.binary(max_size=200), max_size=5))
def test_whatever_is_registered_the_answer_is_a_list(registrations):
    found = usable_brokers(registrations, "PLAINTEXT")
    assert len(found.servers) + len(found.ignored) == len(registrations)
