"""The command line: answers at once, tells apart bad questions from failures, and never shows a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tui.terminal import Terminal


def glimpse(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HOME": str(home), "XDG_DATA_HOME": str(home / "data")}
    environment.pop("GLIMPSE_CLUSTER", None)
    return subprocess.run(
        [sys.executable, "-m", "tui.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )


@pytest.mark.parametrize("text", ["theme = " + "9" * 5_000, "theme = " + "[" * 3_000])
@pytest.mark.parametrize("command", ["client", "monitor", "status", "up", "node"])
def test_a_file_that_no_program_can_read_is_one_sentence(tmp_path: Path, command: str, text: str) -> None:
    """Numbers of thousands of digits and thousands of brackets ended programs in a traceback."""
    for place in ("config/glimpse/client.toml", "config/glimpse/monitor.toml", "c/cluster.toml"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(text)
    options = {
        "status": ["--cluster", f"{tmp_path}/c/cluster.toml"],
        "up": ["--data", f"{tmp_path}/c"],
        "node": ["--cluster", f"{tmp_path}/c/cluster.toml", "--name", "n1"],
    }
    with Terminal(
        [sys.executable, "-m", "tui.cli", command, *options.get(command, [])],
        env={**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")},
        columns=200,
    ) as terminal:
        terminal.wait_for("cannot be read: it ")
        assert terminal.wait_until_over() == 2
        assert "Traceback" not in terminal.text


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["status"], 2, "glimpse up"),
        (["status", "--cluster", "nowhere.toml"], 2, "no cluster file"),
        (["up", "--data", "{home}/c", "--directory", "postgres://x"], 2, "sqlite:///"),
        (["up", "--data", "{home}/c", "--directory", "sqlite:////no/such/folder/x.sqlite"], 2, "folder"),
        (["up", "--data", "{home}/c", "--nodes", "99"], 2, "nodes"),
        (["up", "--data", "{home}/c", "--directory", "a", "--directory-file", "b"], 2, "not both"),
        (["up", "--data", "/proc/none"], 1, "cannot be made"),
        (["load", "--kill", "leader", "--cluster", "x"], 2, "leader@50"),
        (["load", "--image", "missing.png", "--cluster", "x"], 2, "missing.png"),
        (["load", "--requests", "0"], 2, "requests"),
        (["node", "--cluster", "nowhere.toml", "--name", "n1"], 2, "no cluster file"),
        (["agent", "--accept", "all", "--profile", "../x"], 2, "profile name"),
        (["order", "n1", "deaf", "--cluster", "x"], 2, "needs a number"),
        (["order", "n1", "dance"], 2, "dance"),
        (["up", "--data", "{home}/c", "--metrics", "65535"], 2, "room"),
        (["node", "--cluster", "x", "--name", "n1", "--metrics", "0"], 2, "metrics"),
        (["backup", "{home}/b", "--cluster", "nowhere.toml"], 2, "no cluster file"),
        (["backup", "{home}/b", "--directory", "sqlite:///{home}/absent.sqlite"], 2, "no directory at"),
        (["backup", "{home}/b", "--directory", "a", "--directory-file", "b"], 2, "not both"),
        (["restore", "--cluster", "nowhere.toml"], 2, "--loaded"),
        (["restore", "{home}/b", "--loaded"], 2, "not both"),
        (["restore", "{home}/b", "--directory", "sqlite:///{home}/d.sqlite"], 2, "no backup at"),
        (["backup", "b", "--directory", "mysql://u:secret@h/d"], 1, "mariadb-dump --single-transaction --host=h"),
        (["restore", "b", "--directory", "mysql://u:secret@h/d"], 1, "mariadb --host=h --port=3306 --user=u"),
        (["passphrase"], 1, "no profile default on this machine"),
        (["passphrase", "--remove", "--new-passphrase-file", "x"], 2, "not both"),
        (["passphrase", "--profile", "../x"], 2, "profile name"),
        (["agent", "--accept", "all", "--passphrase-file", "{home}/absent"], 2, "its first line is the passphrase"),
        (["client", "--passphrase-file", "{home}"], 2, "its first line is the passphrase"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_bad_input_gets_one_sentence(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    result = glimpse(*[part.format(home=tmp_path) for part in arguments], home=tmp_path)
    assert result.returncode == code, result.stderr
    assert words.lower() in result.stderr.lower()
    assert "Traceback" not in result.stderr
    assert "secret" not in result.stdout + result.stderr


def test_a_password_on_the_command_line_is_warned_of_and_one_that_others_may_read_refused(tmp_path: Path) -> None:
    """Whoever lists the processes of the machine read the directory's password."""
    url = "mysql://ada:secret@127.0.0.1:1/glimpse?tls=off"
    result = glimpse("backup", str(tmp_path / "b"), "--directory", url, home=tmp_path)
    assert "can be read by everybody" in result.stderr
    assert "secret" not in result.stderr
    file = tmp_path / "url"
    file.write_text(url)
    file.chmod(0o644)
    result = glimpse("backup", str(tmp_path / "b"), "--directory-file", str(file), home=tmp_path)
    assert result.returncode == 2
    assert f"chmod 600 {file}" in result.stderr
    file.chmod(0o600)
    result = glimpse("backup", str(tmp_path / "b"), "--directory-file", str(file), home=tmp_path)
    assert "chmod" not in result.stderr


def test_help_and_version_answer_without_the_heavy_parts() -> None:
    program = (
        "import sys, tui.cli\n"
        "try: tui.cli.main(['--version'])\n"
        "except SystemExit: pass\n"
        "heavy = {'textual', 'numpy', 'PIL', 'cryptography', 'asyncmy', 'stegano', 'cv2'} & set(sys.modules)\n"
        "print('heavy', sorted(heavy))\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert result.stdout.splitlines()[0].startswith("glimpse ")
    assert result.stdout.splitlines()[-1] == "heavy []"


def test_the_client_s_help_tells_what_no_screen_can() -> None:
    program = (
        "import sys, tui.cli\n"
        "try: tui.cli.main(['client', '--help'])\n"
        "except SystemExit: pass\n"
        "print('heavy', sorted({'textual', 'numpy', 'PIL', 'cryptography', 'anyio'} & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    for words in ("client.toml", "[keys]", "GLIMPSE_CLUSTER", "NO_COLOR", "_GLIMPSE_COMPLETE=bash_source", "--profile"):
        assert words in result.stdout
    assert result.stdout.splitlines()[-1] == "heavy []"


def test_the_headless_peer_loads_no_textual() -> None:
    program = "import sys, tui.peer\nprint(sorted({'textual', 'rich', 'stegano'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert result.stdout.strip() == "[]"


def test_layers_hold_at_run_time() -> None:
    """`shared` brings in neither `node` nor `tui`, and `node` brings in no `tui`."""
    program = (
        "import sys, importlib, pkgutil, {top}\n"
        "for found in pkgutil.walk_packages({top}.__path__, '{top}.'): importlib.import_module(found.name)\n"
        "print(sorted({{name.partition('.')[0] for name in sys.modules}} & {{'shared', 'node', 'tui'}}))"
    )
    for top, expected in (("shared", "['shared']"), ("node", "['node', 'shared']")):
        result = subprocess.run(
            [sys.executable, "-c", program.format(top=top)], capture_output=True, text=True, timeout=60, check=True
        )
        assert result.stdout.strip() == expected


@pytest.mark.parametrize("command", ["client", "monitor"])
def test_no_screen_is_painted_into_a_pipe(command: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tui.cli", command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert f"There is no terminal here, and the {command} needs one" in result.stderr
