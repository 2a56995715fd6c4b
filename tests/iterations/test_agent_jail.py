"""Hostile agents: what they start ends with them."""

from __future__ import annotations

import sys

import psutil
import pytest

from tests.support.lab import Lab
from tests.support.small_campaign import attempt, campaign

# A daemon that nothing but its parents leads to. When the changes are committed, it rewrites the tests.
DAEMON = """\
(env -i PATH="$PATH" START="$(git rev-parse HEAD)" setsid sh -c 'echo $$ >"{pid}"
while [ "$(git rev-parse HEAD)" = $START ]; do sleep 0.05; done
while :; do echo hacked >tests/test_it; done' &)
until [ -s "{pid}" ]; do :; done
echo 90 >value
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has child subreapers")
def test_a_daemon_without_session_and_environment_ends_with_its_agent(lab: Lab) -> None:
    campaign(lab)
    pid = lab.root / "pid"
    result = attempt(lab, DAEMON.format(pid=pid))
    daemon = int(pid.read_text())
    assert not psutil.pid_exists(daemon)
    assert (result.record.verdict, result.record.files) == ("improved", ("value",))
