"""A worker of simulated runs whose simulation is a fake: -m tests.support.simulated_worker.

It has none of the modules that only Linux has, and as little of `os` as another system.
"""

from tests.support.blocked import block, forget_linux

if __name__ == "__main__":
    block()
    forget_linux()
    from testbed.experiment import plain_worker, simulated_bench
    from tests.support.fake_simulation import FakeSimulation

    simulated_bench.open_simulation = FakeSimulation
    plain_worker.main()
