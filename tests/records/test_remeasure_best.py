"""After a merged proposal the best is measured again by itself; instruments are never mixed."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.hooks import install, uninstall
from git_planner.flows.iterations.iterate import IterateOptions, iterate
from git_planner.flows.records.ledger import read_ledger
from git_planner.flows.records.record import record_commit
from git_planner.flows.records.remeasure_best import find_outdated_best, remeasure_best
from git_planner.gitio import history
from git_planner.rules.records.ranking import attempts_since_best
from git_planner.rules.records.record import Record
from tests.support.benchmark_project import BENCH, TEST, attempt, project
from tests.support.lab import Lab
from tests.support.small_campaign import agent, campaign, hush
from tests.support.small_campaign import attempt as trial

# By the old benchmark 60 is best; by the new one, which adds what lies beside it, too.
NEWER = BENCH.replace('"CYCLES:", VALUE', '"CYCLES:", VALUE + 1000')
EVEN = TEST + "\n    def test_is_no_60(self):\n        self.assertNotEqual(VALUE, 60)\n"


def attempted(lab: Lab, number: int, value: int, base: str = "main") -> str:
    """An iteration with one commit, its start written without hooks; they are there for all that follows."""
    uninstall.uninstall_hooks(lab.repo)
    commit = attempt(lab, number, value, base)
    install.install_hooks(lab.repo)
    return commit


def best_of_60(lab: Lab) -> str:
    """A project with hooks whose rolling best has the value 60, measured by the first instrument."""
    project(lab)
    commit = attempted(lab, 1, 60)
    assert record_commit(lab.repo, "HEAD", progress=hush).advanced
    lab.git("checkout", "-q", "main")
    return commit


def proposed_and_merged(lab: Lab, files: dict[str, str], others: dict[str, str] | None = None) -> str:
    """Change guarded files the reviewed way; the new tip of main."""
    for path, text in files.items():
        (lab.path / path).write_text(text)
    result = lab.run("git-planner", "guard", "propose", "-m", "Measure more", "--json")
    lab.git("restore", "tests")
    lab.git("merge", "-q", "--ff-only", json.loads(result.out)["branch"])
    return lab.commit("more", others) if others else lab.git("rev-parse", "HEAD")


def rows(lab: Lab) -> list[Record]:
    """The plan's records."""
    return read_ledger(lab.repo, "default")


def test_the_best_is_measured_before_the_candidate(lab: Lab) -> None:
    old = best_of_60(lab)
    base = proposed_and_merged(lab, {"tests/bench.py": NEWER}, {"docs/news.md": "news\n"})
    attempted(lab, 2, 70)
    result = lab.run("git-record")
    assert "it is measured again" in result.err
    first, second, baseline, again, candidate = rows(lab)
    assert first.instrument == second.instrument != baseline.instrument
    assert {record.instrument for record in (baseline, again, candidate)} == {baseline.instrument}
    assert (baseline.kind, baseline.commit, baseline.value) == ("baseline", base, 1100.0)
    assert (again.verdict, again.value, again.best_before, again.base) == ("improved", 1060.0, 1100.0, base)
    assert (candidate.verdict, candidate.best_before, candidate.delta) == ("worse", 1060.0, 10.0)
    assert any(again.id in note for note in candidate.notes)
    # The rolling best went forward, with the new guard and all else that is new.
    best = lab.git("rev-parse", "iter/best")
    assert (again.commit, again.iteration) == (best, 1)
    assert history.parents(lab.repo.git, best) == [old, base]
    assert lab.git("diff", "--name-only", "main", best).split() == [".advisor/state.json", "src/value.py"]
    assert lab.run("git-planner", "check", "--range", f"main..{best}").status == 0
    assert find_outdated_best(lab.repo, "default", None) is None
    assert lab.run("git-record").status == 0
    assert len(rows(lab)) == 5


def test_the_log_shows_where_the_instrument_changed(lab: Lab) -> None:
    best_of_60(lab)
    assert not [line for line in lab.run("git-record", "log").out.splitlines() if line.startswith("--")]
    proposed_and_merged(lab, {"tests/bench.py": NEWER})
    mark = lab.run("git-record", "log").out.splitlines()[-1]
    now = json.loads(lab.run("git-record", "log", "--json").out)["instrument_now"]
    assert mark.startswith(f"-- the base branch has another instrument now: {now[:12]};")
    attempted(lab, 2, 70)
    record_commit(lab.repo, "HEAD", progress=hush)
    old, new = rows(lab)[0].instrument, rows(lab)[-1].instrument
    lines = lab.run("git-record", "log").out.splitlines()
    assert lines[3] == f"-- another instrument from here on: {str(new)[:12]}, before it {str(old)[:12]}"
    assert [line for line in lines if line.startswith("--")] == [lines[3]]
    document = json.loads(lab.run("git-record", "log", "--json").out)
    assert document["instrument_changes"] == [
        {"record": rows(lab)[2].id, "plan": "default", "before": old, "instrument": new}
    ]
    assert new == now == document["instrument_now"]
    marked = lab.run("git-record", "log", "--all").out.splitlines()[3]
    assert marked.startswith("-- another instrument of plan 'default' from here on: ")


