"""How Sphinx builds the documentation (`nox -s docs`)."""

from importlib.metadata import version as version_of

project = "kafka_persist"
author = "the kafka_persist maintainers"
copyright = author
release = version_of("kafka-persist")
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib_trio",  # marks what is async and what is a context manager
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_extra_path = ["llms.txt"]  # for programs that read documentation
html_theme = "furo"
html_title = f"kafka_persist {release}"

autodoc_use_legacy_class_based = True  # what sphinxcontrib_trio extends
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_use_ivar = True  # fields of records are listed once, not as attributes again
default_role = "code"  # docstrings write `name` as in Markdown

# The build needs no network, so it has nobody else's inventory: only links into our own packages are checked. Type
# variables and private bases are no pages.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:class", r"kafka_persist\.config\.Literal"),  # annotations are read where a class says it lives
    (r"py:class", r"kafka_persist\.tagging\.Label(ler)?"),  # what a type puts on its events: for entities only
    (r"py:class", r"kafka_persist_testkit\.nodes\.Launch"),  # how a node is started: for engines only
    (r"py:.*", r"(?!kafka_persist|compat_suite).*"),
    (r"py:.*", r".*\._.*"),
    (r"py:.*", r".*\.[A-Z](_co)?$"),
]
