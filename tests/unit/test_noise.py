"""The handshake against published vectors, and what a wrong or forged message does to it."""

import json
from pathlib import Path

import pytest

from shared.errors import HandshakeFailed, LocalError
from shared.secure.noise import CipherState, InitiatorHandshake, KeyPair, ResponderHandshake

VECTORS = json.loads((Path(__file__).parent / "noise_ik_vectors.json").read_text())["vectors"]
A, B, E, F = (bytes([n]) * 32 for n in (1, 2, 3, 4))


def field(vector: dict[str, str], name: str) -> bytes:
    return bytes.fromhex(vector.get(name, ""))


@pytest.mark.parametrize("vector", VECTORS)
def test_published_vector(vector):
    prologue = field(vector, "prologue")
    responder_static = KeyPair(field(vector, "resp_static"))
    initiator = InitiatorHandshake(
        KeyPair(field(vector, "init_static")),
        responder_static.public,
        ephemeral=field(vector, "init_ephemeral"),
        prologue=prologue,
    )
    responder = ResponderHandshake(responder_static, prologue=prologue)
    messages = [(bytes.fromhex(m["payload"]), bytes.fromhex(m["ciphertext"])) for m in vector["messages"]]

    assert initiator.write_first(messages[0][0]) == messages[0][1]
    assert responder.read_first(messages[0][1]) == messages[0][0]
    assert responder.remote_static == KeyPair(field(vector, "init_static")).public
    second, responder_keys = responder.write_second(messages[1][0], ephemeral=field(vector, "resp_ephemeral"))
    assert second == messages[1][1]
    payload, initiator_keys = initiator.read_second(second)
    assert payload == messages[1][0]
    assert initiator_keys == responder_keys

    assert len(messages) > 2
    ciphers = {
        0: (CipherState(initiator_keys.initiator_to_responder), CipherState(responder_keys.initiator_to_responder)),
        1: (CipherState(responder_keys.responder_to_initiator), CipherState(initiator_keys.responder_to_initiator)),
    }
    for index, (plaintext, ciphertext) in enumerate(messages[2:], start=2):
        sealing, opening = ciphers[index % 2]
        assert sealing.encrypt(b"", plaintext) == ciphertext
        assert opening.decrypt(b"", ciphertext) == plaintext


def pair(prologue_a: bytes = b"", prologue_b: bytes = b"") -> tuple[InitiatorHandshake, ResponderHandshake]:
    responder = KeyPair(B)
    return (
        InitiatorHandshake(KeyPair(A), responder.public, ephemeral=E, prologue=prologue_a),
        ResponderHandshake(responder, prologue=prologue_b),
    )


def test_every_flipped_bit_of_the_first_message_is_noticed():
    first = pair()[0].write_first(b"payload")
    for index in range(len(first)):
        forged = bytearray(first)
        forged[index] ^= 0x40
        with pytest.raises(HandshakeFailed):
            pair()[1].read_first(bytes(forged))


def test_a_forged_answer_does_not_spoil_the_handshake():
    initiator, responder = pair()
    responder.read_first(initiator.write_first(b""))
    second, keys = responder.write_second(b"hello", ephemeral=F)
    for index in range(len(second)):
        forged = bytearray(second)
        forged[index] ^= 1
        with pytest.raises(HandshakeFailed):
            initiator.read_second(bytes(forged))
    assert initiator.read_second(second) == (b"hello", keys)


def test_different_prologues_do_not_meet():
    initiator, responder = pair(b"cluster one", b"cluster two")
    with pytest.raises(HandshakeFailed):
        responder.read_first(initiator.write_first(b""))


def test_keys_of_low_order_and_short_messages_are_refused():
    with pytest.raises(HandshakeFailed):
        KeyPair(A).exchange(bytes(32))
    with pytest.raises(HandshakeFailed):
        pair()[1].read_first(bytes(95))
    with pytest.raises(HandshakeFailed):
        pair()[1].read_first(bytes(200))
    with pytest.raises(HandshakeFailed):
        pair()[0].read_second(bytes(47))


def test_misuse_is_ours():
    with pytest.raises(LocalError):
        KeyPair(b"short")
    with pytest.raises(LocalError):
        pair()[1].write_second(b"", ephemeral=F)
    exhausted = CipherState(A)
    exhausted.nonce = 2**64 - 1
    with pytest.raises(LocalError):
        exhausted.encrypt(b"", b"")