def test_an_iteration_starts_from_the_renewed_best(lab: Lab) -> None:
    campaign(lab)
    trial(lab, "echo 60 >value")
    lab.commit("stricter", {"tests/test_it": "guarded more\n"})
    result = trial(lab, "echo 50 >value")
    assert (result.record.verdict, result.record.best_before, result.advanced) == ("improved", 60.0, True)
    assert lab.show(f"{result.state.base}:tests/test_it") == "guarded more\n"
    assert lab.show(f"{result.state.base}:value") == "60\n"
    kinds = [(record.kind, record.value) for record in rows(lab)]
    assert kinds == [("baseline", 100), ("attempt", 60), ("baseline", 100), ("attempt", 60), ("attempt", 50)]


def test_what_the_new_tests_refuse_is_not_built_on(lab: Lab) -> None:
    old = best_of_60(lab)
    proposed_and_merged(lab, {"tests/test_value.py": EVEN})
    attempted(lab, 2, 70)
    record = record_commit(lab.repo, "HEAD", progress=hush).record
    again = rows(lab)[-2]
    assert (again.verdict, again.reason) == ("invalid", "incorrect")
    assert (record.verdict, record.best_before) == ("improved", 100.0)
    assert lab.git("diff", "--name-only", "main", "iter/best") == ""
    assert history.is_ancestor(lab.repo.git, old, "iter/best")


def test_a_best_that_was_merged_is_the_base(lab: Lab) -> None:
    old = best_of_60(lab)
    lab.git("merge", "-q", "--no-ff", "-m", "the best", old)
    tip = proposed_and_merged(lab, {"tests/bench.py": NEWER})
    attempted(lab, 2, 50)
    result = record_commit(lab.repo, "HEAD", progress=hush)
    assert lab.git("rev-parse", "iter/best") == result.record.commit
    assert (result.record.best_before, result.record.base, result.advanced) == (1060.0, tip, True)


def test_what_does_not_merge_is_said_and_settled_by_hand(lab: Lab) -> None:
    old = best_of_60(lab)
    proposed_and_merged(lab, {"tests/bench.py": NEWER}, {"src/value.py": "VALUE = 90\n"})
    attempted(lab, 2, 70)
    record = record_commit(lab.repo, "HEAD", progress=hush).record
    assert (record.verdict, record.best_before) == ("improved", 1090.0)
    assert any("was not measured again" in note for note in record.notes)
    assert lab.git("rev-parse", "iter/best") == old
    with pytest.raises(PlannerError) as caught:
        iterate(lab.repo, IterateOptions(planner="offline", implementer="command"), hush)
    assert (caught.value.code, caught.value.details) == ("E_MERGE", ("src/value.py",))
    lab.git("checkout", "-q", "iter/best")
    lab.git("merge", "-q", "-X", "ours", "-m", "by hand", "main")
    assert find_outdated_best(lab.repo, "default", None) is None


def test_older_bases_and_equal_instruments_renew_nothing(lab: Lab) -> None:
    best_of_60(lab)
    first = lab.git("rev-parse", "main")
    lab.commit("code", {"docs/news.md": "news\n"})
    assert find_outdated_best(lab.repo, "default", None) is None
    proposed_and_merged(lab, {"tests/bench.py": NEWER})
    assert find_outdated_best(lab.repo, "default", first) is None
    assert find_outdated_best(lab.repo, "default", None) is not None
    attempted(lab, 2, 70, first)
    assert record_commit(lab.repo, "HEAD", progress=hush).record.best_before == 60.0
    assert len({record.instrument for record in rows(lab)}) == 1


def changed_policy(lab: Lab, old: str, new: str) -> str:
    """Change the policy on the base branch; its new tip."""
    text = lab.show("main:.git-planner.yml")
    assert old in text
    lab.git("checkout", "-q", "main")
    return lab.commit("policy", {".git-planner.yml": text.replace(old, new)})


