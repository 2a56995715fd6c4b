"""Keys from agents, people, files and measured programs are not kept in the repository."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.iterations.publish import publish_iteration
from git_planner.flows.planning import manual
from git_planner.flows.planning.ask_planner import PlanOptions, make_iteration
from git_planner.flows.records.import_log import import_log
from git_planner.flows.records.record import record_commit
from tests.agents.cases import DIRECTIVE
from tests.foundation.fake_keys import keys, private_key
from tests.support.benchmark_project import BENCH, POLICY, iteration, project
from tests.support.benchmark_project import DIRECTIVE as SAMPLE
from tests.support.lab import Lab
from tests.support.small_campaign import agent_file, attempt, campaign, hush

KEY = dict(reversed(list(keys())))
OPENAI, AWS, GITHUB = KEY["openai"], KEY["aws"], KEY["github-token"]
OWN = "a value without any form"


def stored_files(lab: Lab) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every object, reachable or not, and of every other file in .git."""
    names = "cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)"
    for line in lab.git(*names).splitlines():
        oid, kind = line.split(" ")
        if kind != "tree":
            yield oid, lab.git("cat-file", kind, oid).encode()
    for path in lab.path.joinpath(".git").rglob("*"):
        if path.is_file() and "objects" not in path.parts:
            yield str(path), path.read_bytes()


def holders(lab: Lab, *secrets: str) -> list[str]:
    """Return the names of objects and files that contain one of the secrets or a large part of one."""
    parts = [part.encode() for secret in secrets for part in (secret, secret[-30:], secret[8:38])]
    return [name for name, content in stored_files(lab) if any(part in content for part in parts)]


@pytest.mark.parametrize("ending", ["exit 1", "exit 0", "echo x > tests/test_it", "sleep 60"])
def test_an_implementer_that_prints_keys(lab: Lab, ending: str) -> None:
    campaign(lab, timeout=3 if ending == "sleep 60" else 60)
    lab.env |= {"OPENAI_API_KEY": OWN}
    script = f"echo 90 > value; echo '{OPENAI} {GITHUB}'; echo \"$OPENAI_API_KEY {AWS}\" >&2; {ending}"
    with lab.entered():
        attempt(lab, script)
    agent_file(lab).unlink()
    assert holders(lab, OPENAI, AWS, GITHUB, OWN) == []
    logs = b"".join(content for name, content in stored_files(lab) if name.endswith(("/stdout", "/stderr")))
    assert b"[redacted:openai] [redacted:github-token]" in logs
    assert b"[redacted:openai-api-key] [redacted:aws]" in logs


def planner_script(lab: Lab, answer: str) -> Path:
    """Write the answer of a scripted planner to a file."""
    text = lab.root / "answer"
    text.write_text(answer)
    return text


@pytest.mark.parametrize("accepted", [True, False])
def test_a_planner_that_answers_with_keys(lab: Lab, accepted: bool) -> None:
    answer = {
        **DIRECTIVE,
        "objective": f"Use {OPENAI}.",
        "step_plan": [private_key(), f"AWS is {AWS}", "Go."],
    }
    answer |= {"strategy_family": "family:schedule"} if accepted else {"risk": "None at all"}
    text = planner_script(lab, f"Of course:\n```json\n{json.dumps(answer)}\n```\n")
    agents = (
        "agents: {sandbox: off, planner: command, attempts: 2, "
        f"command: {{planner: {{run: [cat, {text}]}}}}}}\n"
    )
    project(lab, POLICY + agents)
    options = PlanOptions()
    if accepted:
        planned = make_iteration(lab.repo, options, hush)
        assert planned.state.directive.objective == "Use [redacted:openai]."
        assert planned.state.directive.step_plan == ("[redacted:private-key]", "AWS is [redacted:aws]", "Go.")
    else:
        with pytest.raises(PlannerError, match="refused"):
            make_iteration(lab.repo, options, hush)
    assert holders(lab, OPENAI, AWS, private_key()) == []


def test_a_context_file_that_holds_a_key(lab: Lab) -> None:
    content = f"KEY = '{OPENAI}'\nBLOCK = '''{private_key()}'''\n"
    policy = POLICY + 'context: ["src/**"]\nagents: {planner: offline}\n'
    # In the long file the size limit cuts through a key.
    long = "x" * 47_980 + f" '{GITHUB}'"
    project(lab, policy, **{"src/keys.py": content, "src/long.py": long})
    planned = make_iteration(lab.repo, PlanOptions(hint=f"ask with {AWS}"), hush)
    assert planned.packet["code_context"]["src/keys.py"] == (
        "KEY = '[redacted:openai]'\nBLOCK = '''[redacted:private-key]'''\n"
    )
    assert planned.packet["iteration_hint"] == "ask with [redacted:aws]"
    manual.make_packet_branch(lab.repo, PlanOptions(), hush)
    own = {lab.git("rev-parse", f"main:src/{name}.py") for name in ("keys", "long")}
    assert set(holders(lab, OPENAI, AWS, GITHUB, private_key())) == own


def test_an_answer_that_was_pasted(lab: Lab) -> None:
    project(lab)
    packed = manual.make_packet_branch(lab.repo, PlanOptions(), hush)
    answer = json.dumps({**DIRECTIVE, "objective": f"Use {OPENAI}."}).encode()
    planned = manual.apply_answer(lab.repo, packed.ref, hush, pasted=("the clipboard", answer))
    assert planned.state.directive.objective == "Use [redacted:openai]."
    assert holders(lab, OPENAI) == []


def test_a_measured_program_that_prints_keys(lab: Lab) -> None:
    expression = f"os.environ['API'] + ' {AWS[:9]}' '{AWS[9:]}'"
    bench = f"{BENCH}import os\nprint(os.environ['API'])\nsys.exit({expression})\n"
    project(lab, POLICY + "environment: [API]\n", **{"tests/bench.py": bench})
    lab.env["API"] = OPENAI
    with lab.entered():
        done = record_commit(lab.repo, "main", progress=hush)
    assert done.record.summary == (
        "the benchmark crashed: 'cycles' ended with status 1; stderr: [redacted:openai] [redacted:aws]"
    )
    assert holders(lab, OPENAI, AWS) == []


def test_the_text_of_a_pull_request(lab: Lab) -> None:
    """Secrets in older texts are masked when they are published."""
    campaign(lab)
    state = iteration(lab, 1, "main", directive=replace(SAMPLE, objective=f"use {OPENAI}"))
    lab.commit("lower", {"value": "90\n"})
    record_commit(lab.repo, "HEAD", progress=hush)
    published = publish_iteration(lab.repo, "1", hush, plan=None, branch=None, push=False)
    assert state.directive.objective == f"use {OPENAI}"
    assert published.title == "use [redacted:openai]"
    assert "[redacted:openai]" in published.body
    assert OPENAI not in published.body + lab.git("log", "-1", "--format=%B", published.commit)


def test_rows_of_an_older_log(lab: Lab) -> None:
    project(lab)
    row = {
        "head_sha": "b" * 40,
        "base_sha": "a" * 40,
        "timestamp_utc": "2026-11-21T00:02:16Z",
        "cycles": 1441,
        "valid": True,
        "hypothesis": f"with {OPENAI}",
        "result_summary": private_key(),
    }
    done = import_log(lab.repo, json.dumps(row).encode(), "log.jsonl", "default")
    assert (done.added, done.faults) == (1, ())
    assert holders(lab, OPENAI, private_key()) == []
