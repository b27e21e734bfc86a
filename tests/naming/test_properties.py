"""What holds for the names of all ids, also of hostile ones."""

import random
import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kafka_persist.errors import InvalidPersistenceId
from kafka_persist.naming import collision_key, snapshot_topic_name, topic_name

LEGAL = re.compile(r"[A-Za-z0-9._-]{1,249}")

HOSTILE = (
    ".", "..", "_", "__", "-", "a/b", "a_b", "a.b", "a b", "a?b", "a:b", "A/B", "a\\b", "../../etc/passwd", "/abs", "C:\\x",
    "CON", "nul", "a\0b", "\0", "a\n", "a\r\nb", "\x1b[31m", "x ", " x", "x.", ".x", "é", "e\u0301", "ﬁ", "fi", "İ", "\u0131",
    "\u202eabc", "\u200b", "a\u200bb", "😀", "👩\u200d👩", "日本", "日Ä", "events", "snapshot-x", "snapshot-", "snapshot.x",
    "snapshot_x", "__consumer_offsets", "__transaction_state", "x" * 222, "x" * 223, "x" * 249, "x" * 250, "x" * 1000,
    "😀" * 1000, "." * 1000, "id-_", "id-snapshot-x", "%2e", "a%2fb", "$(x)", "'", '"', "*", "<script>",
)  # fmt: skip

alike = st.text(alphabet="ab._-/ Aé\u0301\0", min_size=1, max_size=5)
anything = st.text(min_size=1, max_size=60)
ids = st.one_of(alike, anything, st.sampled_from(HOSTILE))
prefixes = st.sampled_from(["", "t1-", "t.1_", "snap", "x" * 100])
snapshot_prefixes = st.sampled_from(["snapshot-", "i", "id-", "s.", "t1-snapshot-"])


def with_posers(persistence_ids):
    """Add ids that are spelled like the names of these, and like what a broker compares."""
    names = [topic_name(one) for one in persistence_ids]
    return {*persistence_ids, *names, *map(collision_key, names), *(name[-27:] for name in names)}


@given(ids, prefixes, snapshot_prefixes)
def test_names_are_legal(persistence_id, prefix, snapshot_prefix):
    """Kafka accepts every name, with every prefix."""
    for name in (
        topic_name(persistence_id, prefix=prefix, snapshot_prefix=snapshot_prefix),
        snapshot_topic_name(persistence_id, prefix=snapshot_prefix),
    ):
        assert LEGAL.fullmatch(name)
        assert name not in {".", ".."}


@given(st.sets(ids, min_size=2, max_size=12))
@example(set(HOSTILE))
def test_distinct_ids_have_distinct_names(persistence_ids):
    """No two ids share a name, nor names that a broker takes for the same, also if an id is spelled like a name."""
    hostile = with_posers(persistence_ids)
    for names in ([topic_name(one) for one in hostile], [snapshot_topic_name(one) for one in hostile]):
        assert len({collision_key(name) for name in names}) == len(hostile)


@given(ids, ids, prefixes, snapshot_prefixes)
def test_roles_are_disjoint(one, other, prefix, snapshot_prefix):
    """No id's journal topic is a snapshot topic, the default topic of published events, or one of Kafka's own."""
    name = collision_key(topic_name(one, prefix=prefix, snapshot_prefix=snapshot_prefix))
    assert not name.startswith(collision_key(snapshot_prefix))
    assert not name.startswith("__")
    assert name != "events"
    assert name != collision_key(snapshot_topic_name(other, prefix=snapshot_prefix))


@given(anything)
def test_forms_of_one_text_are_distinct(text):
    """Composed and decomposed, upper and lower case: what differs as text differs as id."""
    forms = {text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text), text.upper(), text.lower()}
    forms = {form for form in forms if 0 < len(form) <= 1000}
    assert len({collision_key(topic_name(form)) for form in forms}) == len(forms)


@given(ids)
def test_names_are_stable(persistence_id):
    """The name depends on nothing but the id."""
    assert topic_name(persistence_id) == topic_name(persistence_id)


@given(ids)
def test_a_plain_name_is_the_id(persistence_id):
    """Where a name has no dot, it is the id itself: what people read in a list of topics is true."""
    name = topic_name(persistence_id)
    assert name == persistence_id or re.search(r"\.[a-z2-7]{26}\Z", name)


@given(ids, ids)
def test_seed_names_are_legal_or_refused(one, other):
    """With "seed" a name is legal, and a journal topic is no snapshot topic."""
    try:
        name = topic_name(one, naming="seed")
        snapshots = snapshot_topic_name(other, naming="seed")
    except InvalidPersistenceId:
        return
    assert LEGAL.fullmatch(name)
    assert LEGAL.fullmatch(snapshots)
    assert name != snapshots


@pytest.mark.slow
def test_many_hostile_ids_have_distinct_names():
    """100,000 ids over a few characters that are easily confused: no two names are the same to a broker."""
    draw = random.Random(20240229)
    found = set()
    while len(found) < 100_000:
        found.add("".join(draw.choices("ab._-/ é", k=draw.randint(1, 9))))
    assert len({collision_key(topic_name(one)) for one in found}) == len(found)
