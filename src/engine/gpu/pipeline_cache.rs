//! What a driver made of pipelines, for whoever keeps that between runs.

use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use super::answer::guarded;

/// What the pipelines of a device took, told when it is closed.
#[derive(Debug)]
pub struct Compiled {
    /// Those that were made.
    pub pipelines: usize,
    /// How long what was to be computed waited for them.
    pub seconds: f64,
    /// For [`Gpu::keep_pipelines`](super::Gpu::keep_pipelines) another time; `None` where the driver gives nothing.
    pub cache: Option<PipelineCache>,
}

/// What a driver made of pipelines: bytes to keep, and whose they are.
#[derive(Debug)]
pub struct PipelineCache {
    bytes: Vec<u8>,
    seal: Seal,
}

/// Called with what the pipelines took.
pub(super) type Listener = Box<dyn FnOnce(Compiled) + Send + Sync>;

/// The driver's cache, and who wants what is in it at the end.
pub(super) struct Keeping {
    seal: Seal,
    kept: Option<Vec<u8>>,
    cache: OnceLock<Option<wgpu::PipelineCache>>,
    listener: Listener,
}

impl Keeping {
    /// Of a device that is described so, with what was kept, where it is whole and of the same description.
    pub(super) fn new(description: String, kept: &[u8], listener: Listener) -> Self {
        let seal = Seal(description);
        Self { kept: seal.open(kept).map(<[u8]>::to_vec), seal, cache: OnceLock::new(), listener }
    }

    /// The cache, made at first use; `None` where the driver has none.
    pub(super) fn cache(&self, device: &wgpu::Device) -> Option<&wgpu::PipelineCache> {
        let make = || {
            if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
                return None;
            }
            let data = self.kept.as_deref();
            let descriptor = wgpu::PipelineCacheDescriptor { label: Some("partwise"), data, fallback: true };
            // SAFETY: the data are what `get_data` gave, byte by byte, on the same device with the same driver: they were under
            // the seal, which hashes all of these.
            let (cache, refused) = guarded(device, || unsafe { device.create_pipeline_cache(&descriptor) });
            if let Some(cause) = &refused {
                log::debug!("gpu: no pipeline is kept: {cause}");
            }
            refused.is_none().then_some(cache)
        };
        self.cache.get_or_init(make).as_ref()
    }

    /// Tells the listener what so many pipelines took.
    pub(super) fn tell(self, pipelines: usize, seconds: f64) {
        let Self { seal, cache, listener, .. } = self;
        let data = cache.into_inner().flatten().and_then(|cache| cache.get_data());
        let cache = data.map(|data| PipelineCache { bytes: seal.close(&data), seal });
        listener(Compiled { pipelines, seconds, cache });
    }
}

/// What tells bytes that were kept, whole and of this device with this driver and this program, from any others.
#[derive(Debug, Clone)]
struct Seal(String);

/// Bytes of the hash that they begin with.
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

    /// The data, where they are under this seal.
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

    /// Whether they should take the place of those: where those are damaged or another driver's, or hold less.
    pub fn outdoes(&self, others: &[u8]) -> bool {
        self.bytes.len() > others.len() || self.seal.open(others).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_bytes_of_the_same_device_and_driver_are_taken() {
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
        // More is better than less, and anything than what is of no use.
        let kept = |data: &[u8]| PipelineCache { bytes: seal.close(data), seal: seal.clone() };
        assert!(kept(b"longer").outdoes(kept(b"short").bytes()));
        assert!(!kept(b"short").outdoes(kept(b"longer").bytes()) && !kept(b"same").outdoes(kept(b"same").bytes()));
        assert!(kept(b"short").outdoes(&[0; 100]) && kept(b"short").outdoes(&[]));
    }
}
