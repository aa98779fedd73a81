"""The demo, whose server and Envoy stop and start as lines on standard input say, such as "stop envoy"."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from examples.web import demo


def obey(programs: demo.Programs) -> None:
    """Do what each line says, and repeat it when it is done."""
    for line in sys.stdin:
        verb, name = line.split()
        if verb == "stop":
            programs[name].stop()
        else:
            programs[name].start()
        print(line, end="", flush=True)


demo.main(obey)
