"""`glimpse cluster`: hands a changed cluster file to the nodes, shows a cluster, and checks it from this machine."""

import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import anyio
import msgspec
import orjson

from node.directory.url import MysqlUrl, parse_directory_url
from node.settings import load_node_settings, node_file
from shared.cluster import Cluster, NodeAddress, load_cluster
from shared.errors import GlimpseError, InvalidInput, Unavailable, UserError
from shared.files import PUBLIC
from shared.identity import public_key, words_of
from shared.keyfiles import load_identity
from shared.net.paths import shown_address
from shared.text import clean
from shared.wire.peer_messages import SettingsChange, StatusReport
from tui.commands.cluster_folder import OperatorFolder
from tui.common.user_paths import CLUSTER_FILE, OPERATOR_KEY
from tui.operator import Operator

Say = Callable[[str], None]

_FOLLOW_S: Final = 180.0
"""How long nodes may take to restart, one after the other, before it is said that some have not."""
_LOOK_EVERY_S: Final = 0.5
_CLOCK_S: Final = 2.0
"""Two clocks that differ by more are told of."""


# --- Handing out -----------------------------------------------------------------------------------------------------
async def hand_out(
    place: OperatorFolder, say: Say, *, via: Cluster | None = None, besides: str = "", key_file: Path | None = None
) -> None:
    """Give the nodes that answer the cluster file, and wait until they run by it.

    `via` is the cluster as the nodes know it so far, `key_file` the operator's key that they know, where either was
    just changed; `besides` is a node that does not run. Nodes that do not answer are no error: they find the file in
    the directory, or begin with it.
    """
    data, version = place.file.read_bytes(), place.cluster.version
    known = via or place.cluster
    took: list[str] = []
    async with Operator(known, place.file, key_file=key_file) as operator:

        async def hand(name: str) -> None:
            try:
                await operator.hand(name, "cluster", data)
            except GlimpseError as error:
                say(f"{name}: {clean(str(error), max_chars=300)}")
            else:
                took.append(name)

        async with anyio.create_task_group() as group:
            for node in known.nodes:
                if node.name != besides:
                    group.start_soon(hand, node.name)
    if not took:
        say(f"No node took version {version}; they run by it once they are started with the new files.")
        return
    await _until_followed(place, sorted(set(took) & {node.name for node in place.cluster.nodes}), say)


async def _until_followed(place: OperatorFolder, names: list[str], say: Say) -> None:
    left = list(names)
    async with Operator(place.cluster, place.file) as operator:
        with anyio.move_on_after(_FOLLOW_S):
            while left:
                for name in tuple(left):
                    report = await operator.report(place.cluster.node(name))
                    if report is not None and report.status.cluster >= place.cluster.version:
                        say(f"{name} runs by version {place.cluster.version}")
                        left.remove(name)
                await anyio.sleep(_LOOK_EVERY_S)
    if left:
        raise UserError(
            f"{', '.join(left)} took version {place.cluster.version} and did not restart with it yet; see their logs."
        )


async def hand_directory(place: OperatorFolder, url: str, say: Say) -> None:
    """Have every node of the cluster use another URL of the same directory, one after the other; then change the files.

    Each node opens it before it believes it. Raises the first objection; nothing here is changed then. Nodes that do
    not answer are told of: their files have to be copied.
    """
    if not isinstance(parse_directory_url(url), MysqlUrl):
        raise InvalidInput("Only a directory on a database server can get another URL.")
    change = orjson.dumps(msgspec.to_builtins(SettingsChange(directory=url)))
    silent = []
    async with Operator(place.cluster, place.file) as operator:
        for node in place.cluster.nodes:
            before = await operator.report(node)
            if before is None:
                silent.append(node.name)
                continue
            await operator.hand(node.name, "settings", change)
            await _until_back(operator, node, before)
            say(f"{node.name} uses it")
    place.set_directory(url)
    for name in silent:
        say(f"{name} does not answer: copy {node_file(place.bundle(name), name)} to its machine and start it.")


