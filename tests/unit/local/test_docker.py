import json
import shutil
import socket
import subprocess

import pytest

from local.docker import DockerMissingError, has_image, host_for_containers

ELSEWHERE = "192.0.2.1"
"""An address that no machine has (RFC 5737)."""


def host(**bridge: str) -> str:
    """Return the address with an engine that says so of its bridge."""
    return host_for_containers(lambda *_: json.dumps(bridge))


def test_the_bridge_reaches_this_machine_if_its_address_is_ours() -> None:
    ours = "127.0.0.7" if can_bind("127.0.0.7") else "127.0.0.1"
    assert host(Gateway=ours) == ours


def test_the_gateway_is_the_networks_first_address() -> None:
    assert host(Subnet="127.0.0.0/24") == "127.0.0.1"


def test_docker_desktop_whose_bridge_is_elsewhere_passes_on_to_the_loopback() -> None:
    assert host(Gateway=ELSEWHERE) == "127.0.0.1"


def test_without_docker_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(DockerMissingError, match="Docker is not installed: see https://"):
        has_image("any")


def test_without_an_engine_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(command: list[str], **_: object) -> None:
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(shutil, "which", lambda _: "docker")
    monkeypatch.setattr(subprocess, "run", refuse)
    with pytest.raises(DockerMissingError, match="no Docker engine answers: start Docker"):
        host_for_containers()


def can_bind(address: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
