"""The verifier at the cloud: loads the target model and answers devices.

By hand:

    python -m nodes.cloud --model smollm2-135m-instruct --listen tcp://*:5555 --insecure
"""

from nodes.arguments import run
from nodes.verifier import main

if __name__ == "__main__":
    run(lambda: main("cloud", __doc__))
