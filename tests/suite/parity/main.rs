//! Every kernel against its twin in core, on the device, at awkward sizes: one, primes, exact multiples, one past a tile.

mod conv_bytes;
mod device;
mod elementwise;
mod image;
mod moving;
mod noise;
mod rows;
mod separable;
mod splat;
mod sums;
mod windows;

use std::process::ExitCode;

fn main() -> ExitCode {
    let gpu = fathom_tests::gpu::open();
    if let Ok(gpu) = &gpu {
        let report = gpu.report();
        eprintln!("device: {} ({})", report.name, report.driver);
    }
    let cases = [
        conv_bytes::cases(&gpu),
        elementwise::cases(&gpu),
        image::cases(&gpu),
        moving::cases(&gpu),
        rows::cases(&gpu),
        separable::cases(&gpu),
        splat::cases(&gpu),
        sums::cases(&gpu),
        windows::cases(&gpu),
    ];
    fathom_tests::cases::run(cases.into_iter().flatten().collect())
}
