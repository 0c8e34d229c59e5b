"""What runs on the device, packed into one zipapp with the backends.

One process of it is one restart. Python 3.8, the standard library, NumPy and the runtime.

Protocol
--------
The host writes one JSON request on one line to standard input and keeps the pipe open: when it closes, the host is gone
and the agent ends. The agent answers with JSON lines on standard output, each an object with an `event`:

    hello     protocol, versions of the agent, Python and the backend; import_ns
    loaded    load_ns, what actually runs; said again by a runtime that finds out only while it measures
    first     first_ns, the first inference
    verified  max_abs_diff against the reference output (null: there is no reference)
    warmup    ns (list), stable
    samples   ns (list)
    done      peak_rss_bytes, telemetry before and after
    error     phase, kind (unsupported | damaged | failed), message; the last line

A request may have an `op`: `probe` answers with one `probe` line (what the device is and has, and after making room in
its cache what was removed), `hold` with `busy` while
another host has the device and `held` once it is ours, which it stays until the host writes `end`, closes the pipe, or
writes nothing for `lease_s`.

Anything a runtime prints to standard output goes to standard error instead.
"""

PROTOCOL = 1
VERSION = "1"
