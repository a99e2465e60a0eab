"""Procedural towns in 3-D, rendered as a map and as drone views with truth.

    town = Town.generate(seed)                      # training.scenes.town
    chart = render_map(town, Appearance(), 0.3)     # training.scenes.render
    view = render_view(town, Appearance(), Camera.over((0, 0), 0.15, 30, 45, 700))
    pair = sample_pair(np.random.default_rng(7))    # training.scenes.pair

The ground is flat. numpy and OpenCV only; the same seeds give the same pixels on the same OpenCV.
Pictures to look at: `python -m training.scenes pair --seed 7 --out pair.png`.
"""
