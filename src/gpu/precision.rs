//! How the values of feature maps lie in memory.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A format of the values of feature maps. Whatever it is, kernels compute in f32, and parameters, sums and statistics
/// are f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Four bytes.
    #[default]
    F32,
    /// Two bytes: the upper half of an f32, so its range and eight bits of it. No gradient is too small for it, as many
    /// are for f16, whose losses have to be scaled.
    Bf16,
}

/// The words that maps are read and written by. The bytes are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Words {
    /// WGSL's own, of 32 bits.
    Short,
    /// Words of 64 bits, an extension of naga's. Software adapters gather and scatter lane by lane, a word at a time, so that
    /// half as many are nearly twice as fast.
    Long,
}

impl Precision {
    /// All of them, with their names.
    pub const ALL: [(&'static str, Self); 2] = [("f32", Self::F32), ("bf16", Self::Bf16)];

    /// What a kernel's text calls to read and write maps.
    pub fn libraries(self, words: Words) -> [&'static str; 2] {
        let map = match self {
            Self::F32 => include_str!("../../shaders/lib/map_f32.wgsl"),
            Self::Bf16 => include_str!("../../shaders/lib/map_bf16.wgsl"),
        };
        let words = match words {
            Words::Short => include_str!("../../shaders/lib/words_short.wgsl"),
            Words::Long => include_str!("../../shaders/lib/words_long.wgsl"),
        };
        [map, words]
    }

    /// Bytes of four values.
    pub fn quad_bytes(self) -> u64 {
        match self {
            Self::F32 => 16,
            Self::Bf16 => 8,
        }
    }

    /// The least number above 1, less 1.
    pub fn epsilon(self) -> f64 {
        match self {
            Self::F32 => f64::from(f32::EPSILON),
            Self::Bf16 => 1.0 / 128.0,
        }
    }

    /// The nearest value that it has; of two as near the one whose last bit is 0.
    pub fn rounded(self, value: f32) -> f32 {
        match self {
            Self::F32 => value,
            Self::Bf16 => {
                let bits = value.to_bits();
                let magnitude = bits & 0x7fff_ffff;
                let rounded = (magnitude + 0x7fff + (bits >> 16 & 1)).min(0x7fff_0000) & 0xffff_0000;
                f32::from_bits(rounded | bits & 0x8000_0000)
            }
        }
    }

    /// `values` as the bytes of a map.
    pub fn pack(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => bytemuck::cast_slice(values).to_vec(),
            Self::Bf16 => {
                let upper = |value: &f32| {
                    let [_, _, low, high] = self.rounded(*value).to_bits().to_le_bytes();
                    [low, high]
                };
                values.iter().flat_map(upper).collect()
            }
        }
    }

    /// The values of a map of these bytes.
    pub fn unpack(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F32 => bytemuck::pod_collect_to_vec(bytes),
            Self::Bf16 => bytes.chunks_exact(2).map(|half| f32::from_le_bytes([0, 0, half[0], half[1]])).collect(),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, _) = Self::ALL.iter().find(|(_, precision)| precision == self).expect("all are in the list");
        f.write_str(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_is_the_nearest_value_of_eight_bits() {
        let rounded = |value: f32| Precision::Bf16.rounded(value);
        let step = 1.0 / 128.0;
        assert_eq!(rounded(1.0), 1.0);
        assert_eq!(rounded(1.0 + 0.4 * step), 1.0);
        assert_eq!(rounded(1.0 + 0.6 * step), 1.0 + step);
        // Halfway: to the even one.
        assert_eq!(rounded(1.0 + 0.5 * step), 1.0);
        assert_eq!(rounded(1.0 + 1.5 * step), 1.0 + 2.0 * step);
        assert_eq!(rounded(-3.0 - 0.9 * 2.0 * step), -3.0 - 2.0 * step);
        assert_eq!(rounded(0.0).to_bits(), 0);
        assert_eq!(rounded(-0.0).to_bits(), (-0.0f32).to_bits());
        // Above the largest one lies infinity; what is not a number stays none, whichever it is.
        assert_eq!(rounded(f32::MAX), f32::INFINITY);
        for bits in [0x7fff_ffff, 0xffff_ffff, 0x7fc0_0000, 0x7f80_8001] {
            assert!(rounded(f32::from_bits(bits)).is_nan(), "{bits:x}");
        }
    }

    #[test]
    fn what_is_packed_comes_back() {
        let values: Vec<f32> = (0..37).map(|i| (i as f32 - 17.0) / 3.0).collect();
        assert_eq!(Precision::F32.unpack(&Precision::F32.pack(&values)), values);
        let rounded: Vec<f32> = values.iter().map(|value| Precision::Bf16.rounded(*value)).collect();
        assert_eq!(Precision::Bf16.unpack(&Precision::Bf16.pack(&values)), rounded);
    }
}
