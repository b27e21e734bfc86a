"""Everything that is run on this project: `nox -l` lists the sessions, `nox -s NAME` runs one.

A session uses the Python that runs nox; `-P 3.13` asks for another one. What follows `--` goes to the tool of the session.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "typing", "docs", "tests"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
EXTRAS = ",".join(PYPROJECT["project"]["optional-dependencies"])
# What shows that the wheel is complete: data files, pytest plugins, and the README's example on a real Kafka.
WHEEL_TESTS = [
    "tests/compat/test_memory.py",
    "tests/config",
    "tests/naming",
    "tests/serialization",
    "tests/structure/test_readme.py",
]
SHOW_VERSIONS = "import importlib.metadata as m, sys; print(*(f'{n}=={m.version(n)}' for n in sys.argv[1:]))"
SHORT = ["-m", "not kraft and not testkit and not defects and not docker and not chromium"]  # another -m behind it wins
# flake8-async knows rules that ruff does not have: yield in a nursery, unshielded await in a finally, ...
ASYNC_RULES = ",".join(f"ASYNC{number}" for number in range(100, 129)) + ",ASYNC900"
# "An async function always checkpoints" is a promise to callers: of public modules only. 911 is noise on generators.
CHECKPOINT_RULES = "ASYNC910,ASYNC912,ASYNC913"
WORKERS = os.cpu_count() or 1


def install(session: nox.Session, *groups: str, extras: str = EXTRAS) -> None:
    """Install the project, editable, with its extras and the named dependency groups."""
    session.install("-e", f".[{extras}]", *nox.project.dependency_groups(PYPROJECT, *groups))


def sources(*roots: str) -> list[str]:
    """The Python files below some folders."""
    return sorted(str(path) for root in roots for path in Path(root).rglob("*.py"))


def concurrent(*roots: str) -> list[str]:
    """Those of them that could break a rule about concurrency: the rest says nothing of it, and looking takes its time, too."""
    return [file for file in sources(*roots) if re.search(r"\b(async|trio|anyio)\b", Path(file).read_text("utf-8"))]


@nox.session(default=False, venv_backend="none")
def dev(session: nox.Session) -> None:
    """Install the project and all tools into the environment that runs nox, and the hooks of pre-commit into the clone."""
    groups = nox.project.dependency_groups(PYPROJECT, "dev")
    session.run(sys.executable, "-m", "pip", "install", "--quiet", "-e", f".[{EXTRAS}]", *groups)
    session.run(sys.executable, "-m", "pre_commit", "install")


@nox.session(default=False)
def demo(session: nox.Session) -> None:
    """Run the main job: a bank account on a real Kafka is killed in the middle of its work and comes back."""
    install(session, extras="server")
    session.run("python", "examples/demo.py", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests, those on a real Kafka included (`-- -k NAME` chooses).

    All of them run in parts, two at a time, those on three brokers after them. What is there once more for KRaft is left out; `-- -m kraft` runs it, and
    so does the session `compat`. What is about the test server alone and takes long is in the session `testkit`.
    """
    install(session, "test")
    if session.posargs:
        session.run("python", "-m", "pytest", *SHORT, *session.posargs)
    else:
        session.run("python", "tests/parts.py", *SHORT)


@nox.session(default=False)
def coverage(session: nox.Session) -> None:
    """Run the tests as `tests` does, and print branch coverage. Tracing makes those that compute take twice as long."""
    install(session, "test")
    # Not in `create_tmp()`, which moves TMPDIR into the project: a pytest run by a test would find this pyproject.toml.
    env = {"COVERAGE_FILE": str(Path(session.virtualenv.location).resolve() / "coverage")}
    session.run("coverage", "erase", env=env)
    if session.posargs:
        session.run("coverage", "run", "-m", "pytest", *SHORT, *session.posargs, env=env)
    else:
        session.run("python", "tests/parts.py", *SHORT, env=env)
    session.run("coverage", "combine", "--quiet", env=env)
    session.run("coverage", "report", env=env)


@nox.session(default=False, venv_backend="uv")
def lowest(session: nox.Session) -> None:
    """Run the tests with the lowest version of each dependency that pyproject.toml allows (`tests` has the newest).

    Only uv can choose those, so `pip install uv` first. What the dependencies themselves need is the newest.
    """
    groups = nox.project.dependency_groups(PYPROJECT, "test")
    session.install("--resolution", "lowest-direct", "-e", f".[{EXTRAS}]", *groups)
    session.run("python", "-c", SHOW_VERSIONS, *floor_names())
    session.run("python", "-m", "pytest", *SHORT, *session.posargs)


