"""The one list of what a row holds, for every place that shows rows: JSON, CSV and frame, terminal, page, docs/cli.md.

A new field of a row needs the record, its computation and one line here; a cell worded in its own way needs a function
in `dashboards/cells.py` besides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from results.records import Accuracy, Evaluated, Sustained

_FRAME_TYPES = {"text": "string", "number": "Float64", "whole number": "Int64", "true or false": "boolean"}


@dataclass(frozen=True)
class Column:
    """A field of a row, or, where `json` is empty, words about one.

    `json` is its type there, `means` what docs/cli.md says of it, `head` and `short` its heads on the page and in the
    terminal (not shown without), `wide` says that only wide terminals have room for it, `seldom` that it is left out
    where no row has anything in it. `frame` are its columns in CSV and frame with pandas' nullable types: one of its
    own name, unless given.
    """

    key: str
    json: str
    means: str
    head: str = ""
    short: str = ""
    wide: bool = False
    seldom: bool = False
    frame: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_number(self) -> bool:
        """Whether it is set to the right and sorted by value."""
        return "number" in self.json or self.key in (
            "ci95_ms",
            "percentiles_ms",
            "observed_ms",
            "sustained",
            "accuracies",
            "against_fp32",
        )

    @property
    def types(self) -> Mapping[str, str]:
        """Its columns in CSV and frame; objects and lists are JSON with sorted keys there."""
        own = {self.key: _FRAME_TYPES.get(self.json.removesuffix(" or null"), "string")} if self.json else {}
        return self.frame or own


SUSTAINED = dict.fromkeys(
    [f"sustained_{name}" for name in Sustained.model_fields if name not in ("peak_ci95_ms", "why", "ended", "curve")],
    "Float64",
)
"""The columns in CSV and frame of the figures in `sustained`."""
_INTERVAL = {"ci95_low_ms": "Float64", "ci95_high_ms": "Float64"}
_CONTROL_INTERVAL = {f"control_{name}": kind for name, kind in _INTERVAL.items()}
PERCENTILES = {"p50": "p50_ms", "p90": "p90_ms", "p95": "p95_ms", "p99": "p99_ms", "p99.9": "p99_9_ms"}
"""The columns in CSV and frame of the percentiles in `percentiles_ms`."""
OBSERVED = {key: f"observed_{name}" for key, name in PERCENTILES.items()}
"""And of those in `observed_ms`."""
_ACCURACY = dict.fromkeys([f"accuracy_{name}" for name in Accuracy.model_fields], "string") | {
    "accuracy_value": "Float64",
    "accuracy_recalled": "boolean",
    "accuracy_samples": "Int64",
    "accuracies": "string",
}
_EVALUATION_TYPES = {
    **dict.fromkeys(("dataset", "split", "dataset_sha256", "truth", "metric", "check"), "string"),
    **dict.fromkeys(("samples", "total"), "Int64"),
    **dict.fromkeys(("per_class", "notes"), "string"),
}
_EVALUATION = {
    f"evaluation_{name}": _EVALUATION_TYPES.get(name, "Float64")
    for field in Evaluated.model_fields
    for name in ((f"{field}_low", f"{field}_high") if field.endswith("ci95") else (field,))
}

# fmt: off
COLUMNS = (
    Column("run", "text", "the run's name"),
    Column("started_at", "text", "when the run began (UTC)"),
    Column("device", "text", "the device's name", "Device"),
    Column("model", "text", "the model's name", "Model", "Model"),
    Column("untransformed", "text", "the model that it is an optimization of; empty where it is none"),
    Column("family", "text or null", "of the zoo; null outside it"),
    Column("backend", "text", "the runtime", "Backend", "Backend"),
    Column("backend_version", "text or null", "its version; null when nothing ran"),
    Column("precision", "text", "of the file that ran", "Precision", "Prec."),
    Column("method", "text", "how the precision was made: `cast`, `qdq`, `nncf`, `static`, `hint`; empty as it was "
           "exported", "Method", "Method", seldom=True),
    Column("threads", "whole number", "threads asked for", "Threads", "Thr."),
    Column("inputs", "list of objects", "what it was fed: `name`, `dtype`, `shape`, `dims` (as the file declares "
           "them), `values` (where they come from), `made_up` (`values`, `sizes`)", "Inputs", "Input", seldom=True),
    Column("verdict", "text", "what the measurement is good for", "Verdict", "Verdict"),
    Column("median_ms", "number or null", "median of the restarts' medians; null without numbers", "Median", "ms"),
    Column("ci95_ms", "[low, high] or null", "its 95 % interval", "95 % interval", "95 %", frame=_INTERVAL),
    Column("spread_ms", "number or null", "median absolute deviation of the restarts' medians"),
    Column("percentiles_ms", "object", "`p50` … `p99.9`, those for which there are enough samples", "p90", "p90",
           frame=dict.fromkeys(PERCENTILES.values(), "Float64")),
    Column("observed_ms", "object", "what a user gets while the device does other work, too: percentiles of all "
           "inferences, those that lost their core among them", "Observed", "Obs.", seldom=True,
           frame=dict.fromkeys(OBSERVED.values(), "Float64")),
    Column("lost_share", "number or null", "share of the time of the inferences that they waited for a core; null "
           "where the device does not tell", "Lost", "Lost", seldom=True),
    Column("n_undisturbed", "whole number or null", "inferences that kept their core, on which the latency rests; "
           "null where the device does not tell"),
    Column("marked_by", "text", "what told them apart: `schedstat`, `switches` or `unknown`"),
    Column("sustained", "object or null", "what minutes without a pause did to the latency (`median_ms` is that of the "
           "last fifth): `minutes`, `peak_ms`, `peak_ci95_ms`, `loss_share` (of its speed), `throttled_after_s`, "
           "`hottest_c`, `why`, `ended` and `curve`; null with other profiles", "Sustained", "Sustained", seldom=True,
           frame=SUSTAINED),
    Column("batch", "whole number or null", "examples in one inference; null when not known", "Batch", seldom=True),
    Column("throughput_per_s", "number or null", "examples per second, `batch` over the median; null where unknown",
           "Per second", "per s", seldom=True),
    Column("accuracies", "list of objects", "published and measured side by side: `value`, `metric`, `dataset`, `kind` "
           "(`published`, `measured`), `source`, `recalled`, `ci95` and `samples` (of what was measured)",
           "Accuracy", "Acc.", frame=_ACCURACY),
    Column("against_fp32", "", "percentage points of accuracy more or less than the fp32 file on the same samples (a "
           "transformed model in fp32: than the model before); in brackets where so many differences may be chance",
           "Points vs fp32", "vs fp32", seldom=True),
    Column("speedup", "number or null", "how many times as fast as the fp32 row of the same device, model, backend, "
           "threads and options in its run (a transformed model in fp32: as the model before)", "Times fp32", "x fp32",
           seldom=True),
    Column("speedup_ci95", "[low, high] or null", "its 95 % interval"),
    Column("chosen", "text", "why `--precision auto` takes this row; empty where it does not", "Auto", "Auto",
           seldom=True),
    Column("standing", "", "among all valid rows of the same device and kind of accuracy", "Standing", " "),
    Column("reason", "text", "why the verdict is not `valid`; empty when it is", "Reason"),
    Column("notes", "list of texts", "decisions taken for the user, and what else to know, as `4 threads on 1 core`",
           "Notes"),
    Column("load_ms", "number or null", "loading the model with its files in memory, median over restarts", "Load",
           "Load", wide=True),
    Column("cold_load_ms", "number or null", "loading it without, as the first of several restarts does", "Cold load"),
    Column("load_caches", "text or null", "`cold` where it is known that the files of `cold_load_ms` were not in "
           "memory, else `unknown`; `warm` where no restart was loaded so; null when nothing was measured"),
    Column("load_peak_rss_bytes", "whole number or null", "peak memory once the model was loaded, before the first "
           "inference, the largest of the restarts of `load_ms`", "Load MB"),
    Column("cold_load_peak_rss_bytes", "whole number or null", "the same of `cold_load_ms`", "Cold load MB"),
    Column("first_ms", "number or null", "the first inference, median over the restarts of `load_ms`", "First",
           "First", wide=True),
    Column("peak_rss_bytes", "whole number or null", "the largest over restarts", "Peak MB", "Peak MB", wide=True),
    Column("made_up", "", "where the values and sizes that it was fed come from", "Fed with", seldom=True),
    Column("size_bytes", "whole number or null", "of the model's files", "Size MB", "MB"),
    Column("evaluation", "object or null",
           "the accuracy measured of this very file on this device: `dataset`, `split`, `dataset_sha256`, `truth`, "
           "`metric`, `value`, `ci95`, `samples`, `total`, `top5`, `per_class`, `calibration_error`, `reference`, "
           "`threshold`, `drop`, `check`, `loss`, `loss_ci95`, `agreement`, `mcnemar_p`, `logit_snr_db`, "
           "`images_per_s`, `notes`", "Accuracy in detail", seldom=True, frame=_EVALUATION),
    Column("unevaluated", "text", "why the accuracy that was asked for is not that of all its samples; empty if it is",
           "Not evaluated", seldom=True),
    Column("asked", "list of texts", "what was to be measured: `latency`, `accuracy`"),
    Column("quality", "object or null", "what the precision cost when the file was made: its outputs under `runtime` "
           "on `samples` inputs against fp32, as `snr_db` and `top1_agreement`; null where bench has not made it",
           "Against fp32", seldom=True),
    Column("signature", "text or null",
           "the signature of a TFLite file that ran; null where it has one and none was asked for", "Signature",
           seldom=True),
    Column("shapes_fixed", "text or null", "`in the file`, `by the runtime` or `in a copy`", "Sizes set", seldom=True),
    Column("weights_precision", "text", "types that the weights are held in", "Weights in", seldom=True),
    Column("activations_precision", "text", "types that the graph passes from operator to operator", "Activations",
           seldom=True),
    Column("compute_precision", "text", "what the runtime says it computed in; empty where it does not tell",
           "Computed in", seldom=True),
    Column("fallback", "text", "what of the accelerator asked for was not given; empty when nothing was missing"),
    Column("placement", "object or null", "how much of a graph was not on the accelerator that was asked for: "
           "`asked`, `nodes`, `nodes_elsewhere`, `multiply_adds_share_elsewhere` (0 to 1), null where not known; null "
           "where none was asked for", "Elsewhere", seldom=True),
    Column("aggregates", "text", "that each restart is one number for many inferences; empty when each was timed"),
    Column("verified", "true or false", "whether the output was compared with the reference in every restart"),
    Column("unverified", "text", "why it was not; empty when it was, and without numbers", "Unverified", seldom=True),
    Column("nonfinite", "text", "NaN or infinities in the output that nobody asked for; empty without any",
           "Not finite", seldom=True),
    Column("destroyed", "text", "that the precision has left nothing of what fp32 computes; empty when it has",
           "Destroyed", seldom=True),
    Column("snr_db", "number or null",
           "least signal-to-noise ratio of an output against the reference, 200 when equal", "SNR dB", seldom=True),
    Column("top1_agreement", "number or null", "share of score vectors with their largest element in the same place",
           "Top-1 agreement", seldom=True),
    Column("control_ms", "number or null", "median of the control on the same device, under the same runtime, in the "
           "same run; null without a valid one", "Control", seldom=True),
    Column("control_ci95_ms", "[low, high] or null", "its 95 % interval", frame=_CONTROL_INTERVAL),
    Column("control", "true or false", "whether this row is the control itself, on no frontier and in no table"),
    Column("n_restarts", "whole number", "restarts that the figures rest on", "Restarts"),
    Column("n_iterations", "whole number", "timed inferences, of aggregates as many as the tool says", "Iterations"),
    Column("options", "object", "backend options asked for", "Options"),
    Column("actual", "object", "what really ran"),
    Column("environment", "object", "`governor`, `power_mode` (nvpmodel): each a list of every value read before and "
           "after a restart, empty where the device does not tell"),
    Column("weights", "text", "`random`, `own` or the name of a trained set", "Weights"),
    Column("source", "", "who says so", "Accuracy source"),
    Column("resolution", "whole number or null", "height and width of the input; null when not known"),
    Column("parameters", "whole number or null", "of the model; null when not known"),
    Column("multiply_adds", "whole number or null", "of one inference; null when not known"),
    Column("artifact_sha256", "text or null", "the file that ran; null when there was none"),
    Column("artifact_format", "text or null", "`onnx` or `tflite`"),
    Column("case_id", "text", "hash of what was asked for"),
    Column("device_id", "text or null", "the board, or what was installed on it; null where it tells neither",
           "Board"),
    Column("fingerprint", "text or null", "equal in two rows that may be compared", "Fingerprint"),
)
# fmt: on

FRAME: dict[str, str] = {name: kind for column in COLUMNS for name, kind in column.types.items()}
"""The columns of CSV and frame in their order, with pandas' nullable types: what is not known is <NA>."""
