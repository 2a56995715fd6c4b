"""Steps of the workflows, run as the shell of a CI job would run them, in the checkout that it would have."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.approval.requests import request as requested
from tests.support.lab import Lab, Ran
from tests.support.servers.hosting_site import answered_packet, hosted
from tests.support.workshop import directive, one_document, workshop

TEMPLATES = Path(__file__).parents[2] / "templates" / "ci"
MakeLab = Callable[..., Lab]


@dataclass
class Job:
    """A CI job in a clone of a hosting site's repository: its checkout and its environment."""

    lab: Lab
    place: Path
    env: dict[str, str]

    @property
    def summary(self) -> str:
        """What the job has written for people."""
        return Path(self.env["GITHUB_STEP_SUMMARY"]).read_text()

    def run(self, script: str, **env: str) -> Ran:
        """Run the text of a step as the runner does."""
        return self.lab.run_program(
            "bash", "-e", "-o", "pipefail", "-c", script, cwd=Path("/"), env=self.env | env
        )


def site(lab: Lab) -> Path:
    """Make a bare repository as the hosting site, the lab's 'origin'; everything in the lab is pushed."""
    path = lab.root / "site.git"
    lab.git("init", "-q", "--bare", "-b", "main", str(path))
    lab.git("remote", "add", "origin", str(path))
    lab.git("push", "-q", "origin", "--all")
    return path


def checkout(lab: Lab, name: str, tip: str) -> Path:
    """Make the clone that the checkout step leaves: all branches as remote ones, and a detached HEAD."""
    place = lab.root / name
    lab.git("init", "-q", str(place))
    lab.git("remote", "add", "origin", lab.git("remote", "get-url", "origin"), cwd=place)
    lab.git("fetch", "-q", "origin", cwd=place)
    lab.git("fetch", "-q", str(lab.path), tip, cwd=place)
    lab.git("checkout", "-q", "--detach", tip, cwd=place)
    return place


def github(
    lab: Lab,
    head: str,
    tip: str,
    *,
    base: str = "main",
    fork: bool = False,
    event: Any = None,
    name: str = "github",
) -> Job:
    """Return the job of a pull request."""
    place = checkout(lab, name, tip)
    pull = {
        "number": 7,
        "base": {"ref": base, "sha": lab.git("rev-parse", f"origin/{base}", cwd=place)},
        "head": {"ref": head, "sha": tip, "repo": {"full_name": "stranger/demo" if fork else "owner/demo"}},
    }
    whole = {"pull_request": pull, "repository": {"full_name": "owner/demo", "default_branch": "main"}}
    for file in ("event.json", "summary.md", "output"):
        (lab.root / file).write_text(json.dumps(event or whole) if file == "event.json" else "")
    env = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": str(lab.root / "event.json"),
        "GITHUB_OUTPUT": str(lab.root / "output"),
        "GITHUB_RUN_ID": "1",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_STEP_SUMMARY": str(lab.root / "summary.md"),
        "GITHUB_WORKSPACE": str(place),
        "GIT_PLANNER_PREPARE": "true",
    }
    return Job(lab, place, env)


def steps(name: str) -> list[str]:
    """Return the scripts of a job of the workflow; the installation is that of the tests."""
    job = yaml.safe_load((TEMPLATES / "github-actions.yml").read_text())["jobs"][name]
    return [step["run"] for step in job["steps"] if "run" in step and not step["name"].startswith("Install")]


def run_steps(job: Job, name: str) -> Ran:
    """Run the steps of a job up to the first that fails."""
    ran = Ran(0, "", "")
    for script in steps(name):
        ran = job.run(script)
        if ran.status:
            break
    return ran


def answered(lab: Lab, **changes: Any) -> str:
    """Make a packet with its answer, and return its branch."""
    branch = str(one_document(lab.run("git-plan", "manual", "pack", "--json").out)["branch"])
    lab.rival(f"refs/heads/{branch}", "planner_packets/directive.json", json.dumps(directive(**changes)))
    return branch


