//! What a user may choose of averaging over orders.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::divergence::Divergence;
use crate::kernels::Norm;
use crate::options::{Flag, text};
use crate::spectrogram::Spectrum;
use crate::{Error, Result};

/// How the bases are learned.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Training {
    /// The orders that every source has bases of.
    #[serde(with = "text")]
    pub orders: Orders,
}

impl Training {
    /// The options on the command line.
    pub const FLAGS: &'static [Flag] = &[Flag::word::<Orders>(
        "orders",
        "K,K,...",
        "The numbers of components that every source has bases of, to be averaged over [default: 2,4,8,16,32,64,128]",
    )];

    /// Checks the options.
    ///
    /// # Errors
    /// [`Error::Option`].
    pub fn check(&self) -> Result<()> {
        self.orders.check().map_err(|reason| Error::option("orders", format!("{}: {reason}", self.orders)))
    }
}

/// The most components of an order or a background.
const MOST: usize = 4096;

/// Numbers of components: `2,4,8`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orders(pub Vec<usize>);

impl Default for Orders {
    fn default() -> Self {
        Self((1..8).map(|power| 1 << power).collect())
    }
}

impl Orders {
    /// Checks that there are some, that none repeats, and that all are in range; an error is the reason alone.
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        if self.0.is_empty() {
            return Err("there is none".into());
        }
        if let Some(order) = self.0.iter().find(|order| !(1..=MOST).contains(*order)) {
            return Err(format!("{order} is not between 1 and {MOST}"));
        }
        match self.0.iter().enumerate().find(|(index, order)| self.0[..*index].contains(order)) {
            Some((_, order)) => Err(format!("{order} is given twice")),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Orders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let orders: Vec<String> = self.0.iter().map(usize::to_string).collect();
        f.write_str(&orders.join(","))
    }
}

impl FromStr for Orders {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let order = |word: &str| {
            let unfit = || Error::input(format!("'{word}' is not a number of components; use for example 2,4,8"));
            word.trim().parse().map_err(|_| unfit())
        };
        text.split(',').map(order).collect::<Result<_>>().map(Self)
    }
}

/// Rows for each unit of β of fusion. A frame's log likelihood is a sum over its rows, so β grows with them.
const ROWS_PER_DEGREE: f64 = 10.0;
/// β of joint: the paper's.
const JOINT_TEMPERATURE: f64 = 1e4;

/// Components of the background where the model has one source: the paper's.
const BACKGROUND_RANK: usize = 16;

/// How recordings are separated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Separation {
    /// How the orders of a source are made one.
    #[serde(with = "text")]
    pub orders_by: Choice,
    /// β, the temperature of the posterior of the orders. Default: a tenth of the rows by fusion, 10⁴ by joint; the others have
    /// none.
    pub temperature: Option<f64>,
    /// The components of a background that is learned from each recording; 0: no background. Default: 16 if the model has
    /// one source, otherwise 0.
    pub background_rank: Option<usize>,
    /// σ², the variance of the noise, as a share of the recording's mean power.
    pub noise_variance: f64,
    /// The seed of the background's start.
    pub seed: u64,
}

impl Default for Separation {
    fn default() -> Self {
        Self { orders_by: Choice::Fusion, temperature: None, background_rank: None, noise_variance: 3e-8, seed: 0 }
    }
}

