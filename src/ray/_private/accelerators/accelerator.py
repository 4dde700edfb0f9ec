"""What is told of a kind of accelerator, and which devices this process may use of it.

Devices are told to libraries by a variable of the environment, as `ray._core.common.accelerators` does for workers.
How many a node has is found out here only where the system shows them in its files; else it is told by `resources=`.
"""

from __future__ import annotations

import glob
import os
from typing import ClassVar

RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO_ENV_VAR = "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"


class AcceleratorManager:
    """A kind. All its methods are of the class: it is never instantiated."""

    resource_name: ClassVar[str]
    variable: ClassVar[str]
    """Lists the devices that a process may use."""
    no_set_variable: ClassVar[str] = ""
    """Set: Ray leaves `variable` alone. Default: RAY_EXPERIMENTAL_NOSET_ and its name."""
    device_files: ClassVar[tuple[str, ...]] = ()
    """Patterns of files, one for each device."""
    none_values: ClassVar[tuple[str, ...]] = ("",)
    """What `variable` says for no device at all."""
    is_shared: ClassVar[bool] = False
    """Whether a task may ask for a part of a device."""

    @classmethod
    def get_resource_name(cls) -> str:
        return cls.resource_name

    @classmethod
    def get_visible_accelerator_ids_env_var(cls) -> str:
        return cls.variable

    @classmethod
    def get_current_node_num_accelerators(cls) -> int:
        """By the files of this machine's devices; 0 for kinds that have none."""
        return sum(len(glob.glob(pattern)) for pattern in cls.device_files)

    @classmethod
    def get_current_node_accelerator_type(cls) -> str | None:
        """The model, None when it is not known."""
        return None

    @classmethod
    def get_current_node_additional_resources(cls) -> dict[str, float] | None:
        """Custom resources that nodes with such devices have as well."""
        return None

    @classmethod
    def get_current_node_accelerator_labels(cls) -> dict[str, str] | None:
        return None

    @classmethod
    def validate_resource_request_quantity(cls, quantity: float) -> tuple[bool, str | None]:
        """Whether a task may ask for so many, and why not."""
        if cls.is_shared or float(quantity).is_integer():
            return True, None
        return False, cls._refusal(quantity)

    @classmethod
    def _refusal(cls, quantity: float) -> str:
        rule = f"{cls.resource_name} resource quantity must be whole numbers."
        return f"{rule} The specified quantity {quantity} is invalid."

    @classmethod
    def get_current_process_visible_accelerator_ids(cls) -> list[str] | None:
        """What the variable lists; None when it is not set."""
        listed = os.environ.get(cls.variable)
        if listed is None:
            return None
        return [] if listed in cls.none_values else listed.split(",")

    @classmethod
    def set_current_process_visible_accelerator_ids(cls, ids: list[str]) -> None:
        """Set the variable, unless the user has forbidden it."""
        if not os.environ.get(cls.no_set_variable or f"RAY_EXPERIMENTAL_NOSET_{cls.variable}"):
            os.environ[cls.variable] = ",".join(map(str, ids))

    @staticmethod
    def get_ec2_instance_num_accelerators(instance_type: str, instances: dict[str, object]) -> int | None:
        """None: there is no cluster launcher that would ask."""
        return None

    @staticmethod
    def get_ec2_instance_accelerator_type(instance_type: str, instances: dict[str, object]) -> str | None:
        """None: there is no cluster launcher that would ask."""
        return None
