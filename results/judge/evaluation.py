"""What the accuracy of each case came to: its figures, its loss against fp32, whether it is what it should be. Pure.

Everything is of one run. Two files are held against each other on the very samples that both have answered, which is
far sharper than two accuracies beside each other. The fp32 file of a case is that of the same model on the same data
set, as it was exported, best under the same runtime on the same device; for such a file of a transformed model it is
that of the model as it was before.

A measured accuracy is named after its data set, and after the number of samples where these are not all of it
(`fashion-mnist test, 1000 of 10000`): a part is drawn with its own luck, so what was measured on it is in another class
than what was measured on the whole, as is an evaluation that was broken off. How images are prepared belongs to a model
like its weights, so models that want them otherwise are compared on the same images.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.judge import accuracy, segmentation
from results.judge.answers import Answers, Gathered, gathered, labels_of
from results.judge.check import held_against
from results.records import (
    Accuracy,
    Case,
    DatasetFacts,
    Evaluated,
    Evaluation,
    ModelFacts,
    RunDocument,
    Verdict,
    shortened,
)


@dataclass(frozen=True)
class Outcome:
    """What became of the evaluation of a case: figures, the accuracy for the row, and what is missing in words.

    `verdict` is that of a row which was to be evaluated and nothing else, `parts` are the records behind the figures.
    """

    evaluated: Evaluated | None
    accuracy: Accuracy | None
    missing: str
    verdict: Verdict
    parts: tuple[Evaluation, ...] = ()


def outcomes(document: RunDocument) -> dict[str, Outcome]:
    """case_id -> what became of its evaluation, for every case of the run that was to be evaluated."""
    header = document.header
    datasets = {facts.sha256: facts for facts in header.datasets}
    models = {model.name: model for model in header.models}
    records: dict[tuple[str, str], list[Evaluation]] = defaultdict(list)
    for record in document.evaluations:
        records[record.case_id, record.dataset].append(record)
    groups: dict[tuple[str, str], list[Case]] = defaultdict(list)
    found = {
        case.case_id: Outcome(None, None, case.unevaluated, Verdict.UNSUPPORTED)
        for case in header.cases
        if case.unevaluated
    }
    for case in header.cases:
        if case.dataset is not None and case.unsupported is None:
            facts = models.get(case.model)
            groups[(facts and facts.untransformed) or case.model, case.dataset].append(case)
    for (_, dataset), cases in groups.items():
        images = datasets.get(dataset)
        if images is None:
            found |= {case.case_id: _without("the run does not say what its data set is") for case in cases}
            continue
        own = {case.case_id: records[case.case_id, dataset] for case in cases}
        found |= _of_group(images, models, cases, own, finished=document.finished_at is not None)
    return found


def _of_group(
    facts: DatasetFacts,
    models: Mapping[str, ModelFacts],
    cases: Sequence[Case],
    records: Mapping[str, Sequence[Evaluation]],
    *,
    finished: bool,
) -> dict[str, Outcome]:
    """Of the cases of one model, with those of its transformations, on one data set."""
    try:
        labels = labels_of(facts)
    except ValueError as exc:
        return {case.case_id: _without(f"the data set {facts.title} is damaged: {exc}") for case in cases}
    answers = {case.case_id: gathered(facts, labels, records[case.case_id]) for case in cases}
    result = {}
    for case in cases:
        own = answers[case.case_id]
        missing, verdict = _missing(facts, own, finished=finished)
        if own.answers is None:
            result[case.case_id] = Outcome(None, None, missing, verdict)
            continue
        model = models.get(case.model)
        whole = _fp32(case, model, cases, answers)
        evaluated = _evaluated(own.answers, case, model, None if whole is None else answers[whole.case_id].answers)
        if whole is not None and whole.backend != case.backend:
            words = f"held against the fp32 file under {whole.backend}, as it was not evaluated under {case.backend}"
            evaluated = evaluated.model_copy(update={"notes": (*evaluated.notes, words)})
        parts = own.answers.parts
        result[case.case_id] = Outcome(evaluated, _figure(evaluated, case, parts[-1]), missing, verdict, parts)
    return result


def _without(reason: str) -> Outcome:
    return Outcome(None, None, reason, Verdict.FAILED)


def _missing(facts: DatasetFacts, found: Gathered, *, finished: bool) -> tuple[str, Verdict]:
    """Why not all samples have answers, "" if they have, and the verdict on a row with nothing else to it."""
    if found.has == facts.samples:
        return "", Verdict.VALID
    reasons, verdict = list(found.problems), Verdict.FAILED
    if found.lost is not None and found.lost.outcome != "ok":
        verdict = Verdict(found.lost.outcome)
        reasons.append(found.lost.reason or f"{found.lost.outcome}, no reason given")
    if not reasons:
        reasons.append("the run ended early" if finished else "the run is not finished")
    words = shortened("; ".join(reasons))
    if found.has == 0:
        return words, verdict
    return f"{found.has} of {facts.samples} samples: {words}", Verdict.UNSTABLE


def _fp32(case: Case, model: ModelFacts | None, cases: Sequence[Case], answers: Mapping[str, Gathered]) -> Case | None:
    """The case of the fp32 file that this one is held against; None for such a one of a model as it always was."""
    of = case.model if not _is_exported_fp32(case) else model.untransformed if model is not None else ""
    evaluated = [other for other in cases if other.model == of and answers[other.case_id].answers is not None]
    others = [other for other in evaluated if _is_exported_fp32(other)]
    same = ("device", "backend", "threads", "options")
    return max(others, key=lambda other: [getattr(other, name) == getattr(case, name) for name in same], default=None)


def _is_exported_fp32(case: Case) -> bool:
    return case.precision == "fp32" and case.method == ""


def _evaluated(own: Answers, case: Case, model: ModelFacts | None, whole: Answers | None) -> Evaluated:
    facts = own.facts
    figures = _of_classes(own) if own.confusions is None else _of_pixels(own.facts, own.confusions)
    notes = list(facts.notes)
    if own.unanswered:
        notes.append(
            f"{own.unanswered} of {own.samples} samples have no answer (NaN or infinities), and count as wrong"
        )
    if own.confusions is None and own.confidence is None:
        notes.append("its confidences are no probabilities")
    infer_ns = [part.infer_ns for part in own.parts if part.infer_ns is not None]
    told = len(infer_ns) == len(own.parts) and sum(infer_ns) > 0
    found = Evaluated(
        dataset=facts.name,
        split=facts.split,
        dataset_sha256=facts.sha256,
        truth=_truth(facts),
        metric=facts.metric,
        samples=own.samples,
        total=facts.total,
        images_per_s=own.samples / sum(infer_ns) * 1e9 if told else None,
        notes=tuple(notes),
        **figures,
        **(_against(own, whole) if whole is not None else {}),
    )
    return held_against(found, facts.title, model, case.precision)


def _truth(facts: DatasetFacts) -> str:
    told = json.dumps([facts.classes, facts.total, facts.samples, labels_of(facts).tolist()])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _of_classes(own: Answers) -> dict[str, Any]:
    """Top-1 with Wilson's interval, top-5, the recall of each class, the calibration: in percent, but for the last."""
    right, classes = own.right, len(own.facts.classes)
    low, high = accuracy.wilson(int(right.sum()), own.samples)
    top5 = accuracy.among_best(own.labels, own.top, 5).mean() if classes > 5 else None
    recalls = accuracy.recalls(own.labels, right, classes)
    return {
        "value": _percent(right.mean()),
        "ci95": (_percent(low), _percent(high)),
        "top5": None if top5 is None else _percent(top5),
        "per_class": _by_class(own.facts, recalls),
        "calibration_error": (None if own.confidence is None else accuracy.calibration_error(right, own.confidence)),
    }


