//! Tests of the device layer on any adapter.

use ndarray::{Array2, s};

use super::shader::{Kernel, Source, uniform};
use super::testing::unprepared;
pub(crate) use super::testing::{gpu, numbers};
use super::worker::Worker;
use super::*;

impl Gpu {
    /// The same GPU with another chunk width, a multiple of a tile.
    pub(crate) fn with_chunk_columns(self, chunk_columns: usize) -> Self {
        Self { chunk_columns, ..self }
    }

    /// Makes shaders check their indices from now on.
    pub(crate) fn check_indices(&self) {
        let check = |worker: &mut Worker| {
            worker.check_indices();
            Ok(())
        };
        self.device.post(check).unwrap();
    }
}

uniform! {
    /// A uniform without content.
    Nothing { unused: u32, }
}

#[test]
fn panels_and_matrices_are_read_back_unchanged() {
    let Some(mut gpu) = gpu() else { return };
    for chunk_columns in [64, MAX_CHUNK_COLUMNS] {
        gpu = gpu.with_chunk_columns(chunk_columns);
        for (rows, columns) in [(1, 1), (3, 31), (33, 65), (130, 200)] {
            let values = numbers(1, rows, columns);
            let wide = values.mapv(f64::from);
            assert_eq!(gpu.read_panel::<f32>(&gpu.panel(values.view()).unwrap()).unwrap(), values);
            assert_eq!(gpu.read_panel::<f64>(&gpu.panel(wide.t()).unwrap()).unwrap(), wide.t());
            assert_eq!(gpu.read_matrix::<f64>(&gpu.matrix(values.t()).unwrap()).unwrap(), wide.t());
            let reversed = values.slice(s![..;-1, ..;-1]);
            assert_eq!(gpu.read_panel::<f32>(&gpu.panel(reversed).unwrap()).unwrap(), reversed);
        }
        let panel = gpu.panel(numbers(1, 2, 70).view()).unwrap();
        assert!(gpu.read_panel::<f32>(&panel).unwrap().t().is_standard_layout());
        assert_eq!(panel.chunks.len(), if chunk_columns == 64 { 2 } else { 1 });
    }
}

#[test]
fn a_panel_of_several_pieces_is_read_back_unchanged() {
    let Some(gpu) = gpu() else { return };
    // Strips of 512 KiB, 64 per piece: three pieces, with segment boundaries inside them.
    let all = numbers(1, 4096, 4200);
    let segments = [all.slice(s![.., ..1900]), all.slice(s![.., 1900..1930]), all.slice(s![.., 1930..])];
    assert_eq!(gpu.read_panel::<f32>(&gpu.packed(&segments).unwrap()).unwrap(), all);
}

#[test]
fn stored_fields_and_their_costs_can_be_bound_together() {
    let Some(gpu) = gpu() else { return };
    let bytes = (3 * gpu.field_quads * size_of::<[f32; 4]>()) as u64;
    assert!(bytes <= gpu.adapter().max_binding_bytes, "{bytes} of {}", gpu.adapter().max_binding_bytes);
    assert!(gpu.field_quads > 0);
}

#[test]
fn the_gpu_still_works_after_an_out_of_memory_error() {
    let Some(gpu) = gpu() else { return };
    assert!(matches!(gpu.storage(1 << 45), Err(Error::Engine(EngineError::OutOfMemory(_)))));
    assert!(matches!(gpu.panel(Array2::<f32>::zeros((MAX_ROWS + 1, 1)).view()), Err(Error::Input(_))));
    assert!(matches!(gpu.matrix(Array2::<f32>::zeros((1, MAX_ROWS + 1)).view()), Err(Error::Input(_))));
    assert!(matches!(gpu.panel(Array2::<f32>::zeros((3, 0)).view()), Err(Error::Input(_))));
    assert_eq!(gpu.read_panel::<f32>(&gpu.panel(numbers(1, 2, 2).view()).unwrap()).unwrap(), numbers(1, 2, 2));
}

