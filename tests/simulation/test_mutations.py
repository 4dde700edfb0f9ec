"""The net has no hole: known-bad variants of scheduler, leases, actors, references and journal are noticed."""

import pytest

from simulation.mutations import MUTATIONS, SEEDS, applied
from simulation.scenario import run_seed

NEARBY = 400
"""The plans of seeds change with the simulator: then one of so many others notices, and `SEEDS` wants to be renewed."""


def is_noticed(seed: int) -> bool:
    try:
        run_seed(seed)
    except Exception:
        return True
    return False


@pytest.mark.parametrize("name", MUTATIONS)
def test_each_known_mistake_is_noticed(name):
    with applied(name):
        assert any(is_noticed(seed) for seed in [SEEDS[MUTATIONS[name]], *range(NEARBY)])
