"""Speaking to the dashboard: where it is, what proves who asks, and packages to upload."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import requests

from ray._core.wire import auth
from ray._private.runtime_env import packaging
from ray.dashboard.modules.job.common import CURRENT_VERSION

DEFAULT_ADDRESS = DEFAULT_DASHBOARD_ADDRESS = "http://localhost:8265"
ADDRESS_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
HEADERS_VARIABLE = "RAY_JOB_HEADERS"


def get_address_for_submission_client(address: str | None) -> str:
    """Where to ask: the argument, else RAY_API_SERVER_ADDRESS, else RAY_ADDRESS, else the default port here.

    "auto" and ray:// addresses are looked up through the cluster.
    """
    for variable in ADDRESS_VARIABLES:
        address = address or os.environ.get(variable)
    if address is None:
        return DEFAULT_ADDRESS
    if address == "auto" or address.startswith("ray://"):
        return _through_cluster(address)
    return address


def _through_cluster(address: str) -> str:
    import ray

    context = ray.init(address, ignore_reinit_error=True)
    url = context.dashboard_url
    if not url:
        raise ConnectionError(f"The cluster at {address!r} has no dashboard, which the job API needs.")
    return url if "://" in url else f"http://{url}"


def parse_address(address: str) -> str:
    """`host:port` means http. Raises ValueError for no HTTP address."""
    if "://" not in address:
        address = f"http://{address}"
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"Invalid address: {address!r}. The dashboard's address begins with http:// or https://.")
    return address.rstrip("/")


@dataclasses.dataclass
class ClusterInfo:
    """How to speak to a dashboard."""

    address: str
    cookies: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    headers: dict[str, Any] | None = None


def get_job_submission_client_cluster_info(
    address: str,
    create_cluster_if_needed: bool | None = False,
    cookies: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
    headers: dict[str, Any] | None = None,
    *,
    _use_tls: bool | None = False,
) -> ClusterInfo:
    """What a module that is named by an address's scheme has under this name, for http and https."""
    return ClusterInfo(f"{'https' if _use_tls else 'http'}://{address}", cookies, metadata, headers)


def parse_cluster_info(
    address: str | None = None,
    create_cluster_if_needed: bool = False,
    cookies: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
    headers: dict[str, Any] | None = None,
) -> ClusterInfo:
    """By the address. A scheme that is none of ours names the module that knows the rest.

    Raises:
        ValueError: the address is none of a dashboard.
        RuntimeError: there is no module named as the scheme, or it does not know.
    """
    found = DEFAULT_ADDRESS if address is None else address
    scheme, separator, rest = found.partition("://")
    if not separator or scheme in ("http", "https"):
        rest = parse_address(found).partition("://")[2]
        return get_job_submission_client_cluster_info(
            rest,
            create_cluster_if_needed=create_cluster_if_needed,
            cookies=cookies,
            metadata=metadata,
            headers=headers,
            _use_tls=scheme == "https",
        )
    try:
        module = importlib.import_module(scheme)
    except ImportError:
        raise RuntimeError(f"Module: {scheme} does not exist.\nThis module was parsed from address: {found}") from None
    if not hasattr(module, "get_job_submission_client_cluster_info"):
        raise RuntimeError(f"Module: {scheme} does not have `get_job_submission_client_cluster_info`.")
    info: ClusterInfo = module.get_job_submission_client_cluster_info(
        rest, create_cluster_if_needed=create_cluster_if_needed, cookies=cookies, metadata=metadata, headers=headers
    )
    return info


def parse_runtime_env_args(
    runtime_env: str | None = None, runtime_env_json: str | None = None, working_dir: str | None = None
) -> dict[str, Any]:
    """The environment that the flags of commands describe: the path of a YAML file or JSON, and a directory.

    Raises:
        ValueError: both a file and JSON.
    """
    from ray.scripts.output import out

    environment: dict[str, Any] = {}
    if runtime_env is not None:
        if runtime_env_json is not None:
            raise ValueError("Only one of --runtime_env and --runtime-env-json can be provided.")
        import yaml

        with open(runtime_env) as file:
            environment = yaml.safe_load(file) or {}
    elif runtime_env_json is not None:
        environment = json.loads(runtime_env_json)
    if working_dir is not None:
        if "working_dir" in environment:
            out.warning("Overriding runtime_env working_dir with --working-dir option.")
        environment["working_dir"] = working_dir
    return environment


