"""Addresses of hosting sites from the addresses of remotes, in all spellings."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from git_planner.rules.forge.address import MAX_LINK, new_request_link, parse_address

GITHUB = [
    "https://github.com/acme/widgets",
    "https://github.com/acme/widgets.git",
    "https://github.com/acme/widgets.git/",
    "https://www.github.com/acme/widgets",
    "https://user:secret@github.com/acme/widgets.git",
    "https://ghp_secret@GitHub.com/acme/widgets",
    "https://github.com:443/acme/widgets?token=secret#secret",
    "ssh://git@github.com/acme/widgets.git",
    "ssh://git@ssh.github.com:443/acme/widgets.git",
    "git+ssh://git@github.com/acme/widgets.git",
    "git://github.com/acme/widgets.git",
    "git@github.com:acme/widgets.git",
    "git@github.com:/acme/widgets",
    "github.com:acme/widgets.git",
]


@pytest.mark.parametrize("url", GITHUB)
def test_spellings_of_one_repository(url: str) -> None:
    address = parse_address(url)
    assert address is not None
    assert (address.web, address.site) == ("https://github.com/acme/widgets", "github")
    link = new_request_link(address, "review/x", "plan/default", "T", "B")
    assert "secret" not in repr(address) + link


@pytest.mark.parametrize(
    ("url", "web", "site"),
    [
        ("git@gitlab.com:group/sub/name.git", "https://gitlab.com/group/sub/name", "gitlab"),
        ("https://gitlab.example.com:8443/g/n", "https://gitlab.example.com:8443/g/n", "gitlab"),
        ("ssh://git@gitea.example.com:2222/o/n.git", "https://gitea.example.com/o/n", "gitea"),
        ("https://codeberg.org/o/n", "https://codeberg.org/o/n", "gitea"),
        ("https://forgejo.example.com/o/n", "https://forgejo.example.com/o/n", "gitea"),
        ("git@bitbucket.org:o/n.git", "https://bitbucket.org/o/n", "bitbucket"),
        ("http://git.example.com/o/n", "http://git.example.com/o/n", "unknown"),
        ("ssh://git@[2001:db8::1]:22/o/n", "https://[2001:db8::1]/o/n", "unknown"),
        ("https://github.com/acme/a%20b", "https://github.com/acme/a%20b", "github"),
    ],
)
def test_other_sites(url: str, web: str, site: str) -> None:
    address = parse_address(url)
    assert address is not None
    assert (address.web, address.site) == (web, site)


@pytest.mark.parametrize(
    "url",
    [
        *("/srv/repo.git", "../repo", "./a:b/c", "file:///srv/repo.git", "C:/repo", "c:\\repo", ""),
        *("https://github.com", "https://github.com/only", "ext::sh -c x", "https:///a/b"),
        *("https://exa\x1bmple.com/a/b", "git@host:a/../b", "https://h\u202e.com/a/b", "x" * 3000),
    ],
)
def test_what_has_no_site(url: str) -> None:
    assert parse_address(url) is None


@pytest.mark.parametrize("host", ["github.com", "gitlab.com", "bitbucket.org", "gitea.example.com"])
def test_links_hold_title_and_body_where_they_fit(host: str) -> None:
    address = parse_address(f"https://{host}/o/n")
    assert address is not None
    link = new_request_link(address, "review/a#b", "plan/default", "A & B", "One\ntwo")
    values = {name: texts[0] for name, texts in parse_qs(urlsplit(link).query).items()}
    assert {"A & B", "One\ntwo"} <= set(values.values())
    assert "#" not in link
    long = new_request_link(address, "review/x", "plan/default", "A & B", "b" * 60_000)
    assert len(long) < MAX_LINK
    assert "A%20%26%20B" in long
