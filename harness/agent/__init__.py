"""What runs on the device, packed into one zipapp with the backends.

One process of it does one job. Python 3.8, the standard library, NumPy and the runtime.

Protocol
--------
The host writes one JSON request on one line to standard input and keeps the pipe open: when it closes, the host is gone
and the agent ends. A request names the protocol, the job (the table in `harness.agent.jobs`) and the fields of that
job's `Request`. The agent answers with JSON lines on standard output, each an object with an `event`:

    hello     protocol, versions of the agent and Python, machine, agent_sha256 (of its own file); the first line
    error     phase, kind (unsupported | damaged | wrong-output | memory | failed), message; the last line

What stands between them is told by each job's module. An unknown job is an error.

Anything a runtime prints to standard output goes to standard error instead.
"""

PROTOCOL = 2
VERSION = "2"
