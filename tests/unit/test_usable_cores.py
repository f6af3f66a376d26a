"""A node in a container counts the cores that it may use, not the machine's."""

import os
from pathlib import Path

import pytest

from node.usable_cores import usable_cores

MACHINE = 16


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: MACHINE)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(MACHINE)))


def group(root: Path, path: str, **files: str) -> None:
    place = root / "sys/fs/cgroup" / path
    place.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (place / name.replace("__", ".")).write_text(text + "\n")


def member(root: Path, *lines: str) -> None:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("".join(f"{line}\n" for line in lines))


def test_without_limits_it_is_the_machine_s(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) == MACHINE
    member(tmp_path, "0::/system.slice/glimpse-n1.service")
    group(tmp_path, "system.slice/glimpse-n1.service", cpu__max="max 100000")
    assert usable_cores(tmp_path) == MACHINE


@pytest.mark.parametrize(
    ("quota", "cores"), [(50_000, 1), (100_000, 1), (150_000, 2), (400_000, 4), (9_000_000, MACHINE)]
)
def test_a_quota_of_version_2(tmp_path: Path, quota: int, cores: int) -> None:
    member(tmp_path, "0::/system.slice/glimpse-n1.service")
    group(tmp_path, "system.slice/glimpse-n1.service", cpu__max=f"{quota} 100000")
    assert usable_cores(tmp_path) == cores


def test_the_narrowest_group_above_it_counts(tmp_path: Path) -> None:
    member(tmp_path, "0::/a/b/c")
    group(tmp_path, "a", cpu__max="200000 100000")
    group(tmp_path, "a/b", cpu__max="max 100000")
    group(tmp_path, "a/b/c", cpu__max="800000 100000")
    assert usable_cores(tmp_path) == 2


def test_a_container_sees_its_own_group_as_the_root(tmp_path: Path) -> None:
    member(tmp_path, "0::/")
    group(tmp_path, "", cpu__max="300000 100000")
    assert usable_cores(tmp_path) == 3


def test_a_quota_of_version_1(tmp_path: Path) -> None:
    member(tmp_path, "5:memory:/x", "2:cpu,cpuacct:/docker/x", "0::/")
    group(tmp_path, "cpu/docker/x", cpu__cfs_quota_us="250000", cpu__cfs_period_us="100000")
    assert usable_cores(tmp_path) == 3
    group(tmp_path, "cpu/docker/x", cpu__cfs_quota_us="-1")
    assert usable_cores(tmp_path) == MACHINE


def test_fewer_by_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 4})
    assert usable_cores(tmp_path) == 2


def test_files_that_make_no_sense_limit_nothing(tmp_path: Path) -> None:
    member(tmp_path, "0::/../../x", "0::nowhere")
    group(tmp_path, "", cpu__max="many few")
    assert usable_cores(tmp_path) == MACHINE
    assert usable_cores() >= 1
