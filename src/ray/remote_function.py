"""Remote functions: what `@ray.remote` makes of a function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from pickle import PicklingError
from typing import TYPE_CHECKING, Any, NoReturn

from ray._core.common.call_shape import CallChecker, shape_of
from ray._core.common.naming import shown_module
from ray._core.common.options import DYNAMIC, STREAMING, TaskOptions
from ray._core.worker import object_ref as _process
from ray._private import client_mode_hook as _hook
from ray._private.auto_init_hook import auto_init_core, runtime_env_here
from ray._private.engine_options import task_options
from ray._private.not_included import absent_names
from ray._private.options import check_task_options

if TYPE_CHECKING:
    from ray.dag.function_node import FunctionNode

_TEMPLATES_KEPT = 1000
"""Sets of options per function whose templates are kept for the next call with the same ones."""


class RemoteFunction:
    """A function whose calls are tasks: `f.remote(…)` starts one and returns its ref (or refs) at once.

    Args:
        function: the user's.
        options: what `@ray.remote(…)` and `.options(…)` said.
        parent: whose `.options()` made this one; they share the templates.
    """

    def __init__(
        self, function: Callable[..., Any], options: Mapping[str, Any], parent: RemoteFunction | None = None
    ) -> None:
        if inspect.iscoroutinefunction(function):
            raise ValueError(
                "'async def' should not be used for remote tasks. Wrap the function: "
                "a plain one that calls asyncio.run() on it; or use an actor, whose methods may be 'async def'."
            )
        functools.update_wrapper(self, function)
        self._function = function
        self._default_options = dict(options)
        self._is_generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        check_task_options(options, is_generator=self._is_generator)
        self._session: object = None
        self._template: Any = None
        self._num_returns = 1
        self._templates: dict[str, Any] = {} if parent is None else parent._templates
        self._checker: CallChecker | None = None if parent is None else parent._checker
        self._least, self._most = 1, 0  # until there is a checker, no call passes without it

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        name = f"{self._function.__module__}.{self._function.__name__}"
        raise TypeError(
            f"Remote functions cannot be called directly. Instead of running '{name}()', try '{name}.remote()'."
        )

    @property
    def _function_name(self) -> str:
        """ "module.function"."""
        return full_name(self._function)

    def options(self, **options: Any) -> RemoteFunction:
        """The same function with other options; this one stays as it is.

        Raises:
            ValueError, TypeError: an option that is unknown, or not allowed here, or a wrong value of one.
        """
        check_task_options(options, is_generator=self._is_generator, override=True)
        return RemoteFunction(self._function, {**self._default_options, **options}, self)

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """Start a task.

        Returns:
            Its ref; a list of refs for num_returns above 1, None for 0, an ObjectRefGenerator for a generator.
        Raises:
            TypeError: arguments that do not fit the function, or that cannot be pickled.
        """
        if _hook.active and (client := _hook.client_here()) is not None:
            return client.call_function(self, args, kwargs)
        core = _process._core
        if core is None or core.session_token is not self._session:
            core = self._prepare()
        if kwargs or not self._least <= len(args) <= self._most:
            self.check_call(args, kwargs)
        try:
            refs = core.submit(self._template, args, kwargs)
        except Exception as error:
            raise_argument_error(error, full_name(self._function), args, kwargs)
        if self._num_returns == 1:
            return refs[0]
        return unwrap(refs, self._num_returns)

    def _remote(self, args: Any = (), kwargs: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """`options(**options).remote(*args, **kwargs)`: libraries call it."""
        function = self.options(**options) if options else self
        return function.remote(*(args or ()), **(kwargs or {}))

    def check_call(self, args: Any, kwargs: Mapping[str, Any]) -> None:
        """Raises TypeError for arguments that do not fit the function.

        What fits is looked up at the first call, not before: a function that calls itself is unpickled together with
        this, and does not know its own defaults while this is made.
        """
        if self._checker is None:
            self._checker = CallChecker(shape_of(self._function))
        self._least, self._most = self._checker.least, self._checker.most
        self._checker.check(len(args), kwargs)

    def bind(self, *args: Any, **kwargs: Any) -> FunctionNode:
        """A node of a task graph: this call, to be made when the graph is executed (see `ray.dag`)."""
        from ray.dag.function_node import FunctionNode

        return FunctionNode.of(self, args, kwargs)

    def _prepare(self) -> Any:
        """The session's core worker, with `_template` made for it."""
        core = auto_init_core()
        options = task_options(
            self._default_options,
            name=self._function.__name__,
            function_name=f"{shown_module(self._function.__module__)}.{self._function.__name__}",
            is_generator=self._is_generator,
            parent_env=runtime_env_here(core),
        )
        self._template = self._template_of(core, options)
        self._num_returns = 1 if options.num_returns == DYNAMIC else options.num_returns
        self._session = core.session_token
        return core

    def _template_of(self, core: Any, options: TaskOptions) -> Any:
        """`f.options(…).remote()` in a loop makes a RemoteFunction each time, but one template."""
        templates = self._templates
        if templates.get("session") is not core.session_token:
            templates.clear()
            templates["session"] = core.session_token
        key = repr(options)
        template = templates.get(key)
        if template is None:
            template = self._new_template(core, options)
            if len(templates) < _TEMPLATES_KEPT:
                templates[key] = template
        return template

    def _new_template(self, core: Any, options: TaskOptions) -> Any:
        try:
            return core.template(self._function, options)
        except Exception as error:
            raise_argument_error(error, full_name(self._function), (), {}, self._function)

    def __reduce__(self) -> Any:
        return RemoteFunction, (self._function, self._default_options)


def full_name(function_or_class: Any) -> str:
    return f"{function_or_class.__module__}.{function_or_class.__qualname__}"


def raise_argument_error(
    error: Exception, name: str, args: Iterable[Any], kwargs: Mapping[str, Any], definition: Any = None
) -> NoReturn:
    """Raise what a submission raised; for a pickler's error, one that tells what it was that cannot be pickled.

    Args:
        name: of the function or method called.
        definition: the function or class, where it was pickled too.
    """
    if isinstance(error, (TypeError, PicklingError)):
        from ray.util.check_serialize import can_be_pickled, report

        for argument in (*args, *kwargs.values()):
            if not can_be_pickled(argument):
                text = report(f"the argument {argument!r} for a task or actor {name}", argument)
                raise TypeError(text) from error
        if definition is not None and not can_be_pickled(definition):
            what = "actor class" if isinstance(definition, type) else "function"
            raise TypeError(report(f"the {what} {name}", definition)) from error
    raise error


def unwrap(refs: Any, num_returns: int) -> Any:
    """What `.remote()` returns: `refs` are a list, or the generator of a streaming task."""
    if num_returns == STREAMING:
        return refs
    if num_returns == 0:
        return None
    return refs[0] if num_returns in (1, DYNAMIC) else refs


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "It is a part of Ray's own machinery.",
        "_task_launch_hook",
    )
