//! Measures the time of compute passes with the device's own clock.

/// The most passes between a start and a stop: the size of a query set. Longer work has no device time.
const PASSES: u32 = wgpu::QUERY_SET_MAX_QUERIES / 2;

/// Writes timestamps at the beginning and the end of passes while it runs.
pub(super) struct Clock {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    /// Seconds per tick.
    tick: f64,
    /// Passes since the start. None while stopped.
    passes: Option<u32>,
}

impl Clock {
    /// The adapter features that it needs.
    pub(super) const FEATURES: wgpu::Features = wgpu::Features::TIMESTAMP_QUERY;

    /// The clock of a device, if it has one.
    pub(super) fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Option<Self> {
        if !device.features().contains(Self::FEATURES) {
            return None;
        }
        let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("clock"),
            ty: wgpu::QueryType::Timestamp,
            count: 2 * PASSES,
        });
        let resolved = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("clock"),
            size: u64::from(2 * PASSES * wgpu::QUERY_SIZE),
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        Some(Self { queries, resolved, tick: f64::from(queue.get_timestamp_period()) * 1e-9, passes: None })
    }

    pub(super) fn start(&mut self) {
        self.passes = Some(0);
    }

    /// The timestamp writes of the next pass.
    pub(super) fn stamps(&mut self) -> Option<wgpu::ComputePassTimestampWrites<'_>> {
        let passes = self.passes.as_mut()?;
        *passes += 1;
        let first = 2 * (*passes - 1);
        (*passes <= PASSES).then_some(wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        })
    }

    /// Stops the clock: copies the timestamps to a buffer and returns it with the number of passes.
    pub(super) fn stop(&mut self, encoder: &mut wgpu::CommandEncoder) -> Option<(wgpu::Buffer, u32)> {
        let passes = self.passes.take().filter(|passes| (1..=PASSES).contains(passes))?;
        encoder.resolve_query_set(&self.queries, 0..2 * passes, &self.resolved, 0);
        Some((self.resolved.clone(), passes))
    }

    /// The total seconds between the timestamps of all passes. None if the clock did not advance.
    pub(super) fn sum(&self, stamps: &[[u64; 2]]) -> Option<f64> {
        let ticks: u64 = stamps.iter().map(|[begin, end]| end.saturating_sub(*begin)).sum();
        (ticks > 0).then_some(ticks as f64 * self.tick)
    }
}
