"""How much memory a measurement took."""

import resource

from harness.agent.files import text


def peak_rss_bytes(children: bool = False) -> int:
    """Return this process's peak resident set, or that of the largest process it started.

    VmHWM rather than getrusage: the latter starts at the peak of the process that forked this one. Of a child that has
    ended there is nothing else, so that a small one has the agent's.
    """
    if children:
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    for line in text("/", "proc/self/status").split("\n"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
