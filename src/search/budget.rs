//! Budgets as people write them: `8ms`, `120fps`, `90MMAC`, `1Mparam`, `50%`, and lists of them.
//!
//! A budget of one resource only; several that must hold at once are a `Goal`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The forms that a budget may have, for error messages and help texts.
pub const FORMS: &str = "8ms, 500us, 0.2s or 120fps (latency of one run); 90MMAC, 2GMAC or 500kMAC \
     (multiply-accumulates); 1Mparam or 500kparam (parameters); 2MB or 500kB (bytes of weights); \
     300kBpeak (peak memory of activations); 50%, 50%MAC, 50%param, 50%B or 50%Bpeak (share of the initial \
     network's latency, MACs and so on)";

/// Why a text is not a budget.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BudgetError {
    /// None of the accepted forms.
    #[error("`{text}` is not a budget: {problem}; write for example {FORMS}")]
    Form {
        /// What was written.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A list that names several resources.
    #[error("`{text}` mixes {first} and {second}: one search shrinks one resource, ask for the other in a second run")]
    Mixed {
        /// What was written.
        text: String,
        /// The resource of the first budget.
        first: Resource,
        /// Another one.
        second: Resource,
    },
    /// Two budgets of one resource for the same network.
    #[error(
        "`{first}` and `{second}` both limit the {resource}: give one of them, or `{first},{second}` for two networks"
    )]
    Repeated {
        /// What both limit.
        resource: Resource,
        /// A budget.
        first: String,
        /// Another one.
        second: String,
    },
    /// Two lists, whose budgets could be paired in more than one way.
    #[error("`{first}` and `{second}` both ask for several networks: only one --budget may be a list")]
    Lists {
        /// A list.
        first: String,
        /// Another one.
        second: String,
    },
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    /// Time of one run of the deployed network, in milliseconds.
    Latency,
    /// The same on another device, predicted by its table.
    Target,
    /// Multiply-accumulates of one image.
    Macs,
    /// Trainable parameters.
    Params,
    /// Bytes of the deployed network's weights, normalisation folded in.
    Bytes,
    /// Bytes of activations that a run of the deployed network holds at most, by the plan of its memory.
    Memory,
}

impl Resource {
    /// `value` (ms, MACs, parameters or bytes) to two decimals, in a form that a budget may have.
    pub fn text(self, value: f64) -> String {
        self.rounded(value, f64::round)
    }

    /// As `text`, rounded up: what may be asked for where `value` is the least possible.
    pub fn text_up(self, value: f64) -> String {
        self.rounded(value, f64::ceil)
    }

    fn rounded(self, value: f64, round: fn(f64) -> f64) -> String {
        let scales: &[(f64, &str)] = match self {
            Self::Latency | Self::Target => &[(1.0, "ms"), (1e-3, "us")],
            Self::Macs => &[(1e9, "GMAC"), (1e6, "MMAC"), (1e3, "kMAC"), (1.0, "MAC")],
            Self::Params => &[(1e6, "Mparam"), (1e3, "kparam"), (1.0, "param")],
            Self::Bytes => &[(1e6, "MB"), (1e3, "kB"), (1.0, "B")],
            Self::Memory => &[(1e6, "MBpeak"), (1e3, "kBpeak"), (1.0, "Bpeak")],
        };
        let last = scales[scales.len() - 1];
        let (unit, suffix) = scales.iter().copied().find(|(unit, _)| value >= *unit).unwrap_or(last);
        format!("{}{suffix}", round(value / unit * 100.0) / 100.0)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Latency => "latency",
            Self::Target => "latency predicted for the target",
            Self::Macs => "MACs",
            Self::Params => "parameters",
            Self::Bytes => "bytes of weights",
            Self::Memory => "peak memory of activations",
        })
    }
}

/// How much of the resource.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Amount {
    /// In the resource's unit: ms, MACs, parameters.
    Absolute(f64),
    /// Of the initial network's value, above 0 and at most 1.
    Share(f64),
}

