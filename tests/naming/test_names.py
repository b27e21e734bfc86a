"""Names of topics, example by example."""

import doctest
import re
from pathlib import Path

import pytest

from kafka_persist.errors import ConfigError, InvalidPersistenceId
from kafka_persist.naming import check_prefix, snapshot_topic_name, topic_name

ROOT = Path(__file__).parents[2]
HASH = "[a-z2-7]{26}"

# These names are where events lie. A change here means that nobody finds them any more.
STORED = {
    "account-1": "account-1",
    "a_b": "a_b",
    "UPPER-lower_09": "UPPER-lower_09",
    "a/b": "a_b.yfgn3qbt6zfz32ua5jtvz4uaua",
    "a.b": "a_b.fzztnxeoxkd66rzn6vumgvecvm",
    ".": "id-_.zw2o4kxknhggvaztdo7jnxbmvi",
    "..": "id-__.l3a7pzya6n6d2czjqhieqvp4gq",
    "events": "events.qysbpophynzaxszsmpgyooyjre",
    "snapshot-x": "id-snapshot-x.fk4ibzqpvroojkhsotp52dwxku",
    "__consumer_offsets": "id-__consumer_offsets.dcp6mg3aguigtbsivloz4hps5m",
    "日本": "id-__.z4vl6dc34mtmxerkod4bmp4ra4",
}


@pytest.mark.parametrize(("persistence_id", "name"), STORED.items())
def test_names_never_change(persistence_id, name):
    """The name of an id is the same in every release: it is where its events lie."""
    assert topic_name(persistence_id) == name


def test_a_plain_id_is_its_topic():
    """An id of letters, digits, hyphens and underscores is the name of its topic, up to Kafka's 249 characters."""
    longest = "x" * 249
    assert topic_name(longest) == longest
    assert topic_name("bank_account-17") == "bank_account-17"


def test_a_longer_id_is_cut_and_hashed():
    """An id that does not fit keeps its beginning and gets a hash; ids that differ only behind the cut stay distinct."""
    one, other = (topic_name("x" * 999 + end) for end in "ab")
    assert re.fullmatch(f"x{{222}}\\.{HASH}", one)
    assert one != other


def test_the_prefix_counts_for_the_length():
    """With a prefix, names are still at most 249 characters."""
    name = topic_name("x" * 249, prefix="tenant-")
    assert len(name) == 249
    assert name.startswith("tenant-xxx")


def test_a_dot_is_hashed_away():
    """`a.b` and `a_b` are both usable: brokers refuse one beside the other, so one of them has another name."""
    assert topic_name("a_b") == "a_b"
    assert re.fullmatch(f"a_b\\.{HASH}", topic_name("a.b"))


def test_letters_beyond_ascii_are_replaced():
    """Letters of other alphabets are not legal in topic names, although they are letters."""
    assert re.fullmatch(f"Stra_e\\.{HASH}", topic_name("Straße"))


def test_an_id_cannot_pose_as_a_hashed_name():
    """An id that is spelled like the name of another id, also with _ for the dot, has a name of its own."""
    name = topic_name("a/b")
    for posing in (name, name.replace(".", "_")):
        assert topic_name(posing).replace(".", "_") != name.replace(".", "_")


def test_a_uuid_is_not_mistaken_for_a_hash():
    """Ids that end in a uuid, the usual kind, keep their plain names."""
    for persistence_id in ("user_123e4567e89b12d3a456426614174000", "user_01h455vb4pex5vsknk084sn02q"):
        assert topic_name(persistence_id) == persistence_id


@pytest.mark.parametrize("snapshot_prefix", ["snapshot-", "id-", "i", "p-s-", "x.", "acc"])
def test_journal_topics_never_begin_like_snapshot_topics(snapshot_prefix):
    """Whatever the prefix of snapshot topics is, no id's journal topic begins with it."""
    for persistence_id in (f"{snapshot_prefix}x", f"{snapshot_prefix}/", "account", "id-1", "/"):
        assert not topic_name(persistence_id, snapshot_prefix=snapshot_prefix).startswith(snapshot_prefix)


def test_a_journal_prefix_that_begins_like_snapshots_is_refused():
    """Where the journal's own prefix begins with that of snapshot topics, no name can be told apart."""
    with pytest.raises(ConfigError, match="snapshot-t1"):
        topic_name("x", prefix="snapshot-t1", snapshot_prefix="snapshot-")


def test_prefix_comes_before_plain_and_hashed_names():
    """A tenant's prefix begins every one of its names."""
    assert topic_name("x", prefix="t1-") == "t1-x"
    assert topic_name("a/b", prefix="t1-").startswith("t1-a_b.")
    assert topic_name("events", prefix="t1-") == "t1-events"


def test_snapshot_topic_has_the_prefix():
    """Snapshots of `example` are in `snapshot-example`, as in the original."""
    assert snapshot_topic_name("example") == "snapshot-example"
    assert snapshot_topic_name("a/b", prefix="s-") == "s-a_b.yfgn3qbt6zfz32ua5jtvz4uaua"


@pytest.mark.parametrize("persistence_id", ["", "x" * 1001, "\ud800", 7, None])
@pytest.mark.parametrize("naming", ["hashed", "seed"])
def test_what_is_no_id_is_refused(persistence_id, naming):
    """Empty, over-long and unencodable ids, and what is not text, have no name."""
    with pytest.raises(InvalidPersistenceId):
        topic_name(persistence_id, naming=naming)
    with pytest.raises(InvalidPersistenceId):
        snapshot_topic_name(persistence_id, naming=naming)


@pytest.mark.parametrize(
    ("persistence_id", "name"),
    [("a.b_c-D9", "a.b_c-D9"), ("a/b", "a_b"), ("a b", "a_b"), ("Straße", "Stra_e"), ("日本", "__"), ("a\n", "a_")],
)
def test_seed_names(persistence_id, name):
    """With "seed" every other character becomes _ and nothing is appended, as the original did."""
    assert topic_name(persistence_id, naming="seed") == name
    assert snapshot_topic_name(persistence_id, naming="seed") == f"snapshot-{name}"


@pytest.mark.parametrize(
    "persistence_id", [".", "..", "x" * 250, "snapshot-x", "snapshot-", "events", "__consumer_offsets"]
)
def test_seed_refuses_what_cannot_be_told_apart(persistence_id):
    """With "seed" an id without a legal name, or with the name of another role, is refused with a way out."""
    with pytest.raises(InvalidPersistenceId, match='naming = "hashed"'):
        topic_name(persistence_id, naming="seed")


@pytest.mark.parametrize(
    ("prefix", "reason"),
    [
        ("a/b", "ASCII"),
        ("ä", "ASCII"),
        ("x" * 101, "at most 100"),
        ("__x", "Kafka's own"),
        ("_.", "Kafka's own"),
        (7, "text"),
    ],
)
def test_bad_prefixes(prefix, reason):
    """A prefix that topic names cannot begin with is refused with the reason."""
    with pytest.raises(ConfigError, match=reason):
        check_prefix(prefix)


@pytest.mark.parametrize("prefix", ["", "t1-", "a.b_c-", "x" * 100])
def test_good_prefixes(prefix):
    """Any other prefix is fine."""
    assert check_prefix(prefix) == prefix


def test_documented_examples():
    """The examples in the manual are true."""
    failed, tried = doctest.testfile(str(ROOT / "docs" / "naming.md"), module_relative=False)
    assert (failed, tried > 0) == (0, True)