def test_a_directive_is_shown_and_checked(lab: Lab) -> None:
    workshop(lab)
    branch = answered(lab)
    site(lab)
    job = github(lab, branch, lab.git("rev-parse", branch))
    ran = run_steps(job, "guard")
    assert (ran.status, ran.err) == (0, "")
    head, _, review = job.summary.partition("---\n\n")
    assert head.startswith("<!-- git-planner: report -->\n## git-planner: checks passed\n")
    assert f"- Change: `{branch}` at `{lab.git('rev-parse', branch)[:12]}`\n" in head
    assert "- Guard, scope and documents: ok\n" in head
    assert review == lab.run("git-plan", "review", branch).out
    # Of a rerun on the same machine, too.
    assert run_steps(job, "guard").status == 0


def test_a_changed_guard_is_refused(lab: Lab) -> None:
    workshop(lab)
    site(lab)
    lab.git("checkout", "-q", "-b", "feature")
    tip = lab.commit("evil", {"tests/size.py": "print('SIZE: 1')\n"})
    job = github(lab, "iter/0001-x", tip)
    ran = run_steps(job, "guard")
    assert (ran.status, "## git-planner: **refused**" in job.summary) == (1, True)
    assert "- **error**: changed: tests/size.py in " in job.summary


def test_a_fork_with_a_branch_of_the_same_name_is_shown_as_it_is(lab: Lab, make_lab: MakeLab) -> None:
    workshop(lab)
    branch = answered(lab)
    site(lab)
    lab.rival(
        f"refs/heads/{branch}",
        "planner_packets/directive.json",
        json.dumps(directive(objective="Something else altogether")),
    )
    job = github(lab, branch, lab.git("rev-parse", branch), fork=True)
    assert run_steps(job, "guard").status == 0
    assert "**Something else altogether**" in job.summary
    assert ", from a fork\n" in job.summary


HOSTILE = [
    "plan/guard-$(touch${IFS}pwned)",
    "plan/UPPER",
    "plan/$(touch${IFS}pwned)",
    "x;touch${IFS}pwned",
    "plan/`touch${IFS}pwned`",
    "--upload-pack=x",
    "iter/0001-x'||touch",
]


def test_what_a_merge_would_approve_is_shown(lab: Lab) -> None:
    hosting = hosted(lab)
    packet = answered_packet(lab, directive())
    proposal = requested(hosting, packet)
    # The branch of the packet shows something else meanwhile.
    other = json.dumps(directive(objective="Something else altogether"))
    lab.rival(f"refs/heads/{packet}", "planner_packets/directive.json", other)
    lab.git("push", "-q", "origin", packet)
    job = github(lab, proposal.branch, proposal.commit, base="plan/default")
    ran = run_steps(job, "guard")
    assert (ran.status, ran.err) == (0, "")
    assert f"# Directive {packet}\n" in job.summary
    assert "**Make the number smaller**" in job.summary
    assert "- State: merging this request approves it\n" in job.summary
    changed = lab.show(f"{proposal.branch}:{proposal.path}").replace('"risk": "Low"', '"risk": "High"')
    tip = lab.rival(f"refs/heads/{proposal.branch}", proposal.path, changed)
    job = github(lab, proposal.branch, tip, base="plan/default", name="edited")
    run_steps(job, "guard")
    assert "does not hold the directive that it names: merging it approves nothing\n" in job.summary
    assert "# Directive" not in job.summary