def _of_pixels(facts: DatasetFacts, confusions: NDArray[np.uint32]) -> dict[str, Any]:
    """Mean IoU over the classes that are there or were named, and the IoU of each."""
    total = confusions.sum(axis=0, dtype=np.int64)
    low, high = segmentation.interval(confusions)
    return {
        "value": _percent(segmentation.mean_iou(total)),
        "ci95": (_percent(low), _percent(high)),
        "per_class": _by_class(facts, accuracy.overlaps(total)),
    }


def _by_class(facts: DatasetFacts, shares: accuracy.Shares) -> dict[str, float]:
    """Shares by name, in percent; a name that several classes have is followed by the number of the class."""
    count: dict[str, int] = defaultdict(int)
    for name in facts.classes:
        count[name] += 1
    return {
        (name if count[name] == 1 else f"{name} ({number})"): _percent(share)
        for number, (name, share) in enumerate(zip(facts.classes, shares, strict=True))
        if not np.isnan(share)
    }


def _percent(share: Any) -> float:
    return round(100 * float(share), 6)  # 99.99 and not 99.99000000000001


def _against(own: Answers, whole: Answers) -> dict[str, Any]:
    """What it has lost against the fp32 file, on the samples that both have answered."""
    _, mine, theirs = np.intersect1d(own.places, whole.places, assume_unique=True, return_indices=True)
    if not mine.size:
        return {}
    if own.confusions is not None and whole.confusions is not None:
        before, now = (
            segmentation.mean_iou(confusions.sum(axis=0, dtype=np.int64))
            for confusions in (whole.confusions[theirs], own.confusions[mine])
        )
        return {"loss": _percent(before - now)}
    right, reference = own.right[mine], whole.right[theirs]
    loss, (low, high) = accuracy.loss(reference, right)
    return {
        "loss": _percent(loss),
        "loss_ci95": (_percent(low), _percent(high)),
        "agreement": float((own.top[mine, 0] == whole.top[theirs, 0]).mean()),
        "mcnemar_p": accuracy.mcnemar(reference, right),
        "logit_snr_db": _snr(own, whole),
    }


