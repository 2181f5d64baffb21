"""A network that netadapt found, as a PyTorch module with its weights beside it.

    import model
    network = model.load()
    logits = network(model.preprocess("photo.jpg"))

It takes pixels (N, C, S, S) from 0 to 1 and normalises them itself, as model.onnx does. The names of its
parameters are those of train.safetensors, so it can be trained on. It needs torch and safetensors, and
preprocess needs Pillow.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

# CONSTANTS
ACTIVATIONS = {
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "hard-swish": nn.Hardswish,
    "hard-sigmoid": nn.Hardsigmoid,
}


class Convolution(nn.Conv2d):
    """Convolution with "same" padding and no bias, then batch normalisation and activation."""

    def __init__(self, inputs, filters, kernel=1, stride=1, groups=1, activation="identity"):
        super().__init__(inputs, filters, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(filters)
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x):
        return self.activation(self.norm(super().forward(x)))


class Squeeze(nn.Module):
    """Squeeze-and-excite: every channel times a gate that all channels' means decide."""

    def __init__(self, channels, squeezed):
        super().__init__()
        self.reduce = nn.Linear(channels, squeezed)
        self.gate = nn.Linear(squeezed, channels)

    def forward(self, x):
        gate = F.hardsigmoid(self.gate(F.relu(self.reduce(x.mean((2, 3))))))
        return x * gate[:, :, None, None]


class Layer(nn.Module):
    """A convolution; with a bypass its input's channels stand in for filters that are not there."""

    def __init__(self, inputs, filters, kernel, stride, activation, shortcut=None):
        super().__init__()
        self.conv = Convolution(inputs, filters, kernel, stride, activation=activation)
        self.shortcut = shortcut

    def forward(self, x):
        return join(self.conv(x), x, self.shortcut)


class Block(nn.Module):
    """MobileNetV3's inverted residual block."""

    def __init__(self, inputs, expansion, filters, kernel, stride, activation, squeezed=0, shortcut=None):
        super().__init__()
        self.expand = Convolution(inputs, expansion, activation=activation)
        self.depthwise = Convolution(expansion, expansion, kernel, stride, expansion, activation)
        self.squeeze = Squeeze(expansion, squeezed) if squeezed else nn.Identity()
        self.project = Convolution(expansion, filters)
        self.shortcut = shortcut

    def forward(self, x):
        return join(self.project(self.squeeze(self.depthwise(self.expand(x)))), x, self.shortcut)


def join(y, x, shortcut):
    """The filters y and the layer's input x; a channel that only one side has is that side's."""
    if shortcut == "bypass":
        return torch.cat([y, x[:, y.shape[1] :]], 1)
    if shortcut == "residual":
        width = max(y.shape[1], x.shape[1])
        return widen(y, width) + widen(x, width)
    return y


def widen(x, width):
    """x with zeros up to width channels."""
    return F.pad(x, (0, 0, 0, 0, 0, width - x.shape[1])) if x.shape[1] < width else x


class Network(nn.Module):
    """The network: logits (N, CLASSES) of pixels (N, CHANNELS, SIZE, SIZE) from 0 to 1."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, -1, 1, 1), persistent=False)
        # LAYERS

    def forward(self, pixels):
        x = self.stem((pixels - self.mean) / self.std)
        for block in self.blocks.values():
            x = block(x)
        return self.classifier(self.head(x).mean((2, 3)))


def load(folder=None):
    """The network with its weights, ready to predict; `.train()` makes it ready to be trained on."""
    folder = Path(folder) if folder else Path(__file__).parent
    network = Network()
    network.load_state_dict(load_file(folder / "train.safetensors"), strict=True)
    return network.eval()


def preprocess(path):
    """Pixels (1, CHANNELS, SIZE, SIZE) from 0 to 1: upright, the centred square, resized.

    An image larger than SIZE is resized to STORED, whose middle is taken; a smaller one to SIZE.
    """
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode.startswith("I"):  # Grey of 16 bits, which a conversion to 8 would clip.
        image = image.convert("I").point(lambda value: value * (1 / 257) + 0.5).convert("L")
    image = image.convert("RGB" if CHANNELS == 3 else "L")
    short = min(image.size)
    left, top = (image.width - short) // 2, (image.height - short) // 2
    side = SIZE if short <= SIZE else STORED
    image = image.resize((side, side), Image.Resampling.BILINEAR, (left, top, left + short, top + short))
    margin = (side - SIZE) // 2
    image = image.crop((margin, margin, margin + SIZE, margin + SIZE))
    values = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return values.view(1, SIZE, SIZE, CHANNELS).permute(0, 3, 1, 2).float() / 255
