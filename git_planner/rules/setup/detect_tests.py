"""Recognise how a project runs its tests, from the files of its base commit. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from git_planner.rules.setup import test_files
from git_planner.rules.setup.project import (
    MAKEFILES,
    Project,
    has_pytest,
    make_target,
    node_manager,
    node_package,
    node_scripts,
    parse_toml,
    simple_commands,
)

_NODE_LOCKS = ("package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock", "bun.lock")
# Runners of node: the arguments with which they report, and the format of the report.
_NODE_RUNNERS: dict[str, tuple[tuple[str, ...], str]] = {
    "jest": ((), "jest"),
    "vitest": (("run", "--reporter=json", "--outputFile={proof}"), "jest"),
    "mocha": (("--reporter", "tap"), "tap"),
    "ava": (("--tap",), "tap"),
    "tape": ((), "tape"),
}
_NODE_CONFIG = re.compile(
    r"(?:jest|vitest|vite|ava)\.config\.[cm]?[jt]s|\.mocharc\.(?:[cm]?js|json|ya?ml)|babel\.config\.[cm]?js"
)
# Programs that run another one, and how deep the scripts of a package are followed.
_NODE_WRAPPERS = ("npx", "nyc", "c8", "cross-env")
_MOST_CALLS = 3
_BUILD = "cmake -S . -B build && cmake --build build && ctest --test-dir build --output-junit"
_RUBY_TOP = re.compile(r"Gemfile|Rakefile|\.rspec|.*\.gemspec|.*\.rb|spec/")
_RUBY_ALL = 'Dir["test/**/{test_*,*_test}.rb"].sort.each { |file| require "./#{file}" }'


class DetectedTests(NamedTuple):
    """A way in which a project may run its tests.

    `name` is the name of the template, `why` the file or folder that shows it; `guard` are the patterns of
    its test files, configuration and lockfiles; `run`, `proof` and `report` are those of 'correctness'.
    """

    name: str
    why: str
    run: tuple[str, ...]
    proof: str
    guard: tuple[str, ...]
    report: str | None = None


def detect_tests(project: Project) -> list[DetectedTests]:
    """Return the ways in which a project may run its tests, the most telling first."""
    return [tests for detect in _DETECTORS for tests in detect(project)]


def _guard(project: Project, ends: tuple[str, ...], *files: str) -> tuple[str, ...]:
    """Return the patterns of a language's test files, and those of `files` that exist."""
    tests = [path for path in project.paths if path.endswith(ends) and test_files.is_test_file(path)]
    present = set(project.paths)
    return (*test_files.guard_patterns(tests), *(name for name in files if name in present))


def _python(project: Project) -> Iterator[DetectedTests]:
    tests = [path for path in project.ending(".py") if test_files.is_test_file(path)]
    modules = [path for path in tests if re.search(r"(?:^|/)(?:test_[^/]*|[^/]*_test)\.py$", path)]
    if not modules:
        return
    files = ("pyproject.toml", "setup.cfg", "tox.ini", "pytest.ini", "noxfile.py")
    guard = _guard(project, (".py",), *files)
    texts = [project.texts[path] for path in modules if path in project.texts]
    is_plain = bool(texts) and all("unittest" in text and "pytest" not in text for text in texts)
    folders = test_files.common_folders(modules)
    start = _python_start(project)
    if is_plain and not has_pytest(project.top, project.texts):
        folder = folders[0]
        is_package = f"{folder}/__init__.py" in project.paths
        where = () if folder == "." else ("-s", folder, *(("-t", ".") if is_package else ()))
        run = (*start, "-m", "unittest", "discover", "-v", *where)
        yield DetectedTests("unittest", modules[0], run, "unittest", guard)
        return
    # What the configuration names is run without arguments.
    named = () if _has_testpaths(project) or folders == ["."] else tuple(folders)
    why = next(
        (name for name in files if name in project.texts and has_pytest((), project.texts)), modules[0]
    )
    yield DetectedTests("pytest", why, (*start, "-m", "pytest", "-q", *named), "junit", guard)


def _python_start(project: Project) -> tuple[str, ...]:
    """Return the Python of a command; in a 'src' layout, with the folder on its path."""
    has_packages = any(path.startswith("src/") and path.endswith("/__init__.py") for path in project.paths)
    if not has_packages or "pythonpath" in _pytest_options(project):
        return (project.python,)
    return ("env", "PYTHONPATH=src", project.python)


def _has_testpaths(project: Project) -> bool:
    return "testpaths" in _pytest_options(project)


