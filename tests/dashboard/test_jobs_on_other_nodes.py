"""A job that asks for resources runs where they are; its log is read from there."""

import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster
from ray.dashboard.modules.job.job_head import JobHead
from ray.dashboard.modules.job.job_manager import JobManager
from ray.job_submission import JobStatus, JobSubmissionClient


def test_the_entrypoint_runs_where_its_resources_are():
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": True, "dashboard_port": 0}
    )
    try:
        other = cluster.add_node(num_cpus=1, resources={"special": 1})
        context = ray.init(cluster.address)
        client = JobSubmissionClient(f"http://{context.dashboard_url}")
        job_id = client.submit_job(entrypoint="echo from elsewhere", entrypoint_resources={"special": 1})
        deadline_at_s = time.monotonic() + 60
        while not (info := client.get_job_info(job_id)).status.is_terminal():
            assert time.monotonic() < deadline_at_s, info
            time.sleep(0.05)
        assert info.status is JobStatus.SUCCEEDED, info
        assert info.driver_node_id == other.node_id
        logs = client.get_job_logs(job_id)
        assert logs.endswith("from elsewhere\n")
        # As on a machine that does not share the session's directory: through the node's agent.
        manager = JobManager(cluster.address, cluster.head_node.node_id)
        assert JobHead(manager, Path("/none/such"), "")._read(job_id, 0) == (logs, len(logs.encode()))
    finally:
        ray.shutdown()
        cluster.shutdown()
