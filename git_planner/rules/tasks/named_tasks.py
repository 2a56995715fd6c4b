"""Tasks that a commit message names. Pure.

A message names tasks by 'task_007: …' at the start of its subject (any spelling: TASK-7) or by `Planner-Task`
trailers. A squash merge quotes the messages of the commits that it replaces: their subjects and trailers
count as well, where the message has the form of `git merge --squash` or of a hosting site.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

# Compiled on use: hooks load this module at every commit that names a task.
_SUBJECT = r"(?:(?:fixup|squash|amend)! )*(task[_-][0-9]+)\s*:"
_TASK = r"task[_-][0-9]+"
# 'git merge --squash' writes this line and the indented messages of the squashed commits.
_SQUASHED = "Squashed commit of the following:"
_INDENTED = r"(?m)^ {4}(?! )(.*)$"
_TRAILER = r"(?i)planner-task:(.*)"
# Sites that put the title of the request on a line of its own: GitLab, GitHub, Bitbucket.
_TITLED = (
    r"(?m)\AMerge branch '.+'(?: into '.+')?$|\AMerge pull request #[0-9]+ "
    r"|\AMerged in \S+ \(pull request #[0-9]+\)|^See merge request \S*![0-9]+$"
)
# Sites that add the number of the request to its title: GitHub, Gitea, Azure DevOps, Bitbucket.
_NUMBERED = (
    r"\A(?:.*\((?:pull request )?#[0-9]+\)|Merged PR [0-9]+: .*)$|(?m:^Reviewed-on: \S+/pulls/[0-9]+$)"
)
_NUMBER = r"Merged PR [0-9]+: "
# A list of the squashed subjects, which a person may leave when changing the title.
_LISTED = r"\A.*\n\s*\* "
_BULLET = r"[*-] (.*)"
_PLAN = r"(?im)^planner-plan:[ \t]*(\S+)[ \t]*$"
_LONGEST = 2000


def named_tasks(subject: str, trailers: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the tasks that a commit message names, as spelled there, without duplicates.

    Args:
        subject: the first line of the message.
        trailers: the values of its `Planner-Task` trailers.
    """
    match = re.match(_SUBJECT, subject, re.IGNORECASE)
    names = [match[1]] if match else []
    for value in trailers:
        names += [word for word in re.split(r"[\s,;]+", value) if re.fullmatch(_TASK, word, re.IGNORECASE)]
    return tuple(dict.fromkeys(names))


def squashed_tasks(subject: str, body: str) -> tuple[str, ...]:
    """Return the tasks that the messages quoted by a squash merge name; none in any other message.

    Args:
        subject: the first line of the message.
        body: the message after the subject.
    """
    if subject == _SQUASHED:
        lines = [line.strip() for line in re.findall(_INDENTED, body)]
        return tuple(dict.fromkeys(_names_in(lines)))
    if not re.search("(?i)task", body):
        return ()
    message = f"{subject[:_LONGEST]}\n{body}"
    titled = re.search(_TITLED, message) is not None
    if not titled and not re.search(_NUMBERED, message, re.MULTILINE) and not re.match(_LISTED, message):
        return ()
    lines = [re.sub(_NUMBER, "", subject, count=1)]
    title = next((line for line in body.splitlines() if line.strip()), "")
    lines += [title] if titled else []
    for line in body.splitlines():
        bullet = re.match(_BULLET, line)
        if bullet is not None:
            lines.append(bullet[1])
        elif re.match(_TRAILER, line):
            lines.append(line)
    return tuple(dict.fromkeys(_names_in(lines)))


def quoted_plan(body: str) -> str | None:
    """Return the plan of the last `Planner-Plan` line of a squash merge's message; None without one."""
    plans = re.findall(_PLAN, body)
    return plans[-1] if plans else None


def _names_in(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        trailer = re.match(_TRAILER, line)
        yield from named_tasks(line, (trailer[1],) if trailer else ())
