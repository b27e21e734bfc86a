"""Topics: creating them in batches, checking the settings of existing ones, deleting records."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from itertools import islice
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType  # type: ignore[attr-defined]  # documented there, but not re-exported explicitly

from ..driver import Log, TopicSpec
from ..errors import TopicMissing, TopicSettingsRefused
from .checks import problems_of
from .errors import AUTHORIZATION, UNREACHABLE, broker_error, error_in, translated
from .scanner import CREATION_SECONDS, POLL_SECONDS

_log = logging.getLogger("kafka_persist.topics")

BATCH: Final = 500
"""Topics per request: with ZooKeeper a broker needs 12 to 24 ms for each, and the request has a deadline."""


STARTING: Final = UNREACHABLE | {KafkaError.NOT_CONTROLLER, KafkaError.INVALID_REPLICATION_FACTOR}
"""Answers of a cluster that has no controller yet, or no broker that could hold a topic."""


class Admin:
    """Blocking calls; each runs in a worker thread."""

    def __init__(
        self, config: Mapping[str, Any], *, replication_factor: int, create: bool, policy: str, timeout: float
    ) -> None:
        self.client = AdminClient(dict(config))
        self._replication = replication_factor
        self._create = create
        self._policy = policy
        self._timeout = timeout

    def ensure(self, specs: Sequence[TopicSpec]) -> None:
        """Create the missing topics, check the others.

        Raises:
            TopicSettingsRefused, TopicMissing, BrokerError.
        """
        for batch in _batches(specs):
            existing = self._create_missing(batch) if self._create else self._existing_of(batch)
            self._check(existing)

    def _create_missing(self, specs: Sequence[TopicSpec]) -> list[TopicSpec]:
        """Create `specs`; return those that were there before."""
        wanted = [
            NewTopic(
                spec.name,
                num_partitions=spec.partitions,
                replication_factor=self._replication,
                config=dict(spec.settings),
            )
            for spec in specs
        ]
        timeout = self._timeout + 0.05 * len(wanted)
        answers = self.client.create_topics(wanted, operation_timeout=timeout, request_timeout=timeout + 5)
        return [spec for spec in specs if not _created(answers[spec.name], spec)]

    def _existing_of(self, specs: Sequence[TopicSpec]) -> list[TopicSpec]:
        there = self.existing(spec.name for spec in specs)
        for spec in specs:
            if spec.name not in there:
                raise TopicMissing(
                    f"topic {spec.name} does not exist and topics.create is false; create it with {spec.partitions} "
                    f"partition(s) and {dict(spec.settings)}"
                )
        return list(specs)

    def existing(self, names: Iterable[str]) -> frozenset[str]:
        """Return those of `names` that exist."""
        with translated("listing topics"):
            found = self.client.list_topics(timeout=self._timeout).topics
        return frozenset(
            name for name in names if (name in found and found[name].error is None) or not self.missing(name)
        )

    def names(self) -> Sequence[str]:
        """Return the names of all topics that exist."""
        with translated("listing topics"):
            found = self.client.list_topics(timeout=self._timeout).topics
        return sorted(name for name, topic in found.items() if topic.error is None)

    def missing(self, topic: str) -> bool:
        """Whether a topic certainly does not exist.

        Metadata does not tell: a broker that has just started answers "unknown topic" until it has learnt its topics, and
        an id without a topic is an id without events. So the controller is asked whether it could be created. Who may not
        ask that has to take the broker's word.
        """
        wanted = [NewTopic(topic, num_partitions=1, replication_factor=self._replication)]
        answer = self.client.create_topics(wanted, validate_only=True, request_timeout=self._timeout)[topic]
        try:
            answer.result()
        except KafkaException as exception:
            code = error_in(exception).code()
            return code != KafkaError.TOPIC_ALREADY_EXISTS and code not in STARTING
        return True

    def _check(self, specs: Collection[TopicSpec]) -> None:
        if not specs:
            return
        resources = [ConfigResource(ResourceType.TOPIC, spec.name) for spec in specs]
        answers = self.client.describe_configs(resources, request_timeout=self._timeout)
        for spec, resource in zip(specs, resources, strict=True):
            settings = self._settings_when_known(spec, answers[resource])
            if settings is not None:
                self._judge(spec, settings)

    def _settings_when_known(self, spec: TopicSpec, answer: Future[Mapping[str, Any]]) -> Mapping[str, str] | None:
        """A topic's settings; one that somebody else has just created is not known to every broker at once."""
        give_up = time.monotonic() + CREATION_SECONDS
        while True:
            try:
                return _settings(answer, spec)
            except TopicMissing:
                if time.monotonic() > give_up:
                    raise
            time.sleep(POLL_SECONDS)  # in a worker thread: nothing there could wake it earlier
            resource = ConfigResource(ResourceType.TOPIC, spec.name)
            answer = self.client.describe_configs([resource], request_timeout=self._timeout)[resource]

    def _judge(self, spec: TopicSpec, settings: Mapping[str, str]) -> None:
        for problem in problems_of(spec, settings):
            if self._policy == "refuse":
                raise TopicSettingsRefused(
                    f'topic {spec.name}: {problem}. Change the topic, or set settings-policy = "warn" to accept the loss'
                )
            _log.warning("topic %s: %s", spec.name, problem)

    def broker_settings(self) -> dict[str, dict[str, str]]:
        """The settings of each broker, by its id."""
        with translated("listing the brokers"):
            names = [str(name) for name in self.client.list_topics(timeout=self._timeout).brokers]
        return self._describe(ResourceType.BROKER, sorted(names, key=int))

    def topic_settings(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """The settings of topics."""
        return self._describe(ResourceType.TOPIC, names)

    def _describe(self, kind: Any, names: Sequence[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        found: dict[str, dict[str, str]] = {}
        with translated("reading settings"):
            for name in names:  # a broker answers only for itself, so this is a request each
                resource = ConfigResource(kind, name)
                answer = self.client.describe_configs([resource], request_timeout=self._timeout)[resource].result()
                found[name] = {each.name: each.value for each in answer.values() if each.value is not None}
        return found

    def delete_before(self, log: Log, offset: int) -> None:
        """See `Driver.delete_before`."""
        with translated(f"deleting the records of {log} below offset {offset}"):
            answers = self.client.delete_records(
                [TopicPartition(log.topic, log.partition, offset)], request_timeout=self._timeout
            )
            for answer in answers.values():
                answer.result()

    def close(self) -> None:
        """End the client's threads."""
        self.client.__exit__(None, None, None)


def _batches(specs: Iterable[TopicSpec]) -> Iterator[list[TopicSpec]]:
    rest = iter(specs)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _created(answer: Future[None], spec: TopicSpec) -> bool:
    """Whether the topic is new; False if it exists already."""
    try:
        answer.result()
    except KafkaException as exception:
        error = error_in(exception)
        if error.code() == KafkaError.TOPIC_ALREADY_EXISTS or error.code() in AUTHORIZATION:
            return False  # not allowed to create: it may still be there, and the first use of it tells
        raise broker_error(error, f"creating topic {spec.name}") from None
    return True


def _settings(answer: Future[Mapping[str, Any]], spec: TopicSpec) -> Mapping[str, str] | None:
    """A topic's settings; None if this principal may not see them."""
    try:
        return {name: entry.value for name, entry in answer.result().items()}
    except KafkaException as exception:
        error = error_in(exception)
        if error.code() in AUTHORIZATION:
            _log.warning("topic %s: its settings cannot be checked: %s", spec.name, error.str())
            return None
        raise broker_error(error, f"reading the settings of topic {spec.name}") from None
