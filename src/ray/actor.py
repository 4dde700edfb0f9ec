"""Actors: what `@ray.remote` makes of a class, and the handles through which its instances are called.

A handle knows no more than its `state` (the core worker's view of one actor); its methods are made at their first use
and kept, so that `handle.method.remote(…)` looks two attributes up and submits. Methods hold the state and not the
handle: no cycle keeps a dropped handle, and with it the actor, alive.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, overload

from ray._core.common.call_shape import ANY, CallChecker, parameters_of
from ray._core.common.ids import ActorID, JobID
from ray._core.common.options import DYNAMIC, STREAMING, ActorOptions, MethodOptions
from ray._core.worker import object_ref as _process
from ray._private import client_mode_hook as _hook
from ray._private.actor_class import METHOD_OPTIONS_KEY, Inspected, inspect_class, with_builtin_methods
from ray._private.auto_init_hook import auto_init_core, connected_core, runtime_env_here
from ray._private.engine_options import actor_options, method_options
from ray._private.options import check_actor_options, check_call_options, check_method_options, check_streaming
from ray.remote_function import full_name, raise_argument_error, unwrap

if TYPE_CHECKING:
    from ray.dag.class_node import ClassNode

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
_checker_of = functools.lru_cache(maxsize=4096)(CallChecker)


class ActorClassInheritanceException(TypeError):
    """A class was derived from an actor class."""


@overload
def method(function: F, /) -> F: ...
@overload
def method(**options: Any) -> Callable[[F], F]: ...
def method(*args: Any, **options: Any) -> Any:
    """`@ray.method(num_returns=2)`: options of an actor's method, for all its calls.

    Raises:
        AssertionError: an unknown option.
        ValueError, TypeError: a wrong value of one.
    """
    if len(args) == 1 and callable(args[0]) and not options:
        return args[0]
    assert not args, f"The @ray.method decorator takes keyword options only, not {args!r}."
    check_method_options(options)

    def decorate(function: F) -> F:
        is_generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        check_streaming(options.get("num_returns"), is_generator)
        setattr(function, METHOD_OPTIONS_KEY, dict(options))
        return function

    return decorate


class ActorMethod:
    """One method of one actor: `remote` calls it. Made by the handle."""

    __slots__ = ("_calls", "_least", "_most", "_name", "_num_returns", "_options", "_session", "_state", "_template")

    def __init__(self, state: Any, name: str, options: MethodOptions) -> None:
        self._state = state
        self._name = name
        self._options = options
        self._calls = _checker_of(options.shape or ANY)
        self._least, self._most = self._calls.least, self._calls.most
        self._num_returns = 1 if options.num_returns == DYNAMIC else options.num_returns
        self._session: object = None
        self._template: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(
            f"Actor methods cannot be called directly. Instead of running 'object.{self._name}()', "
            f"try 'object.{self._name}.remote()'."
        )

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """Call the method.

        Returns:
            The result's ref; a list of refs for num_returns above 1, None for 0, an ObjectRefGenerator for a generator.
        Raises:
            TypeError: arguments that do not fit the method, or that cannot be pickled.
            PendingCallsLimitExceeded: max_pending_calls are under way.
        """
        core: Any = _process._core
        if core is None or core.session_token is not self._session:
            core = self._prepare()
        if kwargs or not self._least <= len(args) <= self._most:
            self._calls.check(len(args), kwargs)
        try:
            refs = core.actors.submit(self._state, self._template, args, kwargs)
        except Exception as error:
            raise_argument_error(error, f"{self._state.class_name}.{self._name}", args, kwargs)
        if self._num_returns == 1:
            return refs[0]
        return unwrap(refs, self._num_returns)

    @property
    def _method_name(self) -> str:
        return self._name

    def options(self, **options: Any) -> ActorMethod:
        """The same method with other options."""
        now = self._options
        is_generator = now.num_returns < 0
        check_call_options(options, is_generator=is_generator)
        new = method_options(options, is_generator=is_generator, shape=now.shape)
        taken = {_FIELD_OF.get(name, name) for name in options} & _METHOD_FIELDS
        changes = {field: getattr(new, field) for field in taken}
        return ActorMethod(self._state, self._name, dataclasses.replace(now, **changes))

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """A node of a task graph: this call, to be made when the graph is executed (see `ray.dag`).

        Returns:
            A ClassMethodNode; a tuple of them, one for each result, with num_returns above 1.
        Raises:
            TypeError: arguments that do not fit the method.
        """
        from ray.dag.class_node import ClassMethodNode

        self._calls.check(len(args), kwargs)
        return ClassMethodNode.of(ActorHandle(self._state), self._name, self, args, kwargs)

    def _remote(self, args: Any = (), kwargs: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """`options(**options).remote(*args, **kwargs)`: libraries call it."""
        bound = self.options(**options) if options else self
        return bound.remote(*(args or ()), **(kwargs or {}))

    def __reduce__(self) -> Any:
        return _restore_method, (ActorHandle(self._state), self._name, self._options)

    def _prepare(self) -> Any:
        core: Any = auto_init_core()
        self._template = core.actors.template(self._state, self._name, self._options)
        self._session = core.session_token
        return core


_METHOD_FIELDS = {field.name for field in dataclasses.fields(MethodOptions)}
_FIELD_OF = {"_generator_backpressure_num_objects": "backpressure", "timeout": "timeout_s"}


class ActorHandle(Generic[T]):
    """A handle on an actor: `handle.method.remote(…)`. Passing it to tasks and actors shares the actor.

    An actor that is not detached ends when its last handle is gone.
    """

    def __init__(self, state: Any) -> None:
        self._ray_state = state

    def __getattr__(self, name: str) -> ActorMethod:
        if name != "_ray_state":  # which is missing in an instance that is being unpickled
            options = self._ray_state.methods.get(name)
            if options is not None:
                bound = ActorMethod(self._ray_state, name, options)
                self.__dict__[name] = bound
                return bound
        raise AttributeError(f"'ActorHandle' object has no attribute '{name}'")

    @property
    def _actor_id(self) -> ActorID:
        return ActorID(self._ray_state.actor_id)

    _ray_actor_id = _actor_id
    _ray_is_cross_language = False

    @property
    def _actor_job_id(self) -> JobID:
        return self._actor_id.job_id

    @property
    def _ray_method_num_returns(self) -> dict[str, int | str]:
        """Number of results by method. Clients of any version ask for it when a handle comes from elsewhere."""
        words = {DYNAMIC: "dynamic", STREAMING: "streaming"}
        methods: dict[str, MethodOptions] = self._ray_state.methods
        return {name: words.get(options.num_returns, options.num_returns) for name, options in methods.items()}

    @property
    def _ray_method_signatures(self) -> dict[str, list[inspect.Parameter]]:
        """Parameters by method, without `self`; a default is only known to exist, so it is None here."""
        methods: dict[str, MethodOptions] = self._ray_state.methods
        return {name: parameters_of(options.shape or ANY) for name, options in methods.items()}

    def __dir__(self) -> list[str]:
        return sorted(self._ray_state.methods)

    def __repr__(self) -> str:
        return f"Actor({self._ray_state.class_name}, {self._ray_state.actor_id.hex()})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorHandle) and self._ray_state.actor_id == other._ray_state.actor_id

    def __hash__(self) -> int:
        return hash(self._ray_state.actor_id)

    def __reduce__(self) -> Any:
        return _restore_handle, (self._ray_state.serialize(),)


def _restore_handle(state: Any) -> ActorHandle[Any]:
    core: Any = connected_core()
    return ActorHandle(core.actors.restore(state))


def _restore_method(handle: ActorHandle[Any], name: str, options: MethodOptions) -> ActorMethod:
    return ActorMethod(handle._ray_state, name, options)


@dataclasses.dataclass(frozen=True)
class ActorClassMetadata:
    """What libraries look up as `Cls.__ray_metadata__`."""

    modified_class: type
    class_name: str
    methods: dict[str, MethodOptions]
    is_async: bool


_INSPECTED = ("_inspected", "_calls", "__ray_metadata__")


def _copied(value: Any) -> Any:
    """A function as another object: were `module.Actor.f` the class's own, cloudpickle would take it for importable,
    and workers cannot import every module that the driver can."""
    if not isinstance(value, FunctionType):
        return value
    copied = FunctionType(value.__code__, value.__globals__, value.__name__, value.__defaults__, value.__closure__)
    copied.__kwdefaults__ = value.__kwdefaults__
    return functools.update_wrapper(copied, value)


class ActorClass(Generic[T]):
    """A class whose instances are actors: `Cls.remote(…)` starts one and returns a handle at once."""

    __name__: str
    __qualname__: str
    __ray_metadata__: ActorClassMetadata
    _user_class: type
    """Only in one that was unpickled and not yet looked at."""
    _inspected: Inspected
    _default_options: dict[str, Any]
    _calls: CallChecker
    _session: object
    """`session_token` of the session that `_options` were made for."""
    _options: ActorOptions | None

    def __init__(self, name: str, bases: tuple[Any, ...], namespace: dict[str, Any]) -> None:
        # Python comes here for `class Sub(SomeActorClass)`, since the type of an actor class is this class.
        parents = [base for base in bases if isinstance(base, ActorClass)]
        if parents:
            raise ActorClassInheritanceException(
                f"Attempted to define subclass {name!r} of actor class {parents[0].__name__!r}. "
                "Inheriting from actor classes is not currently supported. You can instead inherit from a non-actor "
                "base class and make the derived class an actor class (with @ray.remote)."
            )
        raise TypeError("An actor class is made by ray.remote.")

    @classmethod
    def _of(cls, inspected: Inspected, options: Mapping[str, Any]) -> ActorClass[Any]:
        self = cls.__new__(cls)
        self._inspected = inspected
        self._default_options = dict(options)
        self._calls = _checker_of(inspected.constructor)
        self._session = self._options = None
        modified = inspected.modified_class
        self.__ray_metadata__ = ActorClassMetadata(modified, modified.__name__, inspected.methods, inspected.is_async)
        self.__name__ = modified.__name__
        self.__qualname__ = modified.__qualname__
        self.__module__ = modified.__module__
        self.__doc__ = modified.__doc__
        return self

    @classmethod
    def _unpickled(cls, user_class: type, options: Mapping[str, Any]) -> ActorClass[Any]:
        """As `_of`, but the class is looked at when that is needed first (see `__getattr__`).

        A class whose methods name its actor class is unpickled together with this, and has no methods yet.
        """
        self = cls.__new__(cls)
        self._user_class = user_class
        self._default_options = dict(options)
        self._session = self._options = None
        self.__name__, self.__qualname__ = user_class.__name__, user_class.__qualname__
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        name = self.__qualname__
        raise TypeError(f"Actors cannot be instantiated directly. Instead of '{name}()', use '{name}.remote()'.")

    def __getattr__(self, name: str) -> Any:
        """Constants and static methods of the class itself."""
        if name in _INSPECTED and "_user_class" in self.__dict__:
            made = make_actor_class(self._user_class, self._default_options)
            self.__dict__ = {**made.__dict__, "_session": self._session, "_options": self._options}
            return self.__dict__[name]
        if name.startswith("_"):
            raise AttributeError(name)
        return _copied(getattr(self._inspected.modified_class, name))

    def options(self, **options: Any) -> ActorClass[T]:
        """The same class with other options; this one stays as it is."""
        merged = {**self._default_options, **options}
        check_actor_options(options, override=True)
        check_actor_options(merged)
        return ActorClass._of(self._inspected, merged)

    def remote(self, *args: Any, **kwargs: Any) -> ActorHandle[T]:
        """Start an actor. An error of its constructor shows at the first result of a method.

        Raises:
            TypeError: arguments that do not fit the constructor, or that cannot be pickled.
            ActorAlreadyExistsError: another living actor of the namespace has the name.
        """
        if _hook.active and (client := _hook.client_here()) is not None:
            there: Any = client.create_actor(self, args, kwargs)
            return there  # type: ignore[no-any-return]
        core: Any = auto_init_core()
        if core.session_token is not self._session:
            self._prepare(core)
        self._calls.check(len(args), kwargs)
        try:
            state = core.actors.create(
                self._inspected.modified_class, self._options, self._inspected.methods, args, kwargs
            )
        except Exception as error:
            cls = self._inspected.modified_class
            raise_argument_error(error, f"{full_name(cls)}.__init__", args, kwargs, cls)
        return ActorHandle(state)

    def bind(self, *args: Any, **kwargs: Any) -> ClassNode:
        """A node of a task graph: this actor, to be started when the graph is executed (see `ray.dag`)."""
        from ray.dag.class_node import ClassNode

        return ClassNode.of(self, args, kwargs)

    def _remote(self, args: Any = (), kwargs: Mapping[str, Any] | None = None, **options: Any) -> ActorHandle[T]:
        """`options(**options).remote(*args, **kwargs)`: libraries call it."""
        actor_class = self.options(**options) if options else self
        return actor_class.remote(*(args or ()), **(kwargs or {}))

    def _prepare(self, core: Any) -> None:
        self._options = actor_options(
            self._default_options,
            class_name=self.__qualname__,
            is_async=self._inspected.is_async,
            parent_env=runtime_env_here(core),
            namespace=core.namespace,
            detached_by_default=core.detached_actors,
        )
        self._session = core.session_token

    def __repr__(self) -> str:
        return f"<{self._inspected.modified_class.__module__}.ActorClass({self.__name__}) object at {id(self):#x}>"

    def __reduce__(self) -> Any:
        return _restore_class, (self._inspected.modified_class.__mro__[1], self._default_options)


def make_actor_class(cls: type, options: Mapping[str, Any]) -> ActorClass[Any]:
    """What `@ray.remote` makes of a class. Raises ValueError or TypeError for wrong options."""
    check_actor_options(options)
    return ActorClass._of(inspect_class(with_builtin_methods(cls)), options)


def _restore_class(cls: type, options: Mapping[str, Any]) -> ActorClass[Any]:
    return ActorClass._unpickled(cls, options)


def exit_actor() -> NoReturn:
    """End the actor whose method calls this, after what it has answered; it never restarts.

    Raises:
        TypeError: not called inside an actor.
    """
    core: Any = _process._core
    if core is None or not core.actor_id:
        raise TypeError(
            "exit_actor API is called on a non-actor worker. Call this API inside an actor method, to end that actor."
        )
    core.actors.exit()
    raise AssertionError("exit_actor has returned")
