"""Check a journal or a snapshot store without writing any code: ``python -m compat_suite --help``."""

from __future__ import annotations

import argparse
import difflib
import importlib
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, cast

from .adapters import Elsewhere
from .capabilities import JOURNAL, SNAPSHOT_STORE, Level
from .catalogue import JournalCases, SnapshotStoreCases
from .engine.case import cases_of
from .engine.report import MARKS, Report, Result, write_json
from .engine.seeds import new_seed
from .engine.subject import DEFAULT_PAYLOADS, NotSerializable, Options, default_payload
from .engine.supervision import supervised
from .errors import FactoryError, SpecError
from .runner import Plan, run_journal, run_snapshot_store, selected

DESCRIPTION = """\
Check a journal or a snapshot store against every promise of the contract in kafka_persist.abc.

The argument names a callable without parameters that returns an asynchronous context manager of the store.
Each call opens the store on the same data: the suite opens it twice at once, closes it, and opens it again."""

PAYLOADS_HELP = (
    "values that the store must give back: names of types out of str, int, float, bool, none, bytes, list, dict "
    "(the default values of these types), or pkg.module:values (default: all of these types)"
)
KINDS: dict[str, type] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "none": type(None),
    "bytes": bytes,
    "list": list,
    "dict": dict,
}

EPILOG = """\
examples:
  python -m compat_suite kafka_persist.memory:open_memory_journal
  python -m compat_suite shop.journal:open_journal --capabilities durable,deletes,fencing --report compat.json
  python -m compat_suite shop.journal:open_journal --elsewhere --payloads str,int,list,dict
  python -m compat_suite --snapshot-store shop.snapshots:open_store --level full
  python -m compat_suite shop.journal:open_journal --only deletes --only W1,X1 --seed 4711
  python -m compat_suite --list

capabilities of a journal:
  {journal}
capabilities of a snapshot store:
  {snapshots}

exit code: 0 all that ran passed and the level is reached; 1 a case failed; 2 the store cannot be opened or closed,
or the command line is wrong; 3 nothing failed, but the level is not reached or not shown, or no case passed.
From crash-safe on, --faults, --backdoor and --elsewhere belong to the level."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m compat_suite",
        description=DESCRIPTION,
        epilog=EPILOG.format(journal=_names(JOURNAL), snapshots=_names(SNAPSHOT_STORE)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("journal", nargs="?", metavar="PKG.MODULE:OPEN_JOURNAL", help="opens the journal")
    add("--snapshot-store", metavar="PKG.MODULE:OPEN_STORE", help="opens the snapshot store")
    add("--capabilities", metavar="A,B,…", help="what the journal can do (default: what it declares itself)")
    add("--snapshot-capabilities", metavar="A,B,…", help="the same for the snapshot store")
    add("--faults", metavar="PKG.MODULE:OPEN_FAULTS", help="opens a compat_suite.Faults adapter: unlocks fault cases")
    add("--backdoor", metavar="PKG.MODULE:MAKE", help="makes a compat_suite.Backdoor: unlocks corruption cases")
    add(
        "--elsewhere",
        nargs="?",
        const="",
        metavar="PKG.MODULE:OPEN",
        help="the data outlives a process: open the store in other processes as well, and kill some of them (default: "
        "by the same callable)",
    )
    add("--payloads", metavar="WHICH", help=PAYLOADS_HELP)
    add("--make-payload", metavar="PKG.MODULE:CALLABLE", help="makes the payload of ordinary cases from a number")
    add("--unserializable", metavar="PKG.MODULE:VALUE", help="a value that cannot be serialized; none: there is none")
    add(
        "--largest-payload",
        type=int,
        default=1_000_000,
        metavar="N",
        help="bytes of the size ladders (default 1000000)",
    )
    add("--crash-points", type=int, default=40, metavar="N", help="kills per operation with --elsewhere (default 40)")
    add("--max-write-bytes", type=int, metavar="N", help="the largest payload of a write, if there is a limit")
    add("--uses-threads", action="store_true", help="the store works in threads: no case under a mock clock")
    add("--many-ids", type=int, default=1_000, metavar="N", help="ids in the cases with many ids (default 1000)")
    add("--examples", type=int, default=30, metavar="N", help="examples per property case (default 30)")
    add("--scale", type=float, default=1.0, metavar="X", help="factor on all deadlines (default 1)")
    add("--seed", type=int, metavar="N", help="seed of the property cases (default: a new one, printed)")
    add(
        "--only",
        action="append",
        metavar="PATTERN",
        help="run the cases that match what --list prints: an id, a group, a title or part of it; with commas, or again",
    )
    add("--level", choices=[str(level) for level in Level], help="required level (default core; with --only: none)")
    add("--report", metavar="FILE", help="write the results as JSON")
    add("--performance", action="store_true", help="measure as well: median, p95, p99 of the usual loads")
    add("--list", action="store_true", help="list the cases and exit")
    add("--quiet", action="store_true", help="only failures and the summary")
    return parser


def _names(capabilities: frozenset[Any]) -> str:
    names = sorted(capability.value for capability in capabilities)
    return "\n  ".join(", ".join(names[start : start + 4]) for start in range(0, len(names), 4))


def load(name: str) -> Callable[[], Any]:
    """Import the callable that ``pkg.module:name`` names.

    Raises:
        FactoryError: it cannot be imported, or is not callable; with the cause and the nearest name.
    """
    found = load_value(name)
    if not callable(found):
        raise FactoryError(f"{name}: a {type(found).__name__} is not callable")
    opened: Callable[[], Any] = found
    return opened


def load_value(name: str) -> Any:
    """Import what ``pkg.module:name`` names.

    Raises:
        FactoryError: it cannot be imported; with the cause and the nearest name.
    """
    module_name, colon, path = name.partition(":")
    if not colon or not path:
        raise FactoryError(f"{name}: write it as pkg.module:callable")
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise FactoryError(f"{name}: cannot import {module_name}: {type(error).__name__}: {error}") from error
    for part in path.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, dir(found), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise FactoryError(f"{name}: {module_name} has no {part}{hint}")
        found = getattr(found, part)
    return found


def payloads_of(which: str | None) -> tuple[object, ...]:
    """Return the values that an option names.

    Raises:
        SpecError: an unknown type.
    """
    if which is None:
        return DEFAULT_PAYLOADS
    if ":" in which:
        found: Any = load_value(which)
        values: Iterable[object] = cast("Any", found() if callable(found) else found)
        return tuple(values)
    names = [part.strip().lower() for part in which.split(",") if part.strip()]
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise SpecError(f"--payloads: unknown type {unknown[0]!r}; known are {', '.join(KINDS)}, or pkg.module:values")
    kinds = {KINDS[name] for name in names}
    return tuple(value for value in DEFAULT_PAYLOADS if _is_made_of(value, kinds))


def _is_made_of(value: object, kinds: set[type]) -> bool:
    inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return type(value) in kinds and all(_is_made_of(each, kinds) for each in inner)


class Progress:
    """Prints a mark per case as it ends, a line per group."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._group = ""

    def __call__(self, result: Result) -> None:
        """Print the mark of a case."""
        if self._quiet:
            return
        if result.group != self._group:
            self._group = result.group
            print(f"\n{result.group:<36}", end="")  # noqa: T201 - this is a command
        print(MARKS[result.status], end="", flush=True)  # noqa: T201


