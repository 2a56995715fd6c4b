"""Mask secrets in texts that are stored or committed, recognised by their form or by their value.

The only module that imports detect-secrets, whose patterns are loaded if a text holds one of their marks. Own
patterns add newer token formats, values of named settings, and complete key blocks. Randomness alone does not
make a secret, because digests and object ids look random too.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from git_planner import atomic_file

T = TypeVar("T")
_KnownSecrets = tuple[tuple[str, str], ...]

# Variables of the services that agents use; their values are always masked.
SERVICES = frozenset(
    (
        *("ANTHROPIC_API_KEY", "AZURE_OPENAI_API_KEY", "CODEX_API_KEY", "GEMINI_API_KEY", "GH_TOKEN"),
        *("GITHUB_TOKEN", "GITLAB_TOKEN", "GOOGLE_API_KEY", "HF_TOKEN", "OPENAI_API_KEY"),
    )
)
# Bytes that are kept of the beginning and of the end of a long log.
LOG_PART = 1024 * 1024
# Identifiers and paths, such as 'settings.access_token_v2'.
_WORDS = r"[A-Za-z]*[0-9]{0,2}(?:[._/:~=+-][A-Za-z]*[0-9]{0,2})*"
_NAME = r"(?:api[_-]?key|access[_-]?key|private[_-]?key|secret|token|password|passwd|credential)s?"
_MARKS = (
    r"gh[pousr]_|gl(?:pat|dt|ft|soat|rt)-|A3T|A[BKS]IA|ACCA|(?i:aws).{0,60}['\"][0-9a-zA-Z/+]{40}['\"]|AccountKey=|[0-9a-z]-us[0-9]"
    r"|pypi-Ag|SG\.|xox[a-z]-|hooks\.slack|sq0csp|[rs]k_live_|[0-9]:[0-9A-Za-z_-]{35}"
    r"|(?:AC|SK)[a-z0-9]{32}|AKC[a-zA-Z0-9]{10}|PuTTY-User-Key"
)
_OWN_MARKS = rf"(?<![A-Za-z0-9])sk-|AIza|github_pat_|hf_|npm_|xai-|rt_|Bearer|PRIVATE KEY|://|eyJ|_authToken|(?i:{_NAME})"
# A text with a secret holds one of these, with the pattern if there is one: they are found ten times as fast.
_LITERALS = {
    **dict.fromkeys(("PRIVATE KEY", "AIza", "github_pat_", "_authToken", "xai-", "AccountKey=", "A3T")),
    **dict.fromkeys(("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "glpat-", "gldt-", "glft-", "glsoat-", "glrt-")),
    **dict.fromkeys(("ABIA", "AKIA", "ASIA", "ACCA", "pypi-Ag", "SG.", "hooks.slack", "sq0csp", "k_live_")),
    "PuTTY-User-Key": None,
    "sk-": r"sk-[A-Za-z0-9_-]{20}",
    "hf_": r"hf_[A-Za-z0-9]{30}",
    "npm_": r"npm_[A-Za-z0-9]{36}",
    "rt_": r"rt_[A-Za-z0-9_-]{30}",
    "eyJ": r"eyJ[\w-]{8}",
    "earer": r"earer\s+[A-Za-z0-9._~+/-]{16}",
    "://": r"://[^\s/:@'\"<>{}$]*:[^\s/@'\"<>{}$]{3,}@",
    "-us": r"-us[0-9]",
    "xox": r"xox[a-z]-",
    "AC": r"AC[a-z0-9]{32}",
    "SK": r"SK[a-z0-9]{32}",
    "AKC": r"AKC[a-zA-Z0-9]{10}",
    ":": r":(?<=[0-9]:)[0-9A-Za-z_-]{35}",
}
# The same for a text in lower case.
_FOLDED = {
    "aws": r"aws.{0,130}['\"][0-9a-z/+]{40}['\"]",
    **{
        name: rf"{name}s?(?:\\?[\"'])?\]?\s{{0,3}}(?:[:=]|=>)\s{{0,3}}\S{{16}}"
        for name in (
            *("secret", "token", "password", "passwd", "credential"),
            *(f"{kind}{dash}key" for kind in ("api", "access", "private") for dash in ("", "_", "-")),
        )
    },
}
# A pattern may match only the start of a secret; the rest of the word belongs to it.
_REST = re.compile(r"[\w+/=.-]*[\w+/=-]|")


def mask_text(value: str) -> str:
    """Replace every secret of a text by '[redacted:<kind>]'. JSON stays JSON; the operation is idempotent."""
    return _mask_string(value, _known_secrets(tuple(sorted(_credentials(os.environ)))))


def _mask_string(value: str, secrets: _KnownSecrets) -> str:
    for secret, kind in secrets:
        if secret in value:
            value = value.replace(secret, f"[redacted:{kind}]")
    if not _may_hold_secret(value) or not (_has_match(_OWN_MARKS, value) or _has_match(_MARKS, value)):
        return value
    spans = sorted(_secret_spans(value), key=lambda span: (span[0], -span[1]))
    parts, done = [], 0
    for start, end, kind in spans:
        if start >= done:
            parts += [value[done:start], f"[redacted:{kind}]"]
        done = max(done, end)
    return "".join([*parts, value[done:]])


def mask_document(value: T) -> T:
    """Mask every secret in the strings of a JSON document; return the same object if there is none."""
    masked = _mask_value(value, "", _known_secrets(tuple(sorted(_credentials(os.environ)))))
    return value if masked == value else masked


def mask_bytes(value: bytes) -> bytes:
    """Mask every secret in bytes, such as a log; bytes that are not UTF-8 stay unchanged."""
    before = value.decode("utf-8", "surrogateescape")
    after = mask_text(before)
    return value if after == before else after.encode("utf-8", "surrogateescape")


def mask_files(
    files: Mapping[str, bytes | None], read_known: Callable[[str], bytes | None], *, documents: bool
) -> Mapping[str, bytes | None]:
    """Mask every secret in the files of a change.

    Of a JSON document only the lines are looked at that the last commit does not hold yet: the others were
    looked at when they came, and no secret of such a document crosses lines.

    Args:
        files: path -> content; None removes a file.
        read_known: returns the content of a path in the last commit.
        documents: mask JSON documents, too; else their writer has done so.
    """
    masked: dict[str, bytes | None] = dict(files)
    for path, content in files.items():
        is_document = path.endswith(".json")
        if content and (documents or not is_document):
            known = read_known(path) if is_document else None
            masked[path] = mask_new_lines(content, known) if known else mask_bytes(content)
    return masked


def mask_new_lines(value: bytes, known: bytes) -> bytes:
    """Mask every secret in the lines of a text that an older text does not have."""
    old = frozenset(known.split(b"\n"))
    runs = groupby(value.split(b"\n"), old.__contains__)
    parts = [(is_old, b"\n".join(lines)) for is_old, lines in runs]
    return b"\n".join(part if is_old else mask_bytes(part) for is_old, part in parts)


def mask_file(path: Path) -> None:
    """Mask the secrets in a log file; a missing path or one that is no regular file is ignored.

    Masking takes up to half a second per megabyte, so of a longer file only beginning and end are kept.
    """
    if path.is_symlink() or not path.is_file():
        return
    before = path.read_bytes()
    after = mask_bytes(before) if len(before) <= 2 * LOG_PART else _mask_ends(before)
    if after is not before:
        atomic_file.write(path, after, path.stat().st_mode & 0o777)


def _mask_ends(value: bytes) -> bytes:
    """Return the masked beginning and end of a long log, without secrets that the cuts would halve."""
    head, tail = value[:LOG_PART], value[-LOG_PART:]
    # Whole words only: a token has no white space.
    head = head[: max(head.rfind(b"\n"), head.rfind(b" ")) + 1]
    starts = [place for place in (tail.find(b"\n"), tail.find(b" ")) if place >= 0]
    tail = tail[min(starts) :] if starts else b""
    # The end of a key whose beginning has been left out.
    end = re.search(rb"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----", tail)
    if end is not None and b"-----BEGIN" not in tail[: end.start()]:
        tail = tail[end.end() :]
    left_out = len(value) - len(head) - len(tail)
    return b"".join((mask_bytes(head), b"\n[%d bytes left out]\n" % left_out, mask_bytes(tail)))


def _mask_value(value: Any, name: str, secrets: _KnownSecrets) -> Any:
    if isinstance(value, str):
        masked = _mask_string(value, secrets)
        named = (
            masked == value and name and _has_match(rf"(?i)(?:^|[\W_]|(?<=[a-z])(?=[A-Z])){_NAME}\Z", name)
        )
        return "[redacted:value]" if named and _looks_random(value) else masked
    if isinstance(value, Mapping):
        return {_mask_string(key, secrets): _mask_value(item, key, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_mask_value(item, name, secrets) for item in value)
    return value


def _credentials(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the variables that hold a credential: those of the services, and others by name and value."""
    for name, value in environ.items():
        of_service = name in SERVICES and len(value) >= 8
        if of_service or (_has_match(rf"(?i)(?:^|_){_NAME}\Z", name) and _looks_random(value)):
            yield name, value


