"""Command line of the merge driver, which git starts for every file that both sides changed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from git_planner.rules.printable import printable_line


def main(argv: Sequence[str]) -> int:
    """Merge one file for git.

    Args:
        argv: the files of the base, of our side (which receives the result) and of theirs, then the path.

    Returns:
        0 after a clean merge; 1 with conflict markers in the file.
    """
    from git_planner.flows.sharing.merge_driver import merge_file

    base, ours, theirs, path = argv
    done = merge_file(Path(base), Path(ours), Path(theirs), path)
    for line in done.notes:
        print(f"git-planner: {printable_line(line[:300])}", file=sys.stderr)
    return 0 if done.clean else 1
