"""Where two runtimes part: copies of a model that hand out their inner tensors, and the comparison of these."""