async def hand_share_key(place: OperatorFolder, say: Say) -> None:
    """Replace the key that encrypts shares in the directory: all nodes learn to read under it, then write under it.

    Raises `Unavailable`, before anything is changed, where a node does not answer.
    """
    key = place.next_share_key()
    async with Operator(place.cluster, place.file) as operator:
        for node in place.cluster.nodes:
            if await operator.report(node) is None:
                raise Unavailable(f"{node.name} does not answer; every node has to, or it could read no new share.")
        place.change_share_key(next_key=key)
        for change in (SettingsChange(next_share_key=key), SettingsChange(share_key=key)):
            for node in place.cluster.nodes:
                before = await operator.report(node)
                if before is None:
                    raise Unavailable(f"{node.name} does not answer any more; give the command again when it does.")
                await operator.hand(node.name, "settings", orjson.dumps(msgspec.to_builtins(change)))
                await _until_back(operator, node, before)
                say(f"{node.name} {'reads' if change.share_key is None else 'writes'} under the new key")
    place.change_share_key(key=key)


async def _until_back(operator: Operator, node: NodeAddress, before: StatusReport) -> None:
    with anyio.move_on_after(_FOLLOW_S):
        while True:
            report = await operator.report(node)
            if report is not None and report.status.uptime_s < before.status.uptime_s and report.directory.ok:
                return
            await anyio.sleep(_LOOK_EVERY_S)
    raise UserError(f"{node.name} has not come back with its new settings; see its log before going on.")


async def hand_key(place: OperatorFolder, name: str, key: bytes) -> bool:
    """Give a running node the key that the next cluster file will name; return whether it took it."""
    change = orjson.dumps(msgspec.to_builtins(SettingsChange(private_key=key)))
    async with Operator(place.cluster, place.file) as operator:
        try:
            await operator.hand(name, "settings", change)
        except GlimpseError:
            return False
    return True


# --- Showing ---------------------------------------------------------------------------------------------------------
def show(file: Path, *, as_json: bool) -> str:
    """Return what a cluster file says, as text or JSON."""
    cluster = load_cluster(file)
    told = {
        "cluster_id": cluster.cluster_id,
        "version": cluster.version,
        "signed": cluster.is_signed,
        "operator": words_of(cluster.signer) if cluster.signer else None,
        "preset": cluster.preset,
        "nodes": [
            {
                "name": node.name,
                "hosts": node.hosts,
                "port": node.port,
                "node_port": node.node_port,
                "key": node.key.hex(),
            }
            for node in cluster.nodes
        ],
    }
    if as_json:
        return orjson.dumps(told, option=orjson.OPT_INDENT_2).decode()
    signed = f"signed by {told['operator']}" if cluster.is_signed else _unsigned(cluster)
    lines = [f"cluster {cluster.cluster_id}, version {cluster.version}, {signed}", f"preset {cluster.preset}"]
    for node in cluster.nodes:
        where = ", ".join(shown_address((host, node.port)) for host in node.hosts)
        lines.append(f"{node.name:8}{where}, other nodes at port {node.node_port}")
    return "\n".join(lines)


def _unsigned(cluster: Cluster) -> str:
    return "edited since it was signed" if cluster.is_edited else "not signed"


# --- Checking --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `text` is a sentence, which tells what to do where it is not `ok`."""

    what: str
    ok: bool
    text: str


async def check(file: Path) -> list[Finding]:
    """Look at the files of a cluster on this machine and at its nodes."""
    cluster = load_cluster(file)
    found = [*_check_files(file, cluster), *_check_bundles(file.parent, cluster)]
    if not (file.parent / OPERATOR_KEY).exists():
        return [*found, Finding("nodes", True, "The operator's key is not here, so that no node was asked.")]
    return [*found, *await _check_nodes(file, cluster)]


def shown(findings: list[Finding], *, as_json: bool) -> str:
    """Return findings as text or JSON."""
    if as_json:
        report = {"ok": all(each.ok for each in findings), "findings": [asdict(each) for each in findings]}
        return orjson.dumps(report, option=orjson.OPT_INDENT_2).decode()
    return "\n".join(f"{'ok ' if each.ok else 'NO '} {each.what:16} {each.text}" for each in findings)


