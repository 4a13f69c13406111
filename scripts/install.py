"""Make .venv and install pinned packages into it: the first step of every make target.

pip, a constraints file and the standard library are enough, so nothing has to be on the
machine but Python 3.11 or 3.12. When nothing changed since the last run (a stamp in .venv
holds a hash of the files that decide), it returns at once.

    python scripts/install.py runtime            # what `make chat` needs
    python scripts/install.py runtime test       # what `make test` needs

Which torch: first what pip is configured with. Where that is a CUDA build and this machine
has no NVIDIA GPU, PyTorch's own CPU index is tried. A CUDA build says its size beforehand.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
VENV_PYTHON = os.path.join(VENV, "bin", "python")
CONSTRAINTS = os.path.join(ROOT, "constraints.txt")
SUPPORTED = ((3, 11), (3, 12))
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CUDA_DOWNLOAD = "about 2.5 GB to download, 6 GB on disk"  # torch 2.13.0 with its CUDA 13 packages


def main() -> None:
    parser = argparse.ArgumentParser(description="Make .venv and install pinned packages.")
    parser.add_argument("groups", nargs="+", choices=("runtime", "test", "train"))
    parser.add_argument(
        "--strict", action="store_true", help="use this very Python or fail (PYTHON= was given)"
    )
    args = parser.parse_args()
    use_supported_python(args.strict)
    make_venv(args.strict)
    groups = [group for group in args.groups if not is_installed(group)]
    if groups:
        install(groups)


def use_supported_python(strict: bool) -> None:
    """Go on under Python 3.11 or 3.12: this one, or one found on PATH; else say what to do."""
    if sys.version_info[:2] in SUPPORTED:
        return
    here = "%s is Python %d.%d" % (sys.executable, *sys.version_info[:2])  # noqa: UP031
    if not strict:
        for name in ("python3.12", "python3.11"):
            path = shutil.which(name)
            # A name on PATH may be a version manager's shim that cannot start: ask it.
            if path and subprocess.call([path, "-c", ""], stderr=subprocess.DEVNULL) == 0:
                say(f"{here}; going on with {path}")
                os.execv(path, [path, *sys.argv])
    fail(
        f"Parley runs on Python 3.11 or 3.12, but {here}.\n"
        "Install one of them, or name it: make chat PYTHON=/path/to/python3.12"
    )


def make_venv(strict: bool) -> None:
    """Create .venv, or create it again when its Python is gone or is another than asked for."""
    wanted = {sys.version_info[:2]} if strict else set(SUPPORTED)
    found = venv_version()
    if found in wanted:
        return
    if os.path.exists(VENV):
        say("The environment .venv cannot be used with this Python; making it again")
        shutil.rmtree(VENV)
    say(f"Making .venv with Python {sys.version.split()[0]}")
    if subprocess.call([sys.executable, "-m", "venv", VENV]) != 0:
        shutil.rmtree(VENV, ignore_errors=True)
        fail(
            f"{sys.executable} -m venv failed (its output stands above).\n"
            "On Debian and Ubuntu the package python3-venv is needed; or name another Python: "
            "make chat PYTHON=/path/to/python3.12"
        )


def venv_version() -> "tuple[int, int] | None":
    """(major, minor) of the Python in .venv, or None where it is absent or broken."""
    try:
        with open(os.path.join(VENV, "pyvenv.cfg"), encoding="utf-8") as config:
            lines = dict(line.split(" = ", 1) for line in config if " = " in line)
        major, minor = lines["version"].split(".")[:2]
        return (int(major), int(minor)) if os.path.exists(VENV_PYTHON) else None
    except (OSError, KeyError, ValueError):
        return None


def install(groups: "list[str]") -> None:
    """Install the groups with the versions of constraints.txt and leave a stamp for each."""
    start = time.monotonic()
    say(f"Installing packages into .venv ({' and '.join(groups)}); a few minutes the first time")
    pip("install", "--constraint", CONSTRAINTS, "pip", "setuptools")
    if "runtime" in groups:
        install_torch()
    requirements: list[str] = []
    for group in groups:
        requirements += ["--requirement", requirement_file(group)]
    pip("install", "--constraint", CONSTRAINTS, *requirements)
    for group in groups:
        with open(stamp(group), "w", encoding="utf-8") as file:
            file.write(fingerprint(group))
    say(f"Installed in {time.monotonic() - start:.0f} s")


def install_torch() -> None:
    """Install the pinned torch in the build that suits this machine (see the module's text)."""
    torch = pinned("torch")
    command = [VENV_PYTHON, "-m", "pip", "install", "--dry-run", "--no-deps", "--quiet"]
    asked = subprocess.run(
        [*command, "--ignore-installed", "--report", "-", torch], capture_output=True, text=True
    )
    if asked.returncode == 0 and not is_cuda_build(asked.stdout):
        pip("install", "--constraint", CONSTRAINTS, torch)
        return
    if not has_nvidia_gpu():
        say(f"No NVIDIA GPU here: taking torch's CPU build from {TORCH_CPU_INDEX}")
        cpu = ["--index-url", TORCH_CPU_INDEX, "--retries", "1", "--timeout", "20"]
        if pip("install", *cpu, "--no-deps", "--constraint", CONSTRAINTS, torch, check=False) == 0:
            return
        say("That index could not be used")
    if asked.returncode != 0:
        fail(f"pip finds no {torch} for this machine:\n{asked.stderr.strip()}")
    say(f"Taking torch's CUDA build: {CUDA_DOWNLOAD}")
    pip("install", "--constraint", CONSTRAINTS, torch)


def is_cuda_build(report: str) -> bool:
    """Whether pip's installation report names a torch that brings CUDA packages along."""
    metadata = json.loads(report)["install"][0]["metadata"]
    needs = metadata.get("requires_dist", [])
    return sys.platform == "linux" and any(need.startswith(("nvidia-", "cuda-")) for need in needs)


def has_nvidia_gpu() -> bool:
    if os.path.exists("/proc/driver/nvidia/version"):
        return True
    tool = shutil.which("nvidia-smi")
    return tool is not None and subprocess.call([tool], stdout=subprocess.DEVNULL) == 0


def pinned(package: str) -> str:
    with open(CONSTRAINTS, encoding="utf-8") as file:
        return next(line.strip() for line in file if line.startswith(package + "=="))


def pip(*arguments: str, check: bool = True) -> int:
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    code = subprocess.call([VENV_PYTHON, "-m", "pip", *arguments, *quiet])
    if check and code != 0:
        fail(
            "pip could not install the packages (its message stands above). "
            "The next run goes on from here."
        )
    return code


def requirement_file(group: str) -> str:
    return os.path.join(ROOT, "requirements", group + ".txt")


def stamp(group: str) -> str:
    return os.path.join(VENV, f".parley-{group}")


def fingerprint(group: str) -> str:
    """Hash of everything that decides what an installed group holds."""
    digest = hashlib.sha256(repr(venv_version()).encode())
    for path in (CONSTRAINTS, requirement_file(group)):
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def is_installed(group: str) -> bool:
    try:
        with open(stamp(group), encoding="utf-8") as file:
            return file.read() == fingerprint(group)
    except OSError:
        return False


def say(text: str) -> None:
    print(text, flush=True)


def fail(text: str) -> None:
    sys.exit("error: " + text)


if __name__ == "__main__":
    main()
