"""The complete loop on a real library with the real codex: plan, edit, measure, refuse, advance, publish.

A fixture runs all commands once, as processes, with a scripted service on the loopback interface; each test
checks one aspect of the result.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import git
import pytest

from git_planner import documents
from tests.real import library
from tests.real.conftest import Place
from tests.real.library import CHEAT, ROOT, SEARCH, UPPER, WALK
from tests.support.lab import Lab, Ran
from tests.support.servers.openai_responses import Server, answers, codex_home, patches, runs, says, serving

pytestmark = [pytest.mark.real, pytest.mark.alone]

TURNS = (
    *(answers(WALK.directive), patches(WALK.patch), says("The walk makes no calls now.")),
    *(answers(UPPER.directive), runs(UPPER.command), says("Keywords are compared as given.")),
    *(answers(CHEAT.directive), patches(CHEAT.patch), says("The test agrees now.")),
    *(answers(SEARCH.directive), patches(SEARCH.patch), says("The search asks the type.")),
    *(patches(ROOT.patch), says("Parents are assigned.")),
)
PLANNING = (0, 3, 6, 9)  # indexes of the planners' requests
NAMES = ("0001-walk", "0002-go-on", "0003-go-on", "0004-search", "0005-by-hand")
LOOPED = ("upper", "cheat")  # the attempts of the loop


@dataclass
class Story:
    """A finished run of all commands: the place, the service, and the result of each command by name."""

    place: Place
    server: Server
    env: Mapping[str, str]
    main: str
    ran: dict[str, Ran] = field(default_factory=dict)

    @property
    def lab(self) -> Lab:
        """Return the laboratory."""
        return self.place.lab

    def git(self, *words: str, **env: str) -> Ran:
        """Run a git-planner command as a user does: 'git iterate …', found on PATH by git."""
        return self.lab.run_program("git", *words, env={**self.env, **env})

    def play(self, name: str, *words: str, status: int = 0, **env: str) -> None:
        """Run a command of the story and keep its result."""
        ran = self.git(*words, **env)
        assert ran.status == status, (name, ran.status, ran.out[-3000:], ran.err[-6000:])
        self.ran[name] = ran

    def document(self, name: str) -> Any:
        """Return the JSON document that a command printed; for an attempt of the loop, its part."""
        if name in LOOPED:
            return self.document("loop")["attempts"][LOOPED.index(name)]
        return json.loads(self.ran[name].out)

    def record(self, name: str) -> dict[str, Any]:
        """Return the record that an iteration of the story printed."""
        record: dict[str, Any] = self.document(name)["record"]
        return record


@pytest.fixture(scope="module")
def story(place: Place, sqlparse: Path, codex: Path) -> Iterator[Story]:
    """Run all commands of the story."""
    lab = place.lab
    library.unpack(lab, sqlparse)
    main = lab.git("rev-parse", "main")
    with serving(*TURNS) as server:
        home = codex_home(place.folder / "codex", server.port)
        keyed = codex_home(place.folder / "codex-api", server.port) / "config.toml"
        keyed.write_text(keyed.read_text().replace("STUB_API_KEY", "CODEX_API_KEY"))
        env = {
            "GIT_PLANNER_CODEX": str(codex),
            "GIT_PLANNER_CODEX_HOME": str(home),
            "GIT_PLANNER_CODEX_HOME_API": str(keyed.parent),
            "STUB_API_KEY": "of-the-stub",
        }
        story = Story(place, server, env, main)
        story.play("init", "planner", "init", "--no-try", "--json")
        with lab.undisturbed(allow=NAMES):
            play(story)
        yield story


def play(story: Story) -> None:
    """Run the commands of the story."""
    iterate = ("iterate", "--impl", "codex", "--json")
    story.play("walk", *iterate, "--planner", "codex", "--slug", "walk")
    story.play(
        "loop", *iterate, "--planner", "codex", "--slug", "go-on", "--loop", "--max-attempts", "2", status=1
    )
    story.play("search", *iterate, "--planner", "api", "--slug", "search", CODEX_API_KEY="of-the-person")
    story.play("pack", "plan", "manual", "pack", "--slug", "by-hand", "--json")
    pasted = story.place.folder / "pasted.txt"
    pasted.write_text(f"Certainly!\n\n```json\n{json.dumps(ROOT.directive, indent=2)}\n```\n")
    story.play("apply", "plan", "manual", "apply", "--file", str(pasted), "--json")
    story.play("by-hand", "iterate", "resume", "5", "--impl", "codex", "--json")


def test_the_planner_was_asked_for_a_strict_directive(story: Story) -> None:
    requests = [story.server.script.requests[place] for place in PLANNING]
    for request in requests:
        form = request["text"]["format"]
        assert (form["type"], form["strict"]) == ("json_schema", True)
        families = form["schema"]["properties"]["strategy_family"]["enum"]
        strict = documents.strict_schema("directive", families=["inline", "cache", "data_layout"])
        assert families
        assert set(families) <= set(strict["properties"]["strategy_family"]["enum"])
        strict["properties"]["strategy_family"]["enum"] = families
        assert form["schema"] == strict
    assert len(story.server.script.requests) == len(TURNS)
    assert all(request["model"] == "gpt-5.5" for request in story.server.script.requests)
    keys = story.server.script.keys
    assert keys == [*["of-the-stub"] * 9, "of-the-person", *["of-the-stub"] * 4]


def test_first_attempt_is_better_and_becomes_the_best(story: Story) -> None:
    lab, record = story.lab, story.record("walk")
    assert (record["verdict"], record["reason"]) == ("improved", None)
    assert record["delta"] < 0
    assert record["tests"] == {
        **record["tests"],
        "collected": library.TESTS_COLLECTED,
        "passed": library.TESTS_PASSED,
        "failed": 0,
        "skipped": 2,
    }
    (measured,) = record["metrics"]
    assert measured["samples"] == [measured["median"]] * 2
    assert record["best_before"] - measured["median"] == -record["delta"]
    assert record["files"] == ["sqlparse/sql.py"]
    assert sum(record["usage"].values()) == 3 * 120
    assert lab.show("iter/0001-walk:sqlparse/sql.py") == lab.show("main:sqlparse/sql.py").replace(
        WALK.old, WALK.new
    )
    assert story.document("walk")["advanced"] is True


def test_second_attempt_breaks_a_test_and_the_next_packet_says_so(story: Story) -> None:
    record = story.record("upper")
    assert (record["verdict"], record["reason"]) == ("invalid", "incorrect")
    assert "test_issue34" in record["summary"]
    assert story.document("upper")["advanced"] is False
    assert UPPER.new.strip() in story.lab.show("iter/0002-go-on:sqlparse/sql.py")
    prompt = story.server.script.prompts()[PLANNING[2]]
    assert "test_issue34" in prompt
    assert "incorrect" in prompt
    assert UPPER.objective in prompt
    packet = json.loads(story.lab.show("plan/default:planner_packets/0003/packet.json"))
    assert packet["base"] == story.record("walk")["commit"]


def test_an_invalid_attempt_does_not_end_the_loop(story: Story) -> None:
    looped = story.document("loop")
    assert [attempt["iteration"] for attempt in looped["attempts"]] == [2, 3]
    assert looped["stopped"] == "2 of 2 attempts are done"
    assert looped["failures"] == []
    assert looped["best_before"] == looped["best_after"] == story.record("walk")["metrics"][0]["median"]
    assert looped["tokens"] == 2 * 3 * 120


def test_third_attempt_edits_tests_and_is_refused(story: Story) -> None:
    lab, record = story.lab, story.record("cheat")
    assert (record["verdict"], record["reason"]) == ("invalid", "guard")
    assert any(CHEAT.path in violation for violation in record["violations"])
    kept = lab.git("rev-parse", "refs/planner/refused/0003")
    assert record["commit"] == kept
    assert lab.git("diff", "--name-only", f"{kept}~1", kept) == CHEAT.path
    start = lab.git("rev-parse", "refs/planner/iterations/0003")
    assert lab.git("rev-parse", "iter/0003-go-on") == start
    assert lab.git("diff", "--name-only", f"{start}~1", start) == ".advisor/state.json"


def test_fourth_attempt_is_planned_with_an_api_key_and_becomes_the_best(story: Story) -> None:
    lab, record = story.lab, story.record("search")
    assert record["verdict"] == "improved"
    assert record["agents"]["planner"]["name"] == "api"
    merge_base = lab.git("merge-base", "iter/0004-search", "iter/0001-walk")
    assert merge_base == story.record("walk")["commit"]
    kept = (lab.path / ".git" / "planner").rglob("*")
    texts = [path.read_bytes() for path in kept if path.is_file()]
    assert texts
    assert not [text for text in texts if b"of-the-person" in text or b"of-the-stub" in text]


def test_an_answer_pasted_by_a_person_is_carried_out(story: Story) -> None:
    record = story.record("by-hand")
    assert record["verdict"] == "improved"
    assert record["agents"]["planner"]["name"] == "manual"
    assert story.lab.git("rev-parse", "iter/best") == record["commit"]


def test_the_ledger_has_every_attempt(story: Story) -> None:
    lab = story.lab
    rows = [json.loads(line) for line in story.git("record", "log", "--jsonl").out.splitlines()]
    assert len(rows) == 6
    story_rows = json.loads(story.git("record", "log", "--json").out)
    assert len(story_rows["records"]) == 6
    attempts = [row for row in story_rows["records"] if row["kind"] == "attempt"]
    verdicts = [(attempt["iteration"], attempt["verdict"], attempt["reason"]) for attempt in attempts]
    assert verdicts == [
        (1, "improved", None),
        (2, "invalid", "incorrect"),
        (3, "invalid", "guard"),
        (4, "improved", None),
        (5, "improved", None),
    ]
    best = json.loads(story.git("record", "best", "--json").out)
    assert story.record("by-hand")["id"] in json.dumps(best)
    tags = lab.git("for-each-ref", "--format=%(refname:short) %(objecttype)", "refs/tags").splitlines()
    values = {
        attempt["iteration"]: int(attempt["metrics"][0]["median"])
        for attempt in attempts
        if attempt["metrics"]
    }
    named = {1: "walk", 4: "search", 5: "by-hand"}
    assert sorted(tags) == sorted(f"best/{values[n]}-{slug}-i{n} tag" for n, slug in named.items())
    assert values[5] < values[4] < values[1]


def test_commits_have_trailers_of_their_origin(story: Story) -> None:
    for name, branch in (("walk", "iter/0001-walk"), ("upper", "iter/0002-go-on")):
        body = story.lab.git("log", "-1", "--format=%(trailers:only,unfold)", branch)
        trailers = dict(line.split(": ", 1) for line in body.splitlines() if line)
        assert trailers["Planner-Directive"] == story.record(name)["directive"]
        assert trailers["Planner-Run"] == branch
        assert trailers["Assisted-by"] == "codex:gpt-5.5"


def test_commands_that_inspect(story: Story) -> None:
    walk, search = story.record("walk"), story.record("search")
    shown = json.loads(story.git("record", "show", walk["id"], "--json").out)
    assert walk["commit"] in json.dumps(shown)
    compared = json.loads(story.git("record", "compare", "iter/0001-walk", "iter/0004-search", "--json").out)
    gain = search["metrics"][0]["median"] - walk["metrics"][0]["median"]
    assert gain in list(numbers(compared))
    listed = json.loads(story.git("iterate", "list", "--json").out)
    assert [entry["phase"] for entry in listed["iterations"]] == ["recorded"] * 5
    why = json.loads(story.git("iterate", "why", "iter/0003-go-on", "--json").out)
    assert why["record"]["reason"] == "guard"
    why = json.loads(story.git("iterate", "why", "sqlparse/sql.py", "--json").out)
    assert why["iteration"] is None
    for argv in (["record", "log"], ["iterate", "list"], ["iterate", "show", "2"], ["plan", "status"]):
        ran = story.git(*argv)
        assert (ran.status, bool(ran.out.strip())) == (0, True), ran.err


def test_verify_measures_again_and_agrees(story: Story) -> None:
    ran = story.git("record", "verify", "iter/best", "--json")
    assert ran.status == 0, ran.err
    assert story.record("by-hand")["id"] in ran.out
    again = story.git("record", "iter/0004-search", "--json")
    assert again.status == 0, again.err
    assert json.loads(again.out)["cached"] is True


def test_publish_makes_one_clean_commit(story: Story) -> None:
    lab = story.lab
    ran = story.git("iterate", "publish", "best", "--json")
    assert ran.status == 0, ran.err
    branch = json.loads(ran.out)["branch"]
    assert lab.git("rev-parse", f"{branch}~1") == story.main
    assert lab.git("diff", "--name-only", f"{branch}~1", branch).splitlines() == ["sqlparse/sql.py"]
    code = lab.show("main:sqlparse/sql.py")
    for change in (WALK, SEARCH, ROOT):
        code = code.replace(change.old, change.new)
    assert lab.show(f"{branch}:sqlparse/sql.py") == code
    trailers = lab.git("log", "-1", "--format=%(trailers:only,unfold)", branch)
    assert "Planner-Run: iter/0005-by-hand" in trailers


def test_gitpython_reads_the_same(story: Story) -> None:
    repo = git.Repo(story.lab.path)
    heads = {head.name: head for head in repo.heads}
    assert {"main", "plan/default", "iter/best", *(f"iter/{name}" for name in NAMES)} <= set(heads)
    assert heads["main"].commit.hexsha == story.main
    ledger = heads["plan/default"].commit.tree / "experiments" / "records"
    records = [json.loads(blob.data_stream.read()) for blob in ledger.blobs]
    assert {record["schema"] for record in records} == {"git-planner/record@1"}
    assert all(documents.validate("record", record) == [] for record in records)
    by_iteration = {record["iteration"]: record for record in records if record["kind"] == "attempt"}
    assert sorted(by_iteration) == [1, 2, 3, 4, 5]
    for number, name in enumerate(("walk", "upper", "cheat", "search", "by-hand"), 1):
        assert by_iteration[number] == story.record(name)
        assert repo.commit(by_iteration[number]["commit"]).hexsha == by_iteration[number]["commit"]
        first = repo.commit(f"refs/planner/iterations/{number:04d}")
        assert list(first.stats.files) == [".advisor/state.json"]
        state = json.loads((first.tree / ".advisor" / "state.json").data_stream.read())
        assert state["directive_digest"] == by_iteration[number]["directive"]
    best = heads["iter/best"].commit
    assert best.hexsha == by_iteration[5]["commit"]
    assert {tag.commit.hexsha for tag in repo.tags} == {by_iteration[n]["commit"] for n in (1, 4, 5)}
    assert "Assisted-by: codex:gpt-5.5" in str(best.message)
    changed = repo.commit(story.main).diff(best, paths=["tests", "benchmarks", ".git-planner.yml"])
    assert list(changed) == []


def test_nothing_is_left_behind(story: Story) -> None:
    # codex keeps its list of mounts there, one per user, and never removes it.
    assert [name for name in story.place.leftovers() if not name.startswith("codex-bwrap-")] == []
    with subprocess.Popen(["sleep", "60"], env=story.lab.env) as process:
        assert story.place.processes() == ["sleep 60"]
        process.kill()
    story.lab.fsck()
    assert story.lab.git("status", "--porcelain") == ""
    assert story.lab.git("rev-parse", "HEAD") == story.main
    pruned = story.git("iterate", "prune", "--json")
    assert pruned.status == 0, pruned.err
    for ran in story.ran.values():
        assert not re.search(r"Traceback|E_INTERNAL", ran.err), ran.err


def numbers(value: Any) -> Iterator[float]:
    """Yield every number in a document."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value
