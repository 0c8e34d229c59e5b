"""Training networks on small data sets: one recipe, seeded and resumable, and the checkpoints it leaves."""
