"""Engine `ray`: each worker is an actor of a Ray cluster. Needs the extra `ray`."""

from __future__ import annotations

import logging
import math
import os
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

from sora_eval.features.device import CPU, device
from sora_eval.pipeline.engines.crew import Lost
from sora_eval.pipeline.engines.options import EngineOptions
from sora_eval.util.errors import RunError, line_of

if TYPE_CHECKING:  # torch comes with the workers: a cluster that is not there is said without it
    from sora_eval.pipeline.engines.worker import Place, Setup, State

MOST_SECONDS_TO_CONNECT = 3.0  # and as long for the first word of what answers
SETTINGS = b"\x04"  # type of the frame that a server of HTTP/2, and so of gRPC, begins with (RFC 9113, 3.4)
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + SETTINGS + b"\0" * 5  # what a client begins with


class RayEngine:
    """Starts actors on a cluster: that of `address`, one that runs on this machine, or else one of this machine alone.

    Raises RunError where Ray is not installed, the cluster cannot be reached, or it has fewer GPUs than are asked for.
    """

    def __init__(self, options: EngineOptions) -> None:
        self.options = options
        try:
            import ray
        except ImportError as error:
            raise RunError(f"--engine ray needs {error.name}; install sora_eval[ray]") from error
        if device() not in (CPU, "cuda:0"):
            raise RunError(f"--device {device()} with --engine ray, which numbers the GPUs of each worker from 0: say cuda")
        self._ray, self._own = ray, not ray.is_initialized()
        if self._own:
            _connect(ray, options.address)
        try:
            self.check_room([options.gpus_per_generator or 0] * options.generators)
        except BaseException:
            self.close()
            raise

    def check_room(self, gpus: Sequence[float]) -> None:
        """Raises RunError where the machines have fewer GPUs, whoever uses them, than workers of so many each."""
        there = [float(node["Resources"].get("GPU", 0)) for node in self._ray.nodes() if node["Alive"]]
        left = sorted(there)
        for each in sorted(filter(None, gpus), reverse=True):
            place = next((i for i, free in enumerate(left) if free + 1e-9 >= each), None)
            if place is None:
                wanted = ", ".join(f"{n} x {each:g}" for each, n in Counter(filter(None, gpus)).items())
                raise RunError(
                    f"the workers ask for {wanted} GPUs, and the {len(there)} machines of the cluster have "
                    f"{' + '.join(f'{n:g}' for n in there)}; ask for fewer --generators, --scorers or --gpus-per-generator"
                )
            left[place] -= each

    def start(self, make_state: Callable[[], State], setup: Setup, *, gpus: float) -> RayWorker:
        """A new actor on the emptiest machine, which opens its state."""
        from sora_eval.pipeline.engines.worker import Holder

        actor = self._ray.remote(Holder).options(num_gpus=gpus, scheduling_strategy="SPREAD").remote()
        return RayWorker(self._ray, actor, make_state, setup)

    def scorers_per_machine(self) -> int:
        """How many scorers share the cores of a machine."""
        return math.ceil(self.options.scorers / max(len([n for n in self._ray.nodes() if n["Alive"]]), 1))

    def close(self) -> None:
        """Disconnect, unless the program was connected before."""
        if self._own:
            self._ray.shutdown()


class RayWorker:
    """An actor."""

    def __init__(self, ray: Any, actor: Any, make_state: Callable[[], State], setup: Setup) -> None:
        self._ray, self._actor = ray, actor
        self.opening: Future[Place] = actor.open.remote(make_state, setup).future()

    def submit(self, function: Callable[..., Any], job: tuple[Any, ...]) -> Future[Any]:
        future: Future[Any] = self._actor.call.remote(function, job).future()
        return future

    def result(self, future: Future[Any]) -> Any:
        from ray.exceptions import RayError, RayTaskError

        try:
            return future.result()
        except RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            raise cause from None
        except RayError as error:
            raise Lost(f"was lost: {line_of(error)}") from None

    def stop(self, *, now: bool) -> None:
        if not now:
            closing = self._actor.close.remote()
            self._ray.wait([closing], timeout=MOST_SECONDS_TO_CONNECT)
        self._ray.kill(self._actor)


def _connect(ray: Any, address: str | None) -> None:
    """Raises RunError for a cluster that does not answer."""
    if place := _place_of(address):
        _check_reachable(place)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        where = f"--address {address}" if address else "a Ray cluster of this machine"
        raise RunError(f"{where} cannot be reached: {line_of(error)}; start one: ray start --head") from error


def _place_of(address: str | None) -> str | None:
    """The address that Ray will take: its variable before all, and without one that `ray start` has left; None for none."""
    given = os.environ.get("RAY_ADDRESS") or address
    if given not in (None, "auto"):
        return None if given == "local" else given
    latest = Path(os.environ.get("RAY_TMPDIR") or gettempdir()) / "ray" / "ray_current_cluster"
    return latest.read_text(encoding="utf-8").strip() if latest.is_file() else None


def _check_reachable(address: str) -> None:
    """Raises RunError where no server of gRPC answers, for which Ray itself would wait for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdigit():
        raise RunError(f"{address!r} is no address of a Ray cluster; expected auto, or HOST:PORT of its head")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), MOST_SECONDS_TO_CONNECT) as connection:
            if os.environ.get("RAY_USE_TLS", "0") != "0":
                return
            connection.sendall(HTTP2)
            if connection.recv(9)[3:4] != SETTINGS:
                raise ConnectionError("what answers is no server of Ray")
    except (OSError, OverflowError) as error:
        raise RunError(f"no Ray cluster answers at {address}: {line_of(error)}; see 'ray status', or --address") from error
