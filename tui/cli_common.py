"""What the groups of commands share: options, the directory's URL, the event loop."""

import stat
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from shared.errors import InvalidInput

FILE = click.Path(path_type=Path)
cluster_option = click.option(
    "--cluster",
    type=FILE,
    help="Cluster file, or the folder that holds it. [default: GLIMPSE_CLUSTER, or this machine's]",
)
directory_option = click.option(
    "--directory", help="Directory URL, instead of the one that the nodes of the cluster use."
)
directory_file_option = click.option(
    "--directory-file", type=FILE, help="File (mode 0600) whose first line is the directory URL."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def directory_url(url: str | None, file: Path | None) -> str | None:
    """Return the directory URL that was given one way or the other. Raises `InvalidInput`."""
    if url is not None and file is not None:
        raise InvalidInput("Give the directory as --directory or as --directory-file, not both.")
    if file is None:
        if url is not None and _has_password(url):
            click.echo(
                "Warning: the password in --directory can be read by everybody on this machine for as long as this "
                "runs; give the URL as --directory-file instead.",
                err=True,
            )
        return url
    try:
        url, mode = file.read_text(encoding="utf-8").splitlines()[0].strip(), file.stat().st_mode
    except (OSError, UnicodeDecodeError, IndexError):
        raise InvalidInput(f"The directory file {file} cannot be read; its first line must be the URL.") from None
    if _has_password(url) and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InvalidInput(f"{file} holds a password and others may read it; run: chmod 600 {file}")
    return url


def _has_password(url: str) -> bool:
    try:
        return bool(urlsplit(url).password)
    except ValueError:  # whoever takes the URL says what is wrong with it
        return False


def run(call: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> Any:
    """Run a coroutine function to its end, and return what it does."""
    import anyio

    return anyio.run(call, *arguments)
