"""One `bench run`: planned, prepared, carried out, resumed."""
