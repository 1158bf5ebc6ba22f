#!/usr/bin/env python3
"""Runs an ONNX file in onnxruntime on images, for the tests that hold Fathom to it.

    run_onnxruntime.py all|none MODEL.onnx OUT.f32 IMAGE.f32...

`all` or `none` of onnxruntime's graph optimisations are on. Each IMAGE holds the network's input as little-endian floats. OUT gets all outputs of the first image, then of the second,
and so on; stdout says their shapes, one JSON object.
"""

import json
import sys

import numpy as np
import onnxruntime


LEVELS = {
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "none": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}


def main(level, model, out, *images):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.graph_optimization_level = LEVELS[level]
    # Without VNNI its byte products saturate in 16 bits unless it is told to be exact.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    image = session.get_inputs()[0]
    shapes = None
    with open(out, "wb") as file:
        for path in images:
            values = np.fromfile(path, "<f4").reshape(image.shape)
            outputs = session.run(None, {image.name: values})
            shapes = [list(o.shape) for o in outputs]
            for output in outputs:
                file.write(np.ascontiguousarray(output, "<f4").tobytes())
    print(json.dumps({"shapes": shapes, "version": onnxruntime.__version__}))


main(*sys.argv[1:])
