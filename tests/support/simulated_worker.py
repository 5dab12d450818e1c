"""A worker of simulated runs: -m tests.support.simulated_worker.

It has none of the modules that only Linux has, and as little of `os` as another system.
"""

from tests.support.blocked import block, forget_linux

if __name__ == "__main__":
    block()
    forget_linux()
    from testbed.experiment import plain_worker

    plain_worker.main()