@cache
def _known_secrets(credentials: tuple[tuple[str, str], ...]) -> _KnownSecrets:
    """Return the known values, longest first and also in JSON notation, with their kinds."""
    secrets: dict[str, str] = {}
    for name, value in credentials:
        kind = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        secrets |= {
            value: kind,
            json.dumps(value)[1:-1]: kind,
            json.dumps(value, ensure_ascii=False)[1:-1]: kind,
        }
    return tuple(sorted(secrets.items(), key=lambda pair: -len(pair[0])))


def _may_hold_secret(value: str) -> bool:
    """Return False only for a text that no pattern of this module matches, and no mark of the library's."""
    if _has_one(_LITERALS, value):
        return True
    folded = value.lower()
    if not value.isascii():
        # Patterns that ignore case take these for 'i' and 's'.
        folded = folded.replace("\u0131", "i").replace("\u017f", "s")
    return _has_one(_FOLDED, folded)


def _has_one(literals: Mapping[str, str | None], value: str) -> bool:
    return any(
        literal in value and (pattern is None or _has_match(pattern, value))
        for literal, pattern in literals.items()
    )


def _secret_spans(value: str) -> Iterator[tuple[int, int, str]]:
    """Yield start, end and kind of each secret."""
    for kind, pattern in _own_patterns():
        for match in pattern.finditer(value):
            place = match.lastindex or 0
            if kind != "value" or _looks_random(match[place]):
                yield match.start(place), match.end(place), kind
    if not _has_match(_MARKS, value):
        return
    for kind, pattern in _library_patterns():
        done = 0
        for match in pattern.finditer(value):
            before = value[max(0, match.start() - 1) : match.start()]
            if match.end() > done and _is_plausible(kind, before, match[0]):
                rest = _REST.match(value, match.end())
                done = rest.end() if rest else match.end()
                yield match.start(), done, kind


