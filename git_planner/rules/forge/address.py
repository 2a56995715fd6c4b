"""Addresses of a repository on its hosting site, from the address of a remote. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, unquote, urlencode, urlsplit

Site = Literal["github", "gitlab", "bitbucket", "gitea", "unknown"]
# Servers and browsers accept addresses of about this length.
MAX_LINK = 6_000
_SCP = re.compile(r"(?:[^@/\s]+@)?(?P<host>\[[0-9a-fA-F:]+\]|[^:/\s]+):(?P<path>(?!//).+)")
# Hosts of SSH beside port 443, where the ordinary port is blocked.
_HOSTS = {
    "ssh.github.com": "github.com",
    "altssh.gitlab.com": "gitlab.com",
    "altssh.bitbucket.org": "bitbucket.org",
}
_HOST = re.compile(r"(?:\[[0-9a-f:]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::[0-9]{1,5})?")
_SCHEMES = ("https", "http", "ssh", "git", "git+ssh", "ssh+git")
_SITES: tuple[tuple[str, Site], ...] = (
    ("github", "github"),
    ("gitlab", "gitlab"),
    ("bitbucket", "bitbucket"),
    ("gitea", "gitea"),
    ("forgejo", "gitea"),
    ("codeberg", "gitea"),
)


@dataclass(frozen=True, slots=True)
class RepositoryAddress:
    """A repository on a hosting site: the host, with a port if it is not the usual one, and the path there.

    It never holds a user name or a password.
    """

    host: str
    path: str
    site: Site
    scheme: Literal["https", "http"] = "https"

    @property
    def web(self) -> str:
        """The address for a browser."""
        return f"{self.scheme}://{self.host}/{quote(self.path)}"


def parse_address(url: str) -> RepositoryAddress | None:
    """Return the address of a remote's repository on its site; None for folders and other addresses.

    Args:
        url: an https, ssh, git or scp-like address; user name, password and query in it are dropped.
    """
    url = url.strip()
    if len(url) > 2_000 or not url.isprintable():
        return None
    scheme, separator, _ = url.partition("://")
    if separator:
        parts = urlsplit(url)
        if scheme.lower() not in _SCHEMES:
            return None
        host, path = parts.netloc.rpartition("@")[2], parts.path
        scheme = scheme.lower()
    else:
        match = _SCP.fullmatch(url)
        if match is None or (len(match["host"]) == 1 and match["host"].isalpha()):
            return None
        host, path, scheme = match["host"], match["path"], "ssh"
    host = host.lower()
    if scheme not in ("https", "http"):
        # The port is that of SSH.
        host = re.sub(r":\d+$", "", host)
    host = re.sub(r":443$", "", host) if scheme == "https" else host
    host = _HOSTS.get(host.removeprefix("www."), host.removeprefix("www."))
    path = unquote(path).strip("/").removesuffix(".git").strip("/")
    if not _HOST.fullmatch(host) or "/" not in path or not path.isprintable() or ".." in path.split("/"):
        return None
    return RepositoryAddress(host, path, _site(host), "http" if scheme == "http" else "https")


def new_request_link(address: RepositoryAddress, head: str, base: str, title: str, body: str) -> str:
    """Return the address of a site's form for a new pull request, with title and body where they fit."""
    web, texts = address.web, {"title": title, "body": body}
    head_path, base_path = quote(head, safe=""), quote(base, safe="")
    match address.site:
        case "gitlab":
            names = {"source_branch": head, "target_branch": base}
            fields = {f"merge_request[{name}]": value for name, value in names.items()}
            texts = {"merge_request[title]": title, "merge_request[description]": body}
            link = f"{web}/-/merge_requests/new?{urlencode(fields)}"
        case "bitbucket":
            link = f"{web}/pull-requests/new?{urlencode({'source': head, 'dest': base})}"
            texts = {"title": title, "description": body}
        case "gitea":
            link = f"{web}/compare/{base_path}...{head_path}?"
        case _:
            link = f"{web}/compare/{base_path}...{head_path}?expand=1"
    for some in (texts, {key: value for key, value in texts.items() if value == title}):
        if not title:
            break
        full = f"{link}{'' if link.endswith('?') else '&'}{urlencode(some, quote_via=quote)}"
        if len(full) <= MAX_LINK:
            return full
    return link.rstrip("?")


def _site(host: str) -> Site:
    return next((site for word, site in _SITES if word in host), "unknown")
