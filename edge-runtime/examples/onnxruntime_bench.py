"""Times onnxruntime on one network: MODEL.onnx IMAGE.f32 OUTPUT.f32 RUNS THREADS; prints the median, the least
and the processor milliseconds."""
import sys
import time

import numpy as np
import onnxruntime

model, image, output, runs, threads = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(threads)
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
info = session.get_inputs()[0]
x = np.fromfile(image, np.float32).reshape([1, 3, *info.shape[2:]])
first = session.run(None, {info.name: x})[0]
first.astype(np.float32).tofile(output)
ms = []
cpu = time.process_time()
for _ in range(int(runs)):
    start = time.perf_counter()
    session.run(None, {info.name: x})
    ms.append((time.perf_counter() - start) * 1e3)
print(sorted(ms)[len(ms) // 2], min(ms), (time.process_time() - cpu) / len(ms) * 1e3)
