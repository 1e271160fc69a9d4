//! The import arrows: which room may name which, and that the files of a room name each other in one direction.
//! An arrow that is not here needs an argument in ARCHITECTURE.md first.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

/// A room of the library, and the rooms that it may name. `error` may be named by all.
const ARROWS: &[(&str, &[&str])] = &[
    ("random", &[]),
    ("audio", &[]),
    ("arrays", &[]),
    ("spectrogram", &[]),
    ("evaluate", &[]),
    ("cubics", &[]),
    ("weight", &["cubics"]),
    ("divergence", &["weight"]),
    ("engine", &[]),
    ("report", &["spectrogram"]),
    ("kernels", &["engine", "divergence", "weight", "cubics"]),
    ("check", &["kernels", "engines", "engine", "divergence", "weight", "cubics", "random"]),
    ("tensors", &[]),
    ("options", &["kernels", "spectrogram"]),
    ("methods", &["kernels", "engine", "divergence", "weight", "random", "options", "tensors", "spectrogram"]),
    ("job", &["methods", "options", "kernels", "divergence", "audio", "spectrogram"]),
    ("model", &["job", "methods", "tensors", "kernels", "divergence", "spectrogram"]),
    ("recordings", &["options", "audio", "spectrogram"]),
    (
        "train",
        &[
            "separate",
            "recordings",
            "model",
            "job",
            "methods",
            "options",
            "engines",
            "divergence",
            "audio",
            "evaluate",
            "spectrogram",
        ],
    ),
    (
        "separate",
        &["recordings", "model", "job", "methods", "engines", "options", "kernels", "engine", "audio", "spectrogram"],
    ),
    ("engines", &["kernels", "engine", "divergence"]),
    ("front", &["train", "separate", "recordings", "engines", "model", "job", "audio"]),
    ("schedule", &["separate", "job", "options", "engines", "engine", "audio", "spectrogram"]),
    (
        "reproduce",
        &[
            "train",
            "separate",
            "recordings",
            "model",
            "job",
            "methods",
            "engines",
            "kernels",
            "divergence",
            "audio",
            "spectrogram",
            "evaluate",
            "report",
            "random",
        ],
    ),
    (
        "serve",
        &["schedule", "train", "separate", "recordings", "engines", "model", "job", "options", "audio", "report"],
    ),
];

/// Packages that only some files may name: (package, path prefixes or suffixes).
const PACKAGES: &[(&str, &[&str])] = &[
    ("wgpu", &["src/engine/gpu/", "/gpu.rs"]),
    (
        "pulp",
        &[
            "src/engine/cpu/",
            "/cpu.rs",
            "src/kernels/adjoint/cpu/",
            "src/kernels/products/cpu/",
            "src/kernels/shifts/cpu/",
            "src/kernels/variational/cpu/",
        ],
    ),
    ("anyhow", &["src/main.rs", "src/cli/"]),
    ("clap", &["src/main.rs", "src/cli/"]),
    ("indicatif", &["src/cli/"]),
    ("tiny_skia", &["src/report/"]),
    ("ttf_parser", &["src/report/"]),
    ("symphonia", &["src/audio/"]),
    ("flacenc", &["src/audio/"]),
    ("rubato", &["src/audio/"]),
    ("zip", &["src/arrays/", "src/serve/"]),
    ("axum", &["src/serve/"]),
    ("hyper", &["src/serve/"]),
    ("rusqlite", &["src/serve/"]),
    ("tokio", &["src/serve/"]),
    ("utoipa", &["src/serve/"]),
    ("ureq", &["src/cli/"]),
];

/// Where files still lie on circles, as circles begin, and why. A place without circles must leave this list.
const CIRCLES: &[(&str, &str)] = &[];

/// Every method by its names in code and in text.
const METHODS: &[(&str, &[&str])] = &[
    ("gain_prior", &["gain_prior", "gain-prior", "GainPrior("]),
    ("nmf2d", &["nmf2d", "Nmf2d"]),
    ("sparse", &["mod sparse", "sparse::", "Sparse("]),
    ("discriminative", &["discriminative", "Discriminative"]),
    ("averaged", &["mod averaged", "averaged::", "Averaged("]),
    ("rest", &["mod rest", "rest::", "Rest("]),
    ("deep", &["mod deep", "deep::", "Deep("]),
    ("committee", &["mod committee", "committee::", "Committee("]),
    ("exemplars", &["mod exemplars", "exemplars::", "Exemplars("]),
];

