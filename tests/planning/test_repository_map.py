"""The map of a repository in a pasted prompt, and the files in it that are most worth reading."""

from __future__ import annotations

import json

from git_planner.rules.planning.repository_map import (
    MappedFile,
    choose_files,
    imported_words,
    rank_files,
    render_map,
)
from git_planner.rules.planning.source_symbols import top_symbols
from tests.support.lab import Lab
from tests.support.small_campaign import campaign

SOURCES = {
    "a.py": (b"import os\n@x\ndef f(): pass\nclass A:\n  def m(self): pass\nasync def g(): pass\n", "f A g"),
    "a.js": (b"export function f(){}\nclass A{}\nconst g = () => 1;\nconst n = 1;\n", "f A g"),
    "a.ts": (b"export interface I {}\ntype T = string;\nenum E {A}\nabstract class Q {}\n", "I T E Q"),
    "a.go": (b"package a\nfunc F(){}\nfunc (t *T) M(){}\ntype T struct{}\n", "F M T"),
    "a.rs": (b"pub fn f(){}\nstruct S;\ntrait T{}\nenum E{A}\nimpl S { fn m(){} }\n", "f S T E m"),
    "a.c": (b"static int *g(void){return 0;}\nstruct s {int a;};\n", "g s"),
    "a.cpp": (b"namespace n { class K{}; }\ntemplate<class T> T g(T t){return t;}\n", "K g"),
    "A.java": (b"public class A {}\ninterface I{}\nrecord R(int a){}\n", "A I R"),
    "a.rb": (b"class A\n def m; end\nend\nmodule M\nend\ndef f\nend\n", "A M f"),
    "a.php": (b"<?php\nfunction f(){}\nclass A {}\ninterface I{}\n", "f A I"),
    "A.cs": (b"namespace N { class A {} interface I{} }\n", "A I"),
}


def test_symbols_of_the_usual_languages_are_known() -> None:
    symbols = {path: " ".join(top_symbols(path, text)) for path, (text, _) in SOURCES.items()}
    assert symbols == {path: names for path, (_, names) in SOURCES.items()}
    assert top_symbols("a.txt", b"def f(): pass") == ()
    assert top_symbols("a.py", b"\xff\x00def (((\n" * 50) == ()


def test_imports_are_found_in_any_language() -> None:
    text = b"from .kernel import run\n#include \"fast.h\"\nuse crate::deep;\nconst x = require('./other');\n"
    text += b"print(no)\n"
    assert {"kernel", "run", "fast", "deep", "other"} <= imported_words(text)
    assert "no" not in imported_words(text)


def test_files_in_scope_come_first_and_files_that_help_nobody_are_left_out() -> None:
    paths = ["README.md", "src/kernel.py", "src/util.py", "src/old.py", "docs/x.md", "lib/pkg/__init__.py"]
    ranked = rank_files(
        paths, scope={"src/kernel.py", "src/old.py"}, recent={"src/old.py"}, imported={"util", "pkg"}
    )
    assert ranked == ["src/old.py", "src/kernel.py", "lib/pkg/__init__.py", "src/util.py", "README.md"]
    assert choose_files(ranked, dict.fromkeys(paths, 10), 25, 10) == ["src/old.py", "src/kernel.py"]
    assert choose_files(ranked, {**dict.fromkeys(paths, 10), "src/old.py": 11}, 25, 10)[0] == "src/kernel.py"


def test_a_map_keeps_within_its_limit_and_loses_the_largest_folders_first() -> None:
    files = [MappedFile(f"gen/{number}.py", 7, ("f",)) for number in range(3000)]
    files += [MappedFile("src/kernel.py", 1234, ("run", "Kernel"))]
    text = render_map(files, ["src/kernel.py"], 4000)
    assert len(text) <= 4000
    assert "gen/ 3000 files, 21,000 bytes" in text
    small = render_map(files[-2:], ["src/kernel.py"])
    assert small == "gen/\n  2999.py (7): f\nsrc/\n  kernel.py (1,234): run, Kernel"
    many = [MappedFile(f"d{number}/x", 1) for number in range(5000)]
    assert len(render_map(many, [], 2000)) <= 2000


def test_a_pasted_prompt_shows_the_map_the_files_in_scope_and_what_a_person_names(lab: Lab) -> None:
    campaign(lab)
    secret = "AKIA" + "ABCDEFGHIJKLMNOP"
    files = {
        "notes/plan.py": "import util\n\n\ndef improve():\n    return '```'\n",
        "util.py": f"KEY = '{secret}'\n\n\ndef help_out():\n    pass\n",
        "docs/far.md": "far away\n",
        "name\nwith newline.py": "def odd(): pass\n",
        "data.bin": "\0binary",
    }
    lab.commit("code", files)
    ran = lab.run("git-plan", "manual", "pack", "--with", "docs", "--json")
    assert ran.status == 0, ran.err
    prompt = json.loads(ran.out)["prompt"]
    assert "notes/\n  plan.py (46): improve" in prompt
    assert "### notes/plan.py\n\n````" in prompt
    assert "### docs/far.md\n\n```\nfar away\n```" in prompt
    assert "### util.py" in prompt
    assert secret not in prompt
    assert "  name\\x0awith newline.py (16): odd" in prompt
    # Guarded files are in the map only.
    assert "test_it (" in prompt
    assert "### tests/test_it" not in prompt
    refused = lab.run("git-plan", "manual", "pack", "--with", "../elsewhere", "--json")
    assert (refused.status, json.loads(refused.out)["code"]) == (2, "E_USAGE")
    # An answer to it is applied as before.
    packet = json.loads(lab.show("plan/0001-auto:planner_packets/packet.json"))
    assert packet["repository_map"] in prompt