class SubmissionClient:
    """A connection to one dashboard; HTTP errors become RuntimeError.

    Args:
        verify: of TLS certificates: bool, or the path of a bundle.
    """

    def __init__(
        self,
        address: str | None = None,
        create_cluster_if_needed: bool = False,
        cookies: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        headers: dict[str, Any] | None = None,
        verify: str | bool | None = True,
        **kwargs: Any,
    ) -> None:
        if headers is None and (text := os.environ.get(HEADERS_VARIABLE)):
            headers = json.loads(text)
        found = get_address_for_submission_client(address)
        info = parse_cluster_info(found, create_cluster_if_needed, cookies, metadata, headers)
        self._address = info.address
        self._cookies, self._headers = dict(info.cookies or {}), dict(info.headers or {})
        self._default_metadata = dict(info.metadata or {})
        self._verify = verify
        if not any(name.lower() == "authorization" for name in self._headers):
            token = auth.load_token()
            if token:
                self._headers["Authorization"] = f"Bearer {token.decode()}"

    def _check_connection_and_version(self, min_version: str = "1.9", version_error_message: str = "") -> None:
        """Raises ConnectionError when nobody answers, or RuntimeError when it is no dashboard of a cluster."""
        try:
            response = self._do_request("GET", "/api/version")
        except requests.exceptions.ConnectionError as error:
            raise ConnectionError(f"Failed to connect to Ray at address: {self._address}.") from error
        if response.status_code == 404:
            raise RuntimeError(version_error_message or f"{self._address} does not have the job API.")
        self._raise_error_unless_ok(response)
        self._server = response.json()

    def _do_request(
        self, method: str, endpoint: str, *, data: bytes | BinaryIO | None = None, json_data: Any = None, **kwargs: Any
    ) -> requests.Response:
        return requests.request(
            method,
            f"{self._address}{endpoint}",
            cookies=self._cookies,
            headers=self._headers,
            data=data,
            json=json_data,
            verify=self._verify,
            **kwargs,
        )

    def _raise_error_unless_ok(self, response: requests.Response) -> None:
        if response.status_code != 200:
            self._raise_error(response)

    def _raise_error(self, response: requests.Response) -> None:
        raise RuntimeError(f"Request failed with status code {response.status_code}: {response.text}.")

    # ---------------------------------------------------------- packages

    def _store(self) -> packaging.Store:
        """The cluster's packages, through its dashboard."""

        def exists(uri: str) -> bool:
            response = self._do_request("GET", _package_path(uri))
            if response.status_code not in (200, 404):
                self._raise_error(response)
            return response.status_code == 200

        def put(uri: str, package: BinaryIO) -> None:
            self._raise_error_unless_ok(self._do_request("PUT", _package_path(uri), data=package))

        return packaging.Store(exists, put)

    def _upload_packages(self, runtime_env: dict[str, Any]) -> dict[str, Any]:
        """The environment with local directories and files replaced by the URIs of their packages."""
        from ray._private.runtime_env import job_env

        def refuse(key: str, blob: bytes) -> None:
            raise ValueError("worker_process_setup_hook must be a str ('module.function') for a submitted job.")

        return job_env.upload_fields(job_env.with_paths(runtime_env), self._store(), refuse)

    def get_version(self) -> str:
        """Of the REST API that this client speaks."""
        return CURRENT_VERSION

    def get_address(self) -> str:
        return self._address


def _package_path(uri: str) -> str:
    protocol, _, name = uri.partition("://")
    return f"/api/packages/{protocol}/{name}"


__all__ = ["SubmissionClient", "get_address_for_submission_client", "parse_address"]
