"""`ActorGroup` (deprecated): the same call on each of some actors of one class."""

from __future__ import annotations

import dataclasses
from typing import Any, NoReturn

import ray
from ray.util.annotations import Deprecated


@dataclasses.dataclass
class ActorConfig:
    """What the actors of a group need, and what their constructor gets."""

    num_cpus: float
    num_gpus: float
    resources: dict[str, float] | None
    init_args: tuple[Any, ...]
    init_kwargs: dict[str, Any]


@dataclasses.dataclass
class ActorWrapper:
    """An actor of a group. `metadata`: whatever the owner of the group keeps with it."""

    actor: Any
    metadata: Any = None


class ActorGroupMethod:
    def __init__(self, actor_group: ActorGroup, method_name: str) -> None:
        self.actor_group = actor_group
        self._method_name = method_name

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        name = self._method_name
        raise TypeError(
            f"ActorGroup methods cannot be called directly. Instead of running 'object.{name}()', "
            f"try 'object.{name}.remote()'."
        )

    def remote(self, *args: Any, **kwargs: Any) -> list[Any]:
        """Call the method on each actor; the refs, in the order of the actors."""
        return [
            getattr(wrapper.actor, self._method_name).remote(*args, **kwargs) for wrapper in self.actor_group.actors
        ]


@Deprecated(message="Use ray.util.ActorPool, ray.util.multiprocessing.Pool or a list of handles.", warning=True)
class ActorGroup:
    """Actors of one class; `group.method.remote(...)` calls all of them.

    Args:
        actor_cls: a plain class.
        num_actors: how many, at least one.
        num_cpus_per_actor, num_gpus_per_actor, resources_per_actor: what each of them needs.
        init_args, init_kwargs: what the constructor of each gets.
    """

    def __init__(
        self,
        actor_cls: type,
        num_actors: int = 1,
        num_cpus_per_actor: float = 1,
        num_gpus_per_actor: float = 0,
        resources_per_actor: dict[str, float] | None = None,
        init_args: tuple[Any, ...] | None = None,
        init_kwargs: dict[str, Any] | None = None,
    ) -> None:
        if num_actors <= 0:
            raise ValueError(
                f"The provided `num_actors` must be greater than 0. Received num_actors={num_actors} instead."
            )
        if num_cpus_per_actor < 0 or num_gpus_per_actor < 0:
            raise ValueError(
                "The number of CPUs and GPUs per actor must not be negative. Received "
                f"num_cpus_per_actor={num_cpus_per_actor} and num_gpus_per_actor={num_gpus_per_actor}."
            )
        config = ActorConfig(
            num_cpus_per_actor, num_gpus_per_actor, resources_per_actor, init_args or (), init_kwargs or {}
        )
        self.num_actors = num_actors
        self.actor_config = config
        self.actors: list[ActorWrapper] = []
        self._remote_cls: Any = ray.remote(
            num_cpus=config.num_cpus, num_gpus=config.num_gpus, resources=config.resources
        )(actor_cls)
        self.start()

    def start(self) -> None:
        """Start the actors. RuntimeError if they run."""
        if self.actors:
            raise RuntimeError(
                "The actors have already been started. Please call `shutdown` first if you want to restart them."
            )
        self.add_actors(self.num_actors)

    def shutdown(self, patience_s: float = 5) -> None:
        """End the actors, after the calls under way if these take less than `patience_s` seconds."""
        endings = [wrapper.actor.__ray_terminate__.remote() for wrapper in self.actors] if patience_s > 0 else []
        ended = endings and len(ray.wait(endings, num_returns=len(endings), timeout=patience_s)[0])
        if ended != len(self.actors):
            for wrapper in self.actors:
                ray.kill(wrapper.actor)
        self.actors = []

    def remove_actors(self, actor_indexes: list[int]) -> None:
        """Let go of the actors at these places."""
        self.actors = [wrapper for index, wrapper in enumerate(self.actors) if index not in set(actor_indexes)]

    def add_actors(self, num_actors: int) -> None:
        config = self.actor_config
        for _ in range(num_actors):
            self.actors.append(ActorWrapper(self._remote_cls.remote(*config.init_args, **config.init_kwargs)))

    @property
    def actor_metadata(self) -> list[Any]:
        return [wrapper.metadata for wrapper in self.actors]

    def __getattr__(self, name: str) -> ActorGroupMethod:
        if name.startswith("_") or name == "actors":  # missing in an instance that is being made
            raise AttributeError(name)
        if not self.actors:
            raise RuntimeError("This ActorGroup has been shutdown. Please start it again.")
        return ActorGroupMethod(self, name)

    def __len__(self) -> int:
        return len(self.actors)

    def __getitem__(self, index: int) -> ActorWrapper:
        return self.actors[index]
