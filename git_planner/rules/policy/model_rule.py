"""Rules for admitted models, and the parser of model names. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from git_planner.rules.documents.messages import show_value

_NAME = re.compile(r"(?:[a-z0-9_.-]+/)*([a-z0-9]+(?:[._-][a-z0-9]+)*)")
_VERSION = re.compile(r"\d{1,4}(?:\.\d{1,4}){0,3}")
MAX_NAME_LENGTH = 200


class ModelRule(NamedTuple):
    """Rule that admits models of a family.

    `min_version` such as '3' or '3.1'; a name must have all words of `require` and none of `refuse`. `as_of`
    is the day of the last review.
    """

    family: str
    min_version: str
    require: tuple[str, ...]
    refuse: tuple[str, ...]
    as_of: str

    def describe(self) -> str:
        """Return the rule in words."""
        parts = [f"'{self.family}' {self.min_version} or later"]
        parts += [f"with '{word}'" for word in self.require]
        parts += [f"without '{word}'" for word in self.refuse]
        return f"{', '.join(parts)} (as of {self.as_of})"


class ModelName(NamedTuple):
    """A parsed model name: 'gemini-3.1-pro-preview' is 'gemini', 3.1, and 'pro' and 'preview'."""

    family: str
    version: tuple[int, ...]
    words: frozenset[str]


# Gemini 3 or later, Pro, never Flash.
GEMINI = ModelRule("gemini", "3", ("pro",), ("flash",), "2026-11-28")


def parse_model_name(name: str) -> ModelName | None:
    """Parse a model name, with or without a path before it; None if it has no family and version."""
    match = _NAME.fullmatch(name.lower()) if len(name) <= MAX_NAME_LENGTH and name.isascii() else None
    parts = re.split(r"[_-]", match[1]) if match else []
    if len(parts) < 2 or not _VERSION.fullmatch(parts[1]):
        return None
    return ModelName(parts[0], _version(parts[1]), frozenset(parts[2:]))


def refusal_reason(rule: ModelRule, name: str) -> str | None:
    """Return the reason why a rule does not admit a model; None if it does."""
    model = parse_model_name(name)
    if model is None:
        return f"{show_value(name)} names no version of a model"
    if model.family != rule.family:
        return f"{show_value(name)} is not of the family '{rule.family}'"
    # A refused word counts also inside a word, as in 'flashlite'; a required one must be a word.
    for word in rule.refuse:
        if any(word in part for part in model.words):
            return f"{show_value(name)} is a '{word}' model"
    if _padded(model.version) < _padded(_version(rule.min_version)):
        return f"{show_value(name)} is older than {rule.min_version}"
    for word in rule.require:
        if word not in model.words:
            return f"{show_value(name)} is no '{word}' model"
    return None


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _padded(version: tuple[int, ...]) -> tuple[int, ...]:
    return (*version, 0, 0, 0, 0)[:4]
