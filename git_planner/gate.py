"""What every hook runs once the shell has found something governed staged: the guard, then the documents.

The shims in hooks/, the pre-commit framework and `git planner check` all come here. It reads the index that
git gave it, never the working tree. At import it takes little of the standard library; what judging needs is
imported when there is something to judge.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence

from git_planner.errors import PlannerError

# Guarded where the commit at HEAD has no policy that would say more.
DEFAULT_GUARD = ("tests/**",)
# State of an iteration is written once, by the store, which runs no hooks; nobody commits it by hand.
STATE = (".advisor/**",)
DOCUMENTS = (".plans/**/plan.json", "**/planner_packets/**/*.json", "experiments/records/*.json")
STAGES = ("pre-commit", "pre-merge-commit")

_GITLINK, _SYMLINK, _NOTHING = "160000", "120000", "000000"
_LISTED = 20


def main(argv: Sequence[str]) -> int:
    """Judge what is staged, as a hook; the boundary at which errors become a message and a status.

    Args:
        argv: a stage of STAGES, and our folder in the common git directory.

    Returns:
        0 to let the commit pass; any other status makes git stop.
    """
    try:
        stage, planner = argv
        if stage not in STAGES:
            raise PlannerError(
                "E_USAGE", f"'{stage}' is not a hook of ours", hint="see 'git planner hooks -h'"
            )
        check_guard(planner)
        check_documents()
    except PlannerError as error:
        return _report(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, the guard fails closed
        said = f"{type(error).__name__}: {str(error)[:300]}"
        hint = "this is a defect; 'git planner check' shows the whole story with GIT_PLANNER_TRACE=1"
        return _report(PlannerError("E_INTERNAL", f"the guard cannot judge this commit: {said}", hint=hint))
    return 0


def check_guard(planner: str | None = None) -> None:
    """Refuse staged changes of guarded paths, on our branches.

    Args:
        planner: our folder in the common git directory; the policy's patterns are kept there for the shim.

    Raises:
        PlannerError: E_GUARD naming each path; E_POLICY when the policy at HEAD cannot be used; E_GIT.
    """
    from git_planner.rules.policy import pathspecs

    branch = _our_branch()
    if branch is None:
        return
    patterns, whence = _patterns(planner)
    guarded = (*patterns, *STATE)
    specs = pathspecs(guarded)
    changes = list(_staged(_head(), specs))
    for commit in _trusted(branch) if changes else ():
        differing = {path for _, _, _, path in _staged(commit, specs)}
        changes = [change for change in changes if change[3] in differing]
    if changes:
        raise _refusal(branch, changes, guarded, whence)


def check_documents() -> None:
    """Judge the staged documents of ours against their schemas, on whatever branch.

    Raises:
        PlannerError: E_SCHEMA, E_JSON or E_POLICY with path and JSON pointer.
    """
    from git_planner.rules.names import POLICY_FILE, STATE_FILE
    from git_planner.rules.policy import pathspecs

    errors = []
    for _, mode, oid, path in _staged(_head(), pathspecs((*DOCUMENTS, STATE_FILE, POLICY_FILE))):
        if mode == _NOTHING:
            continue
        try:
            if mode in (_SYMLINK, _GITLINK):
                raise PlannerError("E_SCHEMA", f"'{_shown(path)}' is not an ordinary file")
            _judge(path, _git("cat-file", "blob", oid))
        except PlannerError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        lines = [
            line for error in errors for line in (error.message, *(f"  {each}" for each in error.details))
        ]
        raise PlannerError(
            errors[0].code,
            f"{len(errors)} staged documents cannot be taken as they are",
            hint="see the form of a document with 'git planner schema NAME'",
            details=lines,
        )


def _judge(path: str, data: bytes) -> None:
    """Judge one document by its place in the repository."""
    from git_planner import config, documents
    from git_planner.rules.extract import extract
    from git_planner.rules.names import POLICY_FILE

    where, name = _shown(path), os.path.basename(path)
    if path == POLICY_FILE:
        config.parse_policy(data, where)
    elif name == "directive.json":
        # An empty one lies in the pack that a person takes to a chat window.
        if data.strip() != b"{}":
            answer = extract(data, where)  # as tolerant as what reads it from here
            kind = _answer_kind(answer)
            documents.check(kind, documents.completed(kind, answer), where)
    elif name in _KINDS:
        documents.read(_KINDS[name], data, where)
    elif path.startswith("experiments/records/"):
        documents.read("record", data, where)


_KINDS = {"plan.json": "plan", "packet.json": "packet", "state.json": "state"}


def _answer_kind(answer: object) -> str:
    """A planner's answer is a directive, or a planning plan when it says so."""
    said = answer.get("schema") if isinstance(answer, dict) else None
    return "planning-plan" if str(said).startswith("git-planner/planning-plan@") else "directive"


