"""Stand-in for training on MNIST: data of its shape are made here, a small net is trained one epoch long and tested.

rows x 784 images of ten random prototypes and noise, standardised by way of a float64 copy whose float32 result is made while
the first array still lives: 4 + 8 + 4 bytes a pixel, the waste that every beginner writes. 784-32-10, ReLU, softmax,
batches of 100, one epoch over six sevenths of the rows; the accuracy on the rest is 1.0 when all went well.
"""
import time

import numpy as np

ROWS, PIXELS, HIDDEN, CLASSES, BATCH, RATE = 68000, 784, 32, 10, 100, 0.1


def made(rows, rng):
    prototypes = rng.random((CLASSES, PIXELS), dtype=np.float32)
    labels = rng.integers(0, CLASSES, rows)
    images = rng.random((rows, PIXELS), dtype=np.float32)
    for begin in range(0, rows, 1000):  # block by block: no second array of this size
        images[begin:begin + 1000] += prototypes[labels[begin:begin + 1000]]
    wide = images.astype(np.float64)
    for begin in range(0, rows, 1000):
        block = wide[begin:begin + 1000]
        block -= 1.0
        block /= 0.41
    standard = wide.astype(np.float32)
    del wide, images
    return standard, labels


def train(images, labels, epochs, rng):
    w1 = rng.standard_normal((PIXELS, HIDDEN), dtype=np.float32) * 0.05
    w2 = rng.standard_normal((HIDDEN, CLASSES), dtype=np.float32) * 0.05
    b1, b2 = np.zeros(HIDDEN, np.float32), np.zeros(CLASSES, np.float32)
    for _ in range(epochs):
        for begin in range(0, len(images) - BATCH + 1, BATCH):
            x, y = images[begin:begin + BATCH], labels[begin:begin + BATCH]
            hidden = np.maximum(x @ w1 + b1, 0)
            scores = hidden @ w2 + b2
            scores -= scores.max(axis=1, keepdims=True)
            np.exp(scores, out=scores)
            scores /= scores.sum(axis=1, keepdims=True)
            scores[np.arange(BATCH), y] -= 1
            scores /= BATCH
            back = (scores @ w2.T) * (hidden > 0)
            w2 -= RATE * (hidden.T @ scores)
            b2 -= RATE * scores.sum(axis=0)
            w1 -= RATE * (x.T @ back)
            b1 -= RATE * back.sum(axis=0)
    return w1, b1, w2, b2


def main(args):
    rows, epochs = int(args.get("rows", ROWS)), int(args.get("epochs", 1))
    rng = np.random.default_rng(1)
    images, labels = made(rows, rng)
    cut = rows * 6 // 7
    begin = time.monotonic()
    w1, b1, w2, b2 = train(images[:cut], labels[:cut], epochs, rng)
    seconds = time.monotonic() - begin
    found = (np.maximum(images[cut:] @ w1 + b1, 0) @ w2 + b2).argmax(axis=1)
    return {"accuracy": float((found == labels[cut:]).mean()), "training_s": round(seconds, 3), "rows": rows}
