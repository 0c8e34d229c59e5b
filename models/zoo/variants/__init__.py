"""One table module per group of families; each exports VARIANTS and is read without PyTorch."""
