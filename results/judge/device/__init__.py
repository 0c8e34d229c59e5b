"""What records say of the device itself while it measured: its noise, its heat, the state it was in."""
