"""The schema of messages and the settings hold nothing that nobody uses."""

import re
from pathlib import Path

import ray
from ray._core.common import messages
from ray._core.common.config import Config
from ray._core.common.messages.base import Message, Part

ENGINE = Path(ray.__file__).parent
MESSAGES = ENGINE / "_core/common/messages"
CONFIG = ENGINE / "_core/common/config.py"
SETTING_LISTS = ENGINE / "_core/common/ray_settings.py"


def source(*left_out: Path) -> str:
    """All of the engine's code but for some files or directories."""
    return "\n".join(
        path.read_text()
        for path in ENGINE.rglob("*.py")
        if not any(path == out or out in path.parents for out in left_out)
    )


def test_each_kind_of_message_is_sent_by_somebody():
    code = source(MESSAGES)
    made = set(re.findall(r"\b(\w+)\(", re.sub(r"case [^:]*:", "", code)))
    kinds = {
        name
        for name, kind in vars(messages).items()
        if isinstance(kind, type) and issubclass(kind, (Message, Part)) and kind.__module__ != Message.__module__
    }
    assert len(kinds) > 50
    assert kinds - made == set()


def test_each_message_says_who_sends_it_and_why_its_loss_does_no_harm():
    silent = [
        kind.__name__
        for kind in messages.ALL
        if issubclass(kind, (messages.Message, messages.Request)) and not vars(kind)["__doc__"]
    ]
    assert silent == []


def test_each_setting_is_read_by_somebody():
    read = set(re.findall(r"\.(\w+)\b", source(CONFIG, SETTING_LISTS)))
    assert set(Config.__struct_fields__) - read == set()
