"""Owners of paths by a CODEOWNERS file."""

from __future__ import annotations

import pytest

from git_planner.rules.forge.codeowners import find_owners

TEXT = """\
# comment
*                 @all
*.js              @js  # the last one counts
/build/logs/      @logs
docs/*            @docs docs@example.com
apps/             @org/apps
/.plans/**        @planners
a\\ b.txt          @space
/apps/github
[Section]
**/deep/x?.txt    @deep
"""


@pytest.mark.parametrize(
    ("path", "owners"),
    [
        ("README.md", ("all",)),
        ("src/a.js", ("js",)),
        ("build/logs/x/y", ("logs",)),
        ("src/build/logs/x", ("all",)),
        ("docs/a.md", ("docs",)),
        ("docs/a/b.md", ("all",)),
        ("x/apps/y", ("org/apps",)),
        ("apps/github", ()),
        (".plans/default/approved/x.json", ("planners",)),
        ("a b.txt", ("space",)),
        ("p/deep/x1.txt", ("deep",)),
        ("deep/x12.txt", ("all",)),
    ],
)
def test_the_last_line_that_matches_decides(path: str, owners: tuple[str, ...]) -> None:
    assert find_owners(TEXT, [path]) == owners


def test_hostile_files_are_bounded() -> None:
    assert find_owners("*" * 300 + "a @x\n", ["b" * 500]) == ()
    assert len(find_owners("* " + " ".join(f"@u{n}" for n in range(500)), ["x"])) == 15
    assert find_owners("x @a\n" * 50_000 + "* @late\n", ["y"]) == ()
