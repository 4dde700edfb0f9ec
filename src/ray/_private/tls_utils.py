"""The name that `ray._common.tls_utils` had before Ray 2.50."""

from ray._common.tls_utils import add_port_to_grpc_server, generate_self_signed_tls_certs, load_certs_from_env

__all__ = ["add_port_to_grpc_server", "generate_self_signed_tls_certs", "load_certs_from_env"]
