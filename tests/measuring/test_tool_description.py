"""Test what is known of the tools of a policy's commands."""

from __future__ import annotations

from pathlib import Path

from git_planner.flows.measuring.tool_description import search_folders


def test_folders_that_an_installation_adds_to_python_s_path_are_known(tmp_path: Path) -> None:
    modules = tmp_path / "venv/lib/python3.12/site-packages"
    modules.mkdir(parents=True)
    (modules / "project.pth").write_text(f"{tmp_path}/checkout\n\nimport os; os.getcwd()\n../beside\n")
    (modules / "other.txt").write_text(f"{tmp_path}/other\n")
    folders = search_folders([str(tmp_path / "venv"), str(tmp_path / "missing")])
    assert {f"{tmp_path}/checkout", str(modules.parent / "beside")} <= folders
    assert f"{tmp_path}/other" not in folders
