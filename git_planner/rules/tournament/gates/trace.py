"""Read what a traced command did, from the lines of strace, and compare it with what was declared. Pure.

A line is 'PID call(arguments) = result'. Paths in '<…>' are those that the kernel knows; text of the program
is in quotes, in which strace escapes everything unusual.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# Calls of which strace tells; the names that a machine does not know are ignored by '?'.
OPENING = ("open", "openat", "openat2", "creat", "open_by_handle_at")
CHANGING = (
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "mkdir", "mkdirat"),
    *("rmdir", "unlink", "unlinkat", "truncate", "mknod", "mknodat", "chmod", "fchmodat", "fchmodat2"),
    *("chown", "lchown", "fchownat", "setxattr", "lsetxattr", "utime", "utimes", "utimensat", "futimesat"),
    *("fchmod", "fchown", "fsetxattr"),
)
CONNECTING = ("connect", "bind", "sendto", "sendmsg", "sendmmsg")
STARTING = ("execve", "execveat")
FOLDERS = ("chdir", "fchdir", "clone", "clone3", "fork", "vfork")
# With these a program may do what no line tells.
HIDING = (
    *("io_uring_setup", "mount", "move_mount", "open_tree", "fsopen", "fsmount", "setns", "chroot"),
    *("pivot_root", "seccomp"),
)
CALLS = (*OPENING, *CHANGING, *CONNECTING, *STARTING, *FOLDERS, *HIDING)
MAX_PATHS, SAMPLES = 10_000, 5
_SHELLS = "Process:shell"
_LINE = re.compile(r"(\d+) +(.*)")
_CALL = re.compile(r"(\w+)\((.*)\)\s+= (-?\d+|0x[0-9a-f]+|\?)(.*)", re.DOTALL)
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)", re.DOTALL)
_UNFINISHED = "<unfinished ...>"
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"(?:\.\.\.)?')
_FOLDER = re.compile(r"(?:AT_FDCWD|\d+)<((?:[^<>\\]|\\.)*)>")
_CURRENT = re.compile(r"AT_FDCWD<((?:[^<>\\]|\\.)*)>")
_RESULT = re.compile(r"<((?:[^<>\\]|\\.)*)>")
_CHILD = re.compile(r"/\* (\d+) in strace's PID NS \*/")
_WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC")
# Flags of a child that is not followed, and of a filter that hides calls.
_UNFOLLOWED, _LISTENER = "CLONE_UNTRACED", "NEW_LISTENER"
_SOCKET = re.compile(r'sun_path=(@?)"((?:[^"\\]|\\.)*)"')
_FAMILY = re.compile(r"sa_family=(AF_\w+)")
_PORT, _HOST = re.compile(r"sin6?_port=htons\((\d+)\)"), re.compile(r'inet_(?:addr|pton)\([^"]*"([^"]*)"')
_ESCAPE = re.compile(rb"\\(?:x([0-9a-f]{2})|([0-7]{1,3})|(.))", re.DOTALL)
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f", b"a": b"\a", b"b": b"\b"}


@dataclass
class Observed:
    """All that a command did, bounded.

    `written` and `read` are the paths as the command saw them; `programs` are the command lines of what it
    started, by kind; `addresses` are those that it spoke to, `sockets` those of this host; `hiding` are the
    calls behind which more may be. `started`: the command itself was seen to start. `overflow`: there was
    more than is kept.
    """

    written: dict[str, None] = field(default_factory=dict)
    read: dict[str, None] = field(default_factory=dict)
    programs: dict[str, list[str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    addresses: dict[str, None] = field(default_factory=dict)
    sockets: dict[str, None] = field(default_factory=dict)
    hiding: dict[str, None] = field(default_factory=dict)
    started: bool = False
    overflow: bool = False


def read_trace(lines: Iterable[str], *, wrappers: int = 0, folder: str = "/") -> Observed:
    """Read the lines of a trace.

    Args:
        lines: the lines of strace.
        wrappers: number of programs that start before the command, such as a sandbox; their effects are
            ignored.
        folder: the working folder in which the command starts.
    """
    return _TraceReader(wrappers, folder).read(lines)


class _TraceReader:
    """Reader of a trace: which process is where, and which call is unfinished."""

    def __init__(self, wrappers: int, folder: str) -> None:
        self.wrappers = wrappers
        self.observed = Observed()
        self.begun: dict[str, str] = {}
        # The working folder of each process, and that of the one that started another one last.
        self.folders: dict[str, str] = {}
        self.parent_folder = folder

    def read(self, lines: Iterable[str]) -> Observed:
        for line in lines:
            match = _LINE.match(line)
            if match is None:
                continue
            pid, text = match[1], match[2]
            if text.endswith(_UNFINISHED):
                self._begin(pid, text.removesuffix(_UNFINISHED))
            elif resumed := _RESUMED.match(text):
                self._call(pid, self.begun.pop(pid, f"{resumed[1]}(") + resumed[2])
            else:
                self._call(pid, text)
        # A call that never came back may have done its work.
        for pid, text in self.begun.items():
            if not text.startswith(STARTING):
                self._call(pid, f"{text}) = 0")
        return self.observed

    def _begin(self, pid: str, text: str) -> None:
        self.begun[pid] = text.rstrip()
        if text.startswith(FOLDERS):
            # The child may be seen before the call of its parent has returned.
            self.parent_folder = self._folder(pid)

    def _call(self, pid: str, text: str) -> None:
        match = _CALL.match(text)
        if match is None:
            return
        call, arguments, result, rest = match[1], match[2], match[3], match[4]
        failed = result in ("-1", "?")
        if known := _CURRENT.search(_TEXT.sub('""', arguments)):
            self.folders[pid] = _unescaped(known[1])
        if call in STARTING:
            if not failed:
                self._start(arguments)
            return
        if not self.observed.started:
            return
        if _UNFOLLOWED in arguments or (call == "seccomp" and _LISTENER in arguments):
            self._keep(self.observed.hiding, call)
        if call in FOLDERS:
            if not failed:
                self._move(pid, call, arguments, result + rest)
        elif call in HIDING:
            if call != "seccomp":
                self._keep(self.observed.hiding, call)
        elif call in CONNECTING:
            self._connect(pid, call, arguments, failed=failed)
        elif not failed:
            self._touch(pid, call, arguments, rest)

    def _start(self, arguments: str) -> None:
        texts = [_unescaped(text) for text in _TEXT.findall(arguments)]
        if self.wrappers:
            self.wrappers -= 1
            return
        if not self.observed.started:
            self.observed.started = True
            return
        program = posixpath.basename(texts[0]) if texts else ""
        kind = "Process:git" if program == "git" or program.startswith("git-") else _SHELLS
        self.observed.counts[kind] += 1
        samples = self.observed.programs.setdefault(kind, [])
        if len(samples) < SAMPLES:
            samples.append(" ".join(texts[1:] or texts)[:300])

    def _move(self, pid: str, call: str, arguments: str, result: str) -> None:
        if call == "chdir":
            texts = _TEXT.findall(arguments)
            if texts:
                self.folders[pid] = posixpath.join(self._folder(pid), _unescaped(texts[0]))
        elif call == "fchdir":
            if match := _FOLDER.search(arguments):
                self.folders[pid] = _unescaped(match[1])
        else:
            child = _CHILD.search(result)
            self.folders.setdefault(child[1] if child else result.split(maxsplit=1)[0], self._folder(pid))

    def _folder(self, pid: str) -> str:
        return self.folders.setdefault(pid, self.parent_folder)

    def _touch(self, pid: str, call: str, arguments: str, rest: str) -> None:
        # The folders that the kernel names are outside the quoted texts.
        bare = _TEXT.sub('""', arguments)
        if call in OPENING:
            writes = call == "creat" or _WRITING.search(bare)
            kept = self.observed.written if writes else self.observed.read
            for path in [*map(_unescaped, _RESULT.findall(rest)), *self._paths(pid, arguments)[-1:]][:1]:
                self._keep(kept, path)
            return
        for path in self._paths(pid, arguments)[-1 if call.startswith(("symlink", "link")) else 0 :]:
            self._keep(self.observed.written, path)

    def _paths(self, pid: str, arguments: str) -> list[str]:
        """Return the paths that the arguments name, each joined to the folder before it."""
        paths, end = [], 0
        for match in _TEXT.finditer(arguments):
            folders = _FOLDER.findall(arguments, end, match.start())
            folder = _unescaped(folders[-1]) if folders else self._folder(pid)
            paths.append(posixpath.join(folder, _unescaped(match[1])))
            end = match.end()
        if not paths:
            # The call names an open file instead.
            return [_unescaped(folder) for folder in _FOLDER.findall(arguments)[-1:]]
        return paths

    def _connect(self, pid: str, call: str, arguments: str, *, failed: bool) -> None:
        # What is sent may look like an address.
        bare = _TEXT.sub(lambda match: "_" * len(match[0]), arguments)
        family = _FAMILY.search(bare)
        if family is None or family[1] in ("AF_NETLINK", "AF_UNSPEC"):
            return
        if family[1] == "AF_UNIX":
            socket = _SOCKET.search(arguments[family.start() :])
            if socket is not None and not failed:
                name = _unescaped(socket[2])
                path = f"@{name}" if socket[1] else posixpath.join(self._folder(pid), name)
                is_new = call == "bind" and not socket[1]
                self._keep(self.observed.written if is_new else self.observed.sockets, path)
            return
        address = arguments[family.start() :]
        host, port = _HOST.search(address), _PORT.search(address)
        self.observed.counts["Network"] += 1
        shown = f"{host[1]}:{port[1]}" if host and port else family[1]
        self._keep(self.observed.addresses, shown)

    def _keep(self, kept: dict[str, None], value: str) -> None:
        if len(kept) < MAX_PATHS:
            kept[value] = None
        else:
            self.observed.overflow = True


def _unescaped(text: str) -> str:
    """Return a text without the escapes of strace."""

    def letter(match: re.Match[bytes]) -> bytes:
        if match[1]:
            return bytes([int(match[1], 16)])
        if match[2]:
            return bytes([int(match[2], 8) & 0xFF])
        return _LETTERS.get(match[3], match[3])

    raw = _ESCAPE.sub(letter, text.encode("utf-8", "surrogateescape"))
    return raw.decode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class EffectRules:
    """Rules for the effects of a command.

    `declared` are kinds of effects. `place` maps a path to a path of the tree; to None for one that is no
    effect, such as a temporary file or a device; and to '/…' for one outside. `allows` tells whether a path
    of the tree may be written; `reads` whether a path outside is a read that must be declared.
    """

    declared: Sequence[str]
    place: Callable[[str], str | None]
    allows: Callable[[str], bool]
    reads: Callable[[str], bool]


@dataclass(frozen=True)
class EffectsVerdict:
    """The effects as a document, and what is wrong with them, if anything: a code and a sentence."""

    document: Mapping[str, Any]
    code: str | None = None
    message: str = ""


def compare_effects(observed: Observed, rules: EffectRules) -> EffectsVerdict:
    """Compare observed effects with those that are declared."""
    written = [path for path in map(rules.place, observed.written) if path is not None]
    outside = [path for path in written if path.startswith("/") or not rules.allows(path)]
    read = [path for path in observed.read if rules.place(path) == path and rules.reads(path)]
    # A socket may be that of a service, which acts for the command.
    services = [path for path in observed.sockets if path.startswith("@") or rules.place(path) is not None]
    kinds = [
        *(["FS:read"] if read else []),
        *(["FS:write"] if written else []),
        *(kind for kind in ("Process:git", _SHELLS) if observed.counts[kind]),
        *(["Network"] if observed.counts["Network"] or services else []),
    ]
    undeclared = [kind for kind in kinds if kind not in rules.declared]
    samples = sorted(written, key=lambda path: (path not in outside, path))[:SAMPLES]
    document: dict[str, Any] = {
        "declared": sorted(rules.declared),
        "observed_operations": kinds,
        "undeclared_operations": undeclared,
        "fs_write": {
            "count": len(written),
            "outside_module_root": len(outside),
            "sample_paths": [
                {"path": _shown(path), "inside_module_root": path not in outside} for path in samples
            ],
            "outside_samples": [_shown(path) for path in sorted(outside)[:SAMPLES]],
        },
        "processes": {
            "total": observed.counts["Process:git"] + observed.counts[_SHELLS],
            "categories": {
                kind: {"count": observed.counts[kind], "sample_commands": [_shown(line) for line in lines]}
                for kind, lines in observed.programs.items()
            },
        },
        "network": {
            "count": observed.counts["Network"] + len(services),
            "samples": [_shown(address) for address in (*observed.addresses, *services)][:SAMPLES],
        },
    }
    examples = {
        "FS:read": read,
        "Network": [*observed.addresses, *services],
        "FS:write": written,
        **observed.programs,
    }
    return EffectsVerdict(document, *_effects_problem(observed, outside, undeclared, examples))


def _effects_problem(
    observed: Observed,
    outside: Sequence[str],
    undeclared: Sequence[str],
    examples: Mapping[str, Sequence[str]],
) -> tuple[str | None, str]:
    forbidden = "E_SIDEEFFECTS_FORBIDDEN"
    if observed.hiding:
        return forbidden, f"the command called '{next(iter(observed.hiding))}', which hides effects"
    if outside:
        return forbidden, f"the command wrote '{_shown(min(outside))}', which it may not"
    if observed.overflow:
        return forbidden, f"the command touched more than {MAX_PATHS:,} paths"
    if not undeclared:
        return None, ""
    first = next(iter(examples.get(undeclared[0], ())), None)
    shown = f", such as '{_shown(first)}'" if first else ""
    return "E_SIDEEFFECTS_DECLARATION", f"'{undeclared[0]}' is not declared{shown}"


def _shown(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")[:300]
