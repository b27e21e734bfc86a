"""Topics: creating them in batches, checking their settings, deleting records. Blocking calls, made in threads."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ClusterMetadata, ConfigResource, NewTopic, ResourceType  # type: ignore[attr-defined]  # documented there, but not re-exported explicitly

from ..driver import Log, TopicSpec
from ..errors import ClusterNotReady, ConnectError, PersistenceError, TopicMissing, TopicSettingsRefused
from .blocking import LEAST_SECONDS, Until, Users, pause, wait_for
from .checks import problems_of
from .client import Reasons
from .errors import (
    AUTHORIZATION,
    CONTROLLER_GONE,
    MISSING,
    OUT_OF_RANGE,
    UNREACHABLE,
    broker_error,
    error_in,
    translated,
)

T = TypeVar("T")

_log = logging.getLogger("kafka_persist.topics")

ANY_TOPIC: Final = "__consumer_offsets"
"""To be asked for where only the brokers are of interest: the metadata of all topics may be megabytes."""

PER_TOPIC_SECONDS: Final = 0.05
"""What each topic of a request adds to its deadline."""

METADATA_SECONDS: Final = 0.5
"""The first try at metadata; a caller who is cancelled waits for it."""

GRACE_SECONDS: Final = 1.0
"""How long after a request's own deadline the client's answer is waited for."""


class Admin:
    """Blocking calls; each runs in a worker thread and ends by a deadline of its own.

    Args:
        client: the client; made in a thread, too.
        reasons: the last errors that it reported.
        replication_factor: of new topics; -1 is the broker's default.
        create: whether missing topics may be created.
        policy: what becomes of settings that lose data: "refuse" or "warn".
        timeout: seconds for a request, and for trying again what could not be done at the moment.
    """

    def __init__(
        self,
        client: AdminClient,
        reasons: Reasons,
        *,
        replication_factor: int,
        create: bool,
        policy: str,
        timeout: float,
    ) -> None:
        self._client = client
        self._reasons = reasons
        self._users = Users(self._close)
        self._replication = replication_factor
        self._create = create
        self._policy = policy
        self._timeout = timeout

    def reaches_broker(self, seconds: float) -> bool:
        """Whether a broker answers within `seconds`."""
        try:
            self._client.list_topics(ANY_TOPIC, timeout=seconds)
        except KafkaException:
            self._client.poll(0)  # lets the client tell its reasons
            return False
        return True

    # --- which there are -----------------------------------------------------------------------------------------

    def look(self, names: Sequence[str]) -> dict[str, int | PersistenceError]:
        """How many partitions each topic has; 0 if it certainly does not exist."""
        until = Until(self._timeout)
        found: dict[str, int | PersistenceError] = {}
        while True:
            left = [name for name in names if name not in found]
            unknown = [name for name, error in self._described(left, found, until).items() if error.code() in MISSING]
            passing = self._missing(unknown, found, until) if unknown else []
            left = [name for name in names if name not in found]
            if not left:
                return found
            if until.over:
                self._client.poll(0)  # lets the client tell its reasons
                reason = passing[0] if passing else f"no broker answers ({self._reasons.text()})"
                error = ConnectError(f"looking for topics: nobody can tell whether they exist: {reason}")
                return found | dict.fromkeys(left, error)
            pause()

    def _described(
        self, names: Sequence[str], found: dict[str, int | PersistenceError], until: Until
    ) -> dict[str, KafkaError]:
        """Note the topics that metadata shows; return the answers about the others."""
        open_ones: dict[str, KafkaError] = {}
        if not names:
            return open_ones
        seconds = until.share
        answers = self._client.describe_topics(TopicCollection(list(names)), request_timeout=seconds)
        for name, answer in answers.items():
            error = self._error(answer, seconds)
            if error is None:
                found[name] = len(answer.result().partitions)
            elif error.code() in UNREACHABLE or error.code() in MISSING:
                open_ones[name] = error
            else:
                found[name] = broker_error(error, f"looking for topic {name}")
        return open_ones

    def _missing(self, names: Sequence[str], found: dict[str, int | PersistenceError], until: Until) -> list[str]:
        """Ask the controller, which knows, whether these could be created; return why it did not say.

        With one copy, whatever is configured: with brokers missing it would refuse more, and that is not the question.
        Who may not ask that has to take the broker's word.
        """
        passing: list[str] = []
        moved = False
        wanted = [NewTopic(name, num_partitions=1, replication_factor=1) for name in names]
        seconds = until.share
        answers = self._client.create_topics(wanted, validate_only=True, request_timeout=seconds)
        for name, answer in answers.items():
            error = self._error(answer, seconds)
            if error is None or error.code() in AUTHORIZATION:
                found[name] = 0
            elif error.code() in UNREACHABLE or error.code() == KafkaError.TOPIC_ALREADY_EXISTS:
                passing.append(error.str())
                moved = moved or error.code() in CONTROLLER_GONE
            else:
                found[name] = broker_error(error, f"asking the controller for topic {name}")
        if moved:
            self._find_controller()
        return passing

    def names(self) -> Sequence[str]:
        """Return the names of all topics that exist."""
        found = self._metadata(None, "listing topics").topics
        return sorted(name for name, topic in found.items() if topic.error is None)

    def _metadata(self, topic: str | None, doing: str) -> ClusterMetadata:
        """Ask for metadata, again and again: the client's call cannot be interrupted, so each one is short.

        Args:
            topic: of which; None for all.
            doing: names the request in the error.
        """
        until = Until(self._timeout)
        seconds = METADATA_SECONDS
        while True:
            try:
                return self._client.list_topics(*(() if topic is None else (topic,)), timeout=seconds)
            except KafkaException as exception:
                error = error_in(exception)
                if error.code() not in UNREACHABLE or until.over:
                    raise broker_error(error, doing) from None
            pause()
            seconds = max(
                LEAST_SECONDS, min(until.left, seconds * 2)
            )  # a large cluster needs longer for all of its topics

    # --- creating ------------------------------------------------------------------------------------------------

    def ensure(self, specs: Sequence[TopicSpec]) -> dict[TopicSpec, int | PersistenceError]:
        """Create the missing topics, check the settings of all; within the timeout and `PER_TOPIC_SECONDS` for each.

        Returns:
            How many partitions each has that may be used, 0 where that is not known; `TopicSettingsRefused`,
            `TopicMissing` or a `BrokerError` for the others.
        """
        until = Until(self._timeout + PER_TOPIC_SECONDS * len(specs))
        results: dict[TopicSpec, PersistenceError | None] = {}
        created: list[TopicSpec] = []
        existing = self._create_missing(specs, created, results, until) if self._create else self._there(specs, results)
        self._check([*existing, *self._one_of_each_kind(created)], results, until)
        counts: dict[str, int | PersistenceError] = {spec.name: max(0, spec.partitions) for spec in created}
        self._described([spec.name for spec in existing if results[spec] is None], counts, until)
        return {spec: results.get(spec) or _count(counts.get(spec.name)) for spec in specs}

    def _create_missing(
        self,
        specs: Sequence[TopicSpec],
        created: list[TopicSpec],
        results: dict[TopicSpec, PersistenceError | None],
        until: Until,
    ) -> list[TopicSpec]:
        """Create `specs`; return those that were there before."""
        existing: list[TopicSpec] = []
        denied: dict[TopicSpec, KafkaError] = {}
        left = list(specs)
        while left:
            again: list[TopicSpec] = []
            moved = False
            for spec, error in self._create_now(left, until.share).items():
                if error is None:
                    created.append(spec)
                elif error.code() == KafkaError.TOPIC_ALREADY_EXISTS:
                    existing.append(spec)
                elif error.code() in AUTHORIZATION:
                    denied[spec] = error
                elif error.code() in UNREACHABLE and not until.over:
                    again.append(spec)
                    moved = moved or error.code() in CONTROLLER_GONE
                else:
                    results[spec] = broker_error(error, f"creating topic {spec.name}").about(topic=spec.name)
            left = again
            if moved:
                self._find_controller()
            if left:
                pause()
        return existing + self._there_although_denied(denied, results)

    def _there_although_denied(
        self, denied: Mapping[TopicSpec, KafkaError], results: dict[TopicSpec, PersistenceError | None]
    ) -> list[TopicSpec]:
        """Those that exist: the controller refuses whom it does not know before it looks whether there is anything to create."""
        found = self.look([spec.name for spec in denied]) if denied else {}
        for spec, error in denied.items():
            answer = found[spec.name]
            if isinstance(answer, PersistenceError):
                results[spec] = answer
            elif answer == 0:
                results[spec] = broker_error(error, f"creating topic {spec.name}").about(topic=spec.name)
        return [spec for spec in denied if spec not in results]

    def _find_controller(self) -> None:
        """Learn who the controller is now: the client would go on asking the former one for minutes."""
        with contextlib.suppress(KafkaException):
            self._client.list_topics(ANY_TOPIC, timeout=METADATA_SECONDS)

    def _create_now(self, specs: Sequence[TopicSpec], seconds: float) -> dict[TopicSpec, KafkaError | None]:
        wanted = [
            NewTopic(
                spec.name,
                num_partitions=spec.partitions,
                replication_factor=self._replication,
                config=dict(spec.settings),
            )
            for spec in specs
        ]
        answers = self._client.create_topics(wanted, operation_timeout=seconds, request_timeout=seconds)
        return {spec: self._error(answers[spec.name], seconds) for spec in specs}

    def _there(self, specs: Sequence[TopicSpec], results: dict[TopicSpec, PersistenceError | None]) -> list[TopicSpec]:
        """Those that exist; nothing may be created."""
        found = self.look([spec.name for spec in specs])
        for spec in specs:
            answer = found[spec.name]
            if isinstance(answer, PersistenceError):
                results[spec] = answer
            elif answer == 0:
                results[spec] = TopicMissing(
                    f"topic {spec.name} does not exist and topics.create is false; create it with {spec.partitions} "
                    f"partition(s) and {dict(spec.settings)}"
                ).about(topic=spec.name)
        return [spec for spec in specs if found[spec.name] and spec not in results]

    # --- settings ------------------------------------------------------------------------------------------------

    def _one_of_each_kind(self, created: Iterable[TopicSpec]) -> list[TopicSpec]:
        """New topics have what we asked for, and the cluster's defaults, which one of each role shows."""
        return list({(spec.role, *sorted(spec.settings.items())): spec for spec in created}.values())

    def _check(
        self, specs: Collection[TopicSpec], results: dict[TopicSpec, PersistenceError | None], until: Until
    ) -> None:
        """Look for settings that lose data."""
        left = list(specs)
        while left:
            again: list[TopicSpec] = []
            resources = {spec: ConfigResource(ResourceType.TOPIC, spec.name) for spec in left}
            seconds = until.share
            answers = self._client.describe_configs(list(resources.values()), request_timeout=seconds)
            for spec, resource in resources.items():
                error = self._error(answers[resource], seconds)
                passing = error is not None and (error.code() in UNREACHABLE or error.code() in MISSING)
                if passing and not until.over:
                    again.append(spec)  # one that was just created is not known to every broker at once
                else:
                    results[spec] = self._verdict(spec, error, answers[resource])
            left = again
            if left:
                pause()

    def _verdict(
        self, spec: TopicSpec, error: KafkaError | None, answer: Future[Mapping[str, Any]]
    ) -> PersistenceError | None:
        if error is None:
            return self._judge(spec, {name: entry.value for name, entry in answer.result().items()})
        if error.code() in AUTHORIZATION:
            _log.warning(
                "topic %s: its settings cannot be checked: %s",
                spec.name,
                error.str(),
                extra={"event": "topic.settings-unknown"},
            )
            return None
        return broker_error(error, f"reading the settings of topic {spec.name}").about(topic=spec.name)

    def _judge(self, spec: TopicSpec, settings: Mapping[str, str]) -> PersistenceError | None:
        for problem in problems_of(spec, settings):
            if self._policy == "refuse":
                return TopicSettingsRefused(
                    f'topic {spec.name}: {problem}. Change the topic, or set settings-policy = "warn" to accept the loss'
                ).about(topic=spec.name)
            _log.warning("topic %s: %s", spec.name, problem, extra={"event": "topic.settings-dangerous"})
        return None

    def broker_settings(self) -> dict[str, dict[str, str]]:
        """The settings of each broker, by its id."""
        names = [str(name) for name in self._metadata(ANY_TOPIC, "listing the brokers").brokers]
        return self._describe(ResourceType.BROKER, sorted(names, key=int))

    def topic_settings(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """The settings of topics."""
        return self._describe(ResourceType.TOPIC, names)

    def replication(self, names: Sequence[str]) -> dict[str, int]:
        """Copies of each topic's partition that has the fewest."""
        found = self._metadata(None, "listing topics").topics
        counts = {
            name: [len(each.replicas) for each in found[name].partitions.values()] for name in names if name in found
        }
        return {name: min(copies) for name, copies in counts.items() if copies}

    def _describe(self, kind: Any, names: Sequence[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        found: dict[str, dict[str, str]] = {}
        with translated("reading settings"):
            for name in names:  # a broker answers only for itself, so this is a request each
                resource = ConfigResource(kind, name)
                answer = self._client.describe_configs([resource], request_timeout=self._timeout)[resource]
                entries = wait_for(answer, self._timeout + GRACE_SECONDS)
                found[name] = {each.name: each.value for each in entries.values() if each.value is not None}
        return found

    # --- records -------------------------------------------------------------------------------------------------

    def delete_before(self, log: Log, offset: int) -> None:
        """See `Driver.delete_before`."""
        wanted = [TopicPartition(log.topic, log.partition, offset)]
        (answer,) = self._client.delete_records(wanted, request_timeout=self._timeout).values()
        error = self._error(answer, self._timeout)
        if error is None:
            return
        doing = f"deleting the records of {log} below offset {offset}"
        if (
            error.code() in OUT_OF_RANGE
        ):  # of a leader that was deposed, or has not caught up: the caller has seen the offset
            raise ClusterNotReady(f"{doing}: {error.str()}")
        raise broker_error(error, doing)

    # --- the rest ------------------------------------------------------------------------------------------------

    def _error(self, answer: Future[Any], seconds: float) -> KafkaError | None:
        """What is wrong with the answer to a request that had `seconds`; None if nothing is."""
        try:
            wait_for(answer, seconds + GRACE_SECONDS)
        except KafkaException as exception:
            return error_in(exception)
        except TimeoutError as error:
            return KafkaError(KafkaError._TIMED_OUT, str(error))
        return None

    def using(self, call: Callable[[], T]) -> T:
        """Make a call of this object, in a thread; the client is not closed before it has returned."""
        with self._users:
            return call()

    def close(self) -> None:
        """End the client's threads, as soon as no call is under way."""
        self._users.close()

    def _close(self) -> None:
        close_admin_client(self._client)


def _count(found: int | PersistenceError | None) -> int:
    """The number of partitions, where it is known."""
    return found if isinstance(found, int) else 0


def close_admin_client(client: AdminClient) -> None:
    """End the client's threads and connections. Blocks."""
    client.__exit__(None, None, None)
