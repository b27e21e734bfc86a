"""Event sourcing on Apache Kafka for Trio programs.

    persistence                   `open_persistence`: everything below on one journal and one snapshot store
    memory_persistence            the same in memory, for tests and trials
    entities, entity_type         live entities: opened on demand, shared, closed when idle
    shards                        the entities of one journal on many processes, by a consumer group
    entity, command, tagging      one entity that recovers and persists; what commands return; tags and metadata
    view                          followers of an entity's events, with a state of their own
    journal, snapshots, memory    stores of events and snapshots, in Kafka and in memory: `open_journal`, ...
    abc, model, errors            the contract of a store, its records, everything that can go wrong
    removal                       everything of an entity is deleted: `remove_entity`
    publishing, consuming         which user-defined topics events go to; reading them: `open_events`
    projection                    read models: each event applied once: `open_projection`
    config, serialization, naming settings, types of payloads, names of topics
    tracing                       what a tracing system is told; otel: OpenTelemetry's adapter, its only importer
    driver, limits                what a store needs of a log; every size that does not depend on the configuration

A private folder belongs to the public module of the same name: _journal, _snapshots, _publishing, _consuming, _memory, _config,
_entities to entity and view, _live to entities, _shards to shards. The others:

    _core                         pure rules and formats: no I/O
    _kafka, _zookeeper            the only importers of librdkafka's client; of ZooKeeper's
    _shared, _index               the journal's other layout, where many ids share a log; local indexes, the only importer of LMDB
    _lifecycle, _waiter, _looks   nurseries for background tasks; one task that waits; looks that many tasks share
    _structuring                  payload types as plain data
    projection_sqlite             a read model's store in SQLite; projection_memory: in memory
    projection_postgresql         the same in PostgreSQL; _postgresql: the only importer of psycopg
    _commands, _browser           the command line; the event browser, which one of its commands serves

Counters are called statistics; they are in `_live.tally` (entities), `publishing` and `_consuming.stream`.

Importing this package loads no client: librdkafka is loaded by the first store that is opened in Kafka.
"""