def _show(report: Report, *, quiet: bool) -> None:
    print("\n")  # noqa: T201
    for story in report.stories():
        print(story, end="\n\n")  # noqa: T201
    for line in report.lines(every_case=not quiet):
        print(line)  # noqa: T201


def _plan(arguments: argparse.Namespace, name: str, capabilities: str | None, seed: int) -> Plan:
    options = Options(
        payloads=payloads_of(arguments.payloads),
        make_payload=load_value(arguments.make_payload) if arguments.make_payload else default_payload,
        unserializable=_unserializable(arguments.unserializable),
        largest_payload=arguments.largest_payload,
        crash_points=arguments.crash_points,
        max_write_bytes=arguments.max_write_bytes,
        uses_threads=arguments.uses_threads,
        many_ids=arguments.many_ids,
        examples=arguments.examples,
        performance=arguments.performance,
        scale=arguments.scale,
        seed=seed,
    )
    return Plan(
        factory=load(name),
        name=name,
        capabilities=None if capabilities is None else [part for part in capabilities.split(",") if part.strip()],
        options=options,
        open_faults=load(arguments.faults) if arguments.faults else None,
        make_backdoor=load(arguments.backdoor) if arguments.backdoor else None,
        make_elsewhere=None if arguments.elsewhere is None else partial(Elsewhere, arguments.elsewhere or name),
        only=arguments.only,
    )


def _unserializable(name: str | None) -> object:
    if name is None:
        return NotSerializable()
    return None if name.lower() == "none" else load_value(name)


def _check(arguments: argparse.Namespace) -> int:
    seed = new_seed() if arguments.seed is None else arguments.seed
    reports = []
    both = (
        (arguments.journal, arguments.capabilities, run_journal, JournalCases),
        (arguments.snapshot_store, arguments.snapshot_capabilities, run_snapshot_store, SnapshotStoreCases),
    )
    # A pattern need not match cases of both kinds; if it matches none at all, the first run says so.
    only_one = not any(name and any(selected(spec, arguments.only)) for name, _, _, spec in both)
    for name, capabilities, run, spec in both:
        if name and (only_one or any(selected(spec, arguments.only))):
            plan = _plan(arguments, name, capabilities, seed)
            reports.append(run(plan, Progress(quiet=arguments.quiet)))
            _show(reports[-1], quiet=arguments.quiet)
    if arguments.report:
        write_json(reports, arguments.report)
    required = arguments.level or ("none" if arguments.only else "core")
    level = Level[required.upper().replace("-", "_")]
    codes = [report.exit_code(min(level, report.top_level)) for report in reports]
    return max(codes, key=lambda code: (code in {1, 2}, code))


def _list() -> None:
    for kind, spec in (("journal", JournalCases), ("snapshot store", SnapshotStoreCases)):
        print(f"{kind}: {len(cases_of(spec))} cases")  # noqa: T201
        for group, info in cases_of(spec).values():
            print(f"  {group:<34} {', '.join(info.ids):<18}  {info.title}")  # noqa: T201


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.list:
        _list()
        return 0
    if not (arguments.journal or arguments.snapshot_store):
        parser.error("name a journal or a --snapshot-store (see --help)")
    try:
        return _check(arguments)
    except (FactoryError, SpecError) as error:
        print(f"\nERROR {error}", file=sys.stderr)  # noqa: T201
        return 2


if __name__ == "__main__":
    sys.exit(supervised(main))
