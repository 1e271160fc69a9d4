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

    /// The value of the constant TILING.
    pub(crate) const fn code(self) -> u32 {
        64 * self.quads + self.lanes
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

/// The tilings that a device's kernels take. Where they depend on the width of a panel they may, since no bit does on them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tilings {
    /// By [`rank_class`], and by [`width_class`].
    pub(crate) gains: [[Tiling; 2]; 4],
    /// By [`rank_class`].
    pub(crate) bases: [Tiling; 4],
}

impl Tilings {
    /// The same for all.
    pub(crate) fn all(tiling: Tiling) -> Self {
        Self { gains: [[tiling; 2]; 4], bases: [tiling; 4] }
    }

    /// For gains (K, N).
    pub(crate) fn gains(&self, components: usize, columns: usize) -> Tiling {
        self.gains[rank_class(components)][width_class(columns)]
    }

    /// For bases of K components.
    pub(crate) fn bases(&self, components: usize) -> Tiling {
        self.bases[rank_class(components)]
    }
}

/// Up to 32, 64 and 128 components, and more.
pub(crate) fn rank_class(components: usize) -> usize {
    [32, 64, 128].iter().filter(|&&bound| components > bound).count()
}

/// Panels that leave a large card in want of workgroups, and those that do not.
pub(crate) fn width_class(columns: usize) -> usize {
    usize::from(columns >= 16_384)
}

#[cfg(test)]
mod tests {
    use super::*;

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
