"""Checks exported folders with ONNX's own tools and onnxruntime.

    python tests/onnx_check.py FOLDER...

Every model.onnx below the folders must pass onnx.checker in full and strict shape inference, and give, in
onnxruntime, the engine's logits on the golden samples: the same class, and within 1e-4 of the logits' range; with
weights in f16, which may decide a close call, within 1e-2. The last line says how many passed; the exit code is 1 where one failed or none was found.
"""

import ast
import collections
import json
import pathlib
import sys

import numpy
import onnx
import onnxruntime

TOLERANCE = 1e-4
HALF_TOLERANCE = 1e-2


def tensors(path):
    """The f32 tensors of a safetensors file by name."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        found[name] = numpy.frombuffer(data[start + begin : start + end], "<f4").reshape(entry["shape"])
    return found


def check(folder):
    """Opset and largest difference, as a share of the logits' range."""
    model = onnx.load(folder / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    sizes = [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in inferred.graph.value_info]
    assert len(sizes) >= len(model.graph.node) - 1, "a value has no inferred shape"
    assert all(all(size) for size in sizes), "a dimension was not inferred"
    names = [node.name for node in model.graph.node]
    assert all(names) and len(set(names)) == len(names), "nodes have names of their own"
    assert [node.op_type for node in model.graph.node[:2]] == ["Sub", "Div"], "normalisation comes first"
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    labels = (folder / "labels.txt").read_text().splitlines()
    assert json.loads(metadata["classes"]) == labels, "the classes are those of labels.txt"
    config = json.loads((folder / "config.json").read_text())
    pixels, logits = (tensors(folder / "golden.safetensors")[name] for name in ("pixels", "logits"))
    assert list(pixels.shape[1:]) == config["pretrained_cfg"]["input_size"]
    for key in ("mean", "std"):
        assert json.loads(metadata[f"{key}_inside"]) == config["pretrained_cfg"][key]
    if (folder / "model.py").exists():
        ast.parse((folder / "model.py").read_text())

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    batch = session.get_inputs()[0].shape[0]
    parts = numpy.split(pixels, len(pixels) // batch) if isinstance(batch, int) else [pixels]
    got = numpy.concatenate([session.run(["logits"], {"pixels": part})[0] for part in parts])
    difference = numpy.abs(got - logits).max() / (logits.max() - logits.min())
    half = any(constant.data_type == onnx.TensorProto.FLOAT16 for constant in model.graph.initializer)
    assert difference <= (HALF_TOLERANCE if half else TOLERANCE), f"logits differ by {difference:.1e} of their range"
    assert half or (got.argmax(1) == logits.argmax(1)).all(), "another class wins"
    return f"opset {model.opset_import[0].version}{', weights in f16' if half else ''}", float(difference)


def main(roots):
    largest, failed = collections.defaultdict(list), 0
    for path in sorted(path for root in roots for path in pathlib.Path(root).rglob("model.onnx")):
        try:
            kind, difference = check(path.parent)
            largest[kind].append(difference)
        except Exception as error:
            failed += 1
            print(f"{path.parent}: {error}")
    for kind, differences in sorted(largest.items()):
        print(f"{kind}: {len(differences)} networks, largest difference {max(differences):.1e} of the range")
    passed = sum(map(len, largest.values()))
    print(f"{passed} passed, {failed} failed")
    return int(failed > 0 or passed == 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
