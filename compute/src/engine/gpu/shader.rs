//! Kernels and their WGSL: the parts of a kernel, and how its text is composed.
//!
//! A kernel's text has three parts, each after the files it imports: generated constants; the file that fills in the
//! functions the kernel leaves open, if any; and its own file. WGSL does not depend on the order of declarations, so no
//! preprocessor is needed: a missing or duplicate function is a compile error.

use std::fmt::Write;

/// A WGSL file and its imports.
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

/// A kernel's access to a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// A kernel. Binding 0 is its uniform, and the storages follow from binding 1.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) source: Source,
    pub(crate) storages: &'static [Access],
    /// The generated constants (u32) that select among its pipelines, and their allowed values.
    pub(crate) constants: &'static [(&'static str, &'static [u32])],
    /// The names and offsets of its uniform's members on the host.
    pub(crate) uniform: &'static [(&'static str, usize)],
}

impl Kernel {
    /// Whether its constants allow these values. Only the listed values are compiled by tests.
    pub(super) fn has(&self, constants: &[u32]) -> bool {
        self.constants.len() == constants.len()
            && self.constants.iter().zip(constants).all(|((_, values), value)| values.contains(value))
    }
}

/// A uniform struct shared by WGSL and the host.
pub(crate) trait Uniform: bytemuck::Pod + Send {
    /// Names and offsets of the members.
    const MEMBERS: &'static [(&'static str, usize)];
}

/// A kernel's complete text, and the file of each of its lines.
pub(super) struct Text {
    pub(super) wgsl: String,
    /// The first line, from 1, and the file of every part, in order.
    parts: Vec<(usize, &'static str)>,
}

impl Text {
    /// Composes the text of a kernel from its filling and the values of its constants, in order.
    pub(super) fn compose(kernel: &'static Kernel, filling: Option<&'static Source>, constants: &[u32]) -> Self {
        let mut text = Self { wgsl: String::new(), parts: Vec::new() };
        let mut generated = String::new();
        for ((name, _), value) in kernel.constants.iter().zip(constants) {
            // Writing to a string cannot fail.
            let _ = writeln!(generated, "const {name} = {value}u;");
        }
        text.append("generated constants", &generated);
        filling.into_iter().chain([&kernel.source]).for_each(|source| text.import(source));
        text
    }

    /// The file and line, such as "shaders/x.wgsl:7", of a line of the complete text, counted from 1.
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

/// Declares a uniform struct. Every member has four bytes, in the order of the WGSL struct.
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
pub(crate) use uniform;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_whole_text_are_traced_to_their_files() {
        static IMPORTED: Source = Source { path: "a.wgsl", text: "// a\nfn a() {}\n", imports: &[] };
        static FILLING: Source = Source { path: "b.wgsl", text: "// b\n\nfn b() {}\n", imports: &[&IMPORTED] };
        static KERNEL: Kernel = Kernel {
            source: Source { path: "c.wgsl", text: "// c\nfn c() {}\n", imports: &[&IMPORTED] },
            storages: &[],
            constants: &[("X", &[0, 1]), ("Y", &[0, 3])],
            uniform: &[],
        };
        let text = Text::compose(&KERNEL, Some(&FILLING), &[1, 3]);
        assert_eq!(text.wgsl.matches("fn a").count(), 1, "a file imported twice appears once");
        assert!(KERNEL.has(&[1, 3]));
        assert!(!KERNEL.has(&[1, 1]) && !KERNEL.has(&[1]) && !KERNEL.has(&[1, 3, 0]));
        for (part, place) in [
            ("const Y = 3u;", "generated constants:2"),
            ("fn a", "a.wgsl:2"),
            ("fn b", "b.wgsl:3"),
            ("fn c", "c.wgsl:2"),
        ] {
            let line = text.wgsl.lines().position(|line| line.contains(part)).unwrap() + 1;
            assert_eq!(text.place(line), place, "{part}");
        }
    }
}
