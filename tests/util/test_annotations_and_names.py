"""The small parts of `ray.util`: annotations, accelerator names, `log_once`, addresses."""

import ipaddress
import subprocess
import sys
import warnings

import pytest

import ray
from ray.util import accelerators, debug
from ray.util.annotations import Deprecated, DeveloperAPI, PublicAPI, RayDeprecationWarning, _get_annotation_type


@PublicAPI
def public():
    "Does."


@PublicAPI(stability="alpha")
class Alpha:
    """Is.

    And more.
    """


@DeveloperAPI
def developer():
    "Does."


@Deprecated(message="Use public.", warning=True)
def deprecated(x):
    "Did."
    return x


@Deprecated(message="Use Alpha.", warning=True)
class DeprecatedClass:
    def __init__(self, x):
        self.x = x


class Heir(Alpha):
    pass


def test_an_annotation_is_noted_on_the_object_and_in_its_docstring():
    kinds = [_get_annotation_type(it) for it in (public, Alpha, developer, deprecated, DeprecatedClass, Heir)]
    assert kinds == ["PublicAPI", "PublicAPI", "DeveloperAPI", "Deprecated", "Deprecated", None]
    assert public.__doc__ == "Does."
    assert "**PublicAPI (alpha):**" in Alpha.__doc__ and "And more." in Alpha.__doc__
    assert "**DeveloperAPI:**" in developer.__doc__
    assert ".. warning::" in deprecated.__doc__ and "Use public." in deprecated.__doc__


def test_the_use_of_something_deprecated_warns_and_works():
    with pytest.warns(RayDeprecationWarning, match=r"Use public\.") as caught:
        assert deprecated(5) == 5
    assert caught[0].filename == __file__
    with pytest.warns(RayDeprecationWarning, match=r"Use Alpha\."):
        assert DeprecatedClass(5).x == 5
    assert issubclass(RayDeprecationWarning, DeprecationWarning)


def test_wrong_annotations_are_refused():
    with pytest.raises(AssertionError):
        PublicAPI(stability="rock solid")
    with pytest.raises(ValueError, match="Unknown kwargs"):
        Deprecated(since=1)(public)


def test_accelerator_names():
    assert accelerators.NVIDIA_TESLA_V100 == "V100"
    assert accelerators.NVIDIA_A100 == "A100"
    assert accelerators.GOOGLE_TPU_V6E == "TPU-V6E"
    with pytest.warns(RayDeprecationWarning, match="NVIDIA_A100"):
        assert accelerators.NVIDIA_TESLA_A100 == "A100"
    with pytest.raises(AttributeError, match="NO_SUCH"):
        _ = accelerators.NO_SUCH


def test_log_once_says_each_key_once():
    debug.reset_log_once()
    assert [ray.util.log_once(key) for key in ("a", "a", "b")] == [True, False, True]
    debug.reset_log_once("a")
    assert [ray.util.log_once(key) for key in ("a", "b")] == [True, False]
    code = "import ray.util as u; u.disable_log_once_globally(); print(u.log_once('a'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_addresses_of_this_machine(monkeypatch):
    ipaddress.ip_address(ray.util.get_node_ip_address())
    assert ray.util.get_node_ip_address("127.0.0.1:1") == "127.0.0.1"
    monkeypatch.setenv("RAY_CLOUD_INSTANCE_ID", "i-7")
    assert ray.util.get_node_instance_id() == "i-7"


def test_importing_a_part_does_not_hide_a_name():
    code = (
        "import warnings, ray.util.serialization, ray.util.helpers; from ray.util import as_completed; "
        "print(callable(as_completed), callable(ray.util.register_serializer))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True True"


def test_no_warning_without_use():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert accelerators.NVIDIA_L4 == "L4"


def test_functions_that_name_the_package_can_be_pickled() -> None:
    import cloudpickle

    import ray.util

    assert cloudpickle.loads(cloudpickle.dumps(ray.util)) is ray.util
