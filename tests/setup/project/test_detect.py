"""Projects of many languages, and the policies that they get."""

from __future__ import annotations

import json

import pytest

from git_planner.config.policy_file import parse_policy
from git_planner.rules.setup.detect_benchmarks import suggest_metrics
from git_planner.rules.setup.detect_steps import suggest_steps
from git_planner.rules.setup.detect_tests import detect_tests
from git_planner.rules.setup.policy_text import policy_text
from git_planner.rules.setup.project import Project
from git_planner.rules.setup.test_files import guard_patterns, is_test_file

PYTEST = "import pytest\ndef test_a(): pass\n"
UNITTEST = "import unittest\n"
BUILD = "cmake -S . -B build && cmake --build build && ctest --test-dir build --output-junit"


def package(script: str = "", **dependencies: str) -> str:
    """Return a package.json."""
    return json.dumps({"scripts": {"test": script} if script else {}, "devDependencies": dependencies})


@pytest.mark.parametrize(
    ("files", "name", "run", "proof", "guard"),
    [
        (
            {"tests/test_a.py": PYTEST, "a.py": ""},
            *("pytest", "python -m pytest -q tests", "junit", ["tests/**"]),
        ),
        (
            {"test/test_a.py": PYTEST, "src/x/__init__.py": "", "pyproject.toml": "[tool.pytest]"},
            *(
                "pytest",
                "env PYTHONPATH=src python -m pytest -q test",
                "junit",
                ["test/**", "pyproject.toml"],
            ),
        ),
        (
            {
                "src/x/__init__.py": "",
                "src/x/test_a.py": PYTEST,
                "pyproject.toml": "[tool.pytest.ini_options]\ntestpaths=['src']\npythonpath=['src']",
            },
            *("pytest", "python -m pytest -q", "junit", ["**/test_*.py", "pyproject.toml"]),
        ),
        (
            {"tests/__init__.py": "", "tests/test_a.py": UNITTEST},
            *("unittest", "python -m unittest discover -v -s tests -t .", "unittest", ["tests/**"]),
        ),
        (
            {"test_a.py": UNITTEST},
            *("unittest", "python -m unittest discover -v", "unittest", ["**/test_*.py"]),
        ),
        (
            {"package.json": package("jest --ci", jest="1"), "a.test.js": "", "package-lock.json": ""},
            *("jest", "npx --no jest --ci", "jest", ["**/*.test.*", "package.json", "package-lock.json"]),
        ),
        (
            {"package.json": package(vitest="1"), "test/a.spec.ts": "", "vitest.config.ts": ""},
            *("vitest", "npx --no vitest run --reporter=json --outputFile={proof}", "jest"),
            ["test/**", "package.json", "vitest.config.ts"],
        ),
        (
            {"package.json": package("npm run lint && nyc mocha 'test/*.js'"), "test/a.js": ""},
            *("mocha", "npx --no mocha test/*.js --reporter tap", "tap", ["test/**", "package.json"]),
        ),
        (
            {"package.json": package("NODE_ENV=test ava"), "test/a.js": ""},
            *("ava", "npx --no ava --tap", "tap", ["test/**", "package.json"]),
        ),
        (
            {"package.json": package("node test/index.js", tape="5"), "test/index.js": ""},
            *("tape", "node test/index.js", "tape", ["test/**", "package.json"]),
        ),
        (
            {"package.json": package("node --test"), "a.test.mjs": ""},
            *("node", "node --test", "node", ["**/*.test.*", "package.json"]),
        ),
        (
            {
                "package.json": json.dumps(
                    {"scripts": {"test": "npm run lint && npm run unit", "unit": "c8 --100 node --test"}}
                ),
                "test/a.test.js": "",
            },
            *("node", "node --test", "node", ["test/**", "package.json"]),
        ),
        (
            # The generator that a project in C brings along has tests in Ruby.
            {
                "CMakeLists.txt": "enable_testing()",
                "tests/a.c": "",
                "tests/unity/test/spec/a_spec.rb": "",
                "tests/unity/test/test_a.rb": "",
            },
            *("ctest", f'sh -c {BUILD} "$0" {{proof}}', "ctest", ["tests/**", "CMakeLists.txt"]),
        ),
        (
            {"package.json": package("./run.sh | tee log"), "yarn.lock": "", "test/a.js": ""},
            *("npm", "yarn run test", "exit-status", ["test/**", "package.json", "yarn.lock"]),
        ),
        (
            {"Cargo.toml": "", "Cargo.lock": "", "src/lib.rs": "", "tests/a.rs": "", "src/tests.rs": ""},
            *(
                "cargo",
                "cargo test --locked --no-fail-fast",
                "cargo",
                ["tests/**", "**/tests.rs", "Cargo.toml", "Cargo.lock"],
            ),
        ),
        (
            {"go.mod": "", "go.sum": "", "a.go": "", "a_test.go": "", "x/testdata/a.json": ""},
            *("go", "go test -json ./...", "go", ["**/*_test.go", "go.mod", "go.sum", "**/testdata/**"]),
        ),
        (
            {"pom.xml": "", "mvnw": "", "src/test/java/ATest.java": "", "src/main/java/A.java": ""},
            *("maven", "./mvnw -B -o test", "junit", ["src/test/**", "pom.xml"]),
        ),
        (
            {"build.gradle.kts": "", "src/test/kotlin/ATest.kt": ""},
            *("gradle", "gradle --offline test", "junit", ["src/test/**", "build.gradle.kts"]),
        ),
        (
            {"A.sln": "", "A.Tests/A.Tests.csproj": "", "A.Tests/OneTests.cs": ""},
            *("dotnet", "dotnet test --logger trx", "trx", ["A.Tests/**"]),
        ),
        (
            {"Gemfile": "", "Gemfile.lock": "", "spec/a_spec.rb": ""},
            *("rspec", "bundle exec rspec", "rspec", ["spec/**", "Gemfile", "Gemfile.lock"]),
        ),
        (
            {"composer.json": '{"require-dev": {"phpunit/phpunit": "9"}}', "tests/ATest.php": ""},
            *("phpunit", "vendor/bin/phpunit tests", "phpunit", ["tests/**", "composer.json"]),
        ),
        (
            {"meson.build": "test('a', exe)", "tests/a.c": ""},
            *(
                "meson",
                "sh -c meson setup build && meson test -C build",
                "junit",
                ["tests/**", "meson.build"],
            ),
        ),
        (
            {"Makefile": "all:\n\ncheck: all\n\t./t.sh\n", "test/t.sh": ""},
            *("make", "make check", "exit-status", ["test/**", "Makefile"]),
        ),
    ],
)
def test_a_project_and_its_tests(
    files: dict[str, str], name: str, run: str, proof: str, guard: list[str]
) -> None:
    project = Project(tuple(files), files)
    tests = detect_tests(project)[0]
    assert (tests.name, " ".join(tests.run), tests.proof) == (name, run, proof)
    assert list(tests.guard) == guard
    policy = parse_policy(policy_text("main", tests, suggest_metrics(project)).encode(), "policy")
    assert policy.correctness is not None
    assert (policy.correctness.run, policy.guard) == (tests.run, tests.guard)


