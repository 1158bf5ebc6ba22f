/*
 * From a photograph to depth in C99: reads an ONNX network and a binary PPM image, prints what ran and a summary, and
 * writes the relative map as float32, row by row.
 *
 *     cc -std=c99 depth.c $(pkg-config --cflags --libs fathom) -o depth
 *     ./depth network.onnx photograph.ppm relative.f32
 */
#include <fathom.h>

#include <stdio.h>
#include <stdlib.h>

/* The whole file, to be freed; NULL if it cannot be read. */
static unsigned char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    unsigned char *bytes = NULL;
    long end;
    if (file == NULL) {
        return NULL;
    }
    if (fseek(file, 0, SEEK_END) == 0 && (end = ftell(file)) > 0 && fseek(file, 0, SEEK_SET) == 0) {
        bytes = malloc((size_t)end);
        *length = (size_t)end;
        if (bytes != NULL && fread(bytes, 1, *length, file) != *length) {
            free(bytes);
            bytes = NULL;
        }
    }
    fclose(file);
    return bytes;
}

/* Describes the pixels of a binary PPM ("P6", 8 bits) in `bytes`; 0 if it is none. */
static int describe_ppm(const unsigned char *bytes, size_t length, FathomFrame *frame) {
    char header[64] = {0};
    unsigned width, height, limit;
    int start = 0;
    size_t i;
    for (i = 0; i < length && i < sizeof header - 1; i++) {
        header[i] = (char)bytes[i];
    }
    if (sscanf(header, "P6 %u %u %u%n", &width, &height, &limit, &start) != 3 || limit != 255 || (size_t)start + 1 > length) {
        return 0;
    }
    frame->data = bytes + start + 1;
    frame->length = length - (size_t)start - 1;
    frame->stride_bytes = 0;
    frame->width = width;
    frame->height = height;
    frame->format = FATHOM_PIXEL_FORMAT_RGB8;
    return 1;
}

static int fail(const char *what, uint32_t status) {
    char text[512];
    fathom_last_error(text, sizeof text);
    fprintf(stderr, "%s: %s (%s)\n", what, fathom_status_text(status), text);
    return 1;
}

static int run(FathomEngine *engine, const FathomFrame *frame, const char *path) {
    size_t count = (size_t)frame->width * frame->height;
    float *relative = malloc(count * sizeof *relative);
    FathomInference info;
    char backend[256];
    FathomStatus status;
    FILE *file;
    int result = 1;
    if (relative == NULL) {
        fprintf(stderr, "no memory for %lu floats\n", (unsigned long)count);
        return 1;
    }
    status = fathom_engine_infer(engine, frame, relative, count, &info);
    if (status != FATHOM_STATUS_OK) {
        fail("fathom_engine_infer", status);
    } else if ((file = fopen(path, "wb")) == NULL) {
        fprintf(stderr, "%s: cannot be written\n", path);
    } else {
        result = fwrite(relative, sizeof *relative, count, file) != count;
        result |= fclose(file) != 0;
        fathom_engine_backend(engine, backend, sizeof backend);
        printf("%ux%u on %s\n", info.width, info.height, backend);
    }
    free(relative);
    return result;
}

int main(int argc, char **argv) {
    size_t onnx_length = 0, image_length = 0;
    unsigned char *onnx, *image;
    FathomEngine *engine = NULL;
    FathomFrame frame;
    FathomStatus status;
    int result = 1;
    if (argc != 4) {
        fprintf(stderr, "usage: %s NETWORK.onnx IMAGE.ppm RELATIVE.f32\n", argv[0]);
        return 2;
    }
    onnx = read_file(argv[1], &onnx_length);
    image = read_file(argv[2], &image_length);
    if (onnx == NULL || image == NULL || !describe_ppm(image, image_length, &frame)) {
        fprintf(stderr, "%s or %s cannot be read\n", argv[1], argv[2]);
    } else {
        status = fathom_engine_create(onnx, onnx_length, NULL, FATHOM_BACKEND_CPU, NULL, &engine);
        result = status == FATHOM_STATUS_OK ? run(engine, &frame, argv[3]) : fail("fathom_engine_create", status);
    }
    fathom_engine_destroy(engine);
    free(onnx);
    free(image);
    return result;
}
