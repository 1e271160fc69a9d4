//! The stems that a job asks for.

/// What the stem of everything else is called.
pub const RESIDUAL: &str = "residual";

/// The stems that a job asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The places of the sources that are written.
    pub sources: Vec<usize>,
    /// J, those included that are not written.
    pub count: usize,
    /// Whether the recording minus these sources is written too, as [`RESIDUAL`].
    pub residual: bool,
}

impl Wanted {
    /// All of so many sources.
    pub fn all(count: usize) -> Self {
        Self { sources: (0..count).collect(), count, residual: false }
    }

    /// The names of the stems, out of those of all sources: the residual last.
    pub fn names<'a>(&self, sources: &'a [String]) -> Vec<&'a str> {
        let names = self.sources.iter().map(|&source| sources[source].as_str());
        names.chain(self.residual.then_some(RESIDUAL)).collect()
    }
}