/// Where a method may be named outside its own folder: where methods are listed, and where single methods are the point.
/// ARCHITECTURE.md, "How to add a paper".
const LISTS: &[&str] =
    &["src/methods/mod.rs", "src/job/mod.rs", "src/model/parts.rs", "src/train/mod.rs", "src/separate/plan.rs"];
const EXPERTS: &[&str] = &[
    // It starts from sparse bases, has their updates, and models of its have the same penalty.
    "src/methods/discriminative/",
    // Its members may be exemplars, and a model of exemplars is a committee of one.
    "src/methods/committee/",
    "src/methods/exemplars/",
    // Choosing the members is most of training them.
    "src/train/members.rs",
    // Users name methods.
    "src/cli/examples.rs",
    "src/kernels/",
    "src/check/",
    "src/reproduce/",
    "src/cli/reproduce.rs",
    "src/cli/bench/",
    // `factorize` is no job: it offers some methods for any matrix.
    "src/cli/factorize/",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file that is not of tests alone, by its path from the root, without its tests and comments. The rooms of compute/
/// and signal/ stand among the others, which name them as their own; the lib.rs there only list them.
fn files() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    ["src", "compute/src", "signal/src"].iter().for_each(|folder| sources(&root.join(folder), &mut found));
    found.retain(|path| !path.ends_with("compute/src/lib.rs") && !path.ends_with("signal/src/lib.rs"));
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        (
            name.trim_start_matches("compute/").trim_start_matches("signal/").to_owned(),
            std::fs::read_to_string(&path).unwrap(),
        )
    };
    without_tests(found.into_iter().map(read).collect())
}

/// The files without comments, without items under cfg(test), and without the files of modules under it.
/// Sources are formatted: an item ends with the first line of its own depth that ends in one of the signs below.
fn without_tests(files: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    let mut tests = Vec::new();
    for (file, text) in files {
        if text.contains("#![cfg(test)]") {
            continue;
        }
        let mut code = String::new();
        let mut lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        while let Some(line) = lines.next() {
            let Some(depth) = line.find("#[cfg(test)]") else {
                code.extend([line, "\n"]);
                continue;
            };
            let of_item =
                |line: &&str| line.len() - line.trim_start().len() == depth && line.ends_with([';', '}', ',']);
            let end = lines.find(of_item).unwrap_or_default();
            if let Some((_, module)) = end.trim_end_matches(';').split_once("mod ") {
                tests.push(format!("{}/{module}.rs", folder(&file)));
            }
        }
        kept.insert(file, code);
    }
    kept.retain(|file, _| !tests.contains(file));
    kept
}

/// The folder in which a file's modules lie: src/a for src/a/mod.rs and src/a.rs, src for src/lib.rs.
fn folder(file: &str) -> &str {
    let stem = file.trim_end_matches(".rs");
    ["/mod", "/lib"].iter().find_map(|end| stem.strip_suffix(end)).unwrap_or(stem)
}

/// The room of a file: the folder or file directly below src.
fn room(file: &str) -> &str {
    let below = file.strip_prefix("src/").unwrap_or(file);
    below.split('/').next().unwrap_or(below).trim_end_matches(".rs")
}

/// The rooms that a text names, as crate::room or, in braces, crate::{room, …}.
fn named(code: &str, rooms: &[&str]) -> Vec<String> {
    let mut named = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let group = rest.strip_prefix('{').map(|group| group.split('}').next().unwrap_or(group));
        let words: Vec<&str> = match group {
            Some(group) => group.split(',').map(str::trim).collect(),
            None => vec![rest],
        };
        for word in words {
            let name: String = word.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if rooms.contains(&name.as_str()) {
                named.push(name);
            }
        }
    }
    named
}

/// A name that a file brings in: `use super::reader::{Shape as Form}` is the path super, reader, Shape and the name Form.
struct Import {
    path: Vec<String>,
    name: String,
    public: bool,
}

/// What a file names: by imports, and in its code by paths of two words or more.
struct Module {
    file: String,
    imports: Vec<Import>,
    paths: Vec<Vec<String>>,
    words: BTreeSet<String>,
}

