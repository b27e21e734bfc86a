"""``kafka-persist config``: what is in effect, from file, environment and defaults together."""

from __future__ import annotations

from typing import Any

import click

from .._config.effective import effective
from ..config import load_config
from .frame import DONE, Command, Source, with_json, with_source
from .output import as_json as json_text
from .output import as_table


@click.command("config", cls=Command, short_help="Print the settings in effect.")
@with_source
@click.option("--changed", is_flag=True, help="Leave out what has its default.")
@with_json("one object")
def command(source: Source, *, changed: bool, as_json: bool) -> int:
    """Print the settings in effect: file and environment over the defaults.

    Secrets are shown as ***. The output is TOML: without secrets in it, it is a configuration file.
    """
    settings = effective(source.config())
    if changed:
        defaults = effective(load_config(environ={}))
        settings = {key: value for key, value in settings.items() if defaults.get(key) != value}
    if as_json:
        click.echo(json_text(settings))
    elif not as_table(("key", "value"), ([key, toml(value)] for key, value in settings.items())):
        for key, value in settings.items():
            click.echo(f"{key} = {toml(value)}")
    return DONE


def toml(value: Any) -> str:
    """A value as TOML has it; its strings and numbers are JSON's."""
    return json_text(value if isinstance(value, bool | int | float | str) else str(value))
