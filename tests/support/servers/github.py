"""Loopback GitHub Enterprise over TLS, as far as gh and git-planner ask it, with a certificate of its own."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.servers.loopback import Handler, Server, running

TOKEN = "dummy"
REPOSITORY = "acme/widgets"
_PREFIX = f"/api/v3/repos/{REPOSITORY}/"


@dataclass
class GitHubScript:
    """The pull requests, reviews and comments of one repository; every request is kept.

    `faults` are the answers to the next requests: a status, a status with fields, or the bytes of a body with
    status 200; 'hang' never answers. `heads` gives the commit of a branch. `refuses` are the ends of paths
    that are answered with 422.
    """

    pulls: list[dict[str, Any]] = field(default_factory=list)
    reviews: list[dict[str, Any]] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)
    faults: list[Any] = field(default_factory=list)
    refuses: tuple[str, ...] = ()
    heads: dict[str, str] = field(default_factory=dict)
    repository: str = REPOSITORY
    requests: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    lock: Any = field(default_factory=threading.Lock)

    def add_comment(
        self, kind: str, author: str, text: str, *, association: str = "MEMBER", **more: Any
    ) -> None:
        """Add a review, a comment on a line or a comment."""
        rows: list[dict[str, Any]] = getattr(self, kind)
        number = 100 + len(self.reviews) + len(self.lines) + len(self.comments)
        stamp = f"2026-11-30T10:{number - 100:02d}:00Z"
        times = {"submitted_at": stamp} if kind == "reviews" else {"created_at": stamp}
        rows.append(
            {
                "id": number,
                "user": {"login": author, "type": "User"},
                "body": text,
                "author_association": association,
                "html_url": f"https://example.com/c/{number}",
                **times,
                **more,
            }
        )


class GitHubHandler(Handler):
    """One request of gh."""

    server: Server[GitHubScript]

    def do_GET(self) -> None:
        """Answer a question."""
        self._answer(None)

    def do_POST(self) -> None:
        """Open a pull request, ask reviewers, set labels."""
        self._answer(self._document())

    def do_PATCH(self) -> None:
        """Change a pull request."""
        self._answer(self._document())

    def _document(self) -> Any:
        if self.headers.get("transfer-encoding") != "chunked":
            return json.loads(self.rfile.read(int(self.headers["content-length"] or 0)) or b"null")
        data = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return json.loads(data)

    def _answer(self, document: Any) -> None:
        self.close_connection = True
        script, address = self.server.script, urlsplit(self.path)
        with script.lock:
            script.requests.append(f"{self.command} {unquote(self.path)}")
            script.bodies.append(document)
            fault = script.faults.pop(0) if script.faults else None
        if fault == "hang":
            self.server.over.wait(60)
        elif isinstance(fault, bytes):
            self.reply(200, fault.decode("latin-1"))
        elif fault is not None:
            status, fields = fault if isinstance(fault, tuple) else (fault, {})
            self.reply(status, {"message": "not now \x1b[31m"}, fields)
        elif self.headers["authorization"] != f"token {TOKEN}":
            self.reply(401, {"message": "Bad credentials"})
        elif not address.path.startswith(_PREFIX):
            self.reply(404, {"message": "Not Found"})
        elif address.path.endswith(script.refuses or ("\0",)):
            self.reply(422, {"message": "Validation Failed"})
        else:
            with script.lock:
                path, query = address.path.removeprefix(_PREFIX), parse_qs(address.query)
                is_of_job = document is not None and "comments" in path
                self.reply(
                    *(self._comment(path, document) if is_of_job else self._route(path, query, document))
                )

    def _comment(self, path: str, document: Any) -> tuple[int, object]:
        """Post or change a comment, as the account of a job's token."""
        comments = self.server.script.comments
        if self.command == "POST":
            comments.append({**document, "id": len(comments), "user": {"login": "app", "type": "Bot"}})
            return 201, comments[-1]
        comment = comments[int(path.rpartition("/")[2])]
        comment |= document
        return 200, comment

    def _route(self, path: str, query: Mapping[str, list[str]], document: Any) -> tuple[int, object]:
        script = self.server.script
        if path == "pulls" and self.command == "POST":
            return self._open(document)
        if path == "pulls":
            head = query["head"][0].partition(":")[2]
            return 200, [_pull(script, pull) for pull in reversed(script.pulls) if pull["head"] == head]
        match = re.fullmatch(r"(pulls|issues)/(\d+)(?:/(\w+))?", path)
        if match is None or int(match[2]) > len(script.pulls):
            return 404, {"message": "Not Found"}
        pull = script.pulls[int(match[2]) - 1]
        rows = {
            ("pulls", "reviews"): "reviews",
            ("pulls", "comments"): "lines",
            ("issues", "comments"): "comments",
        }
        if match[3] == "labels":
            pull["labels"] += document["labels"]
        elif match[3] == "requested_reviewers":
            pull["reviewers"] += [*document["reviewers"], *document["team_reviewers"]]
        elif (name := rows.get((match[1], match[3] or ""))) is not None:
            start, size = int(query["page"][0]) - 1, int(query["per_page"][0])
            return 200, getattr(script, name)[start * size : (start + 1) * size]
        elif document is not None:
            pull |= document
        return 200, _pull(script, pull)

    def _open(self, document: dict[str, Any]) -> tuple[int, object]:
        script = self.server.script
        if any(pull["head"] == document["head"] and pull["state"] == "open" for pull in script.pulls):
            return 422, {
                "message": "Validation Failed",
                "errors": [{"message": "A pull request already exists"}],
            }
        pull = {**document, "state": "open", "merged_at": None, "labels": [], "reviewers": []}
        script.pulls.append({"number": len(script.pulls) + 1, **pull})
        return 201, _pull(script, script.pulls[-1])


def _pull(script: GitHubScript, pull: dict[str, Any]) -> dict[str, Any]:
    repository = {"full_name": script.repository}
    sides = {
        side: {"ref": pull[side], "sha": script.heads.get(pull[side], "0" * 40), "repo": repository}
        for side in ("base", "head")
    }
    url = f"https://example.com/{script.repository}/pull/{pull['number']}"
    return {**pull, **sides, "html_url": url, "user": {"login": "author", "type": "User"}}


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for localhost that signs itself, and its key; return their paths."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "3650", "-subj", "/CN=localhost", "-addext", names),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


@contextmanager
def github_service(script: GitHubScript, folder: Path) -> Iterator[dict[str, str]]:
    """Run the site; yield the environment with which gh and git-planner use it."""
    certificate, key = make_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with running(script, GitHubHandler, context) as server:
        yield {
            "GH_ENTERPRISE_TOKEN": TOKEN,
            "GH_CONFIG_DIR": str(folder / "gh"),
            "SSL_CERT_FILE": str(certificate),
            "GIT_PLANNER_FORGE": f"https://localhost:{server.port}/{REPOSITORY}",
        }