/// Modules by their folder or file, without ending: src/audio/packets for src/audio/packets/mod.rs, src for src/lib.rs.
type Modules = BTreeMap<String, Module>;

/// The bytes of the text or sign in quotes with which code begins; 0 where it begins with none.
fn quoted(code: &str) -> usize {
    let end = |from: usize, sign: &str| code[from..].find(sign).map_or(code.len(), |at| from + at + sign.len());
    if code.starts_with("r#\"") {
        end(3, "\"#")
    } else if code.starts_with("'\"'") {
        3
    } else if code.starts_with('"') {
        let mut close = end(1, "\"");
        while code[..close - 1].bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1 {
            close = end(close, "\"");
        }
        close
    } else {
        0
    }
}

/// Names, `::`, and every other sign by itself, without what is in quotes.
fn words(code: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let mut length = quoted(rest);
        if length == 0 {
            let name = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            length = if rest.starts_with("::") { 2 } else { name.max(first.len_utf8()) };
            words.push(&rest[..length]);
        }
        rest = rest[length..].trim_start();
    }
    words
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The imports below a prefix, from the words of a tree such as `a::{self, b as c}`, up to the sign after it.
fn tree(words: &mut VecDeque<&str>, prefix: &[String], public: bool, imports: &mut Vec<Import>) {
    let mut path = prefix.to_vec();
    while let Some(word) = words.pop_front() {
        match word {
            "::" => {}
            "{" => {
                while words.front() != Some(&"}") {
                    tree(words, &path, public, imports);
                    if words.front() == Some(&",") {
                        words.pop_front();
                    }
                }
                words.pop_front();
                return;
            }
            "self" if !prefix.is_empty() => {}
            word if is_name(word) || word == "*" => path.push(word.to_owned()),
            word => panic!("{word} in an import of {path:?}"),
        }
        let renamed = words.front() == Some(&"as");
        if renamed || words.front().is_none_or(|next| [";", ",", "}"].contains(next)) {
            let alias = if renamed { words.drain(..2).next_back() } else { None };
            let name = alias.map_or_else(|| path.last().cloned().unwrap_or_default(), str::to_owned);
            imports.push(Import { path, name, public });
            return;
        }
    }
}

fn module(file: &str, code: &str) -> Module {
    let mut module = Module { file: file.to_owned(), imports: vec![], paths: vec![], words: BTreeSet::new() };
    let mut words: VecDeque<&str> = words(code).into();
    let (mut before, mut path) = ("", Vec::new());
    while let Some(word) = words.pop_front() {
        let next = words.front().copied().unwrap_or_default();
        if word == "use" && next != "<" {
            tree(&mut words, &[], ["pub", ")"].contains(&before), &mut module.imports);
        } else if is_name(word) {
            path.push(word.to_owned());
            module.words.insert(word.to_owned());
        }
        let goes_on = (word == "::" && is_name(next)) || next == "::";
        if !goes_on && !path.is_empty() {
            module.paths.push(std::mem::take(&mut path));
        }
        before = word;
    }
    module.paths.retain(|path| path.len() > 1);
    module
}

fn modules(files: &BTreeMap<String, String>) -> Modules {
    files.iter().map(|(file, code)| (folder(file).to_owned(), module(file, code))).collect()
}

/// The module and the file that defines what a path names, seen from a module; nothing where that is a module or a package.
fn defines<'a>(modules: &'a Modules, from: &str, path: &[String]) -> Option<&'a str> {
    let parent = |module: &str| module.rsplit_once('/').map(|(parent, _)| parent.to_owned());
    let child = |module: &str, name: &str| Some(format!("{module}/{name}")).filter(|child| modules.contains_key(child));
    let imported = |module: &str, name: &str| {
        let mut imports = modules.get(module)?.imports.iter();
        imports.find(|import| import.name == name && import.path.first().is_none_or(|first| first != name))
    };
    let mut at = match path.first()?.as_str() {
        "crate" => "src".to_owned(),
        "self" => from.to_owned(),
        "super" => parent(from)?,
        name => match (child(from, name), imported(from, name)) {
            (Some(child), _) if path.len() > 1 => child,
            (_, Some(import)) => return defines(modules, from, &[&import.path, &path[1..]].concat()),
            _ => return None,
        },
    };
    for (place, name) in path.iter().enumerate().skip(1) {
        let last = place + 1 == path.len();
        at = match (name.as_str(), child(&at, name), imported(&at, name)) {
            ("super", ..) => parent(&at)?,
            (_, Some(child), _) if !last => child,
            (_, _, Some(import)) => return defines(modules, &at, &[&import.path, &path[place + 1..]].concat()),
            (_, Some(_), None) => return None,
            (_, None, None) => return modules.get(&at).map(|module| module.file.as_str()),
        };
    }
    None
}

