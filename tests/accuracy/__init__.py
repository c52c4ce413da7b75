"""How right the reading of laws is, measured on real data: `make accuracy`."""
