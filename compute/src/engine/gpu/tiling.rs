//! The layout of a workgroup's invocations over a tile of the model (shaders/lib/tile.wgsl).

use serde::{Deserialize, Serialize};

/// A workgroup of `quads` x `lanes` invocations over a tile of 32 rows and 4 `quads` columns. Each invocation has
/// blocks of four components, `lanes` of them side by side. The tiling changes no bit of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tiling {
    pub(crate) quads: u32,
    pub(crate) lanes: u32,
    /// The most blocks per invocation. Each takes 32 registers, and some compilers have no room for more than one.
    pub(crate) blocks: u32,
    /// Whether workgroup memory should hold all components of a tile of both factors, if they fit.
    pub(crate) held: bool,
    /// Whether every split of the rows gets its own workgroups in the update of gains. This fills a card if there are
    /// few columns.
    pub(crate) split: bool,
}

impl Tiling {
    /// The fewest registers and invocations: every device supports it, and it suits software drivers best.
    pub(crate) const SMALLEST: Self = Self::passing(8, 8, 1);

    /// The tilings for updates of gains. With few columns, narrow tiles or many invocations per tile are fast. With
    /// many columns, wide tiles are, because more columns share a load of the bases.
    pub(crate) const OF_GAINS: [Self; 13] = [
        Self::SMALLEST,
        Self::passing(8, 8, 4),
        Self::passing(4, 32, 4),
        Self::passing(8, 16, 1),
        Self::passing(8, 16, 4),
        Self::passing(16, 16, 4),
        Self::held(8, 8),
        Self::held(4, 16),
        Self::held(8, 16),
        Self::held(16, 8),
        Self::passing(8, 16, 4).split(),
        Self::held(8, 8).split(),
        Self::held(4, 16).split(),
    ];

    /// The tilings for updates of bases, whose blocks are of rows and components. The tiles are 32 rows by 32 columns.
    pub(crate) const OF_BASES: [Self; 6] = [
        Self::SMALLEST,
        Self::passing(8, 8, 4),
        Self::passing(8, 16, 1),
        Self::passing(8, 16, 4),
        Self::held(8, 8),
        Self::held(8, 16),
    ];

    /// The values of TILING for [`Self::OF_GAINS`] and [`Self::OF_BASES`].
    pub(crate) const GAINS_CODES: &[u32] = &[
        Self::SMALLEST.code(),
        Self::passing(4, 32, 4).code(),
        Self::passing(8, 16, 4).code(),
        Self::passing(16, 16, 4).code(),
        Self::held(4, 16).code(),
        Self::held(16, 8).code(),
    ];
    pub(crate) const BASES_CODES: &[u32] = &[Self::SMALLEST.code(), Self::passing(8, 16, 4).code()];

    const fn passing(quads: u32, lanes: u32, blocks: u32) -> Self {
        Self { quads, lanes, blocks, held: false, split: false }
    }

    const fn held(quads: u32, lanes: u32) -> Self {
        Self { quads, lanes, blocks: 4, held: true, split: false }
    }

    const fn split(self) -> Self {
        Self { split: true, ..self }
    }

    /// The tiling of the same kind whose tiles have at most 32 columns, for tiles of different segments.
    pub(crate) fn narrow(self) -> Self {
        Self { quads: self.quads.min(8), ..self }
    }

    /// The value of the constant TILING.
    pub(crate) const fn code(self) -> u32 {
        64 * self.quads + self.lanes
    }

    /// Columns per tile.
    pub(crate) fn columns(self) -> usize {
        4 * self.quads as usize
    }

    /// The number of blocks of 4 `lanes` components per workgroup, and the number of workgroups that share the K
    /// components. The latter is as small as possible, because each of these workgroups forms the whole model again.
    pub(crate) fn divide(self, components: usize) -> (usize, usize) {
        let blocks = components.div_ceil(4 * self.lanes as usize);
        let shares = blocks.div_ceil(self.blocks as usize);
        (blocks.div_ceil(shares), shares)
    }

    /// Whether a workgroup with `bytes` of memory should hold all K components of a tile of both factors.
    pub(crate) fn holds(self, components: usize, bytes: u32) -> bool {
        let (blocks, shares) = self.divide(components);
        self.held && shares == 1 && self.held_bytes(blocks as u32) <= bytes
    }

    /// Bytes of workgroup memory that lib/held.wgsl declares: P and Q, and slices of 32 components of both factors.
    pub(super) fn held_bytes(self, blocks: u32) -> u32 {
        let pitch = self.quads + 1 - self.quads / 16;
        let slices = self.lanes * blocks / 8;
        16 * 32 * (2 * pitch + slices * (9 + pitch))
    }
}