from .abc import Capability as Capability
from .abc import Journal as Journal
from .abc import ReplayChannel as ReplayChannel
from .abc import SnapshotStore as SnapshotStore
from .command import Reply as Reply
from .config import Config as Config
from .config import EventProducerConfig as EventProducerConfig
from .config import JournalConfig as JournalConfig
from .config import PublishingMode as PublishingMode
from .config import Secret as Secret
from .config import SnapshotStoreConfig as SnapshotStoreConfig
from .config import StoreConfig as StoreConfig
from .config import TopicsConfig as TopicsConfig
from .config import ZookeeperConfig as ZookeeperConfig
from .config import load_config as load_config
from .config import reference_toml as reference_toml
from .consuming import EventDecoder as EventDecoder
from .consuming import EventStream as EventStream
from .consuming import PersistentReprDecoder as PersistentReprDecoder
from .consuming import ReceivedEvent as ReceivedEvent
from .consuming import StreamStatistics as StreamStatistics
from .consuming import open_events as open_events
from .entities import Entities as Entities
from .entities import EntityStatistics as EntityStatistics
from .entities import Health as Health
from .entities import ReopenPolicy as ReopenPolicy
from .entity import Entity as Entity
from .entity_type import EntityType as EntityType
from .errors import AlreadyExecuted as AlreadyExecuted
from .errors import AuthenticationError as AuthenticationError
from .errors import AuthorizationError as AuthorizationError
from .errors import BrokerError as BrokerError
from .errors import ClaimOutcomeUnknown as ClaimOutcomeUnknown
from .errors import ClusterNotReady as ClusterNotReady
from .errors import ConfigError as ConfigError
from .errors import ConnectError as ConnectError
from .errors import CorruptRecord as CorruptRecord
from .errors import EntityAlreadyOpen as EntityAlreadyOpen
from .errors import EventMappingFailed as EventMappingFailed
from .errors import EventRejected as EventRejected
from .errors import EventsDeleted as EventsDeleted
from .errors import EvolveFailed as EvolveFailed
from .errors import ForeignEvent as ForeignEvent
from .errors import IndexUnusable as IndexUnusable
from .errors import InvalidPersistenceId as InvalidPersistenceId
from .errors import JournalBroken as JournalBroken
from .errors import JournalHeadLost as JournalHeadLost
from .errors import JournalTruncated as JournalTruncated
from .errors import PayloadUnreadable as PayloadUnreadable
from .errors import PersistenceError as PersistenceError
from .errors import PersistenceIdCollision as PersistenceIdCollision
from .errors import ProjectionFailed as ProjectionFailed
from .errors import ProjectionFenced as ProjectionFenced
from .errors import PublicationPending as PublicationPending
from .errors import ReadModelRefused as ReadModelRefused
from .errors import ReadModelUnavailable as ReadModelUnavailable
from .errors import RecoveryStalled as RecoveryStalled
from .errors import SequenceNrConflict as SequenceNrConflict
from .errors import SerializationError as SerializationError
from .errors import SnapshotUnreadable as SnapshotUnreadable
from .errors import StoreClosed as StoreClosed
from .errors import StoredDataError as StoredDataError
from .errors import SweepIncomplete as SweepIncomplete
from .errors import TopicMissing as TopicMissing
from .errors import TopicSettingsRefused as TopicSettingsRefused
from .errors import UnknownManifest as UnknownManifest
from .errors import UnsupportedEnvelope as UnsupportedEnvelope
from .errors import UnsupportedOperation as UnsupportedOperation
from .errors import UsageError as UsageError
from .errors import WriteError as WriteError
from .errors import WriteNotSent as WriteNotSent
from .errors import WriteOutcomeUnknown as WriteOutcomeUnknown
from .errors import WriterFenced as WriterFenced
from .journal import KafkaJournal as KafkaJournal
from .journal import open_journal as open_journal
from .memory import MemoryBackend as MemoryBackend
from .memory import open_memory_journal as open_memory_journal
from .memory import open_memory_snapshot_store as open_memory_snapshot_store
from .memory_persistence import open_memory_persistence as open_memory_persistence
from .model import LATEST as LATEST
from .model import MAX_PERSISTENCE_ID_LENGTH as MAX_PERSISTENCE_ID_LENGTH
from .model import MAX_SEQUENCE_NR as MAX_SEQUENCE_NR
from .model import AtomicWrite as AtomicWrite
from .model import Event as Event
from .model import PersistentRepr as PersistentRepr
from .model import Rejection as Rejection
from .model import SelectedSnapshot as SelectedSnapshot
from .model import SelectionCriteria as SelectionCriteria
from .model import SnapshotMetadata as SnapshotMetadata
from .persistence import KafkaPersistence as KafkaPersistence
from .persistence import Persistence as Persistence
from .persistence import open_persistence as open_persistence
from .persistence import open_persistence_on as open_persistence_on
from .projection import ErrorPolicy as ErrorPolicy
from .projection import Lag as Lag
from .projection import Projection as Projection
from .projection import ProjectionStore as ProjectionStore
from .projection import open_projection as open_projection
from .projection_memory import MemoryProjectionStore as MemoryProjectionStore
from .publishing import DefaultEventTopicMapper as DefaultEventTopicMapper
from .publishing import EmptyEventTopicMapper as EmptyEventTopicMapper
from .publishing import EventTopicMapper as EventTopicMapper
from .publishing import PendingReport as PendingReport
from .publishing import PublishingStatistics as PublishingStatistics
from .removal import remove_entity as remove_entity
from .serialization import Encoded as Encoded
from .serialization import Serializer as Serializer
from .serialization import Upcaster as Upcaster
from .serialization import default_serializer as default_serializer
from .snapshots import open_snapshot_store as open_snapshot_store
from .tagging import Tagged as Tagged
from .tagging import caused_by as caused_by
from .tagging import event_context as event_context
from .view import View as View
