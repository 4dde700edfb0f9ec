"""Which objects an owner leaves behind, against a naive model."""

from hypothesis import given
from hypothesis import strategies as st

from ray._core.raylet.owners import OwnerTable

OBJECT, OWNER = st.sampled_from([b"1", b"2", b"3", b"4"]), st.sampled_from([b"p", b"q"])


@given(st.lists(st.tuples(OBJECT, OWNER | st.none())))
def test_an_owner_leaves_what_came_and_was_not_freed(steps):
    table, model = OwnerTable(), {}
    for object_id, owner in steps:
        if owner is None:
            assert table.knows(object_id) == (model.pop(object_id, None) is not None)
            table.freed(object_id)
        elif model.setdefault(object_id, owner) == owner:  # an object never changes its owner
            table.came(object_id, owner)
        table.validate()
        for each in b"p", b"q":
            assert sorted(table.of(each)) == sorted(key for key, owner_id in model.items() if owner_id == each)
