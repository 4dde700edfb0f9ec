"""Mistakes that a type checker must find: each line with `# error` and no other."""

import ray


@ray.remote
def double(x: int) -> int:
    return 2 * x


@ray.remote
def join(left: str, right: str = "") -> str:
    return left + right


@ray.remote
class Counter:
    pass


double.remote("a")  # error
double.remote(ray.put("a"))  # error
double.remote(1, 2)  # error
join.remote("a", 1)  # error
text: str = ray.get(double.remote(1))  # error
ray.get(1)  # error
ray.get((double.remote(1),))  # error
ray.wait(double.remote(1))  # error
ray.kill(double.remote(1))  # error
print(ray.no_such_name)  # error


def unreachable() -> None:
    double(1)
    print("a direct call never returns, so this is never checked: " + 1)
