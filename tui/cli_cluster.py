"""`glimpse cluster`: making and changing a cluster. Arguments are parsed here, see `tui.cli`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shared.errors import InvalidInput
from tui.cli_common import (
    FILE,
    cluster_option,
    directory_file_option,
    directory_url,
    json_option,
    run,
)

if TYPE_CHECKING:
    from tui.commands.cluster_folder import OperatorFolder

_NODE = "NAME=HOST:PORT"


@click.group()
def cluster() -> None:
    """Make a cluster of several machines, look at it, and change it while it runs.

    \b
    A node is written as NAME=HOST:PORT, such as n1=n1.example.org:47600 or
    n2=[2001:db8::7]:47600. It takes two UDP ports: PORT for people, and the
    next one for the other nodes unless HOST:PORT/NODE_PORT says which.
    HOST may be several, parted by commas.
    """


@cluster.command()
@click.option("--node", "nodes", multiple=True, required=True, metavar=_NODE, help="A node; give it once for each.")
@click.option("--directory", help="Directory URL: mysql://user:password@host:port/database?tls=...")
@directory_file_option
@click.option("--out", type=FILE, required=True, help="New folder for the files; it stays with the operator.")
@click.option("--preset", type=click.Choice(["local", "lan", "wan"]), help="Timers. [default: by the addresses]")
def init(
    nodes: tuple[str, ...], directory: str | None, directory_file: Path | None, out: Path, preset: str | None
) -> None:
    """Write a new cluster: the public file, the operator's key, and a bundle for each machine.

    Copy the folder OUT/NAME to the machine of node NAME, and hand OUT/cluster.toml to people. Everything else in OUT
    stays where it is: the operator's key signs each later version of the cluster file.
    """
    from tui.commands.cluster_folder import Placed, are_here, check_directory, create

    placed = [Placed.of(text) for text in nodes]
    url = directory_url(directory, directory_file)
    if url is None:
        if not are_here(placed):
            raise InvalidInput("Nodes on several machines need a database server; name it with --directory-file.")
        url = f"sqlite:///{(out / 'directory.sqlite').resolve()}"
    else:
        check_directory(url)
    create(out, placed, url, preset or ("local" if are_here(placed) else "lan"), bundles=True)
    click.echo(f"public file      {out / 'cluster.toml'}")
    click.echo(f"operator's key   {out / 'operator.key'}: keep it here, and a copy in a safe place")
    for node in placed:
        own = out / node.name
        click.echo(f"bundle of {node.name:7}{own}: glimpse node --cluster {own / 'cluster.toml'} --name {node.name}")


@cluster.command("show")
@cluster_option
@json_option
def show_command(cluster: Path | None, as_json: bool) -> None:
    """Show what the cluster file says: version, signature, nodes."""
    from tui.commands.cluster import show
    from tui.common.user_paths import find_cluster

    click.echo(show(find_cluster(cluster), as_json=as_json))


@cluster.command("check")
@cluster_option
@json_option
def check_command(cluster: Path | None, as_json: bool) -> None:
    """Check files, modes and keys here, and each node: does it answer, its clock, its versions, its directory."""
    from tui.commands.cluster import check, shown
    from tui.common.user_paths import find_cluster

    findings = run(check, find_cluster(cluster))
    click.echo(shown(findings, as_json=as_json))
    if not all(each.ok for each in findings):
        raise SystemExit(1)


@cluster.command()
@cluster_option
def publish(cluster: Path | None) -> None:
    """Hand the cluster file to the nodes once more; sign it first if it was edited by hand.

    Nodes and clients that have an earlier version follow by themselves.
    """
    from tui.commands.cluster import hand_out

    place = _folder(cluster, may_be_edited=True)
    if place.sign():
        click.echo("signed")
    run(hand_out, place, click.echo)


@cluster.command("add-node")
@click.argument("node", metavar=_NODE)
@cluster_option
def add_node(node: str, cluster: Path | None) -> None:
    """Add a node. Those that run go on; the new one is started with the files that are written for it."""
    from tui.commands.cluster import hand_out
    from tui.commands.cluster_folder import Placed

    place, placed = _folder(cluster), Placed.of(node)
    before = place.cluster
    own = place.add(placed)
    run(lambda: hand_out(place, click.echo, via=before))
    _say_start(own, placed.name)


@cluster.command("remove-node")
@click.argument("name")
@cluster_option
def remove_node(name: str, cluster: Path | None) -> None:
    """Take a node out: its key is worth nothing from then on, and its process ends by itself.

    Whoever had its files knows the directory's password and the nodes' share key still: change the password, too, if
    the machine is not yours any more (`set-directory`).
    """
    from tui.commands.cluster import hand_out

    place = _folder(cluster)
    before = place.cluster
    place.remove(name)
    run(lambda: hand_out(place, click.echo, via=before))


@cluster.command("replace-node")
@click.argument("node", metavar="NAME[=HOST:PORT]")
@cluster_option
def replace_node(node: str, cluster: Path | None) -> None:
    """Give a node a new key, and another machine if one is named: the old key is worth nothing from then on.

    For a machine that is dead or lost. Start the new one with the files that are written for it.
    """
    import os

    from tui.commands.cluster import hand_out
    from tui.commands.cluster_folder import Placed

    place = _folder(cluster)
    placed = Placed.of(node) if "=" in node else None
    name = placed.name if placed else node
    before = place.cluster
    own = place.replace(name, placed, os.urandom(32))
    run(lambda: hand_out(place, click.echo, via=before, besides=name))
    _say_start(own, name)


@cluster.command()
@click.argument("what", metavar="operator|share-key|NODE")
@cluster_option
def rotate(what: str, cluster: Path | None) -> None:
    """Replace the operator's key, the nodes' share key, or the key of a running node, by a new one.

    A node is given its key by the operator's session and changes it together with the cluster file. The operator's old
    key signs the new one once, so that whoever has an earlier cluster file follows; then it is worth nothing.

    The share key encrypts the cloud's halves of content keys in the directory. Every node has to run while it is
    replaced; what is in the directory is then encrypted anew.
    """
    import os

    from tui.commands.cluster import hand_key, hand_out, hand_share_key

    place = _folder(cluster)
    if what == "operator":
        old = place.rotate_operator()
        run(lambda: hand_out(place, click.echo, key_file=old))
        click.echo(f"The old key is in {old}; remove it once `glimpse cluster check` finds every node well.")
        return
    if what == "share-key":
        run(hand_share_key, place, click.echo)
        return
    key, before = os.urandom(32), place.cluster
    before.node(what)
    if not run(hand_key, place, what, key):
        raise InvalidInput(f"Node {what} does not answer; for a machine that is gone there is `replace-node`.")
    place.replace(what, None, key)
    run(lambda: hand_out(place, click.echo, via=before))


@cluster.command("set-directory")
@click.option("--directory", help="Directory URL: mysql://user:password@host:port/database?tls=...")
@directory_file_option
@cluster_option
def set_directory(directory: str | None, directory_file: Path | None, cluster: Path | None) -> None:
    """Have all nodes use another URL of the same directory, such as one with a new password.

    One node after the other opens it, finds that it is this cluster's, and goes on with it; a URL that does not work
    changes nothing. Nodes that do not run get it with their files.
    """
    from tui.commands.cluster import hand_directory

    url = directory_url(directory, directory_file)
    if url is None:
        raise InvalidInput("Name the directory with --directory-file.")
    run(hand_directory, _folder(cluster), url, click.echo)


@cluster.command()
@click.argument("name")
@click.option(
    "--folder", type=FILE, default=Path("/srv/glimpse"), show_default=True, help="Its bundle, on its machine."
)
@click.option("--program", type=FILE, help="The program there. [default: where this one is here]")
@click.option("--user", default="glimpse", show_default=True, help="Whom it runs as; the bundle is that user's.")
@cluster_option
def systemd(name: str, folder: Path, program: Path | None, user: str, cluster: Path | None) -> None:
    """Print a unit file by which systemd runs node NAME on its machine.

    \b
    glimpse cluster systemd n1 > glimpse-n1.service
    """
    from shared.cluster import load_cluster
    from tui.commands.systemd import unit
    from tui.common.user_paths import find_cluster

    load_cluster(find_cluster(cluster)).node(name)
    here = Path(sys.argv[0]).absolute()
    click.echo(unit(name, folder, program or here, user), nl=False)


def _folder(cluster: Path | None, *, may_be_edited: bool = False) -> "OperatorFolder":
    from tui.commands.cluster_folder import OperatorFolder
    from tui.common.user_paths import find_cluster

    place = OperatorFolder(find_cluster(cluster).parent)
    if not may_be_edited:
        place.check_unedited()
    return place


def _say_start(own: Path, name: str) -> None:
    click.echo(f"start {name}: glimpse node --cluster {own / 'cluster.toml'} --name {name}")
