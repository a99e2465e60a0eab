"""The page that shows what a calibration did: one HTML file without a link outwards."""
