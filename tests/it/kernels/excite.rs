//! Channels times their gates.

use super::pool::table;
use netadapt::check::excite;

#[test]
fn forward() {
    table(excite::forward);
}

#[test]
fn backward_gate() {
    table(excite::backward_gate);
}

#[test]
fn backward() {
    table(excite::backward);
}
