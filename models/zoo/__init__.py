"""The zoo: one file per family of networks, and `catalog` with the table of their variants."""
