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

impl Stream {
    /// `count` of the numbers 0..`of`, none twice, in random order; all of them, if there are no more.
    pub fn draw(self, count: usize, of: usize) -> Vec<usize> {
        let mut keyed: Vec<(f64, usize)> = (0..of).map(|index| (self.uniform(index as u64), index)).collect();
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        keyed.into_iter().take(count).map(|(_, index)| index).collect()
    }
}

/// Attempts to draw from a Gamma distribution. One is rejected once in twenty times at most, so the last is never reached.
const ATTEMPTS: u64 = 16;

impl Stream {
    /// The normal number at `index`, of mean 0 and variance 1 (Box & Muller).
    pub fn normal(self, index: u64) -> f64 {
        let [radius, angle] = [0, 1].map(|part| self.uniform(2 * index + part));
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }

    /// The number at `index` from the Gamma distribution of this shape above 0 and rate 1 (Marsaglia & Tsang 2000; for shapes
    /// below 1 from the next one up, which is also right above).
    pub fn gamma(self, index: u64, shape: f64) -> f64 {
        let d = shape + 1.0 - 1.0 / 3.0;
        let c = (9.0 * d).sqrt().recip();
        let first = index * (ATTEMPTS + 1);
        // Normal and uniform numbers come from streams of their own, because both begin at index 0.
        let (normals, uniforms) = (Self { key: mix(self.key) }, Self { key: mix(!self.key) });
        let attempt = |attempt: u64| {
            let x = normals.normal(first + attempt);
            let v = (1.0 + c * x).powi(3);
            let accepted = v > 0.0 && uniforms.uniform(first + attempt).ln() < 0.5 * x * x + d - d * v + d * v.ln();
            accepted.then_some(d * v)
        };
        let of_next = (0..ATTEMPTS).find_map(attempt).unwrap_or(d);
        of_next * uniforms.uniform(first + ATTEMPTS).powf(1.0 / shape)
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

    #[test]
    fn normal_and_gamma_numbers_have_their_moments() {
        let n = 40_000u64;
        let moments = |draw: &dyn Fn(u64) -> f64| {
            let mean = (0..n).map(draw).sum::<f64>() / n as f64;
            (mean, (0..n).map(|i| (draw(i) - mean).powi(2)).sum::<f64>() / n as f64)
        };
        let stream = Stream::new(7, "numbers");
        let (mean, variance) = moments(&|i| stream.normal(i));
        assert!(mean.abs() < 0.015 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        for shape in [0.2, 1.0, 2.5] {
            let (mean, variance) = moments(&|i| stream.gamma(i, shape));
            assert!((mean / shape - 1.0).abs() < 0.04 && (variance / shape - 1.0).abs() < 0.12, "{mean} {variance}");
            let below = (0..n).filter(|&i| stream.gamma(i, shape) < 0.1).count() as f64 / n as f64;
            // P(0.2, 0.1), P(1, 0.1) and P(2.5, 0.1), the regularized lower incomplete Gamma function.
            let expected = [(0.2, 0.67602), (1.0, 0.09516), (2.5, 0.00089)].iter().find(|known| known.0 == shape);
            assert!((below - expected.unwrap().1).abs() < 0.008, "shape {shape}: {below}");
        }
    }
}
