"""A reader of the test vectors that is written from `docs/protocol.md` alone and imports nothing of the program.

It shows that the page is enough. Every function takes one entry of `docs/vectors.json` and returns what it opened.
"""

import base64
import hmac
import json
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from PIL import Image

_SEALS = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


def framed(domain: str, *parts: bytes) -> bytes:
    """Return the byte form of everything that is signed or bound."""
    start = b"glimpse\x00\x01" + len(domain).to_bytes(2, "big") + domain.encode()
    return start + b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def expand(secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand with this protocol's label."""
    return HKDFExpand(SHA256(), length, b"glimpse " + label).derive(secret)


def derive(secret: bytes, info: bytes) -> bytes:
    """HKDF without salt."""
    return HKDF(SHA256(), 32, None, info).derive(secret)


# --- Sessions and transfers ------------------------------------------------------------------------------------------
def exporter_of(handshake: dict[str, str]) -> bytes:
    """Return the secret that keys of transfers come from."""
    keys = bytes.fromhex(handshake["initiator_to_responder"] + handshake["responder_to_initiator"])
    return HKDF(SHA256(), 32, bytes.fromhex(handshake["handshake_hash"]), b"glimpse exporter").derive(keys)


def open_data(handshake: dict[str, str], step: dict[str, str]) -> bytes:
    """Return the frame of a DATA datagram of epoch 0."""
    direction = "initiator_to_responder" if step["from"] == "initiator" else "responder_to_initiator"
    material = expand(bytes.fromhex(handshake[direction]), b"data key", 36)
    return _opened(material, bytes.fromhex(step["datagram"]), 19)


def open_transfer(transfer: dict[str, Any], step: dict[str, str]) -> bytes:
    """Return the frame of a TRANSFER datagram."""
    label = b"transfer" + int(transfer["transfer"]).to_bytes(8, "big") + bytes([transfer["initiator_sends"]])
    material = expand(bytes.fromhex(transfer["exporter"]), label, 80)
    datagram = bytes.fromhex(step["datagram"])
    assert datagram[2:10] == material[:8]
    return _opened(material[8:44] if step["from"] == "sender" else material[44:], datagram, 18)


def _opened(material: bytes, datagram: bytes, header_bytes: int) -> bytes:
    header = datagram[:header_bytes]
    return AESGCM(material[:32]).decrypt(material[32:] + header[-8:], datagram[header_bytes:], header)


# --- Rights ----------------------------------------------------------------------------------------------------------
def fingerprint_start(signing_private: str) -> bytes:
    """Return the eight bytes that the words of an account stand for."""
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(signing_private)).public_key().public_bytes_raw()
    return sha256(framed("fingerprint", key)).digest()[:8]


def content_key_of(rights: dict[str, str]) -> bytes:
    """Check the record's signature; return the content key from the owner's and the cloud's share."""
    record = json.loads(rights["record"])
    fields = {name: _bytes_of(record[name]) for name in ("owner", "viewer", "key", "owner_share", "signature")}
    parties = (record["grant"].encode(), record["image"].encode(), fields["owner"], fields["viewer"])
    hashes = (_bytes_of(record["key_hash"]), _bytes_of(record["share_hash"]))
    expiry = b"" if record["expires"] is None else np.array(record["expires"], ">f8").tobytes()
    parts = (b"1", *parties, fields["key"], fields["owner_share"], *hashes)
    parts += (str(record["version"]).encode(), str(record["granted"]).encode(), expiry)
    parts += (b"revoked" if record["revoked"] else b"",)
    signed = framed("signed rights-record", *parts)
    Ed25519PublicKey.from_public_bytes(fields["owner"]).verify(fields["signature"], signed)
    viewer = X25519PrivateKey.from_private_bytes(bytes.fromhex(rights["viewer_session_private"]))
    owner_share = _SEALS.decrypt(fields["owner_share"], viewer, framed("owner-share", *parties))
    cloud_share = cloud_share_of(rights)
    assert sha256(framed("share-commitment", *parties, cloud_share)).digest() == hashes[1]
    wrapping = derive(owner_share + cloud_share, framed("wrapping-key", *parties))
    key = ChaCha20Poly1305(wrapping).decrypt(bytes(12), fields["key"], framed("wrapped-key", *parties))
    assert sha256(framed("key-commitment", parties[1], parties[2], key)).digest() == hashes[0]
    return key


def cloud_share_of(rights: dict[str, str]) -> bytes:
    """Return the cloud's share from the answer to a view."""
    ephemeral = X25519PrivateKey.from_private_bytes(bytes.fromhex(rights["view_ephemeral_private"]))
    context = framed("share-for-view", *(rights[name].encode() for name in ("cluster_id", "grant", "view")))
    return _SEALS.decrypt(bytes.fromhex(rights["sealed_share"]), ephemeral, context)