def _pytest_options(project: Project) -> set[str]:
    tool = parse_toml(project.texts.get("pyproject.toml", "")).get("tool")
    pytest = tool.get("pytest") if isinstance(tool, dict) else None
    options = pytest.get("ini_options", pytest) if isinstance(pytest, dict) else {}
    names = set(options) if isinstance(options, dict) else set()
    for file in ("pytest.ini", "tox.ini", "setup.cfg"):
        names |= set(re.findall(r"^(testpaths|pythonpath)\s*=", project.texts.get(file, ""), re.MULTILINE))
    return names


def _node(project: Project) -> Iterator[DetectedTests]:
    package = node_package(project.texts)
    if not package:
        return
    config = [path for path in project.paths if _NODE_CONFIG.fullmatch(path)]
    guard = _guard(project, (".js", ".mjs", ".cjs", ".ts", ".tsx", ".jsx"), "package.json", *_NODE_LOCKS)
    guard = (*guard, *config)
    scripts = node_scripts(package)
    script = scripts.get("test", "")
    for words in _script_commands(scripts, "test"):
        detected = _node_command(words, package, guard)
        if detected is not None:
            yield detected
            return
    dependencies = _dependencies(package)
    for name, (arguments, proof) in _NODE_RUNNERS.items():
        if name in dependencies and not script:
            why = f"'{name}' in package.json"
            yield DetectedTests(name, why, ("npx", "--no", name, *arguments), proof, guard)
            return
    if script:
        run = (node_manager(project.top, package), "run", "test")
        yield DetectedTests("npm", "the script 'test' of package.json", run, "exit-status", guard)


def _script_commands(scripts: Mapping[str, str], name: str, depth: int = 0) -> Iterator[list[str]]:
    """Yield the commands of a script, and in place of 'npm run NAME' those of the script NAME."""
    for words in simple_commands(scripts.get(name, "")):
        is_call = words[0] in ("npm", "pnpm", "yarn", "bun")
        called = next((word for word in words[1:] if word in scripts), None) if is_call else None
        if called is None:
            yield words
        elif depth < _MOST_CALLS:
            yield from _script_commands(scripts, called, depth + 1)


def _node_command(words: list[str], package: object, guard: tuple[str, ...]) -> DetectedTests | None:
    """Return what a command of the script 'test' runs, if its runner is known."""
    while words and (words[0] in _NODE_WRAPPERS or re.match(r"\w+=", words[0])):
        words = words[1:]
        while words and words[0].startswith("-"):
            words = words[1:]
    why = "the script 'test' of package.json"
    if words[:1] == ["node"] and "--test" in words:
        return DetectedTests("node", why, tuple(words), "node", guard)
    name = words[0] if words else ""
    if name in _NODE_RUNNERS:
        arguments, proof = _NODE_RUNNERS[name]
        rest = [word for word in words[1:] if word not in arguments]
        return DetectedTests(name, why, ("npx", "--no", name, *rest, *arguments), proof, guard)
    if name == "node" and "tape" in _dependencies(package):
        return DetectedTests("tape", why, tuple(words), "tape", guard)
    return None


def _dependencies(package: object) -> set[str]:
    if not isinstance(package, dict):
        return set()
    groups = (package.get(key) for key in ("devDependencies", "dependencies"))
    return {name for group in groups if isinstance(group, dict) for name in group}


