"""What is another than before, and what a device lets one find of that: comparisons, their power, the control."""
