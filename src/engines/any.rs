//! An engine of any kind behind one type.

use crate::engine::{Adapter, Cpu, Engine, Gpu, Reference};

/// Runs `$body` with `$engine` bound to the engine inside an [`AnyEngine`](crate::AnyEngine), whichever it is.
///
/// ```
/// use partwise::{Engine, EngineChoice, with_engine};
///
/// let any = EngineChoice::Reference.open()?;
/// assert_eq!(with_engine!(&any, |engine| engine.describe()), "reference (f64)");
/// # Ok::<(), partwise::Error>(())
/// ```
#[macro_export]
macro_rules! with_engine {
    ($any:expr, |$engine:ident| $body:expr) => {
        match $any {
            $crate::AnyEngine::Gpu($engine) => $body,
            $crate::AnyEngine::Cpu($engine) => $body,
            $crate::AnyEngine::Reference($engine) => $body,
        }
    };
}

/// An engine of any kind: callers need not be generic over engines. [`with_engine!`](crate::with_engine) opens it to code that
/// is.
#[expect(clippy::large_enum_variant, reason = "a program has one, or a few")]
pub enum AnyEngine {
    /// WGSL compute shaders on a GPU.
    Gpu(Gpu),
    /// The native engine.
    Cpu(Cpu),
    /// The f64 reference.
    Reference(Reference),
}

impl From<Gpu> for AnyEngine {
    fn from(gpu: Gpu) -> Self {
        Self::Gpu(gpu)
    }
}

impl From<Cpu> for AnyEngine {
    fn from(cpu: Cpu) -> Self {
        Self::Cpu(cpu)
    }
}

impl From<Reference> for AnyEngine {
    fn from(reference: Reference) -> Self {
        Self::Reference(reference)
    }
}

impl AnyEngine {
    /// Which engine, and on what: "cpu (avx512, 8 threads)".
    pub fn describe(&self) -> String {
        with_engine!(self, |engine| engine.describe())
    }

    /// The adapter that it computes on; the processor has none.
    pub fn adapter(&self) -> Option<&Adapter> {
        match self {
            Self::Gpu(gpu) => Some(gpu.adapter()),
            Self::Cpu(_) | Self::Reference(_) => None,
        }
    }
}
