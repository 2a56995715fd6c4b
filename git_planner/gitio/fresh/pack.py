"""The format in which git stores many objects together."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress


def pack_of(contents: Mapping[str, tuple[str, bytes]]) -> bytes:
    """Return objects in the format of a pack: id -> kind and content."""
    import zlib

    pack = bytearray(b"PACK\0\0\0\2" + len(contents).to_bytes(4, "big"))
    for kind, content in contents.values():
        number = ("commit", "tree", "blob", "tag").index(kind) + 1
        size, byte = len(content) >> 4, (number << 4) | (len(content) & 15)
        while size:
            pack.append(byte | 0x80)
            size, byte = size >> 7, size & 0x7F
        pack.append(byte)
        pack += zlib.compress(content, 1)
    is_sha256 = any(len(oid) == 64 for oid in contents)
    return bytes(pack + digest("sha256" if is_sha256 else "sha1", pack))


def digest(hash_name: str, content: bytes | bytearray) -> bytes:
    """Return the digest of a content by one of the hashes that git uses."""
    if hash_name == "sha1":
        # Loading OpenSSL, as 'hashlib' does, takes longer than hashing.
        with suppress(ImportError):
            import _sha1  # type: ignore[import-not-found]

            return bytes(_sha1.sha1(content).digest())
    import hashlib

    return hashlib.new(hash_name, content, usedforsecurity=False).digest()
