//! Lifetimes and buffers: tensors that do not live at the same time share memory.
//!
//! A tensor lives from the action that writes it to the last one that reads it. No action's output
//! shares a buffer with anything alive at that moment, its inputs included, so no launch reads and
//! writes one buffer.

use super::TensorId;
use std::collections::HashMap;

/// A tensor's values or their gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Value {
    /// Written on the way forward.
    Of(TensorId),
    /// Its gradient, written on the way back.
    Gradient(TensorId),
}

/// What one action reads and writes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Uses {
    pub(super) reads: Vec<Value>,
    pub(super) writes: Vec<Value>,
}

/// Which buffer holds what.
#[derive(Clone, Debug, PartialEq)]
pub struct Slots {
    /// Bytes of each buffer.
    pub bytes: Vec<u64>,
    /// The buffer of each value.
    pub slot: HashMap<Value, usize>,
}

impl Slots {
    /// Gives every value a slot. `kept` values live from the start to the end.
    pub(super) fn assign(actions: &[Uses], kept: &[Value], bytes_of: impl Fn(Value) -> u64) -> Self {
        let mut last_use: HashMap<Value, usize> = HashMap::new();
        for (index, action) in actions.iter().enumerate() {
            for value in action.reads.iter().chain(&action.writes) {
                last_use.insert(*value, index);
            }
        }
        let mut slots = Self { bytes: Vec::new(), slot: HashMap::new() };
        let mut free: Vec<usize> = Vec::new();
        for value in kept {
            last_use.insert(*value, actions.len());
            slots.slot.insert(*value, slots.bytes.len());
            slots.bytes.push(bytes_of(*value));
        }
        for (index, action) in actions.iter().enumerate() {
            for value in &action.writes {
                if !slots.slot.contains_key(value) {
                    slots.place(*value, bytes_of(*value), &mut free);
                }
            }
            let mut done: Vec<Value> = action.reads.iter().chain(&action.writes).copied().collect();
            done.sort_unstable();
            done.dedup();
            free.extend(done.iter().filter(|value| last_use[value] == index).map(|value| slots.slot[value]));
        }
        slots
    }

    /// The free slot that wastes least; else the largest free one, grown; else a new one.
    fn place(&mut self, value: Value, bytes: u64, free: &mut Vec<usize>) {
        let fitting = free.iter().enumerate().filter(|(_, slot)| self.bytes[**slot] >= bytes);
        let best = fitting.min_by_key(|(_, slot)| self.bytes[**slot]).map(|(position, _)| position);
        let chosen = best.or_else(|| {
            free.iter().enumerate().max_by_key(|(_, slot)| self.bytes[**slot]).map(|(position, _)| position)
        });
        let slot = match chosen {
            Some(position) => free.swap_remove(position),
            None => {
                self.bytes.push(0);
                self.bytes.len() - 1
            }
        };
        self.bytes[slot] = self.bytes[slot].max(bytes);
        self.slot.insert(value, slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(reads: &[TensorId], writes: &[TensorId]) -> Uses {
        Uses {
            reads: reads.iter().map(|t| Value::Of(*t)).collect(),
            writes: writes.iter().map(|t| Value::Of(*t)).collect(),
        }
    }

    #[test]
    fn a_chain_needs_two_buffers() {
        let actions: Vec<Uses> = (0..6).map(|i| access(&[i], &[i + 1])).collect();
        let slots = Slots::assign(&actions, &[Value::Of(0)], |_| 16);
        assert_eq!(slots.bytes.len(), 3, "the images keep theirs, the chain alternates between two");
    }

    #[test]
    fn a_value_never_shares_with_what_lives_beside_it() {
        let actions = [access(&[0], &[1]), access(&[1], &[2]), access(&[2], &[3]), access(&[1, 3], &[4])];
        let slots = Slots::assign(&actions, &[Value::Of(0)], |value| if value == Value::Of(3) { 64 } else { 16 });
        let slot = |t| slots.slot[&Value::Of(t)];
        for (a, b) in [(1, 2), (1, 3), (2, 3), (1, 4), (3, 4)] {
            assert_ne!(slot(a), slot(b), "{a} and {b} live at the same time");
        }
        assert!(slots.bytes[slot(3)] >= 64);
    }
}
