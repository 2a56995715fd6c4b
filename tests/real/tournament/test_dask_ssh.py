"""A tournament on dask's SSHCluster, over a real sshd of the test's own on this host."""

from __future__ import annotations

import getpass
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.lab import Lab
from tests.support.small_campaign import agent, campaign

CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile {folder}/pid
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
SetEnv XDG_CACHE_HOME={folder}/cache GIT_CONFIG_GLOBAL={folder}/gitconfig
UsePAM no
"""


def make_key(path: Path) -> None:
    """Make a key pair without a passphrase."""
    words = ("-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path))
    subprocess.run(["ssh-keygen", *words], check=True)


@contextmanager
def ssh_server(folder: Path) -> Iterator[dict[str, object]]:
    """Run sshd on a free port of this host; yield asyncssh's options to connect with."""
    folder.mkdir(mode=0o700)
    make_key(folder / "host")
    make_key(folder / "user")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    (folder / "config").write_text(CONFIG.format(port=port, folder=folder))
    (folder / "gitconfig").write_text("[user]\n\tname = Worker\n\temail = worker@example.invalid\n")
    known = folder / "known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    # sshd wants its full path, and a folder of its own for what it confines.
    Path("/run/sshd").mkdir(exist_ok=True)
    program = shutil.which("sshd")
    assert program is not None
    argv = (program, "-D", "-e", "-f", str(folder / "config"))
    with (folder / "log").open("wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as server:
        try:
            deadline = time.monotonic() + 30
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.05)
            yield {
                "port": port,
                "username": getpass.getuser(),
                "client_keys": [str(folder / "user")],
                "known_hosts": str(known),
            }
        finally:
            server.terminate()


@pytest.mark.real
@pytest.mark.skipif(shutil.which("sshd") is None, reason="needs sshd")
def test_a_tournament_on_a_cluster_over_ssh(lab: Lab, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    pytest.importorskip("asyncssh")
    campaign(lab)
    agent(lab, "echo $((90 - GIT_PLANNER_VARIANT)) >value")
    with (
        ssh_server(tmp_path / "ssh") as options,
        distributed.SSHCluster(
            ["127.0.0.1"] * 3,
            connect_options=options,
            worker_options={"nthreads": 1, "nanny": False},
            scheduler_options={"port": 0, "dashboard": False},
            remote_python=sys.executable,
        ) as cluster,
    ):
        words = ("--prompt", "make it faster", "--run", "speed", "--best-of", "2")
        engine = ("--engine", "dask", "--scheduler", cluster.scheduler_address)
        ran = lab.run("git-bo4", "run", *words, *engine)
    assert ran.status == 0, ran.err
    rows = json.loads(lab.run("git-bo4", "status", "speed", "--json").out)["variants"]
    assert [row["state"] for row in rows] == ["harvested"] * 2
    assert lab.show("bo4/speed/winner:value") == "88\n"
