"""Checks deploy/kubernetes: the schemas, and what no schema knows.

usage: check_kubernetes.py KUBECTL ACTSERVED
       check_kubernetes.py --write-rules

--write-rules makes the PrometheusRule from Prometheus' own rules.
"""

from __future__ import annotations

import functools
import pathlib
import re
import subprocess
import sys
import unittest
from typing import Any

import kubernetes_validate
import yaml

DEPLOY = pathlib.Path(__file__).resolve().parent.parent
OVERLAYS = sorted((DEPLOY / "kubernetes" / "overlays").iterdir())
RULES = DEPLOY / "prometheus" / "rules.yml"
MONITORING = DEPLOY / "kubernetes" / "components" / "monitoring"
VERSION = "1.34"
# Kinds that no cluster has by itself, and what their specs must have.
CUSTOM = {
    "ServiceMonitor": {"selector", "endpoints"},
    "PrometheusRule": {"groups"},
}

kubectl = ""
actserved = ""


@functools.cache
def resources(overlay: pathlib.Path) -> list[dict[str, Any]]:
    """Returns what an overlay applies."""
    text = subprocess.run(
        [kubectl, "kustomize", overlay],
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    ).stdout
    return list(yaml.safe_load_all(text))


def seconds_of(flag: str, arguments: list[str]) -> int:
    """Returns the value of a flag that is a duration in seconds."""
    (value,) = (
        a.partition("=")[2] for a in arguments if a.startswith(flag + "=")
    )
    return int(value.removesuffix("s"))


class KubernetesTest(unittest.TestCase):
    """Each test looks at all overlays."""

    def each(self, kind: str):
        """Returns [(where, resource of a kind, all resources there), ...]."""
        found = []
        for overlay in OVERLAYS:
            everything = resources(overlay)
            for resource in everything:
                if resource["kind"] == kind:
                    where = f"{overlay.name}: {resource['metadata']['name']}"
                    found.append((where, resource, everything))
        return found

    def test_fits_the_schemas(self) -> None:
        for overlay in OVERLAYS:
            for resource in resources(overlay):
                kind = resource["kind"]
                with self.subTest(overlay=overlay.name, kind=kind):
                    if kind in CUSTOM:
                        self.assertLessEqual(CUSTOM[kind], {*resource["spec"]})
                    else:
                        kubernetes_validate.validate(
                            resource, VERSION, strict=True
                        )

    def test_the_schemas_find_mistakes(self) -> None:
        mistake = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "x"},
            "spec": {"port": []},
        }
        with self.assertRaises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(mistake, VERSION, strict=True)

    def test_selectors_find_pods_and_ports(self) -> None:
        for where, service, everything in self.each("Service"):
            with self.subTest(where):
                ports = {
                    port["name"]
                    for deployment in everything
                    if deployment["kind"] == "Deployment"
                    and service["spec"]["selector"].items()
                    <= deployment["spec"]["template"]["metadata"][
                        "labels"
                    ].items()
                    for container in deployment["spec"]["template"]["spec"][
                        "containers"
                    ]
                    for port in container["ports"]
                }
                targets = {p["targetPort"] for p in service["spec"]["ports"]}
                self.assertLessEqual(targets, ports)

    def test_pods_have_time_to_drain(self) -> None:
        for where, deployment, _ in self.each("Deployment"):
            with self.subTest(where):
                pod = deployment["spec"]["template"]["spec"]
                (container,) = pod["containers"]
                stop = container["lifecycle"]["preStop"]
                if deployment["metadata"]["name"] == "envoy":
                    script = stop["exec"]["command"][-1]
                    needed = int(re.findall(r"sleep (\d+)", script)[0])
                else:
                    needed = (
                        stop["sleep"]["seconds"]
                        + seconds_of("--drain_delay", container["args"])
                        + seconds_of("--drain_timeout", container["args"])
                    )
                self.assertGreater(pod["terminationGracePeriodSeconds"], needed)

    def test_pods_are_restricted(self) -> None:
        for where, deployment, _ in self.each("Deployment"):
            with self.subTest(where):
                pod = deployment["spec"]["template"]["spec"]
                (container,) = pod["containers"]
                self.assertTrue(pod["securityContext"]["runAsNonRoot"])
                self.assertEqual(
                    pod["securityContext"]["seccompProfile"],
                    {"type": "RuntimeDefault"},
                )
                self.assertFalse(pod["automountServiceAccountToken"])
                self.assertEqual(
                    container["securityContext"],
                    {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                )
                self.assertIn("memory", container["resources"]["limits"])

    def test_probes_tell_readiness_from_life(self) -> None:
        for where, deployment, _ in self.each("Deployment"):
            with self.subTest(where):
                (container,) = deployment["spec"]["template"]["spec"][
                    "containers"
                ]
                if "--insecure" in container.get("args", []):
                    ready = container["readinessProbe"]["grpc"]
                    alive = container["livenessProbe"]["grpc"]
                    self.assertEqual(
                        ready["service"], "actserve.v1.ActivationService"
                    )
                    self.assertEqual(alive["service"], "liveness")
                self.assertNotEqual(
                    container["readinessProbe"], container["livenessProbe"]
                )

    def test_servers_listen_openly_behind_envoy_alone(self) -> None:
        for where, deployment, everything in self.each("Deployment"):
            with self.subTest(where):
                if deployment["metadata"]["name"] != "actserve":
                    continue
                (container,) = deployment["spec"]["template"]["spec"][
                    "containers"
                ]
                names = {r["metadata"]["name"] for r in everything}
                flags = {a.partition("=")[0] for a in container["args"]}
                self.assertEqual("--insecure" in flags, "envoy" in names)
                self.assertEqual("--tls_cert" in flags, "envoy" not in names)

    def test_flags_exist(self) -> None:
        usage = subprocess.run(
            [actserved, "--help"], text=True, stdout=subprocess.PIPE
        ).stdout
        known = set(re.findall(r"^ +(--\w+)", usage, re.MULTILINE))
        for where, deployment, _ in self.each("Deployment"):
            with self.subTest(where):
                (container,) = deployment["spec"]["template"]["spec"][
                    "containers"
                ]
                flags = {a.partition("=")[0] for a in container.get("args", [])}
                self.assertLessEqual(flags, known)

    def test_rules_are_those_of_prometheus(self) -> None:
        rule = yaml.safe_load((MONITORING / "rules.yaml").read_text())
        self.assertEqual(
            rule["spec"], yaml.safe_load(RULES.read_text()), "--write-rules"
        )


def write_rules() -> None:
    """Makes the PrometheusRule that the cluster's operator reads."""
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "actserve"},
        "spec": yaml.safe_load(RULES.read_text()),
    }
    comment = (
        "# Made from deploy/prometheus/rules.yml by\n"
        "#   deploy/testing/check_kubernetes.py --write-rules\n"
    )
    text = yaml.safe_dump(rule, sort_keys=False, width=80)
    (MONITORING / "rules.yaml").write_text(comment + text)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write-rules"]:
        write_rules()
        sys.exit()
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    kubectl, actserved = sys.argv[1:]
    unittest.main(argv=sys.argv[:1])
