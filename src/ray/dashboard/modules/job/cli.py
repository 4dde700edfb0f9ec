"""`ray job …` at the place where Ray 2.60 has it."""

from ray.scripts.job_commands import delete, job, list_, logs, status, stop, submit

job_cli_group = job
list = list_

__all__ = ["delete", "job_cli_group", "list", "logs", "status", "stop", "submit"]
