//! Means and medians of measures.

use super::scores::Measures;

/// The mean of each measure over those that are finite. If none is, that of the infinite ones; NaN if all are undefined.
pub fn mean<'a>(all: impl Iterator<Item = &'a Measures> + Clone) -> Measures {
    Measures::each(|measure| {
        let defined: Vec<f64> = all.clone().map(measure).filter(|value| !value.is_nan()).collect();
        let finite: Vec<f64> = defined.iter().copied().filter(|value| value.is_finite()).collect();
        let counted = if finite.is_empty() { defined } else { finite };
        counted.iter().sum::<f64>() / counted.len() as f64
    })
}

/// The median of each measure over those that are defined: the mean of the middle two of an even number. Infinite ones count by
/// their place. NaN if all are undefined.
pub fn median<'a>(all: impl Iterator<Item = &'a Measures> + Clone) -> Measures {
    Measures::each(|measure| {
        let mut defined: Vec<f64> = all.clone().map(measure).filter(|value| !value.is_nan()).collect();
        defined.sort_by(f64::total_cmp);
        match defined.len() {
            0 => f64::NAN,
            count if count % 2 == 1 => defined[count / 2],
            count => 0.5 * (defined[count / 2 - 1] + defined[count / 2]),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measures(snr: f64, sdr: f64) -> Measures {
        Measures { snr, sdr, si_sdr: 1.0, sir: f64::INFINITY, sar: f64::NAN }
    }

    #[test]
    fn means_leave_out_what_is_not_finite_unless_all_is_infinite() {
        let all = [measures(1.0, f64::NAN), measures(2.0, 4.0), measures(f64::INFINITY, 8.0)];
        let mean = mean(all.iter());
        assert_eq!((mean.snr, mean.sdr, mean.si_sdr, mean.sir), (1.5, 6.0, 1.0, f64::INFINITY));
        assert!(mean.sar.is_nan() && super::mean([].iter()).snr.is_nan());
    }

    #[test]
    fn medians_are_of_what_is_defined_by_its_place() {
        let all = [measures(1.0, f64::NAN), measures(f64::INFINITY, 9.0), measures(2.0, 4.0), measures(3.0, 8.0)];
        let found = median(all.iter());
        assert_eq!((found.snr, found.sdr, found.si_sdr, found.sir), (2.5, 8.0, 1.0, f64::INFINITY));
        assert!(found.sar.is_nan() && median([].iter()).snr.is_nan());
        assert_eq!(median([measures(f64::NEG_INFINITY, 1.0), measures(f64::INFINITY, 3.0)].iter()).sdr, 2.0);
    }
}