def test_a_new_policy_counts_for_the_next_iteration(lab: Lab) -> None:
    campaign(lab)
    trial(lab, "echo 60 >value")
    changed_policy(lab, "schema:", "stop: {count: 1}\nschema:")
    result = trial(lab, "echo 50 >value")
    assert (result.record.verdict, result.record.best_before, result.advanced) == ("improved", 60.0, True)
    assert "stop: {count: 1}" in lab.show(f"{result.state.base}:.git-planner.yml")
    assert lab.show(f"{result.state.base}:value") == "60\n"
    assert find_outdated_best(lab.repo, "default", None) is None
    assert [record.value for record in rows(lab)] == [100, 60, 60, 50]
    # The best measured again is no further attempt, and its iteration is still one that improved.
    assert rows(lab)[2].verdict == "within_noise"
    assert attempts_since_best(rows(lab)[:3]) == 0
    listed = json.loads(lab.run("git-iterate", "list", "--json").out)["iterations"]
    assert [(row["verdict"], row["value"]) for row in listed] == [("improved", 60), ("improved", 50)]


def test_what_a_new_policy_refuses_is_not_built_on(lab: Lab) -> None:
    best_of_60(lab)
    changed_policy(lab, 'allow: ["src/**"]', 'allow: ["docs/**"]')
    attempted(lab, 2, 70)
    record = record_commit(lab.repo, "HEAD", progress=hush).record
    again = rows(lab)[-2]
    assert (again.verdict, again.reason) == ("invalid", "scope")
    assert (record.verdict, record.reason) == ("invalid", "scope")
    assert lab.git("diff", "--name-only", "main", "iter/best") == ""


def test_a_best_that_the_base_s_news_make_worse_stays(lab: Lab) -> None:
    campaign(lab)
    lab.commit("more costs", {"notes/costs": "0\n"})
    changed_policy(lab, "run: [cat, value]", "run: [sh, -c, 'expr $(cat value) + $(cat notes/costs)']")
    trial(lab, "echo 60 >value")
    best = lab.git("rev-parse", "iter/best")
    lab.commit("more costs", {"notes/costs": "5\n"})
    changed_policy(lab, "schema:", "stop: {count: 1}\nschema:")
    messages: list[str] = []
    result = remeasure_best(lab.repo, "default", None, messages.append)
    assert result is not None
    assert (result.record.verdict, result.record.value) == ("worse", 65)
    assert lab.git("rev-parse", "iter/best") == best
    assert messages[-1].startswith("'iter/best' stays where it is, with its older policy")


def test_leaving_the_best_alone_renews_nothing(lab: Lab) -> None:
    old = best_of_60(lab)
    proposed_and_merged(lab, {"tests/bench.py": NEWER})
    attempted(lab, 2, 70)
    assert record_commit(lab.repo, "HEAD", advance=False, progress=hush).record.best_before == 1100.0
    assert lab.git("rev-parse", "iter/best") == old


def test_what_cannot_be_measured_stays(lab: Lab) -> None:
    campaign(lab)
    trial(lab, "echo 60 >value")
    before = lab.git("rev-parse", "iter/best")
    lab.commit("gone", {".git-planner.yml": lab.show("main:.git-planner.yml").replace("cat,", "no-such,")})
    agent(lab, "true")
    assert find_outdated_best(lab.repo, "default", None) is not None
    iterate(lab.repo, IterateOptions(), hush)
    assert lab.git("rev-parse", "iter/best") == before


def test_two_who_measure_it_again_at_once_make_the_same_commit(lab: Lab) -> None:
    old = best_of_60(lab)
    base = proposed_and_merged(lab, {"tests/bench.py": NEWER})
    attempted(lab, 2, 70)
    attempted(lab, 3, 75)
    with ThreadPoolExecutor(2) as pool:
        branches = ("iter/0002-next", "iter/0003-next")
        ran = list(pool.map(lambda branch: lab.spawn("git-record", branch), branches))
    assert [process.status for process in ran] == [0, 0], [process.err for process in ran]
    best = lab.git("rev-parse", "iter/best")
    assert history.parents(lab.repo.git, best) == [old, base]
    assert {record.commit for record in rows(lab) if record.iteration == 1} == {old, best}
    last = {record.branch: (record.verdict, record.best_before) for record in rows(lab)[-2:]}
    assert last == dict.fromkeys(branches, ("worse", 1060.0))


def test_a_broken_off_renewal_is_taken_up_again(lab: Lab) -> None:
    """Killed at some of git's calls; the next one does what is left, and nothing twice."""
    old = best_of_60(lab)
    base = proposed_and_merged(lab, {"tests/test_value.py": EVEN})
    attempted(lab, 2, 70)
    for call in (40, 80, 110):
        lab.spawn("git-record", **lab.crash_after(call))
        lab.fsck()
    assert record_commit(lab.repo, "HEAD", progress=hush).record.verdict == "improved"
    records = rows(lab)[2:]
    assert [(record.kind, record.iteration, record.verdict) for record in records] == [
        ("baseline", None, "baseline"),
        ("attempt", 1, "invalid"),
        ("attempt", 2, "improved"),
    ]
    assert history.parents(lab.repo.git, "iter/best") == [old, base]
    assert find_outdated_best(lab.repo, "default", None) is None
