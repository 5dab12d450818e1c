"""The verifier at the base station: loads the target model and answers devices.

By hand:

    python -m nodes.base_station --model smollm2-135m-instruct --listen tcp://*:5555 --insecure
"""

from nodes.arguments import run
from nodes.verifier import main

if __name__ == "__main__":
    run(lambda: main("base_station", __doc__))
