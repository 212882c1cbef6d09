"""Where a server on this machine must listen for Docker's containers to reach it."""

import ipaddress
import json
import shutil
import socket
import subprocess
from collections.abc import Callable


class DockerMissingError(Exception):
    """There is no Docker engine; the message says what to do, in one line."""


def host_for_containers(ask: Callable[..., str] | None = None) -> str:
    """Return the address that containers know as host.docker.internal (host-gateway).

    With an engine of its own, as on Linux, that is the bridge's address on this machine, which
    no other machine can reach. Docker Desktop, whose engine is elsewhere, passes on to 127.0.0.1.

    Args:
        ask: Asks the engine; `ask_engine` if none is given.

    Raises:
        DockerMissingError: No engine answers.
    """
    # An engine tells the gateway, or only the network whose first address it is.
    network = "{{json (index .IPAM.Config 0)}}"
    bridge = json.loads((ask or ask_engine)("network", "inspect", "bridge", "--format", network))
    gateway = bridge.get("Gateway") or str(ipaddress.ip_network(bridge["Subnet"])[1])
    with socket.socket() as probe:
        try:
            probe.bind((gateway, 0))
        except OSError:
            return "127.0.0.1"
    return str(gateway)


def has_image(name: str) -> bool:
    """Tell whether an image is on this machine."""
    try:
        ask_engine("image", "inspect", name)
    except subprocess.CalledProcessError:
        return False
    return True


def ask_engine(*arguments: str) -> str:
    """Run a command of Docker's and return what it prints.

    Raises:
        DockerMissingError: No engine answers.
        CalledProcessError: The command failed.
    """
    docker = shutil.which("docker")
    if docker is None:
        raise DockerMissingError("Docker is not installed: see https://docs.docker.com/get-docker/")
    command = [docker, *arguments]
    try:
        subprocess.run([docker, "version"], capture_output=True, check=True)  # noqa: S603
    except subprocess.CalledProcessError:
        raise DockerMissingError("no Docker engine answers: start Docker") from None
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout  # noqa: S603
