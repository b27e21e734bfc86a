"""Payloads that are made to hurt: each is refused with a typed error, at once, and without eating memory.

Every payload has at most 256 KiB, the size of a large event. In a reader without these limits they take seconds, hundreds
of megabytes, or the interpreter's life.
"""

import contextlib
import json
import struct
import subprocess
import sys
import time
import tracemalloc

import cbor2
import pytest

from kafka_persist._core import cbor
from kafka_persist.errors import CorruptRecord

SIZE = 256 << 10
MOST = 20
"""Times the cost of an ordinary payload of the same size. Colliding keys without a guard cost hundreds of times as much."""
MEMORY = 32 << 20
MODULUS = sys.hash_info.modulus  # integers that differ by a multiple of it have one hash


def tag(number, value):
    return cbor2.dumps(cbor2.CBORTag(number, value))


def array(items, *, head=b"\x9a"):
    items = list(items)
    return head + struct.pack(">I", len(items)) + b"".join(items)


def pairs(items):
    items = list(items)
    return b"\xba" + struct.pack(">I", len(items) // 2) + b"".join(items)


def colliding(make, count):
    return [make(number * MODULUS) for number in range(1, count)]


def natural(number):
    return b"\xc2\x4a" + number.to_bytes(10, "big")


def uuid(number):
    return b"\xd8\x25\x50" + number.to_bytes(16, "big")


def decimal(number):
    return b"\xc4\x82\x00" + natural(number)


HOSTILE = {
    # nesting
    "arrays 33 deep": b"\x81" * 33 + b"\x00",
    "arrays 250,000 deep": b"\x81" * 250_000,
    "maps 100,000 deep": b"\xa1\x60" * 100_000,
    "tags 250,000 deep": b"\xc1" * 250_000,
    "sets 60,000 deep": b"\xd9\x01\x02\x81" * 60_000,
    # lengths that are not there
    "array of 2**64-1": b"\x9b" + b"\xff" * 8,
    "array of 2**32-1": b"\x9a" + b"\xff" * 4,
    "map of 2**63-1": b"\xbb\x7f" + b"\xff" * 7,
    "map of 2**32-1": b"\xba" + b"\xff" * 4,
    "bytes of 2**63-1": b"\x5b\x7f" + b"\xff" * 7,
    "text of 2**64-1": b"\x7b" + b"\xff" * 8,
    "bytes of 2 GiB": b"\x5a\x7f" + b"\xff" * 3,
    "arrays of 2**20 in arrays": b"\x9a\x00\x10\x00\x00" * 31,
    # indefinite lengths
    "indefinite array": b"\x9f\x01\xff",
    "indefinite map": b"\xbf\x61a\x01\xff",
    "indefinite bytes": b"\x5f\x41a\xff",
    "indefinite text": b"\x7f" + b"\x61a" * 100_000 + b"\xff",
    "unfinished indefinite map": b"\xbf\x61a",
    # numbers
    "integer of 200 KB": b"\xc2\x5a" + struct.pack(">I", 200_000) + b"\xff" * 200_000,
    "negative integer of 200 KB": b"\xc3\x5a" + struct.pack(">I", 200_000) + b"\xff" * 200_000,
    "integer of 65 bytes": b"\xc2\x58\x41" + b"\xff" * 65,
    "integer of text": tag(2, "12"),
    "integer of integers": tag(2, [1, 2]),
    "decimal 1E+1000000000": tag(4, [10**9, 1]),
    "decimal 1E-1000000000": tag(4, [-(10**9), 1]),
    "decimal of 200 KB": b"\xc4\x82\x00\xc2\x5a" + struct.pack(">I", 200_000) + b"\xff" * 200_000,
    "decimal of three": tag(4, [1, 2, 3]),
    "decimal of text": tag(4, ["1", "2"]),
    "decimal of booleans": tag(4, [True, False]),
    "bigfloat 2**1000000000": tag(5, [10**9, 1]),
    "rational": tag(30, [1, 10**9]),
    "complex": tag(43000, [1.0, 2.0]),
    # dates and uuids
    "date of 200 KB": tag(0, "2020-01-01T00:00:00." + "0" * 200_000 + "!"),
    "date without a zone that is none": tag(0, "2020-13-01T00:00:00Z"),
    "seconds 1e308": tag(1, 1e308),
    "seconds NaN": tag(1, float("nan")),
    "seconds 2**64": tag(1, 2**64 - 1),
    "days 2**60": tag(100, 2**60),
    "date of an array": tag(1004, []),
    "uuid of 15 bytes": tag(37, bytes(15)),
    "uuid of text": tag(37, "0" * 16),
    # tags as gadgets
    "regular expression": tag(35, "(a+)+$"),
    "mail message": tag(36, "Content-Type: text/plain\n\nx"),
    "10,000 mail messages": array([tag(36, "")] * 10_000),
    "shared reference to itself": bytes.fromhex("d81c81d81d00"),
    "reference to nothing": bytes.fromhex("d81d00"),
    "string references": bytes.fromhex("d90100826361616168d81900"),
    "IP address": tag(260, b"\x7f\0\0\1"),
    "IPv4": tag(52, b"\x7f\0\0\1"),
    "IPv6 network": tag(54, [64, bytes(8)]),
    "the magic number": tag(55799, 1),
    "a tag nobody knows": tag(40_000, {"a": [1]}),
    "tag 2**64-1": b"\xdb" + b"\xff" * 8 + b"\x00",
    # maps
    "a key twice": b"\xa2\x61a\x01\x61a\x02",
    "NaN keys": pairs([b"\xf9\x7e\x00", b"\x01"] * 50_000),
    "integer keys": b"\xa1\x01\x02",
    "null key": b"\xa1\xf6\x02",
    "array key": b"\xa1\x81\x01\x02",
    "map key": b"\xa1\xa1\x61a\x01\x02",
    "undefined key": b"\xa1\xf7\x02",
    "colliding keys": pairs(b for key in colliding(natural, 12_000) for b in (key, b"\x00")),
    # sets
    "colliding integers": b"\xd9\x01\x02" + array(colliding(natural, 12_000)),
    "colliding uuids": b"\xd9\x01\x02" + array(colliding(uuid, 8_000)),
    "colliding decimals": b"\xd9\x01\x02" + array(colliding(decimal, 6_000)),
    "set of arrays": b"\xd9\x01\x02\x81\x81\x01",
    "set of maps": b"\xd9\x01\x02\x81\xa0",
    "set of text": tag(258, "abc"),
    "an element twice": b"\xd9\x01\x02\x82\x01\x01",
    "an element twice, once as a float": b"\xd9\x01\x02\x82\x01\xf9\x3c\x00",
    # text
    "not UTF-8": b"\x61\xff",
    "a surrogate in UTF-8": b"\x63\xed\xa0\x80",
    "overlong UTF-8": b"\x62\xc0\x80",
    "a key that is not UTF-8": b"\xa1\x61\xff\x01",
    # form
    "nothing": b"",
    "surplus byte": b"\x01\x00",
    "surplus value": cbor2.dumps({"a": 1}) * 2,
    "half a float": b"\xfb\x00\x00",
    "reserved length": b"\x1c",
    "break alone": b"\xff",
    "break inside": b"\x82\x01\xff",
    "simple value in two bytes": b"\xf8\x14",
}

# Accepted, because they are what they seem to be: the densest values that there are.
DENSE = {
    "arrays": array([b"\x80"] * (SIZE - 5)),
    "maps": array([b"\xa0"] * (SIZE - 5)),
    "small integers": array([b"\x00"] * (SIZE - 5)),
    "decimals": array([b"\xc4\x82\x00\x00"] * (SIZE // 4 - 2)),
    "integers in bytes": array([b"\xc2\x40"] * (SIZE // 2 - 3)),
    "sets": array([b"\xd9\x01\x02\x80"] * (SIZE // 4 - 2)),
    "times": array([b"\xc1\x00"] * (SIZE // 2 - 3)),
}


ORDINARY = array(cbor2.dumps(f"{number:08d}") for number in range(SIZE // 9))


def fastest(payload, rounds=5):
    """Give the shortest of some processor times: what the payload costs, not what else the machine did."""
    times = []
    for _ in range(rounds):
        start = time.thread_time()
        with contextlib.suppress(CorruptRecord):
            cbor.decode(payload)
        times.append(time.thread_time() - start)
    return min(times)


@pytest.mark.parametrize("payload", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_payload_is_refused(payload):
    """The error is typed and has a reason of one line."""
    assert len(payload) <= SIZE
    with pytest.raises(CorruptRecord) as refused:
        cbor.decode(payload)
    assert 0 < len(str(refused.value)) < 300
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("payload", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_payload_costs_no_time(payload):
    """It is refused in about the time that an ordinary payload of its size takes: a ratio, since machines differ."""
    assert fastest(payload) < MOST * fastest(ORDINARY)


@pytest.mark.parametrize("payload", [*HOSTILE.values(), *DENSE.values()], ids=[*HOSTILE, *DENSE])
def test_a_payload_costs_little_memory(payload):
    """Whether refused or not, 256 KiB never need more than 32 MiB."""
    tracemalloc.start()
    with contextlib.suppress(CorruptRecord):
        cbor.decode(payload)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MEMORY


def test_the_process_does_not_grow():
    """Also memory that Python does not see stays bounded: all hostile payloads together, in a process of their own."""
    program = """
import json, resource, sys
from kafka_persist._core import cbor
from kafka_persist.errors import CorruptRecord
payloads = [bytes.fromhex(each) for each in json.load(sys.stdin)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for payload in payloads:
    try:
        cbor.decode(payload)
    except CorruptRecord:
        pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""
    run = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps([payload.hex() for payload in HOSTILE.values()]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(run.stdout) < MEMORY
