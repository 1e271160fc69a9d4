//! The search for the best order of estimates.

/// The order, an estimate for each source, with the highest sum of `sir(estimate, source)`; the first of equals.
pub(super) fn best_order(sources: usize, sir: impl Fn(usize, usize) -> f64) -> Vec<usize> {
    // An infinite SIR must not make the sums equal, nor NaN when it meets its opposite.
    let bounded = |sir: f64| if sir.is_nan() { 0.0 } else { sir.clamp(-1e4, 1e4) };
    let mut order: Vec<usize> = (0..sources).collect();
    let mut best = (f64::NEG_INFINITY, order.clone());
    loop {
        let total = order.iter().enumerate().map(|(source, &estimate)| bounded(sir(estimate, source))).sum();
        if total > best.0 {
            best = (total, order.clone());
        }
        if !advance(&mut order) {
            return best.1;
        }
    }
}

/// The lexicographically next order; false after the last.
fn advance(order: &mut [usize]) -> bool {
    let Some(last_rise) = order.windows(2).rposition(|pair| pair[0] < pair[1]) else {
        return false;
    };
    let pivot = order[last_rise];
    if let Some(larger) = order.iter().rposition(|&index| index > pivot) {
        order.swap(last_rise, larger);
    }
    order[last_rise + 1..].reverse();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_order_is_that_of_the_mean() {
        // Greedy would take the 9 and be left with -5; the sum is best across.
        let table = [[9.0, 8.0], [7.0, -5.0]];
        assert_eq!(best_order(2, |estimate, source| table[estimate][source]), [1, 0]);
        assert_eq!(best_order(3, |_, _| 1.0), [0, 1, 2], "the first of equals");
        let table = [[f64::NAN, f64::NAN], [2.0, 3.0]];
        assert_eq!(best_order(2, |estimate, source| table[estimate][source]), [0, 1], "silence takes what is left");
        let table = [[f64::NEG_INFINITY, f64::INFINITY], [5.0, f64::NEG_INFINITY]];
        assert_eq!(best_order(2, |estimate, source| table[estimate][source]), [1, 0]);
    }

    #[test]
    fn every_order_is_tried_once() {
        let (mut order, mut count) = (vec![0, 1, 2, 3], 1);
        while advance(&mut order) {
            count += 1;
        }
        assert_eq!((count, order), (24, vec![3, 2, 1, 0]));
    }
}
