"""The phone's check of a host key: the signature is really verified."""

from __future__ import annotations

import base64
import binascii
import struct

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils


def public_key(encoded: bytes) -> rsa.RSAPublicKey:
    """Decode Android's form of an RSA key: words, -1/n mod 2^32, modulus, R^2, exponent, all little-endian, as base64.

    Raises ValueError.
    """
    try:
        raw = base64.b64decode(encoded, validate=True)
        (words,) = struct.unpack_from("<I", raw)
        modulus = int.from_bytes(raw[8 : 8 + words * 4], "little")
        (exponent,) = struct.unpack_from("<I", raw, 8 + 2 * words * 4)
    except (binascii.Error, struct.error) as exc:
        raise ValueError(f"not an Android key: {exc}") from exc
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def is_signed(encoded: bytes, token: bytes, signature: bytes) -> bool:
    """Tell whether `signature` is this key's PKCS#1 v1.5 signature of the token, which stands for a SHA-1 digest."""
    try:
        public_key(encoded).verify(signature, token, padding.PKCS1v15(), utils.Prehashed(hashes.SHA1()))  # noqa: S303
    except (InvalidSignature, ValueError):
        return False
    return True
