"""How figures and rows are worded: the same in the page, the image and the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from results.judge.pareto import AccuracyClass, Standing, Standings
from results.judge.placement import percent
from results.records import Accuracy, Placement, Quality, Row, Sustained, Verdict, shortened

RECALLED_MARK = "*"
FALLBACK_MARK = "!"
AGGREGATE_MARK = "a"
LONGEST = 600
"""Characters of a reason beside a table; JSON and the page's table have it whole."""
LEAST_LOST = 0.02
"""A smaller share of time lost to other work is not worth a column."""
FEW_RESTARTS = 3
"""Below this many restarts a 95 % interval covers clearly less."""


def clean(text: str) -> str:
    """The text without control characters, which could move the cursor or repaint the terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def configuration(row: Row) -> str:
    """Everything that tells apart two rows of one model on one device."""
    options = "".join(f", {key}={value}" for key, value in sorted(row.options.items()))
    precision = f"{row.precision} {row.method}".rstrip()
    return f"{row.backend}, {precision}, {row.threads} {'thread' if row.threads == 1 else 'threads'}{options}"


def name(row: Row) -> str:
    return f"{row.model} ({configuration(row)})"


def milliseconds(value: float | None) -> str:
    """Three significant digits, never in exponent notation: 0.0123, 4.56, 123, 4567."""
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:.0f}"
    text = f"{value:#.3g}" if abs(value) >= 1e-4 or value == 0 else f"{value:.7f}"
    return "0" if value == 0 else text.rstrip(".")


def latency(row: Row) -> str:
    """Median with its 95 % interval, in ms; of aggregates and after a fallback it says so."""
    if row.median_ms is None:
        return "-"
    interval = f" (95 %: {interval_of(row)})" if row.ci95_ms else ""
    words = [", aggregates only"] if row.aggregates else []
    words += [f", fell back: {row.fallback}"] if row.fallback else []
    return f"{milliseconds(row.median_ms)} ms{interval}{''.join(words)}"


def median(row: Row) -> str:
    """The bare figure: `4.56`, `4.56 a` of aggregates."""
    return f"{milliseconds(row.median_ms)}{f' {AGGREGATE_MARK}' if row.aggregates else ''}"


def observed(row: Row) -> str:
    """The median that a user gets, where other work took more than a little: `15.3`."""
    return milliseconds(row.observed_ms.get("p50")) if _is_shared(row) else ""


def lost(row: Row) -> str:
    """The share of time that other work took: `63 %`."""
    return f"{row.lost_share:.0%}".replace("%", " %") if _is_shared(row) and row.lost_share is not None else ""


def from_peak(found: Sustained | None) -> str:
    """What became of the speed at first: `-26 % after 130 s`; `-1 %` where it was never throttled for good."""
    if found is None:
        return ""
    words = change(-found.loss_share)
    return words if found.throttled_after_s is None else f"{words} after {found.throttled_after_s:.3g} s"


def change(share: float) -> str:
    """A share that was won or lost: `-26 %`."""
    percent = round(100 * share)
    return f"{percent:+d} %" if percent else "0 %"


def _is_shared(row: Row) -> bool:
    return (row.lost_share or 0.0) >= LEAST_LOST


def flags(row: Row) -> str:
    """The marks of a row's latency, for places without room for words."""
    return f"{FALLBACK_MARK if row.fallback else ''}{AGGREGATE_MARK if row.aggregates else ''}"


def flags_key(rows: Sequence[Row]) -> str:
    """What the marks mean, those that these rows have; empty without any."""
    words = [f"{FALLBACK_MARK} fell back"] if any(row.fallback for row in rows) else []
    words += [f"{AGGREGATE_MARK} aggregates only"] if any(row.aggregates for row in rows) else []
    return f" ({', '.join(words)})" if words else ""


def notes(row: Row) -> str:
    """What a row says of itself besides its verdict."""
    words = [f"fell back: {row.fallback}"] if row.fallback else []
    words += [f"aggregates only: {row.aggregates}"] if row.aggregates else []
    return "; ".join([*words, *row.notes])


def interval_of(row: Row) -> str:
    return f"{milliseconds(row.ci95_ms[0])}-{milliseconds(row.ci95_ms[1])}" if row.ci95_ms else "-"


def megabytes(count: int | None) -> str:
    """Bytes as MB of 10^6 bytes: 0.37, 4.21, 67.2."""
    return "-" if count is None else f"{count / 1e6:.{1 if count >= 1e7 else 2}f}"


def accuracy_text(accuracy: Accuracy | None) -> str:
    if accuracy is None:
        return "-"
    recalled = ", quoted from memory" if accuracy.recalled else ""
    interval = "" if accuracy.ci95 is None else f" (95 %: {accuracy.ci95[0]:.4g}-{accuracy.ci95[1]:.4g})"
    return f"{accuracy.value:.4g}{interval} {accuracy.metric} on {accuracy.dataset} ({accuracy.kind}{recalled})"


def quality(found: Quality) -> str:
    """What a precision cost when its file was made: `23.1 dB, 96.9 % the same top-1`."""
    agreement = "" if found.top1_agreement is None else f", {100 * found.top1_agreement:.1f} % the same top-1"
    return f"{found.snr_db:.1f} dB{agreement}"


