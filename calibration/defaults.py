"""Numbers that the command shows in its help, before any library of an extra is loaded."""

# Frames that are looked at. Each is run through the network once, so that what its activations
# reach decides: 0.1 s on two cores, and two minutes for all of these.
CANDIDATES = 1024
# Some seconds over one window, of a few located frames each; where a store made before the flight
# holds the windows, the encoder weighs less still.
FRAMES_PER_WINDOW = 30.0