/// The fastest tilings measured on a device, by kernel and problem size. Results do not depend on them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tuning {
    /// By [`rank_class`] and [`width_class`].
    pub(crate) gains: [[Tiling; 2]; RANKS.len()],
    /// By [`rank_class`].
    pub(crate) bases: [Tiling; RANKS.len()],
}

/// The most components of each rank class. The last class also holds all larger ranks.
pub(crate) const RANKS: [usize; 4] = [32, 64, 128, 256];

impl Tuning {
    /// One tiling for all problems.
    pub(crate) fn all(tiling: Tiling) -> Self {
        Self { gains: [[tiling; 2]; RANKS.len()], bases: [tiling; RANKS.len()] }
    }

    /// The tiling for gains (K, N).
    pub(crate) fn gains(&self, components: usize, columns: usize) -> Tiling {
        self.gains[rank_class(components)][width_class(columns)]
    }

    /// The tiling for bases with K components.
    pub(crate) fn bases(&self, components: usize) -> Tiling {
        self.bases[rank_class(components)]
    }

    /// Whether shaders exist for every tiling.
    pub(crate) fn is_known(&self) -> bool {
        let known = |tilings: &[Tiling], tiling| tilings.contains(tiling);
        self.gains.as_flattened().iter().all(|tiling| known(&Tiling::OF_GAINS, tiling))
            && self.bases.iter().all(|tiling| known(&Tiling::OF_BASES, tiling))
    }
}

fn rank_class(components: usize) -> usize {
    RANKS.iter().filter(|&&bound| components > bound).count().min(RANKS.len() - 1)
}

/// 0 for panels that may leave workgroups of a large card idle, 1 for wider panels.
fn width_class(columns: usize) -> usize {
    usize::from(columns >= 16_384)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_classed_by_rank_and_width() {
        let (small, large) = (Tiling::SMALLEST, Tiling::passing(16, 16, 4));
        let mut tuning = Tuning::all(small);
        tuning.gains[2][1] = large;
        for (components, columns, expected) in
            [(64, 20_000, small), (65, 16_383, small), (65, 16_384, large), (128, 65_536, large), (129, 20_000, small)]
        {
            assert_eq!(tuning.gains(components, columns), expected, "{components} x {columns}");
        }
        assert_eq!((rank_class(1), rank_class(33), rank_class(4096)), (0, 1, 3));
        assert!(tuning.is_known());
        tuning.bases[0] = large;
        assert!(!tuning.is_known());
    }

    #[test]
    fn the_fewest_possible_workgroups_share_the_components() {
        for (components, expected) in
            [(1, (1, 1)), (32, (1, 1)), (33, (2, 1)), (88, (3, 1)), (128, (4, 1)), (129, (3, 2)), (300, (4, 3))]
        {
            assert_eq!(Tiling::passing(8, 8, 4).divide(components), expected, "{components}");
        }
        assert_eq!(Tiling::SMALLEST.divide(88), (1, 3));
        assert_eq!(Tiling::passing(8, 32, 4).divide(88), (1, 1));
        assert_eq!(Tiling::passing(16, 16, 4).divide(260), (3, 2));
    }

    #[test]
    fn every_tiling_has_a_narrow_one_that_shares_the_components_alike() {
        for tiling in Tiling::OF_GAINS {
            let narrow = tiling.narrow();
            assert!(narrow.columns() <= 32 && Tiling::GAINS_CODES.contains(&narrow.code()), "{tiling:?}");
            assert_eq!(narrow.divide(300), tiling.divide(300));
        }
    }

    #[test]
    fn every_tiling_has_a_unique_code() {
        for (tilings, codes) in
            [(Tiling::OF_GAINS.as_slice(), Tiling::GAINS_CODES), (&Tiling::OF_BASES, Tiling::BASES_CODES)]
        {
            let mut of_tilings: Vec<u32> = tilings.iter().map(|tiling| tiling.code()).collect();
            of_tilings.sort_unstable();
            of_tilings.dedup();
            let mut sorted = codes.to_vec();
            sorted.sort_unstable();
            assert_eq!(of_tilings, sorted);
        }
    }

    #[test]
    fn factors_are_held_if_all_their_components_fit() {
        let (tiling, bytes) = (Tiling::held(8, 8), 48 << 10);
        for (components, expected) in [(1, true), (128, true), (129, false)] {
            assert_eq!(tiling.holds(components, bytes), expected, "{components}");
        }
        assert!(tiling.holds(64, 32 << 10) && !tiling.holds(96, 32 << 10) && !tiling.holds(1, 16 << 10));
        assert!(!Tiling::held(16, 8).holds(96, bytes) && !Tiling::passing(8, 8, 4).holds(1, bytes));
    }
}
