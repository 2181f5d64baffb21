//! Builds a table: its questions, put to the device.

use super::error::LatencyError;
use super::measure::Meter;
use super::operation::operation_program;
use super::origin::Origin;
use super::questions::{Questions, REFERENCE};
use super::series::Effort;
use super::stats::Spread;
use super::table::{Entry, Table};
use crate::gpu::{Gpu, GpuError, Program};
use crate::kernels::Tuning;
use crate::space::{Operation, Supernet};
use std::cell::OnceCell;

/// Copies of an operation in one program, each with what it reads and writes of its own, as a network has them.
const COPIES: u32 = 4;
/// How much less well than its sum an entry has to be known: a prediction adds up some 25 entries or more, and their
/// errors are independent.
const SUMMED: f64 = 5.0;
/// Error of a sum, as a share, that is small enough.
const PRECISION: f64 = 0.01;
/// Seconds of a try and of its rounds, and how many of these at least: a table has hundreds of entries, and a search
/// waits for it.
const SECONDS: f64 = 0.3;
const ROUND_SECONDS: f64 = 0.003;
const ROUNDS: usize = 5;

/// Builds a table, one entry at a time.
pub struct TableBuilder {
    gpu: Gpu,
    origin: Origin,
    questions: Questions,
    effort: Effort,
    /// Times everything but the reference in turn with the reference.
    meter: OnceCell<Meter>,
}

impl TableBuilder {
    /// The operations that the networks of `net` can ask for, none timed yet. Sums of entries have to be known to
    /// `tolerance`, a share.
    pub fn new(gpu: &Gpu, tuning: &Tuning, net: &Supernet, batch: u32, tolerance: f64) -> Self {
        Self {
            gpu: gpu.clone(),
            origin: Origin::new(gpu, tuning, batch),
            questions: Questions::new(net),
            effort: Effort {
                seconds: SECONDS,
                precision: SUMMED * PRECISION.min(tolerance),
                tolerance: SUMMED * tolerance,
                rounds: ROUNDS,
                round_seconds: ROUND_SECONDS,
            },
            meter: OnceCell::new(),
        }
    }

    /// The device and the build that it times.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Operations to time as far as is known: answers lead to further questions.
    pub fn len(&self) -> usize {
        self.questions.len()
    }

    /// Whether there is nothing to time.
    pub fn is_empty(&self) -> bool {
        self.questions.len() == 0
    }

    /// The next operation that has no entry; `None` when all have.
    pub fn next_operation(&self) -> Option<Operation> {
        self.questions.next()
    }

    /// Times an operation at the device speed at which the reference was timed.
    ///
    /// # Errors
    /// `LatencyError::Noisy` where several tries in a row do not come to a median that is known.
    pub fn time(&self, operation: &Operation) -> Result<Entry, LatencyError> {
        let program = self.program(operation)?;
        let measurement = match self.questions.answer(&REFERENCE) {
            Some(reference) => self.meter(reference.ms)?.measure(&program)?,
            None => Meter::new(&self.gpu, program, self.effort)?.1,
        };
        let ms = measurement.spread().scaled(1.0 / f64::from(COPIES));
        Ok(Entry { operation: *operation, ms, timestamps: measurement.timestamps })
    }

    /// Adds the entry of the next operation.
    ///
    /// # Panics
    /// When it is of another operation.
    pub fn add(&mut self, entry: Entry) {
        self.questions.add(entry);
    }

    /// The table, once every operation has an entry.
    pub fn finish(self) -> Table {
        Table::new(self.origin, self.questions.finish())
    }

    fn meter(&self, reference: Spread) -> Result<&Meter, LatencyError> {
        if let Some(meter) = self.meter.get() {
            return Ok(meter);
        }
        let ms = reference.median * f64::from(COPIES);
        let meter = Meter::resumed(&self.gpu, self.program(&REFERENCE)?, ms, self.effort)?;
        Ok(self.meter.get_or_init(|| meter))
    }

    fn program(&self, operation: &Operation) -> Result<Program, GpuError> {
        let Origin { tuning, batch, .. } = &self.origin;
        operation_program(&self.gpu, tuning, operation, *batch, COPIES)
    }
}
