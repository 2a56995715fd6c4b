"""Hostile and broken input to the commands: a clear error, nothing written in part, nothing lost."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.lab import Lab, Ran
from tests.support.workshop import POLICY, directive, one_document, planning_plan, workshop

# Texts that no message may contain: a traceback, or a destructive command.
TRACE = "Traceback (most recent call last)"
DESTRUCTIVE = re.compile(
    r"rm -rf|reset --hard|clean -[a-z]*f|branch -D|update-ref -d|checkout -- |checkout -f|push (?:-f|--force)"
    r"|worktree remove (?:-f|--force)|stash|gc --prune|reflog expire|restore --staged -- [^P]"
)


def text(**changes: object) -> bytes:
    """Return a directive as the content of a file."""
    return json.dumps(directive(**changes)).encode()


BAD_DIRECTIVES: dict[str, bytes] = {
    "up and out": text(strategy_family="family:../../etc/passwd"),
    "absolute": text(strategy_family="/etc/passwd"),
    "a path of its own": text(path="../../.git/config"),
    "escape sequences": text(objective="clear\x1b[2J the screen"),
    "nul": text(change_summary=["nothing\x00more"]),
    "10 MB": text(objective="x" * 10_000_000),
    "10 MB of spaces": text() + b" " * 10_000_000,
    "100,000 levels": b'{"objective": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "one key twice": text().replace(b'"risk"', b'"risk": "High", "risk"', 1),
    "NaN": text().replace(b"-10", b"NaN", 1),
    "Infinity": text().replace(b"-10", b"-Infinity", 1),
    "a number of 5,000 digits": text().replace(b"-10", b"1" * 5_000, 1),
    "true for a number": text(expected_effect=True),
    "half a number": text(expected_effect=-1.5),
    "blank steps": text(step_plan=["read", " \t", "write"]),
    "two steps": text(step_plan=["read", "write"]),
    "half a surrogate pair": text(objective="half").replace(b"half", b"\\ud800", 1),
    "latin-1": text(objective="?").replace(b'"?"', b'"\xe9t\xe9"', 1),
    "utf-16": json.dumps(directive()).encode("utf-16"),
    "cut off": text()[:-40],
    "a list": b"[" + text() + b"]",
    "null": b"null",
    "a plain word": b"yes",
}
BAD_PATHS = ("../up", "/etc/passwd", "src/../../up", ".git/config", "src/.GIT/config", "a\nb", ":(top)src")
# Names that git or a shell would misread.
BAD_NAMES = (
    "--force",
    "-x",
    "a b",
    "a..b",
    "../up",
    "x/../../y",
    "x.lock",
    "@{-1}",
    "HEAD^{tree}",
    "a~1",
    "a:b",
    "$(touch gone)",
    "`touch gone`",
    "a;touch gone",
    "a\nb",
    "a\x1bb",
    "*",
    "é",
    "a\\b",
    ".hidden",
    "x" * 300,
)


@pytest.fixture
def shop(lab: Lab) -> Iterator[Lab]:
    """Provide a workshop, and check its object store after the test."""
    workshop(lab)
    yield lab
    lab.fsck()


def refused(ran: Ran, *codes: str) -> None:
    """Assert that a command failed with one of these error codes."""
    assert not ran.status < 0, ran.err
    reported = re.findall(r"\((E_[A-Z_]+)\)$", ran.err, re.MULTILINE)
    assert reported, (ran.status, ran.out[:500], ran.err[:2000])
    assert reported[-1] in codes, ran.err[:2000]
    check_output(ran)


def not_valid(ran: Ran) -> list[str]:
    """Return the lines of a report that a document is not valid."""
    assert (ran.status, ran.err) == (1, "")
    check_output(ran)
    lines = ran.out.splitlines()
    assert "not valid" in lines[0]
    assert len(ran.out) < 20_000
    return lines


def check_output(ran: Ran) -> None:
    """Assert that the output has no traceback, internal error, destructive command or control character."""
    output = ran.out + ran.err
    assert TRACE not in output
    assert "E_INTERNAL" not in output, output[:2000]
    assert not DESTRUCTIVE.search(output), output[:2000]
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", output), repr(output[:2000])
    assert len(ran.err) < 20_000


@pytest.mark.parametrize("name", BAD_DIRECTIVES)
def test_validate_reports_faults(shop: Lab, name: str) -> None:
    file = shop.root / "answer.json"
    file.write_bytes(BAD_DIRECTIVES[name])
    before = shop.refs()
    with shop.undisturbed():
        ran = shop.run("git-plan", "validate", str(file))
        as_json = shop.run("git-plan", "validate", str(file), "--json")
        document = one_document(as_json.out)
        assert as_json.status == 1
        if name.startswith("10 MB"):
            refused(ran, "E_JSON")
            assert document["code"] == "E_JSON"
            return
        lines = not_valid(ran)
        assert lines[0].startswith(f"{file}: ")
        assert lines[1:]
        assert len(document["faults"]) == len(lines) - 1
    assert shop.refs() == before


# A pasted answer may have text around it: an answer within a list is accepted.
@pytest.mark.parametrize("name", [name for name in BAD_DIRECTIVES if name != "a list"])
def test_apply_refuses_a_bad_answer(shop: Lab, name: str) -> None:
    assert shop.run("git-plan", "manual", "pack", "--slug", "try").status == 0
    file = shop.root / "answer.json"
    file.write_bytes(BAD_DIRECTIVES[name])
    before = shop.refs()
    with shop.undisturbed():
        ran = shop.run("git-plan", "manual", "apply", "--file", str(file))
    refused(ran, "E_ANSWER", "E_JSON", "E_SCHEMA")
    assert ran.status == 1
    assert shop.refs() == before


def test_bad_answers_are_refused_at_commit(shop: Lab) -> None:
    assert shop.run("git-planner", "init").status == 0
    assert shop.run("git-plan", "manual", "pack", "--slug", "try").status == 0
    place = shop.worktree("packet", "plan/0001-try")
    file = place / "planner_packets" / "directive.json"
    before = shop.refs()
    for name in (
        "absolute",
        "nul",
        "10 MB",
        "100,000 levels",
        "one key twice",
        "NaN",
        "two steps",
        "latin-1",
    ):
        file.write_bytes(BAD_DIRECTIVES[name])
        shop.git("add", "--", str(file), cwd=place)
        ran = shop.run_git("commit", "-q", "-m", name, cwd=place)
        assert ran.status == 1, (name, ran)
        refused(ran, "E_JSON", "E_SCHEMA")
        assert "planner_packets/directive.json" in ran.err
        assert shop.refs() == before
    file.write_text(json.dumps(directive(), indent=2))
    shop.git("commit", "-q", "-a", "-m", "a good one", cwd=place)


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_planning_plan_may_only_name_paths_in_the_repository(shop: Lab, path: str) -> None:
    file = shop.root / "answer.json"
    file.write_text(json.dumps(planning_plan(files=[path])))
    (_, fault) = not_valid(shop.run("git-plan", "validate", str(file)))
    assert fault.startswith("  /steps/0/files/0: ")
    file.write_text(json.dumps(planning_plan(files=["src/size.txt"])))
    assert shop.run("git-plan", "validate", str(file)).status == 0


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_would_be_misread(shop: Lab, name: str) -> None:
    before = shop.refs()
    with shop.undisturbed():
        refused(shop.run("git-plan", "offline", f"--plan={name}"), "E_NAME", "E_USAGE")
        refused(shop.run("git-record", "log", f"--plan={name}"), "E_NAME", "E_USAGE")
        refused(shop.run("git-iterate", f"--from={name}"), "E_UNKNOWN_REF", "E_NAME", "E_USAGE")
        refused(shop.run("git-record", "measure", "--", name), "E_UNKNOWN_REF", "E_NAME", "E_USAGE")
        refused(shop.run("git-record", "show", "--", name), "E_NO_RECORD", "E_NAME", "E_USAGE")
        refused(shop.run("git-iterate", "show", "--", name), "E_UNKNOWN_REF", "E_NAME", "E_USAGE")
    assert shop.refs() == before
    assert not list(shop.root.rglob("gone"))


@pytest.mark.parametrize("name", BAD_NAMES)
def test_any_slug_becomes_a_plain_one(shop: Lab, name: str) -> None:
    ran = shop.run("git-plan", "offline", f"--slug={name}")
    check_output(ran)
    assert ran.status == 0
    (branch,) = [ref for ref in shop.refs() if ref.startswith("refs/heads/iter/")]
    assert re.fullmatch(r"refs/heads/iter/0001-[a-z0-9]+(?:-[a-z0-9]+)*", branch)
    assert len(branch) < 70
    assert not list(shop.root.rglob("gone"))


BAD_POLICIES = {
    "unknown key": POLICY + "gaurd: [src/**]\n",
    "unknown inner key": POLICY.replace("{allow:", "{alow: [], allow:"),
    "no schema": POLICY.replace("schema: git-planner/policy@1\n", ""),
    "another version": POLICY.replace("policy@1", "policy@2"),
    "a key twice": POLICY + "base: other\n",
    "a tag": POLICY + "goal: !!python/object/apply:os.system [touch gone]\n",
    "an alias bomb": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "up and out": POLICY.replace("tests/**", "../**"),
    "absolute": POLICY.replace("tests/**", "/etc/**"),
    "pathspec magic": POLICY.replace("tests/**", "':(exclude)tests'"),
    "a pattern that never ends": POLICY.replace("(\\d+)$", "((("),
    "no number group": POLICY.replace("(\\d+)", "x"),
    "latin-1": POLICY.replace("base: main", "base: main\ngoal: caf\xe9").encode("latin-1"),
    "not YAML": "{[}",
    "empty": "",
    "a list": "- a\n",
    "a word for a shell": POLICY.replace("[python, -I, -S, tests/size.py]", "python tests/size.py"),
}


@pytest.mark.parametrize("name", BAD_POLICIES)
def test_an_unusable_policy_is_refused(shop: Lab, name: str) -> None:
    shop.commit("a policy", {".git-planner.yml": BAD_POLICIES[name]})
    before = shop.refs()
    with shop.undisturbed():
        for command in (["git-plan", "offline"], ["git-iterate"], ["git-record", "HEAD"]):
            ran = shop.run(*command)
            refused(ran, "E_POLICY")
            assert ran.status == 2
            assert "hint: " in ran.err
    assert shop.refs() == before
    assert not list(shop.root.rglob("gone"))


def test_the_policy_is_read_from_the_commit(shop: Lab) -> None:
    (shop.path / ".git-planner.yml").write_text("gaurd: []\n")
    ran = shop.run("git-plan", "offline")
    assert ran.status == 0, ran.err


def answers() -> Iterator[tuple[str, Callable[[str], str]]]:
    """Yield formats in which a valid answer may be pasted, by name."""
    yield "plain", lambda document: document
    yield "fenced", lambda document: f"Here you are:\n\n```json\n{document}\n```\n\nGood luck!\n"
    yield "byte order mark", lambda document: "\ufeff" + document
    yield "prose", lambda document: f"I would do this. {document} Shall I go on?"
    yield "quotes of a word processor", lambda document: document.replace('"', "\u201d")
    yield "line ends of another system", lambda document: document.replace("\n", "\r\n")


@pytest.mark.parametrize(("name", "pasted"), list(answers()))
def test_valid_answers_in_odd_formats(shop: Lab, name: str, pasted: Callable[[str], str]) -> None:
    assert shop.run("git-plan", "manual", "pack", "--slug", "try").status == 0
    file = Path(shop.root / "answer.txt")
    file.write_bytes(pasted(json.dumps(directive(), indent=2)).encode())
    ran = shop.run("git-plan", "manual", "apply", "--file", str(file))
    assert ran.status == 0, (name, ran.err)
    state = json.loads(shop.show("iter/0001-try:.advisor/state.json"))
    assert state["directive"] == directive()


def test_output_of_programs_is_escaped_for_the_terminal(shop: Lab) -> None:
    shop.commit(
        "tests that print what they are given",
        {"tests/prove.py": "import sys; sys.exit(open('src/size.txt').read())\n"},
    )
    shop.commit("a nasty number", {"src/size.txt": "9 \x1b]0;owned\x07\x1b[2J\n"})
    ran = shop.run("git-record", "HEAD", "--no-advance")
    check_output(ran)
    assert ran.status == 1
    (record,) = json.loads(shop.run("git-record", "log", "--json").out)["records"]
    for words in (
        ["log"],
        ["show", record["id"]],
        ["compare", record["id"], record["id"]],
        ["log", "--jsonl"],
    ):
        ran = shop.run("git-record", *words)
        check_output(ran)
        assert ran.out
