#!/usr/bin/env bash
# Builds libfathom and installs library, header, pkg-config and CMake files under a prefix:
#     edge-runtime/capi/packaging/install.sh /usr/local [cargo options, e.g. --no-default-features --features gpu]
# With FATHOM_BUILT set to a folder that holds libfathom.so and libfathom.a, those are installed and nothing is built.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: $0 PREFIX [cargo options]" >&2; exit 2; }
mkdir -p "$1"
prefix=$(cd "$1" && pwd)
shift
here=$(cd "$(dirname "$0")" && pwd)
[ -n "${FATHOM_BUILT:-}" ] || cargo build --release --locked --manifest-path "$here/../Cargo.toml" "$@"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/../../../Cargo.toml" | head -n 1)
major=${version%%.*}
built=${FATHOM_BUILT:-${CARGO_TARGET_DIR:-$here/../../../target}/release}
install -d "$prefix/lib/pkgconfig" "$prefix/lib/cmake/fathom" "$prefix/include"
install -m 755 "$built/libfathom.so" "$prefix/lib/libfathom.so.$version"
ln -sf "libfathom.so.$version" "$prefix/lib/libfathom.so.$major"
ln -sf "libfathom.so.$major" "$prefix/lib/libfathom.so"
install -m 644 "$built/libfathom.a" "$prefix/lib/libfathom.a"
install -m 644 "$here/../include/fathom.h" "$prefix/include/fathom.h"
fill() { sed -e "s|@PREFIX@|$prefix|" -e "s|@VERSION@|$version|" -e "s|@MAJOR@|$major|" "$1" >"$2"; }
fill "$here/fathom.pc.in" "$prefix/lib/pkgconfig/fathom.pc"
fill "$here/fathom-config.cmake.in" "$prefix/lib/cmake/fathom/fathom-config.cmake"
echo "installed Fathom $version under $prefix"
