"""The agent's process: connects to the GCS and hosts the modules.

Floor: agent, shell. The raylet has its zygote fork it, which costs 1 ms and shares the zygote's memory; it also runs
alone: `python -m ray._core.agent.main --gcs-address H:P --node-id HEX --node-ip IP --log-dir DIR --config JSON`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from typing import Any

from ray._core.agent import log_files
from ray._core.agent.log_monitor import LogMonitor
from ray._core.agent.log_rotation import Rotator, limits
from ray._core.agent.runtime_envs import RuntimeEnvs
from ray._core.common import config as configuration
from ray._core.common import messages as m
from ray._core.common import service_logging
from ray._core.wire import aio, auth
from ray._core.wire.background import Background
from ray._core.wire.link import Link

logger = logging.getLogger(__name__)


class Agent:
    """Requests from the GCS to the modules of this node."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._node_id = bytes.fromhex(args.node_id)
        self.stop = asyncio.Event()
        self._background = Background()
        self.log_monitor: LogMonitor

    async def start(self) -> None:
        args = self._args
        config = configuration.load(args.config)
        host, port = args.gcs_address.rsplit(":", 1)
        token = auth.load_token(config.enable_token_auth)
        gcs = Link(self, host, int(port), token, self._join, config.gcs_rpc_server_reconnect_timeout_s)
        await gcs.open(config.gcs_rpc_server_connect_timeout_s)
        rotator = Rotator(args.log_dir, *limits())
        self.log_monitor = LogMonitor(args.log_dir, self._node_id, args.node_ip, gcs, args.resume, rotator)
        self.log_monitor.start()
        if args.raylet_path:
            keeps_all = config.runtime_env_skip_local_gc
            environments = RuntimeEnvs(gcs, args.resources_dir, args.log_dir, args.node_ip, keeps_all)
            await environments.start(args.raylet_path)

    async def _join(self, gcs: aio.Connection) -> None:
        gcs.role = "gcs"
        gcs.send(m.Hello(m.PROTOCOL, "agent", node_id=self._node_id, pid=os.getpid()))

    # ---------------------------------------------------------- aio.Handler

    def connected(self, connection: aio.Connection) -> None:
        """This side speaks first."""

    def received(self, connection: aio.Connection, message: Any, payload: bytes) -> None:
        match message:
            case m.FlushLogs():
                self._background.answer(connection, message, self._flush_logs(connection, message))
            case m.ListLogs():
                connection.reply(message, m.LogFiles(names=log_files.list_files(self._args.log_dir, message.pattern)))
            case m.ReadLog():
                self._read_log(connection, message)
            case m.Request():
                connection.fail(message, "unknown_request", f"An agent does not serve {type(message).__name__}.")
            case _:
                logger.warning("Dropped a %s: an agent does not take it.", type(message).__name__)

    def closed(self, connection: aio.Connection) -> None:
        logger.error("The agent ends: its connection to the GCS is gone: %s", connection.close_reason)
        self.stop.set()

    def _read_log(self, connection: aio.Connection, request: m.ReadLog) -> None:
        try:
            data, offset = log_files.read(
                self._args.log_dir, request.name, request.offset, request.length, request.last_lines
            )
        except OSError as error:
            connection.fail(request, "io", f"The log {request.name} could not be read: {error}")
        else:
            connection.reply(request, m.LogChunk(data=data, offset=offset))

    async def _flush_logs(self, connection: aio.Connection, request: m.FlushLogs) -> None:
        try:
            await self.log_monitor.flush(request.job_id)
        except OSError as error:
            connection.fail(request, "io", f"The logs of the node could not be read: {error}")
        else:
            connection.reply(request)


async def _serve(args: argparse.Namespace) -> None:
    agent = Agent(args)
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, agent.stop.set)
    await agent.start()
    await agent.stop.wait()
    agent.log_monitor.close()


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="agent", description="The per-node agent of pure-ray: ships worker logs.")
    parser.add_argument("--gcs-address", required=True, help="host:port")
    parser.add_argument("--node-id", required=True, help="hex")
    parser.add_argument("--node-ip", required=True, help="shown before lines on drivers of other nodes")
    parser.add_argument("--log-dir", required=True, help="where the workers write")
    parser.add_argument("--raylet-path", default="", help="socket of the raylet, for runtime environments")
    parser.add_argument("--resources-dir", default="", help="where runtime environments lie")
    parser.add_argument("--config", default="{}", help="JSON of the cluster's settings")
    parser.add_argument("--resume", action="store_true", help="what is in the files now has been shipped already")
    args = parser.parse_args(argv)
    service_logging.set_up("agent")
    asyncio.run(_serve(args))


if __name__ == "__main__":
    main()
