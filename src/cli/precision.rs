//! The precision of feature maps, as an option.

use crate::gpu::Precision;
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Reads the name of a precision.
pub(super) fn precision() -> impl TypedValueParser<Value = Precision> {
    PossibleValuesParser::new(Precision::ALL.map(|(name, _)| name)).map(|name| {
        let known = Precision::ALL.into_iter().find(|(known, _)| *known == name);
        known.expect("clap lets only these names through").1
    })
}
