"""Times an ONNX file in onnxruntime on the processor: python onnxruntime_latency.py MODEL BATCH SECONDS

Prints one JSON object: the runtime with its version and threads, median and 90th percentile in milliseconds.
"""

import json
import os
import sys
import time

import numpy
import onnxruntime


def main(path, batch, seconds):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    pixels = session.get_inputs()[0]
    shape = [batch, *pixels.shape[1:]]
    images = {pixels.name: numpy.random.default_rng(0).random(shape, dtype=numpy.float32)}
    times, end = [], time.perf_counter() + 1.2 * seconds
    while time.perf_counter() < end or len(times) < 12:
        start = time.perf_counter()
        session.run(None, images)
        times.append((time.perf_counter() - start) * 1e3)
    # The first sixth warms it up.
    times = sorted(times[len(times) // 6 :])
    runtime = f"onnxruntime {onnxruntime.__version__} on {os.cpu_count()} processor cores"
    median, p90 = times[len(times) // 2], times[len(times) * 9 // 10]
    print(json.dumps({"runtime": runtime, "median_ms": median, "p90_ms": p90, "rounds": len(times)}))


main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
