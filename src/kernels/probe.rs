//! What a device can do at most: kernels that only measure.

use super::{Tuning, folded, kernel};
use crate::gpu::{Buf, Kernel, Launch, Recording, Work};
use bytemuck::bytes_of;

/// `shaders/probe/multiply_add.wgsl`.
pub static MULTIPLY_ADD: Kernel = kernel!("probe/multiply_add", "chains");
/// `shaders/probe/multiply_add_f16.wgsl`, for devices with f16.
pub static MULTIPLY_ADD_F16: Kernel = kernel!("probe/multiply_add_f16", "chains");
/// `shaders/probe/copy.wgsl`.
pub static COPY: Kernel = kernel!(maps "probe/copy", "fold", "ahead");
/// `shaders/probe/exchange.wgsl`.
pub static EXCHANGE: Kernel = kernel!("probe/exchange");
/// `shaders/probe/sentinel.wgsl`, the last dispatch of every submit that is waited for.
pub use crate::gpu::SENTINEL;

/// Chains of multiply-adds of a lane.
const CHAINS: u64 = 8;

/// Appends `rounds` multiply-adds in each of eight chains a quad, from `x` (quads) to `y` (quads).
pub fn multiply_add(rec: &mut Recording, lanes: u32, rounds: u32, x: &Buf, y: &Buf) {
    rec.push(chains(&MULTIPLY_ADD, lanes, rounds, [x, y]));
}

/// The same multiply-adds in f16; `x` and `y` hold f32.
pub fn multiply_add_f16(rec: &mut Recording, lanes: u32, rounds: u32, x: &Buf, y: &Buf) {
    rec.push(chains(&MULTIPLY_ADD_F16, lanes, rounds, [x, y]));
}

fn chains(kernel: &'static Kernel, lanes: u32, rounds: u32, [x, y]: [&Buf; 2]) -> Launch {
    let quads = x.bytes() / 16;
    launch(
        kernel,
        lanes,
        rounds,
        [x, y],
        [quads.div_ceil(lanes.into()) as u32, 1, 1],
        Work { flops: quads * 4 * CHAINS * u64::from(rounds) * 2, bytes: 2 * x.bytes() },
    )
}

/// Appends a copy of `x` to `y`; an invocation copies `per_lane` quads.
pub fn copy(rec: &mut Recording, tuning: &Tuning, per_lane: u32, x: &Buf, y: &Buf) {
    let lanes = tuning.lanes;
    let quads = (x.bytes() / 16) as u32;
    let groups = folded(quads.div_ceil(lanes * per_lane));
    let mut launch = launch(&COPY, lanes, quads, [x, y], groups, Work { flops: 0, bytes: 2 * x.bytes() });
    launch.overrides.extend([("QUADS", per_lane), tuning.ahead()]);
    rec.push(launch);
}

/// Appends `rounds` exchanges through workgroup memory among the `lanes`, at most 256, of each workgroup; `x` and
/// `y` hold whole workgroups.
pub fn exchange(rec: &mut Recording, lanes: u32, rounds: u32, x: &Buf, y: &Buf) {
    let quads = x.bytes() / 16;
    assert!(quads.is_multiple_of(lanes.into()), "the operand holds whole workgroups");
    rec.push(launch(
        &EXCHANGE,
        lanes,
        rounds,
        [x, y],
        [(quads / u64::from(lanes)) as u32, 1, 1],
        Work { flops: quads * 8 * u64::from(rounds), bytes: quads * 32 * u64::from(rounds) },
    ));
}

/// Appends the writing of `number` into the first value of `y` (a quad of u32).
pub fn sentinel(rec: &mut Recording, number: u32, y: &Buf) {
    rec.push(Launch {
        kernel: &SENTINEL,
        overrides: Vec::new(),
        params: bytes_of(&number).to_vec(),
        bindings: vec![("y", y.clone())],
        groups: [1, 1, 1],
        work: Work { flops: 0, bytes: 4 },
    });
}

fn launch(kernel: &'static Kernel, lanes: u32, number: u32, [x, y]: [&Buf; 2], groups: [u32; 3], work: Work) -> Launch {
    Launch {
        kernel,
        overrides: vec![("LANES", lanes)],
        params: bytes_of(&number).to_vec(),
        bindings: vec![("x", x.clone()), ("y", y.clone())],
        groups,
        work,
    }
}