def _rust(project: Project) -> Iterator[DetectedTests]:
    if "Cargo.toml" not in project.paths:
        return
    files = ("Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "rust-toolchain", ".config/nextest.toml")
    guard = _guard(project, (".rs",), *files)
    if any(path.startswith(".cargo/") for path in project.paths):
        guard = (*guard, ".cargo/**")
    profiles = parse_toml(project.texts.get(".config/nextest.toml", "")).get("profile")
    for name, profile in profiles.items() if isinstance(profiles, dict) else ():
        junit = profile.get("junit") if isinstance(profile, dict) else None
        if isinstance(junit, dict) and isinstance(junit.get("path"), str):
            run = ("cargo", "nextest", "run", "--no-fail-fast", "--profile", name)
            report = f"target/nextest/{name}/{junit['path']}"
            yield DetectedTests("nextest", ".config/nextest.toml", run, "junit", guard, report)
    locked = ("--locked",) if "Cargo.lock" in project.paths else ()
    yield DetectedTests("cargo", "Cargo.toml", ("cargo", "test", *locked, "--no-fail-fast"), "cargo", guard)


def _go(project: Project) -> Iterator[DetectedTests]:
    if "go.mod" in project.paths:
        guard = (*_guard(project, (".go",)), "go.mod")
        guard = (*guard, "go.sum") if "go.sum" in project.paths else guard
        if any("/testdata/" in f"/{path}" for path in project.paths):
            guard = (*guard, "**/testdata/**")
        guard = tuple(dict.fromkeys(guard))
        yield DetectedTests("go", "go.mod", ("go", "test", "-json", "./..."), "go", guard)


def _java(project: Project) -> Iterator[DetectedTests]:
    guard = _guard(project, (".java", ".kt", ".scala", ".groovy"))
    if "pom.xml" in project.paths:
        program = "./mvnw" if "mvnw" in project.paths else "mvn"
        run, report = (program, "-B", "-o", "test"), "**/target/surefire-reports/*.xml"
        yield DetectedTests("maven", "pom.xml", run, "junit", (*guard, "pom.xml"), report)
    for name in ("build.gradle", "build.gradle.kts"):
        if name in project.paths:
            program = "./gradlew" if "gradlew" in project.paths else "gradle"
            report = "**/build/test-results/**/*.xml"
            yield DetectedTests(
                "gradle", name, (program, "--offline", "test"), "junit", (*guard, name), report
            )
            return


def _dotnet(project: Project) -> Iterator[DetectedTests]:
    solutions = project.ending(".sln", ".slnx")
    tests = [path for path in project.ending("proj") if re.search(r"[Tt]ests?\.(?:cs|fs|vb)proj$", path)]
    if not tests:
        return
    folders = [path.rsplit("/", 1)[0] + "/**" for path in tests if "/" in path]
    run = ("dotnet", "test", "--logger", "trx")
    yield DetectedTests("dotnet", (solutions or tests)[0], run, "trx", tuple(folders), "**/TestResults/*.trx")


def _ruby(project: Project) -> Iterator[DetectedTests]:
    # Other projects bring their generators along, with tests in Ruby: a project in Ruby says so at its top.
    if not any(_RUBY_TOP.fullmatch(name) for name in project.top):
        return
    specs, tests = project.ending("_spec.rb"), project.ending("_test.rb")
    tests += [path for path in project.paths if re.fullmatch(r"test/(?:.*/)?test_[^/]*\.rb", path)]
    bundle = ("bundle", "exec") if "Gemfile.lock" in project.paths else ()
    files = ("Gemfile", "Gemfile.lock", ".rspec", "Rakefile")
    guard = _guard(project, (".rb",), *files)
    if specs:
        yield DetectedTests("rspec", specs[0], (*bundle, "rspec"), "rspec", guard)
    elif tests:
        run = (*bundle, "ruby", "-Ilib", "-Itest", "-e", _RUBY_ALL, "--", "-v")
        yield DetectedTests("minitest", tests[0], run, "minitest", guard)


def _php(project: Project) -> Iterator[DetectedTests]:
    config = next((name for name in ("phpunit.xml", "phpunit.xml.dist") if name in project.paths), None)
    if config is None and "phpunit/phpunit" not in project.texts.get("composer.json", ""):
        return
    program = "vendor/bin/phpunit" if "composer.json" in project.paths else "phpunit"
    guard = _guard(project, (".php",), "phpunit.xml", "phpunit.xml.dist", "composer.json", "composer.lock")
    where = () if config else ("tests",)
    yield DetectedTests("phpunit", config or "composer.json", (program, *where), "phpunit", guard)


def _native(project: Project) -> Iterator[DetectedTests]:
    ends = (".c", ".cc", ".cpp", ".cxx", ".h", ".hpp", ".sh")
    if re.search(
        r"(?i)\b(?:enable_testing|include)\s*\(\s*(?:CTest\s*)?\)", project.texts.get("CMakeLists.txt", "")
    ):
        guard = _guard(project, (*ends, "CMakeLists.txt"), "CMakeLists.txt")
        run = ("sh", "-c", f'{_BUILD} "$0"', "{proof}")
        yield DetectedTests("ctest", "CMakeLists.txt", run, "ctest", guard)
    meson = project.texts.get("meson.build", "")
    if meson and (
        re.search(r"\btest\s*\(", meson) or any(path.endswith("/meson.build") for path in project.paths)
    ):
        command = ("sh", "-c", "meson setup build && meson test -C build")
        report = "build/meson-logs/testlog.junit.xml"
        guard = _guard(project, ends, "meson.build")
        yield DetectedTests("meson", "meson.build", command, "junit", guard, report)
    target = make_target(project.top, project.texts)
    if target is not None:
        guard = tuple(dict.fromkeys(_guard(project, ("",), *MAKEFILES)))
        yield DetectedTests("make", f"the target '{target}'", ("make", target), "exit-status", guard)


_DETECTORS: tuple[Callable[[Project], Iterator[DetectedTests]], ...] = (
    *(_python, _node, _rust, _go, _java, _dotnet, _ruby, _php, _native),
)
