"""Copies of ids and fingerprints: many terminals drop what is sent to their clipboard, so a file keeps the last one."""

from pathlib import Path

from platformdirs import user_state_path

from shared.files import replace_file


class Clipboard:
    """Keeps the last copied text in a file of mode 0600."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path

    async def keep(self, text: str) -> Path | None:
        """Write the text; return where it is, None if it could not be written."""
        import anyio.to_thread  # not before the first screen is painted

        return await anyio.to_thread.run_sync(self._keep, text)

    def _keep(self, text: str) -> Path | None:
        path = self._path or user_state_path("glimpse") / "copied.txt"
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(path, f"{text}\n".encode())
        except OSError:
            return None
        return path
