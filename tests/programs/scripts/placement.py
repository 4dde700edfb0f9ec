"""Gang scheduling with a placement group."""

import ray
from ray.util.placement_group import placement_group, placement_group_table, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

ray.init(num_cpus=4)


@ray.remote(num_cpus=1)
class Member:
    def __init__(self, rank):
        self.rank = rank

    def where(self):
        context = ray.get_runtime_context()
        return self.rank, context.get_placement_group_id()


@ray.remote(num_cpus=1)
def inside():
    return ray.util.get_current_placement_group() is not None


group = placement_group([{"CPU": 1}] * 3, strategy="PACK", name="gang")
assert ray.get(group.ready(), timeout=30).id == group.id
assert group.bundle_count == 3
members = [
    Member.options(
        scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank)
    ).remote(rank)
    for rank in range(2)
]
assert ray.get([member.where.remote() for member in members]) == [(0, group.id.hex()), (1, group.id.hex())]
assert ray.get(inside.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group)).remote())
assert not ray.get(inside.remote())
assert placement_group_table(group)["state"] == "CREATED"
assert ray.util.get_placement_group("gang").id == group.id
remove_placement_group(group)
assert placement_group_table(group)["state"] == "REMOVED"
for member in members:
    try:
        ray.get(member.where.remote(), timeout=30)
        raise SystemExit("a member outlived its group")
    except ray.exceptions.RayActorError:
        pass
print("ok")
