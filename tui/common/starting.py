"""The start of the programs with screens: in a terminal, and quick."""

import gc
import sys

from shared.errors import InvalidInput


def begin() -> None:
    """Stop looking for garbage: importing makes a hundred thousand objects that stay, and hardly any that go."""
    gc.disable()


def painted() -> None:
    """Look for garbage again, but never again among what was there at the first paint; nothing without `begin`."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def need_terminal(what: str, instead: str) -> None:
    """Refuse to paint a screen into a file or a pipe. Raises `InvalidInput` that names what works `instead`."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InvalidInput(f"There is no terminal here, and {what} needs one; `{instead}` works without.")
