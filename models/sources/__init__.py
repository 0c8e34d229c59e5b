"""Where a model can come from: the zoo, a library, a file. `selection` finds what was typed; each is a `Source`."""
