"""The program's version, written down once.

To look it up in the metadata of the installed package takes longer to import than to answer `--version` with.
"""

from typing import Final

VERSION: Final = "0.1.0"
"""At most 32 characters: nodes tell it in their status."""
