"""Checks model.py of exported folders where PyTorch and safetensors are installed.

    python tests/pytorch_check.py FOLDER...

Every model.py below the folders must load train.safetensors with strict=True and give the engine's logits on
the golden samples within 1e-5 of their range; with Pillow, preprocess must make what the network takes.
The last line says how many passed; the exit code is 1 where one failed or none was found.
"""

import importlib.util
import pathlib
import sys
import tempfile

import torch
from safetensors.torch import load_file

TOLERANCE = 1e-5


def check(folder):
    """Largest difference, as a share of the logits' range."""
    spec = importlib.util.spec_from_file_location("model", folder / "model.py")
    model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(model)
    network = model.load()
    golden = load_file(folder / "golden.safetensors")
    with torch.inference_mode():
        got = network(golden["pixels"])
    logits = golden["logits"]
    difference = float((got - logits).abs().max() / (logits.max() - logits.min()))
    assert difference <= TOLERANCE, f"logits differ by {difference:.1e} of their range"
    assert torch.equal(got.argmax(1), logits.argmax(1)), "another class wins"
    check_preprocess(model)
    return difference


def check_preprocess(model):
    """Images of the network's own size go through unchanged; others come out in its shape."""
    try:
        from PIL import Image
    except ImportError:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "image.png")
        for size in [(model.SIZE, model.SIZE), (model.SIZE * 3, model.SIZE * 2), (5, 9)]:
            pixels = torch.randint(0, 256, (size[1], size[0], 3), dtype=torch.uint8)
            image = Image.frombytes("RGB", size, bytes(pixels.flatten().tolist()))
            image = image.convert("RGB" if model.CHANNELS == 3 else "L")
            image.save(path)
            got = model.preprocess(path)
            assert got.shape == (1, model.CHANNELS, model.SIZE, model.SIZE), got.shape
            if size == (model.SIZE, model.SIZE):
                values = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
                want = values.view(model.SIZE, model.SIZE, model.CHANNELS).permute(2, 0, 1) / 255
                assert torch.equal(got[0], want), "an image of the right size changes"
        grey = torch.randint(0, 65536, (model.SIZE * model.SIZE,), dtype=torch.int32)
        Image.frombytes("I;16", (model.SIZE, model.SIZE), grey.to(torch.uint16).numpy().tobytes()).save(path)
        want = ((grey + 128) // 257).view(model.SIZE, model.SIZE) / 255
        for channel in model.preprocess(path)[0]:
            assert torch.equal(channel, want), "grey of 16 bits is read otherwise than by the engine"


def main(roots):
    differences, failed = [], 0
    for path in sorted(path for root in roots for path in pathlib.Path(root).rglob("model.py")):
        try:
            differences.append(check(path.parent))
        except Exception as error:
            failed += 1
            print(f"{path.parent}: {error}")
    if differences:
        print(f"torch {torch.__version__}: largest difference {max(differences):.1e} of the range")
    print(f"{len(differences)} passed, {failed} failed")
    return int(failed > 0 or not differences)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