def floor_names() -> list[str]:
    """The names of all dependencies that pyproject.toml gives a floor for."""
    project = PYPROJECT["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return sorted({re.split(r"[\[<>=]", line)[0] for line in lines})


@nox.session(default=False)
def compat(session: nox.Session) -> None:
    """Run the contract suite on all stores here, KRaft included, or on yours (`-- --help` says how to name it)."""
    install(session)
    if session.posargs:
        session.run("python", "-m", "compat_suite", *session.posargs)
    else:
        session.run("python", "-m", "pytest", "-q", "-r", "fE", "tests/compat")  # the suite's plugin prints the tables


@nox.session(default=False)
def testkit(session: nox.Session) -> None:
    """Test the test server where that takes long: clusters in both modes, many starts, everything that can go wrong at a start."""
    install(session, "test")
    session.run("python", "-m", "pytest", "-m", "testkit", "tests/testkit", *session.posargs)


@nox.session(default=False)
def docker(session: nox.Session) -> None:
    """Test the test server's docker engine on a Docker engine of its own, which is started and stopped (Debian, root)."""
    install(session, "test")
    packages = {"dockerd": "docker.io", "busybox": "busybox-static"}
    missing = [package for program, package in packages.items() if shutil.which(program) is None]
    if missing:
        session.run("apt-get", "install", "--yes", "--no-install-recommends", *missing, external=True)
    session.run("python", "-m", "pytest", "-m", "docker", "tests/docker_engine", *session.posargs)


@nox.session(default=False)
def defects(session: nox.Session) -> None:
    """Run the contract suite on third-party stores, the correct ones and each defective one: all defects must be found."""
    install(session, "test")
    session.run(
        "python", "-m", "pytest", "-q", "-r", "fE", "-m", "defects", "tests/compat_suite_defects", *session.posargs
    )


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting, Trio's rules, spelling and words, and that the change notes make a changelog."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint", "words"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("codespell")
    session.run("python", "-m", "lab.prose")
    library = concurrent("kafka_persist")
    others = concurrent("kafka_persist_testkit", "compat_suite", "lab", "examples", "tests", "docs", "benchmarks")
    public = [file for file in library if "/_" not in file]
    rest = [file for file in [*library, *others] if file not in public]
    check_async(session, [(f"{ASYNC_RULES},{CHECKPOINT_RULES}", public), (ASYNC_RULES, rest)])
    session.run("towncrier", "build", "--draft", "--version", "next", silent=True)


def check_async(session: nox.Session, checks: list[tuple[str, list[str]]]) -> None:
    """Run flake8-async, each file once, by as many processes as there are processors: it is the slowest check by far.

    It has to be told which functions `nursery.start` may be given.

    Args:
        session: where it is installed.
        checks: which rules for which files.
    """
    texts = "".join(Path(file).read_text("utf-8") for _, files in checks for file in files)
    startable = ",".join(sorted(set(re.findall(r"async def (\w+)\([^)]*task_status", texts))))
    options = [f"--startable-in-context-manager={startable}"] if startable else []
    shares = [(rules, files[place::WORKERS]) for rules, files in checks for place in range(WORKERS)]

    program = shutil.which("flake8-async", path=session.bin)
    assert program is not None

    def check(share: tuple[str, list[str]]) -> int:
        rules, files = share
        return subprocess.call([program, f"--enable={rules}", *options, *files])  # noqa: S603 - our own files

    for rules, files in checks:
        session.log(f"flake8-async: {len(files)} files, {rules}")
    with ThreadPoolExecutor(WORKERS) as pool:
        codes = list(pool.map(check, shares))
    if any(codes):
        session.error("flake8-async found something")


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types with mypy and pyright, that the public API is completely typed, and that wrong programs are found."""
    install(session, "typing")
    session.run("mypy")
    session.run("mypy", "tests/typing")  # apart, as mypy takes packages or files; pyright takes both
    session.run("pyright")
    session.run("pyright", "--ignoreexternal", "--verifytypes", "kafka_persist")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into docs/_build/html; every warning is an error."""
    install(session, "docs")
    session.run("sphinx-build", "-n", "-W", "--keep-going", "-q", "-b", "html", "docs", "docs/_build/html")
    session.log("docs/_build/html/index.html")


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure against the raw Kafka client on one real broker, round by round (`-- --quick`: under 4 minutes)."""
    install(session, extras="server")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session(default=False)
def streams(session: nox.Session) -> None:
    """Measure many small streams: both layouts, eventsourcing on SQLite, UmaDB (`-- --quick`: one round)."""
    install(session, extras="server,shared")
    session.install("eventsourcing>=9.5", "umadb>=0.7")
    session.run("python", "-m", "benchmarks.streams", *session.posargs)


@nox.session(default=False)
def browser(session: nox.Session) -> None:
    """Look at the event browser in headless Chromium, which must be installed (`-- --pictures`: also for the docs)."""
    install(session, "test", "browser")
    pictures = {"KAFKA_PERSIST_PICTURES": "docs/images"} if "--pictures" in session.posargs else {}
    rest = [each for each in session.posargs if each != "--pictures"]
    session.run("python", "-m", "pytest", "-m", "chromium", "tests/browser", *rest, env=pictures)


@nox.session(default=False)
def search(session: nox.Session) -> None:
    """Search the rule of the chain exhaustively, 10 million states and more (`-- tests`: the small profile)."""
    install(session, extras="testkit")
    session.run("python", "-m", "lab.search", *(session.posargs or ["nightly"]))


@nox.session(default=False)
def search_shared(session: nox.Session) -> None:
    """Search logs that several ids share, with cleaning and deletions (`-- tests`: the small profile)."""
    install(session, extras="testkit")
    session.run("python", "-m", "lab.search_shared", *(session.posargs or ["nightly"]))


@nox.session(default=False)
def soak(session: nox.Session) -> None:
    """Do what programs do on real brokers while faults are made, then judge (`-- --minutes 30 --brokers 3 --mode kraft`)."""
    install(session)
    session.run("python", "-m", "lab.soak", *session.posargs)


@nox.session(default=False)
def fleet(session: nox.Session) -> None:
    """Have processes share shards on a real broker while they are killed, paused and rolled, then count (`-- --faults 20`)."""
    install(session)
    session.run("python", "-m", "lab.fleet", *session.posargs)


@nox.session(default=False)
def wheel(session: nox.Session) -> None:
    """Build the wheel, install it into a clean environment and test it there, outside the source tree; and what builds on it."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "build"))
    work = Path(session.create_tmp()).resolve() / "wheel"
    shutil.rmtree(work, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(work / "dist"))
    session.run("twine", "check", "--strict", *map(str, (work / "dist").iterdir()))
    python = install_wheel(session, work)
    outside = copy_tests(work / "outside")
    with session.chdir(outside):
        session.run(python, "-I", "smoke_wheel.py", external=True)
        session.run(python, "-I", "-m", "pytest", "-q", *(session.posargs or WHEEL_TESTS), external=True)
    # A project of somebody else, which knows TestServer and neither Trio nor the journal.
    with session.chdir(outside / "examples" / "downstream"):
        session.run(python, "-m", "pip", "install", "-q", ".", external=True)
        session.run(python, "-I", "-m", "pytest", "-q", external=True)


def install_wheel(session: nox.Session, work: Path) -> str:
    """Install the one wheel below `work` with all extras; gives the Python that has it."""
    python = str(work / "venv" / "bin" / "python")
    (built,) = (work / "dist").glob("*.whl")
    session.run("python", "-m", "venv", str(work / "venv"))
    requirements = [f"kafka-persist[{EXTRAS}] @ {built.as_uri()}", *nox.project.dependency_groups(PYPROJECT, "test")]
    session.run(python, "-m", "pip", "install", "-q", *requirements, external=True)
    return python


def copy_tests(outside: Path) -> Path:
    """Copy the tests and what they read, but not the packages, to where the source tree is out of reach."""
    for folder in ("tests", "docs", "examples"):
        shutil.copytree(folder, outside / folder, ignore=shutil.ignore_patterns("__pycache__", "_build"))
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(file, outside)
    shutil.move(outside / "tests" / "structure" / "smoke_wheel.py", outside)
    return outside
