//! Kernels and their WGSL: what a kernel is made of, and its text put together.
//!
//! A kernel's text is, in this order: generated constants, the library files it imports, the file of its divergence if
//! it takes one, and its own file. WGSL does not mind the order of declarations, so there is no preprocessor: a missing
//! function or a doubled one is a compile error.

use std::fmt::Write;
use std::ops::RangeInclusive;

use crate::divergence::{DENOMINATOR_FLOOR, Divergence, MODEL_FLOOR};

/// A WGSL file, and those it builds on.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: &'static str,
    pub(crate) text: &'static str,
    pub(crate) imports: &'static [&'static Source],
}

/// A [`Source`] of the file `shaders/$path`.
macro_rules! source {
    ($path:literal $(, $import:expr)* $(,)?) => {
        $crate::engine::gpu::shader::Source {
            path: concat!("shaders/", $path),
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $path)),
            imports: &[$(&$import),*],
        }
    };
}
pub(crate) use source;

/// How a kernel uses a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// A kernel: binding 0 is its uniform, the storages follow from binding 1.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) source: Source,
    pub(crate) storages: &'static [Access],
    /// The generated constants (u32) that choose among its pipelines, and their ranges.
    pub(crate) constants: &'static [(&'static str, RangeInclusive<u32>)],
    /// The members of its uniform, as the host lays them out.
    pub(crate) uniform: &'static [(&'static str, usize)],
}

/// A uniform struct that WGSL and the host share.
pub(crate) trait Uniform: bytemuck::Pod + Send {
    /// Names and offsets of the members.
    const MEMBERS: &'static [(&'static str, usize)];
}

pub(crate) static PARAMS: Source = source!("lib/params.wgsl");
pub(crate) static INDEX: Source = source!("lib/index.wgsl");
pub(crate) static POWER: Source = source!("lib/power.wgsl");
pub(crate) static REDUCE: Source = source!("lib/reduce.wgsl");
pub(crate) static RULE: Source = source!("lib/rule.wgsl", PARAMS, POWER);
pub(crate) static BLOCKS: Source = source!("lib/blocks.wgsl");
pub(crate) static TILE: Source = source!("lib/tile.wgsl", PARAMS, INDEX, BLOCKS);
pub(crate) static FIELDS: Source = source!("lib/fields.wgsl", TILE);
static NEAR: Source = source!("lib/near.wgsl");

static EUCLIDEAN: Source = source!("divergence/euclidean.wgsl");
static KULLBACK_LEIBLER: Source = source!("divergence/kullback_leibler.wgsl", NEAR);
static ITAKURA_SAITO: Source = source!("divergence/itakura_saito.wgsl", NEAR);
static BETA: Source = source!("divergence/beta.wgsl", NEAR, PARAMS);

/// The file that has a divergence's P, Q and cost.
pub(super) fn divergence_source(divergence: Divergence) -> &'static Source {
    match divergence {
        Divergence::Euclidean => &EUCLIDEAN,
        Divergence::KullbackLeibler => &KULLBACK_LEIBLER,
        Divergence::ItakuraSaito => &ITAKURA_SAITO,
        Divergence::Beta(_) => &BETA,
    }
}

/// A kernel's whole text, and which file each of its lines is from.
pub(super) struct Text {
    pub(super) wgsl: String,
    /// The first line of every part, from 1, in order.
    parts: Vec<(usize, &'static str)>,
}

impl Text {
    /// The text of a kernel with its divergence, and with values for its constants in their order.
    pub(super) fn compose(kernel: &'static Kernel, divergence: Option<Divergence>, constants: &[u32]) -> Self {
        let mut text = Self { wgsl: String::new(), parts: Vec::new() };
        let mut generated =
            format!("const MODEL_FLOOR = {MODEL_FLOOR:e};\nconst DENOMINATOR_FLOOR = {DENOMINATOR_FLOOR:e};\n");
        for ((name, _), value) in kernel.constants.iter().zip(constants) {
            // Writing to a string does not fail.
            let _ = writeln!(generated, "const {name} = {value}u;");
        }
        if let Some(divergence) = divergence {
            let _ = writeln!(generated, "const UNIT_DENOMINATOR = {};", divergence == Divergence::KullbackLeibler);
        }
        text.append("generated constants", &generated);
        if let Some(divergence) = divergence {
            text.import(divergence_source(divergence));
        }
        text.import(&kernel.source);
        text
    }

