"""The Grafana dashboard and the alert rules: every expression is valid, and asks for metrics and labels that exist."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from grpc import StatusCode

from cinema_grpc.domain.events import EventType
from cinema_grpc.observability.metric_list import METRICS
from cinema_grpc.observability.readings import code_name
from cinema_grpc.transport.contract import SERVICES
from cinema_grpc.transport.health import LIVENESS

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus/alerts.yaml"
PROMTOOL = shutil.which("promtool", path=f"{sys.prefix}{os.pathsep}{os.environ['PATH']}")
TARGET_LABELS = {"job", "instance"}
"""Labels that Prometheus adds."""
LABELS = {name: {*each.labels, "le"} for each in METRICS for name in each.series}
LABELS |= {name: set() for name in ("up", "process_cpu_seconds_total", "process_resident_memory_bytes")}


def panels() -> list[dict[str, Any]]:
    dashboard = json.loads((DEPLOY / "grafana/dashboard.json").read_text())
    return [each for each in dashboard["panels"] if each["type"] != "row"]


def expressions() -> Iterator[str]:
    for panel in panels():
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "1m").replace('"$job"', '".*"').replace("$instance", ".*")
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def selectors(expression: Any) -> Iterator[Any]:
    """Yield the vector selectors of an expression."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
        return
    parts = [getattr(expression, name, None) for name in ("expr", "lhs", "rhs", "param", "vector_selector")]
    for part in [*parts, *getattr(expression, "args", ())]:
        if part is not None and not isinstance(part, str):
            yield from selectors(part)


@pytest.mark.parametrize("text", list(expressions()))
def test_an_expression(text: str) -> None:
    found = list(selectors(promql_parser.parse(text)))
    assert found
    for selector in found:
        assert selector.name in LABELS, selector.name
        for matcher in selector.matchers.matchers:
            assert matcher.name in LABELS[selector.name] | TARGET_LABELS, (selector.name, matcher.name)
    grouped = {label.strip() for by in re.findall(r"by \(([^)]*)\)", text) for label in by.split(",")}
    assert grouped <= {label for each in found for label in LABELS[each.name]} | TARGET_LABELS


def test_all_metrics_are_shown() -> None:
    """The dashboard is complete, but for what follows from other metrics."""
    shown = {each.name for text in expressions() for each in selectors(promql_parser.parse(text))}
    missing = {each.name for each in METRICS if shown.isdisjoint(each.series)}
    assert missing == {
        "grpc_server_msg_received_total",
        "cinema_cache_showtimes",
        "cinema_cache_seats",
        "cinema_cache_evictions_total",
        "cinema_event_feed_waiting_commits",
    }


@pytest.mark.parametrize(
    ("label", "known"),
    [
        ("grpc_method", {method.name for service in SERVICES for method in service.methods}),
        ("grpc_code", {code_name(code.name) for code in StatusCode}),
        ("type", {each.value for each in EventType}),
    ],
)
def test_values_of_labels_exist(label: str, known: set[str]) -> None:
    found = [re.findall(rf'\b{label}=~?"([\w|]+)"', text) for text in expressions()]
    used = {value for values in found for each in values for value in each.split("|")}
    assert used
    assert used <= known


def test_panels_have_a_place_of_their_own() -> None:
    places = [each["gridPos"] for each in panels()]
    cells = {(place["x"] + x, place["y"] + y) for place in places for x in range(place["w"]) for y in range(place["h"])}
    assert len(cells) == sum(place["w"] * place["h"] for place in places)
    assert max(x for x, _ in cells) < 24
    assert len({each["id"] for each in panels()}) == len(panels())


def test_alerts_are_documented() -> None:
    documented = set(re.findall(r"\bCinema[A-Z]\w+", (DEPLOY.parent / "docs/operations.md").read_text()))
    assert documented == {
        rule["alert"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
    }


def test_what_is_scraped_is_served() -> None:
    """The manifests and the Compose file name the port at which their servers have metrics."""
    deployment, *_ = yaml.safe_load_all((DEPLOY / "kubernetes/cinema.yaml").read_text())
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    port = pod["metadata"]["annotations"]["prometheus.io/port"]
    assert {"name": "CINEMA_METRICS_ADDRESS", "value": f"0.0.0.0:{port}"} in container["env"]
    assert {"name": "metrics", "containerPort": int(port)} in container["ports"]
    (ingress,) = yaml.safe_load((DEPLOY / "kubernetes/network-policy.yaml").read_text())["spec"]["ingress"]
    assert {"protocol": "TCP", "port": "metrics"} in ingress["ports"]
    (job,) = yaml.safe_load((DEPLOY / "compose/prometheus.yaml").read_text())["scrape_configs"]
    (targets,) = job["dns_sd_configs"]
    replica = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())["services"][targets["names"][0]]
    assert replica["environment"]["CINEMA_METRICS_ADDRESS"] == f"0.0.0.0:{targets['port']}"
    assert f'up{{job="{job["job_name"]}"}}' in ALERTS.read_text()


def test_what_is_probed_is_served() -> None:
    """Kubernetes asks at the address for health checks, by gRPC: it finds a process that hangs and accepts calls."""
    deployment, *_ = yaml.safe_load_all((DEPLOY / "kubernetes/cinema.yaml").read_text())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (port,) = (each["containerPort"] for each in container["ports"] if each["name"] == "health")
    assert {"name": "CINEMA_HEALTH_ADDRESS", "value": f"0.0.0.0:{port}"} in container["env"]
    probes = [container[f"{kind}Probe"]["grpc"] for kind in ("startup", "readiness", "liveness")]
    assert probes == [{"port": port}, {"port": port}, {"port": port, "service": LIVENESS}]


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: make promtool")
def test_alerts_with_promtool() -> None:
    """Each alert fires where its problem is, and none at a healthy server."""
    command = [str(PROMTOOL), "test", "rules", str(DEPLOY / "prometheus/alerts.test.yaml")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 (a tool)
    assert ended.returncode == 0, ended.stdout + ended.stderr
