//! The store of jobs: one SQLite file. What is in it survives a kill; so a job is accepted once it is in.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::types::Type;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};

use super::job::{Outcome, Record, State};

/// The version of the tables below.
const VERSION: i64 = 1;

/// `request` and `outcome` are JSON; what is searched for has a column of its own.
const TABLES: &str = "
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY,
        client TEXT NOT NULL,
        state TEXT NOT NULL,
        created INTEGER NOT NULL,
        started INTEGER,
        ended INTEGER,
        bytes INTEGER NOT NULL,
        idempotency_key TEXT,
        fingerprint TEXT NOT NULL,
        request TEXT NOT NULL,
        outcome TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX jobs_by_key ON jobs (client, idempotency_key) WHERE idempotency_key IS NOT NULL;
    CREATE INDEX jobs_by_client ON jobs (client, id);
    CREATE INDEX jobs_by_state ON jobs (state, id);
    CREATE INDEX jobs_by_end ON jobs (ended) WHERE ended IS NOT NULL;
";

const COLUMNS: &str = "id, client, state, created, started, ended, bytes, request, outcome";

/// Why the store could not do something.
#[derive(Debug)]
pub(super) enum StoreError {
    /// There is no room on the disk.
    Full,
    /// Anything else: the sentence.
    Other(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            _ => Self::Other(format!("the store of jobs: {error}")),
        }
    }
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Full => f.write_str("there is no room for the store of jobs"),
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

type Result<T> = std::result::Result<T, StoreError>;

/// How a client told a repeated request from a new one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Identity<'a> {
    /// The key that the client chose.
    pub(super) key: Option<&'a str>,
    /// SHA-256 of all that the client sent.
    pub(super) fingerprint: &'a str,
}

/// What became of a job that was to be added.
#[derive(Debug)]
pub(super) enum Added {
    /// It is in the store.
    New,
    /// The client's key is known, with this job and this fingerprint.
    Known(Box<Record>, String),
}

/// A page of a list of jobs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page<'a> {
    pub(super) client: &'a str,
    /// These states alone; all if it is empty.
    pub(super) states: &'a [State],
    /// Jobs before this one.
    pub(super) after: Option<&'a str>,
    pub(super) limit: usize,
}

/// The jobs of a service.
pub(super) struct Store {
    /// One connection writes. Another reads beside it, so that a question about a job does not wait for a commit.
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

impl Store {
    /// Opens the store, and makes it if it is not there.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let writer = Connection::open(path)?;
        writer.pragma_update(None, "journal_mode", "wal")?;
        // A commit survives the end of the process. After a power cut, the last ones may be lost; nothing breaks.
        writer.pragma_update(None, "synchronous", "normal")?;
        match writer.pragma_query_value(None, "user_version", |row| row.get(0))? {
            0 => {
                let begun = writer.unchecked_transaction()?;
                begun.execute_batch(TABLES)?;
                begun.pragma_update(None, "user_version", VERSION)?;
                begun.commit()?;
            }
            VERSION => {}
            other => {
                let path = path.display();
                return Err(StoreError::Other(format!(
                    "{path}: has jobs in the form {other}, and this version of partwise knows form {VERSION}; use a later version"
                )));
            }
        }
        let reader = Connection::open(path)?;
        reader.pragma_update(None, "query_only", true)?;
        Ok(Self { writer: Mutex::new(writer), reader: Mutex::new(reader) })
    }