    /// "shaders/x.wgsl:7" for a line of the whole text, from 1.
    pub(super) fn place(&self, line: usize) -> String {
        let part = self.parts.iter().rev().find(|(first, _)| *first <= line);
        part.map_or_else(|| format!("line {line}"), |(first, path)| format!("{path}:{}", line + 1 - first))
    }

    fn import(&mut self, source: &'static Source) {
        if self.parts.iter().any(|(_, path)| *path == source.path) {
            return;
        }
        source.imports.iter().for_each(|import| self.import(import));
        self.append(source.path, source.text);
    }

    fn append(&mut self, path: &'static str, text: &str) {
        self.parts.push((self.wgsl.lines().count() + 1, path));
        self.wgsl.push_str(text);
    }
}

/// Declares a uniform struct: every member four bytes, in the order of the WGSL struct.
macro_rules! uniform {
    ($(#[$attribute:meta])* $name:ident { $($(#[$member_attribute:meta])* $member:ident: $kind:ty,)* }) => {
        $(#[$attribute])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
        pub(crate) struct $name { $($(#[$member_attribute])* pub(crate) $member: $kind,)* }

        impl $crate::engine::gpu::shader::Uniform for $name {
            const MEMBERS: &'static [(&'static str, usize)] =
                &[$((stringify!($member), std::mem::offset_of!($name, $member))),*];
        }
    };
}

uniform! {
    /// `Params` of shaders/lib/params.wgsl, where the members are explained. A dispatch sets those its kernel reads.
    Params {
        rows: u32,
        columns: u32,
        components: u32,
        bases_pitch: u32,
        panel_pitch: u32,
        first_component: u32,
        end_component: u32,
        first_row: u32,
        pass_rows: u32,
        first_tile: u32,
        split_tiles: u32,
        first_split: u32,
        end_split: u32,
        beta: f32,
        exponent: f32,
        sparsity: f32,
        floor: f32,
    }
}

#[cfg(test)]
mod tests {
    use super::super::shader_check::files;
    use super::*;

    #[test]
    fn every_shared_file_is_a_source() {
        let paths = |sources: &[&Source]| sources.iter().map(|source| source.path.to_string()).collect();
        let lib = [&PARAMS, &INDEX, &POWER, &REDUCE, &RULE, &BLOCKS, &TILE, &FIELDS, &NEAR];
        assert_eq!(files("lib"), paths(&lib));
        assert_eq!(files("divergence"), paths(&[&EUCLIDEAN, &KULLBACK_LEIBLER, &ITAKURA_SAITO, &BETA]));
    }

    #[test]
    fn lines_of_the_whole_text_are_traced_to_their_files() {
        static KERNEL: Kernel = Kernel {
            source: source!("glue/divide.wgsl", INDEX),
            storages: &[],
            constants: &[("X", 0..=1)],
            uniform: &[],
        };
        let text = Text::compose(&KERNEL, Some(Divergence::Euclidean), &[1]);
        let check = |part: &str, place: &str| {
            let line = text.wgsl.lines().position(|line| line.contains(part)).unwrap() + 1;
            assert_eq!(text.place(line), place, "{part}");
        };
        check("const X = 1u;", "generated constants:3");
        check("fn numerator", "shaders/divergence/euclidean.wgsl:3");
        check("fn workgroup_index", "shaders/lib/index.wgsl:4");
        check("read_write> mask", "shaders/glue/divide.wgsl:6");
    }
}
