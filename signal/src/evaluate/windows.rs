//! Scores of parts of recordings.

use std::ops::Range;

use rayon::prelude::*;

use super::scores::{Order, Scores, evaluate};
use crate::Result;

/// The whole windows of `length` samples, one every `hop`, of a recording of so many samples. Samples after the last whole window
/// are in none. Without a length or a hop there is none.
///
/// ```
/// use partwise_signal::evaluate::windows;
///
/// assert_eq!(windows(10, 4, 3), [0..4, 3..7, 6..10]);
/// assert!(windows(3, 4, 4).is_empty());
/// ```
pub fn windows(samples: usize, length: usize, hop: usize) -> Vec<Range<usize>> {
    if length == 0 || hop == 0 || length > samples {
        return Vec::new();
    }
    (0..=samples - length).step_by(hop).map(|start| start..start + length).collect()
}

/// Scores every window of estimates by itself, as [`evaluate`] scores recordings: estimate j against reference j, with filters that
/// are found in this window. So it is in `bss_eval_sources_framewise` of mir_eval, and in museval's mode `v3`. Returns the scores of
/// all sources in each window. A window is cut where the recording ends. `watch` is called before every window, from any thread; its
/// error ends the work.
///
/// Where a reference or an estimate is silent, its undefined measures are NaN; other sources of the window have scores.
///
/// # Errors
/// Those of [`evaluate`] and of `watch`; a window beyond the end is empty.
pub fn evaluate_windows(
    references: &[Vec<Vec<f64>>],
    estimates: &[Vec<Vec<f64>>],
    windows: &[Range<usize>],
    watch: impl Fn() -> Result<()> + Sync,
) -> Result<Vec<Vec<Scores>>> {
    let of_window = |window: &Range<usize>| {
        watch()?;
        let cut = |signals: &[Vec<Vec<f64>>]| -> Vec<Vec<Vec<f64>>> {
            let channel =
                |channel: &Vec<f64>| channel[window.start.min(channel.len())..window.end.min(channel.len())].to_vec();
            signals.iter().map(|signal| signal.iter().map(channel).collect()).collect()
        };
        evaluate(&cut(references), &cut(estimates), None, Order::Given)
    };
    windows.par_iter().map(of_window).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    /// A sound that repeats only after long.
    fn sound(seed: usize, samples: usize) -> Vec<f64> {
        (0..samples).map(|n| ((seed + 7 * n * n + n) % 101) as f64 / 101.0 - 0.5).collect()
    }

    #[test]
    fn windows_are_whole() {
        assert_eq!(windows(9, 3, 3), [0..3, 3..6, 6..9]);
        assert_eq!(windows(11, 3, 4), [0..3, 4..7, 8..11]);
        assert_eq!(windows(4, 4, 9).len(), 1);
        assert!(windows(0, 1, 1).is_empty() && windows(5, 0, 1).is_empty() && windows(5, 1, 0).is_empty());
    }

    #[test]
    fn a_window_scores_as_it_does_alone() {
        let references = [vec![sound(1, 3000)], vec![sound(50, 3000)]];
        let mixed = |a: usize, b: usize| -> Vec<Vec<f64>> {
            vec![references[a][0].iter().zip(&references[b][0]).map(|(a, b)| a + 0.2 * b).collect()]
        };
        let estimates = [mixed(0, 1), mixed(1, 0)];
        let of_windows = evaluate_windows(&references, &estimates, &[0..1500, 1500..3000], || Ok(())).unwrap();
        assert_eq!((of_windows.len(), of_windows[0].len()), (2, 2));
        let half = |signals: &[Vec<Vec<f64>>]| -> Vec<Vec<Vec<f64>>> {
            signals.iter().map(|signal| vec![signal[0][1500..].to_vec()]).collect()
        };
        let alone = evaluate(&half(&references), &half(&estimates), None, Order::Given).unwrap();
        for (window, alone) in of_windows[1].iter().zip(&alone) {
            assert_eq!(window.measures, alone.measures);
        }
        assert!(of_windows[0][0].measures != of_windows[1][0].measures);
    }

    #[test]
    fn silence_in_a_window_leaves_the_others_their_scores() {
        let mut references = [vec![sound(1, 2000)], vec![sound(50, 2000)]];
        references[0][0][..1000].fill(0.0);
        let estimates = [vec![sound(3, 2000)], vec![sound(50, 2000)]];
        let found = evaluate_windows(&references, &estimates, &windows(2000, 1000, 1000), || Ok(())).unwrap();
        assert!(found[0][0].measures.si_sdr.is_nan() && found[0][0].measures.sdr.is_nan());
        assert!(found[0][1].measures.snr == f64::INFINITY && found[1][0].measures.sdr.is_finite());
    }

    #[test]
    fn a_watcher_ends_the_work_and_a_window_beyond_the_end_is_refused() {
        let signals = [vec![sound(1, 600)]];
        let ended = evaluate_windows(&signals, &signals, &[0..300, 300..600], || Err(Error::Cancelled));
        assert!(matches!(ended, Err(Error::Cancelled)));
        assert!(evaluate_windows(&signals, &signals, std::slice::from_ref(&(600..900)), || Ok(())).is_err());
    }
}
