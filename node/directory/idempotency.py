"""Effects that happen once however often their request is served.

The request's row goes in first: a second server of the same request waits on it until the first has committed, and
then finds the answer instead of doing the work. Row, effect and answer are one transaction, so there is never an
answer without its effect or an effect without its answer.
"""

from node.directory.interface import EffectKey, Outcome, Query, Step, Transaction, Tx, Value
from shared.config import MAX_REPLY_OBJECT_BYTES
from shared.errors import LocalError, Refused, Unavailable
from shared.wire.refusals import RefusalCode

_MINE = "WHERE session_key = :session_key AND request_id = :request_id"


def exactly_once(key: EffectKey, transaction: Transaction[bytes]) -> Transaction[Outcome]:
    """Wrap a transaction so that it runs once per key; later runs give the stored answer.

    Raises Refused("id_reused") if the id belongs to a request with another body.
    """

    def once(tx: Tx) -> Step[Outcome]:
        mine: dict[str, Value] = key.request._asdict()
        row = mine | {"body_digest": key.body_digest, "answer": b"", "created": tx.now}
        if not (yield tx.insert_if_absent("requests", row)).rowcount:
            return (yield from _stored(key))
        answer = yield from transaction(tx)
        if len(answer) > MAX_REPLY_OBJECT_BYTES:
            raise LocalError("An answer is too long to be stored.")
        yield Query(f"UPDATE requests SET answer = :answer {_MINE}", mine | {"answer": answer}, deferred=True)  # noqa: S608
        return Outcome(answer, repeated=False)

    return once


def _stored(key: EffectKey) -> Step[Outcome]:
    mine: dict[str, Value] = key.request._asdict()
    row = (yield Query(f"SELECT body_digest, answer FROM requests {_MINE}", mine)).one()  # noqa: S608
    if row is None:
        raise Unavailable("The stored answer was just swept away: send the request again.")
    if row["body_digest"] != key.body_digest:
        raise Refused(RefusalCode.ID_REUSED, "This request id was already used for another request.")
    return Outcome(row["answer"], repeated=True)
