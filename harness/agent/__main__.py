"""`python -m harness.agent [--site FILE]`, and the entry of the zipapp.

FILE is what a set-up wrote: {"paths": [...]}, the folders of the runtimes. They go before the interpreter's own
packages; `python -I` keeps everything else away.
"""

import json
import os
import sys


def add_site(path: str) -> None:
    """Put the folders named in the file behind the zipapp on sys.path; end the process when it is not there."""
    try:
        with open(path) as file:
            sys.path[1:1] = [str(folder) for folder in json.load(file)["paths"]]
    except (OSError, ValueError, KeyError) as exc:
        sys.exit("the runtimes are not there as they were set up ({}): run `bench devices setup`".format(exc))


if __name__ == "__main__":
    if sys.version_info < (3, 8):
        sys.exit(
            "Python {}.{} is too old, 3.8 is needed: `bench devices setup` brings one, or name a newer one with "
            "python = ... in devices.toml".format(*sys.version_info)
        )
    from harness.agent.main import main

    if len(sys.argv) == 3 and sys.argv[1] == "--site":
        add_site(sys.argv[2])
    status = main()
    sys.stderr.flush()
    # Past the runtimes' own teardown, which costs up to 100 ms and on some of them crashes.
    os._exit(status)
