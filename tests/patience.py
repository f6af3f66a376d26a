"""How long tests wait for what must come."""

from typing import Final

PATIENCE_S: Final = 60.0
"""Only a test that fails waits so long, however busy the machine is. It bounds no speed: where something must be fast,
that is measured in `tests/bench`, or in simulated time."""
