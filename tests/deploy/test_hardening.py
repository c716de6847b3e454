"""The deployments pass an administrator's checks: rights, networks, secrets, limits."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import AliasChoices

from pipeline.settings import STAGES, Settings
from web.app import create_app

CLONE = Path(__file__).parents[2]
KUBERNETES = CLONE / "deploy" / "kubernetes"
PARTS = ("web", *STAGES)
#: Variables that are read by others than ours.
FOREIGN = re.compile(r"OTEL_\w+|HTTPS?_PROXY|NO_PROXY|GF_\w+")
#: Paths that strangers need not reach.
PRIVATE = re.compile(r"/(stages|api|metrics|healthz|readyz)(/|$)")

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl")
needs_compose = pytest.mark.skipif(
    shutil.which("docker-compose") is None, reason="there is no docker-compose"
)


def documents() -> list[Any]:
    return [
        document
        for path in sorted(KUBERNETES.rglob("*.yaml"))
        if path.name not in ("kustomization.yaml", "secrets.yaml")
        for document in yaml.safe_load_all(path.read_text("utf-8"))
    ]


def of_kind(*kinds: str) -> dict[str, Any]:
    return {each["metadata"]["name"]: each for each in documents() if each["kind"] in kinds}


def workloads() -> dict[str, Any]:
    return of_kind("Deployment", "StatefulSet")


def services() -> dict[str, Any]:
    compose = yaml.safe_load((CLONE / "docker-compose.yml").read_text("utf-8"))
    found: dict[str, Any] = compose["services"]
    return found


@pytest.mark.parametrize("name", [*PARTS, "redis"])
def test_a_pod_satisfies_the_restricted_standard_and_writes_to_its_volumes_alone(name: str) -> None:
    pod = workloads()[name]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert all(set(volume) - {"name"} <= {"emptyDir", "configMap", "secret"} for volume in pod["volumes"])
    assert all("sizeLimit" in volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume)
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert {"cpu", "memory"} <= set(container["resources"]["limits"])
        assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_spread_and_survives_the_drain_of_a_node(part: str) -> None:
    workload = workloads()[part]
    assert workload["spec"]["replicas"] > 1
    keys = {each["topologyKey"] for each in workload["spec"]["template"]["spec"]["topologySpreadConstraints"]}
    assert keys == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    budget = of_kind("PodDisruptionBudget")[part]["spec"]
    assert budget["maxUnavailable"] == 1
    assert selects(budget["selector"], labels(part))


def test_the_namespace_enforces_the_restricted_standard() -> None:
    held = of_kind("Namespace")["parley"]["metadata"]["labels"]
    assert {held[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "warn", "audit")} == {
        "restricted"
    }


def test_each_part_gets_the_settings_of_all_and_a_secret_of_its_own() -> None:
    for part in PARTS:
        (container,) = workloads()[part]["spec"]["template"]["spec"]["containers"]
        assert container["envFrom"] == [
            {"configMapRef": {"name": "parley"}},
            {"secretRef": {"name": f"parley-{part}"}},
        ]


@pytest.mark.slow
def test_the_network_lets_each_part_reach_what_it_needs_and_nothing_else() -> None:
    inside = [(a, b) for a in (*PARTS, "redis") for b in (*PARTS, "redis") if a != b and reaches(a, b)]
    assert inside == [(part, "redis") for part in PARTS]
    assert [part for part in (*PARTS, "redis") if leaves(part)] == ["infer"]
    everyone = of_kind("NetworkPolicy")["default-deny"]["spec"]
    assert everyone["podSelector"] == {}
    assert sorted(everyone["policyTypes"]) == ["Egress", "Ingress"]
    assert not {"ingress", "egress"} & set(everyone)


def test_the_way_to_the_model_does_not_lead_to_the_cluster_or_the_metadata_service() -> None:
    (rule,) = of_kind("NetworkPolicy")["infer-to-model"]["spec"]["egress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 443}]
    closed = {network for peer in rule["to"] for network in peer["ipBlock"]["except"]}
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7"} <= closed


def test_the_ingress_has_tls_lets_sockets_be_silent_and_shows_what_people_need() -> None:
    ingress = of_kind("Ingress")["web"]
    (tls,) = ingress["spec"]["tls"]
    (rule,) = ingress["spec"]["rules"]
    assert rule["host"] in tls["hosts"]
    annotations: Mapping[str, str] = ingress["metadata"]["annotations"]
    # Sockets are pinged every 25 s.
    silences = [int(value.rstrip("s")) for name, value in annotations.items() if "timeout" in name]
    assert silences
    assert min(silences) > 2 * 25
    shown = {each["path"] for each in rule["http"]["paths"]}
    routes = {
        route.resource.canonical for route in create_app(Settings.load()).router.routes() if route.resource
    }
    assert shown == {path.rstrip("/") or "/" for path in routes if not PRIVATE.match(path)}


@needs_kubectl
@pytest.mark.parametrize("with_redis", [False, True])
def test_kustomize_puts_everything_together_with_and_without_a_redis(
    with_redis: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "kubernetes"
    shutil.copytree(KUBERNETES, folder, ignore=shutil.ignore_patterns("secrets.yaml"))
    if with_redis:
        file = folder / "kustomization.yaml"
        text = file.read_text("utf-8")
        assert "# components: [redis]" in text
        file.write_text(text.replace("# components: [redis]", "components: [redis]"), "utf-8")
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = [
        each for each in yaml.safe_load_all(done.stdout) if each["kind"] in ("Deployment", "StatefulSet")
    ]
    assert len(built) == len(PARTS) + with_redis
    for each in built:
        assert each["metadata"]["namespace"] == "parley"
        assert re.search(r":[0-9.]+", each["spec"]["template"]["spec"]["containers"][0]["image"])


@pytest.mark.parametrize("name", list(services()))
def test_a_service_of_compose_has_no_rights_no_writable_disk_and_a_bound_on_its_memory(name: str) -> None:
    service = services()[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert "privileged" not in service
    assert "cap_add" not in service
    image = service["image"]
    assert image == "parley" or re.search(r":v?\d+\.\d+\.\d+", image), image


def test_compose_publishes_ports_on_the_loopback_unless_told_otherwise() -> None:
    published = {name: service["ports"] for name, service in services().items() if "ports" in service}
    assert published == {"web": ["${BIND:-127.0.0.1}:${PORT:-3500}:3500"], "grafana": ["127.0.0.1:3000:3000"]}


@needs_compose
@pytest.mark.parametrize("address", ["", "0.0.0.0"])  # noqa: S104
def test_compose_says_to_the_web_alone_where_its_port_is_published(address: str) -> None:
    done = subprocess.run(
        ["docker-compose", "config"],
        cwd=CLONE,
        env={**os.environ, "BIND": address, "PUBLIC_PAGES": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    built = yaml.safe_load(done.stdout)["services"]
    binds = {part: built[part]["environment"]["BIND"] for part in PARTS}
    assert binds == dict.fromkeys(PARTS, "127.0.0.1") | {"web": address or "127.0.0.1"}
    assert {built[part]["environment"]["PUBLIC_PAGES"] for part in PARTS} == {"false"}


def test_redis_of_compose_is_on_a_network_without_a_way_out() -> None:
    compose = yaml.safe_load((CLONE / "docker-compose.yml").read_text("utf-8"))
    assert compose["services"]["redis"]["networks"] == ["redis"]
    assert compose["networks"]["redis"]["internal"] is True
    assert {name for name in PARTS if services()[name]["networks"] != ["redis"]} == {"web", "infer"}


@needs_compose
def test_compose_gives_each_part_its_own_secrets_alone() -> None:
    secrets = {f"REDIS_PASSWORD_{part.upper()}": f"password-of-{part}" for part in PARTS}
    secrets |= {"HF_TOKEN": "hf_secret", "MODEL_TOKEN": "model-secret", "ADMIN_TOKEN": "admin-secret-of-all"}
    done = subprocess.run(
        ["docker-compose", "config"],
        cwd=CLONE,
        env={**os.environ, **secrets},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    built = yaml.safe_load(done.stdout)["services"]
    for part in PARTS:
        seen = {name for name, value in secrets.items() if value in str(built[part])}
        expected = {f"REDIS_PASSWORD_{part.upper()}"}
        expected |= {"web": {"ADMIN_TOKEN"}, "infer": {"HF_TOKEN", "MODEL_TOKEN"}}.get(part, set())
        assert seen == expected
    assert not any(value in str(built["redis"]) for value in secrets.values())


def test_the_variables_of_every_deploy_file_are_settings() -> None:
    known: set[str] = set()
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        known |= (
            set(map(str, alias.choices)) if isinstance(alias, AliasChoices) else {str(alias or name.upper())}
        )
    named = {name for service in services().values() for name in service.get("environment", ())}
    named |= set(of_kind("ConfigMap")["parley"]["data"])
    for path in (
        CLONE / "Dockerfile",
        *(CLONE / "deploy" / name for name in ("nginx/parley.conf", "caddy/Caddyfile")),
    ):
        named |= set(re.findall(r"\b([A-Z]+_[A-Z_]+)=", path.read_text("utf-8")))
    ours = {name for name in named if not FOREIGN.fullmatch(name)}
    assert ours - known - {"PYTHON_IMAGE"} == set()


def test_the_image_installs_by_hash_and_runs_without_root_or_pip() -> None:
    text = (CLONE / "Dockerfile").read_text("utf-8")
    installs = re.findall(r"pip (?:--python \S+ )?install [^\n&]*", text)
    assert installs
    assert all("--require-hashes" in each or "--no-index" in each for each in installs)
    assert "--without-pip /app" in text
    assert re.search(r"ARG PYTHON_IMAGE=python:\d+\.\d+\.\d+-slim", text)
    assert text.count("FROM ${PYTHON_IMAGE}") == text.count("\nFROM ")
    assert "USER 10001:10001" in text


@pytest.mark.parametrize(
    "lock",
    [
        "requirements.lock",
        "requirements-run.lock",
        "requirements-build.lock",
        "scripts/supply/requirements.lock",
    ],
)
def test_every_package_of_a_lock_has_hashes(lock: str) -> None:
    text = (CLONE / lock).read_text("utf-8").replace("\\\n", " ")
    packages = [line for line in text.splitlines() if re.match(r"[A-Za-z0-9]", line)]
    assert packages
    assert all("==" in line and "--hash=sha256:" in line for line in packages)


def test_the_image_installs_no_development_package() -> None:
    run = (CLONE / "requirements-run.lock").read_text("utf-8")
    assert not re.search(
        r"^(pytest|mypy|ruff|hypothesis|playwright|kubernetes-validate|coverage)==", run, re.MULTILINE
    )


def labels(component: str) -> dict[str, str]:
    return {"app.kubernetes.io/part-of": "parley", "app.kubernetes.io/component": component}


def selects(selector: Mapping[str, Any], held: Mapping[str, str]) -> bool:
    """Return whether a selector of Kubernetes takes a pod with these labels."""
    return all(held.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        rule["operator"] == "In" and held.get(rule["key"]) in rule["values"]
        for rule in selector.get("matchExpressions", ())
    )


def rules(part: str, direction: str, side: str) -> list[Mapping[str, Any]]:
    """Return the peers that the policies on a part allow, as `from` or `to`."""
    return [
        peer
        for policy in of_kind("NetworkPolicy").values()
        if selects(policy["spec"]["podSelector"], labels(part))
        for rule in policy["spec"].get(direction, ())
        for peer in rule[side]
    ]


def reaches(source: str, target: str) -> bool:
    """Return whether a part may connect to another one of the namespace: both sides must allow it."""
    return any(is_pod(peer, target) for peer in rules(source, "egress", "to")) and any(
        is_pod(peer, source) for peer in rules(target, "ingress", "from")
    )


def is_pod(peer: Mapping[str, Any], part: str) -> bool:
    return (
        "namespaceSelector" not in peer
        and "podSelector" in peer
        and selects(peer["podSelector"], labels(part))
    )


def leaves(part: str) -> bool:
    """Return whether a part may open connections to addresses outside the cluster."""
    return any("ipBlock" in peer for peer in rules(part, "egress", "to"))
