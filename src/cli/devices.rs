//! `netadapt devices`: what there is to run on.

use crate::gpu::{GpuError, adapters};
use crate::run::RunError;

/// Options of `netadapt devices`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let adapters = adapters();
    if args.json {
        say!("{}", serde_json::to_string(&adapters)?);
        return Ok(());
    }
    if adapters.is_empty() {
        let reason = "no Vulkan, Metal or DX12 adapter was found".into();
        return Err(RunError::Gpu(GpuError::NoAdapter { reason }).into());
    }
    for (index, adapter) in adapters.iter().enumerate() {
        say!("{index}  {adapter}");
    }
    Ok(())
}
