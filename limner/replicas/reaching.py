"""A cluster that is there already is asked whether it answers us, before it is joined.

Ray itself waits for minutes where that fails, and tells a wrong token, a wrong address and a head
that is slow alike.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import time
from typing import Any

from limner.errors import SettingsError

PATIENCE_S = 60.0  # for a head that is slow; it may have many to serve
CALL_S = 10.0
AUTO = "auto"
_PLACE = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]+):(?P<port>[0-9]{1,5})")
TOKEN = (
    "Ray at {where} takes no token of ours: RAY_AUTH_TOKEN, or the file that RAY_AUTH_TOKEN_PATH "
    "names, must hold the cluster's."
)


def parsed(address: str) -> tuple[str, int]:
    """Host and port of ``ray_address``. Raises ``SettingsError``."""
    found = _PLACE.fullmatch(address)
    if found is None or not 0 < int(found["port"]) < 1 << 16:
        raise SettingsError(
            f"ray_address is {address!r}; it must be HOST:PORT, as `ray start --head` prints it, "
            "or 'auto'."
        )
    return found["host"].strip("[]"), int(found["port"])


def is_loopback(address: str) -> bool:
    """Whether it is an address that only this machine has."""
    host, _ = parsed(address)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def expect_answer(address: str, patience_s: float = PATIENCE_S) -> None:
    """Return once the head of the cluster at ``address`` has answered with our token.

    Raises ``SettingsError`` that says what is wrong: that nobody listens there, that our token is
    not the cluster's, or that whatever listens there did not answer within ``patience_s``.
    """
    where = _started_here() if address == AUTO else address
    _expect_listener(where, address)
    _expect_head(where, patience_s)


def _started_here() -> str:
    """Where Ray's own `auto` leads to."""
    from ray._private import services

    try:
        return str(services.canonicalize_bootstrap_address_or_die(AUTO))
    except ConnectionError:
        raise SettingsError(
            "ray_address is 'auto', but no Ray runs on this machine, and RAY_ADDRESS names none."
        ) from None


def _expect_listener(where: str, address: str) -> None:
    try:
        socket.create_connection(parsed(where), timeout=CALL_S).close()
    except OSError as error:
        why = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        hint = ""
        if address != AUTO and is_loopback(address):
            hint = (
                " A head keeps to the loopback address only where it is started with "
                "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0; `ray start` prints where it is."
            )
        raise SettingsError(f"No Ray can be reached at {where}: {why}.{hint}") from error


def _expect_head(where: str, patience_s: float) -> None:
    """Ask the head whether it lives, again and again, as Ray's own processes do."""
    import grpc
    from ray._private.grpc_utils import init_grpc_channel
    from ray.exceptions import AuthenticationError

    deadline = time.monotonic() + patience_s
    try:
        channel = init_grpc_channel(where)
        while (failure := _asked(channel)) is not None:
            if failure in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
                raise SettingsError(TOKEN.format(where=where))
            if time.monotonic() > deadline:
                raise SettingsError(_silent(where, patience_s))
            time.sleep(0.5)
        channel.close()
    except AuthenticationError as error:
        raise SettingsError(TOKEN.format(where=where)) from error


def _asked(channel: Any) -> Any:
    """None, or how it failed."""
    import grpc

    try:
        check(channel)
    except grpc.RpcError as error:
        return error.code()
    return None


def check(channel: Any, *node_ids: bytes) -> Any:
    """Its answer to whether it lives, and nodes. Raises ``grpc.RpcError``."""
    from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

    head = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel)
    return head.CheckAlive(gcs_service_pb2.CheckAliveRequest(node_ids=node_ids), timeout=CALL_S)


def _silent(where: str, seconds: float) -> str:
    return (
        f"What listens at {where} has not answered as Ray's head does for {seconds:g} s: the head "
        "hangs or has too much to do, or it is another program."
    )
