"""What is measured on a GPU: the acceptance of the kernels, and the README's table of it."""
