//! Queues decoded samples at their time, on the way from packets to blocks.

use std::collections::VecDeque;

/// The most samples per channel in a block.
const BLOCK: usize = 1 << 16;
/// The longest plausible gap in samples: an hour and a half at 48 kHz. A longer one comes from a broken number.
const MAX_GAP: u64 = 1 << 28;
/// The most gaps that a warning lists one by one.
const TOLD: usize = 5;

/// The queue of decoded samples, with silence in place of lost ones.
pub(super) struct Timeline {
    channels: usize,
    sample_rate: u32,
    ready: VecDeque<Run>,
    /// Samples per channel in `ready`.
    waiting: u64,
    /// Samples put on the timeline so far.
    position: u64,
    /// Samples to drop from the next blocks: the encoder delay.
    skip: u64,
    /// The last `held` samples stay in the queue until it is known whether they are padding.
    held: u64,
    /// Blocks whose memory can be reused.
    spare: Vec<Vec<Vec<f32>>>,
    /// Positions of the first gaps; the number of gaps; the total of lost samples.
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

    /// Samples put on the timeline so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Drops the next `count` samples.
    pub(super) fn skip(&mut self, count: u64) {
        self.skip = count;
    }

    /// Holds the last `count` samples back until [`release`](Self::release).
    pub(super) fn hold(&mut self, count: u64) {
        self.held = count;
    }

    /// Releases the held samples if `wanted`, or else drops them.
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

    /// An empty block (C, 0) to decode into, with recycled memory.
    pub(super) fn block(&mut self) -> Vec<Vec<f32>> {
        self.spare.pop().unwrap_or_else(|| vec![Vec::new(); self.channels])
    }

    /// Appends samples (C, n).
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

    /// Appends silence for `count` lost samples. Returns false if the gap is implausibly long.
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

    /// Replaces `block` by the next samples. Returns false if none are available.
    pub(super) fn next(&mut self, block: &mut Vec<Vec<f32>>) -> bool {
        let Some(front) = self.ready.front() else { return false };
        // A run that is held back in part waits as a whole. At the end nothing is held.
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

    /// The warning about all gaps.
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
        Some(format!("damaged: {lost} samples ({:.3} s) are lost and became silence, at {places}", seconds(lost)))
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
    fn samples_after_a_gap_keep_their_time() {
        let mut line = Timeline::new(1, 1000);
        line.put(vec![vec![1.0; 3]]);
        assert!(line.gap(2));
        line.put(vec![vec![2.0]]);
        assert_eq!(all(&mut line), [1.0, 1.0, 1.0, 0.0, 0.0, 2.0]);
        let warning = line.warning().unwrap();
        assert_eq!(warning, "damaged: 2 samples (0.002 s) are lost and became silence, at 0.003 s");
        assert!(!line.gap(MAX_GAP + 1));
        (0..6).for_each(|_| assert!(line.gap(1)));
        let warning = line.warning().unwrap();
        assert!(warning.ends_with("0.003 s, 0.006 s, 0.007 s, 0.008 s, 0.009 s and 2 more places"), "{warning}");
    }

    #[test]
    fn delay_is_dropped_and_padding_is_held_until_release() {
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
    fn blocks_have_a_bounded_length() {
        let mut line = Timeline::new(1, 1000);
        line.put(vec![vec![1.0; 2 * BLOCK + 1]]);
        assert!(line.gap(BLOCK as u64 + 1));
        let samples = all(&mut line);
        assert_eq!((samples.len(), samples.iter().sum::<f32>()), (3 * BLOCK + 2, (2 * BLOCK + 1) as f32));
    }
}
