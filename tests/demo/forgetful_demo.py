"""The demo with tellers whose journal says that everything is stored and forgets some of it."""

import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))

import demo  # noqa: E402 - found by the line above
import tellers  # noqa: E402

tellers.TELLER = Path(__file__).with_name("forgetful_teller.py")
sys.exit(demo.main())
