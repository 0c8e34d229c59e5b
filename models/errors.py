"""Errors of the models room; `harness/errors.py` draws the whole tree."""


class ModelError(Exception):
    """A model cannot be found, read or exported. The message says what, where and what to do."""

    exit_code = 2


class UnknownModel(ModelError):
    """No model of that name; the message lists the nearest names."""


class NoSuchWeights(ModelError):
    """A model has no weights of the kind that was asked for."""


class UnreadableModel(ModelError):
    """A model file (or the TOML beside it) is missing, damaged, or none."""


class UnusableModel(ModelError):
    """A model was read and cannot be run: it contradicts itself, or its inputs, or takes more than it may."""


class UnsupportedModel(ModelError):
    """A model asks for what cannot be had: nothing is wrong with it, and nothing can be measured of it."""


class MissingShape(ModelError):
    """An input has dynamic dimensions and no `--input-shape` resolves them."""


class WrongInput(ModelError):
    """What was given for an input (`--input`, the TOML beside the model) does not fit it, or there is no such input."""


class ExportFailed(ModelError):
    """The exporter gave up, or what it wrote does not compute what PyTorch computes."""


class DamagedArtifact(ModelError):
    """A stored artifact no longer has the hash it is named by."""


class UnknownDataset(ModelError):
    """No data set of that name or at that place; the message says how to get it."""


class UnreadableDataset(ModelError):
    """A data set is damaged, contradicts itself, or is none; the message names the file."""
