//! What the method adds to a model, in memory and in its file.

use std::collections::HashMap;
use std::ops::Range;

use super::options::Orders;
use crate::tensors::Tensors;

const ORDERS: &str = "orders";

/// The orders of which every source has bases. They stand side by side in the bases of the source (F, ΣK).
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// K of each order.
    pub orders: Vec<usize>,
}

impl Learned {
    /// Checks that they fit sources of these names and ranks; an error is the reason alone.
    ///
    /// # Errors
    /// The reason, to stand behind the name of the model.
    pub fn check(&self, sources: &[(&str, usize)]) -> Result<(), String> {
        let orders = Orders(self.orders.clone());
        orders.check().map_err(|reason| format!("has the orders {orders}: {reason}"))?;
        let all: usize = self.orders.iter().sum();
        match sources.iter().find(|(_, rank)| *rank != all) {
            Some((name, rank)) => Err(format!("has {rank} bases of '{name}', and orders of {all} in all")),
            None => Ok(()),
        }
    }

    /// The columns of each order in the bases of a source.
    fn columns(&self) -> impl Iterator<Item = Range<usize>> {
        self.orders.iter().scan(0, |end, order| {
            *end += order;
            Some(*end - order..*end)
        })
    }

    /// The columns of one order; none if it is not there.
    pub(crate) fn columns_of(&self, order: usize) -> Range<usize> {
        let found = self.orders.iter().zip(self.columns()).find(|(known, _)| **known == order);
        found.map_or(0..0, |(_, columns)| columns)
    }

    /// Its text: `orders`, a list of numbers.
    ///
    /// # Errors
    /// Those of JSON.
    pub fn texts(&self) -> serde_json::Result<HashMap<String, String>> {
        Ok(HashMap::from([(ORDERS.to_string(), serde_json::to_string(&self.orders)?)]))
    }

    /// Reads it from the file of a model.
    ///
    /// # Errors
    /// The reason, to stand behind the name of the model.
    pub fn read(file: &Tensors) -> Result<Self, String> {
        Ok(Self { orders: file.json(ORDERS)? })
    }
}
