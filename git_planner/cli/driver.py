"""The merge driver's command line. git starts it for every file that both sides changed: it loads little."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str]) -> int:
    """Merge one file for git.

    Args:
        argv: the files of the base, of our side (which gets the result) and of theirs, then the path.

    Returns:
        0 when it is merged; 1 when a person has to settle it, with conflict markers in the file.
    """
    from git_planner.flows.sharing.merge_driver import merge_file

    base, ours, theirs, path = argv
    done = merge_file(Path(base), Path(ours), Path(theirs), path)
    for line in done.told:
        # What a document says is shown on a terminal, and not obeyed.
        shown = "".join(each if each.isprintable() else "?" for each in line[:300])
        print(f"git-planner: {shown}", file=sys.stderr)
    return 0 if done.clean else 1
