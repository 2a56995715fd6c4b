"""Fake keys, built at run time so that no scanner finds one in this repository."""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Iterator
from random import Random

LETTERS = string.ascii_letters + string.digits
LOWER = string.ascii_lowercase + string.digits
UPPER = string.ascii_uppercase + string.digits
HEX = "0123456789abcdef"


def drawn(alphabet: str, length: int, seed: int = 1) -> str:
    """Return deterministic characters of an alphabet, with a digit and, if possible, both cases."""
    text = "".join(Random(f"{alphabet}{length}{seed}").choices(alphabet, k=length - 3))
    return (
        text + next(filter(str.isdigit, alphabet)) + alphabet[0] + (alphabet[-11] if "A" in alphabet else "b")
    )


def jwt() -> str:
    """Return a token of three parts."""
    head, body = ({"alg": "HS256", "typ": "JWT"}, {"sub": "1234567890", "exp": 1_700_000_000})
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (head, body)
    ]
    return ".".join([*parts, drawn(LETTERS, 43)])


def private_key(kind: str = "RSA ") -> str:
    """Return a block of the form of a private key."""
    lines = [drawn(LETTERS, 64, seed) for seed in range(6)]
    edge = "-" * 5
    return "\n".join([f"{edge}BEGIN {kind}PRIVATE KEY{edge}", *lines, f"{edge}END {kind}PRIVATE KEY{edge}"])


def keys() -> Iterator[tuple[str, str]]:
    """Return pairs of kind, as in the masks, and key."""
    yield "aws", "AK" + "IA" + drawn(UPPER, 16).upper()
    yield "aws", "AS" + "IA" + drawn(UPPER, 16).upper()
    for mark in ("p", "o", "u", "s", "r"):
        yield "github-token", f"gh{mark}_" + drawn(LETTERS, 36)
    yield "github-token", "github" + "_pat_" + drawn(LETTERS, 22) + "_" + drawn(LETTERS, 59)
    yield "gitlab-token", "gl" + "pat-" + drawn(LETTERS, 20)
    yield "openai", "s" + "k-" + drawn(LETTERS, 20) + "T3Blbk" + "FJ" + drawn(LETTERS, 20)
    yield "openai", "s" + "k-proj-" + drawn(LETTERS + "_", 120)
    yield "openai", "s" + "k-svcacct-" + drawn(LETTERS + "_", 60)
    yield "anthropic", "s" + "k-ant-api03-" + drawn(LETTERS, 90)
    yield "google", "AI" + "za" + drawn(LETTERS, 35)
    yield "hugging-face", "h" + "f_" + drawn(LETTERS, 34)
    yield "npm", "np" + "m_" + drawn(LETTERS, 36)
    yield "pypi-token", "pyp" + "i-AgEIcHlwaS5vcmc" + drawn(LETTERS, 90)
    yield "slack", "xo" + "xb-123456789012-123456789012-" + drawn(LETTERS, 24)
    yield (
        "slack",
        "https://hooks." + "slack.com/services/T" + drawn(UPPER, 8) + "/B" + drawn(UPPER, 8) + "/x1",
    )
    yield "stripe", "sk" + "_live_" + drawn(LETTERS, 24)
    yield "sendgrid", "S" + "G." + drawn(LETTERS, 22) + "." + drawn(LETTERS, 43)
    yield "telegram-token", "123456789:" + drawn(LETTERS, 35)
    yield "refresh-token", "r" + "t_" + drawn(LETTERS, 43) + "." + drawn(LETTERS, 43)
    yield "jwt", jwt()
    for kind in ("RSA ", "", "OPENSSH ", "EC "):
        yield "private-key", private_key(kind)


# Ordinary text that must stay as it is.
PLAIN = (
    "password = getpass.getpass()",
    'token = request.headers["x-csrf-token-2"]',
    "api_key=os.environ['OPENAI_API_KEY']",
    "access_token=settings.access_token_v2",
    "export OPENAI_API_KEY=$OPENAI_API_KEY_2024_TEAM",
    "password: \"{{ lookup('env', 'DB_PASSWORD_1') }}\"",
    "secret: projects/example-1/secrets/database",
    "tokens: 1234567890123456789012345",
    "https://example.com:8080/path/to/v1@2.0.0",
    "git@github.com:owner/name.git and ssh://git@example.com:22/name.git",
    "pkg @ https://files.example.com/packages/pkg-1.0-py3-none-any.whl",
    'f"https://{user}:{password}@{host}/"',
    '<div class="sk-fading-circle-container-large sk-circle12-container"></div>',
    "sklearn, task-0007, risk-1234567890abcdefABCDEF1234",
    "rt_handle_interrupt_on_the_second_processor_core",
    "the mark is '-----BEGIN RSA PRIVATE KEY-----' and then the body",
    "eyJ is how a token begins, SG. and AKIA too",
    '"integrity": "sha512-oKrWY2ZC6v2q1cDwYbDx9e5Zy7Kq3mA0bCdEfGhIjKlMnOpQrStUvWxYz0123456789ABCDEFGHIJ=="',
    "request 123e4567-e89b-12d3-a456-426614174000 took 12 ms",
    "20261121T114055Z-k3v9x2ab at 2026-11-21T11:40:55Z on iter/0007-next",
    "Authorization: Bearer $TOKEN",
    "Bearer bonds are a kind of security",
    "CYCLES: 1441, tokenizer: bert-base-uncased-v2-2024",
)
