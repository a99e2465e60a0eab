"""Models, data sets and how the ones are trained on the others: a room for each, in this order.

    models         what is trained and exported; `build` constructs any by its name
    losses         what they are trained to
    checkpoints    weights in files, ours and others'; `tilefix import-checkpoint`
    scenes         procedural towns, rendered
    datasets       samples: published sets, pairs files, scenes, orthophotos; `tilefix datasets`
    augmentation   how samples are changed
    batches        samples as tensors
    evaluation     answers, scores, the papers' rows; `tilefix evaluate --checkpoint`
    recipes        one TOML file per experiment, and how they are read
    tasks          a model with its data, loss and validation
    quantization   fine-tuning with the roundings of INT8; `tilefix train --qat`
    trainer        the loop that trains any task; `tilefix train`
    experiments    many runs for one question; `tilefix experiment`

A room imports only itself and those above it; `vision_ops`, which makes torchvision importable,
serves all.
"""
