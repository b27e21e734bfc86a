"""How the stores, correct or not, are opened: here, and in another process."""

import os
import pickle
import tempfile
import warnings

from compat_suite import Backdoor, Elsewhere
from compat_suite.catalogue import JournalCases, SnapshotStoreCases
from compat_suite.engine.case import cases_of
from compat_suite.engine.report import Status
from compat_suite.engine.subject import JournalSubject, Options, SnapshotSubject
from compat_suite.runner import run_case

from .file_store import File
from .key_value_store import KeyValue
from .pool_store import Pool

STORES = {"pool": Pool, "file": File, "key-value": KeyValue}
SPECS = {"journal": JournalCases, "snapshots": SnapshotStoreCases}
SUBJECTS = {"journal": JournalSubject, "snapshots": SnapshotSubject}


def open_store(name, path, kind):
    """Open a correct store by the name of its kind, or a defective one by its own."""
    from .registry import all_defects

    return (STORES[name] if name in STORES else all_defects()[name].store).open(path, kind)


class Damage(Backdoor):
    """Works while the store is closed."""

    def __init__(self, store, path, kind):
        self.store, self.path, self.kind = store, path, kind

    async def corrupt_event(self, persistence_id, sequence_nr):
        async with self.store.open(self.path, self.kind) as opened:
            opened.storage.corrupt_event(persistence_id, sequence_nr)

    async def corrupt_snapshot(self, persistence_id, sequence_nr):
        async with self.store.open(self.path, self.kind) as opened:
            opened.storage.corrupt_snapshot(persistence_id, sequence_nr)


def run_apart(*arguments, **options):
    """Run one case in a fork: some defects kill the interpreter. Return its status and message."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of forks where there are threads: of Trio's, which idle
        pid = os.fork()
    if pid == 0:
        with os.fdopen(writing, "wb") as file:
            result = run(*arguments, **options)
            file.write(pickle.dumps((result.status, result.message)))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        found = file.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return (Status.FAILED, f"but: the interpreter died: {code}") if code else pickle.loads(found)


def run(name, kind, case, *, seed=1, plain=None, scale=2.0):
    """Run one case on a new, empty store."""
    plain = plain or STORES[name]
    group, info = cases_of(SPECS[kind])[case]
    options = Options(uses_threads=True, many_ids=100, examples=20, crash_points=40, seed=seed, scale=scale)
    with tempfile.TemporaryDirectory() as path:
        subject = SUBJECTS[kind](
            name=name,
            factory=lambda: open_store(name, path, kind),
            capabilities=plain.capabilities[kind],
            options=options,
            backdoor=Damage(plain, path, kind),
            elsewhere=Elsewhere("tests.compat_suite_defects.subjects:open_store", (name, path, kind)),
        )
        return run_case(SPECS[kind], subject, group, info)
