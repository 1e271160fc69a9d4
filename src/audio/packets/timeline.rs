//! Samples on their way from packets to blocks: each at its time.

use std::collections::VecDeque;

/// The most samples of a channel in a block.
const BLOCK: usize = 1 << 16;
/// The longest gap that is believed, in samples: an hour and a half at 48 kHz. A longer one is a broken number.
const MAX_GAP: u64 = 1 << 28;
/// So many gaps are told one by one.
const TOLD: usize = 5;

/// Samples that were decoded and not given yet, with silence where some were lost.
pub(super) struct Timeline {
    channels: usize,
    sample_rate: u32,
    ready: VecDeque<Run>,
    /// Samples of each channel in `ready`.
    waiting: u64,
    /// Samples before the next one that is put on.
    position: u64,
    /// Samples that the next blocks lack at their start: the delay of an encoder.
    skip: u64,
    /// The last so many samples are not given before it is known whether they are meant.
    held: u64,
    /// Blocks whose memory can be used again.
    spare: Vec<Vec<Vec<f32>>>,
    /// Where gaps are, the first ones; how many there are, and how many samples they have.
    gaps: Vec<u64>,
    gap_count: u64,
    lost: u64,
}

enum Run {
    Samples(Vec<Vec<f32>>),
    Silence(u64),
}

impl Timeline {
    pub(super) fn new(channels: usize, sample_rate: u32) -> Self {
        Self {
            channels,
            sample_rate,
            ready: VecDeque::new(),
            waiting: 0,
            position: 0,
            skip: 0,
            held: 0,
            spare: Vec::new(),
            gaps: Vec::new(),
            gap_count: 0,
            lost: 0,
        }
    }

    /// Samples put on so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Leaves out the next `count` samples that are put on.
    pub(super) fn skip(&mut self, count: u64) {
        self.skip = count;
    }

    /// Keeps the last `count` samples back from now on, until [`release`](Self::release).
    pub(super) fn hold(&mut self, count: u64) {
        self.held = count;
    }

    /// Gives what was held back, or takes it away.
    pub(super) fn release(&mut self, wanted: bool) {
        let mut unwanted = if wanted { 0 } else { self.held.min(self.waiting) };
        self.held = 0;
        (self.waiting, self.position) = (self.waiting - unwanted, self.position - unwanted);
        while unwanted > 0 {
            let Some(run) = self.ready.back_mut() else { break };
            let cut = run.len().min(unwanted);
            run.shorten(run.len() - cut);
            unwanted -= cut;
            if run.len() == 0 {
                self.ready.pop_back();
            }
        }
    }

    /// An empty block (C, 0) to decode into.
    pub(super) fn block(&mut self) -> Vec<Vec<f32>> {
        self.spare.pop().unwrap_or_else(|| vec![Vec::new(); self.channels])
    }

    /// Puts on samples (C, n).
    pub(super) fn put(&mut self, mut block: Vec<Vec<f32>>) {
        let length = block.first().map_or(0, Vec::len);
        let skipped = self.skip.min(length as u64) as usize;
        self.skip -= skipped as u64;
        if skipped > 0 {
            block.iter_mut().for_each(|channel| drop(channel.drain(..skipped)));
        }
        let length = length - skipped;
        if length == 0 {
            self.spare.push(block);
        } else if length <= BLOCK {
            self.append(Run::Samples(block));
        } else {
            for start in (0..length).step_by(BLOCK) {
                let part = start..length.min(start + BLOCK);
                self.append(Run::Samples(block.iter().map(|channel| channel[part.clone()].to_vec()).collect()));
            }
        }
    }

    /// Puts silence in the place of `count` samples that were lost. False where nobody can have lost so many.
    pub(super) fn gap(&mut self, count: u64) -> bool {
        if count > MAX_GAP {
            return false;
        }
        let heard = count - self.skip.min(count);
        self.skip -= count - heard;
        if heard > 0 {
            if self.gaps.len() < TOLD {
                self.gaps.push(self.position);
            }
            self.gap_count += 1;
            self.lost += heard;
            self.append(Run::Silence(heard));
        }
        true
    }

    fn append(&mut self, run: Run) {
        self.waiting += run.len();
        self.position += run.len();
        self.ready.push_back(run);
    }

