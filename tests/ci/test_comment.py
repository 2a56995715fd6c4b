"""The comment of a CI job: the real gh and curl against loopback sites."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.ci.comment import post_comment
from git_planner.flows.ci.job import open_request, report_on
from git_planner.gitio.repository import open_repository
from tests.ci.test_jobs import Job, answered, github, gitlab, run_gitlab, run_steps, site
from tests.support.lab import Lab
from tests.support.servers.github import REPOSITORY, TOKEN, GitHubScript, github_service
from tests.support.servers.gitlab_notes import TOKEN as PROJECT_TOKEN
from tests.support.servers.gitlab_notes import NotesScript, notes_service
from tests.support.workshop import workshop

MARKER = "<!-- git-planner: report -->"


def reviewed(lab: Lab) -> tuple[str, str]:
    """Push a packet with its answer; return its branch and commit."""
    workshop(lab)
    branch = answered(lab)
    site(lab)
    return branch, lab.git("rev-parse", branch)


def on_site(job: Job, script: GitHubScript, env: dict[str, str]) -> Job:
    """Let a job use the loopback site, where its pull request is number 1."""
    event = json.loads(Path(job.env["GITHUB_EVENT_PATH"]).read_text())
    event["pull_request"]["number"] = 1
    event["repository"]["full_name"] = event["pull_request"]["head"]["repo"]["full_name"] = REPOSITORY
    Path(job.env["GITHUB_EVENT_PATH"]).write_text(json.dumps(event))
    script.pulls.append({"number": 1, "head": "x", "base": "main", "state": "open"})
    server = env["GIT_PLANNER_FORGE"].removesuffix(f"/{REPOSITORY}")
    job.env |= {**env, "GITHUB_SERVER_URL": server, "GH_TOKEN": TOKEN}
    del job.env["GIT_PLANNER_FORGE"]
    return job


@pytest.fixture
def script() -> GitHubScript:
    """Return an empty site."""
    return GitHubScript()


@pytest.fixture
def job(lab: Lab, script: GitHubScript, tmp_path: Path) -> Iterator[Job]:
    """Yield the job of a packet's pull request on a loopback GitHub."""
    if shutil.which("gh") is None:
        pytest.skip("gh is not installed")
    branch, tip = reviewed(lab)
    with github_service(script, tmp_path) as env:
        yield on_site(github(lab, branch, tip), script, env)


def test_one_comment_is_posted_and_updated(job: Job, script: GitHubScript) -> None:
    # Somebody else has a comment that begins alike.
    script.add_comment("comments", "eve", f"{MARKER}\nall is well")
    ran = run_steps(job, "comment")
    assert (ran.status, ran.out) == (0, "comment: posted\n"), ran.err
    body = script.comments[1]["body"]
    assert body.startswith(f"{MARKER}\n## git-planner: checks passed\n")
    assert "**Make the number smaller**" in body
    assert run_steps(job, "comment").out == "comment: kept\n"
    job.env["GIT_PLANNER_VERIFIED"] = "holds"
    assert run_steps(job, "comment").out == "comment: updated\n"
    assert "- Evidence: measured again in this run: **the record holds**\n" in script.comments[1]["body"]
    assert len(script.comments) == 2
    assert script.comments[0]["body"] == f"{MARKER}\nall is well"


@pytest.mark.parametrize(
    ("fault", "code"),
    [(401, "E_FORGE"), (404, "E_FORGE"), (429, "E_FORGE"), (b"{}", "E_FORGE"), (b"[3, {}]", "")],
)
def test_bad_answers_of_github(job: Job, script: GitHubScript, fault: Any, code: str) -> None:
    script.faults.append(fault)
    ran = run_steps(job, "comment")
    assert (ran.status, "Traceback" in ran.err, "\x1b" in ran.err) == (4 if code else 0, False, False)
    assert f"({code})" in ran.err if code else ran.err == ""


def test_a_fork_and_an_ordinary_change_get_no_comment(job: Job, lab: Lab, script: GitHubScript) -> None:
    event = json.loads(Path(job.env["GITHUB_EVENT_PATH"]).read_text())
    event["pull_request"]["head"]["repo"] = None
    Path(job.env["GITHUB_EVENT_PATH"]).write_text(json.dumps(event))
    assert run_steps(job, "comment").out.startswith("comment: none: the pull request comes from a fork")
    lab.git("checkout", "-q", "-b", "feature", "main")
    event["pull_request"]["head"] |= {"repo": event["repository"], "ref": "feature"}
    event["pull_request"]["head"]["sha"] = lab.commit("work", {"src/size.txt": "95\n"})
    lab.git("fetch", "-q", str(lab.path), "feature", cwd=job.place)
    Path(job.env["GITHUB_EVENT_PATH"]).write_text(json.dumps(event))
    ran = run_steps(job, "comment")
    assert (ran.out, ran.err) == ("comment: none: there is nothing to tell\n", "")
    assert (script.comments, [line for line in script.requests if not line.startswith("GET ")]) == ([], [])


def test_one_note_on_gitlab(lab: Lab) -> None:
    branch, tip = reviewed(lab)
    script = NotesScript([{"id": 0, "body": f"{MARKER}\nall is well", "author": {"id": 5}}])
    with notes_service(script) as url:
        job = gitlab(lab, branch, tip)
        assert run_gitlab(job, "planner-comment").out.startswith("comment: none: the variable ")
        job.env |= {"CI_API_V4_URL": url, "GIT_PLANNER_TOKEN": PROJECT_TOKEN}
        ran = run_gitlab(job, "planner-comment")
        assert (ran.status, ran.out) == (0, "comment: posted\n"), ran.err
        assert run_gitlab(job, "planner-comment").out == "comment: kept\n"
        job.env["GIT_PLANNER_VERIFIED"] = "differs"
        assert run_gitlab(job, "planner-comment").out == "comment: updated\n"
        for fault, code in ((401, "E_FORGE"), (429, "E_FORGE"), (500, "E_FORGE")):
            script.faults.append(fault)
            ran = run_gitlab(job, "planner-comment")
            assert (ran.status, f"({code})" in ran.err, "\x1b" in ran.err) == (4, True, False), ran.err
            assert PROJECT_TOKEN not in ran.err
    assert [note["author"]["id"] for note in script.notes] == [5, 1]
    assert "the record does not hold" in script.notes[1]["body"]
    assert "**Make the number smaller**" in script.notes[1]["body"]


def test_a_site_that_hangs_is_left_at_the_deadline(lab: Lab) -> None:
    branch, tip = reviewed(lab)
    script = NotesScript(faults=["hang"])
    with notes_service(script) as url, lab.entered():
        job = gitlab(lab, branch, tip)
        environ = {**job.env, "CI_API_V4_URL": url, "GIT_PLANNER_TOKEN": PROJECT_TOKEN}
        repo, request = open_request(open_repository(job.place), "gitlab", environ)
        with pytest.raises(PlannerError) as raised:
            post_comment(repo, "gitlab", report_on(repo, request, ""), environ, seconds=0.5)
    assert raised.value.code == "E_DEADLINE"


def test_a_verification_that_a_job_invents_is_not_shown(lab: Lab) -> None:
    branch, tip = reviewed(lab)
    job = github(lab, branch, tip)
    job.env["GIT_PLANNER_VERIFIED"] = "holds\n<img src=x>"
    assert run_steps(job, "guard").status == 0
    assert "Evidence" not in job.summary