def elsewhere(found: Placement | None) -> str:
    """What was not where it was asked to be: `4 of 5 nodes, 100 % of multiply-adds`; "" when all was."""
    if found is None or found.nodes_elsewhere == 0:
        return ""
    if found.nodes_elsewhere is None:
        return "unknown"
    share = found.multiply_adds_share_elsewhere
    work = "unknown share" if share is None else percent(share)
    return f"{found.nodes_elsewhere} of {found.nodes} nodes, {work} of multiply-adds"


def class_text(kind: AccuracyClass) -> str:
    return f"{kind[0]} {kind[1]}, {kind[2]}"


def standing_text(standing: Standing, rows: Sequence[Row]) -> str:
    """The standing in words; `rows` are those that `dominated_by` points into."""
    by = "" if standing.dominated_by is None else name(rows[standing.dominated_by])
    words = {"frontier": "on the frontier", "tie": f"tie with {by}", "dominated": f"dominated by {by}"}
    return words.get(standing.status, f"on no frontier: {standing.reason}" if standing.reason else "-")


def standings_text(found: Standings, rows: Sequence[Row]) -> str:
    """The standing in words, in each class where there are several."""
    if len(found) < 2:
        return "".join(standing_text(standing, rows) for standing in found.values()) or "-"
    short = len({kind[0] for kind in found}) == len(found)  # published and measured alone tell the classes apart
    named = {kind[0] if short else class_text(kind): standing for kind, standing in found.items()}
    return "; ".join(f"{words}: {standing_text(standing, rows)}" for words, standing in named.items())


def _by_words(rows: Sequence[Row], words: Callable[[Row], str]) -> str:
    """The models of these rows with what is to be said of them, each thing once."""
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        found.setdefault(words(row).rstrip("."), {})[row.model] = None
    return "; ".join(f"{', '.join(models)} ({shortened(said, LONGEST)})" for said, models in found.items())


def notices(rows: Sequence[Row]) -> list[str]:
    """What a reader must know before believing the figures of these rows."""
    result = []
    fallen = sum(bool(row.fallback) for row in rows)
    if fallen:
        result.append(
            f"{FALLBACK_MARK} marks {fallen} of {len(rows)} rows that fell back: not all of the model ran on the "
            "accelerator that was asked for. Their latency is that of what ran, not of the accelerator."
        )
    aggregated = sum(bool(row.aggregates) for row in rows)
    if aggregated:
        result.append(
            f"{AGGREGATE_MARK} marks {aggregated} of {len(rows)} rows that hold aggregates only: each restart is one "
            "number that the tool told, no single inference is known and no output was checked. Their intervals are "
            "those of the restarts alone (none for one) and cover about 50 % with 2 restarts, 75 % with 3, 94 % with "
            "5. An average is not a median: a few slow inferences raise it."
        )
    for device in dict.fromkeys(row.device for row in rows):
        boards = {row.device_id for row in rows if row.device == device and row.device_id is not None}
        if len(boards) > 1:
            result.append(
                f"{device} was {len(boards)} boards in turn ({', '.join(sorted(boards))}): "
                "the figures of these rows are not those of one device."
            )
    counts = [row.n_restarts for row in rows if row.n_restarts and not row.aggregates and row.sustained is None]
    if counts and min(counts) < FEW_RESTARTS:
        few = sum(count < FEW_RESTARTS for count in counts)
        result.append(
            f"{few} of {len(counts)} measured rows rest on fewer than {FEW_RESTARTS} restarts (least: {min(counts)}). "
            "Their intervals are too narrow: an interval named 95 % covers about 63 % with 2 restarts."
        )
    unstable = sum(row.verdict is Verdict.UNSTABLE for row in rows)
    if unstable:
        result.append(
            f"{unstable} of {len(rows)} rows {'is' if unstable == 1 else 'are'} unstable: measure again when the "
            "device does nothing else. `bench doctor` says how noisy it is, and what to do about it."
        )
    unverified = [row for row in rows if row.n_restarts and not row.verified and not row.aggregates]
    if unverified:
        result.append(
            f"The output of {len(unverified)} of {len(rows)} rows was not checked: "
            f"{_by_words(unverified, lambda row: row.unverified or 'there is no reference to compare with')}."
        )
    strange = [row for row in rows if row.nonfinite]
    if strange:
        result.append(
            f"The output of {len(strange)} of {len(rows)} rows holds numbers that are none: "
            f"{_by_words(strange, lambda row: row.nonfinite)}."
        )
    destroyed = [row for row in rows if row.destroyed]
    if destroyed:
        result.append(
            f"The precision of {len(destroyed)} of {len(rows)} rows has destroyed what the model computes: "
            f"{_by_words(destroyed, lambda row: row.destroyed)}."
        )
    random = sum(row.weights == "random" for row in rows)
    if random:
        result.append(
            f"{random} of {len(rows)} rows ran with random weights: latency is that of the architecture. An accuracy "
            "published for them belongs to trained weights and was not measured on these files."
        )
    recalled = sum(any(accuracy.recalled for accuracy in row.accuracies) for row in rows)
    if recalled:
        result.append(
            f"{RECALLED_MARK} marks accuracies quoted from memory, not re-read at the source ({recalled} rows)."
        )
    return result
