"""Where things lie on this machine: profiles, the default cluster, logs. By the platform's conventions."""

import os
from pathlib import Path

from platformdirs import user_data_path, user_log_path

from shared.errors import InvalidInput

CLUSTER_FILE = "cluster.toml"
OPERATOR_KEY = "operator.key"


def profiles_root() -> Path:
    """Return the folder that holds the profiles."""
    return user_data_path("glimpse") / "profiles"


def default_cluster_folder() -> Path:
    """Return where `glimpse up` keeps a cluster unless told otherwise."""
    return user_data_path("glimpse") / "cluster"


def joined_cluster() -> Path:
    """Return where the cluster file lies that an invitation led to last."""
    return user_data_path("glimpse") / "joined" / CLUSTER_FILE


def log_folder() -> Path:
    """Return the folder for the logs of clients."""
    return user_log_path("glimpse")


def find_cluster(given: Path | None, profile: Path | None = None) -> Path:
    """Return the cluster file: the one given, GLIMPSE_CLUSTER, the one that a profile (its folder) follows, that of
    the default cluster on this machine, or of the one that an invitation led to.

    Raises `InvalidInput` that says how to get one.
    """
    if given is not None:
        return given / CLUSTER_FILE if given.is_dir() else given
    if named := os.environ.get("GLIMPSE_CLUSTER"):
        return find_cluster(Path(named))
    usual = (default_cluster_folder() / CLUSTER_FILE, joined_cluster())
    for file in usual if profile is None else (profile / CLUSTER_FILE, *usual):
        if file.exists():
            return file
    raise InvalidInput(
        "No cluster is known here; start one with `glimpse up`, name a cluster file with --cluster, or join one with"
        " `glimpse client --join CODE`."
    )