def own_content_key(rights: dict[str, str]) -> bytes:
    """Return the content key from the owner's own record."""
    record = json.loads(rights["owner_record"])
    owner = X25519PrivateKey.from_private_bytes(bytes.fromhex(rights["owner_session_private"]))
    context = framed("owner-content-key", record["image"].encode(), _bytes_of(record["owner"]))
    return _SEALS.decrypt(_bytes_of(record["key"]), owner, context)


def open_picture(content_key: bytes, sealed: bytes, record: dict[str, Any]) -> bytes:
    """Return the original file of a sealed picture."""
    header, check, nonce = sealed[:51], sealed[7:39], sealed[39:51]
    assert header[:3] == b"GP\x01"
    binding = framed("picture", header, _bytes_of(record["owner"]), record["image"].encode())
    cipher = ChaCha20Poly1305(derive(content_key, framed("picture-key", check)))
    original = cipher.decrypt(nonce, sealed[51:], binding)
    assert len(original) == int.from_bytes(sealed[3:7], "big")
    digest = sha256(original).digest()
    assert hmac.digest(derive(content_key, framed("picture-check")), digest, "sha256") == check
    return original


def _bytes_of(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


# --- The stego image -------------------------------------------------------------------------------------------------
def open_stego(path: Path, image: str) -> tuple[bytes, bytes]:
    """Return the rights text and the sealed picture that a stego image holds."""
    with Image.open(path) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    rows = -(-2744 // pixels.shape[1])
    strip = np.packbits(pixels[:rows].reshape(-1) & 1).tobytes()
    digits, _, rest = strip.partition(b":")
    return rest[: int(digits)], _payload(pixels[rows:].reshape(-1), bytes.fromhex(image))


def open_text(text: str, private: str, other_private: str) -> list[Any]:
    """Return the fields of the record in a rights text; both session keys are given as private ones."""
    raw, domain = base64.b64decode(text), "rights-strip"
    salt, sealed = raw[:16], raw[16:]
    own, other = (X25519PrivateKey.from_private_bytes(bytes.fromhex(key)) for key in (private, other_private))
    shared = derive(own.exchange(other.public_key()), framed(domain, b"shared"))
    body = ChaCha20Poly1305(derive(shared, framed(domain, b"key", salt))).decrypt(bytes(12), sealed, b"")
    packed = body[2 : 2 + int.from_bytes(body[:2], "big")]
    assert hmac.digest(derive(shared, framed(domain, b"salt")), packed, "sha256")[:16] == salt
    fields: list[Any] = msgspec.msgpack.decode(packed)
    image = fields[2] if fields[0] == "owner" else fields[3]
    assert len(body) == 424 + 3 * (sha256(framed(domain, image.hex().encode())).digest()[0] % 40)
    return fields


def _stream(key: bytes, purpose: bytes, length: int) -> bytes:
    derived = blake2b(purpose, key=key, digest_size=16, person=b"glimpse-stego").digest()
    return Cipher(AES(derived), CTR(bytes(16))).encryptor().update(bytes(length))


def _payload(body: Any, key: bytes) -> bytes:
    found, rest = np.packbits(body[:128] & 1).tobytes(), body[128:].tolist()
    header = bytes(a ^ b for a, b in zip(found, _stream(key, b"white", 16), strict=True))
    if header[:3] == b"Gl\x02":
        code, length = header[3], int.from_bytes(header[4:8], "big")
        symbols, members = -(-8 * length // (code or 2)), 2 ** (code - 1) if code else 1
        groups = len(rest) // members
        carried = [
            sum(number * rest[(number - 1) * groups + index] for number in range(1, members + 1)) % 2 ** (code or 2)
            for index in range(symbols)
        ]
        value = int("".join(f"{symbol:0{code or 2}b}" for symbol in carried)[: 8 * length], 2).to_bytes(length, "big")
        payload = bytes(a ^ b for a, b in zip(value, _stream(key, b"white", 16 + length)[16:], strict=True))
    else:
        mask = blake2b(b"glimpse stego header 1", digest_size=16).digest()
        header = bytes(a ^ b for a, b in zip(found, mask, strict=True))
        payload = _payload_of_version_1(header, rest, key)
    assert blake2b(payload, key=key, digest_size=8, person=b"glimpse-check").digest() == header[8:]
    return payload


def _payload_of_version_1(header: bytes, rest: list[int], key: bytes) -> bytes:
    bits, length = header[3], int.from_bytes(header[4:8], "big")
    assert header[:3] == b"Gl\x01"
    symbols = length * 8 // bits
    stride, value = min(len(rest) // symbols, 65_535), 0
    drawn = _stream(key, b"offsets", 2 * symbols)
    for index in range(symbols):
        random = int.from_bytes(drawn[2 * index : 2 * index + 2], "little")
        place = index if stride < 2 else index * len(rest) // symbols + (random * stride >> 16)
        value = value << bits | rest[place] & (2**bits - 1)
    return value.to_bytes(length, "big")
