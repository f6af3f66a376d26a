"""Fuzzes one target until its time is over; `tests.fuzz` starts one process for each.

`python -m tests.fuzz.worker NAME SECONDS FOLDER CORPUS...`: interesting inputs go to the first corpus folder, what is
found to FOLDER. The exit code is not 0 where something was found.
"""

import sys

import atheris

with atheris.instrument_imports(include=["shared", "node", "tui"]):
    from tests.fuzz.targets import TARGETS

SLOW_S = 10
"""A call that takes longer is a finding."""
MEMORY_MB = 1_500


def main() -> None:
    name, seconds, folder, *corpus = sys.argv[1:]
    target = TARGETS[name]
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={target.most_bytes}",
        f"-timeout={SLOW_S}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
        "-verbosity=1",
    ]
    atheris.Setup([sys.argv[0], *options, *corpus], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
