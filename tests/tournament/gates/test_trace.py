"""Reading what a command did from the lines of strace, and comparing it with what is declared."""

from __future__ import annotations

import pytest

from git_planner.rules.tournament.gates.trace import EffectRules, compare_effects, read_trace

FORBIDDEN, UNDECLARED = "E_SIDEEFFECTS_FORBIDDEN", "E_SIDEEFFECTS_DECLARATION"
START = '7 execve("/usr/bin/python3", ["python3", "t.py"], 0x7f /* 5 vars */) = 0'
TOP = "/measured/tree"
IPV4 = '{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("10.1.2.3")}'
IPV6 = '{sa_family=AF_INET6, sin6_port=htons(53), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "::1", &a)}'


def written(*lines: str) -> list[str]:
    """Return the paths that lines of a trace write, after a start in the tree."""
    return list(read_trace([START, *lines], folder=TOP).written)


@pytest.mark.parametrize(
    ("lines", "paths"),
    [
        (['7 open("x", O_RDONLY) = 3</measured/tree/x>'], []),
        (['7 open("x", O_WRONLY|O_CREAT, 0666) = 3</measured/tree/x>'], ["/measured/tree/x"]),
        (['7 openat(AT_FDCWD</>, "../x", O_RDWR) = -1 EROFS (Read-only file system)'], []),
        (['7 openat(3</a>, "x", O_RDWR) = 4</real/x>'], ["/real/x"]),
        (['7 creat("x", 0666) = 3</measured/tree/x>'], ["/measured/tree/x"]),
        (['7 openat2(AT_FDCWD</>, "x", {flags=O_WRONLY, resolve=0}, 24) = 3</x>'], ["/x"]),
        (['7 mkdir("d", 0777) = 0'], ["/measured/tree/d"]),
        (['7 chdir("src") = 0', '7 unlink("x") = 0'], ["/measured/tree/src/x"]),
        (["7 fchdir(3</measured/tree/lib>) = 0", '7 rmdir("x") = 0'], ["/measured/tree/lib/x"]),
        (['7 rename("a", "/b") = 0'], ["/measured/tree/a", "/b"]),
        (['7 renameat(3</one>, "a", 4</two>, "b") = 0'], ["/one/a", "/two/b"]),
        (['7 symlink("/etc", "link") = 0'], ["/measured/tree/link"]),
        (['7 symlinkat("/etc", 3</one>, "link") = 0'], ["/one/link"]),
        (
            ["7 clone(child_stack=NULL) = 2 /* 9 in strace's PID NS */", '9 mkdir("d", 0777) = 0'],
            [f"{TOP}/d"],
        ),
        (
            [
                '7 chdir("s") = 0',
                "7 vfork( <unfinished ...>",
                '9 mkdir("d", 0777) = 0',
                "7 <... vfork resumed>) = 9",
            ],
            [f"{TOP}/s/d"],
        ),
        (
            [
                '7 open("x", O_WRONLY <unfinished ...>',
                "8 +++ exited with 0 +++",
                "7 <... open resumed>) = 3</t/x>",
            ],
            ["/t/x"],
        ),
        # It never came back, and may have done its work.
        (['7 mkdir("d", 0777 <unfinished ...>'], [f"{TOP}/d"]),
        (['7 open("a\\"b>\\n\\303\\251", O_WRONLY) = 3</t/a"b\\76\\n\\303\\251>'], ['/t/a"b>\né']),
        (
            ['7 mkdir("O_WRONLY, \\"x\\", AT_FDCWD</evil>", 0777) = 0'],
            [f'{TOP}/O_WRONLY, "x", AT_FDCWD</evil>'],
        ),
        (["7 fchmod(3</measured/tree/x>, 0600) = 0"], [f"{TOP}/x"]),
        (["7 utimensat(3</measured/tree/x>, NULL, NULL, 0) = 0"], [f"{TOP}/x"]),
        (['7 utimensat(AT_FDCWD</measured/tree>, "x", NULL, 0) = 0'], [f"{TOP}/x"]),
        (['7 bind(3<socket:[1]>, {sa_family=AF_UNIX, sun_path="s"}, 9) = 0'], [f"{TOP}/s"]),
        (['7 bind(3<socket:[1]>, {sa_family=AF_UNIX, sun_path=@"s"}, 9) = 0'], []),
        (["garbage", "7 garbage", "7 open(", '7 open("x", O_WRONLY) = ?'], []),
    ],
)
def test_written_paths(lines: list[str], paths: list[str]) -> None:
    assert written(*lines) == paths


def test_nothing_counts_before_the_command_starts() -> None:
    lines = [
        '1 execve("/usr/bin/bwrap", ["bwrap"], 0x7f /* 5 vars */) = 0',
        '1 mount("tmpfs", "/tmp", NULL, 0, NULL) = 0',
        '1 mkdir("/newroot", 0755) = 0',
        '2 execve("/usr/local/bin/python3", ["python3"], 0x7f) = -1 ENOENT (No such file or directory)',
    ]
    observed = read_trace(lines, wrappers=1)
    assert not observed.started
    observed = read_trace([*lines, START, '7 mkdir("/x", 0755) = 0'], wrappers=1)
    assert (observed.started, list(observed.written), list(observed.hiding)) == (True, ["/x"], [])


