#!/usr/bin/env bash
# Installs libfathom into a temporary prefix, compiles the C example against it (pkg-config if present) with every warning an
# error, runs it under the address and undefined-behaviour sanitizers, and compares its numbers with the program's.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"
edge-runtime/capi/packaging/install.sh "$work/prefix" >"$work/install.log" 2>&1 || { cat "$work/install.log"; exit 1; }
flags="-I$work/prefix/include -L$work/prefix/lib -lfathom"
if command -v pkg-config >/dev/null; then
    flags=$(PKG_CONFIG_PATH="$work/prefix/lib/pkgconfig" pkg-config --cflags --libs fathom)
fi
# shellcheck disable=SC2086
cc -std=c99 -Wall -Wextra -Werror -pedantic -g -fsanitize=address,undefined -fno-sanitize-recover=all \
    edge-runtime/capi/examples/depth.c $flags -o "$work/depth"
network=fixtures/models/fathom-small.int8.onnx
frame=fixtures/frames/c-example.ppm
LD_LIBRARY_PATH="$work/prefix/lib" "$work/depth" "$network" "$frame" "$work/relative.f32"
fathom=${CARGO_TARGET_DIR:-target}/release/fathom
[ -x "$fathom" ] || cargo build --release --locked -p fathom-cli
"$fathom" depth "$frame" --model "$network" --backend cpu --format npy --out "$work" >/dev/null
# An npy file is a header whose length stands in its bytes 8 and 9, then the numbers: they must be the same bytes.
header=$(od -An -tu2 -j8 -N2 "$work/c-example.depth.npy" | tr -d ' ')
cmp <(tail -c +$((10 + header + 1)) "$work/c-example.depth.npy") "$work/relative.f32"
echo "C and the program give the same numbers"
