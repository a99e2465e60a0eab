"""How far the values of a graph reach: histograms of its tensors, and thresholds from them."""
