//! What of the tile sizes may be tried, and what it is tried on.

use crate::kernels::{Tuning, bias, conv, depthwise, excite, norm, pool, probe, reduce};
use crate::latency::Layer;
use serde::{Deserialize, Serialize};

/// Numbers of `Tuning` that are chosen together, in the order in which they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Knob {
    /// Invocations of a workgroup.
    Lanes,
    /// Pixels times quads that an invocation of a dense convolution owns.
    ConvTile,
    /// Lanes of a dense convolution that share their pixels.
    QuadLanes,
    /// Lanes over rows of the weights in their gradient.
    WeightRows,
    /// Workgroups that a gradient of weights is split into.
    WeightGroups,
    /// Pixels that an invocation of an element-wise kernel owns.
    Pixels,
    /// Quads that an invocation of an element-wise kernel or of a reduction over a map owns.
    Quads,
    /// Largest kernel of a depthwise convolution whose weights an invocation holds.
    HeldKernel,
    /// Invocations that a reduction is split into.
    Reduction,
    /// Lanes of a workgroup that share a sum.
    Slices,
    /// Whether workgroups fetch lines of maps before their lanes use them.
    Ahead,
}

impl std::fmt::Display for Knob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Lanes => "lanes",
            Self::ConvTile => "conv-tile",
            Self::QuadLanes => "quad-lanes",
            Self::WeightRows => "weight-rows",
            Self::WeightGroups => "weight-groups",
            Self::Pixels => "pixels",
            Self::Quads => "quads",
            Self::HeldKernel => "held-kernel",
            Self::Reduction => "reduction",
            Self::Slices => "slices",
            Self::Ahead => "ahead",
        })
    }
}

impl std::str::FromStr for Knob {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(|knob| knob.to_string()).join(", ");
        Self::ALL
            .into_iter()
            .find(|knob| knob.to_string() == text)
            .ok_or_else(|| format!("`{text}` is nothing to tune; there are {}", names()))
    }
}

/// Accumulators of an invocation of a dense convolution at least: fewer read more than they compute.
const LEAST_TILE: u32 = 8;

const CONV_3X3: Layer = Layer::Conv { kernel: 3, stride: 1, size: 16, channels: 64, filters: 64 };
const CONV_3X3_WIDE: Layer = Layer::Conv { kernel: 3, stride: 1, size: 8, channels: 128, filters: 128 };
const CONV_1X1: Layer = Layer::Conv { kernel: 1, stride: 1, size: 16, channels: 96, filters: 24 };
const CONV_1X1_WIDE: Layer = Layer::Conv { kernel: 1, stride: 1, size: 16, channels: 128, filters: 128 };
const DEPTHWISE_3X3: Layer = Layer::Depthwise { kernel: 3, stride: 1, size: 32, channels: 32 };
const DEPTHWISE_5X5: Layer = Layer::Depthwise { kernel: 5, stride: 1, size: 16, channels: 96 };
const NORM: Layer = Layer::Norm { size: 32, channels: 64, residual: false };
const NORM_WIDE: Layer = Layer::Norm { size: 16, channels: 128, residual: false };
const NORM_SMALL: Layer = Layer::Norm { size: 8, channels: 256, residual: false };
const EXCITE: Layer = Layer::Excite { size: 16, channels: 96 };
const POOL: Layer = Layer::Pool { size: 16, channels: 96 };

