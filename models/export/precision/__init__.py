"""Files in other precisions, made from an fp32 file: one file a recipe, and what they share. Run in a worker."""
