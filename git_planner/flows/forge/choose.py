"""Find the hosting site of a remote, and the client that is logged in there."""

from __future__ import annotations

from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.flows.forge.api_program import ApiProgram
from git_planner.flows.forge.contract import ForgeClient
from git_planner.flows.forge.github import GitHubClient
from git_planner.flows.forge.gitlab import GitLabClient
from git_planner.gitio import remote
from git_planner.gitio.repository import Repository
from git_planner.rules.forge.address import RepositoryAddress, parse_address


def find_address(repo: Repository, remote_name: str) -> RepositoryAddress | None:
    """Return where a remote's repository is hosted: as set by the user, else by the remote's address.

    Raises:
        PlannerError: E_USAGE for a setting that is no address; E_REMOTE without such a remote.
    """
    chosen = read_settings(repo).forge
    if chosen:
        address = parse_address(chosen)
        if address is None:
            raise PlannerError(
                "E_USAGE",
                "the setting 'planner.forge' is not the web address of a repository",
                hint="such as https://github.com/owner/name",
            )
        return address
    return parse_address(remote.url(repo, remote_name))


def find_client(repo: Repository, address: RepositoryAddress) -> ForgeClient | None:
    """Return the client of a site whose program is installed and logged in; None if there is none."""
    if address.site in ("bitbucket", "gitea"):
        return None
    if address.site != "gitlab" and (api := ApiProgram(repo, "gh", address)).is_logged_in():
        return GitHubClient(api)
    if address.site != "github" and (api := ApiProgram(repo, "glab", address)).is_logged_in():
        return GitLabClient(api)
    return None
