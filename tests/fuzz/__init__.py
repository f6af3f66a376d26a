"""Coverage-guided fuzzing of everything that reads bytes of strangers or files; `make fuzz`, see docs/testing.md."""

from pathlib import Path
from typing import Final

FOUND: Final = Path(__file__).with_name("found")
"""By target: inputs that once found something."""