def test_scripts_that_call_each_other_are_no_runner() -> None:
    scripts = {"test": "npm run unit", "unit": "npm test"}
    files = {"package.json": json.dumps({"scripts": scripts})}
    assert [tests.name for tests in detect_tests(Project(tuple(files), files))] == ["npm"]


def test_minitest_and_ctest_need_a_shell_of_their_own() -> None:
    ruby = detect_tests(Project(("Rakefile", "test/test_a.rb", "lib/a.rb"), {}))[0]
    assert (ruby.name, ruby.proof, ruby.run[-1]) == ("minitest", "minitest", "-v")
    texts = {"CMakeLists.txt": "project(x)\nenable_testing()\n"}
    cmake = detect_tests(Project(("CMakeLists.txt", "tests/a.c"), texts))[0]
    assert (cmake.name, cmake.run[-1], cmake.guard) == ("ctest", "{proof}", ("tests/**", "CMakeLists.txt"))
    text = policy_text("main", cmake)
    policy = parse_policy(text.encode(), "policy")
    assert policy.correctness is not None
    assert policy.correctness.run == cmake.run


def test_several_are_offered_and_none_is_none() -> None:
    files = {"Makefile": "test:\n", "go.mod": "", "a_test.go": ""}
    assert [tests.name for tests in detect_tests(Project(tuple(files), files))] == ["go", "make"]
    assert detect_tests(Project(("README.md",), {})) == []
    assert detect_tests(Project(("package.json",), {"package.json": "{"})) == []
    placeholder = package('echo "Error: no test specified" && exit 1')
    assert detect_tests(Project(("package.json",), {"package.json": placeholder})) == []


def test_nextest_writes_the_report_of_its_profile() -> None:
    texts = {".config/nextest.toml": "[profile.ci.junit]\npath = 'junit.xml'\n"}
    first, second = detect_tests(Project(("Cargo.toml", ".config/nextest.toml"), texts))
    assert (first.name, first.report) == ("nextest", "target/nextest/ci/junit.xml")
    assert second.name == "cargo"


