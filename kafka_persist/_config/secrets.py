"""Settings that do not show their secrets: not in a repr, a log line, a traceback, ``attrs.asdict`` or a pickle."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NoReturn, TypeAlias, final

REDACTED: Final = "***"
"""What is shown instead of a secret."""

PropertyValue: TypeAlias = "str | int | float | bool | Secret | Callable[..., object]"
"""A property of a client. The only callable that is accepted is ``oauth_cb``, in code."""

_SECRET_NAME = re.compile(
    r"password|passphrase|secret|jaas\.config|key\.pem\Z|\Asasl\.username\Z|\Asasl\.oauthbearer\.config\Z",
    re.IGNORECASE,
)


def is_secret(name: object) -> bool:
    """Whether the property `name` holds a secret (what librdkafka itself redacts, and what is named like one)."""
    return isinstance(name, str) and _SECRET_NAME.search(name) is not None


@final
class Secret:
    """A value that shows itself only when asked by `reveal`. Not picklable; equal to a `Secret` of the same value."""

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        self._value = value

    def reveal(self) -> object:
        """Return the value."""
        return self._value

    def __repr__(self) -> str:
        return REDACTED

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a configuration with secrets cannot be pickled; load it again where it is needed")


@final
class SecretText(str):
    """A secret in clear, for the client, which takes a `str`; whoever shows a variable calls `repr` and gets ``***``.

    A traceback with local variables shows what a plain dictionary holds, and clients are made of such.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return REDACTED


class Settings(Mapping[str, Any]):
    """An immutable mapping whose repr shows `***` for secrets; the values themselves are as given."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, Any] = {}) -> None:
        self._items = dict(items)

    def __getitem__(self, name: str) -> Any:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        shown = {name: REDACTED if is_secret(name) else value for name, value in self._items.items()}
        return f"{type(self).__name__}({shown})"


class Properties(Settings):
    """Properties of a client. Secrets are held, and given out, as `Secret`."""

    __slots__ = ()

    def __init__(self, items: Mapping[str, Any] = {}) -> None:
        super().__init__({name: _wrapped(name, value) for name, value in items.items()})

    def reveal(self) -> dict[str, Any]:
        """Return the properties as the client wants them, secrets in clear."""
        return RevealedProperties({name: _revealed(value) for name, value in self._items.items()})


class RevealedProperties(dict[str, Any]):
    """A plain dictionary for the client, with secrets in clear, that still does not print them."""

    def __repr__(self) -> str:
        return repr({name: REDACTED if is_secret(name) else value for name, value in self.items()})


def _revealed(value: Any) -> Any:
    plain = value.reveal() if isinstance(value, Secret) else value
    return SecretText(plain) if isinstance(value, Secret) and isinstance(plain, str) else plain


def _wrapped(name: str, value: Any) -> Any:
    return Secret(value) if is_secret(name) and not isinstance(value, Secret) else value
