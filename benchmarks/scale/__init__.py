"""What a large area costs: windows, hours, bytes; measured on a sample, extrapolated."""
