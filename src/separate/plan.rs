//! From a job's description and a model to all that a separation needs to know.

use ndarray::Array2;

use super::scheme::Scheme;
use super::under_model::UnderModel;
use super::wanted::{RESIDUAL, Wanted};
use crate::engines::AnyEngine;
use crate::job::{Separation, SeparationMethod};
use crate::kernels::{GainPrior, Glue, Mask, Momentum, Shifts, Variational};
use crate::methods::nmf::separate::{FixedBases, Plain};
use crate::methods::separator::{Held, OnEngine, Separator};
use crate::methods::{averaged, committee, deep, discriminative, gain_prior, nmf, nmf2d, rest, sparse};
use crate::model::{Model, Parts, check_name};
use crate::options::MaskChoice;
use crate::recordings::{self, Watch};
use crate::{Error, Result, with_engine};

/// A separation that is ready to begin.
pub struct Plan<'a> {
    /// The description in force: it leaves nothing to the method.
    pub separation: Separation,
    /// What recordings are separated into, and how they are shown to the engine.
    pub scheme: Scheme,
    way: Way<'a>,
}

/// A member of a committee: how its gains are found, and its bases (TF, K) of every source.
type Member<'a> = (&'a committee::Manner, Vec<&'a Array2<f32>>);

/// How panels are separated.
enum Way<'a> {
    Nmf(&'a Model, nmf::separate::Settings),
    Committee(&'a Model, Vec<Member<'a>>, nmf::separate::Settings),
    GainPrior(&'a Model, &'a gain_prior::Learned, gain_prior::separate::Settings),
    Discriminative(&'a Model, &'a discriminative::Learned, nmf::separate::Settings),
    Averaged(&'a Model, &'a averaged::Learned, averaged::separate::Settings),
    Rest(&'a Model, rest::separate::Settings),
    Nmf2d(nmf2d::separate::Settings),
    Denoise(deep::separate::Settings),
}

impl<'a> Plan<'a> {
    /// Plans a separation under a model, or without one. `watch` hears of recordings that the description names and that are
    /// odd.
    ///
    /// # Errors
    /// [`Error::Option`] or [`Error::Input`] names what does not fit, in itself or to the model.
    pub fn new(model: Option<&'a Model>, separation: &Separation, watch: &mut Watch) -> Result<Self> {
        separation.check()?;
        let mut plan = match (model, &separation.method) {
            (model, Some(SeparationMethod::Denoise(own))) => Self::denoise(model, own, separation)?,
            (Some(model), method) => Self::under(model, method.as_ref(), separation)?,
            (None, Some(SeparationMethod::Nmf2d(own))) => Self::nmf2d(own, separation, watch)?,
            (None, Some(method)) => return Err(Error::option("method", format!("{}: needs a model", method.name()))),
            (None, None) => return Err(Error::input("there is no model, and no method that needs none")),
        };
        if separation.follow {
            plan.follow()?;
        }
        plan.wanted().map(|_| plan)
    }

    /// Checks that recordings can be separated before their ends are known.
    ///
    /// # Errors
    /// [`Error::Input`] for a plan that separates recordings as a whole, such as one without a model.
    pub fn check_stream(&self) -> Result<()> {
        match self.scheme.stretch {
            Some(_) => Ok(()),
            None => Err(Error::input(format!(
                "the method {} separates a recording as a whole, and the end of a stream is not known; save it to a file, or use \
                 a model without this method",
                self.method()
            ))),
        }
    }

    /// The name of the method in force.
    fn method(&self) -> &'static str {
        self.separation.method.as_ref().map_or("nmf", |method| method.name())
    }

    /// Makes every frame a stretch of its own.
    fn follow(&mut self) -> Result<()> {
        let tolerance = self.separation.tolerance;
        if self.scheme.stretch.is_none() {
            let method = self.method();
            return Err(Error::option(
                "follow",
                format!("does not go with the method {method}, which separates a recording as a whole; leave it out"),
            ));
        }
        if tolerance > 0.0 {
            return Err(Error::option(
                "tolerance",
                format!(
                    "{tolerance}: does not go with follow, by which every frame takes as long as the others; leave it out"
                ),
            ));
        }
        self.scheme.stretch = Some(1);
        Ok(())
    }

    /// Plans a separation under a model. Its own method is the usual one; plain nmf goes with every model.
    fn under(model: &'a Model, method: Option<&SeparationMethod>, separation: &Separation) -> Result<Self> {
        let mask = separation.mask.of(model.spectrum);
        let names = model.names();
        let gains = |usual| {
            let updates = separation.updates.unwrap_or(usual);
            nmf::separate::Settings::new(Some(updates), separation.iterations, separation.tolerance, mask)
        };
        let sparse = |given: Option<f64>, learned: &sparse::Learned| -> Result<_> {
            let sparsity = given.unwrap_or(learned.sparsity);
            let settings = nmf::separate::Settings { sparsity, ..gains(nmf::Updates::Extrapolated)? };
            Ok((sparse::Separation { sparsity: Some(sparsity) }, settings))
        };
        if let Some(SeparationMethod::Rest(own)) = method {
            return Self::rest(model, own, separation);
        }
        if let ([only], false) = (&model.sources[..], model.parts.has_background()) {
            return Err(Error::input(format!(
                "this model has one source, '{}', and nothing to separate it from; --rest 10 learns what else there is from each \
                 recording",
                only.name
            )));
        }
        let usual = gain_prior::Separation::default();
        let (way, method, settings) = match (method, &model.parts) {
            (None | Some(SeparationMethod::Committee(_) | SeparationMethod::Nmf), Parts::Committee(learned)) => {
                let quality = match method {
                    Some(SeparationMethod::Committee(own)) => own.quality.unwrap_or(committee::Quality::Best),
                    Some(_) => committee::Quality::Fast,
                    None => committee::Quality::Best,
                };
                return Self::committee((model, learned), quality, separation);
            }
            // A model of one set of bases has that set at every quality.
            (Some(SeparationMethod::Nmf), _) | (None | Some(SeparationMethod::Committee(_)), Parts::Nmf) => {
                let settings = gains(nmf::Updates::Extrapolated)?;
                (Way::Nmf(model, settings), SeparationMethod::Nmf, settings)
            }
            (None | Some(SeparationMethod::GainPrior(_)), Parts::GainPrior(learned)) => {
                let own = if let Some(SeparationMethod::GainPrior(own)) = method { own } else { &usual };
                let settings = gain_prior::separate::Settings::new(own, (&names, learned), gains)?;
                let (own, gains) = (settings.options(&names), settings.gains);
                (Way::GainPrior(model, learned, settings), SeparationMethod::GainPrior(own), gains)
            }
            (None | Some(SeparationMethod::Sparse(_)), Parts::Sparse(learned)) => {
                let given = if let Some(SeparationMethod::Sparse(own)) = method { own.sparsity } else { None };
                let (own, settings) = sparse(given, learned)?;
                (Way::Nmf(model, settings), SeparationMethod::Sparse(own), settings)
            }
            (None | Some(SeparationMethod::Discriminative(_)), Parts::Discriminative(learned)) => {
                let given = if let Some(SeparationMethod::Discriminative(own)) = method { own.sparsity } else { None };
                let (own, settings) = sparse(given, &learned.penalty)?;
                let way = match learned.reconstruction[..] {
                    [] => Way::Nmf(model, settings),
                    _ => Way::Discriminative(model, learned, settings),
                };
                (way, SeparationMethod::Discriminative(own), settings)
            }
            (_, Parts::Deep(learned)) if learned.task == deep::Task::Denoise => {
                return Err(Error::input("this model was learned to denoise; use `partwise denoise`"));
            }
            (None | Some(SeparationMethod::Deep), Parts::Deep(_)) => {
                let settings = gains(nmf::Updates::Extrapolated)?;
                (Way::Nmf(model, settings), SeparationMethod::Deep, settings)
            }
            (None | Some(SeparationMethod::Averaged(_)), Parts::Averaged(learned)) => {
                let usual = averaged::Separation::default();
                let own = if let Some(SeparationMethod::Averaged(own)) = method { own } else { &usual };
                return Self::averaged((model, learned), own, separation);
            }
            (Some(method), parts) if method.has_model() => {
                let (name, trained) = (method.name(), parts.method());
                // Committees are what the method nmf trains.
                let training = if let SeparationMethod::Committee(_) = method { "nmf" } else { name };
                return Err(Error::input(format!(
                    "this model was trained with the method {trained}, and the options are of the method {name}; train a model \
                     with --method {training}"
                )));
            }
            (Some(method), _) => {
                let name = method.name();
                return Err(Error::input(format!(
                    "the options are of the method {name}, which takes no model; leave out the model, or these options"
                )));
            }
        };
        let separation = Separation {
            method: Some(method),
            mask: MaskChoice::Given(mask),
            updates: Some(settings.updates),
            iterations: Some(settings.iterations),
            ..separation.clone()
        };
        Ok(Self { separation, scheme: Scheme::of_model(model), way })
    }

    /// Plans a separation under the members of a model that belong to a quality.
    fn committee(
        (model, learned): (&'a Model, &'a committee::Learned),
        quality: committee::Quality,
        separation: &Separation,
    ) -> Result<Self> {
        let updates = separation.updates.unwrap_or(nmf::Updates::Extrapolated);
        let mask = separation.mask.of(model.spectrum);
        let settings = nmf::separate::Settings::new(Some(updates), separation.iterations, separation.tolerance, mask)?;
        let first = (&learned.first, model.sources.iter().map(|source| &source.bases).collect());
        let others = learned.others.iter().map(|member| (&member.manner, member.bases.iter().collect()));
        let takes_part =
            |(manner, _): &Member| manner.quality <= quality && (!separation.follow || manner.context == 1);
        let members: Vec<Member> = std::iter::once(first).chain(others).filter(takes_part).collect();
        if members.is_empty() {
            return Err(Error::option(
                "follow",
                "all bases of this model span several frames; train one with --quality normal or --rank 64",
            ));
        }
        let (rows, sources) = (model.rows().map_err(Error::Input)?, model.sources.len());
        let sizes = members.iter().map(|(manner, bases)| {
            let rank = bases.iter().map(|bases| bases.ncols()).sum();
            Ok((*manner, manner.bands.bands(model.sample_rate, model.stft.fft)?.map(|bands| bands.bands()), rank))
        });
        let sizes = sizes.collect::<Result<Vec<_>>>()?;
        let mut scheme = Scheme::of_model(model);
        scheme.held = committee::separate::held(sizes.into_iter(), (rows, sources));
        if members.iter().any(|(manner, _)| manner.context > 1) {
            scheme.stretch = Some(committee::separate::LONG_STRETCH);
        }
        let separation = Separation {
            method: Some(SeparationMethod::Committee(committee::Separation { quality: Some(quality) })),
            mask: MaskChoice::Given(mask),
            updates: Some(updates),
            ..separation.clone()
        };
        Ok(Self { separation, scheme, way: Way::Committee(model, members, settings) })
    }

    /// Plans a separation under the orders of a model.
    fn averaged(
        (model, learned): (&'a Model, &'a averaged::Learned),
        own: &averaged::Separation,
        separation: &Separation,
    ) -> Result<Self> {
        has_own_updates("averaged", separation)?;
        let mask = separation.mask.of(model.spectrum);
        if mask != MaskChoice::Wiener.of(model.spectrum) {
            return Err(Error::option("mask", format!("{mask}: the method averaged has wiener; leave it out")));
        }
        let iterations = separation.iterations.unwrap_or(averaged::ITERATIONS);
        let size = (model.sources.len(), model.sources.first().map_or(0, |source| source.bases.nrows()));
        let settings = averaged::separate::Settings::new(own, iterations, learned, size)?;
        let mut scheme =
            Scheme { stretch: None, held: settings.held(learned, model.sources.len()), ..Scheme::of_model(model) };
        if settings.has_background() {
            if model.names().contains(&averaged::BACKGROUND) {
                return Err(Error::option("background_rank", "the model has a source called background; use 0"));
            }
            scheme.sources.push(averaged::BACKGROUND.into());
        }
        let separation = Separation {
            method: Some(SeparationMethod::Averaged(own.in_force(size.0, size.1))),
            mask: MaskChoice::Given(mask),
            iterations: Some(iterations),
            ..separation.clone()
        };
        Ok(Self { separation, scheme, way: Way::Averaged(model, learned, settings) })
    }

    /// Plans a separation into the sources of a model and one that is learned on the recording.
    fn rest(model: &'a Model, own: &rest::Separation, separation: &Separation) -> Result<Self> {
        has_own_updates("rest", separation)?;
        if model.sources.is_empty() {
            return Err(Error::input("this model was learned to denoise; use `partwise denoise`"));
        }
        let name = &own.rest.name;
        check_name(name).map_err(|reason| Error::option("rest", format!("{}: {reason}", own.rest)))?;
        if model.names().contains(&name.as_str()) {
            return Err(Error::option(
                "rest",
                format!("{}: the model has a source of this name; use another", own.rest),
            ));
        }
        let rows = model.rows().map_err(Error::Input)?;
        if model.sources.iter().any(|source| source.bases.nrows() != rows) {
            return Err(Error::option(
                "rest",
                "the bases of this model span several frames; train a model with --quality fast or normal",
            ));
        }
        let mask = separation.mask.of(model.spectrum);
        let settings = rest::separate::Settings::new(own, separation.iterations, mask);
        let components = model.sources.iter().map(|source| source.bases.ncols()).sum();
        let mut scheme =
            Scheme { stretch: None, held: settings.held(model.sources.len(), components), ..Scheme::of_model(model) };
        scheme.sources.push(name.clone());
        let separation = Separation {
            method: Some(SeparationMethod::Rest(own.clone())),
            mask: MaskChoice::Given(mask),
            iterations: Some(separation.iterations.unwrap_or(rest::separate::ITERATIONS)),
            ..separation.clone()
        };
        Ok(Self { separation, scheme, way: Way::Rest(model, settings) })
    }

    /// Plans a separation into patterns that move.
    fn nmf2d(own: &nmf2d::Separation, separation: &Separation, watch: &mut Watch) -> Result<Self> {
        has_own_updates("nmf2d", separation)?;
        let own = own.in_force();
        let front = own.front();
        let mask: Mask = separation.mask.of(front.spectrum);
        let iterations = separation.iterations.unwrap_or(own.usual_iterations());
        let given = (!own.init_bases.is_empty())
            .then(|| {
                let (sample_rate, strokes) = recordings::strokes(&own.init_bases, &front, watch)?;
                let p = front.spectrum.power_exponent();
                Ok::<_, Error>((sample_rate, nmf2d::patterns::patterns(&strokes, own.lags().time, p)?))
            })
            .transpose()?;
        let (sample_rate, patterns) = given.unzip();
        let settings = own.settings(iterations, mask, patterns);
        let scheme = Scheme {
            sources: own.names(),
            sample_rate,
            held: own.held(settings.patterns.count()),
            front,
            stretch: None,
        };
        let separation = Separation {
            method: Some(SeparationMethod::Nmf2d(own)),
            mask: MaskChoice::Given(mask),
            iterations: Some(iterations),
            ..separation.clone()
        };
        Ok(Self { separation, scheme, way: Way::Nmf2d(settings) })
    }

    /// Plans the denoising of recordings, by the cost of a model if there is one.
    fn denoise(model: Option<&Model>, own: &deep::Denoising, separation: &Separation) -> Result<Self> {
        has_own_updates("denoise", separation)?;
        if separation.mask != MaskChoice::Wiener {
            return Err(Error::option("mask", format!("{}: does not go with the method denoise", separation.mask)));
        }
        let learned = match model.map(|model| (model, &model.parts)) {
            None => None,
            Some((model, Parts::Deep(learned))) if learned.task == deep::Task::Denoise => {
                Some((&model.stft, model.sample_rate, learned))
            }
            Some((_, parts)) => {
                return Err(Error::input(format!(
                    "this model was trained with the method {}, and not to denoise; train one with --method deep --task denoise",
                    parts.method()
                )));
            }
        };
        let own = own.in_force(learned)?;
        let (front, iterations) = (own.front(), separation.iterations.unwrap_or(deep::ITERATIONS));
        let settings =
            own.settings(learned.map(|(_, _, learned)| learned), iterations, front.spectrum.power_exponent())?;
        let scheme = Scheme {
            sources: vec![deep::DENOISED.into()],
            sample_rate: None,
            front,
            stretch: None,
            // Λ, P and Q, and gains before and after an update.
            held: (3, 3 * settings.rank),
        };
        let separation = Separation {
            method: Some(SeparationMethod::Denoise(own)),
            iterations: Some(iterations),
            ..separation.clone()
        };
        Ok(Self { separation, scheme, way: Way::Denoise(settings) })
    }

    /// The stems that are asked for.
    ///
    /// # Errors
    /// [`Error::Option`] where there is no such source, or nothing that a residual could hold.
    pub fn wanted(&self) -> Result<Wanted> {
        let (Separation { only, residual, .. }, known) = (&self.separation, &self.scheme.sources);
        let mut wanted = Wanted { residual: *residual, ..Wanted::all(known.len()) };
        if let Some(name) = only {
            let found = known.iter().position(|known| known == name);
            let all = known.join(", ");
            let unknown = || Error::option("only", format!("{name}: there is no such source; there are {all}"));
            wanted.sources = vec![found.ok_or_else(unknown)?];
        }
        // What is denoised is less than the recording. All other sources sum to it.
        let sum_to_recording = wanted.sources.len() == known.len() && !matches!(self.way, Way::Denoise(_));
        if *residual && sum_to_recording {
            return Err(Error::option(
                "residual",
                "all sources sum to the recording, so nothing is left; name the one to keep (only)",
            ));
        }
        if *residual && known.iter().any(|name| name == RESIDUAL) {
            return Err(Error::option("residual", "the model has a source of this name"));
        }
        Ok(wanted)
    }

    /// How the models of the sources share a cell. None where they do not: what is denoised is not a share.
    pub fn mask(&self) -> Option<Mask> {
        (!matches!(self.way, Way::Denoise(_))).then(|| self.separation.mask.of(self.scheme.front.spectrum))
    }

    /// The exponent β of a cost by its level: the cost of data and model times c is c^β times theirs. 0 for likelihoods.
    pub(super) fn cost_exponent(&self) -> f64 {
        match &self.way {
            Way::Nmf(model, ..)
            | Way::Committee(model, ..)
            | Way::GainPrior(model, ..)
            | Way::Discriminative(model, ..)
            | Way::Rest(model, ..) => model.divergence.exponent_beta(),
            Way::Averaged(..) => 0.0,
            Way::Nmf2d(settings) => settings.options.rule.rule.divergence.exponent_beta(),
            Way::Denoise(settings) => settings.divergence.exponent_beta(),
        }
    }

    /// The separator of panels on an engine.
    pub fn on(&self, engine: AnyEngine) -> Box<dyn Separator + '_> {
        with_engine!(engine, |engine| self.held(Held::Owned(engine)))
    }

    /// The same, on an engine that is the caller's.
    pub fn on_borrowed<'s>(&'s self, engine: &'s AnyEngine) -> Box<dyn Separator + 's> {
        with_engine!(engine, |engine| self.held(Held::Borrowed(engine)))
    }

    fn held<'s, E: GainPrior + Momentum + Glue + Shifts + Variational + 'static>(
        &'s self,
        engine: Held<'s, E>,
    ) -> Box<dyn Separator + 's> {
        match &self.way {
            Way::Nmf(model, settings) => Box::new(UnderModel::new(engine, move |engine: &E, bins| {
                let bases = FixedBases::new(engine, model.bases().lowest(bins))?;
                Ok(Box::new(Plain { bases, settings: *settings }) as Box<dyn OnEngine<E>>)
            })),
            Way::Committee(model, members, settings) => {
                let given = self.separation.iterations;
                Box::new(UnderModel::new(engine, move |engine: &E, bins| {
                    let member = |(manner, bases): &Member<'a>| {
                        let bands = manner.bands.bands(model.sample_rate, model.stft.fft)?;
                        Ok(committee::separate::MemberOf {
                            manner,
                            bases: bases.iter().map(|bases| bases.view()).collect(),
                            divergence: &model.divergence,
                            bands,
                        })
                    };
                    let of_member = |manner: &committee::Manner| nmf::separate::Settings {
                        iterations: given.unwrap_or(manner.iterations),
                        sparsity: manner.sparsity,
                        ..*settings
                    };
                    let members = members.iter().map(member).collect::<Result<Vec<_>>>()?;
                    Ok(Box::new(committee::separate::Committee::new(engine, members, bins, of_member)?)
                        as Box<dyn OnEngine<E>>)
                }))
            }
            Way::GainPrior(model, learned, settings) => Box::new(UnderModel::new(engine, move |engine: &E, bins| {
                let bases = model.bases().lowest(bins);
                Ok(Box::new(gain_prior::separate::UnderPriors::new(engine, bases, learned, settings)?)
                    as Box<dyn OnEngine<E>>)
            })),
            Way::Discriminative(model, learned, settings) => {
                Box::new(UnderModel::new(engine, move |engine: &E, bins| {
                    let bases = model.bases().lowest(bins);
                    Ok(Box::new(discriminative::separate::Reconstructing::new(engine, bases, learned, *settings)?)
                        as Box<dyn OnEngine<E>>)
                }))
            }
            Way::Averaged(model, learned, settings) => {
                Box::new(averaged::separate::Averaging::new(engine, model.bases(), learned, settings))
            }
            Way::Rest(model, settings) => Box::new(UnderModel::new(engine, move |_: &E, bins| {
                Ok(Box::new(rest::separate::WithRest::new(model.bases().lowest(bins), *settings))
                    as Box<dyn OnEngine<E>>)
            })),
            Way::Nmf2d(settings) => Box::new(nmf2d::separate::Blind::new(engine, settings)),
            Way::Denoise(settings) => Box::new(deep::separate::Denoiser::new(engine, settings)),
        }
    }
}

/// Checks that a job leaves to the method what only the method decides: which updates there are, and when they stop.
fn has_own_updates(method: &str, separation: &Separation) -> Result<()> {
    let unsuited = |option, value: String| {
        Err(Error::option(option, format!("{value}: does not go with the method {method}; leave it out")))
    };
    match separation.updates {
        Some(updates) => unsuited("updates", updates.to_string()),
        None if separation.tolerance != 0.0 => unsuited("tolerance", separation.tolerance.to_string()),
        None => Ok(()),
    }
}