def _patterns(planner: str | None) -> tuple[tuple[str, ...], str]:
    """The guarded patterns of the policy at HEAD, which are also kept for the shim under the policy's id."""
    from git_planner import config
    from git_planner.rules.names import POLICY_FILE
    from git_planner.rules.policy import ALWAYS_GUARDED

    oid, whence = "none", f"the default, because HEAD has no '{POLICY_FILE}'"
    guarded: tuple[str, ...] = (*DEFAULT_GUARD, *ALWAYS_GUARDED)
    entry = _git("ls-tree", "-z", "--full-tree", "HEAD", "--", POLICY_FILE) if _born() else b""
    if entry:
        mode, kind, oid = entry.split(b"\t")[0].decode().split(" ")
        if kind != "blob" or mode == _SYMLINK:
            raise PlannerError("E_POLICY", f"'{POLICY_FILE}' at HEAD is not an ordinary file")
        guarded = config.parse_policy(_git("cat-file", "blob", oid), f"HEAD:{POLICY_FILE}").guarded
        whence = f"'{POLICY_FILE}' at HEAD"
    if planner is not None:
        _keep(planner, oid, guarded)
    return guarded, whence


def _keep(planner: str, oid: str, guarded: Sequence[str]) -> None:
    """Write the file that the shim reads, so that the next commit need not start Python; whole or not."""
    from git_planner.rules.policy import pathspecs

    lines = [f"git-planner guard 1 {oid}", *pathspecs((*guarded, *STATE, *DOCUMENTS)), "end"]
    if any("\n" in line for line in lines):
        return
    folder = os.path.join(planner, "guards")
    draft = os.path.join(folder, f"{oid}.{os.getpid()}")
    try:
        os.makedirs(folder, exist_ok=True)
        with open(draft, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write("\n".join(lines) + "\n")
        os.replace(draft, os.path.join(folder, oid))
    except OSError:
        # A full or read-only disk makes the next commit slower, not less guarded.
        return


def _our_branch() -> str | None:
    """The branch HEAD is on when it is one of ours, short; None else."""
    from git_planner.rules import names

    # Status 1 is a HEAD on no branch; whatever else is wrong must not open the gate.
    status, ref, words = _spawn(("symbolic-ref", "--quiet", "HEAD"))
    if status > 1:
        raise PlannerError("E_GIT", words.decode(errors="replace").strip().removeprefix("fatal: "))
    branch = os.fsdecode(ref).strip().removeprefix(names.HEADS)
    return branch if branch.startswith((names.PLAN, names.ITER, names.TOURNAMENT)) else None


def _trusted(branch: str) -> Iterator[str]:
    """Commits whose guarded paths may be taken over, because who answers for the guard has made them.

    On an iteration that is its own first commit: a change that got by the guard can be taken back. On a
    plan's branch it is what a merge brings in from the base branch of the policy.
    """
    from git_planner.rules import names

    iteration = names.parse_iteration(branch)
    if iteration is not None:
        commit = _ask(
            "rev-parse", "--quiet", "--verify", f"{names.ITERATIONS}{iteration.number:04d}^{{commit}}"
        )
        if commit:
            yield commit.decode().strip()
    elif branch.startswith(names.PLAN):
        merged = {name.removeprefix("GITHEAD_") for name in os.environ if name.startswith("GITHEAD_")}
        merged.update((_ask("rev-parse", "--quiet", "--verify", "MERGE_HEAD") or b"").decode().split())
        yield from (commit for commit in sorted(merged) if _on_base(commit))


def _on_base(commit: str) -> bool:
    """Whether a commit is part of the base branch, here or as last fetched."""
    from git_planner import config
    from git_planner.rules.names import HEADS, POLICY_FILE

    policy = _ask("cat-file", "blob", f"HEAD:{POLICY_FILE}")
    base = config.parse_policy(policy, f"HEAD:{POLICY_FILE}").base if policy else "main"
    refs = _git(
        "for-each-ref", "--format=%(refname)", f"--contains={commit}", f"{HEADS}{base}", "refs/remotes"
    )
    return any(
        ref == HEADS + base or ref.split("/", 3)[3:] == [base] for ref in os.fsdecode(refs).splitlines()
    )


def _staged(base: str, specs: Sequence[str]) -> Iterator[tuple[str, str, str, str]]:
    """What is staged against a commit or tree: old mode, new mode, new object id and path of each change."""
    words = (
        "diff-index",
        "--cached",
        "--raw",
        "-z",
        "--no-renames",
        "--no-ext-diff",
        "--ignore-submodules=none",
    )
    fields = os.fsdecode(_git(*words, "--no-abbrev", base, "--", *specs)).split("\0")
    for meta, path in zip(fields[::2], fields[1::2], strict=False):
        old, new, _, oid, _ = meta.lstrip(":").split(" ")
        yield old, new, oid, path


def _refusal(
    branch: str, changes: Sequence[tuple[str, str, str, str]], guarded: Sequence[str], whence: str
) -> PlannerError:
    lines = [f"{_what(old, new)}: {_shown(path)}" for old, new, _, path in changes[:_LISTED]]
    if len(changes) > _LISTED:
        lines.append(f"and {len(changes) - _LISTED} more")
    lines.append(f"guarded by {whence}: " + " ".join(f"'{pattern}'" for pattern in guarded))
    if os.path.basename(os.environ.get("GIT_INDEX_FILE", "index")) == "index":
        hint = "take them out of the commit with 'git restore --staged -- PATH'"
    else:
        hint = "name the other paths only: 'git commit -- PATH'"
    hint += "; what the guard protects is changed on the base branch"
    return PlannerError("E_GUARD", f"guarded paths are staged on '{branch}'", hint=hint, details=lines)


def _what(old: str, new: str) -> str:
    if old == _NOTHING:
        return {_SYMLINK: "added link", _GITLINK: "added submodule"}.get(new, "added")
    if new == _NOTHING:
        return "removed"
    if old != new:
        return f"mode {old} to {new}"
    return "moved submodule" if new == _GITLINK else "changed"


def _born() -> bool:
    return _ask("rev-parse", "--quiet", "--verify", "HEAD^{commit}") is not None


def _head() -> str:
    """What is staged is compared with this: HEAD, or the empty tree where there is no commit yet."""
    return "HEAD" if _born() else _git("hash-object", "-t", "tree", "--stdin").decode().strip()


def _git(*args: str) -> bytes:
    """The output of a git that must succeed."""
    status, output, words = _spawn(args)
    if status != 0:
        said = words.decode(errors="replace").strip().removeprefix("fatal: ")
        raise PlannerError("E_GIT", said or f"'git {args[0]}' ended with status {status}")
    return output


def _ask(*args: str) -> bytes | None:
    """The output of a git that may say no."""
    status, output, _ = _spawn(args)
    return output if status == 0 else None


def _spawn(args: Sequence[str]) -> tuple[int, bytes, bytes]:
    """Run git on the index and the repository that the hook was given."""
    import subprocess

    # Paths are patterns of ours and objects are what they are, whatever the person's command line said.
    ours = {f"GIT_{kind}_PATHSPECS": "0" for kind in ("LITERAL", "GLOB", "NOGLOB", "ICASE")}
    env = {**os.environ, **ours, "GIT_NO_REPLACE_OBJECTS": "1", "GIT_OPTIONAL_LOCKS": "0"}
    done = subprocess.run(["git", *args], env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr


def _shown(path: str) -> str:
    """A path as it can be printed."""
    return path if path.isprintable() else ascii(path)


def _report(error: PlannerError) -> int:
    """Show an error the way the command lines do."""
    lines = [f"error: {error.message} ({error.code})", *(f"  {line}" for line in error.details)]
    if error.hint and os.environ.get("GIT_ADVICE") != "0":
        lines.append(f"hint: {error.hint}")
    print("\n".join(lines), file=sys.stderr)
    return error.exit
