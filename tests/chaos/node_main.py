"""A node's process: its sockets are announced to the relay, then it is the program itself.

python -m tests.chaos.node_main BLOCK WITHOUT node --cluster FILE --name NAME
"""

import sys

from tests.chaos.network import Net
from tests.chaos.relay import announce
from tests.chaos.without import take_out
from tui.cli import main

if __name__ == "__main__":
    announce(Net(int(sys.argv[1])))
    take_out([name for name in sys.argv[2].split(",") if name])
    main(sys.argv[3:])
