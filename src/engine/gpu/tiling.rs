//! How the invocations of a workgroup lie over a tile of the model (shaders/lib/tile.wgsl).

use serde::{Deserialize, Serialize};

/// A workgroup of `quads` x `lanes` invocations over a tile of 32 rows and 4 `quads` columns; over components an invocation
/// has blocks of four, `lanes` of them side by side. No bit of a result depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tiling {
    pub(crate) quads: u32,
    pub(crate) lanes: u32,
}

impl Tiling {
    /// Fewest registers and invocations: what every device takes, and a software driver takes best.
    pub(crate) const SMALLEST: Self = Self { quads: 8, lanes: 8 };

    /// What the updates of gains may take: few columns want narrow tiles or many invocations for each, many columns want wide
    /// tiles, so that more columns share a load of the bases.
    pub(crate) const OF_GAINS: [Self; 6] = [
        Self::SMALLEST,
        Self { quads: 4, lanes: 32 },
        Self { quads: 8, lanes: 16 },
        Self { quads: 8, lanes: 32 },
        Self { quads: 16, lanes: 8 },
        Self { quads: 16, lanes: 16 },
    ];

    /// What the updates of bases may take, whose blocks are of rows and components: tiles of 32 rows by 32 columns.
    pub(crate) const OF_BASES: [Self; 3] = [Self::SMALLEST, Self { quads: 8, lanes: 16 }, Self { quads: 8, lanes: 32 }];

    /// The value of the constant TILING.
    pub(crate) const fn code(self) -> u32 {
        64 * self.quads + self.lanes
    }

    /// The values of TILING for some tilings.
    pub(crate) const fn codes<const N: usize>(tilings: [Self; N]) -> [u32; N] {
        let mut codes = [0; N];
        let mut at = 0;
        while at < N {
            codes[at] = tilings[at].code();
            at += 1;
        }
        codes
    }

    /// Columns of a tile.
    pub(crate) fn columns(self) -> usize {
        4 * self.quads as usize
    }

    /// Blocks of 4 `lanes` components that a workgroup takes, one to four, and how many workgroups share the K components: as
    /// few as there can be, since each of them forms the whole model again.
    pub(crate) fn divide(self, components: usize) -> (usize, usize) {
        let blocks = components.div_ceil(4 * self.lanes as usize);
        let shares = blocks.div_ceil(4);
        (blocks.div_ceil(shares), shares)
    }
}

/// What was measured to be fastest on a device: the shapes of its workgroups, by kernel and size of the problem. Results do
/// not depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tuning {
    /// By [`rank_class`], and by [`width_class`].
    pub(crate) gains: [[Tiling; 2]; RANKS.len()],
    /// By [`rank_class`].
    pub(crate) bases: [Tiling; RANKS.len()],
}

/// The most components of each class of ranks; the last holds all that are more.
pub(crate) const RANKS: [usize; 4] = [32, 64, 128, 256];

impl Tuning {
    /// The same for all problems.
    pub(crate) fn all(tiling: Tiling) -> Self {
        Self { gains: [[tiling; 2]; RANKS.len()], bases: [tiling; RANKS.len()] }
    }

    /// For gains (K, N).
    pub(crate) fn gains(&self, components: usize, columns: usize) -> Tiling {
        self.gains[rank_class(components)][width_class(columns)]
    }

    /// For bases of K components.
    pub(crate) fn bases(&self, components: usize) -> Tiling {
        self.bases[rank_class(components)]
    }

    /// Whether every tiling is one that there are shaders for.
    pub(crate) fn is_known(&self) -> bool {
        let known = |tilings: &[Tiling], tiling| tilings.contains(tiling);
        self.gains.as_flattened().iter().all(|tiling| known(&Tiling::OF_GAINS, tiling))
            && self.bases.iter().all(|tiling| known(&Tiling::OF_BASES, tiling))
    }
}

fn rank_class(components: usize) -> usize {
    RANKS.iter().filter(|&&bound| components > bound).count().min(RANKS.len() - 1)
}

/// 0 for panels that may leave a large card in want of workgroups, 1 for wider ones.
fn width_class(columns: usize) -> usize {
    usize::from(columns >= 16_384)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_classed_by_rank_and_width() {
        let (small, large) = (Tiling::SMALLEST, Tiling { quads: 16, lanes: 16 });
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
    fn components_are_divided_among_as_few_workgroups_as_there_can_be() {
        for (components, expected) in
            [(1, (1, 1)), (32, (1, 1)), (33, (2, 1)), (88, (3, 1)), (128, (4, 1)), (129, (3, 2)), (300, (4, 3))]
        {
            assert_eq!(Tiling::SMALLEST.divide(components), expected, "{components}");
        }
        assert_eq!(Tiling { quads: 8, lanes: 32 }.divide(88), (1, 1));
        assert_eq!(Tiling { quads: 16, lanes: 16 }.divide(260), (3, 2));
    }
}
