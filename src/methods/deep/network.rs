//! Φ as a network of u = log r: two gated linear units with ELU, and a linear output (figure 3).
//!
//! z₁ = ELU(G₁(u)) of 16, z₂ = ELU(G₂(z₁)) of 16, Φ = w₃ᵀ z₂ + b₃, with G(x) = (A x + b) ∘ σ(C x + d).
//! θ has 625 numbers: A₁ (16, 1), b₁, C₁, d₁, A₂ (16, 16), b₂, C₂, d₂, w₃, b₃, rows first.

use crate::random::Stream;

/// Units of a layer.
const UNITS: usize = 16;
/// Numbers of a gated layer of `inputs`.
const fn gated(inputs: usize) -> usize {
    2 * UNITS * (inputs + 1)
}
/// Numbers of the network.
pub(super) const PARAMETERS: usize = gated(1) + gated(UNITS) + UNITS + 1;

/// A gated layer with ELU.
struct Layer<'a> {
    inputs: usize,
    /// A (units, inputs), b, C (units, inputs), d.
    a: &'a [f64],
    b: &'a [f64],
    c: &'a [f64],
    d: &'a [f64],
}

/// What a layer computed of one input.
#[derive(Default)]
struct Passed {
    /// A x + b.
    linear: [f64; UNITS],
    /// σ(C x + d).
    gate: [f64; UNITS],
    /// ELU of their product.
    out: [f64; UNITS],
    /// The slope of ELU there.
    bend: [f64; UNITS],
}

impl<'a> Layer<'a> {
    /// The layer that begins at `theta`, and the rest of it.
    fn split(theta: &'a [f64], inputs: usize) -> (Self, &'a [f64]) {
        let (a, rest) = theta.split_at(UNITS * inputs);
        let (b, rest) = rest.split_at(UNITS);
        let (c, rest) = rest.split_at(UNITS * inputs);
        let (d, rest) = rest.split_at(UNITS);
        (Self { inputs, a, b, c, d }, rest)
    }

    fn pass(&self, x: &[f64]) -> Passed {
        let mut passed = Passed::default();
        let sum = |weights: &[f64], bias: f64| weights.iter().zip(x).fold(bias, |sum, (w, x)| sum + w * x);
        for unit in 0..UNITS {
            let row = unit * self.inputs..(unit + 1) * self.inputs;
            let (linear, gate) = (sum(&self.a[row.clone()], self.b[unit]), sigmoid(sum(&self.c[row], self.d[unit])));
            let product = linear * gate;
            passed.linear[unit] = linear;
            passed.gate[unit] = gate;
            passed.out[unit] = if product > 0.0 { product } else { product.exp_m1() };
            passed.bend[unit] = if product > 0.0 { 1.0 } else { product.exp() };
        }
        passed
    }

    /// The slope of the output along a direction of the input.
    fn along(&self, passed: &Passed, direction: &[f64]) -> [f64; UNITS] {
        let sum = |weights: &[f64]| weights.iter().zip(direction).map(|(w, x)| w * x).sum::<f64>();
        std::array::from_fn(|unit| {
            let row = unit * self.inputs..(unit + 1) * self.inputs;
            let (linear, gate) = (passed.linear[unit], passed.gate[unit]);
            let of_gate = gate * (1.0 - gate) * sum(&self.c[row.clone()]);
            passed.bend[unit] * (sum(&self.a[row]) * gate + linear * of_gate)
        })
    }

    /// Adds the adjoint of the layer's numbers to `to`, and returns that of its input x.
    fn reverse(&self, x: &[f64], passed: &Passed, of_out: &[f64; UNITS], to: &mut [f64]) -> Vec<f64> {
        let mut of_input = vec![0.0; self.inputs];
        let matrix = UNITS * self.inputs;
        for unit in 0..UNITS {
            let of_product = of_out[unit] * passed.bend[unit];
            let (linear, gate) = (passed.linear[unit], passed.gate[unit]);
            let (of_linear, of_gate) = (of_product * gate, of_product * linear * gate * (1.0 - gate));
            for (input, &x) in x.iter().enumerate() {
                let at = unit * self.inputs + input;
                to[at] += of_linear * x;
                to[matrix + UNITS + at] += of_gate * x;
                of_input[input] += self.a[at] * of_linear + self.c[at] * of_gate;
            }
            to[matrix + unit] += of_linear;
            to[2 * matrix + UNITS + unit] += of_gate;
        }
        of_input
    }
}

fn sigmoid(x: f64) -> f64 {
    let small = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + small) } else { small / (1.0 + small) }
}

/// [Φ, dΦ/du] at u = log r.
pub(super) fn curve(theta: &[f64], u: f64) -> [f64; 2] {
    let (first, rest) = Layer::split(theta, 1);
    let (second, rest) = Layer::split(rest, UNITS);
    let (z1, dot) = (first.pass(&[u]), |z: &[f64; UNITS]| rest.iter().zip(z).map(|(w, z)| w * z).sum::<f64>());
    let z2 = second.pass(&z1.out);
    let slopes = second.along(&z2, &first.along(&z1, &[1.0]));
    [dot(&z2.out) + rest[UNITS], dot(&slopes)]
}

/// Adds `weight` dΦ/dθ at u to `gradient`.
pub(super) fn add_gradient(theta: &[f64], u: f64, weight: f64, gradient: &mut [f64]) {
    let (first, rest) = Layer::split(theta, 1);
    let (second, rest) = Layer::split(rest, UNITS);
    let z1 = first.pass(&[u]);
    let z2 = second.pass(&z1.out);
    let (of_first, of_rest) = gradient.split_at_mut(gated(1));
    let (of_second, of_output) = of_rest.split_at_mut(gated(UNITS));
    of_output.iter_mut().zip(&z2.out).for_each(|(to, z)| *to += weight * z);
    of_output[UNITS] += weight;
    let of_z2 = std::array::from_fn(|unit| weight * rest[unit]);
    let of_z1 = second.reverse(&z1.out, &z2, &of_z2, of_second);
    let of_z1: [f64; UNITS] = std::array::from_fn(|unit| of_z1[unit]);
    first.reverse(&[u], &z1, &of_z1, of_first);
}

/// Random numbers of a network: uniform between ±1/√(inputs) of each layer.
pub(super) fn random(seed: u64) -> Vec<f64> {
    let stream = Stream::new(seed, "network");
    let bound = |at: usize| if at < gated(1) { 1.0 } else { 1.0 / (UNITS as f64).sqrt() };
    (0..PARAMETERS).map(|at| bound(at) * (2.0 * stream.uniform(at as u64) - 1.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_and_gradients_are_those_of_finite_differences() {
        let theta = random(3);
        for u in [-25.0, -3.0, -0.2, 0.0, 1.7, 20.0] {
            let step = 1e-5;
            let slope = (curve(&theta, u + step)[0] - curve(&theta, u - step)[0]) / (2.0 * step);
            assert!((slope - curve(&theta, u)[1]).abs() < 1e-8, "at {u}");
            let mut gradient = vec![0.0; PARAMETERS];
            add_gradient(&theta, u, 2.5, &mut gradient);
            for at in 0..PARAMETERS {
                let moved = |by: f64| {
                    let mut theta = theta.clone();
                    theta[at] += by;
                    curve(&theta, u)[0]
                };
                let expected = 2.5 * (moved(step) - moved(-step)) / (2.0 * step);
                assert!((gradient[at] - expected).abs() < 1e-6 * (1.0 + expected.abs()), "{at} at {u}");
            }
        }
    }
}
