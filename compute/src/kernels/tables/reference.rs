//! Functions in f64: themselves, not their tables.

use ndarray::Array2;

use super::{Table, Tables};
use crate::Result;
use crate::cubics::LEAST;
use crate::engine::Reference;

impl Tables for Reference {
    fn apply(&self, table: &Table<Vec<Array2<f64>>>, numbers: &Vec<Array2<f64>>) -> Result<Vec<Array2<f64>>> {
        let f = |z: f64| table.of.exact(z.max(f64::from(LEAST)));
        Ok(numbers.iter().map(|numbers| numbers.mapv(f)).collect())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::cubics::End;

    #[test]
    fn functions_equal_hand_computed_ones() {
        let table = Table::new(&Reference, f64::sqrt, [End::Power(0.5); 2]).unwrap();
        let got = Reference.apply(&table, &vec![array![[4.0, 9.0]], array![[0.25]]]).unwrap();
        assert_eq!(got, [array![[2.0, 3.0]], array![[0.5]]]);
    }
}
