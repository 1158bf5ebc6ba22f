#!/usr/bin/env python3
"""How many times faster Fathom's int8 network is than ncnn's fp32 one on the same Vulkan device.

    python3 -m venv .venv && .venv/bin/pip install -r tests/peers/requirements.txt
    cargo build --release --workspace --bin fathom
    .venv/bin/python tests/peers/ncnn_ratio.py NETWORK.onnx NETWORK.int8.onnx [--output NAME] [--adapter llvmpipe]

Without files: the embedded network. Both take turns, so that what else the machine does falls on both; the least time of all
rounds counts. Fathom's time is a whole frame (upload, preprocessing, network, depth read back), of the network's own size or of
--frame, which is then resampled too; ncnn's is the network alone, with its input ready in memory. The Vulkan loader's VK_DRIVER_FILES picks the device for both where there are several.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ncnn
import numpy as np
import onnx

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "fixtures" / "models"


class Ncnn:
    """An fp32 network, converted by pnnx and loaded on Vulkan device 0."""

    def __init__(self, model, output, folder):
        graph = onnx.load(model).graph
        image, output = graph.input[0], output or graph.output[0].name
        self.shape = [dim.dim_value for dim in image.type.tensor_type.shape.dim]
        onnx.utils.extract_model(str(model), f"{folder}/net.onnx", [image.name], [output])
        pnnx = Path(sys.executable).with_name("pnnx")
        shape = "inputshape=[" + ",".join(map(str, self.shape)) + "]"
        subprocess.run([pnnx, "net.onnx", shape, "fp16=0"], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.net = ncnn.Net()
        self.net.opt.use_vulkan_compute = True
        self.net.opt.use_fp16_packed = self.net.opt.use_fp16_storage = self.net.opt.use_fp16_arithmetic = False
        assert self.net.load_param(f"{folder}/net.ncnn.param") == 0 and self.net.load_model(f"{folder}/net.ncnn.bin") == 0
        self.image = np.random.default_rng(0).random(self.shape[1:], np.float32)
        self.device = ncnn.get_gpu_info(0).device_name()

    def least_ms(self, runs):
        times = []
        for _ in range(runs + 1):
            start = time.perf_counter()
            extractor = self.net.create_extractor()
            extractor.input(self.net.input_names()[0], ncnn.Mat(self.image))
            result = np.array(extractor.extract(self.net.output_names()[0])[1])
            times.append((time.perf_counter() - start) * 1e3)
            assert np.isfinite(result).all()
        return min(times[1:])


def picture(width, height, path):
    """A picture as a file that Fathom reads."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    path.write_bytes(b"P6\n%d %d\n255\n" % (width, height) + pixels.tobytes())
    return path


def fathom(program, model, image, card, adapter, runs):
    """Least milliseconds of a frame up to the read-back depth, and the device."""
    command = [program, "bench", model, "--image", image, *card, "--adapter", adapter, "--runs", str(runs), "--json"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert report["backend"] == "gpu", report["reason"]
    return report["ms"]["preprocess"] + report["ms"]["network"], report["adapter"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("fp32", nargs="?", default=MODELS / "fathom-small.onnx", type=Path)
    parser.add_argument("int8", nargs="?", default=MODELS / "fathom-small.int8.onnx", type=Path)
    parser.add_argument("--output", help="the fp32 file's depth output, if it is not the first")
    parser.add_argument("--card", default="", help="options for fathom where the int8 file holds no card, in one argument")
    parser.add_argument("--frame", help="width and height of Fathom's frames, as 640x480; the network's own if left out")
    parser.add_argument("--adapter", default="llvmpipe", help="part of the device's name")
    parser.add_argument("--program", default=Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "fathom")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3, help="of each in a round")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        peer = Ncnn(args.fp32, args.output, folder)
        width, height = map(int, args.frame.split("x")) if args.frame else peer.shape[:1:-1]
        image = picture(width, height, Path(folder) / "frame.ppm")
        ours, theirs = [], []
        for turn in range(args.rounds):
            ms, device = fathom(args.program, args.int8, image, args.card.split(), args.adapter, args.runs)
            ours.append(ms)
            theirs.append(peer.least_ms(args.runs))
            print(f"round {turn + 1}: fathom {ours[-1]:.1f} ms, ncnn {theirs[-1]:.1f} ms, ratio {theirs[-1] / ours[-1]:.2f}", flush=True)
        peer.net.clear()
    print(f"fathom on {device}, ncnn {ncnn.__version__} on {peer.device}")
    print(f"least: fathom int8 {min(ours):.1f} ms, ncnn fp32 {min(theirs):.1f} ms, ratio {min(theirs) / min(ours):.2f}")


if __name__ == "__main__":
    main()
