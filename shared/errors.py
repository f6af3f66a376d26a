"""The two families of errors, and the refusals that a user gets to read.

`LocalError` means that this program, or whoever calls it, did something wrong; `RemoteError` means that the other side
of a connection did. They never look alike, because the first is a bug or a mistake to be told about, while the second
is everyday life: counted, dropped, and never fatal to a node.

Texts are one sentence that says what happened and what to do next. They never quote remote text unescaped.
"""


class GlimpseError(Exception):
    """Root of every error that Glimpse raises on purpose."""


class LocalError(GlimpseError):
    """Our own bug or misuse of an interface."""


class RemoteError(GlimpseError):
    """The other side misbehaved: a malformed, forged, oversized or untimely message."""


class MalformedMessage(RemoteError):
    """Bytes that are no valid message of the protocol."""


class HandshakeFailed(RemoteError):
    """A handshake message did not authenticate or came out of order."""


class DatagramRefused(RemoteError):
    """A datagram was not taken: forged, replayed, malformed, or more than its sender may ask for.

    It is counted under `reason`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"datagram refused: {reason}")
        self.reason = reason


class BadSignature(RemoteError):
    """A signature does not hold: forged, or made by another key or for something else."""


class BadSeal(RemoteError):
    """Sealed bytes do not open or are not what was committed to: damaged, forged, or moved to another place."""


class UserError(LocalError):
    """What a person asked for cannot be done; the text says why and what to do. Exit code 1 on the command line."""


class InvalidInput(UserError):
    """An argument is outside what is allowed. Exit code 2 on the command line."""


class UnusableImage(InvalidInput):
    """A file that should be a picture is missing, damaged, animated, too large, or no picture at all."""


class DecodedTooSlowly(UnusableImage):
    """A picture was not decoded in the time there is for it; on a machine that is less busy it may be."""


class ProfileError(UserError):
    """A profile folder or key file is missing, damaged, unsafe or in use by another process."""


class WrongPassphrase(ProfileError):
    """An exported identity or a locked profile is whole, but the passphrase does not open it."""


class PassphraseNeeded(ProfileError):
    """A profile is locked by a passphrase, and none was given."""


class StorageError(UserError):
    """A disk is full or a folder cannot be written; nothing that was stored before is lost."""


class DamagedStego(UserError):
    """A stego image no longer yields what was hidden in it (re-encoded, cut or edited by another program)."""


class IdentityChanged(UserError):
    """An account shows a key other than the one first seen for it. Never ignored, never overwritten silently."""


class Unavailable(GlimpseError):
    """The cloud, the directory or a peer cannot be reached now. What was asked for is kept or was never begun."""


class Explained(Unavailable):
    """The other side cannot be reached, and it is known why: the text says what to do."""


class PathTooNarrow(Explained):
    """Only small datagrams get to the other side; the text says which size is needed."""


class OtherVersion(Explained):
    """The other side speaks another version of the protocol; the text says which side is to be updated."""


class TransferFailed(Unavailable):
    """An object transfer ended without the whole object having arrived; it can be resumed."""


class TransferCancelled(GlimpseError):
    """An object transfer was cancelled by either side."""


class Refused(GlimpseError):
    """The cloud or the other peer understood the request and says no.

    `code` is one of `shared.wire.refusals.RefusalCode`; subclasses exist where callers want to tell them apart.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ViewRefused(Refused):
    """A look was refused and no view was spent: no views left, expired, revoked, or frozen."""