@pytest.mark.parametrize(
    ("files", "reader"),
    [
        ({"pyproject.toml": "dev = ['pytest-benchmark']"}, "pytest-benchmark"),
        ({"asv.conf.json": "{}"}, "asv"),
        ({"a_test.go": "func BenchmarkA(b *testing.B) {"}, "go"),
        ({"Cargo.toml": "criterion = '0.5'"}, "criterion"),
        ({"CMakeLists.txt": "target_link_libraries(b benchmark::benchmark)"}, "google-benchmark"),
        ({"pom.xml": "<artifactId>jmh-core</artifactId>"}, "jmh"),
        ({"bench.sh": "hyperfine --export-json $1 ./a"}, "hyperfine"),
    ],
)
def test_benchmarks_suggest_a_metric(files: dict[str, str], reader: str) -> None:
    metric = suggest_metrics(Project(tuple(files), files))[0]
    assert metric.reader == reader
    tests = detect_tests(Project(("Makefile",), {"Makefile": "check:\n"}))[0]
    text = policy_text("main", tests, [metric])
    # The suggestion is a valid policy once its comment is taken away.
    begin = text.index("# metrics:")
    uncommented = text[:begin] + text[begin:].replace("\n# ", "\n").removeprefix("# ")
    policy = parse_policy(uncommented.encode(), "policy")
    assert [entry.reader for entry in policy.metrics] == [reader]


@pytest.mark.parametrize(
    ("path", "is_test"),
    [
        ("tests/helper.py", True),
        ("tests/data/a.json", False),
        ("src/latest.py", False),
        ("pkg/a_test.go", True),
        ("node_modules/x/a.test.js", False),
        ("vendor/a_test.go", False),
        ("src/contest.js", False),
        ("lib/__tests__/a.js", True),
        ("app/FooTest.php", True),
        ("docs/test.md", False),
    ],
)
def test_names_of_tests(path: str, is_test: bool) -> None:
    assert is_test_file(path) == is_test


def test_many_folders_of_tests_are_guarded_by_their_name() -> None:
    paths = [f"packages/p{number}/test/a.js" for number in range(9)]
    assert guard_patterns(paths) == ["**/test/**"]


def test_hostile_files_are_no_project() -> None:
    files = {"package.json": "[" * 100_000, "pyproject.toml": "a." * 100_000, "Cargo.toml": "\0"}
    names = [tests.name for tests in detect_tests(Project(tuple(files), files))]
    assert names == ["cargo"]


def test_dependencies_are_installed_by_their_lockfile() -> None:
    texts = {"package.json": package("tape test/*.js", tape="5")}
    for lock, run in (("package-lock.json", "npm ci"), ("pnpm-lock.yaml", "pnpm install"), (None, None)):
        project = Project(("package.json", "test/a.js", *([lock] if lock else [])), texts)
        tests = detect_tests(project)[0]
        steps = suggest_steps(project, tests)
        assert [" ".join(step.run[:2]) for step in steps] == ([run] if run else [])
        policy = parse_policy(policy_text("main", tests, (), steps).encode(), "policy")
        outputs = [(step.inputs, step.outputs) for step in policy.prepare]
        assert outputs == ([(("package.json", lock), ("node_modules",))] if lock else [])


@pytest.mark.parametrize(
    ("config", "file"),
    [
        ("[tool.hatch.build.hooks.vcs]\nversion-file = 'src/x/_version.py'", "src/x/_version.py"),
        ("[tool.setuptools_scm]\nversion_file = '_version.py'", "_version.py"),
        ("[tool.setuptools_scm]\nwrite_to = '../_version.py'", None),
        ("[tool.setuptools_scm]\nwrite_to = 'a; reboot.py'", None),
        ("[tool.setuptools_scm]\nwrite_to = 'src/x/__init__.py'", None),
    ],
)
def test_a_version_file_that_a_build_makes_is_prepared(config: str, file: str | None) -> None:
    texts = {"pyproject.toml": config, "tests/test_a.py": PYTEST}
    project = Project(("pyproject.toml", "src/x/__init__.py", "tests/test_a.py"), texts)
    tests = detect_tests(project)[0]
    steps = suggest_steps(project, tests)
    policy = parse_policy(policy_text("main", tests, (), steps).encode(), "policy")
    assert [step.outputs for step in policy.prepare] == ([(file,)] if file else [])
    assert not any(step.network for step in policy.prepare)
