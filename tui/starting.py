"""A quick start for the programs with screens."""

import gc


def begin() -> None:
    """Stop looking for garbage: importing makes a hundred thousand objects that stay, and hardly any that go."""
    gc.disable()


def painted() -> None:
    """Look for garbage again, but never again among what was there at the first paint; nothing without `begin`."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
