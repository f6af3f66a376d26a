"""Labels of object transfers: what an object is and what it belongs to, encoded in the offer.

Kinds 220 to 239.
"""

from shared.wire.base import Id128, Message

MAX_LABEL_BYTES = 512


class OperationObject(Message, frozen=True, tag=220):
    """Peer to node: the encoded operation of a request."""

    request: Id128


class UploadObject(Message, frozen=True, tag=221):
    """Peer to node: the upload of an `Encrypt` request (`shared.wire.upload`)."""

    request: Id128


class StegoObject(Message, frozen=True, tag=222):
    """Node to peer: the stego image of an `Encrypt` request."""

    request: Id128


class AnswerObject(Message, frozen=True, tag=223):
    """Node to peer: the encoded `Answer` or report of a request."""

    request: Id128


class CopyObject(Message, frozen=True, tag=224):
    """Owner's peer to viewer's peer: the viewer's copy of a stego image, rights record and all."""

    grant: Id128
    image: Id128


class OrderObject(Message, frozen=True, tag=225):
    """Operator to node: what belongs to an order of `OperatorCommand` and does not fit it."""

    request: Id128


Label = OperationObject | UploadObject | StegoObject | AnswerObject | CopyObject | OrderObject
