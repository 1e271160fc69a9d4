//! Random numbers for initial factors. The generator is counter-based: a value depends only on the seed, the stream and
//! its index, not on the engine, the thread or the order of calls.

/// A stream of random numbers for one array. Streams with different names are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    key: u64,
}

impl Stream {
    /// The stream `name` of a run with this `seed`.
    pub fn new(seed: u64, name: &str) -> Self {
        let key = name.bytes().fold(mix(seed), |key, byte| mix(key ^ u64::from(byte)));
        Self { key }
    }

    /// The uniform number at `index`, in (0, 1): 24 bits, exact in f32, never 0.
    pub fn uniform(self, index: u64) -> f64 {
        let bits = mix(self.key ^ mix(index)) >> 40;
        (bits as f64 + 0.5) / (1u64 << 24) as f64
    }
}

/// The finalizer of SplitMix64 (Steele, Lea & Flood 2014) after one step of its Weyl sequence.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mix_is_splitmix64() {
        // The first outputs of SplitMix64 with seed 0, printed by its authors' code.
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn uniform_numbers_are_uniform_and_streams_differ() {
        let (a, b) = (Stream::new(0, "bases"), Stream::new(0, "gains"));
        let n = 20_000u64;
        let mean = (0..n).map(|i| a.uniform(i)).sum::<f64>() / n as f64;
        let variance = (0..n).map(|i| (a.uniform(i) - mean).powi(2)).sum::<f64>() / n as f64;
        let covariance = (0..n).map(|i| (a.uniform(i) - 0.5) * (b.uniform(i) - 0.5)).sum::<f64>() / n as f64;
        assert!((mean - 0.5).abs() < 0.01 && (variance - 1.0 / 12.0).abs() < 0.002 && covariance.abs() < 0.003);
        assert!((0..n).all(|i| a.uniform(i) > 0.0 && a.uniform(i) < 1.0));
        assert_ne!(Stream::new(1, "bases"), a);
    }
}
