"""Report of the probes in steps 1 and 6; each part is shown only where it was switched on."""
