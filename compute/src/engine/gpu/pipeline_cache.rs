//! The driver's cache of compiled pipelines, to be kept between runs.

use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use super::answer::guarded;

/// Statistics of a device's pipelines, reported when it is closed.
#[derive(Debug)]
pub struct Compiled {
    /// The number of compiled pipelines.
    pub pipelines: usize,
    /// Seconds that computations waited for them.
    pub seconds: f64,
    /// The cache for a later [`Gpu::keep_pipelines`](super::Gpu::keep_pipelines). `None` if the driver provides none.
    pub cache: Option<PipelineCache>,
}

/// The driver's compiled pipelines: bytes to keep, with the seal of their device.
#[derive(Debug)]
pub struct PipelineCache {
    bytes: Vec<u8>,
    seal: Seal,
}

/// Receives the pipelines' statistics.
pub(super) type Listener = Box<dyn FnOnce(Compiled) + Send + Sync>;

/// The driver's cache, and the listener that receives it at the end.
pub(super) struct Keeping {
    seal: Seal,
    kept: Option<Vec<u8>>,
    cache: OnceLock<Option<wgpu::PipelineCache>>,
    listener: Listener,
}

impl Keeping {
    /// Starts with the bytes `kept`, if they are intact and match `description`.
    pub(super) fn new(description: String, kept: &[u8], listener: Listener) -> Self {
        let seal = Seal(description);
        Self { kept: seal.open(kept).map(<[u8]>::to_vec), seal, cache: OnceLock::new(), listener }
    }

    /// The driver's cache, created at first use. `None` if the driver has none.
    pub(super) fn cache(&self, device: &wgpu::Device) -> Option<&wgpu::PipelineCache> {
        let make = || {
            if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
                return None;
            }
            let data = self.kept.as_deref();
            let descriptor = wgpu::PipelineCacheDescriptor { label: Some("partwise"), data, fallback: true };
            // SAFETY: the data are the exact bytes that `get_data` returned, on the same device with the same driver.
            // The seal, which hashes all of these, was checked.
            let (cache, refused) = guarded(device, || unsafe { device.create_pipeline_cache(&descriptor) });
            if let Some(cause) = &refused {
                log::debug!("gpu: no pipeline is kept: {cause}");
            }
            refused.is_none().then_some(cache)
        };
        self.cache.get_or_init(make).as_ref()
    }

    /// Calls the listener with the statistics.
    pub(super) fn tell(self, pipelines: usize, seconds: f64) {
        let Self { seal, cache, listener, .. } = self;
        let data = cache.into_inner().flatten().and_then(|cache| cache.get_data());
        let cache = data.map(|data| PipelineCache { bytes: seal.close(&data), seal });
        listener(Compiled { pipelines, seconds, cache });
    }
}

/// The seal of kept bytes: a hash over the bytes, the device, the driver and the program. It identifies intact bytes of
/// the same origin.
#[derive(Debug, Clone)]
struct Seal(String);

/// Bytes of the hash at the start.
const SEAL_BYTES: usize = 32;

impl Seal {
    fn hash(&self, data: &[u8]) -> [u8; SEAL_BYTES] {
        Sha256::new()
            .chain_update(self.0.len().to_le_bytes())
            .chain_update(&self.0)
            .chain_update(data)
            .finalize()
            .into()
    }

    fn close(&self, data: &[u8]) -> Vec<u8> {
        [&self.hash(data), data].concat()
    }

    /// Returns the data if they carry this seal.
    fn open<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (hash, data) = bytes.split_at_checked(SEAL_BYTES)?;
        (self.hash(data) == hash).then_some(data)
    }
}

impl PipelineCache {
    /// The bytes to keep.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether they should replace `others`: if those are damaged, belong to another driver, or hold less.
    pub fn outdoes(&self, others: &[u8]) -> bool {
        self.bytes.len() > others.len() || self.seal.open(others).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_intact_bytes_of_the_same_device_and_driver_are_accepted() {
        let seal = Seal("Fast 9000, vulkan 1.2, partwise 0.1".into());
        let kept = seal.close(b"compiled");
        assert_eq!(seal.open(&kept), Some(b"compiled".as_slice()));
        assert_eq!(Seal("Fast 9000, vulkan 1.3, partwise 0.1".into()).open(&kept), None);
        for at in [0, SEAL_BYTES, kept.len() - 1] {
            let mut damaged = kept.clone();
            damaged[at] ^= 1;
            assert_eq!(seal.open(&damaged), None, "byte {at}");
        }
        assert_eq!(seal.open(&kept[..kept.len() - 1]), None);
        assert_eq!(seal.open(&[]), None);
        // Longer data replace shorter, and any data replace unusable ones.
        let kept = |data: &[u8]| PipelineCache { bytes: seal.close(data), seal: seal.clone() };
        assert!(kept(b"longer").outdoes(kept(b"short").bytes()));
        assert!(!kept(b"short").outdoes(kept(b"longer").bytes()) && !kept(b"same").outdoes(kept(b"same").bytes()));
        assert!(kept(b"short").outdoes(&[0; 100]) && kept(b"short").outdoes(&[]));
    }
}