/// Which files of its own room a file names. What it only passes on (`pub use`) it does not name.
fn neighbours(modules: &Modules) -> BTreeMap<&str, BTreeSet<&str>> {
    let of_module = |(at, module): (&String, &'_ Module)| {
        let imports = module.imports.iter().filter(|import| !import.public || module.words.contains(&import.name));
        let paths = imports.map(|import| &import.path).chain(&module.paths);
        let files = paths.filter_map(|path| defines(modules, at, path));
        files.filter(|file| room(file) == room(&module.file) && *file != module.file).collect()
    };
    modules.iter().map(|entry| (entry.1.file.as_str(), of_module(entry))).collect()
}

/// The circles of files, as `room: a.rs -> b.rs -> a.rs`: for every file that lies on one, the shortest, each once and from its first file.
fn circles(files: &BTreeMap<String, String>) -> BTreeSet<String> {
    let modules = modules(files);
    let neighbours = neighbours(&modules);
    let mut found = BTreeSet::new();
    for &start in neighbours.keys() {
        let mut seen = BTreeSet::new();
        let mut ways = VecDeque::from([vec![start]]);
        while let Some(way) = ways.pop_front() {
            let last = *way.last().unwrap();
            if neighbours[last].contains(start) {
                let first = (0..way.len()).min_by_key(|&at| way[at]).unwrap();
                let below = format!("src/{}/", room(start));
                let circle = (first..=first + way.len()).map(|at| way[at % way.len()].trim_start_matches(&below));
                found.insert(format!("{}: {}", room(start), circle.collect::<Vec<_>>().join(" -> ")));
                break;
            }
            ways.extend(
                neighbours[last].iter().filter(|next| seen.insert(**next)).map(|next| [&way[..], &[*next]].concat()),
            );
        }
    }
    found
}

#[test]
fn the_files_of_a_room_name_each_other_in_one_direction() {
    let files = files();
    let seen: usize = neighbours(&modules(&files)).values().map(BTreeSet::len).sum();
    assert!(seen > 150, "only {seen} files named by others were seen: the search no longer finds them");
    let mut circles = circles(&files);
    for (place, _) in CIRCLES {
        let all = circles.len();
        circles.retain(|circle| !circle.starts_with(place));
        assert!(circles.len() < all, "{place} no circles here: take it from the list");
    }
    let circles: Vec<String> = circles.into_iter().collect();
    assert!(circles.is_empty(), "files that name each other in a circle:\n{}", circles.join("\n"));
}

#[test]
fn imports_run_downwards_only() {
    let rooms: Vec<&str> = ARROWS.iter().map(|(room, _)| *room).collect();
    let mut seen = 0;
    for (file, code) in files() {
        if ["lib", "main", "cli"].contains(&room(&file)) {
            continue;
        }
        let (_, allowed) = ARROWS
            .iter()
            .find(|(known, _)| *known == room(&file))
            .unwrap_or_else(|| panic!("{file}: a room without arrows"));
        for name in named(&code, &rooms) {
            let own = name == room(&file) || name == "error";
            assert!(own || allowed.contains(&name.as_str()), "{file} names {name}");
            seen += usize::from(!own);
        }
    }
    assert!(seen > 30, "only {seen} imports were seen: the search no longer finds them");
}

