"""The experiments that the papers and their critics ask for, one file each."""
