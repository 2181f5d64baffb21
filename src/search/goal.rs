//! What one network has to keep: one budget, or several of different resources at once.

use super::budget::{Budget, BudgetError, Resource};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Between the budgets of a goal, as it is written down: `8ms + 2MB`.
const AND: &str = " + ";

/// Budgets that must hold together; serialized as they are written, `8ms + 2MB`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Goal {
    /// What the search measures its steps by: the latency, where one is limited.
    main: Budget,
    others: Vec<Budget>,
}

impl Goal {
    /// The budget that the steps of a search are measured by: of the latency where it is limited, else the first.
    pub fn main(&self) -> &Budget {
        &self.main
    }

    /// The budgets beside it, of resources that are counted.
    pub fn others(&self) -> &[Budget] {
        &self.others
    }

    /// The goals that lists of budgets ask for, each list from a flag of its own: `["8ms,4ms", "2MB"]` are two networks,
    /// both within 2 MB.
    ///
    /// # Errors
    /// `BudgetError` for what is no budget, for two lists of one resource, and for two lists of several budgets.
    pub fn parse_all(lists: &[impl AsRef<str>]) -> Result<Vec<Self>, BudgetError> {
        let lists: Vec<Vec<Budget>> =
            lists.iter().map(|list| Budget::parse_list(list.as_ref())).collect::<Result<_, _>>()?;
        let mut several = lists.iter().filter(|list| list.len() > 1);
        if let (Some(first), Some(second)) = (several.next(), several.next()) {
            return Err(BudgetError::Lists { first: joined(first), second: joined(second) });
        }
        let count = lists.iter().map(Vec::len).max().unwrap_or(0);
        let at = |list: &Vec<Budget>, index: usize| list[index.min(list.len() - 1)].clone();
        (0..count).map(|index| Self::of(lists.iter().map(|list| at(list, index)).collect())).collect()
    }

    /// Budgets of different resources; there is at least one.
    fn of(mut budgets: Vec<Budget>) -> Result<Self, BudgetError> {
        for (index, budget) in budgets.iter().enumerate() {
            if let Some(other) = budgets[..index].iter().find(|other| other.resource() == budget.resource()) {
                let [first, second] = [other, budget].map(ToString::to_string);
                return Err(BudgetError::Repeated { resource: budget.resource(), first, second });
            }
        }
        // Only a latency is measured; what is counted can be limited beside anything.
        let main = budgets.iter().position(|budget| budget.resource() == Resource::Latency).unwrap_or(0);
        Ok(Self { main: budgets.remove(main), others: budgets })
    }
}

fn joined(budgets: &[Budget]) -> String {
    budgets.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

impl FromStr for Goal {
    type Err = BudgetError;

    fn from_str(text: &str) -> Result<Self, BudgetError> {
        Self::of(text.split('+').map(str::parse).collect::<Result<_, _>>()?)
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = std::iter::once(&self.main).chain(&self.others).map(ToString::to_string).collect();
        f.write_str(&texts.join(AND))
    }
}

impl TryFrom<String> for Goal {
    type Error = BudgetError;

    fn try_from(text: String) -> Result<Self, BudgetError> {
        text.parse()
    }
}

impl From<Goal> for String {
    fn from(goal: Goal) -> Self {
        goal.to_string()
    }
}
