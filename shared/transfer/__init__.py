"""Object transfer: sender, receiver and congestion control, without I/O."""

from shared.transfer.frames import TRANSFER_DATAGRAM_TYPE, PacketCipher
from shared.transfer.ranges import Ranges
from shared.transfer.receiver import PartialObject, ReceivingTransfer
from shared.transfer.sender import SendingTransfer
from shared.transfer.settings import ReceivingStatistics, SendingStatistics, TransferSettings, TransferState

__all__ = [
    "TRANSFER_DATAGRAM_TYPE",
    "PacketCipher",
    "PartialObject",
    "Ranges",
    "ReceivingStatistics",
    "ReceivingTransfer",
    "SendingStatistics",
    "SendingTransfer",
    "TransferSettings",
    "TransferState",
]
