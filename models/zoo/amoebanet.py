"""AmoebaNet: cells searched by evolution.

Real et al. 2018, "Regularized Evolution for Image Classifier Architecture Search", arXiv:1802.01548, Figure 5 (A)
and the appendix (C); order and concatenation of the states follow the authors' release (tensorflow/tpu,
models/official/amoeba_net).
"""

from models.zoo.cells import CellNetwork, CellTable

A_NORMAL = CellTable(
    pairs=(
        ("avg3", 0, "max3", 0),
        ("sep3", 1, "none", 1),
        ("none", 0, "avg3", 1),
        ("sep3", 0, "sep5", 2),
        ("avg3", 5, "sep3", 0),
    ),
    joined=(1, 3, 4, 6),
)
A_REDUCTION = CellTable(
    pairs=(
        ("sep3", 1, "avg3", 0),
        ("max3", 0, "sep7", 2),
        ("max3", 1, "max3", 0),
        ("sep3", 4, "1x7_7x1", 0),
        ("avg3", 1, "sep7", 0),
    ),
    joined=(2, 3, 4, 5, 6),
)
C_NORMAL = CellTable(
    pairs=(
        ("avg3", 0, "sep3", 0),
        ("none", 0, "sep3", 0),
        ("avg3", 2, "sep3", 1),
        ("none", 0, "sep3", 1),
        ("avg3", 3, "sep3", 0),
    ),
    joined=(1, 2, 4, 5, 6),
)
C_REDUCTION = CellTable(
    pairs=(
        ("max3", 0, "max3", 0),
        ("sep7", 2, "sep3", 0),
        ("sep7", 0, "max3", 1),
        ("sep5", 4, "sep5", 4),
        ("max3", 1, "sep3", 1),
    ),
    joined=(0, 2, 3, 4, 5, 6),
)


def amoebanet_a(
    cells: int = 12, filters: int = 50, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.5
) -> CellNetwork:
    """`cells` is 3 N in the paper's notation, `filters` its F."""
    return CellNetwork(A_NORMAL, A_REDUCTION, cells, filters, 32, num_classes, in_chans, dropout)


def amoebanet_c(
    cells: int = 12, filters: int = 50, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.5
) -> CellNetwork:
    """`cells` is 3 N in the paper's notation, `filters` its F."""
    return CellNetwork(C_NORMAL, C_REDUCTION, cells, filters, 32, num_classes, in_chans, dropout)
