"""Makes training.safetensors: ten training steps of the network of space.toml in PyTorch.

Run once with PyTorch and safetensors installed: python make.py. The file holds the initial weights, the
batches, every loss, the gradients of the first step and the weights after the last, under the names
and layouts of netadapt's model.safetensors. Nothing in it is random to the reader: seeds are fixed.
"""

import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

CLASSES, CHANNELS, SIZE, BATCH, STEPS = 5, 3, 12, 8, 10


def norm(width):
    return nn.BatchNorm2d(width)


class ConvNorm(nn.Module):
    """A convolution and its normalisation, named as netadapt names them: `weight` and `norm`."""

    def __init__(self, inputs, outputs, kernel, stride=1, groups=1, activation=None):
        super().__init__()
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.weight, self.norm, self.activation = conv.weight, norm(outputs), activation
        self.arguments = dict(stride=stride, padding=kernel // 2, groups=groups)

    def forward(self, x):
        y = self.norm(F.conv2d(x, self.weight, **self.arguments))
        return self.activation(y) if self.activation else y


class LinearBias(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        linear = nn.Linear(inputs, outputs)
        self.weight, self.bias = linear.weight, linear.bias

    def forward(self, x):
        return F.linear(x, self.weight, self.bias)


class Squeeze(nn.Module):
    def __init__(self, width, squeezed):
        super().__init__()
        self.reduce, self.gate = LinearBias(width, squeezed), LinearBias(squeezed, width)

    def forward(self, x):
        gate = F.hardsigmoid(self.gate(F.relu(self.reduce(x.mean((2, 3))))))
        return x * gate[:, :, None, None]


class Block(nn.Module):
    def __init__(self, inputs, expansion, outputs, kernel, stride, squeeze, activation):
        super().__init__()
        self.expand = ConvNorm(inputs, expansion, 1, activation=activation)
        self.depthwise = ConvNorm(expansion, expansion, kernel, stride, expansion, activation)
        self.squeeze = Squeeze(expansion, squeeze) if squeeze else None
        self.project = ConvNorm(expansion, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        y = self.depthwise(self.expand(x))
        if self.squeeze:
            y = self.squeeze(y)
        y = self.project(y)
        return x + y if self.residual else y


class Plain(nn.Module):
    def __init__(self, *arguments, **keywords):
        super().__init__()
        self.conv = ConvNorm(*arguments, **keywords)

    def forward(self, x):
        return self.conv(x)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = Plain(CHANNELS, 8, 3, 2, activation=F.hardswish)
        self.blocks = nn.ModuleList(
            [
                Block(8, 16, 8, 5, 1, 4, F.hardswish),
                Block(8, 20, 12, 3, 2, 0, F.relu),
                Plain(12, 12, 3, activation=F.relu),
            ]
        )
        self.head = Plain(12, 16, 1, activation=F.hardswish)
        self.classifier = LinearBias(16, CLASSES)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.classifier(self.head(x).mean((2, 3)))


def main():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    network = Network()
    images = torch.randn(STEPS, BATCH, CHANNELS, SIZE, SIZE).float().double()
    labels = torch.randint(CLASSES, (STEPS, BATCH))
    # Patterns to learn, so that the losses fall: each class brightens another corner.
    for step in range(STEPS):
        for n, label in enumerate(labels[step]):
            images[step, n, :, label : label + 4, label : label + 4] += 1.5
    images = images.float().double()
    with torch.no_grad():
        for value in network.parameters():
            value.copy_(value.float().double())
    out = {f"initial.{k}": v.float().clone() for k, v in network.state_dict().items() if "tracked" not in k}
    decayed = [v for k, v in network.named_parameters() if k.endswith("weight") and "norm" not in k]
    plain = [v for k, v in network.named_parameters() if not (k.endswith("weight") and "norm" not in k)]
    groups = [{"params": decayed, "weight_decay": 1e-3}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True)
    losses = []
    for step in range(STEPS):
        loss = F.cross_entropy(network(images[step]), labels[step], label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            out |= {f"gradient.{k}": v.grad.float().clone() for k, v in network.named_parameters()}
        nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimizer.step()
        losses.append(loss.item())
    out |= {f"final.{k}": v.float().clone() for k, v in network.state_dict().items() if "tracked" not in k}
    out["images"] = images.permute(0, 1, 3, 4, 2).float().contiguous()
    out["labels"] = labels.int()
    out["losses"] = torch.tensor(losses).float()
    print(losses)
    metadata = {"made_by": f"make.py, PyTorch {torch.__version__}, float64"}
    save_file(out, str(pathlib.Path(__file__).with_name("training.safetensors")), metadata)


main()
