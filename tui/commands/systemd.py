"""`glimpse cluster systemd`: a unit file by which systemd runs one node of a cluster."""

import re
from pathlib import Path
from string import Template
from typing import Final

from shared.errors import InvalidInput

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./@:+-]+")
"""What stands in a unit file as it is; anything else would have to be quoted, each kind in its own way."""
_UNIT: Final = Template("""\
[Unit]
Description=Glimpse node $name
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
User=$user
ExecStart=$program node --cluster $folder/cluster.toml --name $name
# Drains, then begins anew by its files as they are, with its log opened again.
ExecReload=/bin/kill -HUP $$MAINPID
# Ends in order: leadership is handed over, what is in hand is finished.
TimeoutStopSec=30
Restart=on-failure
RestartSec=2
# A node whose event loop hangs for so long is ended and started anew.
WatchdogSec=30
LimitNOFILE=16384
UMask=0077
NoNewPrivileges=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectHome=yes
ProtectSystem=strict
ReadWritePaths=$folder
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictSUIDSGID=yes

[Install]
WantedBy=multi-user.target
""")


def unit(name: str, folder: Path, program: Path, user: str) -> str:
    """Return the unit file of node `name`, whose files lie in `folder` on its machine.

    Raises `InvalidInput` for what has no place in a unit file.
    """
    for what, value in (("folder", str(folder)), ("program", str(program)), ("user", user), ("node", name)):
        if not _PLAIN.fullmatch(value):
            raise InvalidInput(
                f"The {what} {value!r} cannot stand in a unit file: choose one without blanks or quotes."
            )
    for what, path in (("folder", folder), ("program", program)):
        if not path.is_absolute():
            raise InvalidInput(f"The {what} {path} has to be a whole path, from the root on.")
    return _UNIT.substitute(name=name, folder=folder, program=program, user=user)
