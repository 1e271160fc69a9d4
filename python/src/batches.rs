//! Files that one process names and others separate, batch after batch: the pipeline of `files.rs`, cut in two.

use std::path::{Path, PathBuf, absolute};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use partwise::schedule::{self, File, FileReport, Input, Listing, Outcome, Record, Station};
use partwise::separate::Plan;
use partwise::{Error, Model as Trained, Result, Separation};
use pyo3::prelude::*;

use crate::files::{Means, Seen, Teller, Way, parameters, watch, with_files};
use crate::model::{Model, json};
use crate::work::Control;
use crate::{engines, options, work};

/// Between two looks at whether a batch is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// An input as it crosses to Python: its path, its folder below the one that was named, and why it cannot be read.
type Listed = (String, String, Option<String>);
/// A file as it crosses to Python and to other processes: its path, why it cannot be read, and its outputs.
type Planned = (String, Option<String>, Vec<String>);

/// What files, folders, globs and lists stand for, as the command takes them. Paths are absolute, because other processes
/// have other current folders.
#[pyfunction]
pub(crate) fn list_files(py: Python<'_>, inputs: Vec<String>, output: Option<PathBuf>) -> PyResult<Vec<Listed>> {
    work::run(py, None, |_| {
        let Listing { inputs, left_out } = schedule::list(&inputs, output.as_deref())?;
        if !left_out.is_empty() {
            log::warn!("{left_out}");
        }
        inputs.into_iter().map(listed).collect()
    })
}

/// An input whose name is not Unicode cannot cross, and fails alone.
fn listed(Input { path, below, problem }: Input) -> Result<Listed> {
    let path = absolute(&path).map_err(Error::io(&path, "find"))?;
    let shown = path.display().to_string();
    let problem = problem.or_else(|| {
        let named = path.to_str().and(below.to_str());
        named.is_none().then(|| format!("{shown}: its name is not Unicode; rename it"))
    });
    Ok((shown, below.display().to_string(), problem))
}

/// Plans the outputs of all inputs of a job.
#[pyfunction]
pub(crate) fn plan_files(
    py: Python<'_>,
    inputs: Vec<Listed>,
    way: Way,
    model: Option<Bound<'_, Model>>,
    described: &str,
) -> PyResult<Vec<Planned>> {
    let model = model.map(|model| model.get().trained.clone());
    let input = |(path, below, problem): Listed| Input { path: path.into(), below: below.into(), problem };
    let inputs: Vec<Input> = inputs.into_iter().map(input).collect();
    work::run(py, None, |control| {
        let separation: Separation = options::description(described)?;
        let plan = Plan::new(model.as_deref(), &with_files(separation)?, &mut watch)?;
        let job = way.job(&plan, parameters(&plan, String::new())?, Means::default(), &control.stop)?;
        Ok(job.files(&inputs)?.into_iter().map(planned).collect())
    })
}

/// All names are made of such that are Unicode.
fn planned(File { input, outputs, .. }: File) -> Planned {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    (text(&input.path), input.problem, outputs.iter().map(|output| text(output)).collect())
}

/// A job whose files come in batches. Its engines are opened once, and its manifest is read once.
#[pyclass(frozen, module = "partwise._partwise")]
pub(crate) struct Batches {
    requests: Mutex<Sender<Request>>,
    opened: Opened,
}

#[derive(Clone)]
struct Opened {
    engine: String,
    sources: Vec<String>,
}

struct Request {
    files: Vec<File>,
    stop: Arc<AtomicBool>,
    answer: Sender<Result<Vec<FileReport>>>,
}

#[pymethods]
impl Batches {
    #[new]
    fn new(py: Python<'_>, way: Way, model: Option<Bound<'_, Model>>, described: &str) -> PyResult<Self> {
        let model = model.map(|model| (model.get().trained.clone(), model.get().hash.clone()));
        let (requests, asked) = channel();
        let opened = work::run(py, None, move |control| {
            let separation: Separation = options::description(described)?;
            let (open, opened) = channel();
            // The engines borrow the plan, so both live on a thread of their own, which ends with the requests.
            let serve = move || {
                if let Err(error) = serve(&way, model, separation, &asked, &open) {
                    let _ = open.send(Err(error));
                }
            };
            let thread = thread::Builder::new().name("partwise-batches".into()).spawn(serve);
            thread.map_err(|cause| Error::input(format!("cannot start a thread: {cause}")))?;
            wait(&opened, control, || {})
        })?;
        Ok(Self { requests: Mutex::new(requests), opened })
    }

