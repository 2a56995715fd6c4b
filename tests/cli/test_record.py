"""`git record` as a person and as a script see it."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from typing import Any

import pytest

from git_planner import documents
from git_planner.flows.records.ledger import read_ledger
from tests.records.test_legacy_log import ROW, line
from tests.support.benchmark_project import POLICY, attempt, project
from tests.support.lab import Lab, Ran, command_line

ID = re.compile(r"\b\d{8}T\d{6}Z-[a-z0-9]{8,}\b")
OID = re.compile(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{40}\b|\b[0-9a-f]{12}\b|\b[0-9a-f]{8}\b")


def plain(text: str) -> str:
    """An output without what differs from run to run."""
    text = OID.sub("OID", ID.sub("ID", text))
    return re.sub(r"(?m)^(  seconds +).*$", r"\1…", text)


@pytest.fixture
def recorded(lab: Lab) -> Lab:
    """A project with a baseline, an improvement, a worse attempt and one that the guard refused."""
    return lab.prepare("recorded attempts", record_attempts)


def record_attempts(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 90)
    assert lab.run("git-record").status == 0
    attempt(lab, 2, 95, base="iter/best")
    assert lab.run("git-record").status == 0
    attempt(lab, 3, 80, base="iter/best")
    lab.commit("try", {"tests/bench.py": "print('CYCLES: 1')\n"})
    assert lab.run("git-record").status == 1


def test_a_terminal_shows_each_step_and_stdout_one_document(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 90)
    terminal, stderr = pty.openpty()
    command = subprocess.Popen(
        command_line("git-record", "--json"), cwd=lab.path, env=lab.env, stdout=subprocess.PIPE, stderr=stderr
    )
    os.close(stderr)
    assert command.stdout is not None
    assert json.loads(command.stdout.read())["record"]["verdict"] == "improved"
    assert command.wait() == 0
    shown = os.read(terminal, 4096).decode().splitlines()
    os.close(terminal)
    assert [plain(line).partition(":")[0] for line in shown] == [
        *("measuring the base OID first", "correctness", "cycles (1 of 1)", "baseline"),
        *("correctness", "cycles (1 of 1)"),
    ]


def test_recording(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 90)
    done = lab.run("git-record")
    assert (done.status, plain(done.out)) == (
        0,
        (
            "improved: cycles 90 (-10 against 100)\n"
            "  record  ID on plan/default\n"
            "  commit  OID (iter/0001-next)\n"
            "  best    the rolling best is this commit now\n"
            "  tag     best/90-next-i1\n"
        ),
    )
    assert plain(done.err) == (
        "measuring the base OID first: no valid record of this instrument yet\n"
        "baseline: cycles 100, the baseline\n"
    )
    again = lab.run("git-record", "HEAD")
    assert (again.status, plain(again.out), plain(again.err)) == (
        0,
        (
            "improved: cycles 90 (-10 against 100)\n"
            "  record  ID on plan/default\n"
            "  commit  OID (iter/0001-next)\n"
            "  cached  this commit was recorded before; --force measures it again\n"
            "  tag     best/90-next-i1\n"
        ),
        "known already: ID\n",
    )


def test_recording_as_json(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 90)
    done = lab.run("git-record", "--json", "--no-advance")
    document = json.loads(done.out)
    record = read_ledger(lab.repo, "default")[-1]
    assert (done.status, document) == (
        0,
        {
            "schema": "git-planner/recorded@1",
            "record": json.loads(json.dumps(record.document())),
            "cached": False,
            "cached_note": None,
            "excerpt": [],
            "advanced": False,
            "tag": None,
            "ledger": "refs/heads/plan/default",
            "logs": str(lab.repo.private("records", record.id)),
        },
    )
    assert documents.validate("record", document["record"]) == []


def test_an_invalid_record(recorded: Lab) -> None:
    done = recorded.run("git-record")
    assert (done.status, plain(done.out)) == (
        1,
        (
            "invalid: guarded paths changed: 'tests/bench.py'\n"
            "  record  ID on plan/default\n"
            "  commit  OID (iter/0003-next)\n"
            "  cached  this commit was recorded before; --force measures it again\n"
            "  broken  changed: tests/bench.py\n"
        ),
    )
    for record in read_ledger(recorded.repo, "default"):
        assert documents.validate("record", json.loads(json.dumps(record.document()))) == []


def test_printing_the_output(lab: Lab) -> None:
    project(lab)
    done = lab.run("git-record", "main", "--print-output")
    assert "--- cycles-1.stdout\nCYCLES: 100\n" in done.err
    assert (
        "--- correctness.stderr\ntest_is_positive (tests.test_value.ValueTest.test_is_positive) ... ok\n"
        in done.err
    )


def test_unmeasured_and_timeout_have_their_own_statuses(lab: Lab) -> None:
    project(
        lab,
        POLICY.replace("[python, tests/bench.py]", "[sh, -c, 'sleep 9']").replace("20}\nfam", "0.3}\nfam"),
    )
    done = lab.run("git-record", "main", "--json")
    assert (done.status, json.loads(done.out)["record"]["reason"]) == (124, "timeout")


def test_a_branch_that_is_called_like_a_command(lab: Lab) -> None:
    project(lab)
    lab.git("branch", "log", "main")
    assert lab.run("git-record", "log").out == "plan 'default' has no records yet; 'git record' adds one\n"
    done = lab.run("git-record", "--", "log")
    assert (done.status, plain(done.out).splitlines()[2]) == (0, "  commit  OID (log)")


def test_the_log(recorded: Lab) -> None:
    done = recorded.run("git-record", "log")
    assert (done.status, plain(done.out), done.err) == (
        0,
        (
            "record                     commit    branch          verdict   value  delta  why\n"
            "ID  OID  -               baseline    100\n"
            "ID  OID  iter/0001-next  improved     90    -10\n"
            "ID  OID  iter/0002-next  worse        95     +5\n"
            "ID  OID  iter/0003-next  invalid                 guarded paths changed\n"
        ),
        "",
    )
    last = recorded.run("git-record", "log", "-n", "1").out.splitlines()[1:]
    assert [row.split() for row in last] == [done.out.splitlines()[-1].split()]
    assert recorded.run("git-record", "log", "-n", "0").out.startswith("plan 'default' has no records")
    everything = recorded.run("git-record", "log", "--all").out.splitlines()
    assert [row.split()[0] for row in everything] == ["plan", *["default"] * 4]


def test_the_log_for_programs(recorded: Lab) -> None:
    records = read_ledger(recorded.repo, "default")
    document = json.loads(recorded.run("git-record", "log", "--json").out)
    assert document == {
        "schema": "git-planner/log@1",
        "plans": ["default"],
        "instrument_now": records[-1].instrument,
        "instrument_changes": [],
        "records": [json.loads(json.dumps(record.document())) for record in records],
    }
    rows = [json.loads(row) for row in recorded.run("git-record", "log", "--jsonl").out.splitlines()]
    assert [set(row) for row in rows] == [set(ROW), *[set(ROW) - {"notes"}] * 3]
    assert [(row["valid"], row["new_best"], row["cycles"], row["tests_diff_empty"]) for row in rows] == [
        (True, False, 100, True),
        (True, True, 90, True),
        (True, False, 95, True),
        (False, False, None, False),
    ]


def test_the_best(recorded: Lab) -> None:
    done = recorded.run("git-record", "best")
    assert (done.status, plain(done.out)) == (
        0,
        (
            "record ID (attempt of plan 'default')\n"
            "  improved: cycles 90 (-10 against 100)\n"
            "  commit       OID\n"
            "  base         OID\n"
            "  branch       iter/0001-next\n"
            "  tree         OID\n"
            "  patch id     OID\n"
            "  instrument   OID\n"
            "  its tests    OID\n"
            "  environment  OID\n"
            "  tests        2 of 2 passed\n"
            "  strategy     family:schedule, bold\n"
            "  hypothesis   a smaller value is smaller\n"
            "  directive    OID\n"
            "  agents       planner offline\n"
            "  seconds      …\n"
            "  created      2023-11-14T22:18:20Z\n"
            "  metric       cycles: median 90 cycles, spread 0, lower is better; samples 90\n"
            "  change       change the value\n"
            "  file         src/value.py\n"
        ),
    )
    assert json.loads(recorded.run("git-record", "best", "--json").out)["delta"] == -10.0


def test_no_best_yet(lab: Lab) -> None:
    done = lab.run("git-record", "best")
    assert (done.status, done.err) == (
        1,
        (
            "error: plan 'default' has no valid record yet (E_NO_RECORD)\n"
            "hint: measure a commit with 'git record'\n"
        ),
    )


def test_showing(recorded: Lab) -> None:
    best = read_ledger(recorded.repo, "default")[1]
    for name in (best.id, best.id[17:], best.id[17:22], "iter/best", best.commit, "best/90-next-i1"):
        done = recorded.run("git-record", "show", name, "--json")
        assert (done.status, json.loads(done.out)["id"]) == (0, best.id)
    for name, message in (
        ("nothing", "there is no record 'nothing', nor one of a commit of that name"),
        (best.id[:4], f"'{best.id[:4]}' could be any of 4 records"),
    ):
        done = recorded.run("git-record", "show", name)
        assert (done.status, done.err.splitlines()[0]) == (1, f"error: {message} (E_NO_RECORD)")


def test_comparing(recorded: Lab) -> None:
    done = recorded.run("git-record", "compare", "main", "iter/0002-next")
    assert (done.status, re.sub(" +", " ", plain(done.out))) == (
        0,
        (
            " A B\n"
            "record ID ID\n"
            "commit OID OID\n"
            "branch - iter/0002-next\n"
            "verdict baseline worse\n"
            "value cycles 100 cycles 95\n"
            "tests 2 of 2 passed 2 of 2 passed\n"
            "instrument OID OID\n"
            "environment OID OID\n"
            "B is better: -5 cycles, -5.00 %\n"
        ),
    )
    unlike = recorded.run("git-record", "compare", "main", "iter/0003-next", "--json")
    assert (unlike.status, json.loads(unlike.out)["unlike"].partition("' ")[2]) == (
        1,
        "has no valid measurement (guard)",
    )


def test_records_of_unlike_instruments_are_not_compared(recorded: Lab) -> None:
    recorded.git("checkout", "-q", "main")
    recorded.commit("other", {"tests/bench.py": "print('CYCLES: 3')\n"})
    assert recorded.run("git-record", "main").status == 0
    done = recorded.run("git-record", "compare", "main", "iter/0001-next")
    assert (done.status, done.out.splitlines()[-1]) == (
        1,
        "not comparable: they were measured by different instruments",
    )


def verified(ran: Ran) -> tuple[int, str]:
    return ran.status, plain(ran.out)


def test_verifying(recorded: Lab) -> None:
    before = recorded.refs()
    assert verified(recorded.run("git-record", "verify", "iter/best")) == (
        0,
        "record ID holds: cycles is 90 now and was 90 then\n",
    )
    assert verified(recorded.run("git-record", "verify", "main")) == (
        0,
        "record ID holds: cycles is 100 now and was 100 then\n",
    )
    assert verified(recorded.run("git-record", "verify", "iter/0003-next")) == (
        0,
        "record ID holds: refused again: 'tests/bench.py'\n",
    )
    assert recorded.refs() == before


def test_a_record_that_does_not_hold(recorded: Lab) -> None:
    ref = "refs/heads/plan/default"
    record = read_ledger(recorded.repo, "default")[1]
    path = f"experiments/records/{record.id}.json"
    metric = record.metrics[0]
    for changes, difference in (
        ({"metrics": [{**vars_of(metric), "median": 80.0}]}, "cycles is 90 now and was 80 then"),
        ({"tree": "0" * 40}, "another tree was measured then"),
        ({"verdict": "invalid", "reason": "incorrect"}, "it is valid now, and was not then (incorrect)"),
    ):
        recorded.rival(ref, path, json.dumps({**record.document(), **changes}, default=vars_of))
        assert verified(recorded.run("git-record", "verify", "iter/best")) == (
            1,
            f"record ID does not hold: {difference}\n",
        )
    done = recorded.run("git-record", "verify", "iter/0001-next~1")
    assert (done.status, done.err.splitlines()[0]) == (
        1,
        (
            "error: plan 'default' has no measurement of 'iter/0001-next~1' by the instrument of its base"
            " (E_NO_RECORD)"
        ),
    )


def vars_of(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def test_importing_an_older_log(lab: Lab) -> None:
    log = (
        b"\n".join([line(), b"", b"not json", line(iteration_id=6, cycles="many"), line(iteration_id=7)])
        + b"\n"
    )
    (lab.path / "log.jsonl").write_bytes(log)
    done = lab.run("git-record", "import", "log.jsonl", "--plan", "old")
    assert (done.status, done.out, done.err.splitlines()) == (
        1,
        "plan 'old': 2 records imported, 0 known already\n",
        [
            "not imported: 'log.jsonl:3' is not JSON: expecting value (line 1, column 1)",
            "not imported: 'log.jsonl:4' has no number at 'cycles'",
        ],
    )
    tip = lab.git("rev-parse", "plan/old")
    again = lab.run("git-record", "import", "-", "--plan", "old", "--json", stdin=line().decode())
    assert (again.status, json.loads(again.out)) == (
        0,
        {"schema": "git-planner/import@1", "plan": "old", "added": 0, "known": 1, "faults": []},
    )
    assert lab.git("rev-parse", "plan/old") == tip
    rows = [
        json.loads(row) for row in lab.run("git-record", "log", "--plan", "old", "--jsonl").out.splitlines()
    ]
    assert sorted(rows, key=lambda row: row["iteration_id"]) == [ROW, {**ROW, "iteration_id": 7}]
    lab.fsck()


def test_usage_errors_are_json_too(lab: Lab) -> None:
    done = lab.run("git-record", "nowhere", "--json")
    assert (done.status, json.loads(done.out)["code"]) == (2, "E_UNKNOWN_REF")
    assert lab.run("git-record", "import", "nowhere").status == 2
    assert lab.run("git-record", "log", "--plan", "No Name").status == 2


@pytest.mark.parametrize("argv", [(), ("--json",), ("--json", "one too many")])
def test_an_output_that_cannot_be_written_is_told_without_a_traceback(
    lab: Lab, argv: tuple[str, ...]
) -> None:
    code = "import sys; from git_planner import cli; sys.exit(cli.main('git-record', sys.argv[1:]))"
    for more in ("", " 2>/dev/full"):
        script = f'exec "$0" -c "$1" log "${{@:2}}" >/dev/full{more}'
        ran = lab.run_program("bash", "-c", script, sys.executable, code, *argv)
        assert (ran.status, "Traceback" in ran.err) == (2 if len(argv) > 1 else 4, False)
        assert more or len(argv) > 1 or ran.err.startswith("error: no space left on the disk (E_NO_SPACE)")
