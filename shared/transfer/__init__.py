"""Object transfer: sender, receiver and congestion control, without I/O."""

from shared.transfer.frames import PacketCipher
from shared.transfer.ranges import Ranges
from shared.transfer.receiver import PartialObject, ReceivingTransfer
from shared.transfer.sender import SendingTransfer
from shared.transfer.settings import TransferSettings, TransferState

__all__ = [
    "PacketCipher",
    "PartialObject",
    "Ranges",
    "ReceivingTransfer",
    "SendingTransfer",
    "TransferSettings",
    "TransferState",
]
