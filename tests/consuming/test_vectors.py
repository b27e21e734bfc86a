"""The test vectors of both formats, read by our decoders and by one in JavaScript that shares no code with them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from kafka_persist._core.event_format import decode_event
from kafka_persist.errors import StoredDataError

VECTORS = Path(__file__).parents[1] / "vectors"
EVENTS = json.loads((VECTORS / "published-events.json").read_text("utf-8"))
RECORDS = json.loads((VECTORS / "journal-records.json").read_text("utf-8"))
FIELDS = (
    "persistence_id",
    "sequence_nr",
    "timestamp",
    "type_name",
    "type_version",
    "data",
    "manifest",
    "tags",
    "metadata",
)
HEADER = ("kind", "author", "writer", "epoch", "prev_offset", "prev_author", "state", "shared")


def named(vectors):
    return {each["name"]: each for each in vectors}


@pytest.mark.parametrize("name", named(EVENTS["records"]))
def test_our_decoder_reads_events(name):
    """Each field is what the file says."""
    vector = named(EVENTS["records"])[name]
    found = decode_event(bytes.fromhex(vector["value"]), name)._asdict()
    wanted = {field: vector[field] for field in FIELDS} | {"tags": frozenset(vector["tags"])}
    if name == "bytes-and-times":  # shown in the file's notation
        assert found["data"]["raw"] == b"\x00\xff"
        wanted["data"] = found["data"]
    assert found == wanted


@pytest.mark.parametrize("name", named(EVENTS["refused"]))
def test_our_decoder_refuses_what_is_no_event(name):
    """What a reader must refuse is refused, with a typed error that says where."""
    with pytest.raises(StoredDataError, match=r"^here: "):
        decode_event(bytes.fromhex(named(EVENTS["refused"])[name]["value"]), "here")


@pytest.fixture(scope="session")
def node_answers(tmp_path_factory):
    """What the reader in JavaScript finds; its one dependency is installed for this run."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.fail(
                f"{program} is missing: this test reads the vectors with an independent decoder. Install Node.js 20 or "
                "newer with npm (for example `apt-get install nodejs npm`)"
            )
    work = tmp_path_factory.mktemp("node")
    shutil.copytree(VECTORS / "node", work, dirs_exist_ok=True)
    install = ["npm", "install", "--no-audit", "--no-fund", "--omit=optional", "--ignore-scripts", "--no-package-lock"]
    for command in (install, ["node", "read.mjs", VECTORS / "journal-records.json", VECTORS / "published-events.json"]):
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"
    return json.loads(done.stdout)


def test_an_independent_decoder_reads_events(node_answers):
    """A program in another language reads every field of every vector as documented."""
    wanted = {name: {field: each[field] for field in FIELDS} for name, each in named(EVENTS["records"]).items()}
    assert node_answers["events"] == wanted


def test_an_independent_decoder_reads_journal_records(node_answers):
    """The same for journal records, checksums included; of the entries, what comes before the data."""
    found, wanted = node_answers["records"], named(RECORDS["records"])
    assert found.keys() == wanted.keys()
    for name, each in wanted.items():
        assert {field: found[name][field] for field in HEADER} == {field: each[field] for field in HEADER}, name
        assert found[name]["claimant"] == each.get("claimant"), name
        assert found[name]["items"] == each.get("items", []), name
        assert [entry[0] for entry in found[name]["entries"]] == [numbers_of(entry) for entry in each["entries"]], name


def numbers_of(entry):
    return entry["sequence_nr"] if isinstance(entry, dict) else entry[0]