    /// Adds a job, unless its client has used the key before.
    pub(super) fn add(&self, record: &Record, identity: Identity) -> Result<Added> {
        if let Some(known) = self.known(&record.client, identity)? {
            return Ok(known);
        }
        let sql = format!("INSERT INTO jobs ({COLUMNS}, idempotency_key, fingerprint) VALUES (?,?,?,?,?,?,?,?,?,?,?)");
        let added = self.write().prepare_cached(&sql)?.execute(params![
            record.id,
            record.client,
            record.state.word(),
            record.created,
            record.started,
            record.ended,
            record.bytes as i64,
            json(&record.request)?,
            json(&record.outcome)?,
            identity.key,
            identity.fingerprint,
        ]);
        match added {
            Ok(_) => Ok(Added::New),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                // The same request came twice at once, and the other was first.
                self.known(&record.client, identity)?.ok_or_else(|| error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The job that a client made with a key, with its fingerprint.
    pub(super) fn known(&self, client: &str, identity: Identity) -> Result<Option<Added>> {
        let Some(key) = identity.key else { return Ok(None) };
        let sql = format!("SELECT {COLUMNS}, fingerprint FROM jobs WHERE client = ? AND idempotency_key = ?");
        let known = |row: &Row| Ok(Added::Known(Box::new(record(row)?), row.get(9)?));
        Ok(self.read().prepare_cached(&sql)?.query_row([client, key], known).optional()?)
    }

    /// A client's job.
    pub(super) fn get(&self, client: &str, id: &str) -> Result<Option<Record>> {
        let sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = ? AND client = ?");
        Ok(self.read().prepare_cached(&sql)?.query_row([id, client], record).optional()?)
    }

    /// A client's jobs, the newest first.
    pub(super) fn list(&self, page: Page) -> Result<Vec<Record>> {
        let words: Vec<String> = page.states.iter().map(|state| format!("'{}'", state.word())).collect();
        let states = if words.is_empty() { String::new() } else { format!("AND state IN ({})", words.join(",")) };
        // Ids rise with time.
        let sql = format!(
            "SELECT {COLUMNS} FROM jobs WHERE client = ? AND (?2 IS NULL OR id < ?2) {states} ORDER BY id DESC LIMIT ?"
        );
        let reader = self.read();
        let mut statement = reader.prepare_cached(&sql)?;
        let rows = statement.query_map(params![page.client, page.after, page.limit as i64], record)?;
        Ok(rows.collect::<std::result::Result<_, _>>()?)
    }

    /// All jobs that have not ended, the oldest first.
    pub(super) fn waiting(&self) -> Result<Vec<Record>> {
        let reader = self.read();
        let mut statement =
            reader.prepare(&format!("SELECT {COLUMNS} FROM jobs WHERE state = 'queued' ORDER BY id"))?;
        let rows = statement.query_map([], record)?;
        Ok(rows.collect::<std::result::Result<_, _>>()?)
    }

    /// Ends a job. Returns whether it had not ended before.
    pub(super) fn end(&self, id: &str, state: State, times: (Option<i64>, i64), outcome: &Outcome) -> Result<bool> {
        let bytes: u64 = outcome.stems.iter().map(|stem| stem.bytes).sum();
        let sql = "UPDATE jobs SET state = ?, started = ?, ended = ?, outcome = ?, bytes = bytes + ?
                   WHERE id = ? AND state = 'queued'";
        let values = params![state.word(), times.0, times.1, json(outcome)?, bytes as i64, id];
        Ok(self.write().prepare_cached(sql)?.execute(values)? == 1)
    }

    /// Removes a job.
    pub(super) fn remove(&self, id: &str) -> Result<()> {
        self.write().prepare_cached("DELETE FROM jobs WHERE id = ?")?.execute([id])?;
        Ok(())
    }

    /// Jobs that ended before a time, and then the oldest ones until those that ended take no more than so many bytes.
    pub(super) fn expired(&self, before: i64, most_bytes: u64) -> Result<Vec<String>> {
        let reader = self.read();
        let mut statement =
            reader.prepare("SELECT id, ended, bytes FROM jobs WHERE ended IS NOT NULL ORDER BY ended DESC, id DESC")?;
        let mut rows = statement.query([])?;
        let (mut expired, mut sum) = (Vec::new(), 0_u64);
        while let Some(row) = rows.next()? {
            sum = sum.saturating_add(row.get::<_, i64>(2)?.max(0) as u64);
            if row.get::<_, i64>(1)? < before || sum > most_bytes {
                expired.push(row.get(0)?);
            }
        }
        Ok(expired)
    }

    /// Whether there is a job, of any client.
    pub(super) fn has(&self, id: &str) -> Result<bool> {
        let found =
            self.read().prepare_cached("SELECT 1 FROM jobs WHERE id = ?")?.query_row([id], |_| Ok(())).optional()?;
        Ok(found.is_some())
    }

    /// Whether the store can be written to.
    pub(super) fn is_writable(&self) -> Result<()> {
        let writer = self.write();
        writer.execute_batch("BEGIN IMMEDIATE; COMMIT")?;
        Ok(())
    }

    fn write(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|cause| StoreError::Other(format!("the store of jobs: {cause}")))
}

fn record(row: &Row) -> rusqlite::Result<Record> {
    let of_json = |column: usize, cause: serde_json::Error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(cause))
    };
    let state: String = row.get(2)?;
    Ok(Record {
        id: row.get(0)?,
        client: row.get(1)?,
        state: State::of(&state).ok_or_else(|| rusqlite::Error::InvalidColumnName(state))?,
        created: row.get(3)?,
        started: row.get(4)?,
        ended: row.get(5)?,
        bytes: row.get::<_, i64>(6)?.max(0) as u64,
        request: serde_json::from_str(row.get_ref(7)?.as_str()?).map_err(|cause| of_json(7, cause))?,
        outcome: serde_json::from_str(row.get_ref(8)?.as_str()?).map_err(|cause| of_json(8, cause))?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::job::{Kind, Request, Stem};
    use super::*;

    fn of(id: &str, client: &str) -> Record {
        let request = Request {
            kind: Kind::Separate,
            model: None,
            given: json!({}),
            options: json!({"iterations": 40}),
            recording: None,
            sources: Vec::new(),
            name: None,
            replace: false,
            desk: "a desk".into(),
        };
        Record {
            id: id.into(),
            client: client.into(),
            state: State::Queued,
            created: 5,
            started: None,
            ended: None,
            bytes: 10,
            request,
            outcome: Outcome::default(),
        }
    }

    fn anonymous() -> Identity<'static> {
        Identity { key: None, fingerprint: "f" }
    }

    #[test]
    fn a_job_is_there_after_the_store_is_opened_again_and_ends_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.sqlite");
        let store = Store::open(&path).unwrap();
        assert!(matches!(store.add(&of("1", "a"), anonymous()).unwrap(), Added::New));
        drop(store);
        let store = Store::open(&path).unwrap();
        assert_eq!(store.waiting().unwrap(), [of("1", "a")]);
        let stems = vec![Stem { source: "speech".into(), file: "x.wav".into(), bytes: 7 }];
        let outcome = Outcome { stems, ..Outcome::default() };
        assert!(store.end("1", State::Done, (Some(6), 8), &outcome).unwrap());
        assert!(!store.end("1", State::Failed, (None, 9), &Outcome::default()).unwrap(), "it has ended already");
        let ended = store.get("a", "1").unwrap().unwrap();
        let expected =
            Record { state: State::Done, started: Some(6), ended: Some(8), bytes: 17, outcome, ..of("1", "a") };
        assert_eq!(ended, expected);
        assert!(store.get("b", "1").unwrap().is_none(), "another client's");
        assert!(store.waiting().unwrap().is_empty());
    }

    #[test]
    fn a_key_makes_one_job_per_client() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("jobs.sqlite")).unwrap();
        let key = Identity { key: Some("k"), fingerprint: "f" };
        assert!(matches!(store.add(&of("1", "a"), key).unwrap(), Added::New));
        let again = store.add(&of("2", "a"), Identity { fingerprint: "g", ..key }).unwrap();
        let Added::Known(first, fingerprint) = again else { panic!("a second job") };
        assert_eq!((first.id.as_str(), fingerprint.as_str()), ("1", "f"));
        assert!(matches!(store.add(&of("3", "b"), key).unwrap(), Added::New));
        assert!(matches!(store.add(&of("4", "a"), anonymous()).unwrap(), Added::New));
        assert!(matches!(store.add(&of("5", "a"), anonymous()).unwrap(), Added::New));
    }

    #[test]
    fn a_list_has_pages_and_states() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("jobs.sqlite")).unwrap();
        for id in ["1", "2", "3", "4"] {
            store.add(&of(id, if id == "2" { "b" } else { "a" }), anonymous()).unwrap();
        }
        store.end("3", State::Failed, (None, 1), &Outcome::default()).unwrap();
        let ids = |after, states: &[State], limit| -> Vec<String> {
            let page = Page { client: "a", states, after, limit };
            store.list(page).unwrap().into_iter().map(|record| record.id).collect()
        };
        assert_eq!(ids(None, &[], 9), ["4", "3", "1"]);
        assert_eq!(ids(None, &[], 2), ["4", "3"]);
        assert_eq!(ids(Some("3"), &[], 9), ["1"]);
        assert_eq!(ids(None, &[State::Failed, State::Done], 9), ["3"]);
    }

    #[test]
    fn what_is_old_or_too_much_expires_and_what_waits_never_does() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("jobs.sqlite")).unwrap();
        for (id, ended) in [("1", Some(10)), ("2", Some(20)), ("3", Some(30)), ("4", None)] {
            store.add(&of(id, "a"), anonymous()).unwrap();
            if let Some(ended) = ended {
                store.end(id, State::Done, (None, ended), &Outcome::default()).unwrap();
            }
        }
        assert_eq!(store.expired(0, u64::MAX).unwrap(), [""; 0]);
        assert_eq!(store.expired(20, u64::MAX).unwrap(), ["1"]);
        assert_eq!(store.expired(0, 20).unwrap(), ["1"]);
        assert_eq!(store.expired(0, 0).unwrap(), ["3", "2", "1"]);
    }

    #[test]
    fn a_store_of_a_later_version_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.sqlite");
        Store::open(&path).unwrap().write().pragma_update(None, "user_version", 9).unwrap();
        let error = Store::open(&path).err().unwrap().to_string();
        assert!(error.contains("form 9") && error.contains("later version"), "{error}");
    }
}