    /// The engines.
    #[getter]
    fn engine(&self) -> &str {
        &self.opened.engine
    }

    /// The names of the sources that are written, in the order of a file's outputs.
    #[getter]
    fn sources(&self) -> Vec<String> {
        self.opened.sources.clone()
    }

    /// Separates files, no two of which have an output in common. Returns their lines of the manifest, in any order, as JSON.
    fn separate(&self, py: Python<'_>, files: Vec<Planned>) -> PyResult<String> {
        let file = |(index, (path, problem, outputs)): (usize, Planned)| File {
            index,
            input: Input { path: path.into(), problem, ..Input::default() },
            outputs: outputs.into_iter().map(PathBuf::from).collect(),
        };
        let files = files.into_iter().enumerate().map(file).collect();
        let reports = work::run(py, None, |control| {
            let (stop, (answer, answered)) = (Arc::new(AtomicBool::new(false)), channel());
            let request = Request { files, stop: stop.clone(), answer };
            let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
            requests.send(request).map_err(|_| ended())?;
            wait(&answered, control, || stop.store(true, Ordering::Relaxed))
        })?;
        json(py, &reports)
    }
}

fn ended() -> Error {
    Error::input("the job has ended by an earlier error; open it again")
}

/// Waits for an answer. `give_up` is called when nobody wants it any more.
fn wait<T>(answer: &Receiver<Result<T>>, control: &Control, give_up: impl Fn()) -> Result<T> {
    loop {
        match answer.recv_timeout(LOOK) {
            Ok(answer) => return answer,
            Err(RecvTimeoutError::Disconnected) => return Err(ended()),
            Err(RecvTimeoutError::Timeout) if control.stop.load(Ordering::Relaxed) => give_up(),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Opens the engines and separates batches, until there are no more requests or no engine is left.
fn serve(
    way: &Way,
    model: Option<(Arc<Trained>, String)>,
    separation: Separation,
    requests: &Receiver<Request>,
    open: &Sender<Result<Opened>>,
) -> Result<()> {
    let (model, hash) = model.as_ref().map(|(model, hash)| (&**model, hash.clone())).unzip();
    let plan = Plan::new(model, &with_files(separation)?, &mut watch)?;
    let (engines, which) = engines::named(&way.engine)?;
    let parameters = parameters(&plan, hash.unwrap_or_default())?;
    let mut stations = schedule::stations(&plan, &engines, which.open(&engines)?)?;
    let means = way.means(&plan, &engines, &stations)?;
    let record = if way.resume { Some(Record::read(&way.output)?) } else { None };
    let stems = plan.wanted()?.names(&plan.scheme.sources).into_iter().map(String::from).collect();
    let engine = stations.iter().map(Station::describe).collect::<Vec<_>>().join(", ");
    let _ = open.send(Ok(Opened { engine, sources: stems }));
    for Request { files, stop, answer } in requests {
        let job = way.job(&plan, parameters.clone(), means, &stop)?;
        let seen = Mutex::new(Seen::default());
        let outcome = schedule::run_files(&mut stations, &job, files, record.as_ref(), &mut Teller(&seen));
        let (reports, lost) = match outcome {
            Ok(Outcome { failure: Some(failure), .. }) => {
                let lost = matches!(failure, Error::Engine(_));
                (Err(failure), lost)
            }
            Ok(Outcome { full: true, .. }) => {
                let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
                (Err(Error::io(&way.output, "write to")(full)), false)
            }
            Ok(Outcome { reports, resumed, .. }) => (Ok([reports, resumed].concat()), false),
            Err(error) => (Err(error), false),
        };
        let _ = answer.send(reports);
        if lost {
            break;
        }
    }
    Ok(())
}