def test_programs_addresses_and_hidden_effects() -> None:
    observed = read_trace(
        [
            START,
            '8 execve("/usr/bin/git", ["git", "status"], 0x7f /* 5 vars */) = 0',
            '9 execve("/bin/sh", ["sh", "-c", "true"], 0x7f /* 5 vars */) = 0',
            *['9 execve("/bin/true", ["true"], 0x7f /* 5 vars */) = 0'] * 9,
            f"7 connect(3<socket:[1]>, {IPV4}, 16) = -1 ENETUNREACH (Network is unreachable)",
            f'7 sendto(3<socket:[1]>, "hi {{sa_family=AF_UNIX}}", 2, 0, {IPV6}, 28) = 2',
            '7 connect(4<socket:[2]>, {sa_family=AF_UNIX, sun_path="/run/x"}, 9) = 0',
            "7 bind(5<socket:[3]>, {sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}, 12) = 0",
            "7 io_uring_setup(8, {flags=0}) = 5",
        ]
    )
    assert observed.programs["Process:git"] == ["git status"]
    assert observed.programs["Process:shell"] == ["sh -c true", *["true"] * 4]
    assert observed.counts == {"Process:git": 1, "Process:shell": 10, "Network": 2}
    assert list(observed.addresses) == ["10.1.2.3:80", "::1:53"]
    assert list(observed.hiding) == ["io_uring_setup"]


def test_what_is_kept_is_bounded() -> None:
    observed = read_trace([START, *(f'7 mkdir("{number}", 0777) = 0' for number in range(10_001))])
    assert (len(observed.written), observed.overflow) == (10_000, True)


def rules(*declared: str) -> EffectRules:
    """Return rules that allow to write below 'out' of the tree."""
    return EffectRules(
        declared,
        lambda path: None if path.startswith("/dev") else path.removeprefix(f"{TOP}/"),
        lambda path: path.startswith("out"),
        lambda path: path.startswith("/home"),
    )


@pytest.mark.parametrize(
    ("line", "declared", "code"),
    [
        ('7 mkdir("out", 0777) = 0', ["FS:write"], None),
        ('7 mkdir("out", 0777) = 0', [], UNDECLARED),
        ('7 mkdir("src", 0777) = 0', ["FS:write"], FORBIDDEN),
        ('7 mkdir("/etc/x", 0777) = 0', ["FS:write"], FORBIDDEN),
        ('7 open("/dev/null", O_WRONLY) = 3</dev/null>', [], None),
        ('7 open("/home/key", O_RDONLY) = 3</home/key>', [], UNDECLARED),
        ('7 open("/home/key", O_RDONLY) = 3</home/key>', ["FS:read"], None),
        ('7 open("/usr/x", O_RDONLY) = 3</usr/x>', [], None),
        ('8 execve("/bin/sh", ["sh"], 0x7f) = 0', ["Process:git"], UNDECLARED),
        ('8 execve("/bin/sh", ["sh"], 0x7f) = 0', ["Process:shell"], None),
        ("7 io_uring_setup(8, {flags=0}) = 5", ["FS:write"], FORBIDDEN),
        ("7 clone(child_stack=NULL, flags=CLONE_UNTRACED|SIGCHLD) = 9", [], FORBIDDEN),
        ("7 seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, {}) = 4", [], FORBIDDEN),
        ("7 seccomp(SECCOMP_SET_MODE_FILTER, 0, {len=4, filter=0x7f}) = 0", [], None),
        ('7 connect(4<socket:[2]>, {sa_family=AF_UNIX, sun_path="/run/docker.sock"}, 9) = 0', [], UNDECLARED),
        ('7 connect(4<socket:[2]>, {sa_family=AF_UNIX, sun_path="/run/x"}, 9) = -1 ENOENT (No)', [], None),
        ('7 connect(4<socket:[2]>, {sa_family=AF_UNIX, sun_path=@"bus"}, 9) = 0', [], UNDECLARED),
        ('7 connect(4<socket:[2]>, {sa_family=AF_UNIX, sun_path="/dev/own"}, 9) = 0', [], None),
    ],
)
def test_observed_effects_are_compared_with_declared_ones(line: str, declared: list[str], code: str) -> None:
    assert compare_effects(read_trace([START, line], folder=TOP), rules(*declared)).code == code


def test_the_summary_has_few_samples_and_the_forbidden_ones_first() -> None:
    lines = [
        START,
        *(f'7 mkdir("out/{number}", 0777) = 0' for number in range(9)),
        '7 mkdir("src", 0777) = 0',
    ]
    verdict = compare_effects(read_trace(lines, folder=TOP), rules("FS:write"))
    assert verdict.message == "the command wrote 'src', which it may not"
    assert verdict.document["fs_write"] == {
        "count": 10,
        "outside_module_root": 1,
        "sample_paths": [
            {"path": "src", "inside_module_root": False},
            *({"path": f"out/{number}", "inside_module_root": True} for number in range(4)),
        ],
        "outside_samples": ["src"],
    }
