"""The `glimpse` command. Arguments are parsed here; everything heavy is imported by the command that needs it."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import NoReturn

import click

from shared.errors import GlimpseError, InvalidInput
from shared.version import VERSION
from tui.cli_cluster import cluster
from tui.cli_common import (
    FILE,
    cluster_option,
    directory_file_option,
    directory_option,
    directory_url,
    json_option,
    run,
)

_profile = click.option("--profile", default="default", show_default=True, help="Name of the profile on this machine.")
_passphrase_file = click.option(
    "--passphrase-file",
    type=FILE,
    envvar="GLIMPSE_PASSPHRASE_FILE",
    help="File (mode 0600) whose first line is the profile's passphrase. [default: GLIMPSE_PASSPHRASE_FILE, or the "
    "passphrase itself in GLIMPSE_PASSPHRASE]",
)
_TCP_PORT = click.IntRange(1, 65_535)
_metrics_host = click.option(
    "--metrics-host", default="127.0.0.1", show_default=True, help="Address to serve metrics on; they need no key."
)
_ORDERS = ["deaf", "token", "policy", "lead", "step_down", "drain", "undrain", "slow", "stop"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, message="glimpse %(version)s")
def glimpse() -> None:
    """Share pictures for a counted number of views."""


glimpse.add_command(cluster)


@glimpse.command()
@click.option("--data", type=FILE, help="Folder of the cluster. [default: in the user's data folder]")
@click.option("--nodes", type=int, help="Number of nodes, when the cluster is set up. [default: 3]")
@click.option("--directory", help="Directory URL: sqlite:///path or mysql://user:password@host:port/database?tls=...")
@directory_file_option
@click.option("--base-port", type=int, help="First of two UDP ports a node; 0 takes free ones. [default: 47600]")
@click.option("--host", help="Address of this machine that others reach it by. [default: 127.0.0.1]")
@click.option("--preset", type=click.Choice(["local", "lan", "wan"]), help="Timers. [default: local]")
@click.option("--metrics", type=_TCP_PORT, help="Serve Prometheus metrics: of the first node here, then port by port.")
@_metrics_host
def up(
    data: Path | None,
    nodes: int | None,
    directory: str | None,
    directory_file: Path | None,
    base_port: int | None,
    host: str | None,
    preset: str | None,
    metrics: int | None,
    metrics_host: str,
) -> None:
    """Run a local cluster, one process per node, until interrupted. Ends with code 1 when no node is left.

    A folder that holds a cluster keeps it as it was set up; options that it differs from are told of.
    """
    from tui.commands import up as command
    from tui.common.user_paths import CLUSTER_FILE, default_cluster_folder

    url = directory_url(directory, directory_file)
    folder = data or default_cluster_folder()
    if url is not None:
        run(command.try_directory, folder, url)
    was_there = (folder / CLUSTER_FILE).exists()
    place = command.set_up(
        folder,
        nodes=3 if nodes is None else nodes,
        directory_url=url,
        base_port=command.DEFAULT_BASE_PORT if base_port is None else base_port,
        preset=preset or "local",
        host=host or "127.0.0.1",
    )
    if was_there:
        for sentence in command.not_heeded(place, nodes=nodes, base_port=base_port, preset=preset, host=host):
            _tell(f"Warning: {sentence}")
    sys.exit(run(command.up, place, click.echo, None if metrics is None else (metrics_host, metrics)))


@glimpse.command()
@click.option("--cluster", type=FILE, required=True, help="Cluster file; the node's own file lies beside it.")
@click.option("--name", required=True, help="Name of the node in the cluster file.")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@click.option("--with-parent", type=int, metavar="PID", help="Stop when process PID, which started this node, is gone.")
@click.option("--metrics", type=_TCP_PORT, help="Serve Prometheus metrics on this TCP port.")
@_metrics_host
@click.option("--sockets", type=(int, int), hidden=True, help="Descriptors of the sockets that `glimpse up` has bound.")
def node(
    cluster: Path,
    name: str,
    log_level: str,
    with_parent: int | None,
    metrics: int | None,
    metrics_host: str,
    sockets: tuple[int, int] | None,
) -> None:
    """Run one node of a cluster."""
    from node.server import serve

    place = None if metrics is None else (metrics_host, metrics)
    serve(
        name,
        cluster,
        parent=with_parent,
        metrics=place,
        sockets=sockets,
        log_level=log_level,
    )


@glimpse.command()
@cluster_option
@json_option
@click.option("--watch", is_flag=True, help="Show it again and again, until Ctrl+C; with --json, a line each time.")
@click.option(
    "--every", type=click.FloatRange(0.2, 3600), default=2.0, show_default=True, help="Seconds between two, if watched."
)
def status(cluster: Path | None, as_json: bool, watch: bool, every: float) -> None:
    """Show the leader, the nodes and the directory."""
    from tui.commands.status import echo, show, status_of, watch_status

    if watch:
        run(watch_status, cluster, every, partial(echo, as_json=as_json))
    found = run(status_of, cluster)
    click.echo(show(found, as_json=as_json))
    if found["leader"] is None:
        sys.exit(1)


@glimpse.command()
@cluster_option
@click.option("--peer", type=int, metavar="ACCOUNT", help="Number of an account whose path is looked for as well.")
@_profile
@_passphrase_file
@json_option
def doctor(cluster: Path | None, peer: int | None, profile: str, passphrase_file: Path | None, as_json: bool) -> None:
    """Test the path from this machine to every node, and say what to change.

    Names, ports, address families, the router in front of this machine, the clock. With --peer also how that account's
    peer is reached from a profile here: directly, or through which node. No client may have that profile open.
    """
    from tui.commands.doctor import diagnose, is_well, show
    from tui.commands.given_passphrase import given_passphrase
    from tui.common.user_paths import profiles_root
    from tui.peer.profile import profile_folder

    given = None if peer is None else given_passphrase(passphrase_file)
    folder = profile_folder(profiles_root(), profile)
    told = run(lambda: diagnose(cluster, folder=folder, peer=peer, passphrase=given))
    click.echo(show(told, as_json=as_json))
    if not is_well(told):
        sys.exit(1)


@glimpse.command()
@cluster_option
@click.argument("name")
@click.argument("order", type=click.Choice(_ORDERS))
@click.argument("value", default="")
def order(cluster: Path | None, name: str, order: str, value: str) -> None:
    """Give node NAME an order; every node writes it to its audit log.

    \b
    deaf SECONDS     drop everything in and out for so long
    token [stop]     send the token round that makes its holder deaf for 20 s, or stop it
    policy NAME      least-cost, priority or round-robin; holds for the whole cluster, whoever leads
    lead             ask for leadership
    step_down        give leadership to the next in line and stay in line
    drain            give leadership up, take no new work, finish what is in hand, go on running
    undrain          come back
    slow FACTOR      make the encoder so many times slower; 1 is full speed
    stop             drain and end the process
    """
    from tui.commands.status import give_order

    run(give_order, cluster, name, order, value)


@glimpse.command()
@click.argument("file", type=FILE)
@cluster_option
@directory_option
@directory_file_option
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
def backup(file: Path, cluster: Path | None, directory: str | None, directory_file: Path | None, force: bool) -> None:
    """Copy the directory into FILE while the nodes go on.

    The copy is one consistent state, checked before it gets its name. A directory on a MySQL or MariaDB server is
    backed up with the server's own tool: the command for it is shown.
    """
    from tui.commands.backup import run_backup, target_of

    target = target_of(cluster, directory_url(directory, directory_file))
    run(run_backup, target, file, force, click.echo)


@glimpse.command()
@click.argument("file", type=FILE, required=False)
@cluster_option
@directory_option
@directory_file_option
@click.option("--loaded", is_flag=True, help="A dump was loaded by the server's own tool: only mark it as restored.")
def restore(
    file: Path | None, cluster: Path | None, directory: str | None, directory_file: Path | None, loaded: bool
) -> None:
    """Put the directory back to the backup in FILE, while no node runs.

    The present directory is kept beside it. Everything that was granted waits until the owner's client has compared
    it, so that no view is won by a restore; account numbers are not given twice.
    """
    from tui.commands.backup import run_restore, target_of

    if loaded == (file is not None):
        raise InvalidInput("Give the FILE of a backup, or --loaded where a dump was loaded already, not both.")
    run(run_restore, target_of(cluster, directory_url(directory, directory_file)), file, click.echo)


@glimpse.command()
@_profile
@click.option("--remove", is_flag=True, help="Remove it: the keys lie on the disk in clear afterwards.")
@_passphrase_file
@click.option("--new-passphrase-file", type=FILE, help="File (mode 0600) whose first line is the new passphrase.")
def passphrase(profile: str, remove: bool, passphrase_file: Path | None, new_passphrase_file: Path | None) -> None:
    """Set, change or remove the passphrase that locks a profile.

    Without files it is asked for. No other program may have the profile open; an open client does it by itself, in its
    account dialog. Keys and what opens pictures are encrypted under it on this machine. Nobody can find out one that is
    forgotten: keep an export of the account.
    """
    from tui.commands.given_passphrase import given_passphrase
    from tui.commands.passphrase import change
    from tui.common.user_paths import profiles_root
    from tui.peer.profile import profile_folder

    if remove and new_passphrase_file is not None:
        raise InvalidInput("Give --remove or --new-passphrase-file, not both.")
    folder = profile_folder(profiles_root(), profile)

    def old() -> str:
        return given_passphrase(passphrase_file) or _asked("Passphrase", "--passphrase-file")

    def new() -> str:
        if new_passphrase_file is None:
            return _asked("New passphrase", "--new-passphrase-file", twice=True)
        return given_passphrase(new_passphrase_file) or ""

    run(lambda: change(folder, remove=remove, old=old, new=new, say=click.echo))


@glimpse.command()
@_profile
@cluster_option
@_passphrase_file
@click.option("--name", help="Name to register under. [default: the profile's name]")
@click.option("--accept", type=click.Choice(["all", "none"]), required=True, help="Which requests are granted.")
@click.option("--views", type=int, help="Views to grant instead of the number asked for.")
@click.option(
    "--share", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Folder of pictures to share."
)
@click.option("--previews", is_flag=True, help="Let everybody see a small preview of what is shared.")
@click.option("--after", "after_s", type=float, default=0.0, help="Seconds to wait before a request is granted.")
@click.option(
    "--hold", type=click.Choice(["away", "never"]), default="away", help="Whether the cloud holds pictures meanwhile."
)
@click.option("--relay-only", is_flag=True, help="Tell nobody where this machine is: pictures go through a node.")
@click.option(
    "--with-parent", type=int, metavar="PID", help="Stop when process PID, which started this agent, is gone."
)
def agent(
    profile: str,
    cluster: Path | None,
    passphrase_file: Path | None,
    name: str | None,
    accept: str,
    views: int | None,
    share: Path | None,
    after_s: float,
    previews: bool,
    hold: str,
    relay_only: bool,
    with_parent: int | None,
) -> None:
    """Run a peer without a screen that shares a folder and answers requests.

    A profile that is made while a passphrase is given is locked by it.
    """
    from tui.commands.agent import agent as run_agent
    from tui.commands.agent import until_stopped
    from tui.commands.given_passphrase import given_passphrase
    from tui.common.user_paths import find_cluster, profiles_root
    from tui.peer import Peer
    from tui.peer.profile import profile_folder

    given = given_passphrase(passphrase_file)

    async def main() -> None:
        folder = profile_folder(profiles_root(), profile)
        async with Peer(
            folder, find_cluster(cluster, folder), passphrase=given, holds_copies=hold != "never", relay_only=relay_only
        ) as peer:
            if given is not None and not peer.status().locked:
                _tell(
                    f"Warning: the profile {profile} is not locked; `glimpse passphrase --profile {profile}` does it."
                )
            await until_stopped(
                lambda: run_agent(
                    peer,
                    name or profile,
                    accept=accept == "all",
                    views=views,
                    share=share,
                    after_s=after_s,
                    previews=previews,
                    say=click.echo,
                ),
                parent=with_parent,
            )

    run(main)


@glimpse.command()
@cluster_option
@click.option("--requests", type=click.IntRange(1, 1_000_000), default=1_000, show_default=True)
@click.option("--clients", type=click.IntRange(1, 64), default=3, show_default=True)
@click.option("--concurrency", type=click.IntRange(1, 1_000), default=48, show_default=True, help="Requests in flight.")
@click.option("--image", type=FILE, help="Picture to encrypt. [default: a made one of about 10 KB]")
@click.option("--policy", type=click.Choice(["least-cost", "priority", "round-robin"]), help="Placement to compare.")
@click.option("--kill", metavar="NAME@PERCENT", help="Kill that node (or 'leader') when so many requests are done.")
@json_option
def load(
    cluster: Path | None,
    requests: int,
    clients: int,
    concurrency: int,
    image: Path | None,
    policy: str | None,
    kill: str | None,
    as_json: bool,
) -> None:
    """Encrypt many pictures at once and compare every one that comes back."""
    from tui.commands.load import LoadPlan, run_load, show

    plan = LoadPlan.of(requests, clients, concurrency, image, policy, kill)
    result = run(run_load, cluster, plan)
    click.echo(show(result, as_json=as_json))
    sys.exit(1 if result["failed"] or result["duplicates"] else 0)


@glimpse.command()
@click.option("--script", is_flag=True, help="Run the ten use cases without a screen, one line per step.")
@click.option("--directory", help="Directory URL to use instead of an SQLite file.")
@directory_file_option
@click.option("--keep", is_flag=True, help="Keep the temporary folder and say where it is.")
def demo(script: bool, directory: str | None, directory_file: Path | None, keep: bool) -> None:
    """Show Glimpse at work: three nodes, three people with pictures, and the client in front.

    Without a terminal it runs the script.
    """
    url = directory_url(directory, directory_file)
    if script or not (sys.stdin.isatty() and sys.stdout.isatty()):
        from tui.commands.demo import run_demo

        sys.exit(run(run_demo, url, keep, click.echo))
    from tui.commands.demo_screens import demo_screens

    sys.exit(demo_screens(url, keep, click.echo))


@glimpse.command()
@cluster_option
@click.option("--qr/--no-qr", default=None, help="Draw the code for a camera as well. [default: on a terminal]")
def invite(cluster: Path | None, qr: bool | None) -> None:
    """Print the code by which others join this cluster: `glimpse client --join CODE`, or in the client's first screen.

    It says where the cluster is and who its operator is, so that nobody can pass off another one for it. It is no
    secret, opens nothing, and stays good as long as one of the first two nodes keeps its key and address.
    """
    from tui.commands.invite import code_for, drawn

    code = code_for(cluster)
    click.echo(code)
    if sys.stdout.isatty() if qr is None else qr:
        click.echo(drawn(code))


@glimpse.command()
@click.option(
    "--profile", help="Name of the profile on this machine, made if it is new. [default: the only one, or ask]"
)
@cluster_option
@_passphrase_file
@click.option("--join", "code", metavar="CODE", help="Join the cluster of an invitation that `glimpse invite` printed.")
@click.option("--list-keys", is_flag=True, help="List all actions with their keys, for client.toml, and end.")
def client(
    profile: str | None, cluster: Path | None, passphrase_file: Path | None, code: str | None, list_keys: bool
) -> None:
    """Open the client: share pictures, ask for them, look at them. It asks for the passphrase of a locked profile.

    \b
    Keys      ? shows all keys, ctrl+p every action, ctrl+q quits
    Settings  client.toml in the user's configuration folder
              (~/.config/glimpse): theme, pictures and [keys], such as
              "users.request" = "r,f2"
    Variables GLIMPSE_CLUSTER names the cluster file, NO_COLOR turns colours
              off, GLIMPSE_PICTURES=cells asks no terminal for true pixels
    Completion of the shell: eval "$(_GLIMPSE_COMPLETE=bash_source glimpse)"
              in ~/.bashrc; zsh_source for zsh, fish_source for fish
    """
    if list_keys:
        from tui.common.keys import CLIENT_PACKAGES

        _list_keys(CLIENT_PACKAGES)
        return
    if code is not None:
        from tui.common.user_paths import joined_cluster
        from tui.peer.joining import join

        if cluster is not None:
            raise InvalidInput("Give --join or --cluster, not both.")
        cluster = run(join, code, joined_cluster())
    from tui.common.starting import begin

    begin()
    from tui.client.run import run_client
    from tui.peer.profiles import checked_profile

    given = None
    if passphrase_file is not None or "GLIMPSE_PASSPHRASE" in os.environ:
        from tui.commands.given_passphrase import given_passphrase

        given = given_passphrase(passphrase_file)
    sys.exit(run_client(None if profile is None else checked_profile(profile), cluster, passphrase=given))


@glimpse.command()
@cluster_option
@click.option("--record", type=FILE, help="Record what is shown into a new file.")
@click.option("--replay", type=FILE, help="Play a recording, or `election`, which comes with Glimpse.")
@click.option("--list-keys", is_flag=True, help="List all actions with their keys, for monitor.toml, and end.")
def monitor(cluster: Path | None, record: Path | None, replay: Path | None, list_keys: bool) -> None:
    """Watch the nodes: who leads, who is next in line, what they do.

    \b
    Keys      ? shows all keys, ctrl+p every action, q quits
    Settings  monitor.toml in the user's configuration folder
              (~/.config/glimpse): theme and [keys], such as
              "dashboard.measure" = "m,f2"
    Variables GLIMPSE_CLUSTER names the cluster file, NO_COLOR turns colours off
    """
    if list_keys:
        from tui.common.keys import MONITOR_PACKAGES

        _list_keys(MONITOR_PACKAGES)
        return
    from tui.monitor.run import run_monitor

    sys.exit(run_monitor(cluster, record, replay, _tell))


def _list_keys(packages: tuple[str, ...]) -> None:
    from tui.common.keys import actions

    for action in actions(packages):
        click.echo(f"{action.id:22} {action.keys:20} {action.what}")


def _tell(text: str) -> None:
    click.echo(text, err=True)


def _asked(what: str, option: str, *, twice: bool = False) -> str:
    """Ask for a passphrase at the terminal, without showing it."""
    if not sys.stdin.isatty():
        raise InvalidInput(f"There is no terminal to ask for the passphrase at; give {option}.")
    answer: str = click.prompt(what, hide_input=True, confirmation_prompt=twice, err=True)
    return answer


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line: exit code 0, 1 for what could not be done, 2 for what was asked wrongly."""
    try:
        glimpse.main(args=arguments, prog_name="glimpse", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BaseExceptionGroup as group:
        _fail(_first(group))
    except GlimpseError as error:
        _fail(error)
    sys.exit(0)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error of ours inside a group of one; anything else is a bug and keeps its traceback."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        if len(error.exceptions) != 1:
            raise group
        error = error.exceptions[0]
    return error


def _fail(error: BaseException) -> NoReturn:
    if isinstance(error, KeyboardInterrupt):
        sys.exit(130)
    if not isinstance(error, GlimpseError):
        raise error
    click.echo(f"glimpse: {error}", err=True)
    sys.exit(2 if isinstance(error, InvalidInput) else 1)


if __name__ == "__main__":
    main()
