"""What one restart is worth, by itself: to decide whether it is made again, and what a measurement may rest on. Pure.

A device may claim whatever it likes; what cannot be true brings no numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from results.judge import placement
from results.judge.device import environment, noise, sustained, telemetry
from results.records import Case, Cause, Profile, Restart, Verdict, shortened

_NS_PER_S = 10**9
# Clocks run at slightly different rates, and a device's may be a poor one.
_CLOCKS_DIFFER, _SLACK_NS = 1.02, _NS_PER_S // 10
# Two readings of a clock and the call of a Python function between them take longer on every machine.
SHORTEST_NS = 20
_WITHOUT_NUMBERS = (Verdict.FAILED, Verdict.UNSUPPORTED, Verdict.OFFLINE)


@dataclass(frozen=True)
class Judgment:
    """The verdict on one restart, with its cause for programs and its reason for people."""

    verdict: Verdict = Verdict.VALID
    cause: Cause | None = None
    reason: str = ""

    @property
    def has_numbers(self) -> bool:
        """Whether a measurement may rest on it."""
        return self.verdict not in _WITHOUT_NUMBERS

    @property
    def is_repeated(self) -> bool:
        """Whether another try may do better."""
        return self.verdict in (Verdict.FAILED, Verdict.CONTENDED, Verdict.THROTTLED)


def judge_restart(restart: Restart, case: Case, profile: Profile, best_probe_ns: int | None = None) -> Judgment:
    """Judge one restart of a case: the first check with a finding gives the judgment.

    `best_probe_ns` is how long the fixed piece of work takes on the device at best (`judge.device.noise`).
    """
    if restart.outcome != "ok":
        return Judgment(Verdict(restart.outcome), restart.cause, restart.reason)
    found = (check(restart, case, profile) for check in CHECKS)
    judgment = next((judgment for judgment in found if judgment is not None), None)
    return judgment or check_noise(restart, best_probe_ns) or check_curve(restart, best_probe_ns) or Judgment()


def believed(restart: Restart, case: Case, profile: Profile) -> Restart:
    """Return a restart that claims to be `ok` and cannot be as a `failed` one, any other as it is."""
    judgment = judge_restart(restart, case, profile)
    if restart.outcome != "ok" or judgment.has_numbers:
        return restart
    return restart.model_copy(update={"outcome": "failed", "cause": judgment.cause, "reason": judgment.reason})


def _implausible(reason: str) -> Judgment:
    return Judgment(Verdict.FAILED, "implausible", reason)


def check_samples(restart: Restart, _case: Case, _profile: Profile) -> Judgment | None:
    """There are none."""
    return None if restart.timed else _implausible("the device reported success and sent no samples")


def check_time(restart: Restart, _case: Case, _profile: Profile) -> Judgment | None:
    """All that was timed together took longer than the restart did by the clock of this machine."""
    told_ns = (restart.import_ns or 0) + (restart.load_ns or 0) + (restart.first_ns or 0)
    told_ns += sum(restart.warmup_ns) + restart.timed_ns
    if told_ns <= _CLOCKS_DIFFER * restart.wall_ns + _SLACK_NS:
        return None
    told_s, wall_s = told_ns / _NS_PER_S, restart.wall_ns / _NS_PER_S
    return _implausible(f"the device tells of {told_s:.3g} s that were timed in a restart that took {wall_s:.3g} s")


def check_shortest(restart: Restart, _case: Case, _profile: Profile) -> Judgment | None:
    """An inference took less than it takes to time one."""
    shortest_ns = restart.shortest_ns
    if shortest_ns >= SHORTEST_NS or restart.actual.get("aggregates"):
        return None
    return _implausible(
        f"the device tells of an inference of {shortest_ns} ns: no runtime is that fast, or its clock is too coarse"
    )


def check_count(restart: Restart, _case: Case, profile: Profile) -> Judgment | None:
    """Fewer timed inferences than the profile asks for, although they did not take long."""
    told_s = restart.timed_ns / _NS_PER_S
    if (
        restart.actual.get("aggregates")
        or (restart.curve is not None and restart.curve.ended)
        or restart.timed >= profile.min_iterations
        or told_s >= profile.max_seconds / 2
    ):
        return None
    return _implausible(
        f"the device tells {restart.timed} timed inferences in {told_s:.3g} s, "
        f"and at least {profile.min_iterations} were asked for"
    )


def check_output(restart: Restart, _case: Case, _profile: Profile) -> Judgment | None:
    """The output is further from the reference than was allowed, whatever the device thinks of it."""
    difference, allowed = restart.max_abs_diff, restart.tolerance
    if difference is None or allowed is None or abs(difference) <= allowed:
        return None
    return Judgment(
        Verdict.FAILED, "wrong-output", f"wrong output: it is off by {difference:.3g}, allowed {allowed:.3g}"
    )


def check_placement(restart: Restart, case: Case, _profile: Profile) -> Judgment | None:
    """Not all of it ran where it was asked to, and that was asked for strictly."""
    words = placement.fallback(restart.actual) if case.strict else ""
    if not words:
        return None
    kinds = placement.left(restart.actual)
    left = f"; what was not taken: {kinds}" if kinds else ""
    advice = "change these operators or the accelerator's options, or leave out --strict (in devices.toml: strict)"
    reason = f"not wholly where it was asked to be: {words}{left}; {advice}"
    return Judgment(Verdict.FAILED, "fallback", shortened(reason))


def check_power_mode(restart: Restart, case: Case, _profile: Profile) -> Judgment | None:
    """The device was not, or not all the time, in the mode that devices.toml asks for."""
    found = environment.of((restart.telemetry_before, restart.telemetry_after))
    if case.power_mode is None or environment.is_in(case.power_mode, found):
        return None
    return Judgment(Verdict.NOT_COMPARABLE, None, environment.mismatch(case.power_mode, found))


def check_throttled(restart: Restart, _case: Case, _profile: Profile) -> Judgment | None:
    """The device was slowed down: by heat, by its power supply, by a limit on its control group."""
    found = [] if restart.curve else telemetry.throttling(restart)  # a curve is there to show it
    return Judgment(Verdict.THROTTLED, None, "; ".join(found)) if found else None


def check_noise(restart: Restart, best_probe_ns: int | None) -> Judgment | None:
    """Too few of the inferences had a core for themselves, at its full speed."""
    found = noise.split(restart, best_probe_ns)
    if not found.is_contended or restart.noise is None:
        return None
    if found.slow_share > 1 - noise.LEAST_KEPT:
        return _slow_core(restart, found.slow_share)
    why = restart.noise.unshielded or "taken, and not enough"
    own = len(restart.samples_ns) - (restart.noise.shielded_from or 0)
    lost = "" if found.lost_share is None else f" and {found.lost_share:.0%} of the time was lost"
    return Judgment(
        Verdict.CONTENDED,
        None,
        f"other work had the cores: {found.undisturbed} of {own} inferences kept theirs{lost}; "
        f"real-time priority: {why}; stop what else runs there, or let bench take real-time priority",
    )


def _slow_core(restart: Restart, share: float) -> Judgment:
    """The core was slower than it can be, which the system's own accounts need not show."""
    reason = f"its core was more than {noise.SLOW_PROBE - 1:.0%} slower than at best for {share:.0%} of the inferences"
    if any(reading is not None and reading.virtual for reading in (restart.telemetry_before, restart.telemetry_after)):
        words = f"{reason}, as other virtual machines on the same hardware make it: try again later"
        return Judgment(Verdict.CONTENDED, None, words)
    return Judgment(Verdict.THROTTLED, None, f"{reason}: let it cool, look at its power supply, governor and cores")


def check_curve(restart: Restart, best_probe_ns: int | None) -> Judgment | None:
    """A curve that tells no sustained latency."""
    found = sustained.doubt(restart, best_probe_ns)
    return Judgment(found[0], None, shortened(found[1])) if found is not None else None


CHECKS: list[Callable[[Restart, Case, Profile], Judgment | None]] = [
    check_samples,
    check_time,
    check_shortest,
    check_count,
    check_output,
    check_placement,
    check_power_mode,
    check_throttled,
]
"""Run in this order on a restart that claims to be `ok`. A new one is a function here, and nothing else."""
