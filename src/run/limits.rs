//! What the networks of a run may have, of everything that is limited.

use super::cost::count;
use super::prepare::Prepared;
use crate::search::{Cap, Ceiling, Resource};
use crate::space::Arch;

/// Limits, one of each resource for every network.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// Of the resource that the search measures its steps by, in its unit.
    pub(super) main: Vec<f64>,
    /// Of those that are counted beside.
    pub(super) others: Vec<(Resource, Vec<f64>)>,
}

/// Counts a resource of an architecture.
pub(super) type Count<'a> = Box<dyn Fn(&Arch) -> f64 + 'a>;

impl Limits {
    /// How the others are counted, for `caps` and `ceilings`.
    pub(super) fn counts<'a>(&self, prepared: &'a Prepared) -> Vec<Count<'a>> {
        let of = |resource: Resource| -> Count<'a> { Box::new(move |arch: &Arch| count(resource, prepared, arch)) };
        self.others.iter().map(|(resource, _)| of(*resource)).collect()
    }

    /// The others as a strategy takes them.
    pub(super) fn caps<'a>(&self, counts: &'a [Count<'_>]) -> Vec<Cap<'a>> {
        let others = self.others.iter().zip(counts);
        others.map(|((resource, limits), count)| Cap { resource: *resource, count, limits: limits.clone() }).collect()
    }

    /// The others of one network.
    pub(super) fn ceilings<'a>(&self, counts: &'a [Count<'_>], network: usize) -> Vec<Ceiling<'a>> {
        self.caps(counts).iter().map(|cap| cap.ceiling(network)).collect()
    }
}