def _is_plausible(kind: str, before: str, match: str) -> bool:
    """Return whether a match is a secret: ambiguous forms must stand alone and mix letters with digits."""
    if kind not in ("artifactory", "telegram-token", "twilio"):
        return True
    return not re.match(r"\w\w", before + match[0]) and all(
        re.search(pattern, match) for pattern in ("[0-9]", "[a-z]", "[A-Z]")
    )


def _looks_random(value: str) -> bool:
    """Return whether a value looks generated: long, of letters and digits, and of high entropy."""
    if len(value) < 16 or not re.fullmatch(r"[\w+/=.~:-]+", value, re.ASCII):
        return False
    if not (re.search("[0-9]", value) and re.search("[A-Za-z]", value)):
        return False
    if re.fullmatch(_WORDS, value):
        return False
    counts = Counter(value).values()
    return -sum(count / len(value) * math.log2(count / len(value)) for count in counts) >= 3.0


@cache
def _own_patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Return the patterns that the library lacks or knows only in part; a group, if any, is the secret."""
    mixed = r"(?=[\w-]*[0-9])(?=[\w-]*[A-Z])"
    begin = r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
    body = r"(?:\s|\\[nr]|[A-Za-z0-9+/=]{16}|[\w.-]+: ?[^\n\\]*(?:\n|\\n))[\s\S]*?"
    forms = {
        "private-key": rf"{begin}{body}(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\Z)",
        "openai": rf"(?<![\w-])sk-(?!ant-){mixed}[A-Za-z0-9_-]{{20,}}",
        "anthropic": rf"(?<![\w-])sk-ant-{mixed}[A-Za-z0-9_-]{{20,}}",
        "google": r"(?<![\w-])AIza[A-Za-z0-9_-]{35}",
        "github-token": rf"(?<![\w-])github_pat_{mixed}[A-Za-z0-9_]{{22,}}",
        "hugging-face": r"(?<!\w)hf_[A-Za-z0-9]{30,}",
        "jwt": r"(?<![\w-])eyJ[\w-]{8,}={0,2}\.[\w-]{8,}={0,2}(?:\.[\w-]*)?",
        "npm": r"(?<!\w)npm_[A-Za-z0-9]{36,}",
        "npm-login": r"_authToken\s{0,3}=\s{0,3}([^\s$\"'{}]{8,})",
        "xai": r"(?<![\w-])xai-[A-Za-z0-9]{40,}",
        "refresh-token": rf"(?<![\w-])rt_{mixed}[A-Za-z0-9_-]{{30,}}(?:\.[A-Za-z0-9_-]+)*",
        "bearer": r"\b[Bb]earer\s+([A-Za-z0-9._~+/-]{16,}=*)",
        "password": r"://[^\s/:@'\"<>{}$]*:([^\s/@'\"<>{}$]{3,})@",
        "value": rf"(?i)(?:\b|_|(?<=[a-z0-9])){_NAME}(?:\\?[\"'])?\]?\s{{0,3}}(?:[:=]|=>)\s{{0,3}}"
        r"(?:\\?[\"'])?([\w+/=.~:-]{16,})",
    }
    return tuple((kind, re.compile(form)) for kind, form in forms.items())


@cache
def _library_patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Return the library's service-specific patterns; loaded late, because that takes a tenth of a second.

    Its detectors for generic settings, entropy and bare marks would mask digests and code; those for JWT, npm
    and OpenAI backtrack badly on hostile texts.
    """
    from detect_secrets.plugins import (
        artifactory,
        aws,
        azure_storage_key,
        github_token,
        gitlab_token,
        mailchimp,
        pypi_token,
        sendgrid,
        slack,
        square_oauth,
        stripe,
        telegram_token,
        twilio,
    )

    detectors: tuple[Any, ...] = (
        artifactory.ArtifactoryDetector,
        aws.AWSKeyDetector,
        azure_storage_key.AzureStorageKeyDetector,
        github_token.GitHubTokenDetector,
        gitlab_token.GitLabTokenDetector,
        mailchimp.MailchimpDetector,
        pypi_token.PypiTokenDetector,
        sendgrid.SendGridDetector,
        slack.SlackDetector,
        square_oauth.SquareOAuthDetector,
        stripe.StripeDetector,
        telegram_token.TelegramBotTokenDetector,
        twilio.TwilioKeyDetector,
    )
    kinds = {detector: detector.__module__.rpartition(".")[2].replace("_", "-") for detector in detectors}
    return tuple((kinds[detector], form) for detector in detectors for form in detector.denylist)


def _has_match(form: str, value: str) -> bool:
    return re.search(form, value) is not None
