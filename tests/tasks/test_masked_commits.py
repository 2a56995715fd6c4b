"""Keys are masked in everything that is committed: files, documents, messages, names of branches."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from functools import partial

from git_planner.gitio.objects import commit_tree
from git_planner.gitio.store import Message, Snapshot, Tag, Write
from tests.support.lab import Lab
from tests.support.workshop import workshop

KEY = "sk-proj-" + "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(40)) + "Aa1"


def committed(lab: Lab) -> str:
    """Return everything that any ref of a repository reaches, and the names of the refs."""
    listed = lab.git("rev-list", "--objects", "--all").splitlines()
    oids = "".join(line.split(" ")[0] + "\n" for line in listed)
    return lab.git("cat-file", "--batch", stdin=oids) + " ".join(lab.refs())


def test_commands_that_take_a_text(lab: Lab) -> None:
    workshop(lab)
    lab.git("switch", "-q", "-c", "iter/0001-x")
    for argv in (
        ("task", "add", "one", "--intent", f"with {KEY}", "--note", KEY, "--verify", f"echo {KEY}"),
        ("task", "claim", "task_001"),
        ("task", "input", "task_001", "--summary", f"use {KEY}?", "--detail", KEY, "--next", KEY),
        ("task", "answer", "task_001", f"yes, {KEY}"),
        ("task", "resume", "task_001", "--note", f"with {KEY}"),
        ("task", "verify", "task_001", "--note", f"by hand, {KEY}"),
    ):
        ran = lab.run("git-plan", *argv)
        assert ran.status == 0, (argv, ran.err)
        assert KEY not in ran.out + ran.err, argv
    lab.git("switch", "-q", "main")
    (lab.path / "tests/size.py").write_text("# guarded\n")
    proposed = lab.run("git-planner", "guard", "propose", "-m", f"use {KEY}\n\nand {KEY}")
    assert proposed.status == 0, proposed.err
    text = committed(lab)
    assert (KEY not in text, KEY.lower()[:30] not in text.lower()) == (True, True)
    assert "[redacted:openai]" in lab.show("plan/default:.plans/default/handoffs/task_001.md")
    assert KEY[:30].lower() not in (proposed.out + proposed.err).lower()


def _only(write: Write, _: Mapping[str, Snapshot]) -> list[Write]:
    return [write]


def test_what_a_command_prints_is_masked(lab: Lab) -> None:
    workshop(lab)
    for argv in (
        ("git-plan", "task", "add", f"use {KEY}", "--json"),
        ("git-plan", "task", "update", "task_001", "--title", f"with {KEY}", "--json"),
        ("git-plan", "task", "cancel", "task_001", "--reason", f"for {KEY}"),
        ("git-plan", "task", "show", KEY),
        ("git-plan", "pull", f"https://me:{KEY}@127.0.0.1:1/x"),
        ("git-record", KEY, "--json"),
        ("git-iterate", "resume", KEY, "--json"),
    ):
        ran = lab.run(*argv)
        assert KEY not in ran.out + ran.err, argv
        assert "[redacted:" in ran.out + ran.err or ran.status == 0, (argv, ran)


def test_the_one_function_that_writes_masks(lab: Lab) -> None:
    edits = {"a.md": f"x {KEY}\n".encode(), "b.json": f'{{"x": "{KEY}"}}\n'.encode(), "c.bin": b"\xff\0"}
    messages = {True: Message("x"), False: Message(f"about {KEY}", (("Planner-Args", KEY),))}
    for masked, message in messages.items():
        documents = {**edits, **({"b.json": b"{}\n"} if masked else {})}
        write = Write(f"refs/heads/x{int(masked)}", documents, message, masked=masked)
        with lab.entered():
            lab.store.transact([write.ref], partial(_only, write))
    with lab.entered():
        oid = commit_tree(lab.repo.git, lab.git("rev-parse", "main^{tree}"), (), f"about {KEY}\n")
        lab.git("branch", "z", oid)
        lab.store.transact(["refs/tags/t"], lambda _: [Tag("refs/tags/t", oid, f"best {KEY}")])
    assert KEY not in committed(lab)
    assert lab.show("x0:a.md") == lab.show("x1:a.md") == "x [redacted:openai]\n"
    assert lab.show("x0:b.json") == '{"x": "[redacted:openai]"}\n'
