"""compose.yaml, nginx.conf, prometheus.yml and alerts.yml agree with each other and the code.

No container runs here; what the files promise is tried by test_topology.py with real parts.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.metrics import Metrics
from agent.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parent.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
# What the compose specification lets a service have, as far as it is used here.
KEYS = set(
    "build command depends_on deploy environment healthcheck image ipc ports profiles restart "
    "stop_grace_period volumes".split()
)


def test_every_part_is_there_and_says_what_it_is() -> None:
    parts = {"app-1", "app-2", "nginx", "postgres", "chroma", "vllm", "prometheus"}
    assert set(SERVICES) == parts and set(COMPOSE) <= {"name", "services", "volumes", "x-app"}
    for name, service in SERVICES.items():
        assert set(service) <= KEYS, name
        assert service["restart"] == "unless-stopped" and service["image"], name
        assert ":" in service["image"] or "build" in service, f"{name}: no version"
        assert not service["image"].endswith(":latest"), name
        needed = service.get("depends_on", {})
        assert set(needed) <= parts
        for volume in service.get("volumes", []):
            source, _, target = volume.removesuffix(":ro").partition(":")
            assert target.startswith("/")
            if source.startswith("."):
                assert (ROOT / source).is_file(), source
            else:
                assert source in COMPOSE["volumes"], source
    used = {v.split(":")[0] for s in SERVICES.values() for v in s.get("volumes", [])}
    assert set(COMPOSE["volumes"]) <= used


def test_replicas_differ_in_nothing_but_their_folder() -> None:
    one, two = (dict(SERVICES[f"app-{k}"]) for k in (1, 2))
    assert one.pop("volumes") != two.pop("volumes") and one == two


def test_settings_are_settings_and_addresses_are_services() -> None:
    environment = SERVICES["app-1"]["environment"]
    fields = {PREFIX + name.upper() for name in Settings.model_fields}
    assert set(environment) <= fields
    written = " ".join(map(str, environment.values()))
    for host in re.findall(r"(?:@|//)([a-z][a-z0-9-]*):\d+", written):
        assert host in SERVICES, host
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert set(re.findall(r"PARLEY_[A-Z_]+", dockerfile)) <= fields
    groups = set(re.findall(r"requirements/\w+\.txt", dockerfile))
    assert {"requirements/runtime.txt", "requirements/postgres.txt", "requirements/vllm.txt"} < (
        groups
    )
    for group in groups:
        assert (ROOT / group).is_file(), group
    with_password = re.sub(r"\$\{PARLEY_DB_PASSWORD[^}]*\}", "pw", environment["PARLEY_DATABASE"])
    assert Settings.load(database=with_password).database is not None


def test_nginx_and_prometheus_know_every_replica() -> None:
    replicas = {name for name in SERVICES if name.startswith("app-")}
    nginx = (ROOT / "ops" / "nginx.conf").read_text()
    for upstream in re.findall(r"upstream \w+ \{(.*?)\}", nginx, re.DOTALL):
        assert {h for h, _ in re.findall(r"server ([\w-]+):(\d+)", upstream)} == replicas
    prometheus = yaml.safe_load((ROOT / "ops" / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in prometheus["scrape_configs"]}
    targets = jobs["parley"]["static_configs"][0]["targets"]
    assert {target.split(":")[0] for target in targets} == replicas
    assert {target.split(":")[1] for target in targets} == {
        str(Settings.model_fields["port"].default)
    }


def test_alerts_ask_for_what_is_counted() -> None:
    text = Metrics(items=lambda: 3).text().decode()
    alerts = yaml.safe_load((ROOT / "ops" / "alerts.yml").read_text())
    for rule in alerts["groups"][0]["rules"]:
        for name in re.findall(r"parley_\w+", rule["expr"]):
            assert f"# TYPE {re.sub('_(bucket|count|sum)$', '', name)} " in text, name


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="no promtool: apt-get install prometheus"
)
def test_prometheus_accepts_its_files() -> None:
    done = subprocess.run(
        ["promtool", "check", "config", str(ROOT / "ops" / "prometheus.yml")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