    /// Replaces `block` by the next samples; false where there are none to give.
    pub(super) fn next(&mut self, block: &mut Vec<Vec<f32>>) -> bool {
        let Some(front) = self.ready.front() else { return false };
        // Of what is held back in part, all waits; at the end nothing is.
        if self.held > 0 && self.waiting - front.len() < self.held {
            return false;
        }
        match self.ready.pop_front() {
            Some(Run::Samples(mut samples)) => {
                std::mem::swap(block, &mut samples);
                self.waiting -= block.first().map_or(0, Vec::len) as u64;
                samples.resize_with(self.channels, Vec::new);
                self.spare.push(samples);
            }
            Some(Run::Silence(count)) => {
                let now = count.min(BLOCK as u64);
                if count > now {
                    self.ready.push_front(Run::Silence(count - now));
                }
                self.waiting -= now;
                for channel in block {
                    channel.clear();
                    channel.resize(now as usize, 0.0);
                }
            }
            None => return false,
        }
        true
    }

    /// What there is to say of the gaps.
    pub(super) fn warning(&self) -> Option<String> {
        if self.gap_count == 0 {
            return None;
        }
        let seconds = |samples: u64| samples as f64 / f64::from(self.sample_rate);
        let (lost, places) = (self.lost, self.gaps.iter().map(|&at| format!("{:.3} s", seconds(at))));
        let mut places = places.collect::<Vec<_>>().join(", ");
        if self.gap_count > self.gaps.len() as u64 {
            places += &format!(" and {} more places", self.gap_count - self.gaps.len() as u64);
        }
        Some(format!("damaged: {lost} samples ({:.3} s) are lost and silent, at {places}", seconds(lost)))
    }
}

impl Run {
    fn len(&self) -> u64 {
        match self {
            Self::Samples(block) => block.first().map_or(0, Vec::len) as u64,
            Self::Silence(count) => *count,
        }
    }

    fn shorten(&mut self, to: u64) {
        match self {
            Self::Samples(block) => block.iter_mut().for_each(|channel| channel.truncate(to as usize)),
            Self::Silence(count) => *count = to,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(line: &mut Timeline) -> Vec<f32> {
        let (mut samples, mut block) = (Vec::new(), vec![Vec::new()]);
        while line.next(&mut block) {
            assert!((1..=BLOCK).contains(&block[0].len()));
            samples.extend_from_slice(&block[0]);
        }
        samples
    }

    #[test]
    fn what_follows_a_gap_keeps_its_time() {
        let mut line = Timeline::new(1, 1000);
        line.put(vec![vec![1.0; 3]]);
        assert!(line.gap(2));
        line.put(vec![vec![2.0]]);
        assert_eq!(all(&mut line), [1.0, 1.0, 1.0, 0.0, 0.0, 2.0]);
        let warning = line.warning().unwrap();
        assert_eq!(warning, "damaged: 2 samples (0.002 s) are lost and silent, at 0.003 s");
        assert!(!line.gap(MAX_GAP + 1));
        (0..6).for_each(|_| assert!(line.gap(1)));
        let warning = line.warning().unwrap();
        assert!(warning.ends_with("0.003 s, 0.006 s, 0.007 s, 0.008 s, 0.009 s and 2 more places"), "{warning}");
    }

    #[test]
    fn delay_is_left_out_and_padding_held_back_until_it_is_known() {
        for (wanted, expected) in [(true, &[2.0, 2.0, 3.0, 3.0][..]), (false, &[2.0])] {
            let mut line = Timeline::new(1, 1000);
            line.skip(5);
            line.hold(3);
            line.put(vec![vec![1.0; 3]]);
            line.put(vec![vec![1.0, 1.0, 2.0, 2.0]]);
            assert!(all(&mut line).is_empty());
            line.put(vec![vec![3.0, 3.0]]);
            line.release(wanted);
            assert_eq!(all(&mut line), expected);
            assert_eq!((line.position(), line.warning()), (expected.len() as u64, None));
        }
    }

    #[test]
    fn blocks_are_of_bounded_length() {
        let mut line = Timeline::new(1, 1000);
        line.put(vec![vec![1.0; 2 * BLOCK + 1]]);
        assert!(line.gap(BLOCK as u64 + 1));
        let samples = all(&mut line);
        assert_eq!((samples.len(), samples.iter().sum::<f32>()), (3 * BLOCK + 2, (2 * BLOCK + 1) as f32));
    }
}