/// One limit for the network to be found; serialized as the text that it was parsed from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Budget {
    resource: Resource,
    amount: Amount,
    text: String,
}

impl Budget {
    /// What is limited.
    pub fn resource(&self) -> Resource {
        self.resource
    }

    /// The limit in the resource's unit (ms, MACs, parameters), given the initial network's value.
    pub fn resolve(&self, initial_value: f64) -> f64 {
        match self.amount {
            Amount::Absolute(value) => value,
            Amount::Share(share) => share * initial_value,
        }
    }

    /// Several budgets of one resource, separated by commas: `8ms,4ms` asks for two networks.
    ///
    /// # Errors
    /// `BudgetError` for an entry that is not a budget, or for entries of different resources.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, BudgetError> {
        let budgets = text.split(',').map(str::parse).collect::<Result<Vec<Self>, _>>()?;
        let first = budgets[0].resource;
        match budgets.iter().find(|budget| budget.resource != first) {
            None => Ok(budgets),
            Some(other) => Err(BudgetError::Mixed { text: text.to_owned(), first, second: other.resource }),
        }
    }
}

impl FromStr for Budget {
    type Err = BudgetError;

    fn from_str(text: &str) -> Result<Self, BudgetError> {
        let refuse = |problem| BudgetError::Form { text: text.to_owned(), problem };
        let trimmed = text.trim();
        // Digits only: a sign, `nan`, `inf` and exponents are mistakes in a budget, not numbers.
        let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(end);
        let number: f64 = number.parse().map_err(|_| refuse("it does not begin with a number"))?;
        if !(number.is_finite() && number > 0.0) {
            return Err(refuse("the number must be above zero"));
        }
        let (resource, amount) =
            amount(number, &unit.trim().to_lowercase()).ok_or_else(|| refuse("its unit is not known"))?;
        match amount {
            Amount::Share(share) if share > 1.0 => Err(refuse("a share must be at most 100%")),
            _ => Ok(Self { resource, amount, text: trimmed.to_owned() }),
        }
    }
}

/// What `number` means with `unit`, which is in lower case.
fn amount(number: f64, unit: &str) -> Option<(Resource, Amount)> {
    if let Some(of) = unit.strip_prefix('%') {
        let resource = match of.trim() {
            "" | "latency" => Resource::Latency,
            of => counted(of)?,
        };
        return Some((resource, Amount::Share(number / 100.0)));
    }
    let latency = match unit {
        "ms" => Some(number),
        "us" | "\u{b5}s" | "\u{3bc}s" => Some(number / 1e3),
        "s" => Some(number * 1e3),
        "fps" => Some(1e3 / number),
        _ => None,
    };
    if let Some(ms) = latency {
        return Some((Resource::Latency, Amount::Absolute(ms)));
    }
    if let Some(resource) = counted(unit) {
        return Some((resource, Amount::Absolute(number)));
    }
    let mut rest = unit.chars();
    let factor: f64 = match rest.next()? {
        'k' => 1e3,
        'm' => 1e6,
        'g' => 1e9,
        _ => return None,
    };
    // Kibibytes and their like.
    if let Some(bytes) = rest.as_str().strip_prefix('i').filter(|bytes| bytes.starts_with('b')) {
        let binary = 1024f64.powf(factor.log10() / 3.0);
        return Some((counted(bytes)?, Amount::Absolute(number * binary)));
    }
    Some((counted(rest.as_str())?, Amount::Absolute(number * factor)))
}

/// The resources that are counted and not timed, singular or plural.
fn counted(unit: &str) -> Option<Resource> {
    match unit {
        "mac" | "macs" => Some(Resource::Macs),
        "param" | "params" => Some(Resource::Params),
        "b" | "byte" | "bytes" => Some(Resource::Bytes),
        "bpeak" | "b peak" => Some(Resource::Memory),
        _ => None,
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Budget {
    type Error = BudgetError;

    fn try_from(text: String) -> Result<Self, BudgetError> {
        text.parse()
    }
}

impl From<Budget> for String {
    fn from(budget: Budget) -> Self {
        budget.text
    }
}
