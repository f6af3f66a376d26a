"""Test vectors for whoever writes a second client: made here from fixed keys, kept in `docs/vectors.json`.

Everything is made by the program's own code, with fixed bytes where it draws random ones. Only seals to a key cannot be
had from it twice, because the library draws their ephemeral keys; they are made by `sealed_with`.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from struct import pack
from typing import Any
from unittest.mock import patch

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from shared import rights
from shared.config import LIMITS, LOCAL, MAX_MESSAGE_BYTES
from shared.identity import Identity
from shared.net.control import Accept, OfferMessage, encode_control
from shared.records import encode_record
from shared.sealed_record import seal_record
from shared.sealing import seal_picture
from shared.secure.multiplexer import SecureMultiplexer
from shared.secure.noise import InitiatorHandshake, KeyPair, ResponderHandshake
from shared.secure.session import SessionKeys
from shared.secure.transfer_keys import TransferKeys
from shared.stego import container
from shared.transfer.receiver import ReceivingTransfer
from shared.transfer.sender import SendingTransfer
from shared.transfer.settings import TransferSettings
from shared.wire.base import Message
from shared.wire.codec import encode
from shared.wire.labels import MAX_LABEL_BYTES, OperationObject
from shared.wire.operations import ListUsers, Users
from shared.wire.peer_messages import Answer, KeepAlive, Received, Request

DOCS = Path(__file__).parents[2] / "docs"
VECTORS = DOCS / "vectors.json"
STEGO = DOCS / "vectors.png"
CLUSTER_ID = "vectors"
_GRANT, _IMAGE, _REQUEST, _DEVICE = "a1" * 16, "b1" * 16, "c1" * 16, "d1" * 16
_PEER, _NODE = ("192.0.2.1", 40_000), ("192.0.2.2", 9_000)


def secret(name: str) -> bytes:
    """Return 32 bytes that are the same in every run."""
    return sha256(b"glimpse test vector " + name.encode()).digest()


def make() -> tuple[dict[str, Any], bytes]:
    """Return the vectors, bytes as hexadecimal digits, and the stego image that belongs to them."""
    handshake, session = _handshake()
    granted, stego = _rights()
    vectors = {
        "about": "See protocol.md. Bytes are hexadecimal. Written by `python -m tests.documents`; tests compare them.",
        "handshake": handshake,
        "datagrams": session,
        "transfer": _transfer(bytes.fromhex(handshake["exporter"])),
        "messages": _messages(),
        "rights": granted,
        "stego": {
            "file": STEGO.name,
            "image": _IMAGE,
            "holds": "the sealed picture and the rights text of `rights`",
        },
    }
    return vectors, stego


def text_of(vectors: dict[str, Any]) -> str:
    """Return the vectors as they stand in the file."""
    return json.dumps(vectors, indent=1, ensure_ascii=False) + "\n"


# --- Handshake and datagrams -----------------------------------------------------------------------------------------
def _entropy(name: str) -> Callable[[int], bytes]:
    """Return a source that gives one connection id, one ephemeral key and no jitter."""
    return lambda count: (secret(f"{name} id") if count == 8 else secret(f"{name} ephemeral"))[:count]


def _handshake() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    sides = {
        name: SecureMultiplexer(
            secret(f"{name} static"),
            entropy=_entropy(name),
            timing=LOCAL,
            limits=LIMITS,
            cluster_prologue=b"glimpse " + CLUSTER_ID.encode(),
        )
        for name in ("initiator", "responder")
    }
    initiator, responder = sides["initiator"], sides["responder"]
    initiator.send(initiator.connect(_NODE, responder.public_key, 0.0), b"\x00hello", 0.0)
    ((_, first),) = initiator.take_datagrams()
    responder.receive(_PEER, first, 0.0)
    ((_, second),) = responder.take_datagrams()
    initiator.receive(_NODE, second, 0.0)
    datagrams = [("initiator", data) for _, data in initiator.take_datagrams()]
    for _, data in datagrams:
        responder.receive(_PEER, data, 0.0)
    datagrams += [("responder", data) for _, data in responder.take_datagrams()]

    prologue = b"glimpse session 1\0" + b"glimpse " + CLUSTER_ID.encode() + b"\0" + first[:10]
    mine = InitiatorHandshake(
        KeyPair(secret("initiator static")),
        responder.public_key,
        ephemeral=secret("initiator ephemeral"),
        prologue=prologue,
    )
    assert mine.write_first(bytes(1078)) == first[26:]
    _, keys = mine.read_second(second[10:])
    theirs = ResponderHandshake(KeyPair(secret("responder static")), prologue=prologue)
    theirs.read_first(first[26:])
    own_id, remote_id = secret("initiator id")[:8], secret("responder id")[:8]
    session = {
        "initiator": SessionKeys(keys, 0.0, initiator=True, remote_id=remote_id, timing=LOCAL, limits=LIMITS),
        "responder": SessionKeys(keys, 0.0, initiator=False, remote_id=own_id, timing=LOCAL, limits=LIMITS),
    }
    other = {"initiator": "responder", "responder": "initiator"}
    opened = [
        {"from": side, "frame": session[other[side]].open(data, 0.0).hex(), "datagram": data.hex()}
        for side, data in datagrams
    ]
    handshake = {
        "cluster_id": CLUSTER_ID,
        "prologue": prologue.hex(),
        **{f"{name}_{key}_private": secret(f"{name} {key}").hex() for name in sides for key in ("static", "ephemeral")},
        "initiator_connection_id": own_id.hex(),
        "responder_connection_id": remote_id.hex(),
        "init": first.hex(),
        "response": second.hex(),
        "handshake_hash": keys.handshake_hash.hex(),
        "initiator_to_responder": keys.initiator_to_responder.hex(),
        "responder_to_initiator": keys.responder_to_initiator.hex(),
        "exporter": session["initiator"].exporter.hex(),
    }
    return handshake, opened


# --- A transfer ------------------------------------------------------------------------------------------------------
def _transfer(exporter: bytes) -> dict[str, Any]:
    """Send an object of three datagrams from the initiator to the responder, nothing lost."""
    content = bytes(index % 251 for index in range(2_500))
    keys = TransferKeys(exporter, 0, initiator_sends=True)
    settings = TransferSettings()
    sender = SendingTransfer(content, cipher=keys.sender_cipher(), settings=settings, now=0.0)
    receiver = ReceivingTransfer(
        size=len(content),
        sha256=sha256(content).digest(),
        cipher=keys.receiver_cipher(),
        settings=settings,
        now=0.0,
        buffer_bytes=425_984,
    )
    opening = {"sender": keys.receiver_cipher(), "receiver": keys.sender_cipher()}
    steps = []
    for turn in range(5):  # two datagrams, their acknowledgement, the third, CONFIRMED, HEARD
        now = turn / 128
        side = "receiver" if turn % 2 else "sender"
        machine, other = (receiver, sender) if turn % 2 else (sender, receiver)
        for datagram in machine.take_datagrams(now, 2):
            frame = opening[side].open(int.from_bytes(datagram[10:18], "big"), datagram[:18], datagram[18:])
            steps.append({"from": side, "frame": frame.hex(), "datagram": datagram.hex()})
            other.receive(datagram, now)
    assert sender.finished
    assert receiver.object() == content
    label = encode(OperationObject(request=_REQUEST), cap_bytes=MAX_LABEL_BYTES)
    offer = OfferMessage(transfer=0, label=label, size=len(content), sha256=sha256(content).digest())
    return {
        "exporter": exporter.hex(),
        "transfer": 0,
        "initiator_sends": True,
        "token": keys.token.hex(),
        "object": content.hex(),
        "offer": encode_control(offer).hex(),
        "accept": encode_control(Accept(transfer=0, port=40_001, datagram_bytes=settings.datagram_bytes)).hex(),
        "datagrams": steps,
    }


# --- Messages --------------------------------------------------------------------------------------------------------
def _messages() -> list[dict[str, Any]]:
    """Show a few messages as they stand in a MESSAGE frame after the first byte."""
    examples: list[Message] = [
        Request(request=_REQUEST, operation=ListUsers(text="ada")),
        Answer(request=_REQUEST, outcome=Users(rows=[], total=0)),
        Answer(request=_REQUEST, code="busy", text="Too many requests at once; try again in a moment."),
        Received(request=_REQUEST),
        KeepAlive(device=_DEVICE, port=40_000),
    ]
    return [
        {"kind": type(message).__name__, "json": encode(message, cap_bytes=MAX_MESSAGE_BYTES).decode()}
        for message in examples
    ]


# --- Rights and a stego image ----------------------------------------------------------------------------------------
def sealed_with(ephemeral: bytes, public: bytes, plaintext: bytes, context: bytes) -> bytes:
    """Seal to an X25519 key as `shared.sealing.seal_to` does, with a given ephemeral key: HPKE base mode, RFC 9180."""
    own = X25519PrivateKey.from_private_bytes(ephemeral)
    encapsulated = own.public_key().public_bytes_raw()
    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x03"

    def extract(ids: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
        return HKDF.extract(SHA256(), salt or None, b"HPKE-v1" + ids + label + material)

    def expand(ids: bytes, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
        labelled = pack(">H", length) + b"HPKE-v1" + ids + label + info
        return HKDFExpand(SHA256(), length, labelled).derive(key)

    exchanged = own.exchange(X25519PublicKey.from_public_bytes(public))
    shared = expand(kem, extract(kem, b"", b"eae_prk", exchanged), b"shared_secret", encapsulated + public, 32)
    schedule = b"\0" + extract(suite, b"", b"psk_id_hash", b"") + extract(suite, b"", b"info_hash", context)
    key_secret = extract(suite, shared, b"secret", b"")
    key = expand(suite, key_secret, b"key", schedule, 32)
    nonce = expand(suite, key_secret, b"base_nonce", schedule, 12)
    return encapsulated + ChaCha20Poly1305(key).encrypt(nonce, plaintext, b"")


@contextmanager
def _fixed_seals() -> Iterator[None]:
    """Let seals use one fixed ephemeral key."""

    def seal(public: bytes, plaintext: bytes, *, context: bytes) -> bytes:
        return sealed_with(secret("seal ephemeral"), public, plaintext, context)

    with patch.object(rights, "seal_to", seal):
        yield


def _rights() -> tuple[dict[str, Any], bytes]:
    owner, viewer = (Identity(secret(f"{name} signing"), secret(f"{name} session")) for name in ("owner", "viewer"))
    original, content_key = b"The bytes of a picture file would stand here.", secret("content key")
    drawn = iter((secret("owner share"), secret("cloud share")))
    view, ephemeral = "e1" * 16, X25519PrivateKey.from_private_bytes(secret("view ephemeral"))
    ephemeral_public = ephemeral.public_key().public_bytes_raw()
    with _fixed_seals():
        made = rights.create_grant(
            owner,
            viewer.public,
            grant_id=_GRANT,
            image_id=_IMAGE,
            content_key=content_key,
            granted=5,
            expires=2_000_000_000.0,
            entropy=lambda _count: next(drawn),
        )
        own = rights.create_owner_record(owner, image_id=_IMAGE, content_key=content_key)
        sealed_share = rights.seal_share_for_view(
            made.cloud_share, ephemeral_public, cluster_id=CLUSTER_ID, grant_id=_GRANT, view_id=view
        )
    record = encode_record(made.record)
    nonce = secret("picture nonce")[:12]
    sealed = seal_picture(content_key, original, owner_key=owner.public.signing_key, image_id=_IMAGE, nonce=nonce)
    text = seal_record(made.record, owner.session_private, viewer.public.session_key)
    own_text = seal_record(own, owner.session_private, owner.public.session_key)
    cover = np.full((150, 240, 3), (112, 88, 130), dtype=np.uint8)
    stego = container.hide_in(cover, sealed, text, image_id=bytes.fromhex(_IMAGE))
    values: dict[str, bytes | str] = {
        "owner_signing_private": owner.signing_private,
        "owner_session_private": owner.session_private,
        "viewer_signing_private": viewer.signing_private,
        "viewer_session_private": viewer.session_private,
        "owner_words": owner.public.words,
        "session_signature": owner.public.session_signature,
        "record": record.decode(),
        "owner_record": encode_record(own).decode(),
        "rights_text": text.decode(),
        "owner_rights_text": own_text.decode(),
        "cloud_share": made.cloud_share,
        "share_signature": made.share_signature,
        "cluster_id": CLUSTER_ID,
        "grant": _GRANT,
        "view": view,
        "view_ephemeral_private": ephemeral.private_bytes_raw(),
        "spend_signature": rights.spend_signature(viewer, CLUSTER_ID, _GRANT, view, ephemeral_public),
        "sealed_share": sealed_share,
        "content_key": content_key,
        "picture_nonce": nonce,
        "sealed_picture": sealed,
        "original": original,
    }
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}, stego
