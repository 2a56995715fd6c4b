"""Texts of others as a review may show them: bounded, with secrets masked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from git_planner import redact

T = TypeVar("T")
# Masked before it is cut for good: half a secret would not be recognised.
_READ, _SHOWN, _ITEMS = 20_000, 16_000, 1_000


def shown(value: T) -> T:
    """Return a text or document with its long texts cut and its secrets masked."""
    cut: T = _cut(redact.mask_document(_cut(value, _READ)), _SHOWN)
    return cut


def _cut(value: Any, most: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= most else value[: most - 1] + "…"
    if isinstance(value, Mapping):
        return {key: _cut(item, most) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_cut(item, most) for item in value[:_ITEMS])
    return value