impl Separation {
    /// The options on the command line.
    pub const FLAGS: &'static [Flag] = &[
        Flag::word::<Choice>(
            "orders_by",
            "fusion|joint|selection|mean|K",
            "fusion: the estimates of all orders, weighed in every frame by how well they fit; joint: one estimate under all \
             orders, as in the paper; selection: the order with the highest free energy alone; mean: the mean of the estimates \
             of every order alone; K: this order alone [default: fusion]",
        ),
        Flag::number(
            "temperature",
            "B",
            "How evenly orders are weighed by fusion and joint: a low one takes the best order, a high one takes all alike \
             [default: a tenth of the bins or bands; joint: 10000]",
        ),
        Flag::count(
            "background_rank",
            "K",
            "Components of a background, which is learned from each recording and written as a stem of its own; 0: none \
             [default: 16 if the model has one source, otherwise 0]",
        ),
        Flag::number(
            "noise_variance",
            "V",
            "The variance of the noise of a recording that belongs to no source, as a share of its mean power [default: 3e-8]",
        ),
        Flag::count("seed", "N", "The seed of the background's random start: the same seed gives the same bytes"),
    ];

    /// The same for a model of so many sources and rows, with a value for every option that was left to the method.
    pub(crate) fn in_force(&self, sources: usize, rows: usize) -> Self {
        let temperature = match self.orders_by {
            Choice::Fusion => Some(self.temperature.unwrap_or(rows as f64 / ROWS_PER_DEGREE)),
            Choice::Joint => Some(self.temperature.unwrap_or(JOINT_TEMPERATURE)),
            _ => None,
        };
        let background = self.background_rank.unwrap_or(if sources == 1 { BACKGROUND_RANK } else { 0 });
        Self { temperature, background_rank: Some(background), ..self.clone() }
    }

    /// Checks every option.
    ///
    /// # Errors
    /// [`Error::Option`].
    pub fn check(&self) -> Result<()> {
        if let Some(temperature) = self.temperature {
            if !matches!(self.orders_by, Choice::Fusion | Choice::Joint) {
                return Err(Error::option("temperature", format!("{temperature}: goes with fusion and joint alone")));
            }
            if !(temperature.is_finite() && temperature > 0.0) {
                return Err(Error::option("temperature", format!("{temperature}: must be above 0")));
            }
        }
        if let Some(rank) = self.background_rank.filter(|rank| *rank > MOST) {
            return Err(Error::option("background_rank", format!("{rank}: must be between 0 and {MOST}")));
        }
        if !(self.noise_variance.is_finite() && self.noise_variance >= 0.0) {
            return Err(Error::option("noise_variance", format!("{}: must be 0 or more", self.noise_variance)));
        }
        Ok(())
    }
}

/// How the orders of a source are made one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Choice {
    /// The estimates of all orders, weighed in every frame.
    #[default]
    Fusion,
    /// One estimate under all orders, as in the paper.
    Joint,
    /// The order with the highest free energy, each having been inferred alone.
    Selection,
    /// The mean of the estimates of all orders, each having been inferred alone.
    Mean,
    /// One order.
    Fixed(usize),
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fusion => f.write_str("fusion"),
            Self::Joint => f.write_str("joint"),
            Self::Selection => f.write_str("selection"),
            Self::Mean => f.write_str("mean"),
            Self::Fixed(order) => write!(f, "{order}"),
        }
    }
}

impl FromStr for Choice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "fusion" => Ok(Self::Fusion),
            "joint" => Ok(Self::Joint),
            "selection" => Ok(Self::Selection),
            "mean" => Ok(Self::Mean),
            _ => text.parse().map(Self::Fixed).map_err(|_| {
                Error::input("it is no way to choose orders; use fusion, joint, selection, mean or an order")
            }),
        }
    }
}

/// Checks the options of a training that this method fixes.
///
/// # Errors
/// [`Error::Option`] names one that has another value.
pub(crate) fn check(
    (divergence, spectrum): (Divergence, Spectrum),
    normalize: Option<Norm>,
    sparsity: Option<f64>,
) -> Result<()> {
    if divergence != Divergence::ItakuraSaito {
        return Err(Error::option("divergence", format!("{divergence}: the method averaged is under is")));
    }
    if spectrum != Spectrum::Power {
        return Err(Error::option("spectrum", format!("{spectrum}: the method averaged is on power")));
    }
    if let Some(norm) = normalize {
        return Err(Error::option("normalize", format!("{norm}: the method averaged scales bases to gains of mean 1")));
    }
    match sparsity.filter(|sparsity| *sparsity != 0.0) {
        Some(sparsity) => Err(Error::option("sparsity", format!("{sparsity}: the method averaged has none"))),
        None => Ok(()),
    }
}
