//! The Python package's extension module, `partwise._partwise`: numpy arrays and options in, the library's work without the
//! GIL, numpy arrays and typed exceptions out. What users call, and its documentation, is Python, in `python/partwise/`.

mod arrays;
mod batches;
mod engines;
mod errors;
mod evaluate;
mod factorize;
mod files;
mod logging;
mod model;
mod options;
mod patterns;
mod recordings;
mod separate;
mod train;
mod work;

use pyo3::prelude::*;

/// The extension module.
#[pymodule]
mod _partwise {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::batches::{Batches, list_files, plan_files};
    #[pymodule_export]
    use crate::evaluate::evaluate;
    #[pymodule_export]
    use crate::factorize::{factorize, update_gains};
    #[pymodule_export]
    use crate::files::separate_files;
    #[pymodule_export]
    use crate::model::Model;
    #[pymodule_export]
    use crate::patterns::factorize_patterns;
    #[pymodule_export]
    use crate::recordings::{read_recording, write_recording};
    #[pymodule_export]
    use crate::separate::separate;
    #[pymodule_export]
    use crate::train::train;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::logging::forward();
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
