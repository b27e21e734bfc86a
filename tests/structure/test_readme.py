"""What the README shows is what happens."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.broker
def test_the_example_prints_what_the_readme_says(root, tmp_path):
    """The example is a whole program, and its output is the one printed below it."""
    text = (root / "README.md").read_text("utf-8")
    (program,), (output,) = blocks(text, "python"), blocks(text, "text")
    path = tmp_path / "example.py"
    path.write_text(program, "utf-8")
    env = {**os.environ, "PYTHONPATH": str(root)}
    run = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False, env=env)
    assert (run.stdout, run.returncode) == (output, 0), run.stderr