def _snr(own: Answers, whole: Answers) -> float | None:
    """Over the samples whose outputs both have kept; None where there are none, or none that are numbers."""
    _, mine, theirs = np.intersect1d(own.logit_places, whole.logit_places, assume_unique=True, return_indices=True)
    outputs, reference = own.logits[mine], whole.logits[theirs]
    if not mine.size or not (np.isfinite(outputs).all() and np.isfinite(reference).all()):
        return None
    return accuracy.snr_db(reference, outputs)


def _figure(evaluated: Evaluated, case: Case, last: Evaluation) -> Accuracy:
    """The accuracy as it stands among the others of a row."""
    title, samples = f"{evaluated.dataset} {evaluated.split}".rstrip(), evaluated.samples
    version = last.agent.get("backend_version", "")
    runtime = version if version.startswith(case.backend) else f"{case.backend} {version}".rstrip()
    return Accuracy(
        value=evaluated.value,
        metric=evaluated.metric,
        dataset=title if samples == evaluated.total else f"{title}, {samples} of {evaluated.total}",
        kind="measured",
        source=shortened(f"{samples} images on {case.device} under {runtime}"),
        ci95=evaluated.ci95,
        samples=samples,
    )


def of_row(known: tuple[Accuracy, ...], outcome: Outcome | None) -> dict[str, Any]:
    """What a row says of accuracy; what was measured takes the place of what the user says was measured on the same."""
    if outcome is not None and (measured := outcome.accuracy) is not None:
        same = (measured.kind, measured.metric, measured.dataset)
        known = (*(one for one in known if (one.kind, one.metric, one.dataset) != same), measured)
    return {
        "accuracies": known,
        "evaluation": outcome.evaluated if outcome is not None else None,
        "unevaluated": outcome.missing if outcome is not None else "",
    }
