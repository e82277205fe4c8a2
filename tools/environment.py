"""Makes `.venv` fit for what a make target needs; does nothing when it already is.

Usage: python3 tools/environment.py run|dev

Must run on any Python 3 to say clearly which one is needed, and needs nothing but its standard library.
"""

import hashlib
import os
import shutil
import subprocess
import sys

OLDEST = (3, 11)
BIN = os.path.join(".venv", "bin")
PYTHON = os.path.join(BIN, "python")
STAMP = os.path.join(".venv", "orchestrion-setup")
CONSOLE = os.path.join("src", "orchestrion", "server", "console", "sources.sha256")
LOCKS = {"run": "requirements.lock", "dev": "requirements-dev.lock"}


def main():
    os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    use_a_new_enough_python()
    wanted = sys.argv[1]
    if stamp() in {state("dev"), state(wanted)}:
        return
    if os.path.exists(STAMP):
        os.remove(STAMP)
    create_environment()
    install(wanted)
    with open(STAMP, "w") as file:
        file.write(state(wanted))


def use_a_new_enough_python():
    if sys.version_info >= OLDEST:
        return
    for minor in range(16, OLDEST[1] - 1, -1):
        newer = shutil.which(f"python3.{minor}")
        if newer:
            os.execv(newer, [newer, *sys.argv])
    sys.exit(
        "Orchestrion needs Python {}.{} or newer; {} is {}.{}.\n"
        "Name a newer one: make PYTHON=/path/to/python3 ...".format(*OLDEST, sys.executable, *sys.version_info)
    )


def state(wanted):
    """What the stamp says once the environment is set up for `wanted`, here, from these files."""
    digest = hashlib.sha256()
    for name in (LOCKS[wanted], "requirements-uv.lock", "pyproject.toml", *console_sources()):
        with open(name, "rb") as file:
            digest.update(file.read())
    return f"{wanted} {digest.hexdigest()} {os.getcwd()}"


def console_sources():
    """They are built when the package is installed."""
    for folder, folders, names in os.walk("console"):
        folders[:] = sorted(set(folders) - {"node_modules"})
        yield from (os.path.join(folder, name) for name in sorted(set(names) - {"build.log", "openapi.json"}))


def stamp():
    try:
        with open(STAMP) as file:
            return file.read()
    except OSError:
        return None


def create_environment():
    if works():
        return
    try:
        import ensurepip
        import venv
    except ImportError:
        sys.exit(
            "This Python cannot create virtual environments. On Debian and Ubuntu this mends it:\n\n"
            "    apt-get install -y python{}.{}-venv\n".format(*sys.version_info)
        )
    say("creating .venv with Python {}.{}".format(*sys.version_info))
    del ensurepip
    venv.EnvBuilder(with_pip=True, clear=True, symlinks=True).create(".venv")


def works():
    """Whether `.venv` belongs to this folder and has a Python that runs, new enough, and an installer."""
    program = f"import sys; sys.exit(sys.version_info < {OLDEST!r})"
    try:
        with open(os.path.join(BIN, "activate")) as file:
            here = os.getcwd() in file.read()
    except OSError:
        return False
    return here and succeeds([PYTHON, "-c", program]) and (has_uv() or succeeds([PYTHON, "-m", "pip", "--version"]))


def has_uv():
    """Whether the pinned uv is installed already."""
    with open("requirements-uv.lock") as file:
        pinned = next(line.split()[0] for line in file if line.startswith("uv=="))
    program = f"import importlib.metadata as m; assert 'uv==' + m.version('uv') == {pinned!r}"
    return succeeds([PYTHON, "-c", program])


def succeeds(command):
    try:
        return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def install(wanted):
    uv = [os.path.join(BIN, "uv"), "pip"]
    into = ["--quiet", "--python", PYTHON, "--system-certs"]
    say(f"installing what {LOCKS[wanted]} pins, checked by hash")
    if not has_uv():
        call([PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps",
              "--requirement", "requirements-uv.lock"])  # fmt: skip
    call([*uv, "sync", *into, "--compile-bytecode", "--require-hashes", LOCKS[wanted]])
    call([*uv, "install", *into, "--no-deps", "--no-build-isolation", "--offline", "--reinstall", "--editable", "."])
    if not os.path.exists(CONSOLE):
        say("the console could not be built, so browsers have none; everything else works. `make console` tries again")
    call([PYTHON, "-m", "compileall", "-q", "src"])


def call(command):
    if subprocess.call(command) != 0:
        sys.exit("This failed: {}".format(" ".join(command)))


def say(what):
    print("setup: " + what, flush=True)


main()
