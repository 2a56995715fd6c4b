"""Gates of variants on an engine: git carries the commits to workers, and the reports come back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from git_planner.engines import git_data
from git_planner.errors import PlannerError
from git_planner.gitio.repository import open_repository
from tests.engines.dask_cluster import cluster
from tests.support.lab import Lab
from tests.tournament.tournament_lab import gated_run

POLICY = """\
schema: git-planner/policy@1
guard: ["tests/**"]
scope: {allow: ["src/**"]}
correctness: {run: ["true"]}
gates: {conceptual: [guard, scope, {name: check, run: [sh, -c, 'test ! -e src/bad'], timeout: 60}]}
"""
VARIANTS = {1: {"src/a": "1\n"}, 2: {"tests/it": "changed\n"}, 3: {"src/bad": ""}}
CODES = {"1": None, "2": "E_GUARD", "3": "E_GATE"}


def tournament(lab: Lab) -> None:
    """Create a run with three variants that have not been gated."""
    lab.commit("campaign", {".git-planner.yml": POLICY, "tests/it": "", "src/a": ""})
    gated_run(lab, VARIANTS, gates=None)


@pytest.fixture
def run(lab: Lab) -> Lab:
    """Return a laboratory with the run 'speed'."""
    return lab.prepare("three variants to gate on an engine", tournament)


def gate(lab: Lab, *words: str) -> dict[str, Any]:
    """Run `git bo4 gate`; return its document."""
    ran = lab.run("git-bo4", "gate", "speed", "--json", *words)
    assert ran.status == 0, ran.err
    document: dict[str, Any] = json.loads(ran.out)
    return document


def codes(document: dict[str, Any]) -> dict[str, str | None]:
    return {number: report["code"] for number, report in document["variants"].items()}


def test_worker_processes_give_the_same_results_as_this_one(run: Lab) -> None:
    with run.undisturbed():
        on_engine = gate(run, "--engine", "local", "--jobs", "2")
    assert codes(on_engine) == CODES
    here = gate(run, "--force")
    keys = [{number: row["key"] for number, row in done["variants"].items()} for done in (on_engine, here)]
    assert keys[0] == keys[1]
    # What an engine has done is not done again.
    tip = run.git("rev-parse", "bo4/speed/run")
    gate(run, "--engine", "local")
    assert run.git("rev-parse", "bo4/speed/run") == tip


def test_a_cluster_on_other_hosts_gets_a_bundle(run: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "cluster"
    folder.mkdir()
    with cluster(folder, 2) as address:
        document = gate(run, "--engine", "dask", "--scheduler", address, "--strict-events")
    assert codes(document) == CODES
    copies = list(folder.glob("home-*/.cache/git-planner/copies/*.git"))
    assert copies
    for copy in copies:
        assert run.git("-C", str(copy), "cat-file", "-t", run.git("rev-parse", "main")) == "commit"


def test_options_of_an_engine_belong_together(run: Lab) -> None:
    words = ("--engine", "local", "--scheduler", "tcp://x:1", "--json")
    refused = run.run("git-bo4", "gate", "speed", *words)
    assert (refused.status, json.loads(refused.out)["code"]) == (2, "E_USAGE")
    # The options are those of one call.
    assert run.run("git-bo4", "gate", "speed").status == 0


def test_a_result_comes_back_as_a_bundle(run: Lab) -> None:
    main = run.git("rev-parse", "main")
    data = git_data.describe_data(run.repo, "a" * 8, {"refs/heads/main": main}, str(run.path / ".git"))
    copy = git_data.open_data(data)
    other = copy.git.line("commit-tree", f"{main}^{{tree}}", "-p", main, "-m", "another one")
    assert git_data.take_commit(run.repo, other, git_data.bundle_result(copy, [other], [main])) == other
    assert run.git("cat-file", "-t", other) == "commit"


def test_data_that_cannot_be_fetched_is_an_error(run: Lab) -> None:
    main = run.git("rev-parse", "main")
    gone = {"refs/heads/main": "0" * 39 + "1"}
    data = git_data.describe_data(run.repo, "b" * 8, {"refs/heads/main": main}, str(run.path / ".git"))
    for changes, code in (
        ({"refs": gone}, "E_REMOTE"),
        ({"url": str(run.root / "nowhere")}, "E_REMOTE"),
        ({"name": "../../x"}, "E_USAGE"),
        ({"refs": {"refs/heads/main": "--upload-pack=x"}}, "E_USAGE"),
    ):
        name = code[2:].lower() + str(len(str(changes)))
        with pytest.raises(PlannerError) as raised:
            git_data.open_data({**data, "name": name.ljust(8, "x"), **changes})
        assert raised.value.code == code
    copy = git_data.open_data({**data, "name": "c" * 8})
    assert open_repository(copy.common).maybe(main) == main
