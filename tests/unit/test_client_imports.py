"""What the client does without until its first screen is painted."""

import subprocess
import sys

HEAVY = ("numpy", "PIL", "cryptography", "asyncmy", "stegano", "anyio", "sqlite3", "msgspec", "orjson")
IMPORT = "import tui.cli, tui.client.run, tui.client.app, tui.client.screens.welcome"
PAINT = """
import asyncio
from tui.client.app import GlimpseClient
from tui.client.ports import Reach

class Host:
    cluster = "cluster.toml"

    async def profiles(self):
        return []

    async def reach(self):
        return Reach(("n1",), ())

async def main():
    app = GlimpseClient(Host())
    async with app.run_test() as pilot:
        await pilot.pause()
        assert app.screen.query("#welcome"), app.screen
        shown = {str(app.screen.query_one("#name").placeholder)}
        assert shown == {"Your name"}, shown

asyncio.run(main())
"""


def loaded_by(program: str) -> list[str]:
    code = f"{program}\nimport sys\nprint('loaded', *sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()[1:]


def test_the_way_to_the_first_screen_imports_nothing_heavy() -> None:
    assert loaded_by(IMPORT) == []


def test_the_first_screen_is_painted_and_takes_a_name_without_anything_heavy() -> None:
    assert loaded_by(PAINT) == []


def test_looking_for_garbage_begins_again_after_the_first_paint() -> None:
    program = (
        "import gc\nfrom tui.common.starting import begin, painted\n"
        "painted()\nassert gc.isenabled() and gc.get_freeze_count() == 0\n"
        "begin()\nassert not gc.isenabled()\npainted()\nassert gc.isenabled() and gc.get_freeze_count() > 0"
    )
    assert loaded_by(program) == []
