//! What comes of work on the device: a result, or one of our errors for one of the driver's.

use crate::EngineError;

/// What the device's thread answers.
pub(super) type Answer<R> = std::result::Result<R, EngineError>;

pub(super) fn engine_error(error: &wgpu::Error) -> EngineError {
    // wgpu's errors have many lines, ours have one.
    let text = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    match error {
        wgpu::Error::OutOfMemory { .. } => EngineError::OutOfMemory(text),
        _ => EngineError::Refused(text),
    }
}

/// Runs `work` inside error scopes of all kinds.
pub(super) fn guarded<R>(device: &wgpu::Device, work: impl FnOnce() -> R) -> (R, Option<EngineError>) {
    let filters = [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory];
    let scopes = filters.map(|filter| device.push_error_scope(filter));
    let result = work();
    let errors: Vec<wgpu::Error> =
        scopes.into_iter().rev().filter_map(|scope| pollster::block_on(scope.pop())).collect();
    (result, errors.first().map(engine_error))
}