#[test]
fn a_refused_command_is_reported_once_and_the_gpu_still_works() {
    let Some(gpu) = gpu() else { return };
    static BROKEN: Kernel = Kernel {
        source: Source { path: "shaders/broken.wgsl", text: "// Broken.\nfn main() { nothing(); }\n", imports: &[] },
        storages: &[],
        constants: &[],
        uniform: Nothing::MEMBERS,
    };
    let panel = gpu.panel(numbers(1, 2, 2).view()).unwrap();
    let run = Run {
        kernel: &BROKEN,
        filling: None,
        constants: &[],
        uniform: Nothing::default(),
        storages: &[],
        workgroups: 1,
        work: 1,
    };
    gpu.run(run).unwrap();
    match gpu.read_panel::<f32>(&panel) {
        Err(Error::Engine(EngineError::Refused(cause))) => {
            assert!(cause.contains("shaders/broken.wgsl:2") && cause.contains("nothing"), "{cause}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(gpu.read_panel::<f32>(&panel).unwrap(), numbers(1, 2, 2));
}

/// A kernel that does nothing.
static IDLE: Kernel = Kernel {
    source: Source { path: "shaders/idle.wgsl", text: "@compute @workgroup_size(1) fn main() {}\n", imports: &[] },
    storages: &[],
    constants: &[("X", &[1, 2])],
    uniform: Nothing::MEMBERS,
};

/// Runs it with these values of its constants.
fn idle(gpu: &Gpu, constants: &[u32]) -> Result<()> {
    let uniform = Nothing::default();
    gpu.run(Run { kernel: &IDLE, filling: None, constants, uniform, storages: &[], workgroups: 1, work: 1 })?;
    gpu.device.ask(Worker::settle)
}

#[test]
fn constants_outside_the_declared_values_are_refused() {
    let Some(gpu) = gpu() else { return };
    idle(&gpu, &[2]).unwrap();
    let refused = idle(&gpu, &[3]).unwrap_err().to_string();
    assert!(refused.contains("shaders/idle.wgsl: no shader is declared for [3]"), "{refused}");
}

#[test]
fn the_listener_gets_the_pipeline_count_and_cache_on_close() {
    let run = |kept: &[u8]| {
        let gpu = unprepared()?;
        let (report, closed) = std::sync::mpsc::channel();
        gpu.keep_pipelines(kept, move |compiled| report.send(compiled).unwrap());
        [1, 2, 1].iter().for_each(|&x| idle(&gpu, &[x]).unwrap());
        assert!(closed.try_recv().is_err(), "reported before the end");
        let vulkan = gpu.adapter().backend == "vulkan";
        drop(gpu);
        let compiled = closed.recv().unwrap();
        assert_eq!((compiled.pipelines, compiled.cache.is_some()), (2, vulkan));
        assert!(compiled.seconds >= 0.0);
        compiled.cache
    };
    let Some(cache) = run(&[]) else { return };
    let mut damaged = cache.bytes().to_vec();
    damaged[60] ^= 1;
    for kept in [cache.bytes().to_vec(), damaged, vec![7; 100]] {
        assert!(run(&kept).is_some_and(|cache| kept == cache.bytes() || cache.outdoes(&kept)));
    }
}

#[test]
fn a_lost_device_is_reported_by_every_later_answer() {
    let Some(gpu) = gpu() else { return };
    let panel = gpu.panel(numbers(1, 2, 2).view()).unwrap();
    gpu.destroyer()();
    for _ in 0..2 {
        let lost = gpu.read_panel::<f32>(&panel);
        assert!(matches!(lost, Err(Error::Engine(EngineError::Lost(_)))), "{lost:?}");
        assert!(matches!(gpu.storage(1 << 20), Err(Error::Engine(EngineError::Lost(_)))));
    }
}
