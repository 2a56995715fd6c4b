"""Start of a program within its terminal. A script: its one argument is a file that `launch_file` wrote.

Neither tmux's server nor a desktop's gives a program the environment that it shall have, and a command line
can be read by everybody. Imports nothing of the package.
"""

import json
import os
import sys
import time

# Set by the terminal, for the program in it.
OF_TERMINAL = (
    *("COLORTERM", "GNOME_TERMINAL_SCREEN", "GNOME_TERMINAL_SERVICE", "TERM", "TERM_PROGRAM"),
    *("TERM_PROGRAM_VERSION", "TMUX", "TMUX_PANE", "VTE_VERSION", "WINDOWID", "XTERM_VERSION"),
)
_NOT_STARTED = 127


def launch(path: str) -> int:
    """Become the program that a file describes; delete the file first, because it may hold secrets.

    Returns:
        The exit status if the program cannot be started.
    """
    try:
        with open(path, encoding="ascii") as file:
            start = json.load(file)
        os.unlink(path)
    except (OSError, ValueError) as error:
        return _fail(f"cannot read '{path}': {error}", None)
    kept = {name: os.environ[name] for name in OF_TERMINAL if name in os.environ}
    environment = {**start["env"], **kept}
    try:
        os.chdir(start["cwd"])
        os.execvpe(start["argv"][0], start["argv"], environment)
    except (OSError, ValueError) as error:
        return _fail(f"cannot start '{start['argv'][0]}' in '{start['cwd']}': {error}", start["log"])


def _fail(message: str, log: str | None) -> int:
    line = f"git-planner: {message}\n".encode("utf-8", "backslashreplace")
    os.write(2, line)
    if log is not None:
        try:
            file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError:
            return _NOT_STARTED
        os.write(file, line)
        os.close(file)
    # The window closes with it.
    time.sleep(1.0)
    return _NOT_STARTED


if __name__ == "__main__":
    sys.exit(launch(sys.argv[1]))
