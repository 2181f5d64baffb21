//! Gradients of weights that are computed in parts, and wait for one launch to add up several of them.

use super::{Graph, Op, TensorId};
use crate::kernels::optimizer::BLOCK;
use crate::kernels::reduce::{MOST_SUMS, Sum};
use crate::kernels::{Map, Tuning, conv, depthwise};
use std::ops::Range;

/// The gradient of an operation's weights where it is computed in more than one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InParts {
    parts: u32,
    /// Of one part.
    quads: u32,
    /// The first quad of the gradient among those of all parameters.
    to: u32,
}

impl InParts {
    /// That of an operation on so many images.
    pub(super) fn of(graph: &Graph, op: &Op, tuning: &Tuning, images: u32) -> Option<Self> {
        let pixels = |z: &TensorId| {
            let size = graph.tensors[*z].size;
            [images, size, size]
        };
        let (weight, parts, quads) = match op {
            Op::Conv { conv, weight, z, .. } => {
                (*weight, conv::weight_parts(tuning, conv, pixels(z)), conv.weight_quads())
            }
            Op::Linear { conv, weight, .. } => {
                (*weight, conv::weight_parts(tuning, conv, Map::rows_of(images)), conv.weight_quads())
            }
            Op::Depthwise { depthwise, weight, z, .. } => {
                (*weight, depthwise::weight_parts(tuning, depthwise, pixels(z)), depthwise.weight_quads())
            }
            Op::Norm { .. } | Op::Bias { .. } | Op::Pool { .. } | Op::Excite { .. } => return None,
        };
        (parts > 1).then_some(Self { parts, quads, to: graph.params[weight].first_block * BLOCK })
    }

    /// Quads of all its parts.
    fn all_quads(&self) -> u64 {
        u64::from(self.parts) * u64::from(self.quads)
    }
}

/// Quads of any room at most: WebGPU promises bindings of 128 MiB.
const MOST_QUADS: u64 = 1 << 23;

/// Gradients whose parts lie one after another in their room until they are added up.
#[derive(Default)]
pub(super) struct Waiting {
    sums: Vec<Sum>,
    quads: u64,
}

impl Waiting {
    /// Bytes of the room that a graph's gradients need, on so many images; a buffer has one quad at least.
    pub(super) fn room(graph: &Graph, tuning: &Tuning, images: u32) -> u64 {
        let mut waiting = Self::default();
        let mut most = 1;
        for gradient in graph.ops.iter().rev().filter_map(|op| InParts::of(graph, op, tuning, images)) {
            if !waiting.takes(&gradient, tuning) {
                waiting.take();
            }
            waiting.add(&gradient);
            most = waiting.quads.max(most);
        }
        most * 16
    }

    /// Whether a gradient may wait beside those that do: as many as one launch adds up, in as much room as so many usual
    /// ones take. One alone always may.
    pub(super) fn takes(&self, gradient: &InParts, tuning: &Tuning) -> bool {
        let most = (MOST_SUMS as u64 * conv::usual_weight_quads(tuning)).min(MOST_QUADS);
        self.sums.is_empty() || self.sums.len() < MOST_SUMS && self.quads + gradient.all_quads() <= most
    }

    /// Gives a gradient its place in the room, and says where that is, in bytes.
    pub(super) fn add(&mut self, gradient: &InParts) -> Range<u64> {
        let InParts { parts, quads, to } = *gradient;
        let (start, end) = (self.quads, self.quads + gradient.all_quads());
        self.sums.push(Sum { quads, parts, first: start as u32, to });
        // A binding starts at a multiple of 256 bytes.
        self.quads = end.next_multiple_of(16);
        start * 16..end * 16
    }

    /// The sums of all that wait; none does any more.
    pub(super) fn take(&mut self) -> Vec<Sum> {
        std::mem::take(self).sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::lower;
    use crate::space::Space;

    #[test]
    fn parts_lie_side_by_side_in_their_room_until_they_are_added_up() {
        let net = Space::open("mobile").expect("a preset").supernet(64, 3, 10);
        let graph = lower(&net, &net.full());
        for tuning in [Tuning::SOFTWARE, Tuning::GPU] {
            let gradients: Vec<InParts> =
                graph.ops.iter().rev().filter_map(|op| InParts::of(&graph, op, &tuning, 64)).collect();
            let room = Waiting::room(&graph, &tuning, 64);
            let (mut waiting, mut end, mut launches) = (Waiting::default(), 0, 1);
            for gradient in &gradients {
                if !waiting.takes(gradient, &tuning) {
                    assert!(!waiting.take().is_empty(), "something waited");
                    (end, launches) = (0, launches + 1);
                }
                let place = waiting.add(gradient);
                assert!(
                    place.start >= end && place.start.is_multiple_of(256) && place.end <= room,
                    "{place:?} of {room}"
                );
                assert_eq!((place.end - place.start) / 16, gradient.all_quads());
                end = place.end;
                let sums = &waiting.sums;
                assert!(sums.len() <= MOST_SUMS && u64::from(sums[sums.len() - 1].first) * 16 == place.start);
            }
            assert!(launches * 4 < gradients.len(), "{launches} launches for {} gradients", gradients.len());
        }
    }
}