def test_the_prompt_that_a_merge_would_approve_is_shown(lab: Lab) -> None:
    hosted(lab)
    assert lab.run("git-bo4", "new", "--prompt", "Make it <b>smaller</b>", "--run", "small").status == 3
    assert lab.run("git-plan", "review", "bo4/small", "--open").status == 0
    head = "review/bo4-small"
    tip = lab.git("rev-parse", head)
    # The run itself is only in the clone of its author.
    job = github(lab, head, tip, base="plan/default")
    ran = run_steps(job, "guard")
    assert (ran.status, ran.err) == (0, "")
    assert "# Tournament bo4/small, turn 1\n" in job.summary
    assert "```text\nMake it <b>smaller</b>\n```" in job.summary
    assert "- State: merging this request approves it\n" in job.summary
    (path,) = lab.git("diff", "--name-only", f"{tip}^", tip).split()
    changed = lab.show(f"{tip}:{path}").replace("smaller", "larger")
    job = github(
        lab, head, lab.rival(f"refs/heads/{head}", path, changed), base="plan/default", name="edited"
    )
    run_steps(job, "guard")
    assert "merging it approves nothing\n" in job.summary
    assert "# Tournament" not in job.summary


def test_an_iteration_without_an_approval_is_refused(lab: Lab) -> None:
    hosting = hosted(lab)
    assert lab.run("git-iterate").status == 3
    branch = "iter/0001-auto"
    job = github(lab, branch, lab.git("rev-parse", branch))
    assert run_steps(job, "guard").status == 1
    assert f"- **error**: the directive '{branch}' has no approval\n" in job.summary
    assert "**Not approved**: this directive has no approval." in job.summary
    hosting.merge(requested(hosting, branch).branch)
    job = github(lab, branch, lab.git("rev-parse", branch), name="later")
    assert run_steps(job, "guard").status == 0, job.summary
    assert "\n**Approved** by " in job.summary


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_branches_are_data(lab: Lab, name: str) -> None:
    workshop(lab)
    site(lab)
    lab.git("checkout", "-q", "-b", "feature")
    tip = lab.commit("work", {"src/size.txt": "95\n"})
    job = github(lab, name, tip, fork=True)
    ran = run_steps(job, "guard")
    assert "E_INTERNAL" not in ran.err
    assert not list(lab.root.rglob("pwned*"))
    assert not Path("/pwned").exists()
    assert ran.status in (0, 1), ran.err


def test_nothing_of_the_checkout_is_imported(lab: Lab) -> None:
    workshop(lab)
    site(lab)
    lab.git("checkout", "-q", "-b", "feature")
    evil = "open('/dev/stderr', 'w').write('IMPORTED')\n"
    tip = lab.commit(
        "evil", dict.fromkeys(("pip/__main__.py", "git_planner/__init__.py", "click.py", "json.py"), evil)
    )
    job = github(lab, "feature", tip)
    ran = run_steps(job, "guard")
    assert "IMPORTED" not in ran.out + ran.err
    install = next(
        step["run"]
        for step in yaml.safe_load((TEMPLATES / "github-actions.yml").read_text())["jobs"]["guard"]["steps"]
        if step.get("name", "").startswith("Install")
    )
    # Even where a runner reuses its folder.
    words = [*shlex.split(install.replace('"$GIT_PLANNER_PACKAGE"', ""))[:4], "--version"]
    ran = lab.run_program(*words, cwd=job.place)
    assert (ran.status, "IMPORTED" in ran.out + ran.err) == (0, False)


def test_a_merge_queue(lab: Lab) -> None:
    workshop(lab)
    site(lab)
    base = lab.git("rev-parse", "main")
    tip = lab.commit("work", {"src/size.txt": "95\n"})
    group = {"base_sha": base, "head_sha": tip, "base_ref": "refs/heads/main"}
    job = github(lab, "", tip, event={"merge_group": group, "repository": {"full_name": "owner/demo"}})
    job.env["GITHUB_EVENT_NAME"] = "merge_group"
    assert run_steps(job, "guard").status == 0
    assert "- Change: the merge queue at " in job.summary


