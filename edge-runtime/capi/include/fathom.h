/*
 * Fathom: one camera as a depth sensor. C interface of libfathom.
 *
 * Every function that can fail returns a FathomStatus; FATHOM_STATUS_OK is 0. Outputs are written only on success.
 * fathom_last_error() gives the text of this thread's last failure. A handle may be used by one thread at a time.
 *
 * Generated from the Rust sources by cbindgen; a test compares the two.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef FATHOM_H
#define FATHOM_H

#include <stddef.h>
#include <stdint.h>

/**
 * What a call came to. 0 is success.
 */
typedef enum FathomStatus {
    /**
     * Done; outputs are written.
     */
    FATHOM_STATUS_OK = 0,
    /**
     * A required pointer is null.
     */
    FATHOM_STATUS_NULL_ARGUMENT = 1,
    /**
     * A width or height is zero, too large, or odd where the pixel format needs it even.
     */
    FATHOM_STATUS_BAD_SIZE = 2,
    /**
     * A row stride is smaller than a row.
     */
    FATHOM_STATUS_BAD_STRIDE = 3,
    /**
     * A buffer is shorter than its description, or an output buffer too small.
     */
    FATHOM_STATUS_BUFFER_TOO_SMALL = 4,
    /**
     * An enumeration holds a number that has no meaning, or a text is not UTF-8.
     */
    FATHOM_STATUS_BAD_ARGUMENT = 5,
    /**
     * The network's file or card is damaged, incomplete or beyond a limit.
     */
    FATHOM_STATUS_BAD_MODEL = 6,
    /**
     * The network uses something that is not supported.
     */
    FATHOM_STATUS_UNSUPPORTED_MODEL = 7,
    /**
     * The backend or adapter asked for is not on this machine.
     */
    FATHOM_STATUS_NO_DEVICE = 8,
    /**
     * The network could not be run.
     */
    FATHOM_STATUS_FAILED = 9,
    /**
     * A defect in Fathom: a panic was caught. Destroy the handle; please report it.
     */
    FATHOM_STATUS_PANIC = 10,
} FathomStatus;

/**
 * How pixels lie in memory.
 */
typedef enum FathomPixelFormat {
    /**
     * 3 bytes a pixel: red, green, blue.
     */
    FATHOM_PIXEL_FORMAT_RGB8 = 0,
    /**
     * 3 bytes a pixel: blue, green, red.
     */
    FATHOM_PIXEL_FORMAT_BGR8 = 1,
    /**
     * 4 bytes a pixel; the fourth is ignored.
     */
    FATHOM_PIXEL_FORMAT_RGBA8 = 2,
    /**
     * 1 byte a pixel.
     */
    FATHOM_PIXEL_FORMAT_GRAY8 = 3,
    /**
     * A luma plane, then interleaved U, V at half resolution, same stride. Even width and height.
     */
    FATHOM_PIXEL_FORMAT_NV12 = 4,
    /**
     * Y0 U Y1 V. Even width.
     */
    FATHOM_PIXEL_FORMAT_YUYV = 5,
} FathomPixelFormat;

/**
 * Where the network runs.
 */
typedef enum FathomBackend {
    /**
     * A hardware GPU if there is one, else the CPU; `fathom_engine_backend` says which.
     */
    FATHOM_BACKEND_AUTO = 0,
    /**
     * A GPU, or an error. A software device only if `adapter` names it.
     */
    FATHOM_BACKEND_GPU = 1,
    /**
     * The CPU.
     */
    FATHOM_BACKEND_CPU = 2,
} FathomBackend;

/**
 * What the numbers of a network mean. Relative output is no distance: it has no unit, and an unknown shift and scale.
 */
typedef enum FathomOutputKind {
    /**
     * `1 / depth = scale (x + shift)`: larger is nearer.
     */
    FATHOM_OUTPUT_KIND_RELATIVE_INVERSE_DEPTH = 0,
    /**
     * `depth = scale (x + shift)`: larger is farther.
     */
    FATHOM_OUTPUT_KIND_RELATIVE_DEPTH = 1,
    /**
     * Metres, as the network itself claims.
     */
    FATHOM_OUTPUT_KIND_METRIC_DEPTH = 2,
} FathomOutputKind;

/**
 * A network made ready to run. Opaque.
 */
