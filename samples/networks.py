"""The sample networks, one function each; `NETWORKS` lists them by name."""

from __future__ import annotations

from collections.abc import Callable

from samples.builder import Builder
from samples.digits import digits
from samples.layers import INPUT, Network
from samples.normalize import normalize


def ds_cnn() -> Network:
    """Keyword spotting: depthwise-separable CNN on 49 frames of 10 MFCCs, 12 words (shape of MLPerf Tiny KWS)."""
    net = Builder((49, 10, 1), seed=1)
    x = net.conv(INPUT, 64, (10, 4), stride=2)
    for _ in range(4):
        x = net.conv(net.depthwise(x, (3, 3)), 64, (1, 1))
    net.softmax(net.dense(net.global_average(x), 12))
    return normalize(net.network("ds_cnn"))


def mobilenet_v1() -> Network:
    """Person detection: MobileNet v1, width 0.25, 96×96 RGB, 2 classes (shape of MLPerf Tiny VWW)."""
    net = Builder((96, 96, 3), seed=2)
    x = net.conv(INPUT, 8, (3, 3), stride=2, activation="RELU6")
    blocks = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1)]
    for channels, stride in blocks:
        x = net.conv(net.depthwise(x, (3, 3), stride, "RELU6"), channels, (1, 1), activation="RELU6")
    net.softmax(net.dense(net.global_average(x), 2))
    return normalize(net.network("mobilenet_v1_025_96", calibration=8, low=0.0))


def resnet8() -> Network:
    """Image classification with skips: 32×32 RGB, 10 classes (shape of MLPerf Tiny IC)."""
    net = Builder((32, 32, 3), seed=3)
    x = net.conv(INPUT, 16, (3, 3))
    for channels, stride in [(16, 1), (32, 2), (64, 2)]:
        y = net.conv(x, channels, (3, 3), stride)
        y = net.conv(y, channels, (3, 3), activation="NONE")
        skip = x if stride == 1 else net.conv(x, channels, (1, 1), stride, activation="NONE")
        x = net.add(y, skip)
    net.softmax(net.dense(net.global_average(x), 10))
    return normalize(net.network("resnet8", low=0.0))


def autoencoder() -> Network:
    """Anomaly detection: dense layers with a bottleneck of 8 on 640 spectrogram values (shape of MLPerf Tiny AD)."""
    net = Builder((640,), seed=4)
    x = INPUT
    for units in [128] * 4 + [8] + [128] * 4:
        x = net.dense(x, units, "RELU")
    net.dense(x, 640)
    return normalize(net.network("autoencoder", calibration=32))


def inception() -> Network:
    """Branches joined by CONCATENATION, listed breadth-first: every branch is opened before any is finished.

    Finishing one branch before opening the next keeps fewer wide tensors alive, so a better operator order exists.
    """
    net = Builder((32, 32, 3), seed=5)
    x = net.conv(INPUT, 16, (3, 3))
    for width in (24, 32):
        opened = [net.conv(x, width, (1, 1)) for _ in range(3)]
        pooled = net.max_pool(x, (3, 3), 2, "SAME")
        branches = [
            net.conv(y, width // 2, kernel, stride=2)
            for y, kernel in zip(opened, [(1, 1), (3, 3), (5, 5)], strict=True)
        ]
        x = net.concat(*branches, net.conv(pooled, 12, (1, 1)))
    net.softmax(net.dense(net.global_average(x), 10))
    return normalize(net.network("inception", low=0.0))


def lstm() -> Network:
    """Gesture from 24 steps of 6 motion channels: an LSTM whose state outlives the inference, 4 classes."""
    net = Builder((24, 6), seed=6)
    net.softmax(net.dense(net.flatten(net.lstm(INPUT, 16)), 4))
    return net.network("lstm", calibration=32)


NETWORKS: dict[str, Callable[[], Network]] = {
    "ds_cnn": ds_cnn,
    "mobilenet_v1_025_96": mobilenet_v1,
    "resnet8": resnet8,
    "autoencoder": autoencoder,
    "inception": inception,
    "lstm": lstm,
    "digits": digits,
}
