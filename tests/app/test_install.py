"""The choices of scripts/install.py, on reports as pip writes them."""

import json
import sys
from pathlib import Path

import pytest

from scripts import install

CPU = ["filelock", "sympy>=1.13.3", "jinja2"]
CUDA = [*CPU, 'nvidia-cudnn-cu13==9.20.0.48; platform_system == "Linux"', "triton==3.7.1"]


def report(needs: list[str]) -> str:
    return json.dumps({"install": [{"metadata": {"name": "torch", "requires_dist": needs}}]})


def test_a_cuda_build_is_known_by_what_it_needs() -> None:
    assert not install.is_cuda_build(report(CPU))
    assert install.is_cuda_build(report(CUDA)) == (sys.platform == "linux")


def test_torch_is_pinned() -> None:
    assert install.pinned("torch").startswith("torch==2.")


def test_a_group_is_installed_until_a_file_that_decides_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "runtime.txt").write_text("torch\n")
    (tmp_path / "constraints.txt").write_text("torch==2.13.0\n")
    monkeypatch.setattr(install, "ROOT", str(tmp_path))
    monkeypatch.setattr(install, "VENV", str(tmp_path))
    monkeypatch.setattr(install, "CONSTRAINTS", str(tmp_path / "constraints.txt"))
    assert not install.is_installed("runtime")
    Path(install.stamp("runtime")).write_text(install.fingerprint("runtime"))
    assert install.is_installed("runtime")
    (tmp_path / "constraints.txt").write_text("torch==2.14.0\n")
    assert not install.is_installed("runtime")


def test_an_unsupported_python_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(install, "SUPPORTED", ((4, 0),))
    with pytest.raises(SystemExit, match=r"(?s)3\.11 or 3\.12.*PYTHON=") as stop:
        install.use_supported_python(strict=True)
    assert sys.executable in str(stop.value)
