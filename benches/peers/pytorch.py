"""PyTorch beside `netadapt-bench --peer pytorch`: times what it is asked for, when it is asked.

A line of JSON in, a line of JSON out. The first line is {"gpu": BOOL, "tf32": BOOL};
every further one is {"prepare": WORK} or {"time": NUMBER, "least": SECONDS}. WORK is a training step of
a space's full network, with masks or without, one pass of a convolution, or a pass over images that are decoded.
Spaces of inverted residual blocks only.
"""

import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "hard-swish": nn.Hardswish, None: nn.Identity}
DEVICE = "cpu"


class Masked(nn.Module):
    """Sets the channels of every image that its mask drops to zero: what ordered dropout is without kernels for it."""

    def __init__(self, channels):
        super().__init__()
        self.channels, self.mask = channels, None

    def draw(self, batch):
        kept = 4 * torch.randint(1, self.channels // 4 + 1, (batch, 1))
        self.mask = (torch.arange(self.channels) < kept).float()[:, :, None, None].to(DEVICE)

    def forward(self, x):
        return x if self.mask is None else x * self.mask


def conv(inputs, outputs, kernel, stride=1, groups=1, activation=None):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        ACTIVATIONS[activation](),
        Masked(outputs),
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
    layers = [conv(channels, width, stem["kernel"], stem["stride"], activation=stem["activation"])]
    for stage in space["stages"]:
        assert stage["block"] == "inverted-residual", "only inverted residual blocks are compared"
        for repeat in range(stage["repeat"]):
            stride = stage["stride"] if repeat == 0 else 1
            block = Block(width, stage["expansion"], stage["filters"], max(stage["kernels"]), stride, stage["squeeze"], stage["activation"])
            layers.append(block)
            width = stage["filters"]
    head = space["head"]
    layers.append(conv(width, head["filters"], 1, activation=head["activation"]))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(head["filters"], classes))


def step(space, size, batch, masks):
    model = network(space).to(DEVICE, memory_format=torch.channels_last)
    if masks:
        for module in model.modules():
            if isinstance(module, Masked):
                module.draw(batch)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, nesterov=True, weight_decay=1e-5)
    images = torch.randn(batch, 3, size, size).to(DEVICE, memory_format=torch.channels_last)
    labels = torch.randint(10, (batch,)).to(DEVICE)

    def run():
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()

    return run


def convolution(kernel, stride, size, channels, filters, groups, batch, direction):
    x = torch.rand(batch, channels, size, size).to(DEVICE, memory_format=torch.channels_last)
    weight = torch.rand(filters, channels // groups, kernel, kernel).to(DEVICE, memory_format=torch.channels_last)
    gradient = torch.rand_like(F.conv2d(x, weight, None, stride, kernel // 2, 1, groups))
    if direction == "forward":
        return lambda: F.conv2d(x, weight, None, stride, kernel // 2, 1, groups)
    mask = [direction == "backward_data", direction == "backward_weight", False]
    shape = [stride] * 2, [kernel // 2] * 2, [1] * 2, False, [0] * 2, groups, mask
    return lambda: torch.ops.aten.convolution_backward(gradient, x, weight, None, *shape)


def decoding(root, files, size, batch, workers):
    """A pass of torchvision's ImageFolder and a DataLoader over `files`: pairs of path and label."""
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    square = transforms.Compose([transforms.Resize(size), transforms.CenterCrop(size), transforms.ToTensor()])
    folder = ImageFolder(root, square)
    folder.samples = [tuple(file) for file in files]
    # Its processes are started by the warm-up and stay.
    loader = DataLoader(folder, batch_size=batch, num_workers=workers, persistent_workers=True)
    return lambda: sum(len(labels) for _, labels in loader)


def wait():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def seconds(run, least):
    """Median seconds of a call, over as many as `least` seconds hold, three at least."""
    times, start = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < least:
        before = time.perf_counter()
        run()
        wait()
        times.append(time.perf_counter() - before)
    return statistics.median(times)


def main():
    global DEVICE
    hello = json.loads(sys.stdin.readline())
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = hello["tf32"]
    DEVICE = "cuda" if hello["gpu"] and torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if DEVICE == "cuda" else f"{torch.get_num_threads()} threads"
    print(json.dumps({"peer": f"PyTorch {torch.__version__} on {name}"}), flush=True)
    works = []
    for line in sys.stdin:
        request = json.loads(line)
        if "prepare" in request:
            kind, arguments = request["prepare"]
            works.append({"step": step, "convolution": convolution, "decoding": decoding}[kind](**arguments))
            # Warm-up: allocations, choices of algorithms.
            seconds(works[-1], 0.0)
            answer = {"ready": len(works) - 1}
        else:
            answer = {"seconds": seconds(works[request["time"]], request["least"])}
        print(json.dumps(answer), flush=True)


# Processes that load images import this module.
if __name__ == "__main__":
    main()
