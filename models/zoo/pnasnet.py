"""PNASNet-5: one cell, searched progressively from simple to complex with a predictor of accuracy.

Liu et al. 2017, "Progressive Neural Architecture Search", arXiv:1712.00559, Figure 1; as in the authors' release
(TF-slim, nets/nasnet/pnasnet.py) the same cell takes a stride of 2 where the size halves.
"""

from models.zoo.cells import CellNetwork, CellTable

CELL = CellTable(
    pairs=(
        ("sep5", 1, "max3", 1),
        ("sep7", 0, "max3", 0),
        ("sep5", 0, "sep3", 0),
        ("sep3", 4, "max3", 0),
        ("sep3", 1, "none", 0),
    ),
    joined=(2, 3, 4, 5, 6),
)


def pnasnet5(
    cells: int = 9,
    filters: int = 54,
    stem: int = 32,
    num_classes: int = 1000,
    in_chans: int = 3,
    dropout: float = 0.5,
) -> CellNetwork:
    """With 9 cells (N = 3) and 54 filters the mobile network, with 12, 216 and a stem of 96 the large one."""
    return CellNetwork(CELL, None, cells, filters, stem, num_classes, in_chans, dropout)