typedef struct FathomEngine FathomEngine;

/**
 * One image, borrowed for a call. Rows from top to bottom.
 */
typedef struct FathomFrame {
    /**
     * The first byte of the top row.
     */
    const uint8_t *data;
    /**
     * Bytes that may be read at `data`.
     */
    size_t length;
    /**
     * Bytes from one row to the next; 0 means rows without padding.
     */
    size_t stride_bytes;
    /**
     * Pixels in a row.
     */
    uint32_t width;
    /**
     * Rows.
     */
    uint32_t height;
    /**
     * A `FathomPixelFormat`.
     */
    uint32_t format;
} FathomFrame;

/**
 * What `fathom_engine_infer` says beside the map.
 */
typedef struct FathomInference {
    /**
     * A `FathomOutputKind`.
     */
    uint32_t kind;
    /**
     * Width of the map: the frame's.
     */
    uint32_t width;
    /**
     * Height of the map: the frame's.
     */
    uint32_t height;
    /**
     * Horizontal field of view as the network sees it, radians; 0 if it has no such output.
     */
    float fov_rad;
    /**
     * One sigma of ln(focal length); 0 if the network has no such output.
     */
    float ln_focal_sigma;
} FathomInference;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The meaning of a status: a static text, never null, not to be freed. Thread-safe.
 */
const char *fathom_status_text(uint32_t status);

/**
 * Version of the library and of this interface, `major << 16 | minor << 8 | patch`. Thread-safe.
 */
uint32_t fathom_version(void);

/**
 * Copies the text of this thread's last error, ended by a zero byte, into `buffer`; cut where `capacity` bytes end.
 *
 * Returns the length of the whole text without the zero byte, so that a second call can bring a larger buffer.
 * `buffer` may be null if `capacity` is 0. Thread-safe.
 *
 * # Safety
 * `buffer` is null with `capacity` 0, or valid for `capacity` bytes.
 */
size_t fathom_last_error(char *buffer, size_t capacity);

/**
 * Makes a network ready to run.
 *
 * `onnx`: `onnx_length` bytes of an ONNX file; borrowed for the call.
 * `card_toml`: the model card as TOML text, ended by a zero byte; null if the file carries its own.
 * `backend`: a `FathomBackend`.
 * `adapter`: part of the name of the device to use, ended by a zero byte; null for any hardware device.
 * `engine`: receives the handle, to be given to `fathom_engine_destroy`; written only on `FATHOM_STATUS_OK`.
 * Thread-safe.
 *
 * # Safety
 * Each pointer is null or valid as said above.
 */
enum FathomStatus fathom_engine_create(const uint8_t *onnx,
                                       size_t onnx_length,
                                       const char *card_toml,
                                       uint32_t backend,
                                       const char *adapter,
                                       struct FathomEngine **engine);

/**
 * Runs the network on one frame.
 *
 * `frame`: the image; borrowed for the call.
 * `relative`: room for `capacity` floats; receives `frame->width * frame->height` values of the network, row by row, every
 * one finite. They are relative: `info->kind` says how, and no unit is implied.
 * `info`: receives what else there is to say; may be null.
 * Both are written only on `FATHOM_STATUS_OK`. Not thread-safe for one engine.
 *
 * # Safety
 * `engine` comes from `fathom_engine_create` and is not destroyed; the other pointers are null or valid as said above and do
 * not overlap.
 */
enum FathomStatus fathom_engine_infer(struct FathomEngine *engine,
                                      const struct FathomFrame *frame,
                                      float *relative,
                                      size_t capacity,
                                      struct FathomInference *info);

/**
 * Copies a line that says which backend and device the engine runs on, ended by a zero byte, into `buffer`.
 *
 * Returns the length of the whole text without the zero byte; 0 if `engine` is null. `buffer` may be null if `capacity` is 0.
 *
 * # Safety
 * `engine` is null or a live handle; `buffer` is null or valid for `capacity` bytes.
 */
size_t fathom_engine_backend(const struct FathomEngine *engine,
                             char *buffer,
                             size_t capacity);

/**
 * Frees an engine. Null does nothing.
 *
 * # Safety
 * `engine` is null, or comes from `fathom_engine_create` and was not destroyed before.
 */
void fathom_engine_destroy(struct FathomEngine *engine);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* FATHOM_H */
