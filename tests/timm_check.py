"""Checks what an exported network gets on raw files where timm and onnxruntime are installed.

    python tests/timm_check.py EXPORT IMAGES PERCENT

IMAGES has a folder of files for each class, as a data set's `test`. They go through the preprocessing that timm makes
of config.json, less the normalisation, which is inside model.onnx, and through that in onnxruntime. Within 0.3 points
of PERCENT, the accuracy that the report says, the exit code is 0.
"""

import json
import pathlib
import sys

import numpy
import onnxruntime
import timm.data
import torchvision.transforms
from PIL import Image

TOLERANCE = 0.3


def preprocessing(folder):
    """timm's for evaluation, less the normalisation."""
    config = json.loads((folder / "config.json").read_text())["pretrained_cfg"]
    settings = timm.data.resolve_data_config({}, pretrained_cfg=config)
    whole = timm.data.create_transform(**settings, is_training=False)
    steps = [step for step in whole.transforms if not isinstance(step, torchvision.transforms.Normalize)]
    assert len(steps) == len(whole.transforms) - 1, whole
    channels = config["input_size"][0]
    return torchvision.transforms.Compose(steps), "RGB" if channels == 3 else "L"


def main(folder, images, percent):
    folder = pathlib.Path(folder)
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    transform, mode = preprocessing(folder)
    labels = (folder / "labels.txt").read_text().splitlines()
    paths = sorted(path for path in pathlib.Path(images).rglob("*") if path.is_file())
    right = 0
    for path in paths:
        pixels = transform(Image.open(path).convert(mode))[None]
        logits = session.run(["logits"], {"pixels": numpy.asarray(pixels)})[0]
        right += labels[logits[0].argmax()] == path.parent.name
    got = 100 * right / len(paths)
    print(f"timm {timm.__version__}, onnxruntime {onnxruntime.__version__}: {len(paths)} images, {got:.2f} %")
    print(f"{got - float(percent):+.2f} points from {percent} %")
    return int(abs(got - float(percent)) > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
