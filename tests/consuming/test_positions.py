"""A position counts as committed when the broker has confirmed it, and not before."""

from __future__ import annotations

from confluent_kafka import KafkaError, TopicPartition

from kafka_persist._kafka.positions import Positions
from kafka_persist.driver import Log

ONE, TWO = Log("t", 0), Log("t", 1)


class Answer:
    """What the client hands over: a position with an error of its own."""

    def __init__(self, log, offset, error=None):
        self.topic, self.partition, self.offset, self.error = log.topic, log.partition, offset, error


def sent(commits):
    return [[(each.topic, each.partition, each.offset) for each in commit] for commit in commits]


def finished(log=ONE, offset=4):
    commits: list[list[TopicPartition]] = []
    positions = Positions(lambda offsets: commits.append(list(offsets)))
    positions.fetched(log, offset)
    positions.finish(log, offset)
    return positions, commits


def test_a_confirmed_commit():
    """It is not sent again."""
    positions, commits = finished()
    positions.commit()
    assert not positions.answered_all
    assert positions.uncommitted() == {ONE: 5}
    positions.answered(None, [Answer(ONE, 5)])
    positions.commit()
    assert positions.answered_all
    assert positions.uncommitted() == {}
    assert sent(commits) == [[("t", 0, 5)]]


def test_a_commit_that_fails():
    """It is sent again, whether the request failed or one of its partitions."""
    error = KafkaError(KafkaError.COORDINATOR_NOT_AVAILABLE)
    for answer in ((error, [Answer(ONE, 5)]), (None, [Answer(ONE, 5, error)])):
        positions, commits = finished()
        positions.commit()
        positions.answered(*answer)
        assert positions.uncommitted() == {ONE: 5}
        positions.commit()
        assert sent(commits) == [[("t", 0, 5)]] * 2


def test_a_partition_that_was_taken_away_meanwhile():
    """The answer says nothing about the position of whoever has it now, or about a later assignment."""
    positions, _ = finished()
    positions.commit()
    positions.begin(ONE)
    positions.answered(None, [Answer(ONE, 5)])
    positions.finish(ONE, 4)
    assert positions.uncommitted() == {ONE: 5}


def test_ends_of_transactions():
    """Behind the last record they count as finished, once that record is; in front of unfinished records they do not."""
    positions, _ = finished()
    positions.end_reached(ONE, 9)
    positions.fetched(TWO, 4)
    positions.fetched(TWO, 5)
    positions.finish(TWO, 4)
    positions.end_reached(TWO, 9)
    assert positions.uncommitted() == {ONE: 9, TWO: 5}
