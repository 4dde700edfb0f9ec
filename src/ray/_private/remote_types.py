# mypy: disable-error-code="overload-overlap, overload-cannot-match, empty-body"
"""What `ray.remote` is to a type checker: positional arguments of `f.remote()` are checked, refs of them accepted.

Never imported at run time. One class per number of parameters, since `T | ObjectRef[T]` for each of them cannot be said
with a ParamSpec. Keyword arguments are not checked here; the caller's process checks them when the call is made.
Functions of up to eight parameters are told apart; the order of the overloads, longest first, finds the right one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, Generic, Literal, Protocol, TypeVar, overload

from ray._core.worker.object_ref import ObjectRef
from ray.actor import ActorClass
from ray.remote_function import RemoteFunction

R = TypeVar("R")
C = TypeVar("C")
T0 = TypeVar("T0")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")
T6 = TypeVar("T6")
T7 = TypeVar("T7")


class RemoteFunctionNoArgs(RemoteFunction, Generic[R]):
    def remote(self) -> ObjectRef[R]: ...


class RemoteFunction1(RemoteFunction, Generic[R, T0]):
    def remote(
        self,
        a0: T0 | ObjectRef[T0] = ...,
        /,
        **kwargs: Any,
    ) -> ObjectRef[R]: ...


class RemoteFunction2(RemoteFunction, Generic[R, T0, T1]):
    def remote(
        self,
        a0: T0 | ObjectRef[T0] = ...,
        a1: T1 | ObjectRef[T1] = ...,
        /,
        **kwargs: Any,
    ) -> ObjectRef[R]: ...


class RemoteFunction3(RemoteFunction, Generic[R, T0, T1, T2]):
    def remote(
        self,
        a0: T0 | ObjectRef[T0] = ...,
        a1: T1 | ObjectRef[T1] = ...,
        a2: T2 | ObjectRef[T2] = ...,
        /,
        **kwargs: Any,
    ) -> ObjectRef[R]: ...


class RemoteFunction4(RemoteFunction, Generic[R, T0, T1, T2, T3]):
    def remote(
        self,
        a0: T0 | ObjectRef[T0] = ...,
        a1: T1 | ObjectRef[T1] = ...,
        a2: T2 | ObjectRef[T2] = ...,
        a3: T3 | ObjectRef[T3] = ...,
        /,
        **kwargs: Any,
    ) -> ObjectRef[R]: ...


class RemoteFunction5(RemoteFunction, Generic[R, T0, T1, T2, T3, T4]):
    def remote(
        self,
        a0: T0 | ObjectRef[T0] = ...,
        a1: T1 | ObjectRef[T1] = ...,
        a2: T2 | ObjectRef[T2] = ...,
        a3: T3 | ObjectRef[T3] = ...,
        a4: T4 | ObjectRef[T4] = ...,
        /,
        **kwargs: Any,
    ) -> ObjectRef[R]: ...


class RemoteFunction6(RemoteFunction, Generic[R, T0, T1, T2, T3, T4, T5]):
    def remote(
        self,
        a0: T0 | ObjectRef[T0] = ...,
        a1: T1 | ObjectRef[T1] = ...,
        a2: T2 | ObjectRef[T2] = ...,
        a3: T3 | ObjectRef[T3] = ...,
        a4: T4 | ObjectRef[T4] = ...,
        a5: T5 | ObjectRef[T5] = ...,
        /,
        **kwargs: Any,
    ) -> ObjectRef[R]: ...


class RemoteFunction7(RemoteFunction, Generic[R, T0, T1, T2, T3, T4, T5, T6]):
    def remote(
        self,
        a0: T0 | ObjectRef[T0] = ...,
        a1: T1 | ObjectRef[T1] = ...,
        a2: T2 | ObjectRef[T2] = ...,
        a3: T3 | ObjectRef[T3] = ...,
        a4: T4 | ObjectRef[T4] = ...,
        a5: T5 | ObjectRef[T5] = ...,
        a6: T6 | ObjectRef[T6] = ...,
        /,
        **kwargs: Any,
    ) -> ObjectRef[R]: ...


class RemoteFunction8(RemoteFunction, Generic[R, T0, T1, T2, T3, T4, T5, T6, T7]):
    def remote(
        self,
        a0: T0 | ObjectRef[T0] = ...,
        a1: T1 | ObjectRef[T1] = ...,
        a2: T2 | ObjectRef[T2] = ...,
        a3: T3 | ObjectRef[T3] = ...,
        a4: T4 | ObjectRef[T4] = ...,
        a5: T5 | ObjectRef[T5] = ...,
        a6: T6 | ObjectRef[T6] = ...,
        a7: T7 | ObjectRef[T7] = ...,
        /,
        *more: Any,
        **kwargs: Any,
    ) -> ObjectRef[R]: ...


class RemoteGenerator(RemoteFunction):
    def remote(self, *args: Any, **kwargs: Any) -> Any: ...


class RemoteAnything(RemoteFunction, Generic[R]):
    """Of functions whose parameters are not all positional."""

    def remote(self, *args: Any, **kwargs: Any) -> ObjectRef[R]: ...


class Decorator(Protocol):
    """`ray.remote(…)` with options, before it has its function or class."""

    @overload
    def __call__(self, cls: type[C], /) -> ActorClass[C]: ...
    @overload
    def __call__(self, f: Callable[..., Generator[Any, Any, Any]], /) -> RemoteGenerator: ...
    @overload
    def __call__(self, f: Callable[..., AsyncGenerator[Any, Any]], /) -> RemoteGenerator: ...
    @overload
    def __call__(
        self, f: Callable[[T0, T1, T2, T3, T4, T5, T6, T7], R], /
    ) -> RemoteFunction8[R, T0, T1, T2, T3, T4, T5, T6, T7]: ...
    @overload
    def __call__(
        self, f: Callable[[T0, T1, T2, T3, T4, T5, T6], R], /
    ) -> RemoteFunction7[R, T0, T1, T2, T3, T4, T5, T6]: ...
    @overload
    def __call__(self, f: Callable[[T0, T1, T2, T3, T4, T5], R], /) -> RemoteFunction6[R, T0, T1, T2, T3, T4, T5]: ...
    @overload
    def __call__(self, f: Callable[[T0, T1, T2, T3, T4], R], /) -> RemoteFunction5[R, T0, T1, T2, T3, T4]: ...
    @overload
    def __call__(self, f: Callable[[T0, T1, T2, T3], R], /) -> RemoteFunction4[R, T0, T1, T2, T3]: ...
    @overload
    def __call__(self, f: Callable[[T0, T1, T2], R], /) -> RemoteFunction3[R, T0, T1, T2]: ...
    @overload
    def __call__(self, f: Callable[[T0, T1], R], /) -> RemoteFunction2[R, T0, T1]: ...
    @overload
    def __call__(self, f: Callable[[T0], R], /) -> RemoteFunction1[R, T0]: ...
    @overload
    def __call__(self, f: Callable[[], R], /) -> RemoteFunctionNoArgs[R]: ...
    @overload
    def __call__(self, f: Callable[..., R], /) -> RemoteAnything[R]: ...


class UntypedDecorator(Protocol):
    """As `Decorator`, where num_returns makes the result something else than one ref."""

    @overload
    def __call__(self, cls: type[C], /) -> ActorClass[C]: ...
    @overload
    def __call__(self, f: Callable[..., Any], /) -> RemoteFunction: ...


class Remote(Protocol):
    """`ray.remote` itself."""

    @overload
    def __call__(self, cls: type[C], /) -> ActorClass[C]: ...
    @overload
    def __call__(self, f: Callable[..., Generator[Any, Any, Any]], /) -> RemoteGenerator: ...
    @overload
    def __call__(self, f: Callable[..., AsyncGenerator[Any, Any]], /) -> RemoteGenerator: ...
    @overload
    def __call__(
        self, f: Callable[[T0, T1, T2, T3, T4, T5, T6, T7], R], /
    ) -> RemoteFunction8[R, T0, T1, T2, T3, T4, T5, T6, T7]: ...
    @overload
    def __call__(
        self, f: Callable[[T0, T1, T2, T3, T4, T5, T6], R], /
    ) -> RemoteFunction7[R, T0, T1, T2, T3, T4, T5, T6]: ...
    @overload
    def __call__(self, f: Callable[[T0, T1, T2, T3, T4, T5], R], /) -> RemoteFunction6[R, T0, T1, T2, T3, T4, T5]: ...
    @overload
    def __call__(self, f: Callable[[T0, T1, T2, T3, T4], R], /) -> RemoteFunction5[R, T0, T1, T2, T3, T4]: ...
    @overload
    def __call__(self, f: Callable[[T0, T1, T2, T3], R], /) -> RemoteFunction4[R, T0, T1, T2, T3]: ...
    @overload
    def __call__(self, f: Callable[[T0, T1, T2], R], /) -> RemoteFunction3[R, T0, T1, T2]: ...
    @overload
    def __call__(self, f: Callable[[T0, T1], R], /) -> RemoteFunction2[R, T0, T1]: ...
    @overload
    def __call__(self, f: Callable[[T0], R], /) -> RemoteFunction1[R, T0]: ...
    @overload
    def __call__(self, f: Callable[[], R], /) -> RemoteFunctionNoArgs[R]: ...
    @overload
    def __call__(self, f: Callable[..., R], /) -> RemoteAnything[R]: ...
    @overload
    def __call__(self, *, num_returns: Literal[1] | None = None, **options: Any) -> Decorator: ...
    @overload
    def __call__(self, *, num_returns: int | str, **options: Any) -> UntypedDecorator: ...
