"""A bare repository that takes the place of a hosting site, with merges made as such sites make them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from tests.support.lab import GIT, Lab
from tests.support.workshop import FILES, POLICY

Merge = Literal["merge", "github squash", "gitlab squash", "rebase", "fast-forward"]
MERGES: tuple[Merge, ...] = ("merge", "github squash", "gitlab squash", "rebase", "fast-forward")
TARGET = "refs/heads/plan/default"
OWNER = ("Ann Owner", "ann@example.org")
AUTHOR = ("A U Thor", "author@example.com")
GITHUB = ("GitHub", "noreply@github.com")


@dataclass(frozen=True)
class HostingSite:
    """The site of a laboratory's remote 'origin'."""

    lab: Lab

    @property
    def path(self) -> str:
        """The path of the bare repository."""
        return str(self.lab.root / "origin.git")

    def git(self, *args: str, author: tuple[str, str] = OWNER, committer: tuple[str, str] = OWNER) -> str:
        """Run git in the site's repository, as these people."""
        people = {"AUTHOR": author, "COMMITTER": committer}
        env = {
            f"GIT_{role}_{part}": value
            for role, person in people.items()
            for part, value in zip(("NAME", "EMAIL"), person, strict=True)
        }
        ran = self.lab.run_program(GIT, f"--git-dir={self.path}", *args, env=env)
        assert ran.status == 0, ran.err
        return ran.out.strip()

    def push(self, *refs: str, lab: Lab | None = None) -> None:
        """Push branches of a clone with plain git."""
        (lab or self.lab).git("push", "-q", "origin", *refs)

    def merge(
        self,
        branch: str,
        how: Merge = "merge",
        *,
        into: str = TARGET,
        by: tuple[str, str] = OWNER,
        text: str = "",
    ) -> str:
        """Merge a branch as a site does, and return the new tip."""
        tip, head = self.git("rev-parse", into), self.git("rev-parse", f"refs/heads/{branch}")
        tree = self.git("merge-tree", "--write-tree", tip, head)
        title = "Approve it"
        if how == "merge":
            message = f"Merge pull request #12 from someone/{branch}\n\n{title}"
            new = self._commit(tree, (tip, head), message + text, by, GITHUB)
        elif how == "github squash":
            new = self._commit(
                tree, (tip,), f"{title} (#12)\n\n* review: approve by merging{text}", AUTHOR, GITHUB
            )
        elif how == "gitlab squash":
            squashed = self._commit(tree, (self.git("merge-base", tip, head),), title, AUTHOR, by)
            message = f"Merge branch '{branch}' into 'plan/default'\n\n{title}\n\nSee merge request a/b!12"
            new = self._commit(tree, (tip, squashed), message + text, by, by)
        elif how == "rebase":
            new = self._commit(tree, (tip,), self.git("log", "-1", "--format=%B", head), AUTHOR, by)
        else:
            new = head
        self.git("update-ref", into, new, tip)
        return new

    def _commit(
        self,
        tree: str,
        parents: tuple[str, ...],
        message: str,
        author: tuple[str, str],
        committer: tuple[str, str],
    ) -> str:
        words = [word for parent in parents for word in ("-p", parent)]
        return self.git("commit-tree", tree, *words, "-m", message, author=author, committer=committer)


def hosted(lab: Lab, rule: str = "{directives: required}", **files: str) -> HostingSite:
    """Commit a workshop whose policy has a rule for reviews, with a site that has its base and its plan."""

    def make(lab: Lab) -> None:
        lab.commit("a workshop", {**FILES, ".git-planner.yml": f"{POLICY}review: {rule}\n", **files})
        bare = lab.root / "origin.git"
        lab.git("init", "-q", "--bare", "-b", "main", f"--object-format={lab.repo.object_format}", str(bare))
        lab.git("remote", "add", "origin", f"file://{bare}")
        lab.git("push", "-q", "origin", "main")
        assert lab.run("git-plan", "task", "add", "Shrink it", "--write-scope", "src/size.txt").status == 0
        assert lab.run("git-plan", "push").status == 0

    lab.prepare(f"hosted with {rule} {json.dumps(files)}", make)
    return HostingSite(lab)


def answered_packet(lab: Lab, answer: dict[str, Any]) -> str:
    """Return the branch of a new packet that has this answer."""
    ran = lab.run("git-plan", "manual", "pack", "--json")
    assert ran.status == 0, ran.err
    branch = str(json.loads(ran.out)["branch"])
    lab.rival(f"refs/heads/{branch}", "planner_packets/directive.json", json.dumps(answer))
    return branch
