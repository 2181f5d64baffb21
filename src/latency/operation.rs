//! One operation of a deployed network alone, ready to be timed.

use crate::gpu::{Gpu, GpuError, Program, Recording};
use crate::kernels::conv::{self, Conv};
use crate::kernels::depthwise::{self, Depthwise};
use crate::kernels::excite;
use crate::kernels::{Map, Merge, RowId, Tuning, Widths, pool};
use crate::space::{Operation, OperationKind, Shortcut};

/// The row that holds the kernel's side, and that of the channels that a shortcut passes.
const KERNEL: RowId = RowId(1);
const BYPASS: RowId = RowId(2);

/// A program of `copies` launches of `op` for `batch` images, on memory of its own.
pub fn operation_program(
    gpu: &Gpu,
    tuning: &Tuning,
    op: &Operation,
    batch: u32,
    copies: u32,
) -> Result<Program, GpuError> {
    let rows: Vec<u32> = [u32::MAX, op.kernel, op.bypass]
        .into_iter()
        .flat_map(|value| std::iter::repeat_n(value, batch as usize))
        .collect();
    let widths = Widths { buf: gpu.upload("widths", &rows)?, images: batch };
    let map = |name: &str, size: u32, channels: u32| Map::new(gpu, name, [batch, size, size, channels]);
    let x = map("input", op.size, op.input)?;
    let y = map("output", op.output_size(), op.output_width())?;
    let mut rec = Recording::new();
    rec.scope(&op.to_string());
    match op.kind {
        OperationKind::Conv | OperationKind::Linear => {
            let conv = Conv {
                kernel: op.kernel,
                stride: op.stride,
                channels: op.input,
                filters: op.output,
                input: RowId::UNLIMITED,
                kept: RowId::UNLIMITED,
                kernel_row: KERNEL,
            };
            let weight = gpu.allocate("weights", u64::from(conv.weight_quads()) * 16)?;
            let bias = gpu.allocate("bias", u64::from(op.output.div_ceil(4)) * 16)?;
            let source = map("shortcut", op.output_size(), op.bypass.max(1))?;
            let (x, y) = if op.kind == OperationKind::Linear { (x.as_rows(), y.as_rows()) } else { (x, y) };
            for _ in 0..copies {
                let merge = Merge { kind: op.shortcut, source: &source, bypass: BYPASS };
                let io = conv::Forward {
                    x: &x,
                    weight: &weight,
                    deployed: Some(conv::Deployed { bias: &bias, activation: op.activation }),
                    merge: (op.shortcut != Shortcut::None).then_some(merge),
                    y: &y,
                };
                conv::forward(&mut rec, tuning, &conv, &widths, io);
            }
        }
        OperationKind::Depthwise => {
            let depthwise = Depthwise {
                kernel: op.kernel,
                stride: op.stride,
                channels: op.output,
                kept: RowId::UNLIMITED,
                kernel_row: KERNEL,
            };
            let weight = gpu.allocate("weights", u64::from(depthwise.weight_quads()) * 16)?;
            let bias = gpu.allocate("bias", u64::from(op.output.div_ceil(4)) * 16)?;
            for _ in 0..copies {
                let deployed = Some(conv::Deployed { bias: &bias, activation: op.activation });
                let io = depthwise::Forward { x: &x, weight: &weight, deployed, y: &y };
                depthwise::forward(&mut rec, tuning, &depthwise, &widths, io);
            }
        }
        OperationKind::Pool => {
            let y = map("pooled", 1, op.output)?;
            for _ in 0..copies {
                pool::forward(&mut rec, tuning, &widths, RowId::UNLIMITED, &x, &y);
            }
        }
        OperationKind::Excite => {
            let gate = map("gate", 1, op.output)?;
            for _ in 0..copies {
                let io = excite::Forward { x: &x, gate: &gate, y: &y };
                excite::forward(&mut rec, tuning, &widths, RowId::UNLIMITED, io);
            }
        }
    }
    Program::new(gpu, rec)
}
