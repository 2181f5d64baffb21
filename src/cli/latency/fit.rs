//! `netadapt latency fit`.

use super::build::Which;
use super::print_agreements;
use crate::cli::attended::{Attended, NoTune, Output};
use crate::latency::{LEAST_NETWORKS, MOST_NETWORKS};
use crate::run::fit_table;
use std::path::PathBuf;

/// Options of `netadapt latency fit`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The table of another device.
    table: PathBuf,
    #[command(flatten)]
    which: Which,
    /// Networks to measure here.
    #[arg(long, default_value_t = MOST_NETWORKS, value_parser = networks())]
    networks: u32,
    #[command(flatten)]
    tune: NoTune,
    #[command(flatten)]
    output: Output,
}

fn networks() -> impl clap::builder::TypedValueParser<Value = u32> {
    clap::value_parser!(u32).range(i64::from(LEAST_NETWORKS)..=i64::from(MOST_NETWORKS))
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let request = args.which.request();
    let attended = Attended::new(&args.output)?.tuned(!args.tune.no_tune);
    let fit = |environment, listener: &mut dyn crate::run::Listener| {
        fit_table(&args.table, &request, args.networks, &environment, listener)
    };
    let table = attended.attend(fit)?;
    let fitted = table.fitted.as_ref().expect("a table that was fitted says so");
    if args.output.is_json() {
        say!("{}", serde_json::json!({ "event": "fitted", "path": request.out, "fitted": fitted }));
        return Ok(());
    }
    say!("from  {}", fitted.from);
    say!("to    {}", table.origin.adapter);
    say!("{} random networks measured here, median errors as shares of that", fitted.networks);
    print_agreements([("that table times a factor", fitted.plain), ("fitted, each left out", fitted.agreement)]);
    let [dense, spatial, depthwise, other] = fitted.transfer.scales;
    say!(
        "factors: 1x1 {dense:.2}, dense with a kernel {spatial:.2}, depthwise {depthwise:.2}, others {other:.2}; {:+.2} us for \
         each operation",
        fitted.transfer.per_operation_ms * 1e3
    );
    say!("table: {}, fitted and not measured; use it here: netadapt search DATA --latency ...", request.out.display());
    Ok(())
}
