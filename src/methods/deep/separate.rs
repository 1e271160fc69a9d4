//! Denoising: the clean recording is what a few components explain, with the phases of the noisy one (15).

use ndarray::{Array2, ArrayView2, Zip};

use crate::Divergence;
use crate::Result;
use crate::engine::cut;
use crate::kernels::{Glue, Momentum, Norm, Products};
use crate::methods::nmf::{self, Learn, Normalization, Order, Updates, random_start};
use crate::methods::separator::{Factors, Held, Request, Separated, Separator};

/// How a recording is denoised.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// What the fit is measured by.
    pub(crate) divergence: Divergence,
    /// K.
    pub(crate) rank: usize,
    /// Updates of both factors.
    pub(crate) iterations: usize,
    /// The seed of the start.
    pub(crate) seed: u64,
    /// The exponent that turns data into powers.
    pub(crate) power_exponent: f64,
}

/// An engine that denoises recordings. A panel is one recording. Its segments are the channels, which share the bases.
pub(crate) struct Denoiser<'a, E> {
    engine: Held<'a, E>,
    settings: &'a Settings,
}

impl<'a, E: Products + Momentum + Glue> Denoiser<'a, E> {
    /// A denoiser on this engine.
    pub(crate) fn new(engine: Held<'a, E>, settings: &'a Settings) -> Self {
        Self { engine, settings }
    }
}

impl<E: Products + Momentum + Glue> Separator for Denoiser<'_, E> {
    fn describe(&self) -> String {
        self.engine.describe()
    }

    fn separate_as(&self, data: ArrayView2<f32>, segments: &[usize], request: &mut Request) -> Result<Separated> {
        let (engine, settings, v) = (&*self.engine, self.settings, data.t());
        let channels = cut(v, segments);
        let options = nmf::Options {
            updates: Updates::Alternating,
            learn: Learn::Both,
            order: Order::BasesFirst,
            normalization: Some(Normalization { norm: Norm::L1, compensate: true }),
            trace_every: 0,
            ..nmf::Options::of(settings.divergence.clone(), settings.iterations)
        };
        let (w, h) = random_start(v, settings.rank, settings.seed);
        let v_on = engine.packed(&channels)?;
        let (mut w, mut h) = (engine.matrix(w.view())?, engine.panel_like(&v_on, h.view())?);
        let of = settings.iterations.max(1) as f64;
        nmf::factorize(engine, &v_on, &mut w, &mut h, &options, |done| request.done(done as f64 / of))?;
        let costs = engine.costs(&v_on, &w, &h, &settings.divergence)?;
        let (w, h): (Array2<f32>, Array2<f32>) = (engine.read_matrix(&w)?, engine.read_panel(&h)?);
        let model = w.dot(&h);
        // A share of the magnitude: (Λ/V)^(1/2) of powers.
        let exponent = (0.5 * settings.power_exponent) as f32;
        let share = |&v: &f32, &lambda: &f32| if v > 0.0 { (lambda / v).powf(exponent) } else { 0.0 };
        let mask = Zip::from(&v).and(&model).map_collect(share);
        let found = request.factors.then(|| {
            let components = 0..w.ncols();
            Factors::plain(w, &h, &[components], segments)
        });
        let iterations = vec![settings.iterations; segments.len()];
        Ok(Separated { masks: vec![mask], costs, iterations, factors: found.into_iter().collect() })
    }

    fn by_segment(&self) -> bool {
        false
    }
}
