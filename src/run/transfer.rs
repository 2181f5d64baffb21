//! The table of another device, fitted to this one by a few networks measured here.

use super::environment::Environment;
use super::error::RunError;
use super::events::Listener;
use super::ground::Ground;
use super::table::{TableRequest, read_table, write_table};
use crate::latency::{Fitted, Origin, Table, Transfer, WholeNetwork};
use crate::space::WidthSampler;
use std::path::Path;

/// The step of the sampler that draws the networks.
const FITTED: u64 = 12;

/// Measures `networks` random networks of a space here and fits the table in `from`, of another device, to them. The
/// table that is written is one of this device, and says that it was not measured.
///
/// # Errors
/// `RunError::Table` where the table is not one of this space, or the networks do not tell how the devices differ.
pub fn fit_table(
    from: &Path,
    request: &TableRequest,
    networks: u32,
    environment: &Environment,
    listener: &mut dyn Listener,
) -> Result<Table, RunError> {
    let refuse = |problem: &str| RunError::Table { path: from.to_owned(), problem: problem.to_owned() };
    let table = read_table(from)?;
    let ground = Ground::new(request, environment, listener)?;
    let archs = WidthSampler::uniform(0).draw(&ground.net, FITTED, networks);
    if archs.iter().any(|arch| table.network_ms(&ground.net, arch).is_none()) {
        return Err(refuse("does not hold every operation of this space at this size"));
    }
    let ms = ground.measure_all(archs.iter(), &request.out, environment, listener)?;
    let measured: Vec<_> = archs.into_iter().zip(ms).collect();
    let (transfer, [agreement, plain]) = Transfer::fit(&table, &ground.net, &measured)
        .ok_or_else(|| refuse("cannot be fitted: these networks do not tell the kinds of operations apart"))?;
    let fitted =
        Fitted { from: table.origin.adapter.to_string(), networks: measured.len(), transfer, agreement, plain };
    let whole = |(arch, ms): &(crate::space::Arch, f64)| WholeNetwork { network: arch.values().to_vec(), ms: *ms };
    let origin = Origin::new(&ground.gpu, &ground.tuning, ground.batch);
    let table = table.transferred(origin, measured.iter().map(whole).collect(), fitted);
    write_table(&request.out, &table, environment)?;
    Ok(table)
}
