"""NASNet-A: cells searched on small images by reinforcement learning, stacked for large ones.

Zoph et al. 2017, "Learning Transferable Architectures for Scalable Image Recognition", arXiv:1707.07012, Figure 4.
"""

from models.zoo.cells import CellNetwork, CellTable

NORMAL = CellTable(
    pairs=(
        ("sep5", 0, "sep3", 1),
        ("sep5", 1, "sep3", 1),
        ("avg3", 0, "none", 1),
        ("avg3", 1, "avg3", 1),
        ("sep3", 0, "none", 0),
    ),
    joined=(1, 2, 3, 4, 5, 6),
)
REDUCTION = CellTable(
    pairs=(
        ("sep5", 0, "sep7", 1),
        ("max3", 0, "sep7", 1),
        ("avg3", 0, "sep5", 1),
        ("none", 3, "avg3", 2),
        ("sep3", 2, "max3", 0),
    ),
    joined=(3, 4, 5, 6),
)


def nasnet_a(
    cells: int = 12, filters: int = 44, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.5
) -> CellNetwork:
    """With 12 normal cells and 44 filters the mobile network, 4 @ 1056 in the paper (24 times the filters)."""
    return CellNetwork(NORMAL, REDUCTION, cells, filters, 32, num_classes, in_chans, dropout)
