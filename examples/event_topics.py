"""Which events go to which topics: a mapper of one's own.

In the configuration: ``kafka-journal.event.producer.topic.mapper.class = "event_topics:ExampleEventTopicMapper"``; in code:
``open_persistence(config, event_topic_mapper=ExampleEventTopicMapper())``.
"""

from __future__ import annotations

from collections.abc import Sequence

from kafka_persist import Event, EventTopicMapper


class ExampleEventTopicMapper(EventTopicMapper):
    """Publishes the events of entity `a` to two topics, those of `b` to one, and nothing else."""

    def topics_for(self, event: Event) -> Sequence[str]:
        match event.persistence_id:
            case "a":
                return ("topic-a-1", "topic-a-2")
            case "b":
                return ("topic-b",)
            case _:
                return ()
