"""Masking of secrets: all of them, and nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner import redact
from tests.foundation.fake_keys import HEX, LETTERS, PLAIN, drawn, keys, private_key
from tests.support import samples

KEYS = list(keys())
AROUND = (
    "{}",
    "the key is {} and that is all",
    "KEY={}\n",
    "'{}'",
    "x({})",
    "<{}>",
    "line\n\t{}\nline",
    "Authorization: Bearer {}",
    "curl -H 'x-key: {}' https://example.com",
)


@pytest.fixture
def environ() -> Iterator[os._Environ[str]]:
    """Yield the environment and restore it afterwards."""
    before = dict(os.environ)
    yield os.environ
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.parametrize(
    ("kind", "key"), KEYS, ids=[f"{kind}-{place}" for place, (kind, _) in enumerate(KEYS)]
)
def test_every_form_is_masked_wherever_it_stands(kind: str, key: str) -> None:
    for form in AROUND:
        masked = redact.mask_text(form.format(key))
        assert masked in (form.format(f"[redacted:{kind}]"), form.format("[redacted:bearer]"))
        assert redact.mask_text(masked) == masked
    written = json.dumps({"a": [key, {"b": f"x {key} y"}], "c": 1})
    assert json.loads(redact.mask_text(written)) == {
        "a": [f"[redacted:{kind}]", {"b": f"x [redacted:{kind}] y"}],
        "c": 1,
    }
    assert redact.mask_document({"a": [key], "c": 1}) == {"a": [f"[redacted:{kind}]"], "c": 1}


PIECES = (
    *redact._LITERALS,
    *(
        "api",
        "_key",
        "KEY",
        "secret",
        "token",
        "pas",
        "sword",
        "swd",
        "creden",
        "tial",
        "aws",
        "Aws",
        "=",
        ":",
    ),
    *(
        " ",
        "'",
        '"',
        "\n",
        "1",
        "x",
        "X",
        "-",
        "/",
        "\u017f",
        "\u212a",
        "\u0131",
        "\u0130",
        "ä",
        "a" * 40,
        "9" * 40,
    ),
    *(
        "Ab1" * 14,
        "gh",
        "gl",
        "pat-",
        "k-",
        "_",
        "A",
        "C",
        "S",
        "K",
        "IA",
        "live_",
        "us",
        "G.",
        "xo",
        "b-",
        "@",
    ),
    *("-----BEGIN ", "-----\n", "bearer", "Bearer ", "] ", "=>", "\\", "ant-", "https", "u:pass@", ".", "{"),
)


@given(st.lists(st.sampled_from(PIECES), max_size=7).map("".join))
def test_a_text_without_secrets_is_told_quickly(text: str) -> None:
    if not redact._may_hold_secret(text):
        assert [kind for kind, pattern in redact._own_patterns() if pattern.search(text)] == []
        assert not redact._has_match(redact._MARKS, text)


def test_a_key_that_was_cut_off_is_masked_as_far_as_it_goes() -> None:
    for part in (private_key()[:200], private_key()[:-40]):
        assert redact.mask_text(f"log: {part}") == "log: [redacted:private-key]"


def test_values_of_settings() -> None:
    value = drawn(LETTERS, 24)
    for form in (
        "password = '{}'",
        '"client_secret": "{}"',
        "DB_PASSWORD={}",
        "api-key: {}",
        "accessToken => {}",
        '{{\\"token\\": \\"{}\\"}}',
        "config['secret'] = \"{}\"",
    ):
        assert redact.mask_text(form.format(value)) == form.format("[redacted:value]")
    assert redact.mask_document({"apiKey": value, "name": value}) == {
        "apiKey": "[redacted:value]",
        "name": value,
    }
    assert (
        redact.mask_text("https://user:hunter2@example.com/x")
        == "https://user:[redacted:password]@example.com/x"
    )


@pytest.mark.parametrize("plain", PLAIN)
def test_ordinary_text_stays(plain: str) -> None:
    assert redact.mask_text(plain) == plain
    document = {"text": plain, "lines": [plain]}
    assert redact.mask_document(document) is document


@given(
    st.lists(st.text(HEX, min_size=40, max_size=40) | st.text(HEX, min_size=64, max_size=64), min_size=1),
    st.sampled_from([" ", "\n", ":", "\t", "..", ",", "'", '"', "=", "-"]),
)
def test_digests_and_object_ids_stay(ids: list[str], between: str) -> None:
    text = between.join(ids)
    assert redact.mask_text(text) == text
    document = dict.fromkeys(("commit", "tree", "base", "packet", "instrument", "directive", "ids"), ids[0])
    assert redact.mask_document(document) is document


@given(st.lists(st.text(LETTERS.lower(), min_size=8, max_size=8), min_size=1, max_size=3))
def test_records_stay(ends: list[str]) -> None:
    record = samples.RECORD.with_(
        id=f"20261121T114055Z-{ends[0]}",
        summary=f"1441 cycles, 12 fewer than {samples.OTHER}",
        notes=tuple(f"not measured again: '20261121T114055Z-{end}' has the same tree" for end in ends),
    )
    document = record.document()
    assert redact.mask_document(document) is document


def test_values_of_the_environment_are_masked_by_value(environ: os._Environ[str]) -> None:
    environ |= {
        "CODEX_API_KEY": "plain words",
        "GEMINI_API_KEY": 'with "quotes"\n',
        "OPENAI_API_KEY": "short",
        "INTERNAL_TOKEN": drawn(LETTERS, 20),
        "TOKEN": "production",
        "LANG": "C.UTF-8",
    }
    quoted, token = json.dumps(environ["GEMINI_API_KEY"]), environ["INTERNAL_TOKEN"]
    text = f"plain words, {quoted}, short, {token}, production"
    assert redact.mask_text(text) == (
        '[redacted:codex-api-key], "[redacted:gemini-api-key]", short, [redacted:internal-token], production'
    )


def test_files_and_bytes(tmp_path: Path) -> None:
    key = KEYS[0][1].encode()
    log = tmp_path / "log"
    log.write_bytes(b"\xff " + key + b" \xfe")
    redact.mask_file(log)
    assert log.read_bytes() == b"\xff [redacted:aws] \xfe"
    (tmp_path / "link").symlink_to(log)
    for name in ("link", "gone", "."):
        redact.mask_file(tmp_path / name)
    untouched = b"\xff\x00 nothing here"
    assert redact.mask_bytes(untouched) is untouched


def test_of_a_long_log_both_ends_are_masked_and_kept(tmp_path: Path) -> None:
    key = KEYS[0][1].encode()
    body = b"\n".join([b"QUFB" * 16] * 40)
    private = b"-----BEGIN RSA PRIVATE KEY-----\n" + body + b"\n-----END RSA PRIVATE KEY-----\n"
    noise = b"a line of noise " * 64 + b"\n"
    part = redact.LOG_PART
    log = tmp_path / "log"
    # A key and a token at each of the cuts.
    before = (noise * part)[: part - 20 - len(key) // 2] + b" " + key + b" " * 20
    after = private[len(private) // 2 :] + (noise * part)[: part - len(private) // 2]
    log.write_bytes(before + noise * 14_000 + private[: len(private) // 2] + after[:part] + b" " + key)
    redact.mask_file(log)
    kept = log.read_bytes()
    assert len(kept) < 2 * part + 100
    assert kept.startswith(noise)
    assert re.search(rb"\n\[\d{8} bytes left out\]\n", kept)
    assert kept.endswith(b" [redacted:aws]")
    assert key[:8] not in kept
    assert b"QUFBQUFB" not in kept


def test_the_library_is_not_loaded_for_ordinary_text() -> None:
    code = (
        "import pathlib, sys\n"
        "from git_planner import redact\n"
        "for path in pathlib.Path(sys.argv[1]).rglob('*.py'):\n"
        "    if path.name != 'redact.py':\n"
        "        redact.mask_text(path.read_text())\n"
        "print('detect_secrets' in sys.modules)\n"
    )
    package = Path(redact.__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", code, str(package)],
        capture_output=True,
        text=True,
        check=True,
        cwd=package.parent,
    )
    assert done.stdout == "False\n"


def test_a_big_text_takes_no_time_to_speak_of() -> None:
    package = Path(redact.__file__).parent
    code = "".join(path.read_text() for path in sorted(package.rglob("*.py")))[:100_000]
    text = code + KEYS[0][1]
    redact.mask_text(text)
    took = []
    for _ in range(5):
        began = time.process_time()
        redact.mask_text(text)
        took.append(time.process_time() - began)
    # 50 ms on a quiet machine; a pattern that backtracks would take seconds.
    assert min(took) < 0.5


@pytest.mark.parametrize(
    "piece",
    [
        *("sk-", "rt_-", "eyJ", "eyJa.", "//", "//:a", "://a:", "_", "token=_", "a.", "A1-", "github_pat_-"),
        *("xox", "xoxb-1-", "-----BEGIN PRIVATE KEY-----\n", "aws", "AKIA", "Bearer ", "password='", "AC0"),
        *("0:", "AKC", "npm_", "SG.", "AIza", "0-us1"),
    ],
)
def test_no_text_makes_it_slow(piece: str) -> None:
    """An agent may print anything, such as 100 kB of near-keys."""
    began = time.process_time()
    for mark in ("", "token: ", "gh" + "p_ "):
        redact.mask_text(mark + piece * (100_000 // len(piece)) + "!")
    assert time.process_time() - began < 5


@given(st.text("-BEGINPRVATKY sk_ghp:/@.=\"'\\\nA0", max_size=400))
def test_masking_ends_and_is_stable(text: str) -> None:
    masked = redact.mask_text(text)
    assert redact.mask_text(masked) == masked