#[test]
fn a_method_is_named_in_its_folder_and_in_the_lists_alone() {
    for (folder, names) in METHODS {
        let own = format!("src/methods/{folder}/");
        let files = files();
        assert!(files.keys().any(|file| file.starts_with(&own)), "{own} holds nothing");
        for (file, code) in &files {
            let named: Vec<&&str> = names.iter().filter(|name| code.contains(**name)).collect();
            let allowed = file.starts_with(&own)
                || LISTS.contains(&file.as_str())
                || EXPERTS.iter().any(|place| file.starts_with(place));
            assert!(named.is_empty() || allowed, "{file} names {named:?}; see ARCHITECTURE.md, How to add a paper");
        }
        // A model of exemplars is separated under as a committee of one.
        let has_own_plan = |list: &&&str| *folder != "exemplars" || !list.ends_with("plan.rs");
        let lists = LISTS.iter().filter(|list| !list.ends_with("parts.rs") && !list.ends_with("train/mod.rs"));
        for list in lists.filter(has_own_plan) {
            assert!(names.iter().any(|name| files[*list].contains(name)), "{list} does not list {folder}");
        }
    }
}

#[test]
fn methods_and_jobs_name_no_engine() {
    for (file, code) in files() {
        if ["methods", "separate", "train", "schedule"].contains(&room(&file)) {
            for engine in ["Gpu", "Cpu", "Reference"] {
                assert!(!code.contains(engine), "{file} names the engine {engine}");
            }
        }
    }
}

#[test]
fn packages_stay_in_their_rooms() {
    for (file, code) in files() {
        for (package, places) in PACKAGES {
            let named = code.match_indices(&format!("{package}::")).any(|(at, _)| {
                let before = code[..at].chars().next_back().unwrap_or(' ');
                !(before.is_alphanumeric() || before == '_' || before == ':')
            });
            let allowed = places.iter().any(|place| file.starts_with(place) || file.ends_with(place));
            assert!(!named || allowed, "{file} names {package}");
        }
    }
}

#[test]
fn the_search_sees_an_arrow_that_runs_upwards() {
    let rooms = ["schedule", "audio"];
    assert_eq!(named("use crate::schedule::run;", &rooms), ["schedule"]);
    assert_eq!(named("use crate::{Error, audio, schedule::{self, run}};", &rooms), ["audio", "schedule"]);
    assert!(named("use crate::scheduler; self::audio", &rooms).is_empty());
}

#[test]
fn the_search_sees_circles_of_files() {
    let files = [
        ("src/lib.rs", "mod error; pub use error::Error; mod audio; mod report; pub use report::Panel;"),
        ("src/error.rs", "pub enum Error {}"),
        (
            "src/audio/mod.rs",
            "mod flac;\nmod reader;\nmod wav;\n#[cfg(test)]\nmod tests {\n    use crate::audio::wav::Wav;\n}\n\
             pub use reader::{Reader as Blocks, Shape};\npub const LIMIT: usize = 1;",
        ),
        ("src/audio/reader.rs", "use super::{LIMIT, wav}; pub struct Shape; pub enum Reader { Wav(wav::Wav) }"),
        (
            "src/audio/wav.rs",
            "// super::flac::Flac\nuse crate::{Error, audio::Shape}; pub struct Wav(Shape); const TEXT: &str = \"use super::flac::Flac;\";",
        ),
        ("src/audio/flac.rs", "pub struct Flac(super::wav::Wav);"),
        (
            "src/report/mod.rs",
            "mod figure; mod grid; mod tile;\n#[cfg(test)]\nmod tests;\npub use figure::Panel; pub use {grid::Grid, tile::*};",
        ),
        ("src/report/figure.rs", "use super::{Grid}; pub struct Panel(Grid);"),
        ("src/report/grid.rs", "pub struct Grid; fn of(tile: &super::tile::Tile) {}"),
        (
            "src/report/tile.rs",
            "use super::{faults::Fault, tests::Test}; pub struct Tile; fn panel(_: &super::super::Panel) {}",
        ),
        ("src/report/faults.rs", "#![cfg(test)]\nuse super::tile::Tile; pub struct Fault;"),
        ("src/report/tests.rs", "use super::tile::Tile; pub struct Test;"),
    ];
    let files = without_tests(files.map(|(file, code)| (file.to_owned(), code.to_owned())).into());
    let found: Vec<String> = circles(&files).into_iter().collect();
    let (audio, report) =
        ("audio: reader.rs -> wav.rs -> reader.rs", "report: figure.rs -> grid.rs -> tile.rs -> figure.rs");
    assert_eq!(found, [audio, report]);
    let modules = modules(&files);
    let named = &neighbours(&modules)["src/audio/reader.rs"];
    assert_eq!(named.iter().collect::<Vec<_>>(), [&"src/audio/mod.rs", &"src/audio/wav.rs"]);
}