@pytest.mark.parametrize(
    ("event", "name"),
    [
        ("[", "pull_request"),
        ("{}", "push"),
        ("[" * 100_000, "pull_request"),
        (json.dumps({"pull_request": {"head": {"sha": "--output=x"}}}), "pull_request"),
    ],
)
def test_an_event_of_another_kind_is_a_usage_error(lab: Lab, event: str, name: str) -> None:
    (lab.root / "event.json").write_text(event)
    lab.env |= {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": name,
        "GITHUB_EVENT_PATH": str(lab.root / "event.json"),
    }
    ran = lab.run("git-planner", "ci", "github", "--run", "check")
    assert (ran.status, "(E_USAGE)" in ran.err) == (2, True), ran.err


def test_a_persons_own_clone_is_left_alone(lab: Lab) -> None:
    workshop(lab)
    before = lab.refs()
    for where in ("github", "gitlab"):
        ran = lab.run("git-planner", "ci", where, "--run", "check")
        assert (ran.status, "(E_USAGE)" in ran.err) == (2, True)
    assert (lab.refs(), lab.repo.config("planner.base")) == (before, None)


@pytest.fixture
def recorded(lab: Lab) -> Lab:
    """Return a repository with one recorded iteration, and its hosting site."""

    def make(lab: Lab) -> None:
        workshop(lab)
        assert lab.run("git-iterate").status == 0
        site(lab)

    return lab.prepare("recorded and pushed", make)


def test_an_iteration_is_measured_again_on_demand(recorded: Lab) -> None:
    lab = recorded
    branch = lab.git("for-each-ref", "--format=%(refname:short)", "refs/heads/iter/0*")
    job = github(lab, branch, lab.git("rev-parse", branch))
    assert run_steps(job, "guard").status == 0
    assert "- Record `" in job.summary
    assert "**improved**, size 90 lines (-10)\n" in job.summary
    ran = run_steps(job, "verify")
    assert (ran.status, ran.out.startswith("holds: record ")) == (0, True), ran.out + ran.err
    assert Path(job.env["GITHUB_OUTPUT"]).read_text() == "result=holds\n"


def test_the_branch_of_a_published_iteration_names_it(recorded: Lab) -> None:
    lab = recorded
    published = one_document(lab.run("git-iterate", "publish", "1", "--json").out)
    job = github(lab, published["branch"], published["commit"])
    assert run_steps(job, "guard").status == 0
    assert "- it says that it comes from iter/0001-" in job.summary
    assert "# Directive iter/0001-" in job.summary


def gitlab(lab: Lab, head: str, tip: str) -> Job:
    """Return the job of a merge request."""
    place = checkout(lab, "gitlab", tip)
    env = {
        "GITLAB_CI": "true",
        "CI_COMMIT_SHA": tip,
        "CI_DEFAULT_BRANCH": "main",
        "CI_MERGE_REQUEST_IID": "7",
        "CI_MERGE_REQUEST_PROJECT_ID": "12",
        "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": head,
        "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "12",
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        "CI_PROJECT_DIR": str(place),
        "GIT_PLANNER_PREPARE": "true",
    }
    return Job(lab, place, env)


def run_gitlab(job: Job, name: str) -> Ran:
    """Run the lines of a job as GitLab's runner does: as one script."""
    document = list(yaml.safe_load_all((TEMPLATES / "template.yml").read_text()))[1]
    lines = [*document[".planner"]["before_script"], *document[name]["script"]]
    return job.run("\n".join(line for line in lines if "pip install" not in line))


def test_a_merge_request(recorded: Lab) -> None:
    lab = recorded
    branch = lab.git("for-each-ref", "--format=%(refname:short)", "refs/heads/iter/0*")
    job = gitlab(lab, branch, lab.git("rev-parse", branch))
    # A link that the request brings is replaced, not followed.
    (job.place / "git-planner-review.md").symlink_to(lab.root / "elsewhere")
    assert run_gitlab(job, "planner-guard").status == 0
    assert "# Directive iter/0001-" in (job.place / "git-planner-review.md").read_text()
    assert not (lab.root / "elsewhere").exists()
    assert run_gitlab(job, "planner-verify").status == 0
    assert (job.place / "git-planner.env").read_text() == "GIT_PLANNER_VERIFIED=holds\n"