def _check_files(file: Path, cluster: Cluster) -> Iterator[Finding]:
    if cluster.is_signed:
        yield Finding("cluster file", True, f"Version {cluster.version}, signed.")
    else:
        text = f"It is {_unsigned(cluster)}, so nobody follows it; the operator runs `glimpse cluster publish`."
        yield Finding("cluster file", False, text)
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o022:
        yield Finding("cluster file", False, f"Others may write it; run: chmod {PUBLIC:o} {file}")
    key = file.parent / OPERATOR_KEY
    if not key.exists():
        return
    try:
        public = load_identity(key).public
    except GlimpseError as error:
        yield Finding("operator's key", False, str(error))
        return
    if public.session_key not in cluster.operators or public.signing_key != cluster.signer:
        yield Finding("operator's key", False, f"The cluster file names another operator than {key} is.")
    else:
        yield Finding("operator's key", True, f"{public.words}.")


def _check_bundles(folder: Path, cluster: Cluster) -> Iterator[Finding]:
    place = OperatorFolder(folder, mends=False) if (folder / OPERATOR_KEY).exists() else None
    seen: dict[str, set[object]] = {"share key": set(), "directory": set()}
    for node in cluster.nodes:
        own = folder if place is None else place.bundle(node.name)
        path = node_file(own, node.name)
        if not path.exists():
            continue
        try:
            yield from _check_bundle(own, node, cluster, seen)
        except GlimpseError as error:
            yield Finding(f"files of {node.name}", False, str(error))
    for what, values in seen.items():
        if len(values) > 1:
            yield Finding(what, False, f"The nodes' files name different ones; every node needs the same {what}.")


def _check_bundle(own: Path, node: NodeAddress, cluster: Cluster, seen: dict[str, set[object]]) -> Iterator[Finding]:
    own_file = node_file(own, node.name)
    settings = load_node_settings(own_file)
    seen["share key"].add(settings.share_key)
    seen["directory"].add(parse_directory_url(settings.directory_url))
    what = f"files of {node.name}"
    if public_key(settings.private_key) != node.key:
        yield Finding(what, False, "The key in its own file is not the one that the cluster file names.")
    elif own.name == node.name and (
        others := {path.name for path in own.glob("node-*.toml")} - {f"node-{node.name}.toml"}
    ):
        yield Finding(what, False, f"{', '.join(sorted(others))} of other nodes lies in its bundle; remove it.")
    elif load_cluster(own / CLUSTER_FILE).version < cluster.version:
        yield Finding(what, False, f"Its cluster file is older than version {cluster.version}.")
    else:
        yield Finding(what, True, f"In {own}, readable for their owner only.")


async def _check_nodes(file: Path, cluster: Cluster) -> list[Finding]:
    found = []
    programs: dict[str, list[str]] = {}
    async with Operator(cluster, file) as operator:
        for node in cluster.nodes:
            began = time.time()
            report = await operator.report(node)
            ended = time.time()
            if report is None:
                why = operator.troubles.get(node.name) or (
                    f"It does not answer at {shown_address((node.host, node.port))}; see whether its process runs, and "
                    "`glimpse doctor`."
                )
                found.append(Finding(node.name, False, why))
                continue
            programs.setdefault(report.status.program, []).append(node.name)
            found += _check_report(node.name, report, cluster, (began, ended))
    if len(programs) > 1:
        text = "; ".join(f"{version or 'older'}: {', '.join(names)}" for version, names in sorted(programs.items()))
        found.append(Finding("versions", False, f"The nodes run different versions of Glimpse ({clean(text)})."))
    return found


def _check_report(name: str, report: StatusReport, cluster: Cluster, asked: tuple[float, float]) -> Iterator[Finding]:
    status = report.status
    off = max(asked[0] - status.clock, status.clock - asked[1], 0.0) if status.clock else 0.0
    if status.cluster < cluster.version:
        text = f"It runs by version {status.cluster} of the cluster file; run `glimpse cluster publish`."
        yield Finding(name, False, text)
    elif status.cluster > cluster.version:
        text = f"It runs by version {status.cluster} of the cluster file, which is newer than the one here."
        yield Finding(name, False, text)
    elif off > _CLOCK_S:
        yield Finding(name, False, f"Its clock and this machine's differ by {off:.0f} s; let both be set by NTP.")
    elif not report.directory.ok:
        yield Finding(name, False, f"It cannot use its directory. {clean(report.directory.error)}".rstrip())
    else:
        yield Finding(
            name, True, f"{clean(status.role)}, Glimpse {clean(status.program)}, clock within {_CLOCK_S:.0f} s."
        )
