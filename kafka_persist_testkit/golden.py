"""Golden records: the stored forms of events and states, of this release and of all before it, kept in the repository.

A test compares them at each run: what an older release stored must still be read, and must mean what it should today.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from kafka_persist import PersistenceError, Serializer
from kafka_persist._core import cbor
from kafka_persist._structuring import difference


@attrs.frozen
class _Record:
    """A stored form: the name and version of the type, and the data as CBOR in hexadecimal digits."""

    type: str
    version: int
    cbor: str


def check_golden(
    path: str | Path, serializer: Serializer, examples: Mapping[str, object], *, update: bool = False
) -> None:
    """Check that every stored form in a file is still read as the example that it belongs to.

    Args:
        path: a JSON file in the repository: for each example, all forms in which it was ever stored.
        serializer: today's registry of types.
        examples: what each of them means today, by names of your choice: events and states.
        update: first add the forms of this release that are not in the file yet. Do so by hand after a change, look at the
            difference, and commit the file; never in CI.

    Raises:
        AssertionError: an old form cannot be read, or means something else; today's form is not in the file; or the
            file has an example that nobody gives any more.
    """
    file = Path(path)
    known = _read(file)
    today = {name: _record_of(serializer, value) for name, value in examples.items()}
    if update:
        for name, record in today.items():
            if record not in known.setdefault(name, []):
                known[name].append(record)
        _write(file, known)
    for name, records in known.items():
        if name not in examples:
            raise AssertionError(f"{file.name} has {name!r}, for which no example is given: nothing would check it")
        for record in records:
            _check(name, record, serializer, examples[name])
    for name, record in today.items():
        if record not in known.get(name, []):
            raise AssertionError(
                f"{name!r} is stored in a form that {file.name} does not have. If that is wanted, run this once with "
                "update=True and commit the file: later releases will have to read it"
            )


def _record_of(serializer: Serializer, value: object) -> _Record:
    encoded = serializer.dump(value)
    return _Record(encoded.name, encoded.version, cbor.encode(encoded.data).hex())


def _check(name: str, record: _Record, serializer: Serializer, expected: object) -> None:
    told = f"{name!r}, stored as {record.type!r} version {record.version},"
    try:
        found = serializer.load(record.type, record.version, cbor.decode(bytes.fromhex(record.cbor)))
    except PersistenceError as error:
        raise AssertionError(f"{told} cannot be read: {error}") from error
    if (where := difference(found, expected)) is not None:
        raise AssertionError(f"{told} was expected to be {expected!r}, got {found!r}: {where or 'all'} differs")


def _read(file: Path) -> dict[str, list[_Record]]:
    if not file.exists():
        return {}
    plain: dict[str, list[dict[str, Any]]] = json.loads(file.read_text("utf-8"))
    return {name: [_Record(**record) for record in records] for name, records in plain.items()}


def _write(file: Path, known: Mapping[str, list[_Record]]) -> None:
    plain = {name: [attrs.asdict(record) for record in known[name]] for name in sorted(known)}
    file.write_text(json.dumps(plain, indent=2, ensure_ascii=False) + "\n", "utf-8")
