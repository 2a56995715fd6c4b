"""The canon lock: made, checked against a commit's tree, compared; manifests and locks from outside."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.lab import Lab

MakeLab = Callable[..., Lab]
POLICY = """\
schema: git-planner/policy@1
guard: ["amr/**"]
correctness: {run: ["true"]}
gates: {conceptual: [canon]}
"""
MANIFEST: dict[str, Any] = {
    "id": "cache",
    "version": "1.0.0",
    "provides": ["Cache@1"],
    "port_exports": {"Cache@1": {"file": "cache.py", "export": "get"}},
    "invariants": ["keeps order: tests/order.py", "is small"],
    "tests": ["script:tests/accept.py"],
}
PLACE = "modules/cache"
FILES = {
    f"{PLACE}/cache.py": "def get(): ...\n",
    f"{PLACE}/tests/order.py": "1\n",
    f"{PLACE}/tests/accept.py": "2\n",
}


def digest(name: str) -> str:
    """Return the digest of a file of the module."""
    return hashlib.sha256(FILES[f"{PLACE}/{name}"].encode()).hexdigest()


def manifest(**more: Any) -> dict[str, str]:
    """Return the manifest as a file, with other values."""
    return {f"{PLACE}/module.json": json.dumps({**MANIFEST, **more})}


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    """Return a project with a committed lock on main, on a branch 'work'."""
    return make_lab().prepare("canon lock", locked)


def locked(lab: Lab) -> None:
    lab.commit("module", {".git-planner.yml": POLICY, **FILES, **manifest()})
    ran = lab.run("git-bo4", "canon", "lock")
    assert (ran.status, ran.err) == (0, "")
    lab.commit("lock", {"amr/canon.lock.json": (lab.path / "amr/canon.lock.json").read_text()})
    lab.git("checkout", "-q", "-b", "work")


def check(lab: Lab) -> tuple[int, list[tuple[str, str]]]:
    """Check HEAD; return the exit status and the findings."""
    ran = lab.run("git-bo4", "canon", "check", "--json")
    document = json.loads(ran.out)
    if "findings" not in document:
        return ran.status, [(document["code"], document["message"])]
    return ran.status, [(finding["code"], finding["message"]) for finding in document["findings"]]


def test_a_lock_holds_the_digest_of_every_file(lab: Lab) -> None:
    lock = json.loads((lab.path / "amr/canon.lock.json").read_text())
    assert lock == {
        "schema": "git-planner/canon-lock@1",
        "modules_root": "modules",
        "modules": {
            "cache": {
                "path": PLACE,
                "ports": {
                    "Cache@1": {
                        "file": f"{PLACE}/cache.py",
                        "symbol": "get",
                        "sha256": digest("cache.py"),
                    }
                },
                "invariants": {
                    "is small": {"test": None, "sha256": None},
                    "keeps order": {
                        "test": f"{PLACE}/tests/order.py",
                        "sha256": digest("tests/order.py"),
                    },
                },
                "acceptance": {
                    "script:tests/accept.py": {
                        "path": f"{PLACE}/tests/accept.py",
                        "sha256": digest("tests/accept.py"),
                    }
                },
            }
        },
    }
    assert check(lab) == (0, [])
    assert lab.run("git-plan", "validate", "amr/canon.lock.json").status == 0


LOCKED_PORT = f"port 'Cache@1' of module 'cache' is locked to '{PLACE}/cache.py'"
LOCKED_TEST = "acceptance test 'script:tests/accept.py' of module 'cache'"
CHANGES: dict[str, tuple[dict[str, Any], int, list[tuple[str, str]]]] = {
    "implementation": (
        {f"{PLACE}/cache.py": "def get(): return 1\n"},
        1,
        [("E_CANON_DIGEST", f"'{PLACE}/cache.py' of port 'Cache@1' of module 'cache' has changed")],
    ),
    "other file": ({f"{PLACE}/more.py": ""}, 0, []),
    "acceptance": (
        {f"{PLACE}/tests/accept.py": "3\n"},
        1,
        [
            (
                "E_CANON_DIGEST",
                f"'{PLACE}/tests/accept.py' of {LOCKED_TEST} has changed",
            )
        ],
    ),
    "no test": (
        {f"{PLACE}/tests/order.py": None},
        1,
        [
            ("E_CANON_MISSING_INVARIANT", "invariant 'keeps order' of module 'cache' is not listed any more"),
            (
                "E_CANON_MISSING_INVARIANT_TEST",
                f"'{PLACE}/tests/order.py' of invariant 'keeps order' of module 'cache' is missing",
            ),
        ],
    ),
    "no port": (
        manifest(provides=[], port_exports={}),
        1,
        [("E_CANON_MISSING_INTERFACE", "port 'Cache@1' of module 'cache' is not provided any more")],
    ),
    "other symbol": (
        manifest(port_exports={"Cache@1": {"file": "cache.py", "export": "put"}}),
        1,
        [
            (
                "E_CANON_PORT_MISMATCH",
                f"{LOCKED_PORT} (get), and is exported by '{PLACE}/cache.py' (put)",
            )
        ],
    ),
    "fewer tests": (
        manifest(tests=[]),
        1,
        [
            (
                "E_CANON_MISSING_ACCEPTANCE",
                f"{LOCKED_TEST} is not listed any more",
            )
        ],
    ),
    "fewer invariants": (
        manifest(invariants=["keeps order: tests/order.py"]),
        1,
        [("E_CANON_MISSING_INVARIANT", "invariant 'is small' of module 'cache' is not listed any more")],
    ),
    "renamed": (
        manifest(id="store"),
        1,
        [
            ("E_CANON_MISSING_MODULE", "the locked module 'cache' is missing"),
            ("E_CANON_EXTRA", "module 'store' is not in the lock"),
        ],
    ),
    "extra port": (
        manifest(provides=["Cache@1", "Store@1"]),
        0,
        [("E_CANON_EXTRA", "port 'Store@1' of module 'cache' is not in the lock")],
    ),
    "twice": (
        {"modules/copy/module.json": json.dumps(MANIFEST)},
        1,
        [("E_CANON_PARSE", f"module 'cache' is there twice: in '{PLACE}' and in 'modules/copy'")],
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_what_is_locked_is_found(lab: Lab, name: str) -> None:
    files, status, findings = CHANGES[name]
    lab.commit(name, files)
    assert check(lab) == (status, findings)
    ran = lab.run("git-bo4", "gate", "--ref", "HEAD", "--json")
    assert (ran.status, json.loads(ran.out)["refs"][0]["code"]) == (
        status,
        findings[0][0] if status else None,
    )


def test_the_lock_of_the_change_and_the_working_tree_do_not_count(lab: Lab) -> None:
    lab.commit("cheat", {f"{PLACE}/cache.py": "", "amr/canon.lock.json": "{}"})
    (lab.path / PLACE / "cache.py").write_text(FILES[f"{PLACE}/cache.py"])
    assert check(lab)[1] == [
        (
            "E_CANON_DIGEST",
            "'amr/canon.lock.json' itself has changed, by which later changes would be checked",
        ),
        ("E_CANON_DIGEST", f"'{PLACE}/cache.py' of port 'Cache@1' of module 'cache' has changed"),
    ]


def test_diff_tells_what_changed_since_the_lock(lab: Lab) -> None:
    assert lab.run("git-bo4", "canon", "diff").status == 0
    lab.commit(
        "more", {f"{PLACE}/cache.py": "", **manifest(tests=["tests/order.py"], provides=["Cache@1", "B@2"])}
    )
    ran = lab.run("git-bo4", "canon", "diff")
    assert ran.status == 1
    assert [line[:40] for line in ran.out.splitlines()] == [
        "+ cache ports B@2",
        "~ cache ports Cache@1: modules/cache/cac",
        "- cache acceptance script:tests/accept.p",
        "+ cache acceptance tests/order.py",
    ]


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "[" * 100_000, '{"id": 5}', json.dumps({**MANIFEST, "x": 1}), '{"id": NaN}', " " * 300_000],
)
def test_a_manifest_that_is_not_one_is_refused(lab: Lab, text: str) -> None:
    lab.commit("bad", {f"{PLACE}/module.json": text})
    status, findings = check(lab)
    assert (status, [code for code, _ in findings]) == (1, ["E_CANON_PARSE"])


def test_manifests_name_a_bounded_number_of_files(lab: Lab) -> None:
    many = [f"script:nowhere/{number}" for number in range(200)]
    files = {
        f"modules/m{number}/module.json": json.dumps({**MANIFEST, "id": f"m{number}", "tests": many})
        for number in range(30)
    }
    lab.commit("many", files)
    ran = lab.run("git-bo4", "canon", "check")
    assert (ran.status, "modules name 6," in ran.err) == (1, True), ran.err


def test_a_manifest_does_not_lead_out_of_the_repository(lab: Lab) -> None:
    bad = manifest(port_exports={"Cache@1": {"file": "../../../etc/passwd", "export": "x"}})
    lab.commit("bad", bad)
    assert [code for code, _ in check(lab)[1]] == ["E_CANON_PARSE"]
    lab.commit(
        "bad", manifest(tests=["../../../etc/passwd", ":(glob)**"], invariants=["x: ../../../etc/passwd"])
    )
    assert "E_CANON_MISSING_ACCEPTANCE" in [code for code, _ in check(lab)[1]]


def test_an_older_lock_is_read(make_lab: MakeLab) -> None:
    lab = make_lab()
    lock = {
        "schema": "tm-canon-lock@1",
        "modules": {
            "cache": {
                "ports": {"Cache@1": {"export": {"file": "cache.py", "symbol": "get"}}},
                "invariants": {"keeps order": {"test": "tests/order.py"}},
                "acceptance": {"T-001": "tests/accept.py"},
            }
        },
    }
    old = {"amr/canon.lock.json": json.dumps(lock)}
    lab.commit("old", {".git-planner.yml": POLICY, **FILES, **manifest(), **old})
    lab.git("checkout", "-q", "-b", "work")
    assert check(lab) == (0, [])
    lab.commit("less", {f"{PLACE}/tests/accept.py": None, f"{PLACE}/cache.py": "other\n"})
    assert [code for code, _ in check(lab)[1]] == ["E_CANON_MISSING_ACCEPTANCE"]


@pytest.mark.parametrize(
    ("lock", "code"),
    [
        (None, "E_CANON_MISSING_RESOURCE"),
        ("{", "E_CANON_PARSE"),
        ("[]", "E_CANON_PARSE"),
        ('{"schema": "git-planner/canon-lock@1"}', "E_CANON_PARSE"),
        ('{"schema": "tm-canon-lock@1"}', "E_CANON_PARSE"),
        (
            '{"schema": "tm-canon-lock@1", "modules": {"a": {"ports": {"P@1": {"export": 5}}}}}',
            "E_CANON_PARSE",
        ),
        ('{"schema": "tm-canon-lock@1", "modules": {"a": {"acceptance": {"T": 5}}}}', "E_CANON_PARSE"),
    ],
)
def test_a_base_without_a_usable_lock(make_lab: MakeLab, lock: str | None, code: str) -> None:
    lab = make_lab()
    lab.commit(
        "base", {".git-planner.yml": POLICY, **({} if lock is None else {"amr/canon.lock.json": lock})}
    )
    assert check(lab)[1][0][0] == code
    ran = lab.run("git-bo4", "gate", "--ref", "HEAD", "--json")
    # Without a lock the gate is skipped, and skipped is not passed.
    gate = json.loads(ran.out)["refs"][0]
    assert (ran.status, gate["code"]) == (1, "E_GATE_SKIPPED" if lock is None else code)


def test_what_is_not_there_is_not_locked(make_lab: MakeLab) -> None:
    lab = make_lab()
    ran = lab.run("git-bo4", "canon", "lock", "--json")
    assert (ran.status, json.loads(ran.out)["code"]) == (1, "E_CANON_MISSING_RESOURCE")
    lab.commit("module", manifest())
    ran = lab.run("git-bo4", "canon", "lock", "--json")
    assert (ran.status, json.loads(ran.out)["code"]) == (1, "E_CANON_PARSE")
    assert not (lab.path / "amr").exists()