impl Knob {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Lanes,
        Self::ConvTile,
        Self::QuadLanes,
        Self::WeightRows,
        Self::WeightGroups,
        Self::Pixels,
        Self::Quads,
        Self::HeldKernel,
        Self::Reduction,
        Self::Slices,
        Self::Ahead,
    ];

    /// Whether the kernel of this name runs otherwise with another value.
    pub fn affects(self, kernel: &str) -> bool {
        let dense = [&conv::FORWARD, &conv::BACKWARD_DATA];
        let weights = [&conv::BACKWARD_WEIGHT, &depthwise::BACKWARD_WEIGHT, &reduce::SUM];
        let strips = [&depthwise::FORWARD, &depthwise::BACKWARD_DATA];
        let elementwise = [&norm::APPLY, &norm::BACKWARD_APPLY, &excite::FORWARD, &excite::BACKWARD, &pool::BACKWARD];
        let sums_of_maps = [&norm::STATISTICS, &norm::BACKWARD_REDUCE];
        let sums_of_parts = [&norm::MOMENTS, &norm::BACKWARD_AFFINE];
        let sums = [
            &norm::MOMENTS,
            &norm::BACKWARD_AFFINE,
            &reduce::SUM,
            &reduce::SQUARES,
            &bias::BACKWARD,
            &pool::FORWARD,
            &excite::BACKWARD_GATE,
            &conv::BACKWARD_WEIGHT,
        ];
        let fetching =
            [&conv::BACKWARD_WEIGHT, &depthwise::BACKWARD_WEIGHT, &pool::FORWARD, &excite::BACKWARD_GATE, &probe::COPY];
        let is_of = |kernels: &[&crate::gpu::Kernel]| kernels.iter().any(|other| other.name == kernel);
        match self {
            Self::Lanes => true,
            Self::ConvTile | Self::QuadLanes => is_of(&dense),
            Self::WeightRows => kernel == conv::BACKWARD_WEIGHT.name || kernel == reduce::SUM.name,
            Self::WeightGroups => is_of(&weights),
            Self::Pixels => {
                is_of(&elementwise) || is_of(&strips) || is_of(&[&depthwise::BACKWARD_WEIGHT, &probe::COPY])
            }
            Self::Quads => is_of(&elementwise) || is_of(&sums_of_maps) || is_of(&sums_of_parts),
            Self::HeldKernel => is_of(&strips),
            Self::Reduction => is_of(&sums_of_maps) || is_of(&sums_of_parts) || is_of(&strips),
            Self::Slices => is_of(&sums),
            Self::Ahead => is_of(&elementwise) || is_of(&sums_of_maps) || is_of(&strips) || is_of(&fetching),
        }
    }

    /// Layers of real networks whose kernels say which value is best.
    pub(super) fn layers(self) -> &'static [Layer] {
        match self {
            Self::Lanes => &[CONV_3X3, CONV_1X1, DEPTHWISE_5X5, NORM],
            Self::ConvTile | Self::QuadLanes => &[CONV_3X3, CONV_3X3_WIDE, CONV_1X1, CONV_1X1_WIDE],
            Self::WeightRows => &[CONV_3X3, CONV_1X1, CONV_1X1_WIDE],
            Self::WeightGroups => &[CONV_3X3, CONV_1X1, CONV_1X1_WIDE, DEPTHWISE_5X5],
            Self::Pixels => &[NORM, NORM_SMALL, EXCITE, POOL, DEPTHWISE_3X3, DEPTHWISE_5X5],
            Self::Quads => &[NORM, NORM_WIDE, NORM_SMALL, EXCITE],
            Self::HeldKernel => &[DEPTHWISE_3X3, DEPTHWISE_5X5],
            Self::Reduction => &[NORM, NORM_SMALL, DEPTHWISE_3X3, DEPTHWISE_5X5],
            Self::Slices => &[NORM, NORM_SMALL, EXCITE, POOL, CONV_1X1],
            Self::Ahead => &[NORM, NORM_WIDE, EXCITE, DEPTHWISE_3X3, DEPTHWISE_5X5, CONV_1X1],
        }
    }

    /// Its value, for people.
    pub fn value(self, tuning: &Tuning) -> String {
        match self {
            Self::Lanes => tuning.lanes.to_string(),
            Self::ConvTile => format!("{}x{}", tuning.conv_pixels, tuning.conv_quads),
            Self::QuadLanes => tuning.quad_lanes.to_string(),
            Self::WeightRows => tuning.weight_rows.to_string(),
            Self::WeightGroups => tuning.weight_groups.to_string(),
            Self::Pixels => tuning.pixels.to_string(),
            Self::Quads => tuning.quads.to_string(),
            Self::HeldKernel => tuning.held_kernel.to_string(),
            Self::Reduction => tuning.reduction.to_string(),
            Self::Slices => tuning.slices.to_string(),
            Self::Ahead => if tuning.ahead { "yes" } else { "no" }.into(),
        }
    }

    /// Other values that are worth a try, all else as in `now`.
    pub fn candidates(self, now: &Tuning) -> Vec<Tuning> {
        // Halves and doubles, twice each way.
        let around = |value: u32| [value / 4, value / 2, value * 2, value * 4].into_iter().filter(|value| *value > 0);
        let tiles = [2, 4, 8].into_iter().flat_map(|pixels| [1, 2, 4].map(|quads| (pixels, quads)));
        let with = |change: &dyn Fn(&mut Tuning)| {
            let mut tuning = *now;
            change(&mut tuning);
            tuning
        };
        let all: Vec<Tuning> = match self {
            Self::Lanes => around(now.lanes).map(|lanes| with(&|t| t.lanes = lanes)).collect(),
            Self::ConvTile => tiles
                .filter(|(pixels, quads)| pixels * quads >= LEAST_TILE)
                .map(|(pixels, quads)| with(&|t| (t.conv_pixels, t.conv_quads) = (pixels, quads)))
                .collect(),
            Self::QuadLanes => [1, 2, 4, 8, 16].map(|lanes| with(&|t| t.quad_lanes = lanes)).into(),
            Self::WeightRows => around(now.weight_rows).map(|rows| with(&|t| t.weight_rows = rows)).collect(),
            Self::WeightGroups => around(now.weight_groups).map(|groups| with(&|t| t.weight_groups = groups)).collect(),
            Self::Pixels => around(now.pixels).map(|pixels| with(&|t| t.pixels = pixels)).collect(),
            Self::Quads => [1, 2, 4].map(|quads| with(&|t| t.quads = quads)).into(),
            Self::HeldKernel => [1, 3, 5, 7].map(|kernel| with(&|t| t.held_kernel = kernel)).into(),
            Self::Reduction => around(now.reduction).map(|parts| with(&|t| t.reduction = parts)).collect(),
            Self::Slices => [1, 16, 64, 256].map(|slices| with(&|t| t.slices = slices)).into(),
            Self::Ahead => vec![with(&|t| t.ahead = !t.ahead)],
        };
        // A workgroup of fewer lanes than eight leaves vector units idle everywhere.
        let is_sensible =
            |t: &Tuning| t.is_usable() && t.lanes >= 8 && t.weight_rows.max(t.quad_lanes) <= t.lanes && t != now;
        all.into_iter().filter(is_sensible).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Tuning = Tuning::SOFTWARE;

    #[test]
    fn candidates_change_their_own_knob_only() {
        for knob in Knob::ALL {
            let candidates = knob.candidates(&USUAL);
            // A yes or no has one other value.
            assert!(candidates.len() >= if knob == Knob::Ahead { 1 } else { 2 }, "{knob}");
            for candidate in &candidates {
                assert!(candidate.is_usable() && knob.value(candidate) != knob.value(&USUAL), "{knob} {candidate:?}");
                for other in Knob::ALL.into_iter().filter(|other| *other != knob) {
                    assert_eq!(other.value(candidate), other.value(&USUAL), "{knob}");
                }
            }
            assert_eq!(knob.to_string().parse::<Knob>(), Ok(knob));
        }
        assert!("tile".parse::<Knob>().unwrap_err().contains("conv-tile, quad-lanes"));
    }
}
