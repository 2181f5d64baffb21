"""A training step of a space's full network in PyTorch, beside `netadapt-bench step`, in turn.

    python benches/peers/pytorch_step.py target/release/netadapt-bench [SPACE] [--threads 2] [--rounds 3]

Prints the median step of each and the median ratio of neighbouring rounds. Needs PyTorch; the product
never does. Spaces of inverted residual blocks only.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import time
import tomllib

import torch
import torch.nn.functional as F
from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "hard-swish": nn.Hardswish, None: nn.Identity}


def conv(inputs, outputs, kernel, stride=1, groups=1, activation=None):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        ACTIVATIONS[activation](),
    )


class Squeeze(nn.Module):
    def __init__(self, width):
        super().__init__()
        squeezed = -(-(width // 4) // 4) * 4
        self.reduce, self.gate = nn.Linear(width, squeezed), nn.Linear(squeezed, width)

    def forward(self, x):
        gate = F.hardsigmoid(self.gate(F.relu(self.reduce(x.mean((2, 3))))))
        return x * gate[:, :, None, None]


class Block(nn.Module):
    def __init__(self, inputs, expansion, outputs, kernel, stride, squeeze, activation):
        super().__init__()
        layers = [
            conv(inputs, expansion, 1, activation=activation),
            conv(expansion, expansion, kernel, stride, expansion, activation),
        ]
        layers += [Squeeze(expansion)] if squeeze else []
        self.layers = nn.Sequential(*layers, conv(expansion, outputs, 1))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.layers(x) if self.residual else self.layers(x)


def network(space, classes=10, channels=3):
    stem, width = space["stem"], space["stem"]["filters"]
    layers = [conv(channels, width, stem.get("kernel", 3), stem.get("stride", 1), activation=stem.get("activation", "relu"))]
    for stage in space["stages"]:
        assert stage["block"] == "inverted-residual", "only inverted residual blocks are compared"
        for repeat in range(stage.get("repeat", 1)):
            stride = stage.get("stride", 1) if repeat == 0 else 1
            kernel = max(stage.get("kernels", [3]))
            activation = stage.get("activation", "relu")
            layers.append(Block(width, stage["expansion"], stage["filters"], kernel, stride, stage.get("squeeze"), activation))
            width = stage["filters"]
    head = space["head"]
    layers.append(conv(width, head["filters"], 1, activation=head.get("activation", "relu")))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(head["filters"], classes))


def step_ms(space, seconds=4.0):
    """Median milliseconds of a step, over as many as fit, after a warm-up."""
    torch.manual_seed(0)
    model = network(space).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, nesterov=True, weight_decay=1e-5)
    batch, size = space["train"]["batch"], space["size"]
    images = torch.randn(batch, 3, size, size).to(memory_format=torch.channels_last)
    labels = torch.randint(10, (batch,))
    times, start = [], time.perf_counter()
    while time.perf_counter() - start < seconds:
        before = time.perf_counter()
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        times.append(1e3 * (time.perf_counter() - before))
    return statistics.median(times[len(times) // 4 :])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench")
    parser.add_argument("space", nargs="?", default="tiny")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    path = pathlib.Path(__file__).parents[2] / "assets" / "spaces" / f"{arguments.space}.toml"
    space = tomllib.loads(path.read_text())
    ratios = []
    for _ in range(arguments.rounds):
        peer = step_ms(space)
        command = [arguments.bench, "step", arguments.space, "--rounds", "7", "--json"]
        ours = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        full, drawn = ours["full_ms"]["median"], ours["ratio"]["median"]
        ratios.append(full / peer)
        print(f"PyTorch {torch.__version__} {peer:.1f} ms, netadapt {full:.1f} ms ({drawn:.2f} of it with uniform widths), ratio {full / peer:.2f}")
    print(f"{ours['adapter']['name']}: median ratio {statistics.median(ratios):.2f}")


main()
