//! `netadapt latency check`.

use super::build::Which;
use super::print_agreements;
use crate::cli::attended::{Attended, NoTune, Output};
use crate::run::check_table;

/// Options of `netadapt latency check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// Networks to measure.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    networks: u32,
    #[command(flatten)]
    tune: NoTune,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let request = args.which.request();
    let attended = Attended::new(&args.output)?.tuned(!args.tune.no_tune);
    let check =
        attended.attend(|environment, listener| check_table(&request, args.networks, &environment, listener))?;
    if args.output.is_json() {
        say!("{}", serde_json::to_string(&check)?);
        return Ok(());
    }
    say!("{} random networks, median errors as shares of what was measured", check.networks);
    let again = format!("{} of them measured again", check.repeats.len());
    print_agreements([("predicted by the table", check.agreement), (&again, check.repeat)]);
    let correction = check.correction;
    say!(
        "prediction: {:.3} times the sum of the operations, {:+.2} us for each of them",
        correction.scale,
        correction.per_operation_ms * 1e3
    );
    Ok(())
}
