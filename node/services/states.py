"""The states of an image, as the directory's `state` column names them."""

from typing import Final

READY: Final = "ready"
WITHDRAWN: Final = "withdrawn"
