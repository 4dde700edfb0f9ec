"""Which URIs of a node go, and when: never one that is used, the least recently used first."""

from hypothesis import given
from hypothesis import strategies as st

from ray._private.runtime_env.uri_cache import UriCache


def test_what_is_used_stays_whatever_its_size():
    cache = UriCache(limit=1)
    cache.add("a", 100)
    cache.use("a")
    assert cache.evict() == []
    cache.unuse("a")
    assert cache.evict() == ["a"] and "a" not in cache


def test_within_the_limit_nothing_goes():
    cache = UriCache(limit=10)
    for uri in "abc":
        cache.add(uri, 3)
    assert cache.evict() == []
    cache.add("d", 3)
    cache.use("a")
    cache.unuse("a")
    assert cache.evict() == ["b"] and cache.size() == 9


STEPS = st.lists(
    st.tuples(st.sampled_from(["use", "unuse", "evict"]), st.sampled_from("abcd"), st.integers(0, 9)), min_size=15
)


@given(STEPS, st.integers(0, 12))
def test_it_keeps_the_limit_as_far_as_users_allow(steps, limit):
    cache, users, sizes = UriCache(limit), {}, {}
    for action, uri, size in steps:
        if action == "use":
            if uri not in cache:
                cache.add(uri, size)
                users[uri], sizes[uri] = 0, size
            cache.use(uri)
            users[uri] += 1
        elif action == "unuse" and users.get(uri):
            cache.unuse(uri)
            users[uri] -= 1
        elif action == "evict":
            before = sum(sizes.values())
            gone = cache.evict()
            for each in gone:
                assert users.pop(each) == 0
                del sizes[each]
            assert cache.size() == sum(sizes.values())
            assert cache.size() <= limit or all(users[each] for each in sizes)
            assert not gone or before > limit
        assert all(cache.users(each) == count for each, count in users.items())
