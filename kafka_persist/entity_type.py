"""A kind of entity: everything that all entities of it have in common, said once."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Generic, TypeVar, cast

import attrs

from ._entities.fold import Fold
from ._entities.keys import RecentKeys, check_remembered
from ._entities.retention import Retention
from .errors import SerializationError, UsageError, printable
from .model import check_persistence_id
from .serialization import PLAIN_TYPES, Serializer
from .tagging import Labeller

__all__ = ["EntityType", "plain_fold"]

S = TypeVar("S")
E = TypeVar("E")

MAX_NAME_LENGTH: Final = 100
"""Characters of the longest name, so that most of a persistence id is left to the entity."""

_NAME = re.compile(rf"[A-Za-z][A-Za-z0-9_]{{0,{MAX_NAME_LENGTH - 1}}}")
_COMMAND_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,199}")
_SEPARATOR: Final = "-"


def named_commands(
    given: Mapping[str, Callable[..., Any]] | Iterable[Callable[..., Any]],
) -> Mapping[str, Callable[..., Any]]:
    """Give each command its name.

    Raises:
        UsageError: one has no name of its own, is not a plain function, or two have the same.
    """
    named: dict[Any, Any]
    if isinstance(given, Mapping):
        named = dict(cast("Mapping[Any, Any]", given))
    else:
        functions = tuple(given)
        named = {getattr(function, "__name__", ""): function for function in functions}
        if len(named) < len(functions):
            raise UsageError("two commands have the same name: give a mapping from names to functions")
    for name, function in named.items():
        if not isinstance(name, str) or not _COMMAND_NAME.fullmatch(name):
            raise UsageError(
                f"a command needs a name: give a mapping from names to functions, not {printable(repr(function), 80)}"
            )
        if not callable(function) or inspect.iscoroutinefunction(function):
            raise UsageError(f"the command {name} must be a plain function, not {printable(repr(function), 120)}")
    return types.MappingProxyType(named)


@attrs.frozen(eq=False)
class EntityType(Generic[S, E]):
    """A kind of entity, checked when it is made.

    What the registry (`Persistence.entities`) and the test kit take. Make one for each kind, at the top of a
    module, and give the serializer, so that a forgotten registration is an error at import and not at the first event.

    The state and the events are those of the annotations of `evolve`; a type checker compares them with everything that
    is passed to the registry.

    Attributes:
        name: ASCII letters, digits and ``_``, a letter first, at most 100 characters. It begins the persistence ids
            of the type's entities, forever.
        initial: the state before the first event, shared by all entities of the type: `evolve` must not change it.
        evolve: makes the next state of a state and an event; a pure function, see `Persistence.entity`.
        snapshot_every: save a snapshot in the background whenever so many events came since the last one.
        snapshot_when: save one behind an event for which ``snapshot_when(state, event, sequence_nr)`` is true; the
            state is the one after the event. It is asked before the event is stored, so an exception that it
            raises refuses the command.
        snapshot_on_passivation: save one when the registry closes the entity, if events came since the last one.
        keep_snapshots: delete all but so many of the newest snapshots; None leaves it to the store's own ``keep``.
        keep_events: when a snapshot was saved, delete the events behind it except for so many; None deletes none.
            With `keep_snapshots` k and `snapshot_every` n, ``(k - 1) * n`` lets each kept snapshot be loaded in an emergency.
        tagger: the tags of an event.
        metadata: the metadata of an event: plain data under text keys.
        remember_keys: how many idempotency keys an entity remembers (0 to 10,000); see `Entity.execute_once`.
        allow_none_state: None is a state that `evolve` may return after another one.
        upcast: what a stored event means today: ``upcast(event)`` gives the events that `evolve` gets in its place, one,
            several or none. For events that were split, merged into others or dropped; new events do not pass it. A
            change of an event's fields is a matter of `Serializer.register`.
        skip_deleted: go on with what is left where events were deleted that no snapshot covers.
        commands: the functions that `Shards.ask` may name, by their own names; or a mapping from other names. A name is what
            stands in a command on its way to another process, so it is the same in all of them.
        events: the types of the events, where the annotations of `evolve` do not say.
        serializer: if given, all types are looked up in it now; otherwise when the type is first used.

    Raises:
        UsageError: something of this cannot work; the message names it.
    """

    name: str
    initial: S = attrs.field(kw_only=True)
    evolve: Callable[[S, E], S] = attrs.field(kw_only=True)
    snapshot_every: int | None = attrs.field(default=None, kw_only=True)
    snapshot_when: Callable[[S, E, int], bool] | None = attrs.field(default=None, kw_only=True)
    snapshot_on_passivation: bool = attrs.field(default=False, kw_only=True)
    keep_snapshots: int | None = attrs.field(default=None, kw_only=True)
    keep_events: int | None = attrs.field(default=None, kw_only=True)
    tagger: Callable[[E], Iterable[str]] | None = attrs.field(default=None, kw_only=True)
    metadata: Callable[[E], Mapping[str, Any]] | None = attrs.field(default=None, kw_only=True)
    remember_keys: int = attrs.field(default=100, kw_only=True)
    allow_none_state: bool = attrs.field(default=False, kw_only=True)
    upcast: Callable[[Any], Iterable[E]] | None = attrs.field(default=None, kw_only=True)
    skip_deleted: bool = attrs.field(default=False, kw_only=True)
    commands: Mapping[str, Callable[..., Any]] = attrs.field(
        factory=dict, converter=named_commands, kw_only=True, repr=False
    )
    events: tuple[type, ...] = attrs.field(default=(), converter=tuple, kw_only=True)
    serializer: Serializer | None = attrs.field(default=None, kw_only=True, repr=False)
    retention: Retention = attrs.field(init=False, repr=False)
    labeller: Labeller = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if type(self.name) is not str or not _NAME.fullmatch(self.name):
            raise UsageError(
                f"the name of an entity type has 1 to {MAX_NAME_LENGTH} ASCII letters, digits and '_', a letter first, and no "
                f"'-', which ends it in persistence ids; not {self.name!r:.120}"
            )
        for part, count in (("evolve", 2), ("snapshot_when", 3), ("tagger", 1), ("metadata", 1), ("upcast", 1)):
            if (function := getattr(self, part)) is not None:
                check_function(f"{self.name}: {part}", function, count)
        check_remembered(self.remember_keys)
        retention = Retention(
            snapshot_every=self.snapshot_every,
            snapshot_when=self.snapshot_when,
            snapshot_on_passivation=self.snapshot_on_passivation,
            keep_snapshots=self.keep_snapshots,
            keep_events=self.keep_events,
        )
        _set(self, "retention", retention)
        _set(self, "labeller", Labeller(self.tagger, self.metadata))
        if self.serializer is not None:
            self.check_types(self.serializer)

    def persistence_id(self, id_: str) -> str:
        """Return the persistence id of one entity: ``<name>-<id>``, as in ``account-4711``.

        No two entities share one: a name has no ``-``, so the first one ends it. With ids of ASCII letters, digits,
        ``-`` and ``_`` it is the name of the topic, too (in the layout that has a topic for each).

        Raises:
            InvalidPersistenceId: the id is empty, not text, or too long (1,000 characters with the name).
        """
        check_persistence_id(id_)
        return check_persistence_id(f"{self.name}{_SEPARATOR}{id_}")

    def id_of(self, persistence_id: str) -> str | None:
        """Return the id within this type; None for an entity of another type."""
        name, separator, id_ = persistence_id.partition(_SEPARATOR)
        return id_ if name == self.name and separator else None

    def command_name(self, decide: Callable[..., Any]) -> str:
        """Return the name of one of the `commands`.

        Raises:
            UsageError: it is none of them.
        """
        for name, function in self.commands.items():
            if function is decide:
                return name
        raise UsageError(
            f"{self.name}: {getattr(decide, '__qualname__', decide)} is not among the commands of the type, by whose names other "
            "processes know them: EntityType(..., commands=[...])"
        )

    def check_types(self, serializer: Serializer) -> None:
        """Check that all events, and the state if snapshots of it are saved, can be stored.

        Raises:
            UsageError: a type is not registered; the message names it.
        """
        state, event = _annotated(self.evolve)
        for type_ in {*self.events, *_members(event)}:
            self._check_registered(serializer, type_, "event")
        if not self.retention.saves:
            return
        for type_ in _members(state):
            self._check_registered(serializer, type_, "state")
        try:
            serializer.dump(self.initial)
        except SerializationError as error:
            raise UsageError(f"{self.name}: the initial state cannot be stored in a snapshot: {error}") from error

    def _check_registered(self, serializer: Serializer, type_: type, role: str) -> None:
        known = serializer.registered_types
        if type_ in PLAIN_TYPES or type_ in known or any(issubclass(each, type_) for each in known):
            return
        raise UsageError(
            f"{self.name}: the {role} type {type_.__qualname__} is not registered with the serializer: call "
            f"serializer.register({type_.__name__}) before the EntityType is made"
        )

    def fold(self, persistence_id: str) -> Fold[S]:
        """Make the empty fold of one entity."""
        return Fold(
            persistence_id,
            self.evolve,
            self.initial,
            skip_deleted=self.skip_deleted,
            allow_none_state=self.allow_none_state,
            upcast=self.upcast,
            keys=RecentKeys(self.remember_keys),
        )


def _set(type_: EntityType[Any, Any], name: str, value: object) -> None:
    object.__setattr__(type_, name, value)  # as attrs itself sets fields of a frozen class


def plain_fold(
    persistence_id: str, initial: S, evolve: Callable[[S, Any], S], *, skip_deleted: bool, allow_none_state: bool
) -> Fold[S]:
    """Make the empty fold of an entity or view that has no type.

    Raises:
        UsageError: `evolve` is not a plain function of two arguments.
        InvalidPersistenceId: see `check_persistence_id`.
    """
    check_function("evolve", evolve, 2)
    checked = check_persistence_id(persistence_id)
    return Fold(checked, evolve, initial, skip_deleted=skip_deleted, allow_none_state=allow_none_state)


def check_function(name: str, function: object, arguments: int) -> None:
    """Refuse what is not a plain function of so many arguments.

    Raises:
        UsageError: it is a coroutine function, cannot be called, or takes other arguments.
    """
    plain = callable(function) and not inspect.iscoroutinefunction(function)
    if not plain or inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004 - its kind, not whether it is there
        raise UsageError(f"{name} must be a plain function, not {printable(repr(function), 120)}")
    try:
        inspect.signature(typing.cast("Callable[..., object]", function)).bind(*[None] * arguments)
    except TypeError as error:
        raise UsageError(f"{name} must take {arguments} positional arguments: {error}") from None
    except ValueError:
        pass  # some builtins do not tell what they take


def _annotated(evolve: Callable[..., object]) -> tuple[Any, Any]:
    """The annotations of state and event; Any where there are none, or where they cannot be looked up."""
    try:
        hints = typing.get_type_hints(evolve)
        names = [*inspect.signature(evolve).parameters][:2]
    except (NameError, TypeError, ValueError, AttributeError):  # of a local class, say; then the first write checks
        return Any, Any
    state, event = (hints.get(name, Any) for name in names)
    return state, event


def _members(annotation: Any) -> Iterator[type]:
    """The classes in an annotation that can be looked up: those of a union, the ``list`` of ``list[int]``."""
    alias = getattr(annotation, "__value__", None)  # `type Event = Deposited | Withdrawn`
    if alias is not None:
        yield from _members(alias)
    elif typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for member in typing.get_args(annotation):
            yield from _members(member)
    else:
        found = typing.get_origin(annotation) or annotation
        # `Any` is a class since Python 3.11
        if (
            isinstance(found, type)
            and found is not object
            and found is not Any
            and not getattr(found, "_is_protocol", False)
        ):
            yield found
